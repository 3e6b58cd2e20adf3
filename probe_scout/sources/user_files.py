"""Programs and libraries as files of this machine, of a mounted root, or as a process sees them.

A kernel looks a path up in the mount namespace of whoever attaches; a process's own view is /proc/PID/root. Files are
read and never mapped privately: a private mapping would show the breakpoints that are planted (valid_vma in
kernel/events/uprobes.c).
"""

from __future__ import annotations

import errno
import os
import re
from stat import S_ISREG

from ..named_tuple import NamedTuple

BYTES_MAX = 4 << 30
_READ_BYTES = 64 << 20  # larger files are mapped (shared, for reading)
PATH_MAX = 4096
_NO_PAGE_CACHE = frozenset(("proc", "tracefs", "debugfs", "securityfs", "hugetlbfs"))
_PROBLEMS = {
    errno.ENOENT: "missing",
    errno.ELOOP: "loop",
    errno.ENAMETOOLONG: "long_name",
    errno.ENOTDIR: "not_directory",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
}
_MAPS = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)")
_CGROUP = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}(?=[/.]|$)")


class FileState(NamedTuple):
    """What stat(2) says of a path. `problem` is "" or a word of UserTraits.path."""

    problem: str
    regular: bool = True
    size: int = 0
    device: int = 0
    inode: int = 0
    no_page_cache: bool = False


def stamp(path: str) -> list[int]:
    """What changes when a file is changed or replaced: device, inode, bytes, times of content and inode, readable.

    Times in nanoseconds. Empty where no file is.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return []
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return [found.st_dev, found.st_ino, found.st_size, *times, int(os.access(path, os.R_OK))]


class Mapping(NamedTuple):
    """One line of proc/PID/maps that belongs to a file."""

    start: int
    end: int
    flags: str
    offset: int
    device: int
    inode: int
    path: str

    @property
    def takes_breakpoints(self) -> bool:
        """valid_vma: private and not writable. That it may be executed is not said here (a noexec mount)."""
        return self.flags[3] == "p" and self.flags[1] != "w"


class MappedBy(NamedTuple):
    """Who maps a file: processes that map this very inode, those that map one it has replaced, and (`elsewhere`) those
    that map another file of the same path, in another mount namespace.

    `denied` counts the processes that may not be looked at.
    """

    pids: tuple[int, ...]
    old: tuple[int, ...]
    denied: int
    at_offset: bool = False
    elsewhere: tuple[int, ...] = ()


def state(path: str) -> FileState:
    """What is at a path, links followed, as kern_path finds it."""
    try:
        found = os.stat(path)
    except OSError as error:
        return FileState(_PROBLEMS.get(error.errno or 0, "missing"))
    except ValueError:  # a NUL in the path
        return FileState("missing")
    return FileState(
        "",
        S_ISREG(found.st_mode),
        found.st_size,
        found.st_dev,
        found.st_ino,
        file_system(found.st_dev) in _NO_PAGE_CACHE,
    )


def file_system(device: int) -> str:
    """The type of the file system on a device, by /proc/self/mountinfo; "" if it is not told."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if len(words) > 6 and words[2] == wanted:
                    return words[words.index("-", 6) + 1]
    except (OSError, ValueError):
        pass
    return ""


def content(path: str) -> bytes | object:
    """The bytes of a file; an mmap of a large one. Raises OSError."""
    import mmap

    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = os.fstat(fd)
        if not S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        if found.st_size > _READ_BYTES:
            return mmap.mmap(fd, 0, mmap.MAP_SHARED, mmap.PROT_READ)
        parts = []
        left = _READ_BYTES + 1
        while left > 0 and (part := os.read(fd, min(left, 1 << 24))):
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(fd)


def mappings(pid: int, proc: str = "/proc") -> list[Mapping]:
    """The file mappings of a process. Raises OSError (also for a process that is gone)."""
    with open(f"{proc}/{pid}/maps", "rb") as handle:
        raw = handle.read()
    found = []
    for match in _MAPS.finditer(raw):
        if match[7] != b"0":
            found.append(
                Mapping(
                    int(match[1], 16),
                    int(match[2], 16),
                    match[3].decode(),
                    int(match[4], 16),
                    os.makedev(int(match[5], 16), int(match[6], 16)),
                    int(match[7]),
                    os.fsdecode(match[8]),
                )
            )
    return found


def mapped_by(
    path: str, of: FileState, offset: int | None = None, proc: str = "/proc", only: int | None = None
) -> MappedBy:
    """Which processes map a file, of all or of one. Reads proc/PID/maps of each once."""
    sign, name = b" %d " % of.inode, b"/%s (deleted)\n" % os.fsencode(os.path.basename(path))
    pids: list[int] = []
    old: list[int] = []
    elsewhere: list[int] = []
    denied, at_offset = 0, False
    real = os.path.realpath(path)
    plain = b" %s\n" % os.fsencode(real)
    for entry in os.listdir(proc) if only is None else (str(only),):
        if not entry.isdigit():
            continue
        try:
            raw = _whole(f"{proc}/{entry}/maps")
        except PermissionError:
            denied += 1
            continue
        except OSError:
            continue
        if sign not in raw and name not in raw and plain not in raw:
            continue
        lines = [line for line in raw.splitlines(True) if sign in line or line.endswith((name, plain))]
        for mapping in _file_mappings(b"".join(lines)):
            if is_same(mapping, of, real) or (mapping.path == real and _is_behind(f"{proc}/{entry}/root{real}", of)):
                if int(entry) not in pids[-1:]:
                    pids.append(int(entry))
                inside = offset is not None and 0 <= offset - mapping.offset < mapping.end - mapping.start
                at_offset = at_offset or (inside and mapping.takes_breakpoints)
            elif mapping.path == f"{real} (deleted)" and int(entry) not in old[-1:]:
                old.append(int(entry))
            elif mapping.path == real and int(entry) not in elsewhere[-1:]:
                elsewhere.append(int(entry))
    return MappedBy(tuple(pids), tuple(old), denied, at_offset, tuple(elsewhere))


def _whole(path: str) -> bytes:
    """A file of /proc, without the four further calls that open() makes for each. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def _file_mappings(raw: bytes) -> list[Mapping]:
    return [
        Mapping(
            int(m[1], 16), int(m[2], 16), m[3].decode(), int(m[4], 16),
            os.makedev(int(m[5], 16), int(m[6], 16)), int(m[7]), os.fsdecode(m[8]),
        )
        for m in _MAPS.finditer(raw)
        if m[7] != b"0"
    ]  # fmt: skip


def is_same(mapping: Mapping, of: FileState, real: str) -> bool:
    """The mapping is of this file. overlay and btrfs show another device in maps than in stat; then the path agrees."""
    return mapping.inode == of.inode and (mapping.device == of.device or mapping.path == real)


def _is_behind(path: str, of: FileState) -> bool:
    """A path, as a process sees it, leads to this file. overlay may show another inode in maps than in stat."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (of.device, of.inode)


def is_one_file(path: str, other: str) -> bool:
    """Two paths lead to one file."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False


def processes(proc: str = "/proc") -> list[int]:
    """The processes that are seen, in order of their numbers."""
    return sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def in_container(container: str, proc: str = "/proc") -> int | None:
    """The first process whose control group names a container; None if there is none."""
    for entry in processes(proc):
        try:
            with open(f"{proc}/{entry}/cgroup", encoding="utf-8", errors="replace") as handle:
                text = handle.read()
        except OSError:
            continue
        if any(one.startswith(container) for one in _CGROUP.findall(text)):
            return entry
    return None


def exists(pid: int, proc: str = "/proc") -> bool:
    """The process is there."""
    return os.path.isdir(f"{proc}/{pid}")


def leader(pid: int, proc: str = "/proc") -> int:
    """The process that a thread belongs to: its own number for a process; 0 where neither is there."""
    return _of_status(pid, "Tgid", proc)


def seccomp_mode(pid: int, proc: str = "/proc") -> int:
    """SECCOMP_MODE_* of a process: 0 none, 1 strict, 2 filters; 0 also where that cannot be seen."""
    return _of_status(pid, "Seccomp", proc)


def _of_status(pid: int, word: str, proc: str) -> int:
    """A number in proc/PID/status; 0 where it is not there."""
    try:
        with open(f"{proc}/{pid}/status", encoding="ascii", errors="replace") as handle:
            words = handle.read(1 << 16).partition(f"\n{word}:")[2].split(None, 1)
    except OSError:
        return 0
    return int(words[0]) if words and words[0].isdigit() else 0


def threads(pid: int, proc: str = "/proc") -> int:
    """How many threads a process has; 0 where that cannot be seen."""
    try:
        return len(os.listdir(f"{proc}/{pid}/task"))
    except OSError:
        return 0


LIBBPF_FOLDERS = ("/usr/lib64", "/usr/lib", "/lib64", "/lib")


def library_folders(machine: str, environment: str) -> tuple[str, ...]:
    """Where libbpf looks for a library's name: LD_LIBRARY_PATH, the fixed folders, the multiarch ones.

    tools/lib/bpf/libbpf.c, resolve_full_path and arch_specific_lib_paths.
    """
    multiarch = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "riscv64": "riscv64-linux-gnu",
                 "s390x": "s390x-linux-gnu", "i386": "i386-linux-gnu"}.get(machine)  # fmt: skip
    found = [folder for folder in environment.split(":") if folder]
    return (*found, *LIBBPF_FOLDERS, *((f"/lib/{multiarch}", f"/usr/lib/{multiarch}") if multiarch else ()))
