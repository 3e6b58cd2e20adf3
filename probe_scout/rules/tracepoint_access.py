"""What a `tp` program may load from an event's record, and what such a load is worth.

Mirrors kernel/trace/bpf_trace.c (tp_prog_is_valid_access), which the verifier asks for each load, and
kernel/events/core.c (perf_event_set_bpf_prog) with kernel/trace/trace_events.c
(trace_event_get_offsets), which compare the furthest load with the last defined field at attach. The
kernel looks at offsets, never at names. Whether the event takes a `tp` program at all is another gate.
"""

from __future__ import annotations

from typing import NamedTuple

from ..model.trace import (
    ABSENT,
    ARRAY,
    DATA_LOC,
    INDIRECT,
    POINTER,
    READABLE,
    REL_LOC,
    STRING,
    STRUCT,
    UNREADABLE,
    FieldAccess,
    ReadAnswer,
    TraceField,
    TraceFormat,
)

PERF_MAX_TRACE_SIZE = 8192  # include/linux/trace_events.h
LOAD_SIZES = (1, 2, 4, 8)  # BPF_B, BPF_H, BPF_W, BPF_DW


class AccessRule(NamedTuple):
    """One rule of this gate. `stage` and `errno` are None where the kernel accepts and the data disappoints."""

    id: str
    says: str
    decides: str
    stage: str | None = None
    errno: str | None = None


BELOW_POINTER_SIZE = "tracepoint_access.below_pointer_size"
BEYOND_LIMIT = "tracepoint_access.beyond_limit"
UNALIGNED = "tracepoint_access.unaligned"
BEYOND_LAST_FIELD = "tracepoint_access.beyond_last_field"
NO_STRINGS = "tracepoint_access.syscall_copy_has_no_strings"
COMMON_NOT_FILLED = "tracepoint_access.common_not_filled"
LOCATED = "tracepoint_access.data_behind_record"

_VALID_ACCESS = "kernel/trace/bpf_trace.c: tp_prog_is_valid_access"
RULES: tuple[AccessRule, ...] = (
    AccessRule(
        BELOW_POINTER_SIZE,
        "The record's first pointer-sized bytes may not be read: the kernel puts a pt_regs pointer there",
        _VALID_ACCESS,
        "load",
        "EACCES",
    ),
    AccessRule(BEYOND_LIMIT, "No record is larger than PERF_MAX_TRACE_SIZE (8192)", _VALID_ACCESS, "load", "EACCES"),
    AccessRule(UNALIGNED, "A load's offset must be a multiple of its size", _VALID_ACCESS, "load", "EACCES"),
    AccessRule(
        BEYOND_LAST_FIELD,
        "No load may reach beyond the end of the last defined field",
        "kernel/events/core.c: perf_event_set_bpf_prog -> trace_event_get_offsets",
        "attach",
        "EACCES",
    ),
    AccessRule(
        NO_STRINGS,
        "Programs on a syscall's event get a copy that holds the arguments and none of the copied user data",
        "kernel/trace/trace_syscalls.c: perf_call_bpf_enter",
    ),
    AccessRule(
        COMMON_NOT_FILLED,
        "The kernel fills the common fields after the program has run",
        "kernel/events/core.c: perf_trace_run_bpf_submit, perf_tp_event -> perf_trace_buf_update",
    ),
    AccessRule(
        LOCATED,
        "The field is a 4-byte word that says where the data lies behind the fixed part of the record",
        "include/trace/stages/stage2_data_offsets.h, stage5_get_offsets.h",
    ),
)


def record_end_bytes(fmt: TraceFormat) -> int | None:
    """Where the last defined field ends; None for an event without fields of its own.

    The last in the order of definition, as the format file prints them, not the one furthest out.
    Decided in kernel/trace/trace_events.c, trace_event_get_offsets.
    """
    if not fmt.fields or fmt.fields[-1].is_common:
        return None
    return fmt.fields[-1].offset_bytes + fmt.fields[-1].size_bytes


def reads(offset_bytes: int, size_bytes: int, fmt: TraceFormat, pointer_bytes: int = 8) -> ReadAnswer | None:
    """What the kernel says to one load of 1, 2, 4 or 8 bytes from ctx; None where the format cannot tell.

    All programs load from ctx alike, so this holds for the event's own verdict being yes.
    """
    if offset_bytes < pointer_bytes:
        return ReadAnswer(False, "load", "EACCES", BELOW_POINTER_SIZE)
    if offset_bytes >= PERF_MAX_TRACE_SIZE:
        return ReadAnswer(False, "load", "EACCES", BEYOND_LIMIT)
    if offset_bytes % size_bytes:
        return ReadAnswer(False, "load", "EACCES", UNALIGNED)
    end = record_end_bytes(fmt)
    if end is None:
        return None
    if offset_bytes + size_bytes > end:
        return ReadAnswer(False, "attach", "EACCES", BEYOND_LAST_FIELD)
    return ReadAnswer(True)


def is_syscall_copy(fmt: TraceFormat) -> bool:
    """Whether programs get the private copy of trace_syscalls.c instead of the record.

    True for the events of one syscall each; raw_syscalls:sys_enter and sys_exit are ordinary events.
    """
    if fmt.category:
        return fmt.category == "syscalls"
    return any(field.name == "__syscall_nr" for field in fmt.fields)


def load_size_bytes(offset_bytes: int, size_bytes: int) -> int:
    """The widest aligned load that stays inside: 8, 4, 2 or 1; 0 if the size is 0."""
    for size in reversed(LOAD_SIZES):
        if offset_bytes % size == 0 and size <= size_bytes:
            return size
    return 0


def field_access(field: TraceField, fmt: TraceFormat, pointer_bytes: int = 8) -> FieldAccess:
    """What a `tp` program gets from this field of this event, and how it is read."""
    offset = field.offset_bytes
    end = record_end_bytes(fmt)
    if offset < pointer_bytes:
        says = (
            f"offset {offset} lies in the {pointer_bytes} bytes that hold a pointer of the kernel's own; EACCES at load"
        )
        return FieldAccess(field.name, UNREADABLE, BELOW_POINTER_SIZE, says)
    if offset >= PERF_MAX_TRACE_SIZE:
        says = f"offset {offset} is beyond the largest record ({PERF_MAX_TRACE_SIZE}); EACCES at load"
        return FieldAccess(field.name, UNREADABLE, BEYOND_LIMIT, says)
    if end is not None and offset >= end:
        says = f"offset {offset} is not before the end of the last defined field ({end}); EACCES at attach"
        return FieldAccess(field.name, UNREADABLE, BEYOND_LAST_FIELD, says)
    copy = is_syscall_copy(fmt)
    if copy and field.kind in (DATA_LOC, REL_LOC):
        says = (
            "loads and attaches, but programs get a private copy without this data; "
            "read the argument's pointer with bpf_probe_read_user_str or bpf_probe_read_user"
        )
        return FieldAccess(field.name, ABSENT, NO_STRINGS, says)
    if field.is_common:
        says = "may be read, but the kernel fills the common fields after the program has run: older data"
        return FieldAccess(field.name, READABLE, COMMON_NOT_FILLED, says)
    if field.kind == DATA_LOC:
        says = (
            "a u32: low 16 bits = offset from the record's start, high 16 bits = length; "
            "then bpf_probe_read_kernel from ctx + offset"
        )
        return FieldAccess(field.name, INDIRECT, LOCATED, says)
    if field.kind == REL_LOC:
        says = (
            f"a u32: low 16 bits = offset from the end of this word (ctx + {offset + 4}), high 16 bits = length; "
            "then bpf_probe_read_kernel from there"
        )
        return FieldAccess(field.name, INDIRECT, LOCATED, says)
    return FieldAccess(field.name, READABLE, *_how(field, copy))


def _how(field: TraceField, copy: bool) -> tuple[str | None, str]:
    """Rule and sentence for a field whose bytes are in the record."""
    offset, size = field.offset_bytes, field.size_bytes
    if field.kind in (STRING, ARRAY, STRUCT):
        what = {STRING: "an array of char in the record", ARRAY: "an array in the record"}.get(
            field.kind, "a structure"
        )
        return None, f"{what}, {size} bytes: load its parts, or bpf_probe_read_kernel from ctx + {offset}"
    word = load_size_bytes(offset, size)
    if word != size:
        return UNALIGNED, f"not aligned: read {size // word} loads of {word} byte{'s' if word > 1 else ''}"
    if field.kind == POINTER:
        if copy:
            return None, "a pointer; what it points to is user memory: bpf_probe_read_user"
        return None, "a pointer; what it points to is likely kernel memory: bpf_probe_read_kernel"
    if copy and field.name == "__syscall_nr":
        return None, "the value; read 4 bytes, as some kernels fill no more than these"
    if copy and size == 8:
        return None, "the argument's whole register; a C type narrower than 8 bytes is its low bytes"
    return None, "the value"
