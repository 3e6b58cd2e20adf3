"""A folder with the kernel's own paths: a snapshot that was unpacked, or the root of another system.

Links are resolved inside the folder, as openat2(2) does with RESOLVE_IN_ROOT: an absolute target starts at
the folder and ".." stops there, so a file of this machine is never read through another one's root.
"""

from __future__ import annotations

import errno
import os
from stat import S_ISDIR, S_ISLNK, S_ISREG

from ..errors import NotThere, SourceError
from . import manifest, unpack
from .reading import (
    FILE_BYTES_MAX,
    MOUNT_POINTS,
    OPEN_FLAGS,
    TRACING,
    TRACING_OLD,
    absent,
    plain_parts,
    read_all,
    refusal,
    require_regular,
)
from .source import Description

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .mapped import Held
    from .verified import Verified

_FOLDER_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SMALL_BYTES = 1 << 16
_LINKS_MAX = 40  # MAXSYMLINKS, include/linux/namei.h
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


class FolderSource:
    """`kind` is "snapshot" or "root". Only a snapshot's manifest.json is looked at."""

    __slots__ = ("_keep", "_kind", "_manifest", "_root", "_stat", "_where", "verified")

    def __init__(self, path: str, kind: str, keep: bool = False) -> None:
        """`keep`: which files had the manifest's sha256 may be kept in the cache folder (verified.py)."""
        self._where, self._root, self._kind = path, os.path.abspath(path), kind
        self.verified: Verified | None = None
        self._keep = keep
        self._stat: os.stat_result | None = None  # of the file that was opened last
        self._manifest: manifest.Manifest | bool | None = False  # False: not looked for yet

    def read(self, path: str) -> bytes:
        """The whole file; where NAME is absent, NAME.xz, NAME.gz or NAME.zst, unpacked.

        Raises NotThere, Denied or Broken: a snapshot whose file differs from its manifest is Broken.
        """
        plain_parts(path)
        data = self._read_either(path)
        stat = self._stat
        if self._kind == "snapshot" and path != manifest.NAME and (found := self._read_manifest()):
            self._verify(found, path, data, stat)
        return data

    def _verify(self, found: manifest.Manifest, path: str, data: bytes, stat: os.stat_result | None) -> None:
        """Raises Broken for bytes that are not the manifest's. What was found right in this state, is."""
        if not self._keep or stat is None:
            found.verify(path, data)
            return
        if self.verified is None:
            from .verified import Verified

            self.verified = Verified(self._root)
        if not self.verified.has(path, stat):
            found.verify(path, data)
            self.verified.add(path, stat)

    def read_many(self, paths: Sequence[str]) -> Iterator[bytes | SourceError]:
        """What `read` gives or raises for each path, in their order. Fast where neighbours share folders.

        The folders on the way to a file stay open for the next path, and a plain file in plain folders is
        opened below them; links, packed files and all else go the way of `read`.
        """
        walk: list[tuple[str, int]] = [("", os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))]
        found = self._read_manifest() if self._kind == "snapshot" else None
        try:
            for path in paths:
                try:
                    data = self._read_near(walk, path)
                    if data is None:
                        yield self.read(path)
                        continue
                    if found:
                        found.verify(path, data)
                    yield data
                except SourceError as error:
                    yield error
        finally:
            for _, fd in walk:
                os.close(fd)

    @staticmethod
    def _read_near(walk: list[tuple[str, int]], path: str) -> bytes | None:
        """The file's bytes, opened below the folders of `walk`, which is moved to its folder. None: not that plain."""
        folder, _, name = path.rpartition("/")
        try:
            if walk[-1][0] != folder:
                parts = plain_parts(folder) if folder else []
                shared = 1
                while shared < len(walk) and shared <= len(parts) and walk[shared][0] == "/".join(parts[:shared]):
                    shared += 1
                while len(walk) > shared:
                    os.close(walk.pop()[1])
                for depth in range(shared, len(parts) + 1):
                    below = os.open(parts[depth - 1], os.O_PATH | _FOLDER_FLAGS, dir_fd=walk[-1][1])
                    walk.append(("/".join(parts[:depth]), below))
            if name in ("", ".", ".."):
                return None
            fd = os.open(name, OPEN_FLAGS | os.O_NOFOLLOW, dir_fd=walk[-1][1])
        except (OSError, ValueError, SourceError):
            return None  # `read` says why
        try:
            state = os.fstat(fd)
            if not S_ISREG(state.st_mode):
                return None
            data = os.read(fd, state.st_size + 1) if state.st_size <= _SMALL_BYTES else b""
            # A short read is the end of a regular file; tracefs and procfs give no size.
            return data if data and len(data) == state.st_size else data + read_all(fd, path)
        except OSError:
            return None
        finally:
            os.close(fd)

    def held(self, path: str) -> Held | None:
        """The file mapped, with the state of it and of the manifest; None for a packed one, and where states say
        nothing. A manifest's sha256 is not looked at: who keeps something of this state has read the file by `read`.
        """
        from .mapped import held, state_of

        beside: tuple[str, ...] = ()
        if self._kind == "snapshot":
            try:
                found = os.stat(os.path.join(self._root, manifest.NAME), follow_symlinks=False)
                beside = (state_of(found),)
                if not beside[0]:
                    return None
            except OSError:
                beside = ("",)
                if any(os.path.lexists(os.path.join(self._root, manifest.NAME + suffix)) for suffix in _PACKED):
                    return None
        for where in _places(path):
            try:
                fd = self._open(where, want_folder=False)
            except SourceError:
                return None
            except OSError as exc:
                if exc.errno not in _ABSENT:
                    return None
                continue
            try:
                return held(fd, beside)
            finally:
                os.close(fd)
        return None

    def names(self, folder: str) -> tuple[str, ...]:
        """The entries of a folder, sorted, packed files under their own names without the suffix."""
        if folder:
            plain_parts(folder)
        for where in _places(folder):
            try:
                fd = self._open(where, want_folder=True)
            except OSError as exc:
                if exc.errno not in _ABSENT:
                    raise refusal(folder, exc) from None
                continue
            try:
                entries = os.listdir(fd)
            except OSError as exc:
                raise refusal(folder, exc) from None
            finally:
                os.close(fd)
            if entries or self._kind == "snapshot" or folder not in MOUNT_POINTS:
                return tuple(sorted({_unpacked_name(folder, entry) for entry in entries}))
        raise self._missing(folder)

    def describe(self) -> Description:
        """What the manifest says; a root and a snapshot without a manifest say only where they are."""
        found = self._read_manifest() if self._kind == "snapshot" else None
        return description(self._kind, self._where, found)

    def _read_either(self, path: str) -> bytes:
        for where in _places(path):
            try:
                return self._read_at(path, where)
            except OSError as exc:
                if exc.errno not in _ABSENT:
                    raise refusal(path, exc) from None
        for suffix, packing in unpack.SUFFIXES:
            try:
                raw = self._read_at(path, path + suffix)
            except OSError as exc:
                if exc.errno not in (*_ABSENT, errno.ENAMETOOLONG):
                    raise refusal(path, exc) from None
                continue
            return unpack.unpacked(raw, packing, path + suffix, FILE_BYTES_MAX)
        raise self._missing(path)

    def _missing(self, path: str) -> SourceError:
        if self._kind == "snapshot":
            found = self._read_manifest() if path != manifest.NAME else None
            return found.missing(path) if found else manifest.not_recorded(path)
        return absent(path, self._entries_total)

    def _read_manifest(self) -> manifest.Manifest | None:
        if isinstance(self._manifest, bool):
            try:
                raw = self._read_either(manifest.NAME)
            except NotThere:
                self._manifest = None
            else:
                self._manifest = manifest.Manifest(raw, self._where)
        return self._manifest

    def _entries_total(self, folder: str) -> int | None:
        try:
            fd = self._open(folder, want_folder=True)
        except OSError as exc:
            return None if exc.errno in _ABSENT else -1
        try:
            return len(os.listdir(fd))
        except OSError:
            return -1
        finally:
            os.close(fd)

    def _read_at(self, path: str, where: str) -> bytes:
        fd = self._open(where, want_folder=False)
        try:
            self._stat = os.fstat(fd)
            require_regular(path, self._stat.st_mode)
            return read_all(fd, path)
        finally:
            os.close(fd)

    def _open(self, path: str, want_folder: bool) -> int:
        """A descriptor of the file or folder. Raises OSError, and Broken for a special file, which is not opened.

        Walks with one descriptor per folder: nothing outside can be reached even while links change.
        """
        pending = path.split("/")[::-1]
        folders = [os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        links = 0
        try:
            while pending:
                part = pending.pop()
                if part in ("", "."):
                    continue
                if part == "..":
                    if len(folders) > 1:
                        os.close(folders.pop())
                    continue
                mode = os.stat(part, dir_fd=folders[-1], follow_symlinks=False).st_mode
                if S_ISLNK(mode):
                    links += 1
                    if links > _LINKS_MAX:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    target = os.readlink(part, dir_fd=folders[-1])
                    if target.startswith("/"):
                        while len(folders) > 1:
                            os.close(folders.pop())
                    pending.extend(reversed(target.split("/")))
                elif S_ISDIR(mode):
                    folders.append(os.open(part, os.O_PATH | _FOLDER_FLAGS, dir_fd=folders[-1]))
                elif pending or want_folder:
                    raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                else:
                    require_regular(path, mode)
                    return os.open(part, OPEN_FLAGS | os.O_NOFOLLOW, dir_fd=folders[-1])
            return os.open(".", os.O_RDONLY | _FOLDER_FLAGS, dir_fd=folders[-1])
        finally:
            for fd in folders:
                os.close(fd)


def description(kind: str, where: str, found: manifest.Manifest | None) -> Description:
    """The description of a snapshot, from its manifest where it has one."""
    if found is None:
        return Description(kind, where, notes=("no manifest.json",) if kind == "snapshot" else ())
    told = found.taken, found.release, found.tool_version, found.notes(), found.partial, found.basis, found.assumed
    return Description(kind, where, *told, part=found.part)


def _places(path: str) -> tuple[str, ...]:
    if path == TRACING or path.startswith(TRACING + "/"):
        return (path, TRACING_OLD + path[len(TRACING) :])
    return (path,)


def _unpacked_name(folder: str, entry: str) -> str:
    if folder == "proc" and entry == "config.gz":  # the kernel's own name
        return entry
    if not entry.endswith(_PACKED):
        return entry
    return next(entry[: -len(suffix)] for suffix, _ in unpack.SUFFIXES if entry.endswith(suffix))


_PACKED = tuple(suffix for suffix, _ in unpack.SUFFIXES)
