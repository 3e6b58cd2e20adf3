"""A snapshot in one file: tar, plain or packed with xz, gzip or zstd.

The archive is unpacked into memory once and read in place; nothing is written to disk. It may come from
anyone, so the limits of tar.py hold while it unpacks, and what breaks them is refused in one sentence.
"""

from __future__ import annotations

import itertools
import os

from ..errors import Broken, NotThere, SourceError
from . import manifest, unpack, unpacked
from .folder import description
from .reading import OPEN_FLAGS, plain_parts, printable, refusal, require_regular
from .source import Description
from .tar import TOTAL_BYTES_MAX, Walker

TYPE_CHECKING = False
if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

    from .mapped import Held

# The first folders of the kernel's own paths: an archive that has only one of them has no folder around it.
_TOPS = ("boot", "code", "lib", "proc", "sys", "usr")


class ArchiveSource:
    """Opening it unpacks and checks the whole archive; `read` copies one member out."""

    __slots__ = ("_children", "_data", "_files", "_folders", "_kept", "_manifest", "_state", "_where")

    def __init__(self, file: str, keep: bool = False) -> None:
        """Raises NotThere, Denied, or Broken with one sentence on what is wrong with the archive.

        `keep`: what was unpacked is kept below the cache folder, and taken from there (unpacked.py).
        """
        self._where = file
        self._children: dict[str, set[str]] | None = None
        self._data: bytearray | mmap.mmap
        question = _state(file) if keep else ""
        before = unpacked.kept_state(question) if question else ""
        kept = unpacked.load(question) if question else None
        self._kept = question if kept is not None else ""
        if kept is not None:
            self._files, self._folders, self._data = kept
        else:
            self._files, self._folders, self._data = _unpack(file)
        where = self._files.get(manifest.NAME)
        self._manifest = manifest.Manifest(self._slice(*where), file) if where else None
        is_new = question and kept is None and self._manifest is not None
        if is_new and isinstance(self._data, bytearray) and _state(file) == question:  # nobody wrote to it meanwhile
            unpacked.store(question, self._files, self._folders, self._data)
        # Of the archive and of its kept copy: while neither changes, the bytes are those that were verified once.
        after = unpacked.kept_state(question) if self._manifest is not None and question else ""
        self._state = f"{question}|{after}" if after and (is_new or after == before) else ""

    def held(self, path: str) -> Held | None:
        """A member with what its bytes hang on, where the archive is kept unpacked (mapped.py)."""
        where = self._files.get(path)
        if not self._state or where is None:
            return None
        from .mapped import Held

        at, size = where
        return Held(memoryview(self._data)[at : at + size], f"{self._state}|{size}")

    def read(self, path: str) -> bytes:
        """The member's bytes. Raises NotThere, Denied or Broken, as the manifest recorded it."""
        plain_parts(path)
        where = self._files.get(path)
        if where is None:
            raise self._missing(path)
        data = self._slice(*where)
        if self._manifest and path != manifest.NAME:
            try:
                self._manifest.verify(path, data)
            except Broken:
                if not self._unpack_again():  # the archive itself is altered
                    raise
                return self.read(path)
        return data

    def _unpack_again(self) -> bool:
        """Whether what was read came from the cache folder; it is given up, and the archive read instead."""
        question, self._kept = self._kept, ""
        self._state = ""
        if not question:
            return False
        unpacked.forget(question)
        if _state(self._where) != question:
            return False
        self._files, self._folders, self._data = _unpack(self._where)
        return True

    def names(self, folder: str) -> tuple[str, ...]:
        """The entries of a folder, sorted; "" is the top. Raises NotThere, Denied or Broken."""
        if folder:
            plain_parts(folder)
        if self._children is None:
            self._children = _children(self._files, self._folders)
        found = self._children.get(folder)
        if found is None:
            if folder in self._files:
                raise NotThere(folder, "a file, not a folder")
            raise self._missing(folder)
        return tuple(sorted(found))

    def describe(self) -> Description:
        """What the manifest says; without one, only where the archive is."""
        return description("snapshot", self._where, self._manifest)

    def _missing(self, path: str) -> SourceError:
        return self._manifest.missing(path) if self._manifest else manifest.not_recorded(path)

    def _slice(self, offset: int, size: int) -> bytes:
        return bytes(memoryview(self._data)[offset : offset + size])


def _unpack(file: str) -> tuple[dict[str, tuple[int, int]], set[str], bytearray]:
    """Files, folders and bytes of the archive. Raises NotThere, Denied, Broken."""
    data = bytearray()
    walker = Walker(file)
    total = 0
    for piece in _stream(file):
        total += len(piece)
        if total > TOTAL_BYTES_MAX:
            raise Broken(file, f"unpacks to more than {TOTAL_BYTES_MAX >> 20} MiB")
        if not walker.is_ended:  # what follows the end is unpacked, so that its checksum is verified, and dropped
            data += piece
            walker.feed(data)
    walker.finish(len(data))
    files, folders = _without_top(walker.files, walker.folders)
    _refuse_files_as_folders(files, file)
    return files, folders, data


def _state(file: str) -> str:
    try:
        return unpacked.state(file, os.stat(file))
    except (OSError, ValueError):
        return ""


def _stream(file: str) -> Iterator[bytes]:
    """The unpacked bytes of the file, or of an object in another store, a piece at a time."""
    if "://" in file:
        from . import remote

        if remote.is_address(file):
            yield from _plain(file, remote.pieces(file))
            return
    try:
        require_regular(file, os.stat(file).st_mode)
        fd = os.open(file, OPEN_FLAGS)
    except OSError as exc:
        raise refusal(file, exc) from None
    except ValueError:
        raise NotThere(printable(file), "not a name a file can have") from None
    try:
        require_regular(file, os.fstat(fd).st_mode)
        yield from _plain(file, _chunks(fd))
    except OSError as exc:
        raise refusal(file, exc) from None
    finally:
        os.close(fd)


def _plain(file: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    head = next(chunks, b"")
    if not head:
        raise Broken(file, "an empty file")
    packing = unpack.packing_of(head)
    whole = itertools.chain((head,), chunks)
    yield from unpack.pieces(whole, packing, file) if packing else whole


def _chunks(fd: int) -> Iterator[bytes]:
    while chunk := os.read(fd, unpack.SLICE_BYTES):
        yield chunk


def _without_top(files: dict[str, tuple[int, int]], folders: set[str]) -> tuple[dict[str, tuple[int, int]], set[str]]:
    """The paths without the one folder that is around everything, if there is one."""
    first = next(iter(files), "")
    top = first.partition("/")[0] + "/"
    if not first.startswith(top) or top[:-1] in _TOPS or not all(path.startswith(top) for path in files):
        return files, folders
    cut = len(top)
    return {path[cut:]: where for path, where in files.items()}, {f[cut:] for f in folders if f.startswith(top)}


def _children(files: dict[str, tuple[int, int]], folders: set[str]) -> dict[str, set[str]]:
    """Every folder, also those that only their files show, with the names in it."""
    found: dict[str, set[str]] = {"": set()}
    for folder in folders:
        found.setdefault(folder, set())
    for path in (*files, *folders):
        while path:
            above, _, name = path.rpartition("/")
            is_new = above not in found
            found.setdefault(above, set()).add(name)
            if not is_new:
                break
            path = above
    return found


def _refuse_files_as_folders(files: dict[str, tuple[int, int]], where: str) -> None:
    """A path that is a file and a folder at once cannot come from a kernel."""
    above = {path.rpartition("/")[0] for path in files}
    while above:
        both = above & files.keys()
        if both:
            raise Broken(where, f"{printable(min(both))} is a file and a folder")
        above = {folder.rpartition("/")[0] for folder in above} - {""}
