"""Find the units that can say something about a name, by searching bytes instead of reading entries.

A unit that names a function holds the offset of the name in .debug_str, its index in .debug_str_offsets, or the name
itself; a unit that refers to another unit's function holds that function's offset. Bytes that only look so cost a
walk and nothing else, so what is left out cannot matter and what is put in is checked by the walk.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from struct import unpack_from

from ...named_tuple import NamedTuple
from . import names as n
from .abbrev import ALT, FORM, LEB, LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from ..elf.image import Region
    from .units import DebugFile, Unit

# A search for one offset costs about a sixtieth of a walk of everything.
_OFFSETS_MAX = 25
_FEW_OFFSETS = 4
# A function or a copy with abstract_origin or specification of the form ref_addr, ref_sup, GNU_ref_alt or indirect.
_FAR = rb"[\x31\x47](?:\x10|\x16|\x1c|\x24|\xa0\x3e)"
_FAR_REFERENCE = re.compile(rb"(?s)[\x1d\x2e][\x00\x01](?:(?!\x00\x00|" + _FAR + rb")" + LEB + FORM + rb")*+" + _FAR)
_FAR_CLASSES = bytes(
    65 if one in (0x31, 0x47) else 70 if one in (0x10, 0x16, 0x1C, 0x24) else 71 if one == 0xA0 else 46
    for one in range(256)
)
# A function or a copy whose name stands in the entry itself: DW_AT_name of the form string, or indirect.
_WITHIN = rb"\x03[\x08\x16]"
_NAME_WITHIN = re.compile(
    rb"(?s)[\x1d\x2e][\x00\x01](?:(?!\x00\x00|" + _WITHIN + rb")" + LEB + FORM + rb")*+" + _WITHIN
)
_DECLARATION_BYTES_MAX = 1024  # of an abbreviation; those of functions have some dozens
_STRING_ALT = (b"\x03\xa1\x3e", b"\x03\x1d")  # DW_AT_name of the form GNU_strp_alt or strp_sup


class NameOffsets(NamedTuple):
    """Where a name ends a string: offsets into .debug_str, .debug_line_str, and those of the supplementary file.

    Linkers keep a string that ends another one only once, so that an offset can point into a longer string.
    """

    strings: list[int]
    line_strings: list[int]
    alternate: list[int]


def name_offsets(file: DebugFile, name: bytes) -> NameOffsets:
    """The offsets of a name."""
    supplement = file.supplement
    return NameOffsets(
        _occurrences(file.image.region(".debug_str"), name),
        _occurrences(file.image.region(".debug_line_str"), name),
        _occurrences(supplement.image.region(".debug_str"), name) if supplement else [],
    )


def _occurrences(region: Region, name: bytes) -> list[int]:
    found = re.compile(re.escape(name + b"\0")).finditer(region.raw, region.start, region.end)
    return [match.start() - region.start for match in found]


def values_of(file: DebugFile, name: bytes) -> set[int]:
    """The values of DW_AT_name that are offsets of strings, and can be those of this name (abbrev.LINE, abbrev.ALT)."""
    offsets = name_offsets(file, name)
    lines = {LINE + offset for offset in offsets.line_strings}
    return {*offsets.strings, *lines, *(ALT + offset for offset in offsets.alternate)}


def is_common(file: DebugFile, name: bytes) -> bool:
    """So many strings end with the name that looking for it costs about as much as reading everything."""
    offsets = name_offsets(file, name)
    return len(offsets.strings) + len(offsets.line_strings) + len(offsets.alternate) > _FEW_OFFSETS


def units_naming(file: DebugFile, name: bytes) -> list[Unit]:
    """Every unit that can hold an entry of this name, in file order. May hold others. Raises Malformed."""
    return _units_naming(file, name, name_offsets(file, name))


def units_in_turn(file: DebugFile, name: bytes, used: Collection[int]) -> Iterator[list[Unit]]:
    """As `units_naming`, in parts. `used` is what the caller learns meanwhile: offsets that an entry has as its name.

    Where many strings end with the name and the linker kept each string once, one offset stands for it in all
    entries, and when that is known the others need not be looked for.
    """
    offsets = name_offsets(file, name)
    if len(offsets.strings) <= _FEW_OFFSETS or not file.has_each_string_once:
        yield _units_naming(file, name, offsets)
        return
    order = likeliest_first(file, offsets.strings)
    without = offsets._replace(strings=[])
    yield _units_naming(file, name, without)
    while order:
        known = [offset for offset in order if offset in used]
        offset = known[0] if known else order[0]
        order.remove(offset)
        yield _units_naming(file, name, without._replace(strings=[offset]), text=False)
        if offset in used:
            return


def likeliest_first(file: DebugFile, offsets: Iterable[int]) -> list[int]:
    """Offsets into .debug_str in the order in which they are likely to stand for what begins there.

    ld.bfd keeps a string in the one that follows it when all are ordered from their ends (strrevcmp in bfd/merge.c).
    """
    strings = file.image.region(".debug_str")
    wide: list[tuple[bytes, int]] = []
    for offset in offsets:
        start = strings.raw.rfind(b"\0", strings.start, strings.start + offset) + 1
        wide.append((bytes(strings.raw[max(start, strings.start) : strings.start + offset])[::-1], offset))
    return [offset for _, offset in sorted(wide)]


def _units_naming(file: DebugFile, name: bytes, offsets: NameOffsets, text: bool = True) -> list[Unit]:
    wanted = set(offsets.strings) | set(offsets.line_strings)
    if offsets.alternate and any(text in file.data(".debug_abbrev") for text in _STRING_ALT):
        wanted |= set(offsets.alternate)
    units = {unit.start: unit for unit in _units_with_text(file, name + b"\0")} if text else {}
    units |= {unit.start: unit for unit in units_holding(file, wanted)}
    if text and offsets.strings and file.image.region(".debug_str_offsets").size:
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
    widths = file.offset_widths
    order = "little" if file.is_little else "big"
    for value in sorted(values):
        for width in widths:
            if value < 1 << 8 * width:
                _find_units(file, value.to_bytes(width, order), found)  # type: ignore[arg-type]
    return list(found.values())


def _find_units(file: DebugFile, pattern: bytes, found: dict[int, Unit]) -> None:
    """Add the units whose bytes hold the pattern to `found`, without looking into those that are there already."""
    region = file.info
    search = re.compile(re.escape(pattern)).search
    at = 0
    for known in (*sorted(found.values(), key=lambda unit: unit.start), None):
        end = region.size if known is None else known.start
        while at < end:
            match = search(region.raw, region.start + at, region.start + end)
            if match is None:
                break
            place = match.start() - region.start
            unit = file.unit_at(place)
            if unit is not None:
                found[unit.start] = unit
            at = place + 1 if unit is None else unit.end
        at = end if known is None else known.end


def _units_with_text(file: DebugFile, text: bytes) -> Iterator[Unit]:
    """Units that hold the text, of those whose abbreviations let a function hold its name in the entry itself.

    gcc writes names of up to three letters so: one unit in twenty of a kernel has such a function.
    """
    region = file.info
    # `re` searches four bytes about four times as fast as bytes.find and mmap.find do.
    search = re.compile(re.escape(text)).search
    if search(region.raw, region.start, region.end) is None:
        return
    starts = sorted({unit.abbrev_offset for unit in file.units})
    found = _NAME_WITHIN.finditer(file.data(".debug_abbrev"))
    tables = {starts[max(bisect_right(starts, match.start()) - 1, 0)] for match in found if starts}
    for unit in file.units:
        if unit.abbrev_offset in tables and search(region.raw, region.start + unit.start, region.start + unit.end):
            yield unit


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
    classes = raw.translate(_FAR_CLASSES)  # a search for a literal is six times as fast as one for sets of bytes
    return any(
        _FAR_REFERENCE.search(raw, max(0, pair.start() - _DECLARATION_BYTES_MAX), pair.end() + 1)
        for pair in re.finditer(rb"A[FG]", classes)
    )
