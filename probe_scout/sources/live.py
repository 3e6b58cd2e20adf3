"""This machine: the files below "/", as this process may read them.

A tracefs that is not mounted at sys/kernel/tracing is looked for at sys/kernel/debug/tracing, where
debugfs mounts it by itself (fs/tracefs, kernel/trace/trace.c, trace_automount).
"""

from __future__ import annotations

import errno
import os

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

_BTF = "sys/kernel/btf/"
_ABSENT = (errno.ENOENT, errno.ENOTDIR)


def _mapped(fd: int, size: int) -> bytes | None:
    """The file by mmap; None where this kernel does not map it.

    sysfs gives BTF a page a call: 1,346 calls of read for 5.5 MB. Newer kernels map the file of vmlinux
    (kernel/bpf/sysfs_btf.c, btf_sysfs_vmlinux_mmap).
    """
    import mmap

    try:
        with mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ) as found:
            return found[:]
    except (OSError, ValueError):
        return None


class LiveSource:
    """The running kernel. `root` is "/" except in tests; links are followed as the machine has them."""

    __slots__ = ("_prefix", "_totals")

    def __init__(self, root: str = "/") -> None:
        self._prefix = root if root.endswith("/") else root + "/"
        self._totals: dict[str, int | None] = {}

    def read(self, path: str) -> bytes:
        """The whole file, read until the kernel says end of file.

        Raises NotThere, Denied (with what helps) or Broken: a folder, a FIFO or a device is refused unopened,
        and so is a file that would wait for data (tracing/trace_pipe).
        """
        plain_parts(path)
        try:
            return self._read_at(path, path)
        except OSError as exc:
            if exc.errno not in _ABSENT:
                raise refusal(path, exc) from None
        old = self._old_tracing(path)
        if old:
            try:
                return self._read_at(path, old)
            except OSError as exc:
                if exc.errno not in _ABSENT:
                    raise refusal(path, exc) from None
        raise absent(path, self._entries_total, self._is_mounted)

    def names(self, folder: str) -> tuple[str, ...]:
        """The entries of a folder, sorted; "" is the root. Raises NotThere, Denied or Broken."""
        if folder:
            plain_parts(folder)
        for where in (folder, self._old_tracing(folder)):
            if where is None:
                continue
            try:
                found = tuple(sorted(os.listdir(self._prefix + where)))
            except OSError as exc:
                if exc.errno not in _ABSENT:
                    raise refusal(folder, exc) from None
                continue
            if found or folder not in MOUNT_POINTS:
                return found
        raise absent(folder, self._entries_total, self._is_mounted)

    def describe(self) -> Description:
        """Kind "live"; the release is uname's."""
        return Description("live", self._prefix, release=os.uname().release)

    def _read_at(self, path: str, where: str) -> bytes:
        full = self._prefix + where
        require_regular(path, os.stat(full).st_mode)
        fd = os.open(full, OPEN_FLAGS)
        try:
            found = os.fstat(fd)
            require_regular(path, found.st_mode)
            if path.startswith(_BTF) and 0 < found.st_size <= FILE_BYTES_MAX:
                raw = _mapped(fd, found.st_size)
                if raw is not None:
                    return raw
            return read_all(fd, path)
        finally:
            os.close(fd)

    def _old_tracing(self, path: str) -> str | None:
        """The path below debugfs, if tracefs is not mounted at its own place."""
        if path != TRACING and not path.startswith(TRACING + "/"):
            return None
        return None if self._entries_total(TRACING) else TRACING_OLD + path[len(TRACING) :]

    def _is_mounted(self, folder: str) -> bool:
        return os.path.ismount(self._prefix + folder)

    def _entries_total(self, folder: str) -> int | None:
        """Entries of a folder, counted once: -1 if it may not be listed, None if there is none."""
        if folder not in self._totals:
            total: int | None
            try:
                total = len(os.listdir(self._prefix + folder))
            except OSError as exc:
                total = None if exc.errno in _ABSENT else -1
            self._totals[folder] = total
        return self._totals[folder]
