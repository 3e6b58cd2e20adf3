"""The report of `tracepoint` for people: a list of events, or one event with its fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from ..model.report import KernelInfo
from ..model.trace import EventReport
from . import table
from .plain import grouped, kernel_line
from .style import Style


class TracepointReport(Protocol):
    """What is drawn: the kernel and its events."""

    @property
    def kernel(self) -> KernelInfo: ...
    @property
    def events(self) -> tuple[EventReport, ...]: ...


Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


def event_rows(events: Sequence[EventReport]) -> Rows:
    """Heads and rows: one row for each event."""
    rows: list[tuple[str, ...]] = [
        (e.event, "" if e.id is None else str(e.id), str(len(e.fields)), " ".join(f.name for f in e.fields))
        for e in events
    ]
    return ("event", "id", "fields", "names"), rows


def field_rows(event: EventReport) -> Rows:
    """Heads and rows: one row for each field of an event."""
    rows: list[tuple[str, ...]] = [
        (
            str(f.offset),
            str(f.size),
            {True: "signed", False: "unsigned", None: ""}[f.signed],
            f.access,
            f.type,
            f.name,
            f.rule or "",
            f.says,
        )
        for f in event.fields
    ]
    return ("offset", "size", "sign", "access", "type", "name", "rule", "says"), rows


def tracepoint_lines(report: TracepointReport, style: Style) -> Iterator[str]:
    """One event with everything known about it; several as a list."""
    yield kernel_line(report.kernel, style)
    yield ""
    if len(report.events) == 1:
        yield from _event(report.events[0], style)
        return
    for event in report.events:
        yield event.event


def _event(event: EventReport, style: Style) -> Iterator[str]:
    yield style.paint(event.event, "name") + ("" if event.id is None else f"  id {event.id}")
    heads, rows = field_rows(event)
    brief = [(*row[:2], row[3], f"{row[4]} {row[5]}", f"{row[7]}   {row[6]}" if row[6] else "") for row in rows]
    yield from ("  " + line for line in table.plain((*heads[:2], "access", "field", ""), brief, _narrower(style, 2)))
    if event.raw_args:
        yield "  raw arguments"
        for place, argument in enumerate(event.raw_args):
            gap = "" if argument.type.endswith("*") else " "
            yield f"    {place}  {argument.type}{gap}{argument.name}".rstrip()
    for group in grouped(event.verdicts):
        verdict = group[0]
        names = " ".join(v.attach for v in group)
        reason = "; ".join(f"{f.says}   {f.rule}" for f in verdict.findings)
        unread = "; ".join(f"could not read {u.fact}: {u.why}" for u in verdict.unread if verdict.answer == "unknown")
        text = "   ".join(part for part in (names, verdict.errno and f"({verdict.errno})", reason, unread) if part)
        first, *rest = style.wrap(text, 11)
        yield f"  {style.paint(verdict.answer.ljust(9), verdict.answer)}{first.lstrip()}"
        yield from rest
    for note in event.notes:
        yield from style.wrap(f"note: {note.says}   {note.rule}", 4, 2)


def _narrower(style: Style, columns: int) -> Style:
    return style._replace(width=style.width - columns)
