"""Modules out of their files (.ko), as the kernel shows them once loaded: symbols, types, ftrace records, events.

Mirrors kernel/module/kallsyms.c (is_core_symbol, elf_type, find_kallsyms_symbol), kernel/trace/ftrace.c
(ftrace_process_locs), trace_events.c (trace_module_add_events) and kernel/kprobes.c (add_module_kprobe_blacklist).
Addresses are made up: modules one after the other, as no boot is like another; distances inside the code of a module
are the kernel's (kernel/module/main.c, layout_sections).
"""

from __future__ import annotations

from bisect import bisect_right
from struct import iter_unpack

from ...errors import Malformed
from ...named_tuple import NamedTuple
from ..elf import kernel_image
from . import events
from .facts import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from array import array

    from ..elf.kernel_image import Section

_PAGE = 4096
_ALLOC, _EXEC, _WRITE = 2, 4, 1
_NOBITS, _RELA, _SYMTAB = 8, 4, 2
_WEAK, _OBJECT = 2, 1
_STT_SECTION, _STT_FILE = 3, 4
_FTRACE_MAX_OFFSET = 4
_NAME_BYTES_MAX = 512  # KSYM_NAME_LEN
_TEXT_BYTES_MAX = 1 << 26
_INJECTION = "_error_injection_whitelist"
_CLOSED_SECTIONS = (".kprobes.text", ".noinstr.text")


class Machine(NamedTuple):
    """What differs between architectures: the relocation of a pointer, ftrace's section, where modules may lie."""

    number: int
    pointer: int
    sites: str
    first: int


_MACHINES = (
    Machine(62, 1, "__mcount_loc", 0xFFFF_FFFF_C000_0000),  # x86-64: R_X86_64_64, MODULES_VADDR
    # arm64: R_AARCH64_ABS64; include/asm-generic/vmlinux.lds.h, FTRACE_CALLSITE_SECTION; below KIMAGE_VADDR.
    Machine(183, 257, "__patchable_function_entries", 0xFFFF_8000_0000_0000),
)


def machine_of(raw: bytes, path: str) -> Machine:
    """By e_machine of an unpacked module. Raises Malformed for one whose modules are not read."""
    number = int.from_bytes(raw[18:20], "little")
    for machine in _MACHINES:
        if machine.number == number:
            return machine
    raise Malformed(path, 18, "a module of x86-64 (62) or arm64 (183)", str(number))


class Row(NamedTuple):
    """A symbol that kallsyms keeps: its made-up address, letter and name."""

    address: int
    letter: str
    name: str


class Module:
    """One .ko, laid out from `base` on; 0: where the first may lie. Raises Malformed for a file that is no module.

    `has_data`: the kernel keeps symbols of data (CONFIG_KALLSYMS_ALL).
    """

    def __init__(self, raw: bytes, path: str, base: int = 0, has_data: bool = True) -> None:
        self._has_data = has_data
        self.raw, self.path = kernel_image.unpack(raw, path), path
        self.sections = kernel_image.sections(self.raw, path)
        self.machine = machine_of(self.raw, path)
        base = base or self.machine.first
        self._places: dict[int, int] = {}
        at = base
        for wanted in (_EXEC, 0):
            for number, section in enumerate(self.sections):
                if section.flags & _ALLOC and section.flags & _EXEC == wanted and not self._is_dropped(section):
                    align = min(max(section.align, 1), _PAGE)
                    at = (at + align - 1) // align * align
                    self._places[number] = at
                    at += section.size
            at = (at + _PAGE - 1) // _PAGE * _PAGE
            if wanted:
                self.text_end = at
        if at - base > _TEXT_BYTES_MAX:
            raise Malformed(path, 0, f"sections of at most {_TEXT_BYTES_MAX >> 20} MiB", f"{at - base} bytes")
        self.base, self.end = base, at
        told = dict(entry.split(b"=", 1) for entry in self._content(".modinfo").split(b"\0") if b"=" in entry)
        self.name = told.get(b"name", b"").decode("ascii", "replace")
        self.depends = tuple(
            filter(None, told.get(b"depends", b"").decode("ascii", "replace").replace("-", "_").split(","))
        )
        if not self.name:
            raise Malformed(path, 0, "the name of a module in .modinfo")
        self._symbols = self._read_symbols()

    @staticmethod
    def _is_dropped(section: Section) -> bool:
        return section.name.startswith((".init", ".modinfo", "__versions"))

    def _content(self, name: str) -> bytes:
        for section in self.sections:
            if section.name == name and section.type != _NOBITS:
                return self.raw[section.offset : section.offset + section.size]
        return b""

    def _read_symbols(self) -> list[tuple[str, int, int, int]]:
        """(name, info, section, value) of every symbol."""
        for section in self.sections:
            if section.type == _SYMTAB and section.link < len(self.sections):
                strings = self.sections[section.link]
                texts = self.raw[strings.offset : strings.offset + strings.size]
                raw = self.raw[section.offset : section.offset + section.size // 24 * 24]
                found = []
                for text, info, _, place, value, _ in iter_unpack("<IBBHQQ", raw[: len(raw) // 24 * 24]):
                    end = texts.find(b"\0", text, text + _NAME_BYTES_MAX)
                    found.append((texts[text:end].decode("utf-8", "replace") if end >= 0 else "", info, place, value))
                return found
        raise Malformed(self.path, 0, "a symbol table")

    # Symbols.

    def rows(self) -> list[Row]:
        """What /proc/kallsyms has of it, in the order of its symbol table."""
        # is_exported looks into __ksymtab and not into __ksymtab_gpl, which newer modules do not have.
        tables = {number for number, section in enumerate(self.sections) if section.name == "__ksymtab"}
        exported = {
            name.removeprefix("__ksymtab_")
            for name, _, place, _ in self._symbols
            if place in tables and name.startswith("__ksymtab_")
        }
        found = []
        for name, info, place, value in self._symbols:
            if not name or place not in self._places or info & 15 in (_STT_SECTION, _STT_FILE):
                continue
            if not (self._has_data or self.sections[place].flags & _EXEC):
                continue
            if self.sections[place].name == ".data..percpu":
                found.append(Row(value, "A" if name in exported else "a", name))
                continue
            letter = self._letter(info, self.sections[place])
            found.append(Row(self._places[place] + value, letter.upper() if name in exported else letter, name))
        return found

    def _letter(self, info: int, section: Section) -> str:
        if info >> 4 == _WEAK:
            return "v" if info & 15 == _OBJECT else "w"
        if section.flags & _EXEC:
            return "t"
        if section.type == _NOBITS:
            return "b"
        return "d" if section.flags & _WRITE else "r"

    def kallsyms(self) -> bytes:
        """Its lines of /proc/kallsyms."""
        return "".join(f"{row.address:016x} {row.letter} {row.name}\t[{self.name}]\n" for row in self.rows()).encode()

    def btf(self) -> bytes | None:
        """Its type information; None where there is none, or where it is rebased at load (.BTF.base)."""
        return None if self._content(".BTF.base") else self._content(".BTF") or None

    def build_id_note(self) -> bytes:
        """The section .note.gnu.build-id."""
        return self._content(".note.gnu.build-id")

    # ftrace.

    def filter_functions(self, checks: bool, pad_bytes: int = 0) -> bytes:
        """Its lines of available_filter_functions. `checks`: the kernel has placeholders for sites without a symbol.

        `pad_bytes` lie between the place that the compiler noted and the function (Facts.pad_bytes).
        """
        best, addresses = self._firsts()
        lines = []
        for noted in sorted(self._pointers(self.machine.sites).values()):
            site = noted + pad_bytes
            at = bisect_right(addresses, site) - 1
            if at < 0:
                continue
            name, distance = best[addresses[at]], site - addresses[at]
            if checks and distance > _FTRACE_MAX_OFFSET:
                name = f"__ftrace_invalid_address___{distance}"
            lines.append(f"{name} [{self.name}]\n")
        return "".join(lines).encode()

    def _firsts(self) -> tuple[dict[int, str], list[int]]:
        """The first name at each address, and the addresses in order."""
        best: dict[int, str] = {}
        for row in self.rows():
            best.setdefault(row.address, row.name)
        return best, sorted(best)

    # Kprobe blacklist.

    def blacklist(self) -> bytes:
        """Its rows of /sys/kernel/debug/kprobes/blacklist, in the order in which they are added."""
        best, addresses = self._firsts()

        def extent(address: int) -> tuple[int, str] | None:
            """Size and name of the symbol that an address lies in (kallsyms_lookup_size_offset)."""
            at = bisect_right(addresses, address) - 1
            if at < 0:
                return None
            following = addresses[at + 1] if at + 1 < len(addresses) else self.text_end
            return min(following, self.text_end) - addresses[at], best[addresses[at]]

        rows: list[tuple[int, int, str]] = []
        for _, entry in sorted(self._pointers("_kprobe_blacklist").items()):
            found = extent(entry)
            if found is not None and self.base <= entry < self.text_end:
                rows.append((entry, *found))
        for name in _CLOSED_SECTIONS:
            number = next((i for i, each in enumerate(self.sections) if each.name == name and i in self._places), None)
            at = self._places[number] if number is not None else 0
            end = at + self.sections[number].size if number is not None else 0
            while at < end and (found := extent(at)) is not None:
                rows.append((at, *found))
                at += max(found[0], 1)
        return "".join(f"0x{at:016x}-0x{at + size:016x}\t{name} [{self.name}]\n" for at, size, name in rows).encode()

    # Error injection.

    def error_injection(self, kernel: Facts) -> bytes:
        """Its rows of the error-injection list, in the order in which they are added."""
        number = next((i for i, each in enumerate(self.sections) if each.name == _INJECTION), None)
        if number is None or number not in self._places:
            return b""
        best, addresses = self._firsts()
        lines = []
        for address, kind in kernel.injection_entries(self._written(number, kernel)):
            at = bisect_right(addresses, address) - 1
            if at >= 0 and self.base <= address < self.text_end:
                lines.append(b"%b [%b]\t%b\n" % (best[addresses[at]].encode(), self.name.encode(), kind))
        return b"".join(lines)

    def _pointers(self, table: str, kernel: Facts | None = None) -> dict[int, int]:
        """Offset in a section to the address that is written there when the module is loaded.

        Symbols of the kernel are looked up in `kernel`; what another module exports is left out.
        """
        found: dict[int, int] = {}
        for section in self.sections:
            if section.type != _RELA or section.name != ".rela" + table:
                continue
            raw = self.raw[section.offset : section.offset + section.size // 24 * 24]
            for offset, info, addend in iter_unpack("<QQq", raw[: len(raw) // 24 * 24]):
                symbol = info >> 32
                if info & 0xFFFFFFFF != self.machine.pointer or symbol >= len(self._symbols):
                    continue
                name, _, place, value = self._symbols[symbol]
                if place in self._places:
                    found[offset] = self._places[place] + value + addend
                elif not place and kernel is not None and (address := kernel.address(name)) is not None:
                    found[offset] = address + addend
        return found

    # Events.

    def memory(self, kernel: Facts) -> dict[int, bytes]:
        """Address to content of each section, with pointers between them and to the kernel written in."""
        return {address: self._written(number, kernel) for number, address in self._places.items()}

    def _written(self, number: int, kernel: Facts) -> bytes:
        section = self.sections[number]
        raw = bytearray(self.raw[section.offset : section.offset + section.size] if section.type != _NOBITS else b"")
        for offset, value in self._pointers(section.name, kernel).items():
            if offset + 8 <= len(raw):
                raw[offset : offset + 8] = (value & (1 << 64) - 1).to_bytes(8, "little")
        return bytes(raw)

    def events(self, kernel: Facts) -> list[events.Event]:
        """Its events, whose ids depend on the order of loading: 0."""
        if not any(section.name == "_ftrace_events" for section in self.sections):
            return []
        return [event._replace(id=0) for event in events.read(_ModuleFacts(self, kernel))]


def line(name: str, base: int, end: int, users: tuple[str, ...] = ()) -> bytes:
    """A module's line of /proc/modules; `users` are the modules that need it."""
    used = "".join(f"{user}," for user in users) or "-"
    return f"{name} {end - base} {len(users)} {used} Live 0x{base:016x}\n".encode()


def depends(raw: bytes, path: str) -> tuple[str, ...]:
    """Names of the modules that have to be loaded first, from the file of a module. Raises Malformed."""
    raw = kernel_image.unpack(raw, path)
    for section in kernel_image.sections(raw, path):
        if section.name == ".modinfo" and section.type != _NOBITS:
            for entry in raw[section.offset : section.offset + section.size].split(b"\0"):
                if entry.startswith(b"depends="):
                    return tuple(filter(None, entry[8:].decode("ascii", "replace").replace("-", "_").split(",")))
    return ()


class _Memory:
    """The module's sections over the kernel's image, as the reader of events asks for them."""

    def __init__(self, module: Module, kernel: Facts) -> None:
        self._image = kernel.image
        held = module.memory(kernel)
        self._starts = sorted(held)
        self._held = [held[start] for start in self._starts]

    def text_at(self, address: int, size: int) -> bytes | None:
        """As KernelImage.text_at."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address - self._starts[at] >= len(self._held[at]):
            return self._image.text_at(address, size)
        begin = address - self._starts[at]
        found = self._held[at][begin : begin + size]
        return found if len(found) == size else None

    def tail_at(self, address: int, size: int) -> bytes:
        """As KernelImage.tail_at."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address - self._starts[at] >= len(self._held[at]):
            return self._image.tail_at(address, size)
        begin = address - self._starts[at]
        return self._held[at][begin : begin + size]


class _ModuleFacts(Facts):
    """A module's tables with the kernel's types and symbols."""

    def __init__(self, module: Module, kernel: Facts) -> None:
        kernel.records()
        self.__dict__.update(kernel.__dict__)
        self.image = _Memory(module, kernel)  # type: ignore[assignment]
        self._calls = module._pointers("_ftrace_events")

    def pointers(self, start: str, stop: str) -> array[int] | None:
        """Its events, in the order of the section."""
        from array import array

        if start != "__start_ftrace_events":
            return super().pointers(start, stop)
        return array("Q", (self._calls[offset] for offset in sorted(self._calls)))
