"""Walk the entries of one unit (DWARF 5, 2.3 and 7.5.2) and keep the functions and the inlined copies.

Everything else is passed over by its size; entries below which no code can be are passed over by DW_AT_sibling.
What a copy or a function refers to is not looked up here: an inlined copy can come before its abstract instance.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from ...named_tuple import NamedTuple
from .abbrev import UnknownForm, uleb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .abbrev import Abbrev
    from .units import Unit

    # A function or a copy: (offset in .debug_info, the function or copy around it or None, values of its reader).
    Item = tuple[int, Any, tuple[Any, ...]]

_U32 = {True: Struct("<I").unpack_from, False: Struct(">I").unpack_from}
_DEPTH_MAX = 20_000  # compilers nest some dozens of levels


class Found(NamedTuple):
    """What one unit holds, in file order."""

    functions: list[Item]
    copies: list[Item]


def walked(unit: Unit) -> Found:
    """As `walk`; what the unit asked about last holds is known. One question walks the same unit for several ends."""
    file = unit.file
    if file.last_walk is None or file.last_walk[0] != unit.start:
        file.last_walk = (unit.start, walk(unit))
    found: Found = file.last_walk[1]
    return found


def walk(unit: Unit) -> Found:
    """The functions and inlined copies of a unit. Raises Malformed, within time linear in the unit's size."""
    data, base = unit.data, unit.start
    end = unit.end - unit.start
    functions: list[Item] = []
    copies: list[Item] = []
    abbrevs = unit.abbrevs
    is_c = unit.is_c
    sizes, jumps, actions = _tables(abbrevs, is_c)
    u32 = _U32[unit.shape.is_little]
    holders: list[Item | None] = []
    holder: Item | None = None
    at = unit.first
    try:
        while at < end:
            number = data[at]
            size = sizes[number]
            if size:
                at += size
                continue
            jump = jumps[number]
            if jump:
                after = u32(data, at + jump)[0]
                if not at < after <= end:
                    raise unit.malformed(at, "a sibling behind its entry", f"{after}")
                at = after
                continue
            if not number:
                at += 1
                if not holders:
                    break
                holder = holders.pop()
                if not holders:
                    break
                continue
            if number > 127:
                number, after = uleb(data, at)
                known = abbrevs.get(number)
                if known is None:
                    raise unit.malformed(at, "an entry whose abbreviation exists", f"number {number}")
                abbrev, extra = known, after - at - 1
            else:
                action = actions[number]
                if action is None:
                    raise unit.malformed(at, "an entry whose abbreviation exists", f"number {number}")
                abbrev, extra = action, 0
            sibling = abbrev.sibling
            if sibling is not None and (not abbrev.skippable_in_c or is_c) and not abbrev.is_function:
                after = sibling[1].unpack_from(data, at + extra + sibling[0])[0]
                if not at < after <= end:
                    raise unit.malformed(at, "a sibling behind its entry", f"{after}")
                at = after
                continue
            if abbrev.is_function or abbrev.is_copy:
                values = abbrev.values(data, at + extra, base)
                item = (base + at, holder, values)
                if abbrev.is_function:
                    functions.append(item)
                    if sibling is not None:
                        after = sibling[1].unpack_from(data, at + extra + sibling[0])[0]
                        if not at < after <= end:
                            raise unit.malformed(at, "a sibling behind its entry", f"{after}")
                        at = after
                        continue
                else:
                    copies.append(item)
                at = values[-1]
                if abbrev.has_children:
                    if len(holders) > _DEPTH_MAX:
                        raise unit.malformed(at, f"at most {_DEPTH_MAX} levels", "more")
                    holders.append(holder)
                    holder = item
                continue
            at = abbrev.end(data, at + extra)
            if abbrev.has_children:
                if len(holders) > _DEPTH_MAX:
                    raise unit.malformed(at, f"at most {_DEPTH_MAX} levels", "more")
                holders.append(holder)
    except UnknownForm as error:
        raise unit.malformed(at, "an attribute of a known form", str(error)) from None
    except (IndexError, ValueError, StructError) as error:
        raise unit.malformed(at, "a whole entry", str(error)[:60]) from None
    if at > end:
        raise unit.malformed(end, "the end of an entry", "the end of the unit")
    return Found(functions, copies)


def _tables(abbrevs: dict[int, Abbrev], is_c: bool) -> tuple[list[int], list[int], list[Abbrev | None]]:
    """By an entry's first byte: the size of entries that are passed over, else 0; where in an entry the offset of
    four bytes is at which the walk goes on, else 0; and the abbreviation.

    Sizes of entries without children only: the others open a level.
    """
    sizes, jumps = [0] * 256, [0] * 256
    actions: list[Abbrev | None] = [None] * 128
    for number, abbrev in abbrevs.items():
        if number < 128:
            actions[number] = abbrev
            if abbrev.is_function or abbrev.is_copy:
                continue
            if not abbrev.has_children:
                sizes[number] = abbrev.size
            elif abbrev.sibling is not None and abbrev.sibling[1].size == 4 and (is_c or not abbrev.skippable_in_c):
                jumps[number] = abbrev.sibling[0]
    return sizes, jumps, actions
