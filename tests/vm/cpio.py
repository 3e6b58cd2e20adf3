"""Write and read cpio archives of the "newc" kind, which the kernel unpacks as initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst; read by init/initramfs.c. Several archives
may follow each other, so a guest's initramfs is a few prepared parts and one of its own. Owners are root.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAGIC = b"070701"
FIELDS = 13
HEADER_BYTES = len(MAGIC) + 8 * FIELDS
LAST = "TRAILER!!!"
ALIGNMENT_BYTES = 512


class Entry(NamedTuple):
    """One member: path without a leading slash, st_mode, contents (a link's target)."""

    path: str
    mode: int
    data: bytes


class Writer:
    """Writes one archive. Folders are made on the way; a path that is there already is left as it is."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._seen: set[str] = set()
        self._written = 0

    def folder(self, path: str) -> None:
        path = path.strip("/")
        if path and path not in self._seen:
            self.folder(os.path.dirname(path))
            self._add(path, stat.S_IFDIR | 0o755, b"")

    def data(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._new(path, stat.S_IFREG | mode, data)

    def link(self, path: str, target: str) -> None:
        self._new(path, stat.S_IFLNK | 0o777, target.encode())

    def file(self, path: str, host: str | Path) -> None:
        """The bytes of a file of this machine; executable where it is executable here."""
        self.data(path, Path(host).read_bytes(), 0o755 if os.access(host, os.X_OK) else 0o644)

    def tree(self, path: str, host: Path, skip: Callable[[str], bool] = lambda relative: False) -> None:
        """A folder of this machine. Links are followed; what is no file or folder is left out."""
        self.folder(path)
        for folder, folders, files in os.walk(host, followlinks=False):
            here = os.path.relpath(folder, host)
            folders[:] = sorted(name for name in folders if not skip(os.path.normpath(os.path.join(here, name))))
            for name in folders:
                self.folder(os.path.normpath(os.path.join(path, here, name)))
            for name in sorted(files):
                relative = os.path.normpath(os.path.join(here, name))
                if not skip(relative) and os.path.isfile(os.path.join(folder, name)):
                    self.file(f"{path}/{relative}", os.path.join(folder, name))

    def close(self) -> None:
        self._add(LAST, 0, b"")
        self._out.write(b"\0" * (-self._written % ALIGNMENT_BYTES))

    def _new(self, path: str, mode: int, data: bytes) -> None:
        path = path.strip("/")
        if path not in self._seen:
            self.folder(os.path.dirname(path))
            self._add(path, mode, data)

    def _add(self, path: str, mode: int, data: bytes) -> None:
        self._seen.add(path)
        name = path.encode() + b"\0"
        # ino, mode, uid, gid, nlink, mtime, size, device (2), rdevice (2), size of the name, checksum (unused)
        fields = (len(self._seen), mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        head = MAGIC + b"".join(b"%08X" % field for field in fields) + name
        for piece in (head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)):
            self._out.write(piece)
            self._written += len(piece)


def read(raw: bytes) -> Iterator[Entry]:
    """The members of one archive, in order. Raises ValueError with the offset where it is none."""
    at = 0
    while True:
        if raw[at : at + len(MAGIC)] != MAGIC:
            raise ValueError(f"no cpio header at byte {at}")
        fields = [int(raw[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(FIELDS)]
        name_end = at + HEADER_BYTES + fields[11]
        data_at = name_end + -name_end % 4
        path = raw[at + HEADER_BYTES : name_end - 1].decode()
        if path == LAST:
            return
        yield Entry(path, fields[1], raw[data_at : data_at + fields[6]])
        at = data_at + fields[6] + -fields[6] % 4
