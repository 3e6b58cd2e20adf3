"""Who holds BPF objects: the descriptors of all processes, from proc/PID/fd and proc/PID/fdinfo.

Names of descriptors: anon_inode_getfd in kernel/bpf/syscall.c and kernel/events/core.c. fdinfo is read for BPF's own
descriptors alone. Processes that end meanwhile are left out; those that may not be looked at are counted.
"""

from __future__ import annotations

import os
import re
from errno import EACCES, EPERM

from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .syscalls import Calls

PROGRAM, LINK, MAP, PERF = "program", "link", "map", "perf_event"
_KINDS = {
    "anon_inode:bpf-prog": PROGRAM,
    "anon_inode:bpf_link": LINK,
    "anon_inode:bpf-link": LINK,
    "anon_inode:bpf-map": MAP,
    "anon_inode:[perf_event]": PERF,
    "anon_inode:bpf-raw-tracepoint": PERF,
}
_WORDS = ((PROGRAM, "prog"), (LINK, "link"), (MAP, "map"))
_IDS = {kind: re.compile(rf"^{word}_id:\t(\d+)$", re.M) for kind, word in _WORDS}
_CONTAINER = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}(?=[/.]|$)")
_PROCESS = re.compile(r"^Tgid:\t(\d+)$", re.M)  # task_state in fs/proc/array.c
# The effective user is the second number.
_UIDS = re.compile(r"^Uid:\t\d+\t(\d+)\t", re.M)
_BOOT_DIGITS = 16
_CMDLINE_MOST = 4096  # bytes: the kernel tells any length
DELETED = " (deleted)"
INITIAL_PIDS = "pid:[4026531836]"


class Held(NamedTuple):
    """One descriptor. `id` is the object's; None for perf events, whose program bpf(2) is asked for.

    `pid` is a thread's number where the thread has a table of descriptors of its own.
    """

    pid: int
    fd: int
    kind: str
    id: int | None
    text: str = ""  # fdinfo of a link


class Holders(NamedTuple):
    """All descriptors of interest; `denied` counts the processes that may not be looked at, of `total`."""

    held: list[Held]
    pids: list[int]
    denied: int


def pids(proc: str = "/proc") -> list[int]:
    """The processes there are, by number."""
    return sorted(int(name) for name in os.listdir(proc) if name.isdigit())


def holders(proc: str = "/proc", calls: Calls | None = None) -> Holders:
    """Every descriptor of a BPF object or a perf event. A process's own descriptors count as well.

    A thread may have a table of descriptors of its own (clone without CLONE_FILES, unshare), and where the first thread
    has ended the others' table is the process's: such threads count with their own numbers (task_seq_get_next in
    kernel/bpf/task_iter.c looks at them too). `calls`: kcmp(2) tells threads that share a table, read once then.
    """
    found: list[Held] = []
    denied = 0
    everyone = pids(proc)
    for pid in everyone:
        try:
            own = _descriptors(proc, pid)
        except OSError as error:
            denied += error.errno in (EACCES, EPERM)
            own = []
        found += own
        for thread in _other_tables(proc, pid, calls):
            try:
                more = _descriptors(proc, thread)
            except OSError:
                continue
            known = {one[1:] for one in own if one.id is not None or calls is None}  # unshare copies the table
            found += [one for one in more if one[1:] not in known]
    return Holders(found, everyone, denied)


def _descriptors(proc: str, task: int) -> list[Held]:
    """Those of one task's table. Raises OSError where it may not be read."""
    found: list[Held] = []
    folder = f"{proc}/{task}/fd"
    names = os.listdir(folder)
    folder += "/"
    readlink, kinds = os.readlink, _KINDS
    for name in names:
        try:
            link = readlink(folder + name)
        except OSError:
            continue
        if link[:6] != "anon_i":
            continue
        kind = kinds.get(link)
        if kind is None:
            continue
        text = "" if kind == PERF else _text(f"{proc}/{task}/fdinfo/{name}")
        number = _id(text, kind)
        if kind == PERF or number is not None:
            found.append(Held(task, int(name), kind, number, text if kind == LINK else ""))
    return found


def _other_tables(proc: str, pid: int, calls: Calls | None) -> list[int]:
    """Threads whose table of descriptors is not the first thread's; of several with one table, the first."""
    try:
        threads = sorted(int(name) for name in os.listdir(f"{proc}/{pid}/task") if name.isdigit())
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        if thread == pid:
            continue
        if calls is None or all(calls.kcmp_tables(other, thread) != 0 for other in (pid, *found)):
            found.append(thread)
    return found


def sees_all_processes(proc: str = "/proc") -> bool:
    """False in a pid namespace that is not the initial one: proc shows the processes of this one alone.

    The initial one's inode has a number of its own (PROC_PID_INIT_INO in include/linux/proc_ns.h).
    """
    return _link(f"{proc}/self/ns/pid") in (None, INITIAL_PIDS)


def is_own_proc(proc: str = "/proc") -> bool:
    """False where proc is of another pid namespace than the caller: its numbers are not those of system calls."""
    return _link(f"{proc}/self") == str(os.getpid())


def kind_of(fd: int, proc: str = "/proc") -> str | None:
    """What a descriptor of this process is: program, link, map, or None for anything else."""
    return _KINDS.get(_link(f"{proc}/self/fd/{fd}") or "")


def is_raw_tracepoint(pid: int, fd: int, proc: str = "/proc") -> bool:
    """The descriptor is a raw tracepoint without a link, as kernels before 5.8 have them."""
    return _link(f"{proc}/{pid}/fd/{fd}") == "anon_inode:bpf-raw-tracepoint"


def object_id(path: str, kind: str) -> int | None:
    """The id that an fdinfo file tells; None if the descriptor is gone or another one by now."""
    return _id(_text(path), kind)


def _id(text: str, kind: str) -> int | None:
    match = _IDS[kind].search(text) if text else None
    return int(match[1]) if match else None


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def describe(pid: int, proc: str = "/proc") -> dict[str, Any] | None:
    """Name, executable, cgroup, container and namespaces of a process; None if it is gone.

    What may not be read is None. `container` is the long number that container engines put into the cgroup's path.
    """
    folder = f"{proc}/{pid}"
    try:
        with open(f"{folder}/comm", "rb") as handle:
            comm = handle.read().rstrip(b"\n").decode("utf-8", "replace")
    except OSError:
        return None
    executable = _link(f"{folder}/exe")
    cgroup = _cgroup(f"{folder}/cgroup")
    container = _CONTAINER.search(cgroup or "")
    status = _text(f"{folder}/status")
    process, uid = _number(_PROCESS, status), _number(_UIDS, status)
    return {
        "pid": pid if process is None else process,
        "comm": comm,
        "exe": executable.removesuffix(DELETED) if executable is not None else None,
        "exe_deleted": executable.endswith(DELETED) if executable is not None else None,
        "cgroup": cgroup,
        "container": container[0] if container else None,
        "mnt": _link(f"{folder}/ns/mnt"),
        "net": _link(f"{folder}/ns/net"),
        "root": _link(f"{folder}/root"),
        "cmdline": _cmdline(f"{folder}/cmdline"),
        "uid": uid,
        "user": user_name(uid) if uid is not None else None,
    }


def boot(proc: str = "/proc") -> str | None:
    """What tells this boot from others; None where it may not be read.

    Made of proc/sys/kernel/random/boot_id so that it cannot be told from it: that is to be kept to the machine, says
    machine-id(5) of such numbers.
    """
    number = _text(f"{proc}/sys/kernel/random/boot_id").strip()
    if not number:
        return None
    import hashlib

    return hashlib.sha256(f"probe-scout audit {number}".encode()).hexdigest()[:_BOOT_DIGITS]


def _cmdline(path: str) -> str | None:
    """The words of the command line with a space between them; None for kernel threads and what may not be read."""
    try:
        with open(path, "rb") as handle:
            raw = handle.read(_CMDLINE_MOST)
    except OSError:
        return None
    return raw.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace") or None


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return int(match[1]) if match else None


def user_name(uid: int, path: str = "/etc/passwd") -> str | None:
    """A user's name by the file alone: directory servers are not asked, as they may not answer."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            for line in handle:
                fields = line.split(":", 3)
                if len(fields) > 2 and fields[2] == str(uid):
                    return fields[0]
    except OSError:
        pass
    return None


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _cgroup(path: str) -> str | None:
    """The path in the second version's tree, else the longest path of the first version's trees."""
    try:
        with open(path, "rb") as handle:
            lines = handle.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    parts = [line.split(":", 2) for line in lines]
    found = [part[2] for part in parts if len(part) == 3 and part[0] == "0"]
    others = [part[2] for part in parts if len(part) == 3]
    if found and found[0] != "/":
        return found[0]
    return max(others, key=len) if others else None


def network_namespaces(everyone: list[int], proc: str = "/proc", named: str = "/run/netns") -> dict[int, str]:
    """Every network namespace that a process is in or a file names (`ip netns add`): inode number -> a path to it.

    This process's own comes first.
    """
    found: dict[int, str] = {}
    for path in (f"{proc}/self/ns/net", *(f"{proc}/{pid}/ns/net" for pid in everyone)):
        text = _link(path)
        if text is not None and text.startswith("net:["):
            found.setdefault(int(text[5:-1]), path)
    try:
        names = sorted(os.listdir(named))
    except OSError:
        names = []
    for name in names:
        try:
            number = os.stat(f"{named}/{name}").st_ino
        except OSError:
            continue
        found[number] = f"{named}/{name}" if number not in found or "/self/" not in found[number] else found[number]
    return found


def bpf_mounts(everyone: list[int], proc: str = "/proc") -> dict[str, str]:
    """The bpf filesystems: mount point as people write it -> a path that leads there from here.

    Mounts of other mount namespaces are reached through proc/PID/root; each filesystem counts once.
    """
    seen: set[str] = set()
    namespaces: set[str] = set()
    found: dict[str, str] = {}
    for pid in ("self", *everyone):
        namespace = _link(f"{proc}/{pid}/ns/mnt")
        if namespace is None or namespace in namespaces:
            continue
        try:
            with open(f"{proc}/{pid}/mountinfo", "rb") as handle:
                raw = handle.read()
        except OSError:
            continue
        namespaces.add(namespace)
        if b" - bpf " not in raw:
            continue
        for line in raw.decode("utf-8", "surrogateescape").splitlines():
            before, dash, after = line.partition(" - ")
            if not dash or not after.startswith("bpf "):
                continue
            fields = before.split()
            device, point = fields[2], _unescaped(fields[4])
            if device in seen:
                continue
            seen.add(device)
            found.setdefault(point, point if pid == "self" else f"{proc}/{pid}/root{point}")
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def files_below(folder: str) -> list[str]:
    """Every file below a folder, links not followed; folders that may not be listed are passed."""
    found: list[str] = []
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif not entry.is_symlink():
                        found.append(entry.path)
        except OSError:
            continue
    return sorted(found)


def cgroup_root(proc: str = "/proc") -> str | None:
    """Where the second version's cgroup tree is mounted, whose directories' inodes are the cgroups' ids."""
    try:
        with open(f"{proc}/self/mounts", "rb") as handle:
            lines = handle.read().decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) > 2 and fields[2] == "cgroup2":
            return _unescaped(fields[1])
    return None


def cgroups(root: str) -> list[tuple[str, int]]:
    """Every cgroup: its path below the root ("" for the root itself) and its id."""
    try:
        found = [("", os.stat(root).st_ino)]
    except OSError:
        return []
    waiting = [""]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(root + here) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        path = f"{here}/{entry.name}"
                        found.append((path, entry.inode()))
                        waiting.append(path)
        except OSError:
            continue
    return sorted(found)
