"""What is done when the answer is out: tables that make the next question on a kernel cheaper.

They are made by a process of its own, with the lowest priority and no terminal, pipe or file of the caller's open, so
that nobody waits for it: some tenths of a second of CPU, once for each kernel. It has what was read in its memory, and
opens and maps no file of a snapshot, so that a mount can be taken off at once (a scan's reads the snapshot).

It is no child of a process that lives: init reaps it. Where process 1 reaps nothing (`sleep infinity` in a container)
it stays as a zombie; the kernel kills it where process 1 itself asked, so that there is none then.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..session import OpenKernel

_CPU_SECONDS_MAX = 20
_LOCK, _LOCKED_S = "index.lock", 60.0


def keep_indexes(kernels: Sequence[OpenKernel]) -> None:
    """Start it where a large file was read that has no tables yet."""
    wanted = [kernel for kernel in kernels if kernel.wants_indexes()]
    # With process 1 of a pid namespace all others end (kernel/pid_namespace.c, zap_pid_ns_processes).
    if not wanted or os.getpid() == 1 or not _lock():
        return
    try:
        for kernel in wanted:
            kernel.settle_indexes()
        if os.fork():
            return
    except BaseException:  # no process to be had (RLIMIT_NPROC)
        _unlock()
        raise
    try:
        _lower()
        for kernel in wanted:
            kernel.keep_indexes()
    finally:
        _unlock()
        os._exit(0)


def _lock_path() -> str:
    from ...sources import cache

    where = cache.folder()
    return os.path.join(where, _LOCK) if where else ""


def _lock() -> bool:
    """One such process at a time; the lock of one that was killed is taken over."""
    import time

    path = _lock_path()
    if not path:
        return False
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        state = os.lstat(os.path.dirname(path))
        if state.st_uid != os.geteuid() or state.st_mode & 0o022:  # nothing is kept in such a folder (cache.py)
            return False
        if os.path.lexists(path) and abs(time.time() - os.lstat(path).st_mtime) > _LOCKED_S:
            os.unlink(path)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    return True


def _unlock() -> None:
    try:
        os.unlink(_lock_path())
    except OSError:
        pass


def let_go() -> None:
    """Nothing of the caller stays open in this process, nor in those it starts: its pipes end now."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.closerange(3, max(map(int, os.listdir("/proc/self/fd")), default=255) + 1)
    os.chdir("/")


def _lower() -> None:
    """No terminal, and only what nobody else wants of the processor."""
    import resource

    os.setsid()
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS_MAX, _CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
