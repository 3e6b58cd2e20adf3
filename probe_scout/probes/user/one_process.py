"""A probe for one process, as perf_event_open's pid and a link's uprobe_multi.pid ask for it.

The kernel plants the breakpoint in that process's memory alone (uprobe_perf_filter, uprobe_multi_link_filter), so that
what stands there is looked at only if this process maps the file.
"""

from __future__ import annotations

from ...errors import UsageError
from ...model.report import Limit
from ...sources import user_files
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...kernel.kernel import Kernel
    from ...model.user_target import UserTarget
    from ...sources.user_files import MappedBy
    from .files import UserFile

_NEVER, _UNKNOWN = "never", "unknown"


def checked(k: Kernel, target: UserTarget, pid: int) -> int:
    """The process, as asked for. Raises UsageError for another machine's, for a thread, and for two processes."""
    if files.kind_of(k) != files.LIVE:
        raise UsageError(f"--pid {pid}: only this machine's processes can be asked about")
    if target.pid not in (None, pid):
        raise UsageError(f"{target} is of process {target.pid}, and --pid asks for {pid}")
    if (leader := user_files.leader(pid)) not in (0, pid):
        raise UsageError(f"--pid {pid} is a thread of process {leader}: give that")
    return pid


def is_gone(pid: int | None) -> bool:
    """A process is asked for, and there is none of this number."""
    return pid is not None and not user_files.exists(pid)


def limits(k: Kernel, pid: int, file: UserFile, mapped: MappedBy, types: tuple[str, ...]) -> Iterator[Limit]:
    """The process runs another file of this path, or maps the file not at all, as far as that can be seen."""
    where = f"proc/{pid}/maps"
    if is_gone(pid):
        return
    yield from _of_threads(k, pid, tuple(a for a in types if a.startswith(("uprobe.multi", "uretprobe.multi"))))
    if mapped.pids:
        return
    if mapped.denied:
        says = f"Whether process {pid} maps {file.path} may not be read: ask as its user, or as root."
        yield Limit("limit.uprobe_process_unmapped", _UNKNOWN, says, where, types)
    elif mapped.old or mapped.elsewhere:
        why = "the file that was here before" if mapped.old else "another file of this path, in its mount namespace"
        says = f"Process {pid} runs {why}: a probe on the asked file never fires in it."
        yield Limit("limit.uprobe_process_other_file", _NEVER, says, where, types)
    else:
        says = f"Process {pid} does not map {file.path}: unless it loads it later (dlopen), the probe never fires."
        yield Limit("limit.uprobe_process_unmapped", _NEVER, says, where, types, "likely")


def _of_threads(k: Kernel, pid: int, types: tuple[str, ...]) -> Iterator[Limit]:
    """Links of early kernels see the thread that leads the process, and no other.

    uprobe_prog_run compared tasks until Linux kernel commit 46ba0e49b642 ("bpf: fix multi-uprobe PID filtering logic"),
    which was backported and left no trace that can be read. Sessions came later.
    """
    if not types or k.feature("type_uprobe_session") or user_files.threads(pid) < 2:
        return
    says = (
        f"Whether calls by other threads of process {pid} are seen is unknown: links of early kernels see those of "
        "its first thread alone. A uprobe by perf sees all."
    )
    yield Limit("limit.uprobe_process_threads", _UNKNOWN, says, f"proc/{pid}/task", types)
