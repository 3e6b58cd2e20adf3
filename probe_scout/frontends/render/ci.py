"""`matrix` for continuous integration: SARIF 2.1.0, JUnit XML and the workflow commands of GitHub.

SARIF has one result for each hook, with its kernels in the text: GitHub takes 5,000 results of a run to show, and one
run of a tool in a file. JUnit has a test for each hook and kernel. Workflow commands are for hooks that must attach.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model.hooks import MUST
from ...model.matrix import INSTEAD, MISSES, REFUSED, SAYS, UNTOLD, MatrixReport, titles
from ...model.verdict import NO, UNKNOWN, YES
from . import json
from .matrix import why
from .style import printable

FORMATS = ("sarif", "junit", "github")
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_RULES = {
    REFUSED: ("hook-refused", "No attach point of the hook attaches"),
    INSTEAD: ("hook-needs-another-target", "No attach point of the hook attaches, another attach point does"),
    MISSES: ("hook-misses-calls", "The hook attaches, and calls that it asks for go past it"),
    UNTOLD: ("hook-cannot-be-told", "Whether the hook attaches is unknown: not everything could be read"),
}


def _problems(report: MatrixReport) -> Iterator[tuple[int, str, str, str]]:
    """For each hook with a cell that is not yes: its place, the worst answer, the state of that cell, the text."""
    names = titles(report.kernels)
    for number, hook in enumerate(report.hooks):
        cells = [report.cell(number, place) for place in range(len(names))]
        bad = [cell for cell in cells if cell.answer != YES]
        if not bad:
            continue
        worst = NO if any(cell.answer == NO for cell in bad) else UNKNOWN
        state = next(cell.state for cell in bad if cell.answer == worst)
        grouped: dict[str, list[str]] = {}
        for cell in bad:
            grouped.setdefault(f"{cell.answer}, {why(cell) or SAYS[cell.state]}", []).append(names[cell.kernel])
        text = "; ".join(f"{', '.join(where)}: {says}" for says, where in grouped.items())
        yield number, worst, state, f"{hook.name} ({' or '.join(hook.ladder)}) on {text}"


def _rule(worst: str, state: str) -> str:
    """Where the worst cell would attach but for its coverage, that is the rule."""
    if worst == UNKNOWN:
        return UNTOLD
    return state if state in (REFUSED, INSTEAD) else MISSES


def place(source: str) -> tuple[str, int]:
    """File and line of FILE or FILE:LINE; the line is 1 where none is given."""
    path, colon, line = source.rpartition(":")
    if colon and line.isascii() and line.isdigit() and 0 < int(line) < 1 << 31:
        return path, int(line)
    return source, 1


def sarif(report: MatrixReport, version: str) -> str:
    """One SARIF document with one run."""
    order = list(_RULES)
    results = []
    for number, worst, state, text in _problems(report):
        hook = report.hooks[number]
        rule = _rule(worst, state)
        level = "note" if hook.need != MUST else "error" if worst == NO else "warning"
        result: dict[str, object] = {
            "ruleId": _RULES[rule][0],
            "ruleIndex": order.index(rule),
            "level": level,
            "message": {"text": printable(text)},
            "partialFingerprints": {"hook/v1": hook.name},
        }
        if hook.source:
            path, line = place(hook.source)
            where = {"artifactLocation": {"uri": uri(path)}, "region": {"startLine": line}}
            result["locations"] = [{"physicalLocation": where}]
        results.append(result)
    rules = [{"id": name, "shortDescription": {"text": says}} for name, says in _RULES.values()]
    driver = {"name": "probe-scout", "version": version, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "utf16CodeUnits", "results": results}
    return json.dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def uri(path: str) -> str:
    """A relative reference as RFC 3986 has it: other signs are escaped."""
    from urllib.parse import quote

    return quote(path, safe="/")


def junit(report: MatrixReport) -> str:
    """JUnit XML: a suite for each kernel, a test for each hook. A no fails, unknown is an error; `may` is skipped."""
    names = titles(report.kernels)
    suites: list[str] = []
    sums = [0, 0, 0, 0]
    for column, name in enumerate(names):
        cases, counts = [], [0, 0, 0, 0]
        for number, hook in enumerate(report.hooks):
            cell = report.cell(number, column)
            counts[0] += 1
            head = f"<testcase classname={quoted(name)} name={quoted(hook.name)}"
            if hook.source:
                path, line = place(hook.source)
                head += f' file={quoted(path)} line="{line}"'
            text = quoted(why(cell) or SAYS[cell.state])
            if cell.answer == YES:
                cases.append(head + "/>")
                continue
            kind = 3 if hook.need != MUST else 1 if cell.answer == NO else 2
            counts[kind] += 1
            element = ("", "failure", "error", "skipped")[kind]
            typed = "" if element == "skipped" else f' type="{cell.state}"'
            cases.append(f"{head}><{element} message={text}{typed}/></testcase>")
        suites.append(f"<testsuite name={quoted(name)}{sums_of(counts)}>\n" + "\n".join(cases) + "\n</testsuite>")
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="probe-scout"{sums_of(sums)}>\n'
    return head + "\n".join(suites) + "\n</testsuites>"


def sums_of(counts: list[int]) -> str:
    words = ("tests", "failures", "errors", "skipped")
    return "".join(f' {word}="{count}"' for word, count in zip(words, counts, strict=True))


def quoted(text: str) -> str:
    """A value of an attribute; XML 1.0 has no form for control characters, so they are written out."""
    import html

    return f'"{html.escape(printable(text))}"'


def github(report: MatrixReport) -> Iterator[str]:
    """Workflow commands: ::error for a no of a hook that must attach, ::warning for what cannot be told."""
    for number, worst, _, text in _problems(report):
        hook = report.hooks[number]
        level = "notice" if hook.need != MUST else "error" if worst == NO else "warning"
        where = ""
        if hook.source:
            path, line = place(hook.source)
            where = f"file={property(path)},line={line},"
        yield f"::{level} {where}title={property(f'probe-scout: {hook.name}')}::{data(printable(text))}"


def data(text: str) -> str:
    """As @actions/core escapes a message: packages/core/src/command.ts, escapeData."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property(text: str) -> str:
    """As @actions/core escapes a property: escapeProperty of the same file."""
    return data(printable(text)).replace(":", "%3A").replace(",", "%2C")
