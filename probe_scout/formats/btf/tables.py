"""What a walk over one BTF blob finds out, in a form that can be kept: where each record begins, which begin with which
name, and where each name is.

The tables are of the very bytes they were made of; who keeps them sees to that. What they say of a name is compared
with the bytes all the same (reader.py).
"""

from __future__ import annotations

from array import array
from itertools import accumulate

from .. import name_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Protocol
else:
    Protocol = object

_STARTS, _INFOS, _NAMED, _STRINGS = "btf starts", "btf infos", "btf named", "btf strings"


class Parts(Protocol):
    """Named parts of bytes, as sources/kept_index.py gives them."""

    def part(self, name: str) -> memoryview | None: ...

    def whole(self, name: str) -> memoryview | None: ...


class Tables:
    """The tables of one blob. Methods raise Damaged where a table is not what was written."""

    __slots__ = ("_named", "_parts", "_strings")

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._named: name_table.NameTable | None = None
        self._strings: name_table.NameTable | None = None

    def starts(self) -> Sequence[int] | None:
        """As Btf.starts; None where the table is damaged."""
        return self._words(_STARTS)

    def infos(self) -> Sequence[int] | None:
        """The distinct info words of all records; None where the table is damaged."""
        return self._words(_INFOS)

    def rows(self, offset: int) -> list[int]:
        """Rows of `starts` whose records have the name at this string offset, ascending."""
        if self._named is None:
            self._named = self._table(_NAMED)
        return self._named.under(offset)

    def offsets(self, name: bytes) -> list[int]:
        """Offsets in this blob's own strings where the name may be; all where it is."""
        if self._strings is None:
            self._strings = self._table(_STRINGS)
        return self._strings.at(name)

    def _words(self, name: str) -> Sequence[int] | None:
        found = self._parts.whole(name)
        return found.cast("I") if found is not None and found.nbytes and not found.nbytes % 4 else None

    def _table(self, name: str) -> name_table.NameTable:
        found = self._parts.part(name)
        if found is None:
            raise name_table.Damaged
        return name_table.NameTable(found)


def made(words: Sequence[int], starts: Sequence[int], infos: Iterable[int], strings: bytes) -> dict[str, bytes]:
    """The tables of a blob, by the names of their parts, from what `Btf` has of it."""
    names = strings.split(b"\0")[:-1]
    places = accumulate((len(name) + 1 for name in names[:-1]), initial=0)
    return {
        _STARTS: array("I", starts).tobytes(),
        _INFOS: array("I", sorted(infos)).tobytes(),
        _NAMED: name_table.made([words[at - 1] << 32 | row for row, at in enumerate(starts) if words[at - 1]]),
        _STRINGS: name_table.of_names(names, places),
    }
