"""Trace events: their record, its fields, and what a `tp` program may read of them.

`TraceFormat` mirrors events/<category>/<name>/format (kernel/trace/trace_events.c, f_show).
"""

from __future__ import annotations

from typing import NamedTuple

from .facts import Unread
from .report import KernelInfo
from .verdict import Finding, Verdict

# TraceField.kind
VALUE, POINTER, ENUM, BOOL, STRUCT = "value", "pointer", "enum", "bool", "struct"
ARRAY, STRING, DATA_LOC, REL_LOC = "array", "string", "data_loc", "rel_loc"

# FieldAccess.access, a promise of the JSON contract
UNREADABLE, READABLE, INDIRECT, ABSENT = "unreadable", "value", "indirect", "absent"


class TraceField(NamedTuple):
    """One field of an event's record, as the format file declares it.

    `type_text` is the C type as printed, without the name (`char[16]`, `__data_loc char[]`).
    `kind`: value, pointer, enum, bool, struct (declared so, or not one machine word), array, string (an
    array of char), data_loc, rel_loc. `elements` counts an array's elements: None if the field is no
    array or the file tells the count only as an expression. `signed` is None where the file does not
    say. `is_common` marks the fields that every event begins with.
    """

    name: str
    type_text: str
    offset_bytes: int
    size_bytes: int
    signed: bool | None
    kind: str
    elements: int | None = None
    is_common: bool = False


class TraceFormat(NamedTuple):
    """One event. `category` is "" where the caller did not say. `notes`: what is odd about the file."""

    name: str
    id: int
    fields: tuple[TraceField, ...]
    print_fmt: str
    category: str = ""
    notes: tuple[str, ...] = ()


class BtfIds(NamedTuple):
    """events/<category>/<name>/btf_ids.

    `raw_id` is the FUNC_PROTO of the raw arguments, 0 for an event of one syscall; `record_id` the
    struct trace_event_raw_<class>; `object_id` the BTF object (vmlinux or a module) both are in.
    """

    object_id: int
    raw_id: int
    record_id: int


class FieldAccess(NamedTuple):
    """What a `tp` program gets from a field. `access`: unreadable, value, indirect, absent.

    `rule` is None for a field that one plain load reads.
    """

    field: str
    access: str
    rule: str | None
    says: str


class ReadAnswer(NamedTuple):
    """What the kernel says to one load from ctx. `stage` ("load" or "attach"), `errno`, `rule`: None if accepted."""

    accepted: bool
    stage: str | None = None
    errno: str | None = None
    rule: str | None = None


class EventField(NamedTuple):
    """A field with its access, in the words of the JSON contract; `offset` and `size` are bytes."""

    name: str
    type: str
    offset: int
    size: int
    signed: bool | None
    access: str
    rule: str | None
    says: str


class RawArgument(NamedTuple):
    """An argument of raw_tp and tp_btf programs: ctx[n], as BTF types it."""

    name: str
    type: str


class EventReport(NamedTuple):
    """Everything `tracepoint` says about one event. `event` is `category:name`; `id` None if it has none."""

    event: str
    id: int | None
    fields: tuple[EventField, ...]
    verdicts: tuple[Verdict, ...] = ()
    raw_args: tuple[RawArgument, ...] = ()
    notes: tuple[Finding, ...] = ()
    btf_ids: BtfIds | None = None
    print_fmt: str = ""


class TracepointReport(NamedTuple):
    """`probe-scout tracepoint`."""

    kernel: KernelInfo
    events: tuple[EventReport, ...]
    unread: tuple[Unread, ...] = ()  # why the list is not whole
