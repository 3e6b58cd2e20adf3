"""Trace events: their record, its fields, and what a `tp` program may read of them.

`TraceFormat` mirrors events/<category>/<name>/format (kernel/trace/trace_events.c, f_show).
"""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import KernelInfo
from .verdict import Finding, Verdict

# TraceField.kind
VALUE, POINTER, ENUM, BOOL, STRUCT = "value", "pointer", "enum", "bool", "struct"
ARRAY, STRING, DATA_LOC, REL_LOC = "array", "string", "data_loc", "rel_loc"

# FieldAccess.access, a promise of the JSON contract
UNREADABLE, READABLE, INDIRECT, ABSENT = "unreadable", "value", "indirect", "absent"
UNTOLD = "unknown"  # what lies there was not told: the layout of what programs get could not be read
THE_VALUE = "the value"  # EventField.says where there is no more to say


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


class SyscallCopy(NamedTuple):
    """Where a `tp` program on one system call's event finds its data, in bytes from ctx.

    The private `struct syscall_tp_t` of kernel/trace/trace_syscalls.c, perf_call_bpf_enter and perf_call_bpf_exit:
    `values_offset` is that of `args[0]` (unsigned long) or of `ret`.
    """

    number_offset: int
    number_size: int
    values_offset: int


class TraceFormat(NamedTuple):
    """One event. `category` is "" where the caller did not say. `notes`: what is odd about the file.

    As programs see the event of one system call: `copy` is the layout that the kernel's BTF tells; `is_untold` where
    it tells none and the file does not prove it. `end_bytes` is where the last field ends by the file, else None.
    """

    name: str
    id: int
    fields: tuple[TraceField, ...]
    print_fmt: str
    category: str = ""
    notes: tuple[str, ...] = ()
    copy: SyscallCopy | None = None
    is_untold: bool = False
    end_bytes: int | None = None


class BtfIds(NamedTuple):
    """events/<category>/<name>/btf_ids.

    `raw_id` is the FUNC_PROTO of the raw arguments, 0 for an event of one syscall; `record_id` the
    struct trace_event_raw_<class>; `object_id` the BTF object (vmlinux or a module) both are in.
    """

    object_id: int
    raw_id: int
    record_id: int


class FieldAccess(NamedTuple):
    """What a `tp` program gets from a field. `access`: unreadable, value, indirect, absent, unknown.

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
    """A field with its access, in the words of the JSON contract; `offset`, `size`, `element_size`, `load` are bytes.

    `kind` is a TraceField's. `element_type`, `elements` and `element_size` describe an array, a string and
    the data of data_loc and rel_loc (there `elements` is None: the record says the length); `signed` is the
    element's then. `load` is the widest aligned load inside the field that the verifier takes: smaller than
    `size` where the field is an array, a structure, or not aligned; 0 where no load is taken. `memory` says
    where the data lies that the field leads to: "kernel" or "user" (a pointer's), "record" (of data_loc and
    rel_loc), None for a value; `memory_certainty` is "is" or "likely". `read_with` is the helper for that
    data. `instead` tells how a program gets what an unreadable or absent field is named for. `offset` is where a
    program finds the field; `record_offset` where the format file says it is, if that is elsewhere (the record that
    perf and ftrace get), else None.
    """

    name: str
    type: str
    offset: int
    size: int
    signed: bool | None
    access: str
    rule: str | None
    says: str
    kind: str = VALUE
    element_type: str | None = None
    elements: int | None = None
    element_size: int | None = None
    load: int = 0
    memory: str | None = None
    memory_certainty: str | None = None
    read_with: str | None = None
    instead: str | None = None
    common: bool = False
    record_offset: int | None = None


class RawArgument(NamedTuple):
    """An argument of raw_tp and tp_btf programs as BTF types it: ctx[`place`], counted without `void *__data`.

    `name` is "" where BTF has none. `shape`: "scalar" (integers, enums, bool), "struct_pointer" (to a struct
    or union: a tp_btf program may follow it), "pointer" (to anything else: an address and no more),
    "struct" (by value), "other". `size` is bytes of the type itself; `slot` the 8-byte word of ctx where it
    begins. `type_id` is the parameter's BTF type id in `btf` ("vmlinux" or a module). `nullable` ("yes",
    "no", "unknown") and `nullable_why` tell whether the verifier demands a NULL check of a tp_btf program
    before the pointer is followed; "no" for what is no pointer to a struct. `struct` names the struct pointed to.
    `access`: "value" if a tp_btf program may load the argument, "unreadable" if the verifier refuses, "unknown";
    `says` why. raw_tp programs may load every one.
    """

    name: str
    type: str
    place: int = 0
    slot: int = 0
    size: int = 8
    shape: str = "scalar"
    struct: str | None = None
    type_id: int | None = None
    btf: str | None = None
    nullable: str = "unknown"
    nullable_why: str = ""
    read_with: str | None = None
    access: str = READABLE
    says: str = ""


class Gap(NamedTuple):
    """Bytes of the record, before its last field ends, that no field names: padding. `before` names the next field."""

    offset: int
    size: int
    before: str


class RecordType(NamedTuple):
    """The BTF struct of the event's record, `trace_event_raw_<class>`; events of one class share it.

    `basis`: "btf_ids" (the kernel says so), "name" (the struct has the event's own name and its layout fits),
    "layout" (the only struct whose members are the format's fields, and whose class takes these arguments).
    `others` are further structs that fit as well as `name`: same members at the same offsets.
    `type_id` is its id in `btf` ("vmlinux" or a module). `differs` lists what does not agree with the format.
    """

    name: str
    basis: str
    btf: str
    type_id: int
    others: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()


class EventRead(NamedTuple):
    """What the kernel says to one load from ctx of a `tp` program: `tracepoint EVENT --reads OFFSET:SIZE`.

    `answer` is "yes", "no" or "unknown"; `stage` "load", "open" (perf_event_open) or "attach"; `field` the field the
    first byte lies in.
    """

    offset: int
    size: int
    answer: str
    stage: str | None
    errno: str | None
    rule: str | None
    says: str
    field: str | None = None


# EventReport.kind
EVENT, SYSCALL, FTRACE, BARE = "event", "syscall", "ftrace", "bare"
PERF = "perf"
DYNAMIC = "dynamic"  # made at run time: kprobe_events, uprobe_events, synthetic_events, user_events, dynamic_events


class EventReport(NamedTuple):
    """Everything `tracepoint` says about one event. `event` is `category:name`; `id` None if it has none.

    `kind`: "event"; "syscall" (one system call's: no raw tracepoint, programs get a private copy); "ftrace"
    (describes the ring buffer's own records: takes no program); "perf" (one of these that perf can open); "bare"
    (a raw tracepoint without an event: `event` is the tracepoint's name alone, no fields); "dynamic".
    `common_bytes` is where the common fields end; `end_bytes` where the last defined field ends: no load may pass
    it. None where there are no fields.
    """

    event: str
    id: int | None
    fields: tuple[EventField, ...]
    verdicts: tuple[Verdict, ...] = ()
    raw_args: tuple[RawArgument, ...] = ()
    notes: tuple[Finding, ...] = ()
    btf_ids: BtfIds | None = None
    print_fmt: str = ""
    kind: str = EVENT
    record: RecordType | None = None
    gaps: tuple[Gap, ...] = ()
    common_bytes: int | None = None
    end_bytes: int | None = None
    reads: tuple[EventRead, ...] = ()


class _TracepointReport(NamedTuple):
    kernel: KernelInfo
    events: tuple[EventReport, ...]
    unread: tuple[Unread, ...] = ()  # why the list is not whole
    notes: tuple[Finding, ...] = ()


class TracepointReport(Document, _TracepointReport):
    """`probe-scout tracepoint`. `notes`: where available_events and the events tree disagree."""

    __slots__ = ()
    COMMAND = "tracepoint"
