"""A program or library as a uprobe sees it: segments, symbols with versions, notes, links to debug files.

Formats: elf(5); symbol versions of the gABI's GNU extension (.gnu.version, .gnu.version_d, .gnu.version_r);
.gnu_debuglink; .gnu_debugdata (MiniDebugInfo: an xz stream of an ELF file). Headers and symbols are read with struct,
because a program may hold hundreds of thousands of them. Files without section headers are read by PT_DYNAMIC.

What is damaged gives Malformed where the question cannot be answered without it, and is left out otherwise
(`damage` says which part). Nothing is read beyond the bounds below.
"""

from __future__ import annotations

from functools import cached_property
from struct import Struct, calcsize, iter_unpack, unpack_from
from struct import error as StructError

from ...arch import ELF_MACHINES
from ...errors import Malformed
from ...named_tuple import NamedTuple
from . import notes as elf_notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from mmap import mmap

    from .notes import Note

SYMBOLS_MAX = 8_000_000
SECTIONS_MAX = 0x20000
SEGMENTS_MAX = 4096
NAME_BYTES_MAX = 1 << 16  # C++ names of templates reach some thousands
MINIDEBUG_BYTES_MAX = 256 << 20
NOTES_BYTES_MAX = 64 << 20

ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
EM_386, EM_X86_64, EM_AARCH64 = 3, 62, 183
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
PF_X, PF_W, PF_R = 1, 2, 4
_SHT_SYMTAB, _SHT_NOTE, _SHT_NOBITS, _SHT_DYNSYM, _SHT_VERDEF, _SHT_VERNEED, _SHT_VERSYM = (
    *(2, 7, 8, 11),
    *(0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF),
)
_SHF_COMPRESSED = 0x800
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_TLS, STT_GNU_IFUNC = 0, 1, 2, 6, 10
STB_LOCAL, STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE = 0, 1, 2, 10
_HIDDEN = 0x8000  # of a version: not the default one (`name@VER`, not `name@@VER`)
DYNSYM, SYMTAB = "dynsym", "symtab"
# DT_HASH, RELA, INIT, FINI, REL, JMPREL, INIT_ARRAY, FINI_ARRAY, RELR; GNU_HASH, VERSYM, VERDEF, VERNEED: addresses.
_TABLE_TAGS = (4, 7, 12, 13, 17, 23, 25, 26, 36, 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFE)


class Segment(NamedTuple):
    """One program header. Sizes in bytes."""

    type: int
    flags: int
    offset: int
    address: int
    file_bytes: int
    memory_bytes: int


class Section(NamedTuple):
    """One section header."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int


class Symbol(NamedTuple):
    """One symbol. `address` is st_value; `version` is "" without one; `is_default` as in `name@@VERSION`."""

    name: str
    address: int
    size: int
    type: int
    bind: int
    section: int  # st_shndx; 0 is an import
    table: str  # dynsym, symtab, minidebug, debug, pclntab: where the name comes from
    version: str = ""
    is_default: bool = True

    @property
    def is_function(self) -> bool:
        """Defined here, as a function or an IFUNC."""
        return self.section != 0 and self.type in (STT_FUNC, STT_GNU_IFUNC)

    @property
    def written(self) -> str:
        """`name@@VERSION`, `name@VERSION` or the bare name."""
        return f"{self.name}{'@@' if self.is_default else '@'}{self.version}" if self.version else self.name


class _Table(NamedTuple):
    """Where a symbol table and its names lie, in bytes of the file."""

    start: int
    symbols_total: int
    names: int
    names_end: int


class UserImage:
    """One file. `raw` is bytes or an mmap of it; `path` names it in errors."""

    def __init__(self, raw: bytes | mmap, path: str) -> None:
        """Reads the file header and the program headers. Raises Malformed where that is no ELF file."""
        self.raw, self.path, self.size = raw, path, len(raw)
        self.damage: list[str] = []
        head = raw[:64]
        if head[:4] != b"\x7fELF":
            raise Malformed(path, 0, "an ELF file", _shown(head[:4]) if head else "an empty file")
        if len(head) < 52 or head[4] not in (1, 2) or head[5] not in (1, 2):
            raise Malformed(path, min(len(head), 4), "an ELF header of 32 or 64 bits", _shown(head[4:6]) or "its end")
        self.bits = 32 if head[4] == 1 else 64
        self.order = "<" if head[5] == 1 else ">"
        try:
            shape = "HHIIIIIHHHHHH" if self.bits == 32 else "HHIQQQIHHHHHH"
            fields = unpack_from(self.order + shape, head, 16)
        except StructError:
            raise Malformed(path, len(head), "an ELF header of 64 bytes", "the end of the file") from None
        self.type, self.machine, _, self.entry, self._segments_at, self._sections_at = fields[:6]
        self._segment_bytes, self._segment_count, self._section_bytes, self._section_count, self._names_index = fields[
            8:
        ]
        self.segments = self._read_segments()

    @property
    def machine_name(self) -> str:
        """The architecture's name as the kernel's: x86_64, aarch64; "machine N" for others."""
        return ELF_MACHINES.get(self.machine, f"machine {self.machine}")

    def _read_segments(self) -> tuple[Segment, ...]:
        count, width = self._segment_count, self._segment_bytes
        shape = self.order + ("IIIIIIII" if self.bits == 32 else "IIQQQQQQ")
        if not count or not self._segments_at:
            return ()
        if count > SEGMENTS_MAX or width < calcsize(shape) or self._segments_at + count * width > self.size:
            at = min(self._segments_at, self.size)
            raise Malformed(self.path, at, f"{count} program headers of {width} bytes", "the end of the file")
        found = []
        for index in range(count):
            row = unpack_from(shape, self.raw, self._segments_at + index * width)
            if self.bits == 32:
                kind, offset, address, _, file_bytes, memory_bytes, flags, _ = row
            else:
                kind, flags, offset, address, _, file_bytes, memory_bytes, _ = row
            found.append(Segment(kind, flags, offset, address, file_bytes, memory_bytes))
        return tuple(found)

    @property
    def segment_headers(self) -> tuple[int, int, int]:
        """(file offset, bytes of one, count) of the program headers."""
        return self._segments_at, self._segment_bytes, self._segment_count

    @property
    def section_headers(self) -> tuple[int, int, int]:
        """(file offset, bytes of one, count) of the section headers; the count is of those that were read."""
        return self._sections_at, self._section_bytes, len(self.sections)

    # addresses

    @cached_property
    def loads(self) -> tuple[Segment, ...]:
        """The segments that are mapped and hold bytes of the file."""
        return tuple(s for s in self.segments if s.type == PT_LOAD and s.file_bytes)

    def file_offset(self, address: int) -> int | None:
        """The file offset at which an address lies; None where no byte of the file is mapped there.

        An ET_REL file is not mapped; its addresses are offsets in sections, and the answer is None.
        """
        for segment in self.loads:
            if 0 <= address - segment.address < segment.file_bytes:
                offset = address - segment.address + segment.offset
                return offset if offset < self.size else None
        return None

    def address(self, offset: int) -> int | None:
        """The address of a file offset, of the segment that may be executed if several map it."""
        found = [s for s in self.loads if 0 <= offset - s.offset < s.file_bytes]
        found.sort(key=lambda s: not s.flags & PF_X)
        return offset - found[0].offset + found[0].address if found else None

    def flags_at(self, offset: int) -> int | None:
        """PF_* of the segment that maps a file offset, the executable one first; None where none does."""
        found = [s.flags for s in self.loads if 0 <= offset - s.offset < s.file_bytes]
        return max(found, key=lambda flags: flags & PF_X) if found else None

    def code(self, offset: int, size: int) -> bytes:
        """Bytes of the file from an offset on, as many as there are."""
        return bytes(self.raw[offset : offset + size]) if 0 <= offset < self.size else b""

    # sections

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """The section headers; empty where the file has none or they do not fit (then `damage` says so)."""
        try:
            return self._read_sections()
        except (Malformed, StructError) as error:
            self.damage.append(f"section headers: {error}")
            return ()

    def _read_sections(self) -> tuple[Section, ...]:
        at, width, count = self._sections_at, self._section_bytes, self._section_count
        shape = self.order + ("IIIIIIIIII" if self.bits == 32 else "IIQQQQIIQQ")
        if not at:
            return ()
        if width < calcsize(shape) or at + width > self.size:
            raise Malformed(self.path, min(at, self.size), "a table of section headers", "the end of the file")
        first = unpack_from(shape, self.raw, at)
        count = count or first[5]  # e_shnum overflows into the first header
        names_index = first[6] if self._names_index == 0xFFFF else self._names_index
        if count > SECTIONS_MAX or at + width * count > self.size:
            raise Malformed(self.path, at, f"{count} section headers", "the end of the file")
        rows = [unpack_from(shape, self.raw, at + width * i) for i in range(count)]
        names = b""
        if 0 < names_index < count:
            start, size = rows[names_index][4:6]
            names = self.raw[start : start + min(size, 16 << 20)]
        found = []
        for name, kind, flags, address, offset, size, link, info, _, _ in rows:
            end = names.find(b"\0", name)
            text = names[name : end if end >= 0 else name].decode("utf-8", "replace")
            found.append(Section(text, kind, flags, address, offset, size, link, info))
        return tuple(found)

    def section(self, name: str) -> Section | None:
        """The first section of this name that has bytes in the file."""
        for section in self.sections:
            if section.name == name and section.type != _SHT_NOBITS:
                return section
        return None

    def section_bytes(self, section: Section, most: int = 1 << 30) -> bytes:
        """The bytes of a section as they lie in the file. Raises Malformed for one outside it."""
        if section.offset + section.size > self.size or section.size > most:
            at = min(section.offset, self.size)
            raise Malformed(self.path, at, f"{section.size} bytes of {section.name}", "the end of the file")
        return bytes(self.raw[section.offset : section.offset + section.size])

    # notes

    def notes(self, section_name: str = "") -> Iterator[Note]:
        """The notes of one section, or of all note sections (of PT_NOTE segments in a file without sections)."""
        places = [
            (s.offset, s.size)
            for s in self.sections
            if s.type == _SHT_NOTE and (not section_name or s.name == section_name)
        ]
        if not places and not self.sections:
            places = [(s.offset, s.file_bytes) for s in self.segments if s.type == PT_NOTE]
        for offset, size in places:
            yield from self._notes_in(offset, size)

    def _notes_in(self, offset: int, size: int) -> Iterator[Note]:
        end = min(offset + min(size, NOTES_BYTES_MAX), self.size)
        try:
            yield from elf_notes.notes(self.raw, self.path, self.order, offset, end)
        except Malformed as error:
            if end - error.offset_bytes >= elf_notes.HEADER_BYTES:  # less is padding of the section
                self.damage.append(f"a note at byte {error.offset_bytes} is longer than its section")

    @cached_property
    def build_id(self) -> str:
        """The GNU build id in hex, "" without one."""
        named = self.notes(".note.gnu.build-id") if self.section(".note.gnu.build-id") else self.notes()
        for note in named:
            if note.name == b"GNU" and note.type == elf_notes.NT_GNU_BUILD_ID and note.content:
                return note.content.hex()
        return ""

    @cached_property
    def go_build_id(self) -> str:
        """The Go linker's own id, "" in other programs."""
        section = self.section(".note.go.buildid")
        if section is None:
            return ""
        return next((note.content.decode("utf-8", "replace") for note in self.notes(section.name)), "")

    @property
    def debuglink(self) -> tuple[str, int] | None:
        """(file name, CRC-32) of .gnu_debuglink; None without one."""
        section = self.section(".gnu_debuglink")
        if section is None or section.size > 4096:
            return None
        data = self.section_bytes(section)
        name, found, _ = data.partition(b"\0")
        at = len(name) + 4 & ~3
        if not found or at + 4 > len(data):
            return None
        return name.decode("utf-8", "replace"), unpack_from(self.order + "I", data, at)[0]

    @property
    def has_debug_info(self) -> bool:
        """The file holds DWARF of its own."""
        return self.section(".debug_info") is not None or self.section(".zdebug_info") is not None

    def mini_debug(self) -> UserImage | None:
        """The ELF file inside .gnu_debugdata; None without one. Raises Malformed for a broken or huge xz stream."""
        section = self.section(".gnu_debugdata")
        if section is None:
            return None
        import lzma

        data = self.section_bytes(section)
        try:
            unpacker = lzma.LZMADecompressor(memlimit=512 << 20)
            plain = unpacker.decompress(data, MINIDEBUG_BYTES_MAX)
        except (lzma.LZMAError, EOFError) as error:
            raise Malformed(self.path, section.offset, "an xz stream in .gnu_debugdata", str(error)[:60]) from None
        if not unpacker.eof:
            what = "its end" if len(plain) < MINIDEBUG_BYTES_MAX else f"more than {MINIDEBUG_BYTES_MAX >> 20} MiB"
            raise Malformed(self.path, section.offset, "a whole xz stream in .gnu_debugdata", what)
        return UserImage(plain, f"{self.path} (.gnu_debugdata)")

    # dynamic section

    @cached_property
    def dynamic(self) -> dict[int, list[int]]:
        """DT_* to values, of PT_DYNAMIC; empty in a static file."""
        found: dict[int, list[int]] = {}
        for segment in self.segments:
            if segment.type == PT_DYNAMIC:
                shape = self.order + ("II" if self.bits == 32 else "QQ")
                data = self.raw[segment.offset : segment.offset + min(segment.file_bytes, 1 << 16)]
                data = data[: len(data) - len(data) % calcsize(shape)]
                for tag, value in iter_unpack(shape, data):
                    if not tag:
                        return found
                    found.setdefault(tag, []).append(value)
        return found

    def _dynamic_name(self, at: int) -> str:
        strings = self.file_offset(self.dynamic.get(5, [0])[0])
        return self._text(strings + at, self.size) if strings is not None else ""

    @property
    def needed(self) -> tuple[str, ...]:
        """DT_NEEDED: the libraries that the loader brings."""
        return tuple(self._dynamic_name(at) for at in self.dynamic.get(1, [])[:1024])

    @property
    def soname(self) -> str:
        """DT_SONAME, "" without one."""
        return self._dynamic_name(self.dynamic[14][0]) if 14 in self.dynamic else ""

    @property
    def interpreter(self) -> str:
        """PT_INTERP: the loader's path; "" in static programs and libraries."""
        for segment in self.segments:
            if segment.type == PT_INTERP:
                return self._text(segment.offset, min(segment.offset + segment.file_bytes, self.size))
        return ""

    # symbols

    def _text(self, at: int, end: int) -> str:
        stop = self.raw.find(b"\0", at, min(end, at + NAME_BYTES_MAX))
        return self.raw[at:stop].decode("utf-8", "replace") if stop >= 0 else ""

    @cached_property
    def _tables(self) -> dict[str, _Table]:
        width = 16 if self.bits == 32 else 24
        found: dict[str, _Table] = {}
        for section in self.sections:
            name = {_SHT_DYNSYM: DYNSYM, _SHT_SYMTAB: SYMTAB}.get(section.type)
            if name is None or name in found:
                continue
            count = section.size // width
            if section.link >= len(self.sections) or section.offset + section.size > self.size:
                self.damage.append(f"{section.name} lies outside the file")
                continue
            names = self.sections[section.link]
            if count > SYMBOLS_MAX:
                self.damage.append(f"{section.name} has more than {SYMBOLS_MAX} symbols")
                count = SYMBOLS_MAX
            found[name] = _Table(section.offset, count, names.offset, min(names.offset + names.size, self.size))
        if DYNSYM not in found and (table := self._table_of_dynamic(width)) is not None:
            found[DYNSYM] = table
        return found

    def _table_of_dynamic(self, width: int) -> _Table | None:
        """The dynamic symbols of a file whose section headers are gone: from DT_SYMTAB up to DT_STRTAB."""
        symbols, strings = self.dynamic.get(6), self.dynamic.get(5)
        if self.sections or not symbols or not strings:
            return None
        start, names = self.file_offset(symbols[0]), self.file_offset(strings[0])
        if start is None or names is None:
            return None
        size = self.dynamic.get(10, [0])[0]
        count = self._count_of_hash(width, start, names)
        return _Table(start, count, names, min(names + size, self.size))

    def _count_of_hash(self, width: int, start: int, names: int) -> int:
        """The number of dynamic symbols: the names follow them in files of ld.bfd and gold; else by a hash table.

        Where nothing lies between symbols and names, a damaged hash table cannot hide a symbol.
        """
        most = min((self.size - start) // width, SYMBOLS_MAX)
        first, end = self.dynamic[6][0], self.dynamic[5][0]
        others = (value for tag in _TABLE_TAGS for value in self.dynamic.get(tag, ()))
        if names > start and not any(first < value < end for value in others):
            return min((names - start) // width, most)
        if (table := self.dynamic.get(4)) and (at := self.file_offset(table[0])) is not None and at + 8 <= self.size:
            return int(min(unpack_from(self.order + "II", self.raw, at)[1], most))
        return self._count_of_gnu_hash(most)

    def _count_of_gnu_hash(self, most: int) -> int:
        """One more than the last symbol that a chain of DT_GNU_HASH leads to; 0 where it tells nothing.

        elf/dl-lookup.c of glibc: the last chain begins at the greatest bucket, and ends with a hash whose lowest bit is
        set. A table that is cut off, or longer than the file has room for symbols, tells nothing.
        """
        table = self.dynamic.get(0x6FFFFEF5)
        at = self.file_offset(table[0]) if table else None
        if at is None or at + 16 > self.size:
            return 0
        buckets, first, bloom, _ = unpack_from(self.order + "IIII", self.raw, at)
        start = at + 16 + bloom * (self.bits // 8)
        chains = start + 4 * buckets
        if not buckets or chains > self.size:
            return 0
        last = max(number for (number,) in iter_unpack(self.order + "I", self.raw[start:chains]))
        if last < first:  # nothing is exported: the symbols are those that the file calls
            return int(min(first, most))
        place = chains + 4 * (last - first)
        word = Struct(self.order + "I").unpack_from
        for number in range(last, most):
            if place + 4 > self.size:
                return 0
            if word(self.raw, place)[0] & 1:
                return number + 1
            place += 4
        return 0

    @cached_property
    def _versions(self) -> tuple[bytes, dict[int, str]]:
        """(version index of each dynamic symbol, as it lies in the file, index to name)."""
        by_type = {s.type: s for s in self.sections} or self._version_tables()
        table = by_type.get(_SHT_VERSYM)
        if table is None:
            return b"", {}
        try:
            indexes = self.section_bytes(table, 2 * SYMBOLS_MAX)
            names: dict[int, str] = {}
            if (section := by_type.get(_SHT_VERDEF)) is not None:
                names.update(self._defined(section))
            if (section := by_type.get(_SHT_VERNEED)) is not None:
                names.update(self._wanted(section))
        except (Malformed, StructError) as error:
            self.damage.append(f"symbol versions: {error}")
            return b"", {}
        return indexes, names

    def _version_tables(self) -> dict[int, Section]:
        """The version tables of a file without section headers, by PT_DYNAMIC, as sections."""
        found: dict[int, Section] = {}
        total = self._tables[DYNSYM].symbols_total if DYNSYM in self._tables else 0
        for kind, tag, count_tag in (
            (_SHT_VERSYM, 0x6FFFFFF0, 0),
            (_SHT_VERDEF, 0x6FFFFFFC, 0x6FFFFFFD),
            (_SHT_VERNEED, 0x6FFFFFFE, 0x6FFFFFFF),
        ):
            at = self.file_offset(self.dynamic[tag][0]) if tag in self.dynamic else None
            if at is not None:
                size = min(2 * total, self.size - at) if kind == _SHT_VERSYM else 0
                found[kind] = Section("", kind, 0, 0, at, size, -1, self.dynamic.get(count_tag, [0])[0])
        return found

    def _strings_of(self, section: Section) -> tuple[int, int]:
        if section.link < 0 and DYNSYM in self._tables:  # made by _version_tables
            return self._tables[DYNSYM].names, self._tables[DYNSYM].names_end
        if section.link >= len(self.sections):
            raise Malformed(self.path, 0, "a section of version names", f"section {section.link}")
        names = self.sections[section.link]
        return names.offset, min(names.offset + names.size, self.size)

    def _defined(self, section: Section) -> Iterator[tuple[int, str]]:
        start, end = self._strings_of(section)
        at = section.offset
        for _ in range(min(section.info, 0x8000)):
            _, flags, index, _, _, first, step = unpack_from(self.order + "HHHHIII", self.raw, at)
            (name,) = unpack_from(self.order + "I", self.raw, at + first)
            if not flags & 1:  # VER_FLG_BASE is the file's own name
                yield index & 0x7FFF, self._text(start + name, end)
            if not step:
                return
            at += step

    def _wanted(self, section: Section) -> Iterator[tuple[int, str]]:
        start, end = self._strings_of(section)
        at = section.offset
        for _ in range(min(section.info, 0x8000)):
            _, count, _, first, step = unpack_from(self.order + "HHIII", self.raw, at)
            one = at + first
            for _ in range(min(count, 0x8000)):
                _, _, index, name, next_one = unpack_from(self.order + "IHHII", self.raw, one)
                yield index & 0x7FFF, self._text(start + name, end)
                if not next_one:
                    break
                one += next_one
            if not step:
                return
            at += step

    def _rows(self, table: _Table) -> Iterator[tuple[int, int, int, int, int]]:
        """(st_name, st_value, st_size, st_info, st_shndx) of every symbol."""
        width = 16 if self.bits == 32 else 24
        data = self.raw[table.start : table.start + table.symbols_total * width]
        data = data[: len(data) - len(data) % width]
        if self.bits == 32:
            for name, value, size, info, _, section in iter_unpack(self.order + "IIIBBH", data):
                yield name, value, size, info, section
        else:
            for name, info, _, section, value, size in iter_unpack(self.order + "IBBHQQ", data):
                yield name, value, size, info, section

    def _made(self, number: int, row: tuple[int, int, int, int, int], text: str, where: str) -> Symbol:
        _, value, size, info, section = row
        version, is_default = "", True
        if where == DYNSYM:
            indexes, names = self._versions
            if 2 * number + 2 <= len(indexes):
                (index,) = unpack_from(self.order + "H", indexes, 2 * number)
                version, is_default = names.get(index & 0x7FFF, ""), not index & _HIDDEN
        else:  # the linker keeps versions in the name of a .symtab symbol
            text, at, version = text.partition("@")
            is_default = not at or version.startswith("@") or not version
            version = version.removeprefix("@")
        return Symbol(text, value, size, info & 15, info >> 4, section, where, version, is_default)

    def symbols(self, functions_only: bool = True) -> Iterator[Symbol]:
        """Every symbol defined in this file, of .dynsym first, then of .symtab."""
        for where, table in self._tables.items():
            blob = self.raw[table.names : table.names_end]
            for number, row in enumerate(self._rows(table)):
                if not row[4] or (functions_only and row[3] & 15 not in (STT_FUNC, STT_GNU_IFUNC)):
                    continue
                end = blob.find(b"\0", row[0])
                if end > row[0]:
                    text = blob[row[0] : min(end, row[0] + NAME_BYTES_MAX)].decode("utf-8", "replace")
                    yield self._made(number, row, text, where)

    def sizes(self) -> dict[int, int]:
        """Address to size of every function, without names: a tenth of what `symbols` costs."""
        return {
            value: size
            for table in self._tables.values()
            for _, value, size, info, section in self._rows(table)
            if section and size and info & 15 == STT_FUNC
        }

    def names_of(self, where: str, numbers: frozenset[int]) -> dict[int, str]:
        """The names of the symbols with these numbers in one table (dynsym, symtab); those it has not are left out."""
        table = self._tables.get(where)
        if table is None:
            return {}
        width = 16 if self.bits == 32 else 24
        found = {}
        for number in numbers:
            at = table.start + number * width
            if 0 < number < table.symbols_total and at + width <= self.size:
                (name,) = unpack_from(self.order + "I", self.raw, at)
                found[number] = self._text(table.names + name, table.names_end)
        return found

    def named(self, name: str, with_versions: bool = True) -> list[Symbol]:
        """The symbols of exactly this bare name (any version), imports too, in the tables' order."""
        found: list[Symbol] = []
        for where, table in self._tables.items():
            places = self._places(table, name, where == SYMTAB and with_versions)
            for number, at in sorted(self._rows_naming(table, places)):
                found.append(self._made(number, self._row(table, number), places[at], where))
        return found

    def _rows_naming(self, table: _Table, places: Collection[int]) -> Iterator[tuple[int, int]]:
        """(number, st_name) of the symbols whose st_name is one of these, found by a search for its four bytes.

        It finds what a walk of the table finds, for a fiftieth of the cost; a hash table, which may lie, is not asked.
        """
        width = 16 if self.bits == 32 else 24
        end = min(table.start + table.symbols_total * width, self.size)
        end -= (end - table.start) % width
        order = "little" if self.order == "<" else "big"
        for at in places:
            if at >= 1 << 32:
                continue
            text, place = at.to_bytes(4, order), table.start - 1  # type: ignore[arg-type]
            while (place := self.raw.find(text, place + 1, end)) >= 0:
                if (place - table.start) % width == 0:
                    yield (place - table.start) // width, at

    def _row(self, table: _Table, number: int) -> tuple[int, int, int, int, int]:
        """As one of `_rows`."""
        if self.bits == 32:
            name, value, size, info, _, section = unpack_from(
                self.order + "IIIBBH", self.raw, table.start + 16 * number
            )
        else:
            name, info, _, section, value, size = unpack_from(
                self.order + "IBBHQQ", self.raw, table.start + 24 * number
            )
        return name, value, size, info, section

    def named_any(self, names: Collection[str]) -> list[Symbol]:
        """The symbols of these bare names, imports too, in the tables' order; each table is read once."""
        found: list[Symbol] = []
        for where, table in self._tables.items():
            places: dict[int, str] = {}
            for name in names:
                places |= self._places(table, name, False)
            for number, at in sorted(self._rows_naming(table, places)):
                found.append(self._made(number, self._row(table, number), places[at], where))
        return found

    def _places(self, table: _Table, name: str, with_versions: bool) -> dict[int, str]:
        """Offsets in the table of names at which the name (also the tail of a longer one) begins."""
        places: dict[int, str] = {}
        for ending in (b"\0", b"@") if with_versions else (b"\0",):
            text, at = name.encode("utf-8", "surrogateescape") + ending, table.names
            while (at := self.raw.find(text, at, table.names_end)) >= 0:
                places[at - table.names] = self._text(at, table.names_end) if ending == b"@" else name
                at += 1
        return places

    @property
    def has_symbol_table(self) -> bool:
        """.symtab is there: the file is not stripped."""
        return SYMTAB in self._tables

    @property
    def names_from(self) -> tuple[str, ...]:
        """The symbol tables of this file: dynsym, symtab."""
        return tuple(self._tables)


def _shown(data: bytes) -> str:
    return repr(bytes(data))[1:] if data else ""
