"""Kfuncs of a module's file (.ko): its sets with flags, and the program types that its functions register them for.

kernel/bpf/btf.c keeps the sets of each module beside its types (btf->kfunc_set_tab), so a module's registrations and
filters decide about its own kfuncs alone. Its code is laid out at made-up addresses and relocated; what it does not
define lies at addresses without content, so that a function that looks there gives up. Ids of a set are those of the
file's own types: resolve_btfids writes and sorts them, and the symbols beside them keep the order of the source.
"""

from __future__ import annotations

from bisect import bisect_right
from struct import iter_unpack

from ...errors import Malformed
from ..btf import kinds
from ..btf.reader import Btf
from ..btf.records import Records
from ..elf import kernel_image, notes
from .facts import Facts
from .kfuncs import REGISTER, Kfuncs, Permissions, Reader, other_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .emulate import Machine

FIRST = 0xFFFF_FFFF_C000_0000  # MODULES_VADDR of x86-64
_OUTSIDE, _OUTSIDE_STEP = FIRST + (1 << 28), 1 << 8  # of what other files define
_PAGE, _ALIGN_MAX = 4096, 1 << 16
_BYTES_MAX = 1 << 27
_SYMBOLS_MAX = 1 << 20
_ALLOC, _EXEC = 2, 4
_NOBITS, _RELA, _SYMTAB = 8, 4, 2
_STT_FUNC, _STT_FILE, _STT_SECTION = 2, 4, 3
_EM_X86_64 = b"\x3e\0"
# include/uapi/linux/elf-em.h; arch/x86/kernel/module.c, __write_relocate_add: (bytes, relative to the place)
_RELOCATIONS = {1: (8, False), 2: (4, True), 4: (4, True), 10: (4, False), 11: (4, False), 24: (8, True)}
_MEMBER = "__BTF_ID__func__"
_RETURN_THUNK, _FENTRY, _THUNK = "__x86_return_thunk", "__fentry__", "__x86_indirect_thunk"
_HOOK = "BTF_KFUNC_HOOK_"
_NAMED_HOOKS = {"SCHED_CLS": "TC"}  # kernel/bpf/btf.c, bpf_prog_type_to_kfunc_hook; others have their type's name


def permissions(facts: ModuleFacts, hooks: dict[int, int] | None) -> Permissions:
    """The kfuncs of a module. `hooks`: of each program type, by vmlinux's image.

    Without `hooks` only program types are told for which a set is registered, and all of them by the common hook.
    Raises Malformed for a file that belongs to another vmlinux.
    """
    other = other_way(facts)
    if other:
        return Permissions(facts, Kfuncs((), {}, (other,)))
    reader = _ModuleReader(facts)
    lost = reader.run(facts.registering())
    found = tuple(reader.found)
    named = {facts.type_name(kfunc) for row in found for kfunc in row.members}
    if not named <= facts.members:
        raise Malformed(
            facts.image.path, 0, "BTF ids of the functions that its sets name", f"{sorted(named - facts.members)[0]!r}"
        )
    if hooks is None:
        hooks = (
            _by_name(facts.records().btf, {row.program_type for row in found})
            if not any(row.filter for row in found)
            else {}
        )
    return Permissions(facts, Kfuncs(found, hooks, tuple(lost)))


def _by_name(types: Btf, registered: set[int]) -> dict[int, int]:
    """Hooks of registered program types that the kernel has a hook of the same name for."""
    known = types.enumerators("btf_kfunc_hook")
    found = {0: known[f"{_HOOK}COMMON"]} if f"{_HOOK}COMMON" in known else {}
    for name, number in types.enumerators("bpf_prog_type").items():
        plain = name.removeprefix("BPF_PROG_TYPE_")
        hook = known.get(f"{_HOOK}{_NAMED_HOOKS.get(plain, plain)}")
        if number in registered and number and hook is not None:
            found[number] = hook
    return found


class ModuleFacts(Facts):
    """A module's code, data and types over the types of vmlinux."""

    def __init__(self, raw: bytes, path: str, types: Btf) -> None:
        """`raw`: the file, packed or not. Raises Malformed for what is no x86-64 module with types."""
        self._offsets = {}
        self._records = Records(types)
        self.image = self._code = ModuleCode(raw, path)  # type: ignore[assignment]
        self._functions = sorted(set(self._code.functions))
        base = self._code.content(".BTF.base")
        content = self._code.content(".BTF")
        if not content:
            raise Malformed(path, 0, "type information (.BTF)", "none")
        self.own = Records(Btf(content, Btf(base, path=f"{path}: .BTF.base") if base else types, f"{path}: .BTF"))
        self.members = {
            name.removeprefix(_MEMBER).rpartition("__")[0] for name in self._code.names if name.startswith(_MEMBER)
        }

    def build_id(self) -> str:
        """In hexadecimal; "" where the file has none."""
        return notes.build_id(self._code.content(".note.gnu.build-id"), self._code.path) or ""

    def registering(self) -> dict[int, set[int]]:
        """Functions that call what registers kfuncs, and where: by the relocations of its code."""
        found: dict[int, set[int]] = {}
        for place in self._code.uses(REGISTER):
            start = self.function_of(place)
            if start is not None:
                found.setdefault(start, set()).add(place - 1)  # the operand stands behind one byte of a call or jump
        return found

    def address(self, name: str) -> int | None:
        """Of a symbol of the module, or of one that it uses."""
        return self._code.names.get(name)

    def first_name(self, address: int) -> str:
        """The function or object that begins at an address; "" where none does."""
        return self._code.at.get(address, "")

    def function_of(self, address: int) -> int | None:
        """Where the function begins that an address lies in."""
        row = bisect_right(self._functions, address) - 1
        return self._functions[row] if row >= 0 else None

    def type_name(self, type_id: int) -> str:
        """By the module's ids."""
        return self.own.record(type_id).name

    def returns_pointer(self, name: str) -> bool:
        """Of a function of the module or of vmlinux."""
        for type_id in self.own.btf.find_ids(name, frozenset((kinds.FUNC,))):
            proto = self.own.record(type_id).number
            return self.own.record(self.own.resolve(self.own.record(proto).number)).kind == kinds.PTR
        return super().returns_pointer(name)


class ModuleCode:
    """The sections of a module in memory, all of them, relocated one by one when they are read."""

    def __init__(self, raw: bytes, path: str) -> None:
        """Raises Malformed for what is no x86-64 module with a symbol table."""
        self.raw, self.path = kernel_image.unpack(raw, path), path
        self.sections = kernel_image.sections(self.raw, path)
        if self.raw[18:20] != _EM_X86_64:
            raise Malformed(path, 18, "a module of x86-64 (62)", str(int.from_bytes(self.raw[18:20], "little")))
        self._places: dict[int, int] = {}
        at = FIRST
        for number, section in enumerate(self.sections):
            if section.flags & _ALLOC:
                align = min(max(section.align, 1), _ALIGN_MAX)
                at = self._places[number] = (at + align - 1) // align * align
                at += section.size + _PAGE  # a gap, so that no read passes from one section to the next
                if at - FIRST > _BYTES_MAX:
                    raise Malformed(path, 0, f"sections of at most {_BYTES_MAX >> 20} MiB", "more")
        self._starts = sorted((place, number) for number, place in self._places.items())
        self._held: dict[int, bytes] = {}
        self.names: dict[str, int] = {}
        self.at: dict[int, str] = {}
        self.functions: list[int] = []
        self._symbols = self._read_symbols()

    def content(self, name: str) -> bytes:
        """The bytes of a section as they are in the file; empty where it has none."""
        for section in self.sections:
            if section.name == name and section.type != _NOBITS:
                return self.raw[section.offset : section.offset + section.size]
        return b""

    def _read_symbols(self) -> list[tuple[str, int]]:
        """Name and address of every symbol; what the module does not define gets an address of its own."""
        table = next((one for one in self.sections if one.type == _SYMTAB and one.link < len(self.sections)), None)
        if table is None:
            raise Malformed(self.path, 0, "a symbol table")
        strings = self.sections[table.link]
        texts = self.raw[strings.offset : strings.offset + strings.size]
        raw = self.raw[table.offset : table.offset + table.size]
        found: list[tuple[str, int]] = []
        for text, info, _, place, value, _ in iter_unpack(
            "<IBBHQQ", raw[: min(len(raw), 24 * _SYMBOLS_MAX) // 24 * 24]
        ):
            end = texts.find(b"\0", text)
            name = texts[text:end].decode("utf-8", "replace") if end >= 0 else ""
            kind = info & 15
            outside = _OUTSIDE + len(found) * _OUTSIDE_STEP
            address = self._places[place] + value if place in self._places else outside
            found.append((name, address))
            if not name or kind in (_STT_FILE, _STT_SECTION):
                continue
            self.names.setdefault(name, address)
            if kind == _STT_FUNC and place in self._places:
                self.functions.append(address)
                self.at[address] = name
            else:
                self.at.setdefault(address, name)
        return found

    def uses(self, names: tuple[str, ...]) -> list[int]:
        """Addresses in code that relocations to symbols of these names write to."""
        wanted = {number for number, (name, _) in enumerate(self._symbols) if name in names}
        found = []
        for number, relocations in self._relocations() if wanted else ():
            if number in self._places and self.sections[number].flags & _EXEC:
                found += [self._places[number] + offset for offset, symbol, _, _ in relocations if symbol in wanted]
        return found

    def _relocations(self) -> list[tuple[int, list[tuple[int, int, int, int]]]]:
        """Section, and (offset, symbol, kind, addend) of what is written into it."""
        found = []
        for section in self.sections:
            if section.type == _RELA:
                raw = self.raw[section.offset : section.offset + section.size]
                rows = iter_unpack("<QQq", raw[: len(raw) // 24 * 24])
                found.append((section.info, [(at, info >> 32, info & 0xFFFFFFFF, add) for at, info, add in rows]))
        return found

    def text_at(self, address: int, size: int) -> bytes | None:
        """Bytes in memory; None where the module has none. Fewer where its section ends."""
        row = bisect_right(self._starts, (address, len(self.sections))) - 1
        if row < 0:
            return None
        place, number = self._starts[row]
        begin = address - place
        if begin >= self.sections[number].size:
            return None
        return self._section(number)[begin : begin + size]

    def _section(self, number: int) -> bytes:
        if number not in self._held:
            section = self.sections[number]
            is_empty = section.type == _NOBITS
            raw = bytearray(section.size if is_empty else self.raw[section.offset : section.offset + section.size])
            for target, relocations in self._relocations():
                for offset, symbol, kind, addend in relocations if target == number else ():
                    self._write(raw, number, offset, symbol, kind, addend)
            self._held[number] = bytes(raw)
        return self._held[number]

    def _write(self, raw: bytearray, number: int, offset: int, symbol: int, kind: int, addend: int) -> None:
        size, is_relative = _RELOCATIONS.get(kind, (0, False))
        if not size or symbol >= len(self._symbols) or offset + size > len(raw):
            return
        value = self._symbols[symbol][1] + addend - (self._places[number] + offset if is_relative else 0)
        raw[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")


class _ModuleReader(Reader):
    """As Reader; what a module calls lies nowhere."""

    def _call(self, machine: Machine, target: int) -> int | None:
        title = self.facts.first_name(target)
        if title in (_RETURN_THUNK, _FENTRY):
            return machine.registers["rax"]
        if title.startswith(_THUNK):
            return None  # where it leads is not known: there is no code to run
        return super()._call(machine, target)
