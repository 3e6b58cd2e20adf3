"""A file that is mapped and not read: what looks at a few of its lines touches a few of its pages.

Reading the 18 MB of a kernel's symbols, types and ftrace list costs as much as judging one name. A file that is cut
off while it is mapped ends the process (SIGBUS), as it does for whatever else is mapped here.
"""

from __future__ import annotations

import mmap
import os
import re
import time
from stat import S_ISREG

from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BYTES_MAX = 256 << 20
# A file that was written to a moment ago could be written to again, and keep its size and its times.
SETTLED_NS = 2_000_000_000


class Mapped(mmap.mmap):
    """A file as `bytes` would be, as far as readers of text and of BTF use them. Slices are bytes.

    mmap.find looks at each byte in turn before Python 3.13; `re` does that in a third of the time.
    """

    def leave_out(self) -> None:
        """A process that is started from now on does not have it, and does not keep its mount busy."""
        self.madvise(mmap.MADV_DONTFORK)

    def find(self, sub: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        stop = len(self) if end is None else end
        if len(sub) < 2:
            return super().find(sub, start, stop)
        hit = re.compile(re.escape(sub)).search(self, start, stop)
        return hit.start() if hit is not None else -1

    def index(self, sub: bytes | int, start: int = 0, end: int | None = None) -> int:
        """As bytes.index: raises ValueError where there is none."""
        at = self.find(bytes((sub,)) if isinstance(sub, int) else sub, start, end)
        if at < 0:
            raise ValueError("subsection not found")
        return at

    def __contains__(self, sub: object) -> bool:
        return isinstance(sub, bytes) and self.find(sub) >= 0

    def startswith(self, sub: bytes, start: int = 0, end: int | None = None) -> bool:
        stop = len(self) if end is None else min(end, len(self))
        return start + len(sub) <= stop and self[start : start + len(sub)] == sub

    def endswith(self, sub: bytes, start: int = 0, end: int | None = None) -> bool:
        stop = len(self) if end is None else min(end, len(self))
        return stop - len(sub) >= start and self[stop - len(sub) : stop] == sub

    def count(self, sub: bytes, start: int = 0, end: int | None = None) -> int:
        return self[start : len(self) if end is None else end].count(sub)

    def split(self, sep: bytes | None = None, maxsplit: int = -1) -> list[bytes]:
        return self[:].split(sep, maxsplit)

    def splitlines(self, keepends: bool = False) -> list[bytes]:
        return self[:].splitlines(keepends)

    def partition(self, sep: bytes) -> tuple[bytes, bytes, bytes]:
        return self[:].partition(sep)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self[:].decode(encoding, errors)


class Held(NamedTuple):
    """A file, and what tells it from every other one, and from itself before and after a change."""

    raw: Mapped | memoryview
    state: str


def state_of(found: os.stat_result) -> str:
    """Device, inode, size and times of a file; "" for one that is no plain file of a disk, or was just written to.

    Files of procfs and sysfs have no blocks: their times say nothing.
    """
    is_plain = S_ISREG(found.st_mode) and 0 < found.st_size <= BYTES_MAX and found.st_blocks
    if not is_plain or time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < SETTLED_NS:
        return ""
    return ":".join(map(str, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)))


def held(fd: int, beside: Sequence[str] = ()) -> Held | None:
    """The open file, mapped; `beside` is what else its state hangs on. None where a state would not hold."""
    state = state_of(os.fstat(fd))
    if not state:
        return None
    try:
        return Held(Mapped(fd, 0, prot=mmap.PROT_READ), "|".join((state, *beside)))
    except (OSError, ValueError):
        return None
