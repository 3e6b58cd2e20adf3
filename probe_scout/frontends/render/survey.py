"""`survey` for people and for tables: a line for each surveyed kernel."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.survey import SurveyedKernel, SurveyReport
from . import plain
from .style import Style, printable

HEADS = ("release", "build_id", "modules", "shipped", "path")


def survey_lines(report: SurveyReport, style: Style) -> Iterator[str]:
    """The lines of a report, without line ends."""
    for one in report.kernels:
        build = f"build {one.build_id[:12]}" if one.build_id else "modules only"
        where = "comes with probe-scout" if one.shipped else printable(one.path)
        yield f"{style.paint(printable(one.release), 'name')}  {style.paint(f'{build}, {where}', 'dim')}"
        if one.added:
            yield from plain.labelled("read", " ".join(map(printable, one.added)), style)
        if one.modules:
            yield from plain.labelled("modules", " ".join(map(printable, one.modules)), style)
    if not report.kernels:
        yield "no kernel is surveyed; probe-scout survey FILE reads a vmlinux or a module with debug information"


def survey_rows(report: SurveyReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and one row for each kernel."""
    return HEADS, [_row(one) for one in report.kernels]


def _row(one: SurveyedKernel) -> tuple[str, ...]:
    return (one.release, one.build_id, " ".join(one.modules), "yes" if one.shipped else "no", one.path)
