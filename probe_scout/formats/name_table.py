"""Where a name is in a file: sorted numbers in blocks, so that one look-up reads two or three pages.

A number is the CRC-32 of a name, shifted by 32 bits, and a place in the file: of the names with this CRC, the file
itself tells which it is. Each block has a CRC-32 of its own that is looked at before the block is believed: a name
that is not in an undamaged block is not in the file.

Layout, in the order of this machine: number of entries and of blocks (u64 each), the first number of each block (u64
each), the CRC-32 of each block (u64 each), the CRC-32 of all that (u64), the numbers (u64 each).
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left, bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_BLOCK = 512  # entries: 4 KiB
_BYTES = 8
_LOW = 0xFFFFFFFF


class Damaged(Exception):
    """The table is not what was written: search the file."""


def made(numbers: Iterable[int]) -> bytes:
    """The table of these numbers below 2**64, in any order."""
    keys = array("Q", sorted(numbers))
    blocks = range(0, len(keys), _BLOCK)
    head = array("Q", (len(keys), len(blocks)))
    head.extend(keys[at] for at in blocks)
    head.extend(zlib.crc32(keys[at : at + _BLOCK]) for at in blocks)
    head.append(zlib.crc32(head))
    return head.tobytes() + keys.tobytes()


def of_names(names: Iterable[bytes], places: Iterable[int]) -> bytes:
    """The table of these names, each at its place."""
    return made([hashed << 32 | place for hashed, place in zip(map(zlib.crc32, names), places, strict=True)])


class NameTable:
    """One table, read in place."""

    __slots__ = ("_firsts", "_good", "_keys", "_sums")

    def __init__(self, data: memoryview) -> None:
        """Raises Damaged for a head that is not what was written."""
        if len(data) < 3 * _BYTES or len(data) % _BYTES:
            raise Damaged
        words = data.cast("Q")
        entries, blocks = words[0], words[1]
        end = 2 + 2 * blocks
        if blocks != -(-entries // _BLOCK) or len(words) != end + 1 + entries:
            raise Damaged
        if zlib.crc32(data[: end * _BYTES]) != words[end]:
            raise Damaged
        self._firsts, self._sums = words[2 : 2 + blocks], words[2 + blocks : end]
        self._keys = words[end + 1 :]
        self._good: set[int] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def at(self, name: bytes) -> list[int]:
        """Places where this name may be, ascending; all where it is. Raises Damaged."""
        return self.under(zlib.crc32(name))

    def under(self, high: int) -> list[int]:
        """The low halves of the numbers with this high half, ascending. Raises Damaged."""
        found: list[int] = []
        low = high << 32
        block = max(bisect_right(self._firsts, low) - 1, 0)
        # What is equal to the first of a block may have begun in the block before.
        if block and self._firsts[block] == low:
            block -= 1
        while block < len(self._firsts) and self._firsts[block] <= low | _LOW:
            self._look_at(block)
            keys, end = self._keys, min((block + 1) * _BLOCK, len(self._keys))
            at = bisect_left(keys, low, block * _BLOCK, end)
            while at < end and keys[at] <= low | _LOW:
                found.append(keys[at] & _LOW)
                at += 1
            if at < end:
                break
            block += 1
        return found

    def _look_at(self, block: int) -> None:
        if block not in self._good:
            if zlib.crc32(self._keys[block * _BLOCK : (block + 1) * _BLOCK]) != self._sums[block]:
                raise Damaged
            self._good.add(block)
