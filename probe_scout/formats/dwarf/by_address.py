"""The function whose code begins at an address: the unit is found by index, and that one unit is walked.

.debug_aranges (DWARF 5, 6.1.2) is the index; gcc writes it, clang and Go do not. Units it leaves out are found by the
ranges of their own entries, which costs one entry a unit.
"""

from __future__ import annotations

from struct import calcsize, iter_unpack, unpack_from
from struct import error as StructError
from typing import TYPE_CHECKING

from ...errors import Malformed
from . import names as n
from .abbrev import F_DECLARED, F_LOW, F_RANGES, uleb
from .ranges import ranges_of, start_of
from .walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .units import DebugFile, Unit

_SETS_MAX = 200_000


def function_at(file: DebugFile, address: int) -> int | None:
    """The offset in .debug_info of the function that is entered at an address; None where none is. Raises Malformed."""
    seen: set[int] = set()
    for unit in _units(file, address):
        if unit.start in seen:
            continue
        seen.add(unit.start)
        for offset, _, values in walk(unit).functions:
            low, ranges = values[F_LOW], values[F_RANGES]
            if values[F_DECLARED] or (low is None and ranges is None):
                continue
            if low is not None and low >= 0:
                if low == address:
                    return offset
            elif start_of(unit, low, ranges, None) == address:
                return offset
        unit.forget()
    return None


def _units(file: DebugFile, address: int) -> Iterator[Unit]:
    """Units that may hold an address, those of the index first."""
    try:
        listed, known = _indexed(file, address)
    except (Malformed, StructError, IndexError):
        listed, known = [], set()
    for start in listed:
        unit = file.unit_at(start)
        if unit is not None:
            yield unit
    for unit in file.units:
        if unit.start not in known and unit.kind in (n.UT_COMPILE, n.UT_SKELETON) and _holds(unit, address):
            yield unit


def _indexed(file: DebugFile, address: int) -> tuple[list[int], set[int]]:
    """(units whose ranges hold the address, all units that the index has)."""
    data = file.data(".debug_aranges")
    order = "<" if file.is_little else ">"
    found: list[int] = []
    known: set[int] = set()
    at = 0
    for _ in range(_SETS_MAX):
        if at + 12 > len(data):
            break
        (length,) = unpack_from(order + "I", data, at)
        wide = length == 0xFFFFFFFF
        if wide:
            (length,) = unpack_from(order + "Q", data, at + 4)
        head = at + (12 if wide else 4)
        end = head + length
        if end > len(data):
            break
        (unit,) = unpack_from(order + ("Q" if wide else "I"), data, head + 2)
        body = head + 2 + (8 if wide else 4)
        size, segment = data[body], data[body + 1]
        known.add(unit)
        if size not in (4, 8) or segment:
            at = end
            continue
        pair = order + ("II" if size == 4 else "QQ")
        first = at + -(-(body + 2 - at) // (2 * size)) * 2 * size  # tuples are aligned to their size
        count = max(end - first, 0) // calcsize(pair)
        for start, bytes_total in iter_unpack(pair, data[first : first + count * calcsize(pair)]):
            if start <= address < start + bytes_total:
                found.append(unit)
                break
        at = end
    return found, known


def _holds(unit: Unit, address: int) -> bool:
    """The ranges of the unit's own entry hold the address; True where it has none that can be read."""
    try:
        root = unit.root
        unit.forget()
        if n.AT_RANGES in root and isinstance(root[n.AT_RANGES], int):
            return any(start <= address < end for start, end in ranges_of(unit, root[n.AT_RANGES]))
        low, high = unit.address(root.get(n.AT_LOW_PC)), root.get(n.AT_HIGH_PC)
        if low is None or not isinstance(high, int):
            return False
        return low <= address < (unit.address(high) or 0 if _is_address(unit, n.AT_HIGH_PC) else low + high)
    except Malformed:
        return True


def _is_address(unit: Unit, attribute: int) -> bool:
    """The unit's own entry has this attribute as an address, and not as a length."""
    abbrev = unit.abbrevs.get(uleb(unit.data, unit.first)[0])
    forms = [one.form for one in abbrev.attributes if one.name == attribute] if abbrev else []
    unit.forget()
    return any(form == n.FORM_ADDR or form in n.ADDRX_FORMS for form in forms)
