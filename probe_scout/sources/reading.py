"""What every source on disk shares: path rules, errno -> error with a cure, and reads that end.

Paths are plain: components separated by "/", no leading slash, no "." or "..", no NUL. The special
filesystems and their mount points are those of Documentation/filesystems/sysfs.rst,
Documentation/trace/ftrace.rst (tracefs), Documentation/filesystems/debugfs.rst and
security/inode.c (securityfs).
"""

from __future__ import annotations

import errno
import os
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISLNK, S_ISREG, S_ISSOCK

from ..errors import Broken, Denied, NotThere, SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FILE_BYTES_MAX = 256 << 20
TRACING = "sys/kernel/tracing"
TRACING_OLD = "sys/kernel/debug/tracing"
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_READ_BYTES = 64 << 10

# Longest first: the first mount point that is a prefix of a path is the one that holds it.
_MOUNTS = (
    (TRACING, "tracefs", "mount -t tracefs none /sys/kernel/tracing"),
    ("sys/kernel/security", "securityfs", "mount -t securityfs none /sys/kernel/security"),
    ("sys/kernel/debug", "debugfs", "mount -t debugfs none /sys/kernel/debug"),
    ("sys/fs/bpf", "bpffs", "mount -t bpf none /sys/fs/bpf"),
    ("proc", "proc", "mount -t proc none /proc"),
    ("sys", "sysfs", "mount -t sysfs none /sys"),
)
_CURE_EMPTY = {"tracefs": "lockdown=confidentiality leaves it so: boot with lockdown=integrity, or without lockdown"}
_CURE_KILLED = "dmesg has the error; boot again"  # kernel/trace/ftrace.c, ftrace_kill: ftrace_disabled
MOUNT_POINTS = frozenset(mount for mount, _, _ in _MOUNTS)
_KINDS = (
    (S_ISDIR, "a folder"),
    (S_ISFIFO, "a FIFO"),
    (S_ISSOCK, "a socket"),
    (S_ISCHR, "a character device"),
    (S_ISBLK, "a block device"),
    (S_ISLNK, "a symbolic link"),
)


def plain_parts(path: str) -> list[str]:
    """The components of a path. Raises NotThere for anything but a plain path below the root."""
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts or "\0" in path:
        raise NotThere(printable(path), "not a plain path below the root of the source")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise NotThere(printable(path), "not a name a file can have") from None
    return parts


def printable(path: str) -> str:
    """The path as one line of plain ASCII, at most 200 characters: safe inside a message."""
    text = path if path.isascii() and path.isprintable() else ascii(path)
    return text if len(text) <= 200 else text[:197] + "..."


def sentence(exc: OSError) -> str:
    """The errno's own words: "Input/output error"."""
    return exc.strerror or type(exc).__name__


def refusal(path: str, exc: OSError) -> SourceError:
    """An OSError as NotThere, Denied or Broken. A path that is absent is told apart by `absent`."""
    code = exc.errno
    if code in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return NotThere(path, sentence(exc))
    if code in (errno.EACCES, errno.EPERM):
        if os.geteuid() == 0:
            cure = "root is refused too: kernel lockdown, a security module or a container keeps it closed"
        else:
            cure = "run as root"
        return Denied(path, sentence(exc), cure)
    if code == errno.ENODEV and path.startswith((TRACING + "/", "proc/sys/kernel/ftrace_enabled")):
        return Denied(path, f"{sentence(exc)}: ftrace has shut itself down after an error", _CURE_KILLED)
    if code == errno.EAGAIN:
        return Broken(path, "reading it would wait for data that never ends")
    return Broken(path, sentence(exc))


def absent(
    path: str, entries_total: Callable[[str], int | None], is_mounted: Callable[[str], bool] | None = None
) -> SourceError:
    """Why a path is absent: the kernel has no such file, or its filesystem is not mounted, or mounted and empty.

    `entries_total` says how many entries a folder has, None if there is no such folder. What an unmounted
    filesystem would hold is unknown, so `kind` is then "not_recorded" and never "not_there". A kernel booted
    under lockdown=confidentiality leaves tracefs empty (kernel/trace/trace.c, tracing_init_dentry).
    """
    for mount, name, cure in _MOUNTS:
        if path == mount or path.startswith(mount + "/"):
            total = entries_total(mount)
            if total == 0 and is_mounted is not None and is_mounted(mount):
                return Denied(path, f"{name} is mounted but empty", _CURE_EMPTY.get(name, ""))
            if total == 0 or (total is None and mount in ("proc", "sys")):
                found = NotThere(path, f"{name} is not mounted", cure)
                found.kind = "not_recorded"
                return found
    return NotThere(path, "no such file or folder")


def require_regular(path: str, mode: int) -> None:
    """Raises Broken, naming what it is, unless the mode is a regular file's."""
    if S_ISREG(mode):
        return
    what = next((words for test, words in _KINDS if test(mode)), "a special file")
    raise Broken(path, f"{what}, not a regular file")


def read_all(fd: int, path: str, limit_bytes: int = FILE_BYTES_MAX) -> bytes:
    """Everything up to end of file; procfs and tracefs give a page at a time and no size.

    Raises OSError as the kernel gives it, and Broken for more than `limit_bytes`.
    """
    size = os.fstat(fd).st_size
    if size > limit_bytes:
        raise Broken(path, f"larger than {limit_bytes >> 20} MiB")
    wanted = max(size + 1, _READ_BYTES)
    chunks = []
    total = 0
    while chunk := os.read(fd, wanted):
        chunks.append(chunk)
        total += len(chunk)
        if total > limit_bytes:
            raise Broken(path, f"larger than {limit_bytes >> 20} MiB")
        wanted = _READ_BYTES
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
