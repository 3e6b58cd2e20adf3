"""An ELF file as its sections: vmlinux, .ko, .ko.debug, files of debug symbols and user programs.

Formats: elf(5); compressed sections of the gABI (Elf64_Chdr) and the older .zdebug_ ("ZLIB" and a size);
.gnu_debuglink and .gnu_debugaltlink of binutils and dwz. Headers, symbols and relocations, of which there are
hundreds of thousands, are read here as tables; pyelftools, whose import costs as much as an answer, says what is wrong
with a header that is not taken.

Sections of an ET_REL file have no addresses. They get addresses of our own numbering, one after the other,
so that a number is enough to name a place; `place_of` turns it back into section and offset.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import compress, pairwise
from struct import calcsize, pack_into, unpack_from
from struct import error as StructError

from ...errors import Malformed
from ...named_tuple import NamedTuple
from . import notes as elf_notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from mmap import mmap

UNPACKED_BYTES_MAX = 2 << 30  # .debug_info of a clang kernel is about 0.5 GB
_ZLIB_RATIO_MAX = 1100  # deflate cannot do better than 1032
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ET_REL = 1
_SHT_SYMTAB, _SHT_RELA, _SHT_NOTE, _SHT_NOBITS, _SHT_REL, _SHT_DYNSYM = 2, 4, 7, 8, 9, 11
_SHF_ALLOC, _SHF_EXECINSTR, _SHF_COMPRESSED = 2, 4, 0x800
_SHN_LORESERVE = 0xFF00
_STT_NOTYPE = 0
_FUNCTION_BIT = 1 << 32  # of Symbols._keys
_STT_CODE = (_STT_NOTYPE, 2, 10)  # STT_FUNC, STT_GNU_IFUNC
_FIRST_PLACE = 1 << 20  # our own numbering of ET_REL files starts here; zero stays "nowhere"

# Widths in bytes of the plain relocations (S + A) that debug sections carry, by e_machine.
_WIDTHS = {
    3: {1: 4},  # R_386_32
    20: {1: 4},  # R_PPC_ADDR32
    21: {1: 4, 38: 8},  # R_PPC64_ADDR32, ADDR64
    22: {4: 4, 22: 8},  # R_390_32, R_390_64
    40: {2: 4},  # R_ARM_ABS32
    62: {1: 8, 10: 4, 11: 4, 17: 8, 21: 4},  # R_X86_64_64, 32, 32S, DTPOFF64, DTPOFF32
    183: {257: 8, 258: 4},  # R_AARCH64_ABS64, ABS32
    243: {1: 4, 2: 8},  # R_RISCV_32, 64
    258: {1: 4, 2: 8},  # R_LARCH_32, 64
}
# Relocations that add to or subtract from what is there (linker relaxation): type to (width, sign).
_SUMS = {
    243: {33: (1, 1), 34: (2, 1), 35: (4, 1), 36: (8, 1), 37: (1, -1), 38: (2, -1), 39: (4, -1), 40: (8, -1)},
    258: {47: (1, 1), 48: (2, 1), 50: (4, 1), 51: (8, 1), 52: (1, -1), 53: (2, -1), 55: (4, -1), 56: (8, -1)},
}
_NONE = 0  # R_*_NONE everywhere
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Section(NamedTuple):
    """One section header; `address` is sh_addr, in ET_REL files a number of our own."""

    number: int
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    entry_bytes: int


class Region(NamedTuple):
    """Bytes of a section: `raw[start:end]`. `raw` is the whole file, or what was unpacked (then start is 0)."""

    raw: bytes | mmap
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


EMPTY = Region(b"", 0, 0)


class Relocations(NamedTuple):
    """The relocations of one section in order of place: parallel tables. `addends` is None for SHT_REL."""

    places: list[int]
    types: list[int]
    symbols: list[int]
    addends: list[int] | None


class ElfImage:
    """The sections of one file. `raw` is bytes or an mmap; nothing is copied or unpacked before it is asked for.

    `path` names the file in errors.
    """

    def __init__(self, raw: bytes | mmap, path: str) -> None:
        """Reads the headers. Raises Malformed if they are not those of an ELF file."""
        self.raw, self.path = raw, path
        head = bytes(raw[:64])
        self.bits = {1: 32, 2: 64}.get(head[4] if len(head) > 5 and head[:4] == b"\x7fELF" else 0, 0)
        self.is_little = bool(self.bits) and head[5] == 1
        if not self.bits or head[5] not in (1, 2) or len(head) < (52 if self.bits == 32 else 64):
            raise Malformed(path, 0, "an ELF header", _why_refused(head))
        self.order = "<" if self.is_little else ">"
        self.type, self.machine = unpack_from(self.order + "HH", raw, 16)
        self.is_relocatable = self.type == _ET_REL
        shape = self.order + ("8xI10xHHH" if self.bits == 32 else "16xQ10xHHH")
        table, entry_bytes, entries, names_at = unpack_from(shape, head, 24)
        fields = self.order + ("IIIIIIIIII" if self.bits == 32 else "IIQQQQIIQQ")
        headers = []
        if table:
            if entry_bytes < calcsize(fields) or table + entry_bytes > len(raw):
                raise Malformed(path, min(table, len(raw)), "a table of section headers", "the end of the file")
            first = unpack_from(fields, raw, table)
            entries = entries or first[5]  # e_shnum and e_shstrndx overflow into the first header
            names_at = first[6] if names_at == 0xFFFF else names_at
            if table + entry_bytes * entries > len(raw):
                raise Malformed(path, len(raw), f"{entries} section headers", "the end of the file")
            headers = [unpack_from(fields, raw, table + entry_bytes * i) for i in range(entries)]
        self.sections = self._named(headers, names_at)
        self._by_name: dict[str, Section] = {}
        for section in self.sections:
            self._by_name.setdefault(section.name, section)
        self._regions: dict[int, Region] = {}
        # By a section's number: those that were unpacked here, and what was given unpacked.
        self.inflated: set[int] = set()
        self.given: dict[int, Callable[[], Region | None]] = {}
        self._relocations: dict[int, Relocations | None] = {}
        self._symbols: Symbols | None = None

    def _named(self, headers: list[tuple[int, ...]], names_at: int) -> tuple[Section, ...]:
        names = b""
        if 0 < names_at < len(headers):
            offset, size = headers[names_at][4:6]
            names = self.raw[offset : offset + size]
        next_place, sections = _FIRST_PLACE, []
        for index, (name, kind, flags, address, offset, size, link, info, align, entry) in enumerate(headers):
            end = names.find(b"\0", name)
            text = names[name : end if end >= 0 else name].decode("utf-8", "replace")
            if self.is_relocatable and flags & _SHF_ALLOC:
                align = align if 0 < align <= 1 << 20 else 1
                address = (next_place + align - 1) // align * align
                next_place = address + size + 16
            sections.append(Section(index, text, kind, flags, address, offset, size, link, info, entry))
        return tuple(sections)

    def section(self, name: str) -> Section | None:
        """The first section of this name; `.debug_x` also finds `.zdebug_x`. None if there is none."""
        found = self._by_name.get(name)
        if found is None and name.startswith(".debug_"):
            found = self._by_name.get(".z" + name[1:])
        return found

    def region(self, name: str) -> Region:
        """The bytes of a section, unpacked; empty if the file has none, or holds only its header (SHT_NOBITS).

        Relocations are not applied. Raises Malformed for a section outside the file or a broken packing.
        """
        section = self.section(name)
        return self.region_of(section) if section else EMPTY

    def region_of(self, section: Section) -> Region:
        """As `region`, of this section."""
        if section.type == _SHT_NOBITS or not section.size:
            return EMPTY
        found = self._regions.get(section.number)
        if found is None:
            if section.offset + section.size > len(self.raw):
                at = min(section.offset, len(self.raw))
                raise Malformed(self.path, at, f"{section.size} bytes of {section.name}", "the end of the file")
            if section.flags & _SHF_COMPRESSED or section.name.startswith(".zdebug_"):
                given = self.given.get(section.number)
                found = given() if given is not None else None
                if found is None:
                    data = self._unpacked(section)
                    found = Region(data, 0, len(data))
                    self.inflated.add(section.number)
            else:
                found = Region(self.raw, section.offset, section.offset + section.size)
            self._regions[section.number] = found
        return found

    def forget(self, region: Region, start: int, end: int) -> None:
        """Take bytes [start, end) of a region out of this process's memory, if they are mapped from a file."""
        import mmap

        raw = region.raw
        if isinstance(raw, mmap.mmap):
            page = mmap.PAGESIZE
            first, last = -(-(region.start + start) // page) * page, (region.start + end) // page * page
            if first < last:
                raw.madvise(mmap.MADV_DONTNEED, first, last - first)

    def _unpacked(self, section: Section) -> bytes:
        at, end = section.offset, section.offset + section.size
        try:
            if not section.flags & _SHF_COMPRESSED:
                if self.raw[at : at + 4] != b"ZLIB":
                    raise Malformed(self.path, at, f"ZLIB at the start of {section.name}", repr(self.raw[at : at + 4]))
                kind, (size,), at = 1, unpack_from(">Q", self.raw, at + 4), at + 12
            elif self.bits == 64:
                kind, _, size = unpack_from(self.order + "IIQ", self.raw, at)
                at += 24
            else:
                kind, size = unpack_from(self.order + "II", self.raw, at)
                at += 12
        except StructError:
            raise Malformed(self.path, at, f"a compression header of {section.name}", "the end of the file") from None
        if size > UNPACKED_BYTES_MAX or (kind == 1 and size > (end - at) * _ZLIB_RATIO_MAX) or at > end:
            raise Malformed(self.path, at, f"a believable size of {section.name} unpacked", f"{size} bytes")
        packed = self.raw[at:end]
        if kind == 1:
            data = self._inflated(packed, size, at)
        elif kind == 2:
            from .kernel_image import unpack

            if packed[:4] != _ZSTD_MAGIC:
                raise Malformed(self.path, at, f"a zstd frame of {section.name}", repr(packed[:4]))
            data = unpack(packed, self.path, size)
        else:
            raise Malformed(self.path, section.offset, "zlib or zstd compression", f"type {kind}")
        if len(data) != size:
            raise Malformed(self.path, at, f"{size} bytes of {section.name} unpacked", f"{len(data)}")
        return data

    def _inflated(self, packed: bytes, size: int, at: int) -> bytes:
        import zlib

        try:
            inflater = zlib.decompressobj()
            return inflater.decompress(packed, size + 1) if size else b""
        except zlib.error as error:
            raise Malformed(self.path, at, "a whole zlib stream", str(error)[:80]) from None

    @property
    def build_id(self) -> str:
        """The GNU build id in hex; "" if the file has none. Raises Malformed."""
        for section in self.sections:
            if section.type == _SHT_NOTE and section.name in (".note.gnu.build-id", ".notes"):
                region = self.region_of(section)
                found = elf_notes.build_id(region.raw[region.start : region.end], self.path)
                if found:
                    return found
        return ""

    @property
    def supplement(self) -> tuple[str, str] | None:
        """(path, build id in hex) of the dwz file that .gnu_debugaltlink names; None if there is none."""
        region = self.region(".gnu_debugaltlink")
        name, found, build_id = region.raw[region.start : region.end].partition(b"\0")
        return (name.decode("utf-8", "replace"), build_id.hex()) if found else None

    def place_of(self, address: int) -> tuple[str, int]:
        """(section, offset in it) of an address; ("", address) if no section that is loaded holds it."""
        for section in self.sections:
            if section.flags & _SHF_ALLOC and section.address <= address < section.address + section.size:
                return section.name, address - section.address
        return "", address

    @property
    def symbols(self) -> Symbols:
        """The code symbols of .symtab, or of .dynsym where the file has no other. Raises Malformed."""
        if self._symbols is None:
            self._symbols = Symbols(self)
        return self._symbols

    def relocations(self, name: str) -> Relocations | None:
        """The relocations of an ET_REL file's section; None if it has none. Raises Malformed."""
        target = self.section(name)
        if target is None or not self.is_relocatable:
            return None
        if target.number not in self._relocations:
            tables = [s for s in self.sections if s.type in (_SHT_RELA, _SHT_REL) and s.info == target.number]
            self._relocations[target.number] = self._read_relocations(tables[0]) if tables else None
        return self._relocations[target.number]

    def _read_relocations(self, section: Section) -> Relocations:
        region = self.region_of(section)
        words = _words(region, "Q" if self.bits == 64 else "I", self.is_little)
        stride = 3 if section.type == _SHT_RELA else 2
        count = len(words) // stride
        places, infos = words[0 : count * stride : stride].tolist(), words[1 : count * stride : stride].tolist()
        shift, mask = (32, 0xFFFFFFFF) if self.bits == 64 else (8, 0xFF)
        addends = None
        if stride == 3:
            half = 1 << self.bits - 1
            addends = [a - 2 * half if a >= half else a for a in words[2 : count * 3 : 3].tolist()]
        types, symbols = [info & mask for info in infos], [info >> shift for info in infos]
        if any(a > b for a, b in pairwise(places)):
            order = sorted(range(count), key=places.__getitem__)  # stable: sums at one place keep their order
            places, types = [places[i] for i in order], [types[i] for i in order]
            symbols = [symbols[i] for i in order]
            addends = [addends[i] for i in order] if addends is not None else None
        return Relocations(places, types, symbols, addends)

    def relocated(self, name: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of a section with its relocations applied; plain bytes where there are none.

        Raises Malformed for a relocation of a kind that does not belong into debug sections.
        """
        region = self.region(name)
        plain = region.raw[region.start + start : region.start + end]
        table = self.relocations(name)
        if table is None:
            return plain
        low, high = bisect_left(table.places, start), bisect_left(table.places, end)
        if low == high:
            return plain
        wanted = len(plain)
        after = min(region.start + end + 8, region.end)  # the last relocation may reach beyond the bytes asked for
        patched = bytearray(region.raw[region.start + start : after])
        widths, sums = _WIDTHS.get(self.machine, {}), _SUMS.get(self.machine, {})
        values = self.symbols.values
        for i in range(low, high):
            kind = table.types[i]
            sign = 0
            width = widths.get(kind, 0)
            if not width:
                if kind == _NONE:
                    continue
                width, sign = sums.get(kind, (0, 0))
            at = table.places[i] - start
            if not width or table.symbols[i] >= len(values) or at + width > len(patched):
                at = region.start + table.places[i]
                raise Malformed(self.path, at, f"a relocation of {name} that is known", f"type {kind}")
            value = values[table.symbols[i]]
            code = self.order + _CODES[width]
            if table.addends is not None:
                value += table.addends[i]
            if table.addends is None or sign:
                (there,) = unpack_from(code, patched, at)
                value = there + value if sign >= 0 else there - value
            pack_into(code, patched, at, value & (1 << 8 * width) - 1)
        return bytes(patched[:wanted])


_AARCH64, _PATCHABLE_BYTES = 183, 8


class Symbols:
    """The symbols that name code: functions, and labels without a type. Names are read when they are asked for."""

    def __init__(self, image: ElfImage) -> None:
        self._image = image
        tables = {s.type: s for s in reversed(image.sections) if s.type in (_SHT_SYMTAB, _SHT_DYNSYM)}
        section = tables.get(_SHT_SYMTAB) or tables.get(_SHT_DYNSYM)
        self.is_whole = section is not None and section.type == _SHT_SYMTAB  # not of the linker's dynamic names alone
        self.values: Sequence[int] = []  # of every symbol, by its number; with its section's address in ET_REL files
        self._heads: Sequence[int] = []
        self._kinds: list[int] = []
        self._strings = EMPTY
        # One number a symbol of code, in order: address << 33, is it a function << 32, position in the table. At one
        # address functions come last, so that a search from the right meets them first.
        self._keys: list[int] = []
        self._sizes: Sequence[int] = []
        if section is None:
            return
        sections = image.sections
        if section.link < len(sections):
            self._strings = image.region_of(sections[section.link])
        heads = self._read(image.region_of(section))
        if image.is_relocatable:
            addresses = [s.address for s in sections]
            count = len(addresses)
            self.values = [
                value + addresses[head >> 48] if 0 < head >> 48 < count else value
                for value, head in zip(self.values, heads, strict=True)
            ]
        code = {s.number for s in sections if s.flags & _SHF_EXECINSTR}
        # Kinds and sections, without names, are few: the slow tests are made once for each.
        kinds = self._kinds or [head >> 32 for head in heads]
        self._kinds = []
        wanted = {kind for kind in set(kinds) if kind >> 16 in code and kind & 15 in _STT_CODE}
        chosen = list(compress(range(len(heads)), map(wanted.__contains__, kinds)))
        values = self.values
        self._keys = [
            values[i] << 33 | _FUNCTION_BIT | i if heads[i] >> 32 & 15 != _STT_NOTYPE else values[i] << 33 | i
            for i in chosen
            if heads[i] & 0xFFFFFFFF
        ]
        self._keys.sort()
        self._heads = heads

    def _read(self, region: Region) -> Sequence[int]:
        """Of every symbol st_name, st_info << 32 and st_shndx << 48, as 64-bit little-endian files hold them."""
        image = self._image
        if image.bits == 64:
            words = _words(region, "Q", image.is_little)
            count = len(words) // 3
            heads, self.values, self._sizes = (words[i : count * 3 : 3] for i in range(3))
            if image.is_little:
                if isinstance(words, memoryview):  # the upper half of each head, as it lies there
                    self._kinds = words.cast("B")[: count * 24].cast("I")[1::6].tolist()
                return heads
            return [head >> 32 | (head >> 24 & 0xFF) << 32 | (head & 0xFFFF) << 48 for head in heads]
        words = _words(region, "I", image.is_little)
        count = len(words) // 4
        names, rest = words[0 : count * 4 : 4].tolist(), words[3 : count * 4 : 4].tolist()
        self.values, self._sizes = words[1 : count * 4 : 4].tolist(), words[2 : count * 4 : 4].tolist()
        if image.is_little:
            return [name | (word & 0xFF) << 32 | word >> 16 << 48 for name, word in zip(names, rest, strict=True)]
        return [name | (word >> 24) << 32 | (word & 0xFFFF) << 48 for name, word in zip(names, rest, strict=True)]

    def _name(self, index: int) -> str:
        strings = self._strings
        at = strings.start + (self._heads[index] & 0xFFFFFFFF)
        end = strings.raw.find(b"\0", at, strings.end)
        return strings.raw[at:end].decode("utf-8", "replace") if at < end else ""

    def at(self, address: int) -> tuple[str, ...]:
        """Names of the symbols that start at this address, functions first; empty if there are none."""
        low, high = self._span(address)
        return tuple(self._name(key & 0xFFFFFFFF) for key in reversed(self._keys[low:high]))

    def entry(self, address: int) -> int:
        """Where the function begins whose code debug information begins at an address.

        GCC before 13 puts DW_AT_low_pc behind the no-ops of -fpatchable-function-entry, which begin at the symbol: two
        instructions in arm64's kernels up to 6.1 (measured: all 47,000 functions of Debian's 6.1).
        """
        low, high = self._span(address)
        if low != high or self._image.machine != _AARCH64:
            return address
        found = self.holding(address)
        return found[0] if found is not None and address - found[0] == _PATCHABLE_BYTES else address

    def _span(self, address: int) -> tuple[int, int]:
        """Where in `_keys` the symbols at an address begin and end."""
        low = bisect_left(self._keys, address << 33)
        return low, bisect_left(self._keys, address + 1 << 33, low)

    def holding(self, address: int) -> tuple[int, tuple[str, ...]] | None:
        """(start, names) of the function that holds the address; None if no symbol does.

        A function counts by its size. Where none covers the address, the nearest symbol before it in the same
        section does, as in the kernel's own table, which knows no sizes.
        """
        keys = self._keys
        near = bisect_left(keys, address + 1 << 33) - 1
        for i in range(near, max(near - 64, -1), -1):
            key = keys[i]
            if key & _FUNCTION_BIT and address < (key >> 33) + self._sizes[key & 0xFFFFFFFF]:
                return key >> 33, self.at(key >> 33)
        if near < 0 or self._image.place_of(keys[near] >> 33)[0] != self._image.place_of(address)[0]:
            return None
        return keys[near] >> 33, self.at(keys[near] >> 33)

    def covering(self, address: int) -> tuple[int, tuple[str, ...]] | None:
        """As `holding`, by sizes alone: the nearest symbol before is taken only where it begins at the address."""
        found = self.holding(address)
        if found is None or found[0] == address:
            return found
        low, high = self._span(found[0])
        ends = (found[0] + self._sizes[key & 0xFFFFFFFF] for key in self._keys[low:high] if key & _FUNCTION_BIT)
        return found if any(address < end for end in ends) else None

    def is_between(self, address: int) -> bool:
        """No function covers the address, and the table would tell: it is whole, and the symbol before has a size."""
        near = bisect_left(self._keys, address + 1 << 33) - 1
        if not self.is_whole or near < 0 or self.covering(address) is not None:
            return False
        low, high = self._span(self._keys[near] >> 33)
        return all(self._sizes[key & 0xFFFFFFFF] for key in self._keys[low:high])

    def named(self, name: str) -> tuple[int, ...]:
        """Addresses of the code symbols of exactly this name, in order; empty if there are none."""
        return self.named_each((name,))[name]

    def named_each(self, wanted: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """As `named`, for several names in one pass."""
        strings = self._strings
        places: dict[int, str] = {}
        found: dict[str, set[int]] = {}
        for name in wanted:
            found[name] = set()
            text, at = name.encode() + b"\0", strings.start
            while (at := strings.raw.find(text, at, strings.end)) >= 0:
                places[at - strings.start] = name
                at += 1
        if places:
            heads = self._heads
            for key in self._keys:
                name_at = heads[key & 0xFFFFFFFF] & 0xFFFFFFFF
                if name_at in places:
                    found[places[name_at]].add(key >> 33)
        return {name: tuple(sorted(addresses)) for name, addresses in found.items()}

    def table(self) -> dict[str, tuple[int, ...]]:
        """Addresses of all code symbols, by name."""
        found: dict[str, list[int]] = {}
        for key in self._keys:
            found.setdefault(self._name(key & 0xFFFFFFFF), []).append(key >> 33)
        return {name: tuple(sorted(set(addresses))) for name, addresses in found.items()}


def _why_refused(head: bytes) -> str:
    """What is wrong with a file header, in pyelftools' words."""
    from io import BytesIO

    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        ELFFile(BytesIO(head))
    except (ELFError, StructError, ValueError) as error:
        return str(error)[:60]
    return ""


def _words(region: Region, code: str, is_little: bool) -> memoryview | array[int]:
    """A region as unsigned integers of the file's byte order; a last one that is cut off is left out."""
    import sys

    size = 8 if code == "Q" else 4
    data = region.raw[region.start : region.end - region.size % size]
    if is_little == (sys.byteorder == "little"):
        return memoryview(data).cast("Q" if code == "Q" else "I")
    # array("I") and array("Q") have 4 and 8 bytes wherever CPython runs.
    swapped = array(code, data)
    swapped.byteswap()
    return swapped
