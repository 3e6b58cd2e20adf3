"""Ranges of addresses: .debug_rnglists (DWARF 5, 7.25) and .debug_ranges (DWARF 4, 2.17.3)."""

from __future__ import annotations

from ...errors import Malformed
from . import names as n
from .abbrev import RELATIVE
from .list_entries import Entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .units import Unit

_END, _BASEX, _STARTX_ENDX, _STARTX_LENGTH, _OFFSET_PAIR, _BASE, _START_END, _START_LENGTH = range(8)


def ranges_of(unit: Unit, value: int) -> list[tuple[int, int]]:
    """[start, end) of every range of a DW_AT_ranges value, in file order. Raises Malformed."""
    base = unit.address(unit.root.get(n.AT_LOW_PC)) or 0
    if unit.version < 5:
        return _pairs(unit, value + (unit.root.get(n.AT_GNU_RANGES_BASE) or 0), base)
    if value < 0:
        size = unit.shape.offset_bytes
        table = unit.root.get(n.AT_RNGLISTS_BASE, 12 if size == 4 else 20)
        value = table + unit.file.number(".debug_rnglists", table + (-1 - value) * size, size)
    return _list(unit, value, base)


def _pairs(unit: Unit, at: int, base: int) -> list[tuple[int, int]]:
    data, size = unit.file.data(".debug_ranges"), unit.shape.address_bytes
    order = "little" if unit.shape.is_little else "big"
    top = (1 << 8 * size) - 1
    found: list[tuple[int, int]] = []
    while True:
        if at + 2 * size > len(data):
            raise Malformed(unit.file.path, at, "a range in .debug_ranges", "the end of the section")
        start = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
        end = int.from_bytes(data[at + size : at + 2 * size], order)  # type: ignore[arg-type]
        at += 2 * size
        if not start and not end:
            return found
        if start == top:
            base = end
        else:
            found.append((base + start & top, base + end & top))


def _list(unit: Unit, at: int, base: int) -> list[tuple[int, int]]:
    entries = Entries(unit, unit.file.data(".debug_rnglists"), at)
    address, number, indexed = entries.address, entries.number, entries.indexed
    found: list[tuple[int, int]] = []
    try:
        while True:
            kind = entries.kind()
            if kind == _END:
                return found
            if kind == _BASEX:
                base = indexed()
            elif kind == _BASE:
                base = address()
            elif kind == _STARTX_ENDX:
                found.append((indexed(), indexed()))
            elif kind == _STARTX_LENGTH:
                start = indexed()
                found.append((start, start + number()))
            elif kind == _OFFSET_PAIR:
                start = base + number()
                found.append((start, base + number()))
            elif kind == _START_END:
                found.append((address(), address()))
            elif kind == _START_LENGTH:
                start = address()
                found.append((start, start + number()))
            else:
                raise Malformed(unit.file.path, entries.at - 1, "a kind of range in .debug_rnglists", f"{kind}")
    except (IndexError, ValueError) as error:
        raise Malformed(unit.file.path, at, "a list in .debug_rnglists", str(error)[:60]) from None


def start_of(unit: Unit, low: int | None, ranges: int | None, entry: int | None) -> int | None:
    """The address where a function's or a copy's code is entered; None if it has no code. Raises Malformed.

    DW_AT_entry_pc (an offset from the lowest address when it is no address), else the low address, else the
    start of the first range (DWARF 5, 2.17 and 2.18).
    """
    if entry is not None and entry < RELATIVE:
        return unit.address(entry)
    start = unit.address(low)
    if start is None and ranges is not None:
        start = next((first for first, end in ranges_of(unit, ranges) if end > first), None)
    return start if entry is None or start is None else start + entry - RELATIVE
