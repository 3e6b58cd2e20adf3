"""What a test reads of the machine it runs on: files below /sys and /proc, kernels, packages of debug information.

The lab's kernels are the machine's too: one machine has fetched them, another has not.

Python tells every open and listing (sys.addaudithook), also those of libraries. A hook cannot be taken away, so there
is one, which notes only while a test asks for it.
"""

from __future__ import annotations

import os
import sys

from tests.vm import cache as lab

FOLDERS = ("/sys", "/proc", "/boot", "/lib/modules", "/usr/lib/modules", "/usr/lib/debug", "/run/netns")
# What pyroute2 and (where it is installed) psutil read when they are imported, and Python to count processors.
LIBRARIES = (
    *("/proc/net/psched", "/proc/stat"),
    *("/proc/cpuinfo", "/sys/devices/system/cpu/online", "/sys/fs/cgroup/cpu.max"),
)
_EVENTS = frozenset(("open", "os.listdir", "os.scandir"))
_lab = os.path.join(os.path.normpath(lab.root()), "kernels", "")
_noting: list[str] | None = None
_is_lab_closed = True
_is_there = False


def is_machines(path: str) -> bool:
    """Whether what this path holds differs between machines. A process's own folder in /proc is no such path."""
    path = os.path.normpath(path)
    if path in LIBRARIES or not any(path == folder or path.startswith(folder + "/") for folder in FOLDERS):
        return False
    parts = path.split("/")
    if parts[1] != "proc" or len(parts) < 3:
        return True
    if parts[2] in ("self", "thread-self") or parts[2].isdigit():
        return len(parts) > 3 and parts[3] in ("mounts", "mountinfo", "root", "ns")
    return True


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _noting is None or event not in _EVENTS:
        return
    path = arguments[0] if arguments else None
    text = os.fsdecode(path) if isinstance(path, bytes) else path
    if not isinstance(text, str) or not text.startswith("/"):
        return
    if is_machines(text) or (_is_lab_closed and text.startswith(_lab)):
        _noting.append(text)


def note(paths: list[str] | None, is_lab_closed: bool = True) -> None:
    """Add the machine's paths that are opened from now on, with the lab's kernels or not; None: to no list."""
    global _noting, _is_there, _is_lab_closed
    _is_lab_closed = is_lab_closed
    if not _is_there:
        _is_there = True
        sys.addaudithook(_hook)
    _noting = paths
