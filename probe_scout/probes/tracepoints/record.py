"""What `tracepoint` reports about one event, from the bytes of its files.

Opens nothing: the caller hands over the contents of events/<category>/<name>/{format,id,btf_ids}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...formats.text import event_ids, trace_format
from ...model.trace import (
    ABSENT,
    ARRAY,
    DATA_LOC,
    EVENT,
    INDIRECT,
    READABLE,
    REL_LOC,
    STRING,
    EventField,
    EventRead,
    EventReport,
    Gap,
    TraceFormat,
)
from ...model.verdict import NO, UNKNOWN, YES, Finding
from ...rules.tracepoint_access import (
    COMMON_NOT_FILLED,
    NOWHERE,
    RULES,
    SYSCALL_NUMBER_BYTES,
    argument_of,
    field_access,
    from_pointer,
    instead,
    is_syscall_copy,
    load_bytes,
    pointee,
    reads,
    record_end_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...model.trace import RawArgument, ReadAnswer, RecordType, TraceField
    from ...model.verdict import Verdict

EVENTS = "sys/kernel/tracing/events"


_KNOWN_MAX = 16384  # a kernel has 3,500 different fields
_KNOWN: dict[tuple[bool, int], dict[TraceField, EventField]] = {}


def event_fields(fmt: TraceFormat, pointer_bytes: int = 8) -> tuple[EventField, ...]:
    """Every field in the file's order with what a `tp` program gets from it."""
    copy = is_syscall_copy(fmt)
    found = _each(fmt, copy, pointer_bytes)
    return _from_pointers(found) if copy and found and found[-1].access == ABSENT else found


def _from_pointers(fields: tuple[EventField, ...]) -> tuple[EventField, ...]:
    """Copied data that programs do not receive, with the helper that fits the argument it was copied from."""
    helpers = {field.name: field.read_with for field in fields if field.read_with and field.access != ABSENT}

    def told(field: EventField) -> EventField:
        helper = helpers.get(argument_of(field.name)) if field.access == ABSENT else None
        return field._replace(instead=from_pointer(helper, field.name)) if helper else field

    return tuple([told(field) for field in fields])


def _each(fmt: TraceFormat, copy: bool, pointer_bytes: int) -> tuple[EventField, ...]:
    if fmt.notes or not fmt.fields or not fmt.fields[-1].size_bytes:
        return tuple([_described(field, fmt, copy, pointer_bytes) for field in fmt.fields])
    # No field lies beyond the last one, so what is said of a field hangs on nothing but itself.
    known = _KNOWN.setdefault((copy, pointer_bytes), {})
    try:
        return tuple([known[field] for field in fmt.fields])
    except KeyError:
        if len(known) > _KNOWN_MAX:
            known.clear()
        for field in fmt.fields:
            if field not in known:
                known[field] = _described(field, fmt, copy, pointer_bytes)
        return tuple([known[field] for field in fmt.fields])


def _described(field: TraceField, fmt: TraceFormat, copy: bool, pointer_bytes: int) -> EventField:
    access = field_access(field, fmt, pointer_bytes)
    element = size = None
    if field.kind in (ARRAY, STRING, DATA_LOC, REL_LOC):
        element = trace_format.element_type(field.type_text)
        size = trace_format.element_bytes(element)
        if size is None and field.elements:
            size = field.size_bytes // field.elements
    leads = pointee(field, copy) if access.access in (READABLE, INDIRECT) else NOWHERE
    return EventField(
        field.name,
        field.type_text,
        field.offset_bytes,
        field.size_bytes,
        field.signed,
        access.access,
        access.rule,
        access.says,
        kind=field.kind,
        element_type=element,
        elements=field.elements,
        element_size=size,
        load=load_bytes(field, fmt, access.access),
        memory=leads.memory,
        memory_certainty=leads.certainty,
        read_with=leads.helper,
        instead=instead(field, access),
        common=field.is_common,
    )


def gaps(fmt: TraceFormat) -> tuple[Gap, ...]:
    """Bytes between fields that no field names, in the order of the record."""
    found = []
    end = 0
    for field in sorted(fmt.fields, key=_offset) if fmt.notes else fmt.fields:
        if field.offset_bytes > end:
            found.append(Gap(end, field.offset_bytes - end, field.name))
        end = max(end, field.offset_bytes + field.size_bytes)
    return tuple(found)


def _offset(field: TraceField) -> int:
    return field.offset_bytes


def common_bytes(fmt: TraceFormat) -> int | None:
    """Where the last common field ends; None if there is none."""
    end = None
    for field in fmt.fields:
        if not field.is_common:
            break  # they stand first
        end = max(end or 0, field.offset_bytes + field.size_bytes)
    return end


def event_read(
    offset_bytes: int, size_bytes: int, fmt: TraceFormat | None, verdict: Verdict | None = None, pointer_bytes: int = 8
) -> EventRead:
    """What the kernel says to one load of a `tp` program from ctx, as a line of the report.

    `verdict` is the event's own for `tp`: one that takes no program refuses at attach what passed the load.
    """
    answer = reads(offset_bytes, size_bytes, fmt or _NO_FORMAT, pointer_bytes)
    where = _field_at(offset_bytes, fmt)
    if answer is not None and answer.stage == "load":
        return _refused(offset_bytes, size_bytes, answer, where)
    if verdict is not None and verdict.answer == NO:
        rule = verdict.findings[0].rule if verdict.findings else None
        says = verdict.findings[0].says if verdict.findings else "the event takes no tp program"
        return EventRead(offset_bytes, size_bytes, NO, _stage(rule, fmt), verdict.errno, rule, says, where)
    if fmt is None or answer is None:
        says = "the format file could not be read" if fmt is None else "the event has no field of its own"
        return EventRead(offset_bytes, size_bytes, UNKNOWN, None, None, None, says, where)
    if not answer.accepted:
        end = record_end_bytes(fmt)
        says = f"the load ends at byte {offset_bytes + size_bytes} and the last defined field at {end}"
        return _refused(offset_bytes, size_bytes, answer, where, says)
    if verdict is not None and verdict.answer == UNKNOWN:
        says = "the load is taken; whether the event takes a program could not be told"
        return EventRead(offset_bytes, size_bytes, UNKNOWN, None, None, None, says, where)
    return EventRead(offset_bytes, size_bytes, YES, None, None, None, _worth(offset_bytes, size_bytes, fmt), where)


_NO_FORMAT = TraceFormat("", 0, (), "")
_AT_OPEN = ("trace_event.perf_perm", "trace_event.locked_down")


def _stage(rule: str | None, fmt: TraceFormat | None) -> str:
    """Where an event that takes no program refuses: perf_event_open (a sampling one), or the ioctl that sets it.

    Of the ring buffer's own records only ftrace:print can be opened (kernel/trace/trace_entries.h, FTRACE_ENTRY_REG).
    """
    is_closed = rule == "trace_event.ring_buffer_format" and (fmt is None or fmt.name != "print")
    return "open" if is_closed or rule in _AT_OPEN else "attach"


_SAYS = {rule.id: rule.says for rule in RULES}


def _refused(offset: int, size: int, answer: ReadAnswer, where: str | None, says: str = "") -> EventRead:
    return EventRead(offset, size, NO, answer.stage, answer.errno, answer.rule, says or _SAYS[answer.rule or ""], where)


def _field_at(offset_bytes: int, fmt: TraceFormat | None) -> str | None:
    for field in fmt.fields if fmt is not None else ():
        if field.offset_bytes <= offset_bytes < field.offset_bytes + field.size_bytes:
            return field.name
    return None


def _worth(offset_bytes: int, size_bytes: int, fmt: TraceFormat) -> str:
    """What an accepted load holds: the kernel checks offsets and knows no fields."""
    copy = is_syscall_copy(fmt)
    end = offset_bytes + size_bytes
    inside = [f for f in fmt.fields if f.offset_bytes < end and offset_bytes < f.offset_bytes + f.size_bytes]
    for field in inside:
        access = field_access(field, fmt)
        if access.access == ABSENT or access.rule == COMMON_NOT_FILLED:
            return f"accepted, but {field.name}: {access.says}"
        if copy and field.name == "__syscall_nr" and end > field.offset_bytes + SYSCALL_NUMBER_BYTES:
            return "accepted, but some kernels fill only the first 4 bytes of __syscall_nr"
    if not inside:
        return "accepted, but no field lies there: padding"
    if len(inside) > 1:
        return "accepted; the load covers " + ", ".join(field.name for field in inside)
    field = inside[0]
    return "the whole field" if size_bytes == field.size_bytes else f"a part of the field ({field.size_bytes} bytes)"


def describe_event(
    category: str,
    name: str,
    format_raw: bytes,
    id_raw: bytes | None = None,
    btf_ids_raw: bytes | None = None,
    verdicts: tuple[Verdict, ...] = (),
    raw_args: tuple[RawArgument, ...] = (),
    pointer_bytes: int = 8,
    kind: str = EVENT,
    record: RecordType | None = None,
    loads: Sequence[tuple[int, int]] = (),
) -> EventReport:
    """The event's report. None for a file that was not there; `verdicts`, `raw_args`, `record` pass through.

    `loads` are (offset, size) of loads to judge. The id is the `id` file's, else the format's own. Raises
    Malformed with the path of the file that cannot be read.
    """
    folder = f"{EVENTS}/{category}/{name}"
    fmt = trace_format.parse(format_raw, f"{folder}/format", category)
    number = fmt.id if id_raw is None else event_ids.event_id(id_raw, f"{folder}/id")
    ids = None if btf_ids_raw is None else event_ids.btf_ids(btf_ids_raw, f"{folder}/btf_ids")
    tp = next((verdict for verdict in verdicts if verdict.attach == "tp"), None) if loads else None
    return EventReport(
        f"{category}:{name}",
        number,
        event_fields(fmt, pointer_bytes),
        verdicts,
        raw_args,
        _notes(fmt, folder, name, number, record, bool(raw_args)),
        ids,
        fmt.print_fmt,
        kind=kind,
        record=record,
        gaps=gaps(fmt),
        common_bytes=common_bytes(fmt),
        end_bytes=record_end_bytes(fmt),
        reads=tuple(event_read(offset, size, fmt, tp, pointer_bytes) for offset, size in loads),
    )


def _notes(
    fmt: TraceFormat, folder: str, name: str, number: int, record: RecordType | None, typed: bool
) -> tuple[Finding, ...]:
    """What is odd about the files, and the mistakes this event invites."""
    notes = [Finding("trace_format.odd_fields", says, f"{folder}/format") for says in fmt.notes]
    if number != fmt.id:
        says = f"the format file says ID {fmt.id} and the id file {number}: they were not read from the same boot"
        notes.append(Finding("trace_format.ids_differ", says, f"{folder}/id"))
    if fmt.name != name:
        says = f"the format file calls this event {fmt.name}"
        notes.append(Finding("trace_format.names_differ", says, f"{folder}/format"))
    area = common_bytes(fmt)
    if area is not None and area != _COMMON_BYTES:
        says = f"the common fields take {area} bytes here and not {_COMMON_BYTES}: offsets of other kernels are wrong"
        notes.append(Finding("trace_format.common_area", says, f"{folder}/format"))
    if record is not None and typed:
        says = (
            f"ctx of a tp_btf or raw_tp program is the array of arguments, never struct {record.name}: "
            "a program that takes this struct as its ctx loads arguments where it means fields"
        )
        notes.append(Finding("tp_btf.ctx_is_arguments", says, f"{folder}/format"))
    return tuple(notes)


_COMMON_BYTES = 8  # struct trace_entry, include/linux/trace_events.h: type, flags, preempt_count, pid
