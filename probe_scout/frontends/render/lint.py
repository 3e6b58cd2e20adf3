"""`lint` for people and for tables: each object, then each kernel, then the programs that are refused or not told."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.lint import LintReport, OnKernel, ProgramAnswer
from ...model.requires import RequiresReport
from . import plain
from .style import Style, printable

HEADS = ("object", "kernel", "program", "section", "answer", "stage", "errno", "why")
_ANSWER = 9


def lint_lines(report: LintReport, style: Style) -> Iterator[str]:
    """The lines of a report, without line ends."""
    for number, one in enumerate(report.objects):
        if number:
            yield ""
        yield style.paint(printable(one.path), "name") + f"  {len(one.kernels[0].programs)} programs"
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
        says = "cannot be told to load as a whole"
    why = f": {whole.findings[0].says}" if whole.findings else ""
    yield from _row(whole.answer, "object", f"{says}{_errno(whole.errno)}{why}", style)
    passed = [program for program in on.programs if program.answer == "yes"]
    for program in on.programs:
        if program.answer != "yes":
            why = program.findings[0].says if program.findings else ""
            head = f"{program.name} ({program.section}) at {program.stage}{_errno(program.errno)}: {why}"
            yield from _row(program.answer, "", head, style)
    if passed:
        names = " ".join(program.name for program in passed)
        yield from _row("yes", "", f"{names}", style)
        notes = {f.says for program in passed for f in program.findings}
        for note in sorted(notes):
            yield from _row("", "", note, style)
        yield from _row("", "", "nothing is found against these; the verifier's check of their logic remains", style)


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
