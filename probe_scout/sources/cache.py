"""Answers kept between runs, so that asking again costs no reading.

One small file an answer, below $XDG_CACHE_HOME/probe-scout (default ~/.cache), mode 0600 in folders of mode
0700. The key holds everything an answer hangs on: build-id, modules, boot, rights, switches, which files
were there, and this program's own files. A file that is cut off, altered, foreign or of another key is as
good as none: the answer is worked out anew. PROBE_SCOUT_CACHE=off turns it off.

Only functions and system calls are kept. JSON inside, with a checksum; nothing in it is ever run.
"""

from __future__ import annotations

import os
import time
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    _Taken = TypeVar("_Taken")


FORMAT = "probe-scout answers 2"
_BYTES_MAX = 1 << 20
_FILES_MAX = 4096
_SPARE_S = 3600
_LARGE, _LARGE_BYTES_MAX, _LARGE_FILES_MAX = "table-", 64 << 20, 16
# What is looked at, not read: a change of any of these is another question.
_STATED = (
    "proc/kallsyms",
    "sys/kernel/btf",
    "sys/kernel/btf/vmlinux",
    "sys/kernel/tracing",
    "sys/kernel/tracing/available_events",
    "sys/kernel/tracing/available_filter_functions",
    "sys/kernel/tracing/available_filter_functions_addrs",
    "sys/kernel/debug",
    "sys/kernel/debug/kprobes/blacklist",
    "sys/kernel/debug/error_injection/list",
    "sys/kernel/notes",
    "proc/config.gz",
    "proc/kcore",
    "boot",
    "boot/config",
    "lib/modules",
    "usr/lib/modules",
    "code/slices",
    "manifest.json",
    "uname",
)
# Small files whose content matters.
_READ = (
    "sys/kernel/notes",
    "proc/version",
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/random/boot_id",
    "proc/sys/kernel/kptr_restrict",
    "proc/sys/kernel/perf_event_paranoid",
    "proc/sys/kernel/ftrace_enabled",
    "sys/kernel/security/lockdown",
    "sys/kernel/security/lsm",
    "sys/kernel/debug/kprobes/enabled",
)


def key(root: str, vmlinux: str | None, names: Sequence[str], types: Sequence[str], as_me: bool) -> str | None:
    """Everything the answer hangs on, as one line of text; None where the answer is not kept.

    A live kernel is told by build-id, boot and modules; a snapshot or a mounted root by the state of its files.
    """
    if not is_on() or as_me or not names:
        return None
    if any((":" in name and not name.startswith("syscall:")) or "+" in name or "/" in name for name in names):
        return None
    parts = [FORMAT, program(), str(os.geteuid()), os.path.abspath(root) if root else "/", *names, "|", *types, "|"]
    parts.append(_stat(vmlinux) if vmlinux else "")
    if root and os.path.isfile(root):
        parts.append(_stat(root))
        return "\0".join(parts)
    top = root or "/"
    parts += [_stat(os.path.join(top, path)) for path in _STATED]
    if root:
        parts += _each(os.path.join(top, "sys/kernel/btf"))
        parts += _each(os.path.join(top, "boot"))
        if not os.path.lexists(os.path.join(root, "proc")):  # a kernel's packages
            parts += _each(root)
    for path in _READ:
        parts.append(_head(os.path.join(top, path)))
    parts.append(_modules(os.path.join(top, "proc/modules")))
    parts.append(_capabilities() if not root else "")
    return "\0".join(parts)


def program() -> str:
    """The state of every file of this program, so that a change of code or of shipped data is a change of answers.

    The whole package is walked: a folder that is added or renamed needs no mention here.
    """
    found: list[str] = []
    _walk(os.path.dirname(os.path.dirname(__file__)), "", found)
    state = "\n".join(sorted(found)).encode("utf-8", "surrogateescape")
    told = f"{len(found)}:{zlib.crc32(state):08x}"
    if not _this:
        _this.append(told)
    return told


_this: list[str] = []


def this_program() -> str:
    """As `program`, walked once: the files that this process runs by are those it was started with."""
    if not _this:
        program()
    return _this[0]


def _walk(folder: str, below: str, found: list[str]) -> None:
    """Name, size and time of each file, without what Python compiles; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    _walk(entry.path, f"{below}{entry.name}/", found)
            else:
                state = entry.stat(follow_symlinks=False)
                found.append(f"{below}{entry.name}:{state.st_size}:{state.st_mtime_ns}")


def _stat(path: str) -> str:
    """Size and times of a path. In /proc and /sys times tell nothing: there only that it is open to us.

    Its mtime can be set to what it was (`touch -r`, rsync, tar); its ctime cannot.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        return type(error).__name__
    readable = os.access(path, os.R_OK)
    if path.startswith(("/proc", "/sys")):
        return f"{state.st_mode}:{readable}"
    return f"{state.st_dev}:{state.st_ino}:{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}:{readable}"


def _each(folder: str) -> list[str]:
    try:
        return [_stat(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
    except OSError as error:
        return [type(error).__name__]


def _head(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        return type(error).__name__
    try:
        return os.read(descriptor, 4096).hex()
    except OSError as error:
        return type(error).__name__
    finally:
        os.close(descriptor)


def _modules(path: str) -> str:
    """Names, sizes and addresses of modules; reference counts move and are left out."""
    try:
        with open(path, "rb") as handle:
            lines = handle.read(_BYTES_MAX).split(b"\n")
    except (OSError, ValueError) as error:
        return type(error).__name__
    words = [line.split() for line in lines if line]
    return " ".join(sorted(b":".join((*w[:2], *w[4:6])).decode("utf-8", "replace") for w in words))


def _capabilities() -> str:
    text = _head("/proc/self/status")
    try:
        status = bytes.fromhex(text)
    except ValueError:
        return text  # the error's name: it could not be read
    return status.decode("utf-8", "replace").partition("CapEff:")[2][:24]


def is_on() -> bool:
    """Whether anything may be kept."""
    return os.environ.get("PROBE_SCOUT_CACHE") != "off"


def folder() -> str:
    """Where answers are kept; "" where there is no home to keep them in."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "probe-scout") if os.path.isabs(base) else ""


def _path(question: str, kind: str = "") -> str:
    where = folder()
    return os.path.join(where, f"{kind}{number(question)}.json") if where else ""


def number(question: str) -> str:
    """Sixteen hexadecimal digits of a question: its file's name. The file says whose it is."""
    raw = question.encode("utf-8", "surrogateescape")
    return f"{zlib.crc32(raw):08x}{zlib.adler32(raw):08x}"


def kept(question: str, large: bool = False) -> Any:
    """A value of lists, strings and numbers that `keep` kept under exactly this key; None if there is none."""
    if not is_on():
        return None
    try:
        return _load(question, _LARGE if large else "", _LARGE_BYTES_MAX if large else _BYTES_MAX)
    except (ValueError, RecursionError):
        return None


def keep(question: str, value: Any, large: bool = False) -> None:
    """Keep a value that JSON can hold. `large` ones are few; `question` begins with the file state it hangs on."""
    if is_on():
        _store(question, value, _LARGE if large else "", _LARGE_BYTES_MAX if large else _BYTES_MAX)


def read_private(path: str, take: Callable[[int, int], _Taken | None]) -> _Taken | None:
    """What `take` makes of an open file and its size in bytes; None where it is not this user's alone, or not there."""
    if not path:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        state = os.fstat(descriptor)
        if state.st_uid != os.geteuid() or state.st_mode & 0o077:
            return None
        return take(descriptor, state.st_size)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


def _load(question: str, kind: str, limit: int) -> Any:
    """The value of a key, None if no file can be trusted. Raises ValueError or RecursionError for what is no JSON."""
    raw = read_private(_path(question, kind), lambda file, size: os.read(file, size + 1) if size <= limit else None)
    if raw is None:
        return None
    head, _, body = raw.partition(b"\n")
    if head != b"%08x" % zlib.crc32(body):
        return None
    import json

    both = json.loads(body)
    return both[1] if isinstance(both, list) and len(both) == 2 and both[0] == question else None


def _store(question: str, value: Any, kind: str, limit: int) -> None:
    path = _path(question, kind)
    if not path:
        return
    import json

    body = json.dumps([question, value], separators=(",", ":")).encode()
    if len(body) <= limit - 16:
        write_private(path, (b"%08x\n" % zlib.crc32(body) + body,), lambda where, _: _prune(where, kind))


def write_private(path: str, parts: Sequence[bytes | bytearray], make_room: Callable[[str, int], None]) -> None:
    """A whole file or none, for this user alone. `make_room` is given its folder and the bytes to come."""
    spare = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        state = os.lstat(os.path.dirname(path))
        if state.st_uid != os.geteuid() or state.st_mode & 0o022:
            return
        make_room(os.path.dirname(path), sum(map(len, parts)))
        descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            for part in parts:
                left = memoryview(part)
                while left:
                    left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        os.replace(spare, path)
    except (OSError, ValueError):
        try:
            os.unlink(spare)
        except OSError:
            pass


def _prune(where: str, kind: str) -> None:
    """Give back the older half once there are too many."""
    with os.scandir(where) as entries:
        found = [
            (entry.stat().st_mtime_ns, entry.path)
            for entry in entries
            if entry.name.endswith(".json") and entry.name.startswith(_LARGE) == bool(kind)
        ]
    most = _LARGE_FILES_MAX if kind else _FILES_MAX
    if len(found) >= most:
        for _, path in sorted(found)[: most // 2]:
            os.unlink(path)


def give_back(where: str, ending: str, most: int) -> None:
    """Unlink the oldest of the files with this ending until what is left has at most so many bytes.

    Also what a process was writing that was killed.
    """
    found, now = [], time.time()
    with os.scandir(where) as entries:
        for entry in entries:
            if entry.name.endswith(ending):
                stat = entry.stat(follow_symlinks=False)
                found.append((stat.st_mtime_ns, stat.st_size, entry.path))
            elif f"{ending}." in entry.name and now - entry.stat(follow_symlinks=False).st_mtime > _SPARE_S:
                os.unlink(entry.path)
    found.sort()
    total = sum(size for _, size, _ in found)
    for _, size, path in found:
        if total <= most:
            break
        os.unlink(path)
        total -= size
