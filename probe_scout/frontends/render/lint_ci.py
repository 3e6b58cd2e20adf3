"""`lint` for continuous integration, in the forms of `matrix` (ci.py): SARIF, JUnit XML, workflow commands of GitHub.

A result is a program that is not yes on some kernel, with its kernels in the text; programs that are not loaded by
default (`?`) are notes. An object that loads on no kernel because of one program has a result of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model.lint import LintedObject, LintReport
from ...model.verdict import NO, UNKNOWN, YES
from ...named_tuple import NamedTuple
from . import json
from .ci import SCHEMA, data, property, quoted, sums_of, uri
from .lint import advised, cell, names
from .style import printable


class _Problem(NamedTuple):
    path: str
    program: str
    rule: str
    worst: str
    level: str
    text: str


def _problems(report: LintReport) -> Iterator[_Problem]:
    for one in report.objects:
        for number, first in enumerate(one.kernels[0].programs):
            grouped: dict[str, list[str]] = {}
            rules, answers, advice = [], set(), []
            for title, on in zip(names(one), one.kernels, strict=True):
                program = on.programs[number]
                if program.answer == YES:
                    continue
                says = program.findings[0].says if program.findings else ""
                grouped.setdefault(f"{cell(program)} at {program.stage}, {says}", []).append(title)
                rules += [finding.rule for finding in program.findings[:1]]
                answers.add(program.answer)
                advice += [text for text in advised(program) if text not in advice]
            if not answers:
                continue
            worst = NO if NO in answers else UNKNOWN
            level = "note" if not first.autoload else "error" if worst == NO else "warning"
            text = "; ".join(f"{', '.join(where)}: {says}" for says, where in grouped.items())
            text = f"{first.name} ({first.section}) on {text}" + "".join(f". Try: {one}" for one in advice[:3])
            yield _Problem(one.path, first.name, rules[0] if rules else "object", worst, level, printable(text))


def sarif(report: LintReport, version: str) -> str:
    """One SARIF document with one run."""
    problems = [*_problems(report)]
    order = sorted({problem.rule for problem in problems})
    results = []
    for problem in problems:
        where = {"artifactLocation": {"uri": uri(problem.path)}, "region": {"startLine": 1}}
        results.append(
            {
                "ruleId": problem.rule,
                "ruleIndex": order.index(problem.rule),
                "level": problem.level,
                "message": {"text": problem.text},
                "partialFingerprints": {"program/v1": f"{problem.path}:{problem.program}"},
                "locations": [{"physicalLocation": where}],
            }
        )
    rules = [{"id": rule, "shortDescription": {"text": rule}} for rule in order]
    driver = {"name": "probe-scout", "version": version, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "utf16CodeUnits", "results": results}
    return json.dump({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def github(report: LintReport) -> Iterator[str]:
    """::error for a program that is refused, ::warning for one that cannot be told, ::notice for `?` sections."""
    for problem in _problems(report):
        level = {"note": "notice"}.get(problem.level, problem.level)
        title = property(f"probe-scout: {problem.program}")
        yield f"::{level} file={property(problem.path)},title={title}::{data(problem.text)}"


def junit(report: LintReport) -> str:
    """JUnit XML: a suite for each object and kernel, a test for each program."""
    suites: list[str] = []
    sums = [0, 0, 0, 0]
    for one in report.objects:
        for number, title in enumerate(names(one)):
            suite, found = _suite(one, number, title)
            suites.append(suite)
            sums = [a + b for a, b in zip(sums, found, strict=True)]
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="probe-scout"{sums_of(sums)}>\n'
    return head + "\n".join(suites) + "\n</testsuites>"


def _suite(one: LintedObject, number: int, title: str) -> tuple[str, list[int]]:
    cases, found = [], [0, 0, 0, 0]
    for program in one.kernels[number].programs:
        found[0] += 1
        head = f"<testcase classname={quoted(title)} name={quoted(program.name)} file={quoted(one.path)}"
        if program.answer == YES:
            cases.append(head + "/>")
            continue
        kind = 3 if not program.autoload else 1 if program.answer == NO else 2
        found[kind] += 1
        element = ("", "failure", "error", "skipped")[kind]
        why = program.findings[0].says if program.findings else program.stage
        cases.append(f"{head}><{element} message={quoted(f'{cell(program)}: {why}')}/></testcase>")
    name = quoted(f"{one.path} on {title}")
    return f"<testsuite name={name}{sums_of(found)}>\n" + "\n".join(cases) + "\n</testsuite>", found
