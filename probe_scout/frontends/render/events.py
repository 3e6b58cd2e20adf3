"""The report of `tracepoint` for people: a list of events, or one event with its fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.report import KernelInfo
from ...model.trace import THE_VALUE, EventField, EventRead, EventReport
from ...model.verdict import Finding
from . import table
from .plain import grouped, kernel_line
from .style import Style, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object


class TracepointReport(Protocol):
    """What is drawn: the kernel and its events."""

    @property
    def kernel(self) -> KernelInfo: ...
    @property
    def events(self) -> tuple[EventReport, ...]: ...
    @property
    def notes(self) -> tuple[Finding, ...]: ...


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
            {True: "true", False: "false", None: ""}[f.signed],
            f.access,
            f.type,
            f.name,
            f.rule or "",
            f.says,
            f.kind,
            f.read_with or "",
            f.instead or "",
        )
        for f in event.fields
    ]
    return ("offset", "size", "signed", "access", "type", "name", "rule", "says", "kind", "read_with", "instead"), rows


def tracepoint_lines(report: TracepointReport, style: Style, with_fields: bool = False) -> Iterator[str]:
    """One event with everything known about it; several as a list, on demand with the fields of each."""
    yield kernel_line(report.kernel, style)
    yield ""
    if len(report.events) == 1:
        yield from _event(report.events[0], style)
    else:
        yield from _list(report.events, style, with_fields)
    for note in report.notes:
        yield from style.wrap(f"note: {note.says}   {note.rule}", 4, 2)


_KINDS = {
    "event": "",
    "syscall": "programs get a private record of arguments; no raw tracepoint of its own but sys_enter and sys_exit",
    "ftrace": "a record of the ring buffer itself: takes no program",
    "perf": "a record of the ring buffer itself, which perf can open: takes no program",
    "bare": "a raw tracepoint without an event: raw_tp and tp_btf only",
    "dynamic": "made at run time",
}


def _list(events: Sequence[EventReport], style: Style, with_fields: bool) -> Iterator[str]:
    """A line for each event, its kind behind it where that is another than `event`; then what the kinds mean."""
    known: dict[EventField, str] = {}
    width = max((len(event.event) for event in events if event.kind != "event"), default=0)
    for event in events:
        yield event.event if event.kind == "event" else f"{event.event.ljust(width)}   {event.kind}"
        for read in event.reads:
            yield from _read(read, style, 2)
        if with_fields:
            yield from [known.get(field) or known.setdefault(field, _brief(field)) for field in event.fields]
    told = {kind: sum(event.kind == kind for event in events) for kind in _KINDS}
    if any(count for kind, count in told.items() if kind != "event"):
        yield ""
    for kind, count in told.items():
        if count and kind != "event":
            yield from style.wrap(f"{kind} ({count}): {_KINDS[kind]}", 4, 2)


def _brief(field: EventField) -> str:
    size = f"{field.offset:>6} {field.size:>4}"
    return f"{size}  {field.access:<10}  {printable(f'{field.type} {field.name}')}"


def _read(read: EventRead, style: Style, indent: int) -> Iterator[str]:
    """One load and the kernel's answer to it."""
    where = "" if read.stage is None else f" at {read.stage}"
    errno = "" if read.errno is None else f" ({read.errno})"
    rule = "" if read.rule is None else f"   {read.rule}"
    field = "" if read.field is None else f" {read.field}"
    text = f"load {read.offset}:{read.size}{field}{errno}{where}: {read.says}{rule}"
    first, *rest = style.wrap(text, indent + 9)
    yield " " * indent + style.paint(read.answer.ljust(9), read.answer) + first.lstrip()
    yield from rest


def _event(event: EventReport, style: Style) -> Iterator[str]:
    yield style.paint(event.event, "name") + ("" if event.id is None else f"  id {event.id}")
    for read in event.reads:
        yield from _read(read, style, 2)
    for group in grouped(event.verdicts):
        verdict = group[0]
        names = " ".join(v.attach for v in group)
        reason = "; ".join(f"{f.says}   {f.rule}" for f in verdict.findings)
        unread = "; ".join(f"could not read {u.fact}: {u.why}" for u in verdict.unread if verdict.answer == "unknown")
        text = "   ".join(part for part in (names, verdict.errno and f"({verdict.errno})", reason, unread) if part)
        first, *rest = style.wrap(text, 11)
        yield f"  {style.paint(verdict.answer.ljust(9), verdict.answer)}{first.lstrip()}"
        yield from rest
    if _KINDS[event.kind]:
        yield f"  {event.kind}: {_KINDS[event.kind]}"
    if event.fields:
        yield ""
        yield from _fields(event, style)
    if event.record is not None:
        others = f"; the same members: {' '.join(event.record.others)}" if event.record.others else ""
        yield from style.wrap(f"record: struct {event.record.name} ({_BASES[event.record.basis]}{others})", 6, 2)
        for text in event.record.differs:
            yield from style.wrap(f"  {text}", 8, 2)
    if event.raw_args:
        yield ""
        yield "  raw arguments, ctx[n] of raw_tp and tp_btf"
        for argument in event.raw_args:
            gap = "" if argument.type.endswith("*") else " "
            remarks = [_NULLABLE[argument.nullable], "" if argument.access == "value" else f"tp_btf: {argument.says}"]
            remark = "; ".join(part for part in remarks if part)
            line = f"    {argument.slot}  {argument.type}{gap}{argument.name}".rstrip()
            yield from style.wrap(f"{line.lstrip()}   {remark}".rstrip() if remark else line.lstrip(), 7, 4)
    if event.notes:
        yield ""
    for note in event.notes:
        yield from style.wrap(f"note: {note.says}   {note.rule}", 4, 2)


def _fields(event: EventReport, style: Style) -> Iterator[str]:
    """The table of fields; below it what holds for several of them, once."""
    shared: dict[tuple[str, str, str], list[str]] = {}
    for field in event.fields:
        if field.says != THE_VALUE and field.kind != "pointer":
            shared.setdefault((field.access, field.says, field.rule or ""), []).append(field.name)
    rows = []
    for field in event.fields:
        key = (field.access, field.says, field.rule or "")
        how = field.instead
        if how is None and field.says != THE_VALUE:
            if len(shared.get(key, ())) > 1:
                how = field.read_with
            else:
                how = f"{field.says}   {field.rule}" if field.rule else field.says
                shared.pop(key, None)
        place = (str(field.offset), str(field.size), field.access, _kind(field))
        rows.append((*place, f"{field.type} {field.name}", how or ""))
    heads = ("offset", "size", "access", "kind", "field", "how to get it")
    places = list(table.plain(heads[:-1], [row[:-1] for row in rows], Style(style.color)))
    if max(map(len, places)) + _BESIDE > style.width:  # no room beside the fields: below each of them
        yield "  " + places[0]
        for line, row in zip(places[1:], rows, strict=True):
            yield "  " + line
            if row[-1]:
                yield from style.wrap(row[-1], 11, 9)
    else:
        yield from ("  " + line for line in table.plain(heads, rows, _narrower(style, 2)))
    for (access, says, rule), names in shared.items():
        yield from style.wrap(f"{access} {' '.join(names)}: {says}" + (f"   {rule}" if rule else ""), 6, 2)


_BESIDE = 32  # columns for how to get a field, with the gap before


def _kind(field: EventField) -> str:
    """What the field is, in a word or two; of integers, and of what arrays are made of, whether they have a sign."""
    sign = {True: "signed", False: "unsigned", None: ""}[field.signed]
    if field.kind == "value":
        return sign or "integer"
    if field.kind == "array":
        count = "" if field.elements is None else f" of {field.elements}"
        return f"array{count}"
    return field.kind


_NULLABLE = {"yes": "may be NULL: tp_btf must check", "no": "", "unknown": "not known whether it may be NULL: check it"}
_BASES = {
    "btf_ids": "by btf_ids",
    "name": "by its name",
    "layout": "by its members",
    "syscall": "of every system call",
}


def _narrower(style: Style, columns: int) -> Style:
    return style._replace(width=style.width - columns)
