"""What `tracepoint` reports about one event, from the bytes of its files.

Opens nothing: the caller hands over the contents of events/<category>/<name>/{format,id,btf_ids}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .model.trace import EventField, EventReport
from .model.verdict import Finding
from .rules.tracepoint_access import field_access
from .scanners import event_ids, trace_format

if TYPE_CHECKING:
    from .model.trace import RawArgument, TraceFormat
    from .model.verdict import Verdict

EVENTS = "sys/kernel/tracing/events"


def event_fields(fmt: TraceFormat, pointer_bytes: int = 8) -> tuple[EventField, ...]:
    """Every field in the file's order with what a `tp` program gets from it."""
    found = []
    for field in fmt.fields:
        access = field_access(field, fmt, pointer_bytes)
        found.append(
            EventField(
                field.name,
                field.type_text,
                field.offset_bytes,
                field.size_bytes,
                field.signed,
                access.access,
                access.rule,
                access.says,
            )
        )
    return tuple(found)


def describe_event(
    category: str,
    name: str,
    format_raw: bytes,
    id_raw: bytes | None = None,
    btf_ids_raw: bytes | None = None,
    verdicts: tuple[Verdict, ...] = (),
    raw_args: tuple[RawArgument, ...] = (),
    pointer_bytes: int = 8,
) -> EventReport:
    """The event's report. None for a file that was not there; `verdicts` and `raw_args` pass through.

    The id is the `id` file's, else the format's own. Raises Malformed with the path of the file that
    cannot be read.
    """
    folder = f"{EVENTS}/{category}/{name}"
    fmt = trace_format.parse(format_raw, f"{folder}/format", category)
    number = fmt.id if id_raw is None else event_ids.event_id(id_raw, f"{folder}/id")
    ids = None if btf_ids_raw is None else event_ids.btf_ids(btf_ids_raw, f"{folder}/btf_ids")
    notes = [Finding("trace_format.odd_fields", says, f"{folder}/format") for says in fmt.notes]
    if number != fmt.id:
        says = f"the format file says ID {fmt.id} and the id file {number}: they were not read from the same boot"
        notes.append(Finding("trace_format.ids_differ", says, f"{folder}/id"))
    if fmt.name != name:
        says = f"the format file calls this event {fmt.name}"
        notes.append(Finding("trace_format.names_differ", says, f"{folder}/format"))
    return EventReport(
        f"{category}:{name}",
        number,
        event_fields(fmt, pointer_bytes),
        verdicts,
        raw_args,
        tuple(notes),
        ids,
        fmt.print_fmt,
    )
