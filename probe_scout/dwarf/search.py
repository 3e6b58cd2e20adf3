"""Find the units that can say something about a name, by searching bytes instead of reading entries.

A unit that names a function holds the offset of the name in .debug_str, its index in .debug_str_offsets, or the name
itself; a unit that refers to another unit's function holds that function's offset. Bytes that only look so cost a
walk and nothing else, so what is left out cannot matter and what is put in is checked by the walk.
"""

from __future__ import annotations

import re
from struct import unpack_from
from typing import TYPE_CHECKING

from . import names as n
from .abbrev import FORM, LEB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..scanners.elf_image import Region
    from .units import DebugFile, Unit

# A search for one offset costs about a sixtieth of a walk of everything.
_OFFSETS_MAX = 25
_FEW_OFFSETS = 4
# A function or a copy with abstract_origin or specification of the form ref_addr, ref_sup, GNU_ref_alt or indirect.
_FAR = rb"[\x31\x47](?:\x10|\x16|\x1c|\x24|\xa0\x3e)"
_FAR_REFERENCE = re.compile(rb"(?s)[\x1d\x2e][\x00\x01](?:(?!\x00\x00|" + _FAR + rb")" + LEB + FORM + rb")*+" + _FAR)
_FAR_PAIR = re.compile(_FAR)
_DECLARATION_BYTES_MAX = 1024  # of an abbreviation; those of functions have some dozens
_STRING_ALT = (b"\x03\xa1\x3e", b"\x03\x1d")  # DW_AT_name of the form GNU_strp_alt or strp_sup


class NameOffsets:
    """Where a name ends a string: offsets into .debug_str, .debug_line_str, and those of the supplementary file.

    Linkers keep a string that ends another one only once, so that an offset can point into a longer string.
    """

    def __init__(self, file: DebugFile, name: bytes) -> None:
        self.strings = _occurrences(file.image.region(".debug_str"), name)
        self.line_strings = _occurrences(file.image.region(".debug_line_str"), name)
        supplement = file.supplement
        self.alternate = _occurrences(supplement.image.region(".debug_str"), name) if supplement else []


def _occurrences(region: Region, name: bytes) -> list[int]:
    found = re.compile(re.escape(name + b"\0")).finditer(region.raw, region.start, region.end)
    return [match.start() - region.start for match in found]


def is_common(file: DebugFile, name: bytes) -> bool:
    """So many strings end with the name that looking for it costs about as much as reading everything."""
    offsets = NameOffsets(file, name)
    return len(offsets.strings) + len(offsets.line_strings) + len(offsets.alternate) > _FEW_OFFSETS


def units_naming(file: DebugFile, name: bytes) -> list[Unit]:
    """Every unit that can hold an entry of this name, in file order. May hold others. Raises Malformed."""
    offsets = NameOffsets(file, name)
    wanted = set(offsets.strings) | set(offsets.line_strings)
    if offsets.alternate and any(text in file.data(".debug_abbrev") for text in _STRING_ALT):
        wanted |= set(offsets.alternate)
    units = {unit.start: unit for unit in _units_at(file, _places(file.info, name + b"\0"))}
    units |= {unit.start: unit for unit in units_holding(file, wanted)}
    if offsets.strings and file.image.region(".debug_str_offsets").size:
        units |= {unit.start: unit for unit in _units_by_index(file, offsets.strings)}
    return [units[start] for start in sorted(units)]


def units_holding(file: DebugFile, values: Iterable[int]) -> list[Unit]:
    """Every unit whose bytes hold one of these offsets, after relocation. All units if there are very many values."""
    values = set(values)
    table = file.image.relocations(".debug_info")
    if table is not None and table.addends is not None:
        known = file.image.symbols.values
        count = len(known)
        places = [
            place
            for place, symbol, addend in zip(table.places, table.symbols, table.addends, strict=True)
            if (known[symbol] if symbol < count else 0) + addend in values
        ]
        found = {unit.start: unit for unit in _units_at(file, places)}
        if not file.image.is_relocatable:
            return list(found.values())
    else:
        found = {}
    if len(values) > _OFFSETS_MAX:
        return list(file.units)
    widths = {unit.shape.offset_bytes for unit in file.units}
    order = "little" if file.is_little else "big"
    for value in values:
        for width in widths:
            if value < 1 << 8 * width:
                pattern = value.to_bytes(width, order)  # type: ignore[arg-type]
                found |= {unit.start: unit for unit in _units_at(file, _places(file.info, pattern))}
    return list(found.values())


def _places(region: Region, pattern: bytes) -> Iterator[int]:
    # `re` searches four bytes about four times as fast as bytes.find and mmap.find do.
    search = re.compile(re.escape(pattern)).search
    match = search(region.raw, region.start, region.end)
    while match is not None:
        yield match.start() - region.start
        match = search(region.raw, match.start() + 1, region.end)


def _units_at(file: DebugFile, places: Iterable[int]) -> Iterator[Unit]:
    end = -1
    for place in places:
        if place < end:
            continue  # the same unit again
        unit = file.unit_at(place)
        if unit is not None:
            end = unit.end
            yield unit


def _units_by_index(file: DebugFile, offsets: list[int]) -> Iterator[Unit]:
    """Units whose part of .debug_str_offsets holds one of the offsets."""
    table = file.data(".debug_str_offsets")
    for unit in file.units:
        base = unit.root.get(n.AT_STR_OFFSETS_BASE)
        if not isinstance(base, int) or base < 8 or base > len(table):
            continue
        size = unit.shape.offset_bytes
        order = "<" if file.is_little else ">"
        # The header before the base: unit_length, version, padding.
        if size == 8 and base >= 16:
            end = base - 4 + unpack_from(order + "Q", table, base - 12)[0]
        else:
            end = base - 4 + unpack_from(order + "I", table, base - 8)[0]
        words = "little" if file.is_little else "big"
        for offset in offsets:
            if table.find(offset.to_bytes(size, words), base, max(end, base)) >= 0:  # type: ignore[arg-type]
                yield unit
                break


def refers_far(file: DebugFile) -> bool:
    """Some function or copy may refer to an entry of another unit or of the supplementary file (LTO, dwz)."""
    if file.refers_far is None:
        file.refers_far = _declares_far(file.data(".debug_abbrev"))
    return file.refers_far


def _declares_far(raw: bytes) -> bool:
    """As _FAR_REFERENCE, sought only around the few places where an attribute and a form of that kind meet."""
    return any(
        _FAR_REFERENCE.search(raw, max(0, pair.start() - _DECLARATION_BYTES_MAX), pair.end())
        for pair in _FAR_PAIR.finditer(raw)
    )
