"""Where each name's lines are in ftrace's lists of functions, in a form that can be kept."""

from __future__ import annotations

from itertools import accumulate

from .. import name_table
from .filter_functions import INVALID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kallsyms_tables import Parts

_NAMES = "ftrace names"


def made(raw: bytes) -> dict[str, bytes]:
    """The table of either file: names, and modules in their brackets. Lines without a symbol are all under one name."""
    lines = raw.split(b"\n")[:-1]
    names: list[bytes] = []
    places: list[int] = []
    for line, place in zip(lines, accumulate((len(line) + 1 for line in lines), initial=0), strict=False):
        words = line.split(b" ")
        module = words.pop() if words[-1][:1] == b"[" else b""
        names.append(INVALID if words and words[-1].startswith(INVALID) else words[-1] if words else b"")
        places.append(place)
        if module:
            names.append(module)
            places.append(place)
    return {_NAMES: name_table.of_names(names, places)}


class Lines:
    """The lines of one file by its kept table."""

    __slots__ = ("_table", "raw")

    def __init__(self, raw: bytes, parts: Parts) -> None:
        """Raises Damaged where the table is not what was written."""
        found = parts.part(_NAMES)
        if found is None:
            raise name_table.Damaged
        self.raw = raw
        self._table = name_table.NameTable(found)

    def of(self, name: bytes) -> list[tuple[int, bytes]]:
        """Lines that may show this name, or module in its brackets, with their ends, and where each begins.

        Raises Damaged.
        """
        raw, found = self.raw, []
        for place in self._table.at(name):
            if place >= len(raw) or (place and raw[place - 1] != 0x0A):
                raise name_table.Damaged
            end = raw.find(b"\n", place)
            found.append((place, raw[place : end + 1 if end >= 0 else len(raw)]))
        return found
