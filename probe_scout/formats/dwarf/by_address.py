"""The function whose code begins at an address: the unit is found by index, and that one unit is walked.

.debug_aranges (DWARF 5, 6.1.2) is the index; gcc writes it, clang and Go do not. Units it leaves out are found by the
ranges of their own entries, which costs one entry a unit.
"""

from __future__ import annotations

from struct import Struct, iter_unpack, unpack_from
from struct import error as StructError

from ...errors import Malformed
from . import names as n
from .abbrev import F_DECLARED, F_LOW, F_RANGES, uleb
from .ranges import ranges_of, start_of
from .walk import walked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .units import DebugFile, Unit

_SETS_MAX = 200_000


def function_at(file: DebugFile, address: int) -> int | None:
    """The offset in .debug_info of the function that is entered at an address; None where none is. Raises Malformed."""
    if address not in file.entered:
        file.entered[address] = _function_at(file, address)
    return file.entered[address]


def _function_at(file: DebugFile, address: int) -> int | None:
    seen: set[int] = set()
    for unit in _units(file, address):
        if unit.start in seen:
            continue
        seen.add(unit.start)
        for offset, _, values in walked(unit).functions:
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
        listed = _indexed(file, address)
    except (Malformed, StructError, IndexError):
        listed = []
    for start in listed:
        unit = file.unit_at(start)
        if unit is not None:
            yield unit
    try:
        known = {unit for unit, _ in _sets(file)}
    except (Malformed, StructError, IndexError):
        known = set()
    for unit in file.units:
        if unit.start not in known and unit.kind in (n.UT_COMPILE, n.UT_SKELETON) and _holds(unit, address):
            yield unit


def _indexed(file: DebugFile, address: int) -> list[int]:
    """Units that the index has with a range which holds the address."""
    order = "<" if file.is_little else ">"
    data = file.data(".debug_aranges")
    found: list[int] = []
    for unit, (first, size, count) in _sets(file):
        pair = order + ("II" if size == 4 else "QQ")
        for start, bytes_total in iter_unpack(pair, data[first : first + count * 2 * size]):
            if start <= address < start + bytes_total:
                found.append(unit)
                break
    return found


def _sets(file: DebugFile) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Of each set of the index its unit, and where its pairs lie: (offset in .debug_aranges, bytes of one word, count).

    A set that cannot be read has no pairs.
    """
    data = file.data(".debug_aranges")
    order = "<" if file.is_little else ">"
    heads = {False: Struct(order + "IHIBB").unpack_from, True: Struct(order + "12xHQBB").unpack_from}
    usual, at, total = heads[False], 0, len(data)
    for _ in range(_SETS_MAX):
        if at + 12 > total:
            return
        length, _, unit, size, segment = usual(data, at)
        head, body = at + 4, at + 12
        if length == 0xFFFFFFFF:
            (length,) = unpack_from(order + "Q", data, at + 4)
            _, unit, size, segment = heads[True](data, at)
            head, body = at + 12, at + 24
        end = head + length
        if end > total:
            return
        if size not in (4, 8) or segment:
            yield unit, (0, 4, 0)
        else:
            first = at + -(-(body - at) // (2 * size)) * 2 * size  # tuples are aligned to their size
            yield unit, (first, size, max(end - first, 0) // (2 * size))
        at = end


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
