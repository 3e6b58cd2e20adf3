"""What a `tp` program may load from an event's record, and what such a load is worth.

Mirrors kernel/trace/bpf_trace.c (tp_prog_is_valid_access), which the verifier asks for each load, and
kernel/events/core.c (perf_event_set_bpf_prog) with kernel/trace/trace_events.c
(trace_event_get_offsets), which compare the furthest load with the last defined field at attach. The
kernel looks at offsets, never at names. Whether the event takes a `tp` program at all is another gate.
"""

from __future__ import annotations

from ..model.facts import EVENTS
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
    THE_VALUE,
    UNREADABLE,
    UNTOLD,
    FieldAccess,
    ReadAnswer,
    SyscallCopy,
    TraceField,
    TraceFormat,
)
from ..model.verdict import NO, UNKNOWN, YES
from ..named_tuple import NamedTuple
from .gate import Gate, Judgement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PERF_MAX_TRACE_SIZE = 8192  # include/linux/trace_events.h
SYSCALL_NUMBER_BYTES = 4  # kernel/trace/trace_syscalls.c, struct syscall_tp_t: int nr
LOAD_SIZES = (1, 2, 4, 8)  # BPF_B, BPF_H, BPF_W, BPF_DW


BELOW_POINTER_SIZE = "tracepoint_access.below_pointer_size"
BEYOND_LIMIT = "tracepoint_access.beyond_limit"
UNALIGNED = "tracepoint_access.unaligned"
BEYOND_LAST_FIELD = "tracepoint_access.beyond_last_field"
NO_STRINGS = "tracepoint_access.syscall_copy_has_no_strings"
NOT_IN_COPY = "tracepoint_access.not_in_syscall_copy"
COPY_LAYOUT = "tracepoint_access.syscall_copy_layout"
COPY_UNTOLD = "tracepoint_access.syscall_copy_untold"
COMMON_NOT_FILLED = "tracepoint_access.common_not_filled"
LOCATED = "tracepoint_access.data_behind_record"

# The verifier, for each load of a program; then the furthest load of a program, at attach.
LOAD = Gate("tracepoint_access", source="kernel/trace/bpf_trace.c", entry="tp_prog_is_valid_access")
ATTACH = Gate("tracepoint_access", source="kernel/events/core.c", entry="perf_event_set_bpf_prog")


class Load(NamedTuple):
    """One load of 1, 2, 4 or 8 bytes from ctx. `end_bytes`: where the last defined field ends; None if not told."""

    offset_bytes: int
    size_bytes: int
    end_bytes: int | None
    pointer_bytes: int = 8


@LOAD.rule("below_pointer_size", errno="EACCES", decides="tp_prog_is_valid_access", types=("tp",))
def below_pointer_size(load: Load, _k: None) -> bool:
    """The record's first pointer-sized bytes may not be read: the kernel puts a pt_regs pointer there."""
    return load.offset_bytes < load.pointer_bytes


@LOAD.rule("beyond_limit", errno="EACCES", decides="tp_prog_is_valid_access", types=("tp",))
def beyond_limit(load: Load, _k: None) -> bool:
    """No record is larger than PERF_MAX_TRACE_SIZE (8192)."""
    return load.offset_bytes >= PERF_MAX_TRACE_SIZE


@LOAD.rule("unaligned", errno="EACCES", decides="tp_prog_is_valid_access", types=("tp",))
def unaligned(load: Load, _k: None) -> bool:
    """A load's offset must be a multiple of its size."""
    return load.offset_bytes % load.size_bytes != 0


@ATTACH.rule(
    "beyond_last_field",
    errno="EACCES",
    decides="perf_event_set_bpf_prog -> trace_event_get_offsets",
    needs=(EVENTS,),
    types=("tp",),
)
def beyond_last_field(load: Load, _k: None) -> bool | str:
    """No load may reach beyond the end of the last defined field."""
    if load.end_bytes is None:
        return "where the last defined field ends was not read"
    return load.offset_bytes + load.size_bytes > load.end_bytes


def record_end_bytes(fmt: TraceFormat) -> int | None:
    """Where the last defined field ends; None for an event without fields of its own.

    The last in the order of definition, as the format file prints them, not the one furthest out.
    Decided in kernel/trace/trace_events.c, trace_event_get_offsets, which knows no private copy.
    """
    if fmt.end_bytes is not None:
        return fmt.end_bytes
    if not fmt.fields or fmt.fields[-1].is_common:
        return None
    return fmt.fields[-1].offset_bytes + fmt.fields[-1].size_bytes


def reads(offset_bytes: int, size_bytes: int, fmt: TraceFormat, pointer_bytes: int = 8) -> ReadAnswer | None:
    """What the kernel says to one load of 1, 2, 4 or 8 bytes from ctx; None where the format cannot tell.

    All programs load from ctx alike, so this holds for the event's own verdict being yes.
    """
    said = judge_load(Load(offset_bytes, size_bytes, record_end_bytes(fmt), pointer_bytes))
    if said.answer == UNKNOWN:
        return None
    if said.answer == YES:
        return ReadAnswer(True)
    return ReadAnswer(False, "attach" if said.rule == BEYOND_LAST_FIELD else "load", said.errno, said.rule)


def judge_load(load: Load) -> Judgement:
    """What the verifier says to a load, then the attach."""
    said = LOAD.judge(load, None)
    return said if said.answer == NO else ATTACH.judge(load, None)


def is_syscall_copy(fmt: TraceFormat) -> bool:
    """Whether programs get the private copy of trace_syscalls.c instead of the record.

    True for the events of one syscall each; raw_syscalls:sys_enter and sys_exit are ordinary events.
    """
    if fmt.category:
        return fmt.category == "syscalls"
    return any(field.name == "__syscall_nr" for field in fmt.fields)


def as_programs_see(fmt: TraceFormat, copy: SyscallCopy | None) -> TraceFormat:
    """The event of one system call with its fields where a `tp` program finds them; any other event as it is.

    The format file tells the record's layout, and programs get `struct syscall_tp_t`. `copy` is its layout by the
    kernel's BTF, None if that does not tell it. Three layouts are known, and the first 8 bytes are a pointer in all:
    {regs, unsigned long nr, args} from 4.14 on; {struct trace_entry, unsigned long nr, args} since d3c4db86c711 (6.5);
    {struct trace_entry, int nr, args} since ba8ea72388a1 (6.6). They agree where struct trace_entry has 8 bytes.
    """
    if not is_syscall_copy(fmt):
        return fmt
    if copy is None:
        return fmt if _layouts_agree(fmt) else fmt._replace(is_untold=True)
    seen = tuple(_moved(fmt, copy))
    end = record_end_bytes(fmt) if seen != fmt.fields else None
    return fmt._replace(fields=seen, copy=copy, end_bytes=end)


def _moved(fmt: TraceFormat, copy: SyscallCopy) -> Iterator[TraceField]:
    at = copy.values_offset
    for field in fmt.fields:
        if field.is_common or field.kind in (DATA_LOC, REL_LOC):
            yield field
        elif field.name == "__syscall_nr":
            yield field._replace(offset_bytes=copy.number_offset)
        else:
            yield field._replace(offset_bytes=at)
            at += 8


def _layouts_agree(fmt: TraceFormat) -> bool:
    """Whether all known layouts put the number and the values where the file has them."""
    common = max((f.offset_bytes + f.size_bytes for f in fmt.fields if f.is_common), default=None)
    own = [f for f in fmt.fields if not f.is_common and f.kind not in (DATA_LOC, REL_LOC)]
    numbers = [f.offset_bytes for f in own if f.name == "__syscall_nr"]
    values = [f.offset_bytes for f in own if f.name != "__syscall_nr"]
    return common == 8 and numbers in ([8], []) and values == list(range(16, 16 + 8 * len(values), 8))


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
        says = f"the record's first {pointer_bytes} bytes hold a pointer of the kernel's own; EACCES at load"
        return FieldAccess(field.name, UNREADABLE, BELOW_POINTER_SIZE, says)
    if offset >= PERF_MAX_TRACE_SIZE:
        says = f"offset {offset} is beyond the largest record ({PERF_MAX_TRACE_SIZE}); EACCES at load"
        return FieldAccess(field.name, UNREADABLE, BEYOND_LIMIT, says)
    if end is not None and offset >= end:
        says = f"offset {offset} is not before the end of the last defined field ({end}); EACCES at attach"
        return FieldAccess(field.name, UNREADABLE, BEYOND_LAST_FIELD, says)
    copy = is_syscall_copy(fmt)
    if copy and field.is_common:
        says = "loads and attaches, but programs get a private record that has other data there, or none"
        return FieldAccess(field.name, ABSENT, NOT_IN_COPY, says)
    if fmt.is_untold:
        says = "loads and attaches; where the private record that programs get has this field could not be read"
        return FieldAccess(field.name, UNTOLD, COPY_UNTOLD, says)
    if copy and field.kind in (DATA_LOC, REL_LOC):
        says = (
            "loads and attaches, but programs get a private record without this data; "
            "read the argument's pointer with bpf_probe_read_user_str or bpf_probe_read_user"
        )
        return FieldAccess(field.name, ABSENT, NO_STRINGS, says)
    if field.is_common:
        says = "may be read, but the kernel fills the common fields after the program has run: older data"
        return FieldAccess(field.name, READABLE, COMMON_NOT_FILLED, says)
    if field.kind == DATA_LOC:
        says = (
            "a u32: low 16 bits = offset from the record's start, high 16 bits = length; "
            f"then {pointee(field, copy).helper} from ctx + offset"
        )
        return FieldAccess(field.name, INDIRECT, LOCATED, says)
    if field.kind == REL_LOC:
        says = (
            f"a u32: low 16 bits = offset from the end of this word (ctx + {offset + 4}), high 16 bits = length; "
            f"then {pointee(field, copy).helper} from there"
        )
        return FieldAccess(field.name, INDIRECT, LOCATED, says)
    return FieldAccess(field.name, READABLE, *_how(field, copy))


def load_bytes(field: TraceField, fmt: TraceFormat, access: str) -> int:
    """The widest load inside the field that is worth making; 0 for a field that cannot be read or holds nothing."""
    if access in (UNREADABLE, ABSENT, UNTOLD):
        return 0
    if field.name == "__syscall_nr" and is_syscall_copy(fmt):
        return load_size_bytes(field.offset_bytes, min(field.size_bytes, SYSCALL_NUMBER_BYTES))
    return load_size_bytes(field.offset_bytes, field.size_bytes)


class Pointee(NamedTuple):
    """Where the data lies that a field leads to, how sure that is, and the helper that reads it.

    `memory`: "kernel", "user", "record"; None where the field leads nowhere. `certainty`: "is" or "likely".
    """

    memory: str | None = None
    certainty: str | None = None
    helper: str | None = None


NOWHERE = Pointee()


def pointee(field: TraceField, copy: bool) -> Pointee:
    """Whose memory a pointer or a dynamic array leads to. `copy`: the event is one system call's.

    A system call's pointers come from user space. All others are kernel addresses unless the type says
    `__user`; the format file cannot tell an exception, so that is likely and no more. Strings are known by
    their type: `char *`; one that is called a buffer has a length and no end.
    """
    text = field.type_text
    if field.kind in (DATA_LOC, REL_LOC):
        text = text.removeprefix("__data_loc ").removeprefix("__rel_loc ")
        is_string = text.startswith("char[")
        return Pointee("record", "is", "bpf_probe_read_kernel_str" if is_string else "bpf_probe_read_kernel")
    if field.kind != POINTER:
        return NOWHERE
    if "(*" in text or text.removeprefix("const ") in _CODE:
        # Code: its address is all there is to read.
        return Pointee("user" if copy else "kernel", "is", None)
    user = copy or "__user" in text
    plain = text.replace("const", "").replace("__user", "").replace(" ", "")
    is_text = ("const" in text and field.name not in _BUFFERS) or field.name in _STRINGS
    is_string = plain == "char*" and (not copy or is_text)
    helper = ("bpf_probe_read_user" if user else "bpf_probe_read_kernel") + ("_str" if is_string else "")
    return Pointee("user" if user else "kernel", "is" if user else "likely", helper)


_CODE = frozenset(("xfs_failaddr_t", "xen_mc_callback_fn_t", "__sighandler_t"))
_STRINGS = frozenset(("dev_name", "dir_name", "type", "filename"))  # of mount, utime: declared without const
_BUFFERS = frozenset(("buf", "ubuf", "buffer", "data", "value", "msg_ptr", "u_msg_ptr"))
_INSTEAD = {
    "common_type": "the event's id is a constant of this kernel: write it into the program",
    "common_flags": "no helper gives it: the interrupt state is written after the program has run",
    "common_preempt_count": "no helper gives it: it is written after the program has run",
    "common_pid": "(__u32)bpf_get_current_pid_tgid(), which is the same thread id",
    "common_migrate_disable": "no helper gives it: it is written after the program has run",
    "common_preempt_lazy_count": "no helper gives it: it is written after the program has run",
}


def instead(field: TraceField, access: FieldAccess) -> str | None:
    """How a program gets what the field is named for; None where the field itself gives it."""
    if access.access == ABSENT and not field.is_common:
        return from_pointer("bpf_probe_read_user_str", field.name)
    if field.is_common:
        return _INSTEAD.get(field.name)
    return None


def from_pointer(helper: str, name: str) -> str:
    """How a program gets the data that a syscall's field `name` is a copy of."""
    return f"{helper} from the pointer in {argument_of(name)}"


def argument_of(name: str) -> str:
    """The argument that a syscall's copied data was taken from: __filename_val is filename's."""
    return name.removeprefix("__").removesuffix("_val")


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
        leads = pointee(field, copy)
        if leads.helper is None:
            return None, "a pointer to code"
        likely = "likely " if leads.certainty == "likely" else ""
        return None, f"a pointer to {likely}{leads.memory} memory: {leads.helper}"
    if copy and field.name == "__syscall_nr":
        return None, "the value; read 4 bytes, as some kernels fill no more than these"
    if copy and size == 8 and field.name != "ret":  # of the events that end a call, which is a long as such
        return None, "the argument's whole register; a C type narrower than 8 bytes is its low bytes"
    return None, THE_VALUE
