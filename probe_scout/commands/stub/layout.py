"""From an event's fields to the members of its record: every byte named, nothing offered that cannot be read.

The offsets are the format file's (kernel/trace/trace_events.c, f_show), for one system call's event those of the copy
that programs get. What a program may load is decided in
rules/tracepoint_access.py and arrives here as the fields' `access`.
"""

from __future__ import annotations

from ...errors import NoStub
from ...model.stub import ARRAY, BYTES, INTEGER, LOCATED, PADDING, POINTER, RECORD, RESERVED, Member, RecordMember, Stub
from ...model.trace import DATA_LOC, REL_LOC, SYSCALL, UNTOLD, EventField, EventReport
from . import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_POINTER_BYTES = 8
_WORDS = (1, 2, 4, 8)
_RESERVED_SAYS = "the kernel's own pointer, not for programs (EACCES at load)"
_INSTEAD = (
    "Instead of the common fields: bpf_get_current_pid_tgid() (pid and tgid), bpf_get_current_comm(), "
    "bpf_get_smp_processor_id(), bpf_ktime_get_ns()."
)


def record(report: EventReport, core: str = "", core_members: Sequence[RecordMember] = ()) -> Stub:
    """The stub of a `tp` program's ctx. Raises NoStub where the fields overlap or cannot be laid out."""
    category, _, name = report.event.partition(":")
    members, notes = _members(report)
    end = report.end_bytes if report.end_bytes is not None else _POINTER_BYTES
    align = max(alignment(member) for member in members)
    size = members[-1].offset + members[-1].size
    if size % align:
        fill = align - size % align
        members.append(_padding(size, fill, "behind the record: no load may reach it"))
        size += fill
    facts = [f"event {report.event}" + (f", id {report.id}" if report.id is not None else "")]
    if report.kind == SYSCALL:
        notes.append(
            "Programs on this event get a private copy of the number and the arguments, not the record "
            "(kernel/trace/trace_syscalls.c): each argument is one 8-byte word, whatever its C type."
        )
    return Stub(
        report.event,
        "tp",
        words.identifier(f"tp_{category}_{name}"),
        f"tp/{category}/{name}",
        RECORD,
        tuple(members),
        size,
        end,
        core=core,
        core_members=_core_members(report, core_members),
        facts=tuple(facts),
        notes=(*notes, _INSTEAD),
    )


def alignment(member: Member) -> int:
    """Bytes that the member's type aligns to in C, Rust, Go and ctypes alike."""
    return member.element_size if member.kind in (INTEGER, ARRAY, POINTER, LOCATED) else 1


def _members(report: EventReport) -> tuple[list[Member], list[str]]:
    # A system call's copy has no common fields: its number may lie where the record has them.
    is_copy = report.kind == SYSCALL
    common = 0 if is_copy else max((f.offset + f.size for f in report.fields if f.common), default=0)
    at = max(_POINTER_BYTES, common)
    members = [Member("reserved", RESERVED, 0, at, 1, False, "", _RESERVED_SAYS)]
    notes: list[str] = []
    names = words.Unique()
    if common > _POINTER_BYTES:
        notes.append(
            f"The common fields take {common} bytes on this kernel, not the usual 8; those behind byte 8 may be "
            "read but hold older data."
        )
    if untold := [f.name for f in report.fields if f.access == UNTOLD]:
        raise NoStub(
            f"{report.event}: where programs find {', '.join(untold)} is not known: it needs BTF with struct "
            "syscall_tp_t (the running kernel's own, whole)",
            3,
        )
    for field in (f for f in report.fields if f.record_offset is not None):
        notes.append(
            f"{field.name} is at {field.offset} for programs; the format file says {field.record_offset}, and what "
            "goes by it (bpftrace's args) reads something else."
        )
    for field in sorted((f for f in report.fields if not f.common), key=lambda f: (f.offset, f.size)):
        if not field.size:
            notes.append(f"{field.name} ({field.type}) has no size and is left out.")
            continue
        if field.offset < at:
            raise NoStub(
                f"{report.event}: the field {field.name} at offset {field.offset} overlaps what lies before {at}: "
                "its format file describes no struct"
            )
        if field.offset > at:
            members.append(_padding(at, field.offset - at))
        name = names(field.name)
        if name != field.name:
            notes.append(f"The format names two fields {field.name}; the later one is {name} here.")
        made = _member(field._replace(name=name))
        members.append(made)
        at = field.offset + field.size
        if made.size < field.size:
            says = "not filled on every kernel" if field.name == "__syscall_nr" else ""
            members.append(_padding(field.offset + made.size, field.size - made.size, says))
    return members, notes


def _padding(offset: int, size: int, says: str = "") -> Member:
    return Member(f"pad_{offset}", PADDING, offset, size, 1, False, "", says)


def _member(field: EventField) -> Member:
    """The member of one field, or padding where a program cannot have it."""
    if field.access in ("unreadable", "absent"):
        says = f"{field.name}: {field.says}" + (f"; instead: {field.instead}" if field.instead else "")
        return _padding(field.offset, field.size, says)._replace(declared=field.type)
    signed = bool(field.signed)
    if field.kind in (DATA_LOC, REL_LOC) and field.size == 4 and field.offset % 4 == 0:
        base = field.offset + 4 if field.kind == REL_LOC else 0
        is_text = field.element_type == "char"
        name = f"{field.name}_loc"
        if field.read_with is None:  # no helper reads the data on this kernel: the word says where it lies, no more
            return Member(name, INTEGER, field.offset, 4, 4, False, field.type, field.says)
        helper = "bpf_probe_read_kernel_str" if is_text else "bpf_probe_read_kernel"
        return Member(name, LOCATED, field.offset, 4, 4, False, field.type, "", base, is_text, helper)
    if field.kind == "pointer" and field.size == 8 and field.offset % 8 == 0:
        where = {"user": "user memory", "kernel": "kernel memory"}.get(field.memory or "", "")
        if where and field.memory_certainty == "likely":
            where = f"likely {where}"
        if where and field.read_with:
            where += f": {field.read_with}"
        return Member(
            field.name,
            POINTER,
            field.offset,
            8,
            8,
            False,
            field.type,
            where,
            text=(field.read_with or "").endswith("_str"),
            helper=field.read_with or "",
        )
    if field.kind in ("array", "string"):
        element = field.element_size or 0
        whole = element in _WORDS and field.size % element == 0 and field.offset % element == 0
        if whole and element > 1:
            return Member(field.name, ARRAY, field.offset, field.size, element, signed, field.type)
        return Member(field.name, BYTES, field.offset, field.size, 1, False, field.type, text=field.kind == "string")
    if field.kind == "struct" or field.size not in _WORDS:
        return Member(field.name, BYTES, field.offset, field.size, 1, False, field.type)
    if field.offset % field.size:
        says = f"not aligned to {field.size} bytes: load it in parts"
        return Member(field.name, BYTES, field.offset, field.size, 1, signed, field.type, says)
    size = field.load if field.name == "__syscall_nr" and 0 < field.load < field.size else field.size
    return Member(field.name, INTEGER, field.offset, size, size, signed, field.type)


def _core_members(report: EventReport, members: Sequence[RecordMember]) -> tuple[RecordMember, ...]:
    """Those members of the BTF struct that a program may read: not the common part, not the data behind the record."""
    common = max((f.offset + f.size for f in report.fields if f.common), default=0)
    first = max(_POINTER_BYTES, common)
    end = report.end_bytes or 0
    return tuple(one for one in members if one.offset >= first and one.size and one.offset + one.size <= end)
