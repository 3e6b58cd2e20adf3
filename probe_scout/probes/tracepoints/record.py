"""What `tracepoint` reports about one event, from the bytes of its files.

Opens nothing: the caller hands over the contents of events/<category>/<name>/{format,id,btf_ids}.
"""

from __future__ import annotations

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
    UNTOLD,
    EventField,
    EventRead,
    EventReport,
    Gap,
    TraceFormat,
)
from ...model.verdict import NO, UNKNOWN, YES, Finding
from ...rules.tracepoint_access import (
    COMMON_NOT_FILLED,
    COPY_LAYOUT,
    COPY_UNTOLD,
    LOAD,
    NOWHERE,
    SYSCALL_NUMBER_BYTES,
    argument_of,
    as_programs_see,
    field_access,
    from_pointer,
    instead,
    is_syscall_copy,
    load_bytes,
    pointee,
    reads,
    record_end_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...model.trace import RawArgument, ReadAnswer, RecordType, SyscallCopy, TraceField
    from ...model.verdict import Verdict

EVENTS = "sys/kernel/tracing/events"


_KNOWN_MAX = 16384  # a kernel has 3,500 different fields
_KNOWN: dict[tuple[bool, int], dict[TraceField, EventField]] = {}


def event_fields(fmt: TraceFormat, pointer_bytes: int = 8) -> tuple[EventField, ...]:
    """Every field in the file's order with what a `tp` program gets from it. `fmt` is as programs see the event."""
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
    if fmt.notes or fmt.is_untold or fmt.end_bytes is not None or not fmt.fields or not fmt.fields[-1].size_bytes:
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
    rule = verdict.findings[0].rule if verdict is not None and verdict.findings else None
    if answer is not None and answer.stage == "load" and rule not in _BEFORE_THE_VERIFIER:
        return _refused(offset_bytes, size_bytes, answer, where)
    if verdict is not None and verdict.answer == NO:
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
        says = "the load is taken; whether the event takes a program is unknown"
        return EventRead(offset_bytes, size_bytes, UNKNOWN, None, None, None, says, where)
    return EventRead(offset_bytes, size_bytes, YES, None, None, None, _worth(offset_bytes, size_bytes, fmt), where)


_NO_FORMAT = TraceFormat("", 0, (), "")
_BEFORE_THE_VERIFIER = ("bpf_syscall.absent", "bpf_events.absent")
_AT_OPEN = ("trace_event.perf_perm", "trace_event.locked_down")


def _stage(rule: str | None, fmt: TraceFormat | None) -> str:
    """Where an event that takes no program refuses: perf_event_open (a sampling one), or the ioctl that sets it.

    Of the ring buffer's own records only ftrace:print can be opened (kernel/trace/trace_entries.h, FTRACE_ENTRY_REG).
    """
    if rule in _BEFORE_THE_VERIFIER:
        return "load"
    is_closed = rule == "trace_event.ring_buffer_format" and (fmt is None or fmt.name != "print")
    return "open" if is_closed or rule in _AT_OPEN else "attach"


_SAYS = {rule.id: rule.says.rstrip(".") for rule in LOAD.rules}


def _refused(offset: int, size: int, answer: ReadAnswer, where: str | None, says: str = "") -> EventRead:
    return EventRead(offset, size, NO, answer.stage, answer.errno, answer.rule, says or _SAYS[answer.rule or ""], where)


def _field_at(offset_bytes: int, fmt: TraceFormat | None) -> str | None:
    fields = fmt.fields if fmt is not None else ()
    if fmt is not None and is_syscall_copy(fmt):  # the number first: the common fields are not in the copy
        fields = tuple(sorted(fields, key=lambda field: field.is_common))
    for field in fields:
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
        if access.access in (ABSENT, UNTOLD) or access.rule == COMMON_NOT_FILLED:
            others = [f for f in inside if not f.is_common]
            if copy and field.is_common and others:
                continue  # the copy has the call's number where the record has common fields
            return f"accepted, but {field.name}: {access.says}"
        if copy and field.name == "__syscall_nr":
            filled = field.offset_bytes + (fmt.copy.number_size if fmt.copy is not None else SYSCALL_NUMBER_BYTES)
            if end <= filled and offset_bytes >= field.offset_bytes and size_bytes > field.size_bytes:
                return "the call's number, which this kernel's private record holds as 8 bytes"
            if end > filled:
                few = "some kernels fill only" if fmt.copy is None else "this kernel fills only"
                return f"accepted, but {few} the first {SYSCALL_NUMBER_BYTES} bytes of __syscall_nr"
    inside = [field for field in inside if not (copy and field.is_common)] or inside
    if not inside:
        if fmt.copy is not None and fmt.copy.number_offset < end <= fmt.copy.number_offset + fmt.copy.number_size:
            return "accepted: the upper half of the call's number, which the private record holds as 8 bytes"
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
    copy: SyscallCopy | None = None,
) -> EventReport:
    """The event's report. None for a file that was not there; `verdicts`, `raw_args`, `record` pass through.

    `copy` is the layout that programs on one system call's event get, by BTF; None if BTF does not tell. `loads` are
    (offset, size) of loads to judge. The id is the `id` file's, else the format's own. Raises Malformed with the path
    of the file that cannot be read.
    """
    folder = f"{EVENTS}/{category}/{name}"
    plain = trace_format.parse(format_raw, f"{folder}/format", category)
    fmt = as_programs_see(plain, copy)
    number = fmt.id if id_raw is None else event_ids.event_id(id_raw, f"{folder}/id")
    ids = None if btf_ids_raw is None else event_ids.btf_ids(btf_ids_raw, f"{folder}/btf_ids")
    tp = next((verdict for verdict in verdicts if verdict.attach == "tp"), None) if loads else None
    return EventReport(
        f"{category}:{name}",
        number or None,  # a module of a kernel that was not booted: its events get their ids when it is loaded
        _with_places(event_fields(fmt, pointer_bytes), fmt, plain)
        if fmt.end_bytes is not None
        else event_fields(fmt, pointer_bytes),
        verdicts,
        raw_args,
        _notes(fmt, plain, folder, name, number, record, bool(raw_args)),
        ids,
        fmt.print_fmt,
        kind=kind,
        record=record,
        gaps=gaps(fmt),
        common_bytes=common_bytes(fmt),
        end_bytes=record_end_bytes(fmt),
        reads=tuple(event_read(offset, size, fmt, tp, pointer_bytes) for offset, size in loads),
    )


def _with_places(fields: tuple[EventField, ...], fmt: TraceFormat, plain: TraceFormat) -> tuple[EventField, ...]:
    """The fields; those that the format file has elsewhere with its offset."""
    if fmt.end_bytes is None:
        return fields
    return tuple(
        field._replace(record_offset=by_file.offset_bytes) if field.offset != by_file.offset_bytes else field
        for field, by_file in zip(fields, plain.fields, strict=True)
    )


def _layout_notes(fmt: TraceFormat, plain: TraceFormat, where: str) -> list[Finding]:
    """What is odd about the copy that programs on one system call's event get."""
    if fmt.is_untold:
        says = (
            "where programs find the number and the values is not known: the BTF that was read has no struct "
            "syscall_tp_t; the BTF of the running kernel (/sys/kernel/btf/vmlinux), whole, has it"
        )
        return [Finding(COPY_UNTOLD, says, where)]
    moved = [
        f"{field.name} at {field.offset_bytes}, by the file at {by_file.offset_bytes}"
        for field, by_file in zip(fmt.fields, plain.fields, strict=True)
        if field.offset_bytes != by_file.offset_bytes
    ]
    if not moved:
        return []
    says = f"programs get a private record that is laid out otherwise than the format file says: {'; '.join(moved)}"
    return [Finding(COPY_LAYOUT, says, "sys/kernel/btf/vmlinux: struct syscall_tp_t")]


def _notes(
    fmt: TraceFormat, plain: TraceFormat, folder: str, name: str, number: int, record: RecordType | None, typed: bool
) -> tuple[Finding, ...]:
    """What is odd about the files, and the mistakes this event invites."""
    notes = [Finding("trace_format.odd_fields", says, f"{folder}/format") for says in fmt.notes]
    notes += _layout_notes(fmt, plain, f"{folder}/format")
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
