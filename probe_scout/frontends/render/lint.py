"""`lint` for people and for tables: each object, then each kernel, then the programs that are refused or not told."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.lint import LintedObject, LintReport, ObjectAnswer, OnKernel, ProgramAnswer
from ...model.requires import RequiresReport
from ...model.verdict import YES
from . import plain
from .style import Style, printable

HEADS = ("object", "kernel", "program", "section", "answer", "stage", "errno", "why")
_ANSWER = 9
_PLACES_MAX = 4


def lint_lines(report: LintReport, style: Style) -> Iterator[str]:
    """The lines of a report, without line ends."""
    for number, one in enumerate(report.objects):
        if number:
            yield ""
        yield style.paint(printable(one.path), "name") + f"  {len(one.kernels[0].programs)} programs"
        if len(one.kernels) > 1:
            yield from _matrix(one, style)
            continue
        for on in one.kernels:
            yield from _kernel(on, style)
    for path, why in report.skipped:
        yield from plain.labelled("left out", f"{path}: {why}", style)


def _kernel(on: OnKernel, style: Style) -> Iterator[str]:
    yield plain.kernel_line(on.kernel, style, "  ")
    yield from ("  " + line for line in plain.assumed_lines(on.kernel, style))
    whole = on.object
    says = "loads as a whole, as far as can be known" if whole.answer == "yes" else "does not load as a whole"
    if whole.answer == "unknown":
        says = "may fail to load as a whole: unknown"
    why = f": {whole.findings[0].says}" if whole.findings else ""
    yield from _row(whole.answer, "object", f"{says}{_errno(whole.errno)}{why}", style)
    for finding in whole.findings:
        if finding.rule == "object_advice.optional":
            yield from _row("", "try", finding.says, style)
    passed = [program for program in on.programs if program.answer == "yes"]
    for program in on.programs:
        if program.answer != "yes":
            why = program.findings[0].says if program.findings else ""
            head = f"{program.name} ({program.section}) at {program.stage}{_errno(program.errno)}: {why}"
            yield from _row(program.answer, "", head, style)
            for text in advised(program):
                yield from _row("", "try", text, style)
    if passed:
        names = " ".join(program.name for program in passed)
        yield from _row("yes", "", f"{names}", style)
        notes = {f.says for program in passed for f in program.findings}
        for note in sorted(notes):
            yield from _row("", "", note, style)
        yield from _row("", "", "nothing is found against these; the verifier's check of their logic remains", style)


def advised(program: ProgramAnswer) -> list[str]:
    """What to change, one sentence each: guards and new places, then other attach points."""
    found = [finding.says for finding in program.findings if finding.rule.startswith("object_advice.")]
    return found + [f"{one.attach} on {one.target}: {one.says}" for one in program.alternatives]


def names(one: LintedObject) -> tuple[str, ...]:
    """The release of each kernel, with the build-id where a release repeats."""
    releases = [on.kernel.release for on in one.kernels]
    return tuple(
        f"{release} {on.kernel.build_id[:10]}" if releases.count(release) > 1 else release
        for release, on in zip(releases, one.kernels, strict=True)
    )


def cell(answer: ProgramAnswer | ObjectAnswer) -> str:
    """One answer in a word or two: `yes`, `no EINVAL`, `unknown`."""
    return f"{answer.answer} {answer.errno}" if answer.errno else answer.answer


def wide_rows(report: LintReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The matrix, for md and grid: a row for each object and program, a column for each kernel."""
    rows: list[tuple[str, ...]] = []
    for one in report.objects:
        rows.append((one.path, "", "", *(cell(on.object) for on in one.kernels)))
        for number, program in enumerate(one.kernels[0].programs):
            cells = (cell(on.programs[number]) for on in one.kernels)
            rows.append((one.path, program.name, program.section, *cells))
    columns = names(report.objects[0]) if report.objects else ()
    return ("object", "program", "section", *columns), rows


def _matrix(one: LintedObject, style: Style) -> Iterator[str]:
    """Programs by kernels, then the reasons, each once."""
    titles = names(one)
    rows: list[tuple[str, list[ProgramAnswer | ObjectAnswer]]] = [
        ("the object as a whole", [*(on.object for on in one.kernels)])
    ]
    for number, program in enumerate(one.kernels[0].programs):
        rows.append((f"{program.name} ({program.section})", [on.programs[number] for on in one.kernels]))
    first = max(len(printable(head)) for head, _ in rows)
    widths = [max(len(title), *(len(cell(cells[n])) for _, cells in rows)) for n, title in enumerate(titles)]
    yield (
        "  "
        + " " * first
        + "".join("  " + title.ljust(width) for title, width in zip(titles, widths, strict=True)).rstrip()
    )
    for head, cells in rows:
        parts = (style.paint(cell(c).ljust(width), c.answer) for c, width in zip(cells, widths, strict=True))
        yield "  " + printable(head).ljust(first) + "".join("  " + part for part in parts).rstrip()
    yield from _reasons(one, titles, style)
    for on in one.kernels:
        yield from ("  " + line for line in plain.assumed_lines(on.kernel, style))


def _reasons(one: LintedObject, titles: tuple[str, ...], style: Style) -> Iterator[str]:
    """Each reason once, with the programs and kernels it is for, and below it what to change."""
    grouped: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    advice: dict[tuple[str, str, str], dict[str, None]] = {}
    for title, on in zip(titles, one.kernels, strict=True):
        for program in on.programs:
            if program.answer != YES and program.findings:
                key = program.answer, f"{program.errno or ''} at {program.stage}".strip(), program.findings[0].says
                grouped.setdefault(key, {}).setdefault(program.name, []).append(title)
                advice.setdefault(key, {}).update(dict.fromkeys(advised(program)))
    for key, where in grouped.items():
        places = [f"{name} on {', '.join(on)}" for name, on in where.items()]
        more = f" and {len(places) - _PLACES_MAX} more" if len(places) > _PLACES_MAX else ""
        yield from _row(key[0], "", f"{key[1]}: {key[2]} ({'; '.join(places[:_PLACES_MAX])}{more})", style)
        for text in advice[key]:
            yield from _row("", "try", text, style)
    for text in {f.says: None for on in one.kernels for f in on.object.findings if f.rule == "object_advice.optional"}:
        yield from _row("", "try", text, style)


def _errno(errno: str | None) -> str:
    return f" ({errno})" if errno else ""


def _row(answer: str, label: str, text: str, style: Style) -> Iterator[str]:
    head = f"{label}: " if label else ""
    lines = style.wrap(printable(head + text), 4 + _ANSWER)
    yield f"    {style.paint(answer.ljust(_ANSWER), answer)}{lines[0].lstrip()}"
    yield from lines[1:]


def lint_rows(report: LintReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and one row for each program on each kernel."""
    return HEADS, [
        (one.path, on.kernel.release, *_cells(program))
        for one in report.objects
        for on in one.kernels
        for program in on.programs
    ]


def _cells(program: ProgramAnswer) -> tuple[str, ...]:
    why = program.findings[0].says if program.findings else ""
    return program.name, program.section, program.answer, program.stage, program.errno or "", why


REQUIRES_HEADS = ("object", "program", "section", "kind", "name", "demand", "always")


def requires_rows(report: RequiresReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and one row for each demand; an object's own have no program."""
    rows: list[tuple[str, ...]] = []
    for one in report.objects:
        for name, section, needs in (
            ("", "", one.requires),
            *((program.name, program.section, program.requires) for program in one.programs),
        ):
            rows += [
                (one.path, name, section, need.kind, need.name, need.demand, "yes" if need.always else "no")
                for need in needs
            ]
    return REQUIRES_HEADS, rows
