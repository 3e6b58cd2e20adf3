"""The units of one file's .debug_info (DWARF 5, 7.5.1) and what their entries refer to.

A `DebugFile` holds the sections of an ElfImage, and the supplementary file of dwz if the file has one and the caller
found it. Offsets are into .debug_info; an offset plus `ALT` is into the supplementary file's.
"""

from __future__ import annotations

from bisect import bisect_right
from struct import Struct, unpack_from
from struct import error as StructError

from ...errors import Malformed
from . import names as n
from .abbrev import ALT, LINE, NOT_READ, SIGNATURE, Abbrev, Abbrevs, Shape, UnknownForm, uleb, value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..elf.image import ElfImage

_DW64 = 0xFFFFFFFF
_HEADER_BYTES_MAX = 64
_UNREADABLE = (IndexError, ValueError, StructError)


class Unit:
    """One unit: `[start, end)` in .debug_info, `first` is the offset of its first entry within the unit."""

    __slots__ = (
        *("file", "start", "end", "version", "kind", "shape", "first", "abbrev_offset", "_data", "_abbrevs", "_root"),
        "files",
    )

    def __init__(self, file: DebugFile, start: int, end: int, offset_bytes: int, header: bytes) -> None:
        """Reads the header. Raises Malformed for a version that is none of 2 to 5."""
        self.file, self.start, self.end = file, start, end
        order = "<" if file.is_little else ">"
        code = order + ("Q" if offset_bytes == 8 else "I")
        at = 12 if offset_bytes == 8 else 4
        try:
            (self.version,) = unpack_from(order + "H", header, at)
            at += 2
            if not 2 <= self.version <= 5:
                raise Malformed(file.path, start, "a unit of DWARF 2 to 5 in .debug_info", f"version {self.version}")
            if self.version == 5:
                self.kind, address_bytes = header[at], header[at + 1]
                (self.abbrev_offset,) = unpack_from(code, header, at + 2)
                at += 2 + offset_bytes
                if self.kind in (n.UT_SKELETON, n.UT_SPLIT_COMPILE):
                    at += 8
                elif self.kind in (n.UT_TYPE, n.UT_SPLIT_TYPE):
                    at += 8 + offset_bytes
            else:
                self.kind = n.UT_COMPILE
                (self.abbrev_offset,) = unpack_from(code, header, at)
                address_bytes = header[at + offset_bytes]
                at += offset_bytes + 1
        except (StructError, IndexError):
            raise Malformed(file.path, start, "a unit's header in .debug_info", "the end of the section") from None
        if address_bytes not in (2, 4, 8):
            raise Malformed(file.path, start, "addresses of 2, 4 or 8 bytes", f"{address_bytes}")
        self.shape, self.first = Shape(file.is_little, address_bytes, offset_bytes, self.version), at
        self._data: bytes | None = None
        self._abbrevs: dict[int, Abbrev] | None = None
        self._root: dict[int, Any] | None = None
        self.files: Any = NOT_READ  # the line table's, kept by lines.py

    @property
    def data(self) -> bytes:
        """The unit's bytes, relocated; kept until `forget`."""
        if self._data is None:
            self._data = self.file.image.relocated(".debug_info", self.start, self.end)
        return self._data

    def forget(self) -> None:
        """Give the bytes back; they are read again when they are needed."""
        self._data = None

    @property
    def abbrevs(self) -> dict[int, Abbrev]:
        """The unit's abbreviations by number. Raises Malformed."""
        if self._abbrevs is None:
            self._abbrevs = self.file.abbrevs.table(self.abbrev_offset, self.shape)
        return self._abbrevs

    def malformed(self, at: int, expected: str, found: str = "") -> Malformed:
        """The error for a byte of this unit; `at` counts from the unit's start."""
        return Malformed(self.file.path, self.start + max(at, 0), expected + " in .debug_info", found)

    def entry(self, at: int) -> tuple[Abbrev | None, dict[int, Any], int]:
        """(abbreviation, attributes, end) of the entry at `at` in the unit; a null entry has no abbreviation.

        Values are as readers give them, blocks are bytes. Raises Malformed.
        """
        data = self.data
        start = at
        try:
            number, at = uleb(data, at)
            if not number:
                return None, {}, at
            abbrev = self.abbrevs.get(number)
            if abbrev is None:
                raise self.malformed(start, "an entry whose abbreviation exists", f"number {number}")
            values: dict[int, Any] = {}
            for attribute in abbrev.attributes:
                value, at = value_of(attribute, data, at, self.start, self.shape)
                if type(value) is int or attribute.name not in n.NUMBERS:
                    values.setdefault(attribute.name, value)
        except UnknownForm as error:
            raise self.malformed(start, "an attribute of a known form", str(error)) from None
        except _UNREADABLE as error:
            raise self.malformed(start, "a whole entry", str(error)[:60]) from None
        return abbrev, values, at

    @property
    def root(self) -> dict[int, Any]:
        """The attributes of the unit's own entry; empty if it has none. Raises Malformed."""
        if self._root is None:
            self._root = self.entry(self.first)[1] if self.first < self.end - self.start else {}
        return self._root

    @property
    def is_c(self) -> bool:
        """The unit's language is C, so that its types hold no functions."""
        return self.root.get(n.AT_LANGUAGE) in n.LANGUAGES_C

    @property
    def name(self) -> str:
        """The source file the unit was compiled from, "" for a partial unit."""
        return self.text(self.root.get(n.AT_NAME))

    def text(self, value: Any) -> str:
        """The text of a name's value, "" for None. Raises Malformed."""
        raw = self.raw_text(value)
        return raw.decode("utf-8", "replace")

    def raw_text(self, value: Any) -> bytes:
        """As `text`, not decoded."""
        if value is None:
            return b""
        if isinstance(value, bytes):
            return value
        file = self.file
        if value >= ALT:
            return file.supplement.string(value - ALT) if file.supplement else b""
        if value >= LINE:
            return file.string(value - LINE, ".debug_line_str")
        if value >= 0:
            return file.string(value)
        size = self.shape.offset_bytes
        base = self.root.get(n.AT_STR_OFFSETS_BASE, 0 if self.version < 5 else 8 if size == 4 else 16)
        return file.string(file.number(".debug_str_offsets", base + (-1 - value) * size, size))

    def address(self, value: int | None) -> int | None:
        """The address of a value, looked up in .debug_addr where it is an index. Raises Malformed."""
        if value is None or value >= 0:
            return value
        size = self.shape.address_bytes
        base = self.root.get(n.AT_ADDR_BASE, self.root.get(n.AT_GNU_ADDR_BASE, 0))
        return self.file.number(".debug_addr", base + (-1 - value) * size, size)


class DebugFile:
    """The debug information of one ELF file. `supplement` is the file that .gnu_debugaltlink names, if it was found.

    Reads only the units' headers at first. Raises Malformed, at once or from any question, for bytes that are no DWARF.
    """

    def __init__(self, image: ElfImage, supplement: DebugFile | None = None) -> None:
        self.image, self.path, self.supplement = image, image.path, supplement
        self.is_little = image.is_little
        self.info = image.region(".debug_info")
        self._strings: dict[str, Any] = {}
        self._data: dict[str, bytes] = {}
        self._abbrevs: Abbrevs | None = None
        self._is_merged: bool | None = None
        self.refers_far: bool | None = None  # search.refers_far keeps its answer here
        self.entered: dict[int, int | None] = {}  # by_address.function_at keeps its answers here
        self.last_walk: tuple[int, Any] | None = None  # walk.walked: the start of one unit, and what it holds
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._wide: set[int] = set()  # starts of units of 64-bit DWARF
        self._known: dict[int, Unit] = {}
        self._units: list[Unit] | None = None
        self._find_units()

    @property
    def units(self) -> list[Unit]:
        """Every unit, in file order. Raises Malformed."""
        if self._units is None:
            self._units = [self._unit(number) for number in range(len(self._starts))]
        return self._units

    def first_units(self, most: int) -> list[Unit]:
        """The first few units. Raises Malformed."""
        return [self._unit(number) for number in range(min(most, len(self._starts)))]

    @property
    def offset_widths(self) -> set[int]:
        """The bytes of an offset in the units: 4, 8 in 64-bit DWARF, or both."""
        return {8 if start in self._wide else 4 for start in self._starts}

    def _unit(self, number: int) -> Unit:
        """A unit by its place in the file; its header is read once."""
        found = self._known.get(number)
        if found is None:
            start, end = self._starts[number], self._ends[number]
            raw, stop = self.info.raw, min(start + _HEADER_BYTES_MAX, end)
            if self.image.relocations(".debug_info") is None:
                header = bytes(raw[self.info.start + start : self.info.start + stop])
            else:
                header = self.image.relocated(".debug_info", start, stop)
            found = self._known[number] = Unit(self, start, end, 8 if start in self._wide else 4, header)
        return found

    @property
    def abbrevs(self) -> Abbrevs:
        """All abbreviation tables."""
        if self._abbrevs is None:
            self._abbrevs = Abbrevs(self.data(".debug_abbrev"), self.path)
        return self._abbrevs

    def _find_units(self) -> None:
        """Where units begin and end. Raises Malformed for one that lies not in the section."""
        raw, base, size = self.info.raw, self.info.start, self.info.size
        order = "<" if self.is_little else ">"
        length_at = Struct(order + "I").unpack_from
        at = 0
        while at < size:
            try:
                (length,) = length_at(raw, base + at)
                start = at + 4
                if length == _DW64:
                    (length,) = unpack_from(order + "Q", raw, base + at + 4)
                    start = at + 12
                    self._wide.add(at)
            except StructError:
                raise Malformed(self.path, at, "a unit's length in .debug_info", "the end of the section") from None
            end = start + length
            if end > size:
                raise Malformed(self.path, at, "a unit inside .debug_info", f"{length} of {size - start} bytes")
            if length:
                self._starts.append(at)
                self._ends.append(end)
            at = end

    def unit_at(self, offset: int) -> Unit | None:
        """The unit that holds an offset of .debug_info, None if there is none."""
        number = bisect_right(self._starts, offset) - 1
        return self._unit(number) if number >= 0 and offset < self._ends[number] else None

    def entry(self, offset: int) -> tuple[Unit, Abbrev, dict[int, Any]] | None:
        """The entry at an offset, followed into the supplementary file; None where there is none. Raises Malformed."""
        if offset >= SIGNATURE:
            return None
        if offset >= ALT:
            return self.supplement.entry(offset - ALT) if self.supplement else None
        unit = self.unit_at(offset)
        if unit is None or offset < unit.start + unit.first:
            return None
        abbrev, values, _ = unit.entry(offset - unit.start)
        return (unit, abbrev, values) if abbrev else None

    def data(self, name: str) -> bytes:
        """A whole section with its relocations applied; empty if there is none. Raises Malformed."""
        found = self._data.get(name)
        if found is None:
            found = self._data[name] = self.image.relocated(name, 0, self.image.region(name).size)
        return found

    @property
    def has_each_string_once(self) -> bool:
        """No two strings of .debug_str are equal: a linker merged them, as none does who only puts files together.

        False also where entries name strings by an index into a table (DW_FORM_strx).
        """
        if self._is_merged is None:
            strings = self.image.region(".debug_str")
            every = bytes(strings.raw[strings.start : strings.end]).split(b"\0")[:-1]
            self._is_merged = len(set(every)) == len(every) and not self.image.region(".debug_str_offsets").size
        return self._is_merged

    def forget(self, start: int, end: int) -> None:
        """Give the memory of bytes [start, end) of .debug_info back where they are mapped; they can be read again."""
        self.image.forget(self.info, start, end)

    def number(self, name: str, offset: int, size: int) -> int:
        """One number of a section, relocated. Raises Malformed."""
        if not 0 <= offset <= self.image.region(name).size - size:
            raise Malformed(self.path, max(offset, 0), f"{size} bytes in {name}", "the end of the section")
        raw = self.image.relocated(name, offset, offset + size)
        return int.from_bytes(raw, "little" if self.is_little else "big")

    def string(self, offset: int, name: str = ".debug_str") -> bytes:
        """The bytes of a string without its NUL. Raises Malformed."""
        region = self.image.region(name)
        at = region.start + offset
        end = region.raw.find(b"\0", at, region.end) if 0 <= offset < region.size else -1
        if end < 0:
            raise Malformed(self.path, max(offset, 0), f"a string in {name}", "the end of the section")
        return region.raw[at:end]
