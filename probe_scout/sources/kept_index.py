"""Tables about one file, kept between runs: where a name is in it, so that the file need not be searched.

One file each below the cache folder, written by this user and readable by nobody else. Its head says what it belongs
to: this program's files, and the device, inode, size and times of the file it is about. It holds named parts of bytes.
A part that is used whole has a checksum here (CRC-32, against damage); tables of names check their own blocks
(formats/name_table.py). What does not fit is as good as none: the file itself is searched then.
PROBE_SCOUT_CACHE=off turns it off.
"""

from __future__ import annotations

import os
import time
import zlib

from . import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Mapping

FORMAT = "probe-scout index 1"
_MAGIC = b"probe-scout index\n"
_TAIL_BYTES = 12  # size of the directory, then its CRC-32, little endian
_BYTES_MAX = 512 << 20  # of all that is kept
_HEAD_MAX = 1 << 20
_ALIGNED = 64
_USED_S = 86_400  # how often the time of a file that is in use is set: the oldest are given back
ENDING = ".index"


class Parts:
    """The parts of one index, mapped."""

    __slots__ = ("_data", "_places")

    def __init__(self, data: mmap.mmap, places: dict[str, tuple[int, int, int]]) -> None:
        self._data, self._places = data, places

    def part(self, name: str) -> memoryview | None:
        """A part that checks itself; None where there is none of this name."""
        place = self._places.get(name)
        return memoryview(self._data)[place[0] : place[0] + place[1]] if place is not None else None

    def whole(self, name: str) -> memoryview | None:
        """A part whose bytes are those that were written; None where there is none of this name, or it is damaged."""
        found = self.part(name)
        return found if found is not None and zlib.crc32(found) == self._places[name][2] else None


def load(question: str) -> Parts | None:
    """The parts that `store` kept under exactly this question; None where there is none that can be trusted."""
    if not cache.is_on():
        return None
    data = cache.read_private(path_of(question), _mapped)
    places = _directory(data, question) if data is not None else None
    return Parts(data, places) if data is not None and places is not None else None


def is_kept(question: str) -> bool:
    """Whether there is a file for this question: it is not looked at."""
    path = path_of(question)
    return bool(path) and os.path.exists(path)


def _mapped(file: int, size: int) -> mmap.mmap | None:
    import mmap

    if size <= len(_MAGIC) + _TAIL_BYTES:
        return None
    if time.time() - os.fstat(file).st_mtime > _USED_S:
        os.utime(file)
    return mmap.mmap(file, size, prot=mmap.PROT_READ)


def _directory(data: mmap.mmap, question: str) -> dict[str, tuple[int, int, int]] | None:
    """The directory at the end: a NUL between values, and what it belongs to as the first of them."""
    end = len(data) - _TAIL_BYTES
    size = int.from_bytes(data[end : end + 8], "little")
    if data[: len(_MAGIC)] != _MAGIC or not 0 < size <= min(_HEAD_MAX, end - len(_MAGIC)):
        return None
    head = data[end - size : end]
    if zlib.crc32(head).to_bytes(4, "little") != data[end + 8 :]:
        return None
    try:
        asked, _, rest = head.decode("utf-8", "surrogateescape").partition("\1")
        words = rest.split("\0") if rest else []
        numbers = [list(map(int, words[column::4])) for column in (1, 2, 3)]
    except ValueError:
        return None
    if asked != question or len(words) % 4:
        return None
    if any(at < len(_MAGIC) or length < 0 or at + length > end - size for at, length in zip(*numbers[:2], strict=True)):
        return None
    return dict(zip(words[::4], zip(*numbers, strict=True), strict=True))


def store(question: str, parts: Mapping[str, bytes]) -> None:
    """Keep parts of bytes; where that cannot be, nothing is said."""
    path = path_of(question)
    if not path or not cache.is_on() or "\1" in question:
        return
    pieces: list[bytes] = [_MAGIC]
    words: list[str] = []
    at = len(_MAGIC)
    for name, data in parts.items():
        gap = -at % _ALIGNED
        pieces += (bytes(gap), data)
        words += (name, str(at + gap), str(len(data)), str(zlib.crc32(data)))
        at += gap + len(data)
    head = "\1".join((question, "\0".join(words))).encode("utf-8", "surrogateescape")
    tail = len(head).to_bytes(8, "little") + zlib.crc32(head).to_bytes(4, "little")
    if at <= _BYTES_MAX // 4 and len(head) <= _HEAD_MAX:
        cache.write_private(path, (*pieces, head, tail), _make_room)


def path_of(question: str) -> str:
    """The file of a question; "" where there is no folder to keep it in."""
    where = cache.folder()
    return os.path.join(where, f"{cache.number(question)}{ENDING}") if where else ""


def _make_room(where: str, wanted: int) -> None:
    cache.give_back(where, ENDING, _BYTES_MAX - wanted)
