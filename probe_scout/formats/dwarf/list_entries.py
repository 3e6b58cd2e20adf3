"""The parts of entries in .debug_rnglists and .debug_loclists (DWARF 5, 7.7.3 and 7.25)."""

from __future__ import annotations

from .abbrev import uleb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .units import Unit


class Entries:
    """A place in a list. Each method reads one part of an entry; IndexError or ValueError at the end of the bytes."""

    __slots__ = ("_data", "_order", "_size", "_unit", "at")

    def __init__(self, unit: Unit, data: bytes, at: int) -> None:
        self._unit, self._data, self.at = unit, data, at
        self._size, self._order = unit.shape.address_bytes, "little" if unit.shape.is_little else "big"

    def kind(self) -> int:
        """DW_RLE_* or DW_LLE_*."""
        self.at += 1
        return self._data[self.at - 1]

    def address(self) -> int:
        """An address as such."""
        raw = self.block(self._size)
        return int.from_bytes(raw, self._order)  # type: ignore[arg-type]

    def number(self) -> int:
        """A ULEB128 number."""
        value, self.at = uleb(self._data, self.at)
        return value

    def indexed(self) -> int:
        """An address by its number in .debug_addr."""
        return self._unit.address(-1 - self.number()) or 0

    def block(self, size_bytes: int) -> bytes:
        """So many bytes."""
        if self.at + size_bytes > len(self._data):
            raise IndexError("the end of the list")
        self.at += size_bytes
        return self._data[self.at - size_bytes : self.at]
