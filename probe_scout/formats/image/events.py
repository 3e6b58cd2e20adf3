"""Trace events out of a kernel image: events/*/*/{format,id} and available_events as the booted kernel prints them.

Mirrors kernel/trace/trace_events.c (event_trace_enable, trace_event_define_fields, f_show) and trace_syscalls.c
(init_syscall_trace, syscall_enter_define_fields). Ids are given in the order of the section; those of modules depend on
the order in which they are loaded and are not told.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from ..btf import kinds
from .user_copies import UserCopies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .facts import Facts

_FUNCTION_TYPE = (1 << 64) - 1  # TRACE_FUNCTION_TYPE
_FIELDS_MAX = 256
_ARGUMENTS_MAX = 6
_SYSCALLS_MAX = 2048


class Field(NamedTuple):
    """One field of a record. `length`: elements of an array where the kernel keeps them, else 0."""

    type: str
    name: str
    offset: int
    size: int
    is_signed: bool
    length: int = 0


class Event(NamedTuple):
    """One registered event. `id` 0: not told. `fields` None: they depend on code that was not run. `has_id`: the file
    `id` is there, as perf can register the event (kernel/trace/trace_events.c, event_create_dir)."""

    system: str
    name: str
    id: int
    fields: tuple[Field, ...] | None
    print_fmt: str
    is_listed: bool = True
    has_id: bool = True


class _Offsets:
    """Where the members of the kernel's structures lie, by its own BTF."""

    def __init__(self, facts: Facts) -> None:
        def at(struct: str, *path: str) -> int:
            found = facts.offset(struct, *path)
            return -1 if found is None else found

        self.call_class, self.call_name = at("trace_event_call", "class"), at("trace_event_call", "name")
        self.call_flags, self.call_data = at("trace_event_call", "flags"), at("trace_event_call", "data")
        self.call_print, self.call_type = at("trace_event_call", "print_fmt"), at("trace_event_call", "event", "type")
        self.system, self.fields = at("trace_event_class", "system"), at("trace_event_class", "fields_array")
        self.reg = at("trace_event_class", "reg")
        self.point_name = at("tracepoint", "name")
        self.type, self.name = at("trace_event_fields", "type"), at("trace_event_fields", "name")
        self.size, self.align = at("trace_event_fields", "size"), at("trace_event_fields", "align")
        self.length = at("trace_event_fields", "len")
        self.field_bytes = facts.size("trace_event_fields") or 0
        self.signed = _bit(facts, "trace_event_fields", "is_signed")
        self.entry_bytes = facts.size("trace_entry") or 0


def _bit(facts: Facts, struct: str, member: str) -> tuple[int, int]:
    """(offset in bits, width in bits) of a number or bit-field that may lie in an anonymous struct."""
    records = facts.records()
    ids = records.btf.find_ids(struct, frozenset((kinds.STRUCT,)))

    def search(type_id: int, base: int) -> tuple[int, int] | None:
        for each in records.members(type_id):
            if each.name == member:
                return base + each.bit_offset, each.bits or 8 * (records.size(each.type_id) or 4)
            inner = records.resolve(each.type_id)
            if not each.name and records.record(inner).kind in (kinds.STRUCT, kinds.UNION):
                found = search(inner, base + each.bit_offset)
                if found is not None:
                    return found
        return None

    return (search(ids[0], 0) if ids else None) or (0, 0)


def read(facts: Facts) -> Iterator[Event]:
    """Every event of vmlinux, in the order of the section. Raises Malformed for broken BTF."""
    calls = facts.pointers("__start_ftrace_events", "__stop_ftrace_events")
    if calls is None:
        return
    at = _Offsets(facts)
    values = _flags(facts)
    point_flag, ignored = values.get("TRACE_EVENT_FL_TRACEPOINT", 0), values.get("TRACE_EVENT_FL_IGNORE_ENABLE", 0)
    following = facts.records().btf.enumerators("trace_type").get("__TRACE_LAST_TYPE", 0)
    syscalls = _Syscalls(facts)
    has_common = common_fields(facts) is not None
    for call in calls:
        kind = facts.pointer(call + at.call_class)
        system = facts.string(facts.pointer(kind + at.system))
        flags = facts.number(call + at.call_flags, 4)
        name_at = facts.pointer(call + at.call_name)
        name = facts.string(facts.pointer(name_at + at.point_name) if flags & point_flag else name_at)
        if not system or not name:
            continue
        print_fmt = facts.string(facts.pointer(call + at.call_print))
        has_id = bool(facts.pointer(kind + at.reg))
        listed = has_id and not flags & ignored
        if system == "ftrace":
            number = facts.number(call + at.call_type, 4)
            shown = tuple(_fields(facts, at, kind)) if has_common else None
            yield Event(system, name, number, shown, print_fmt, listed, has_id)
            continue
        fields: tuple[Field, ...] | None
        if system == "syscalls":
            meta = facts.pointer(call + at.call_data)
            if not syscalls.is_there(meta):
                continue
            fields = syscalls.fields(name, call, meta)
        else:
            fields = tuple(_fields(facts, at, kind))
        yield Event(system, name, following, fields if has_common else None, print_fmt, listed, has_id)
        following += 1


def all_told(facts: Facts) -> bool:
    """Whether the list of events is whole: which system calls have events hangs on sys_call_table."""
    return facts.system_calls() is not None or facts.size("syscall_metadata") is None


def _flags(facts: Facts) -> dict[str, int]:
    """The TRACE_EVENT_FL_ enumerators, whose enum has no name."""
    btf = facts.records().btf
    found = {}
    for name in ("TRACE_EVENT_FL_TRACEPOINT", "TRACE_EVENT_FL_IGNORE_ENABLE"):
        for each in btf.find_enumerators(name):
            found[name] = each.value
    return found


def common_fields(facts: Facts) -> tuple[Field, ...] | None:
    """The fields that every event begins with: the members of struct trace_entry, in their order.

    Four in the kernel as released, 8 bytes; kernels of PREEMPT_RT (5.10-rt) and of distributions have more. None where
    BTF has no such struct. kernel/trace/trace_events.c, trace_define_common_fields, names each member.
    """
    records = facts.records()
    ids = records.btf.find_ids("trace_entry", frozenset((kinds.STRUCT,)))
    if not ids:
        return None
    found = []
    for each in records.members(ids[0]):
        record = records.record(records.resolve(each.type_id))
        size = records.size(each.type_id)
        if record.kind != kinds.INT or each.bits or not size:
            return None
        is_signed = bool(records.int_word(records.resolve(each.type_id))[0] & 1)
        word = {1: "char", 2: "short", 4: "int", 8: "long"}.get(size, "int")
        declared = word if is_signed and size > 1 else f"unsigned {word}"
        found.append(Field(declared, f"common_{each.name}", each.bit_offset // 8, size, is_signed))
    return tuple(found)


def _fields(facts: Facts, at: _Offsets, kind: int) -> Iterator[Field]:
    entry = facts.pointer(kind + at.fields)
    offset = at.entry_bytes
    for _ in range(_FIELDS_MAX):
        type_at = facts.pointer(entry + at.type) if entry else 0
        if not type_at or type_at == _FUNCTION_TYPE:
            return
        size, align = facts.number(entry + at.size, 4), facts.number(entry + at.align, 4) or 1
        offset = (offset + align - 1) // align * align
        length = facts.number(entry + at.length, 4) if at.length >= 0 else 0
        bit, width = at.signed
        is_signed = bool(facts.number(entry + bit // 8, max(width // 8, 1)) >> bit % 8 & ((1 << min(width, 8)) - 1))
        yield Field(
            facts.string(type_at), facts.string(facts.pointer(entry + at.name)), offset, size, is_signed, length
        )
        offset += size
        entry += at.field_bytes


class _Syscalls:
    """Events of system calls: struct syscall_metadata, and which calls sys_call_table has."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._name, self._count = facts.offset("syscall_metadata", "name"), facts.offset("syscall_metadata", "nb_args")
        self._types, self._args = facts.offset("syscall_metadata", "types"), facts.offset("syscall_metadata", "args")
        self._copies = UserCopies(facts) if facts.offset("syscall_metadata", "user_mask") is not None else None
        self._count_bytes = 1 if facts.offset("syscall_metadata", "user_arg_size") is not None else 4
        # struct syscall_trace_enter and _exit: {struct trace_entry ent; int nr; unsigned long args[] or long ret}.
        self._nr_at = facts.size("trace_entry") or 0
        self._value_at = (self._nr_at + 4 + 7) // 8 * 8
        for struct, member in (("syscall_trace_enter", "args"), ("syscall_trace_exit", "ret")):
            if (told := facts.offset(struct, member)) is not None:
                self._value_at = told
        self._present: dict[str, int] | None = None

    def is_there(self, meta: int) -> bool:
        """init_syscall_trace gives up for calls that no entry of sys_call_table is named like."""
        return bool(meta) and self._call(meta) in self._called()

    def _call(self, meta: int) -> str:
        return self._facts.string(self._facts.pointer(meta + (self._name or 0)))[3:]

    def _called(self) -> dict[str, int]:
        """Names behind sys_, by the first symbol at each entry of the table (arch_syscall_match_sym_name), to numbers.

        init_ftrace_syscalls walks the table, so of several numbers the last one stays.
        """
        if self._present is None:
            facts, found = self._facts, dict[str, int]()
            start = facts.system_calls()
            addresses = facts.following_pointers(start, _SYSCALLS_MAX) if start is not None else []
            if facts.address("sys_call_table") is None:
                addresses = _one_table(facts, addresses)
            for number, address in enumerate(addresses):
                name = facts.first_name(address)
                for prefix in (
                    "__x64_sys",
                    "__ia32_sys",
                    "__do_sys",
                    "__arm64_sys",
                    "__riscv_sys",
                    "__s390x_sys",
                    "sys",
                ):
                    if name.startswith(prefix):
                        found[name[len(prefix) :]] = number
            found.pop("_ni_syscall", None)
            self._present = found
        return self._present

    def fields(self, name: str, call: int, meta: int) -> tuple[Field, ...] | None:
        facts = self._facts
        number = Field("int", "__syscall_nr", self._nr_at, 4, True)
        if name.startswith("sys_exit_"):
            return number, Field("long", "ret", self._value_at, 8, True)
        count = min(facts.number(meta + (self._count or 0), self._count_bytes), _ARGUMENTS_MAX)
        types, names = facts.pointer(meta + (self._types or 0)), facts.pointer(meta + (self._args or 0))
        words = [facts.string(facts.pointer(names + 8 * position)) for position in range(count)]
        declared = [facts.string(facts.pointer(types + 8 * position)) for position in range(count)]
        copied: tuple[int, ...] | None = ()
        if self._copies is not None and any("*" in kind for kind in declared):
            copied = self._copies.positions(call, meta, self._called()[self._call(meta)])
        if copied is None or any(position >= count for position in copied):
            return None
        found = [number]
        offset = self._value_at
        for kind, word in zip(declared, words, strict=True):
            found.append(Field(kind, word, offset, 8, False))
            offset += 8
        for position in copied:
            found.append(Field("__data_loc char[]", f"__{words[position]}_val", offset, 4, False))
            offset += 4
        return tuple(found)


def _one_table(facts: Facts, addresses: list[int]) -> list[int]:
    """Entries of a table without symbols: up to the zeros behind it, the 32-bit table or the x32 one."""
    for number, address in enumerate(addresses):
        name = facts.first_name(address)
        is_32 = name.startswith("__ia32_sys") and not name.endswith("_ni_syscall")
        if not name or is_32 or (number and address == addresses[0]):
            return addresses[:number]
    return addresses


def format_text(event: Event, common: tuple[Field, ...]) -> str:
    """The event's format file. Only for events whose fields are known."""
    lines = [f"name: {event.name}\nID: {event.id}\nformat:\n", *map(_line, common), "\n"]
    lines += [_line(field) for field in event.fields or ()]
    lines.append(f"\nprint fmt: {event.print_fmt}\n")
    return "".join(lines)


def _line(field: Field) -> str:
    declared = f"{field.type} {field.name}"
    bracket = -1 if field.type.startswith("__data_loc") else field.type.find("[")
    if bracket >= 0:
        extent = f"[{field.length}]" if field.length else field.type[bracket:]
        declared = f"{field.type[:bracket]} {field.name}{extent}"
    return f"\tfield:{declared};\toffset:{field.offset};\tsize:{field.size};\tsigned:{int(field.is_signed)};\n"
