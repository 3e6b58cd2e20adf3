"""Return probes in processes under seccomp, on kernels whose return probes are a system call.

On x86-64 a 64-bit function that was entered by a return probe comes back through a trampoline. Since commit
ff474a78cef5 ("uprobe: Add uretprobe syscall to speed up return probe") that is the system call uretprobe, which filters
written before do not list: the function then faults. Since cf6cb56ef244 ("seccomp: passthrough uretprobe systemcall
without filtering") no filter is asked about it; the change is inside functions and left no symbol, and was backported.
The system call uprobe, which came later with the same exception, shows that it is there.
"""

from __future__ import annotations

from ...formats.elf.user_image import EM_X86_64
from ...model.report import Limit
from ...sources import user_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...kernel.kernel import Kernel
    from .files import UserFile

_SHOWN = 6
_LOOKED_AT = 64
_HAS, _LATER = "__x64_sys_uretprobe", ("__x64_sys_uprobe", "arch_uprobe_optimize")
STRICT, FILTERED = 1, 2


def limits(k: Kernel, file: UserFile, pids: Sequence[int], types: tuple[str, ...]) -> Iterator[Limit]:
    """What is not known of return probes in these processes, those of them that seccomp restricts."""
    image = file.image
    if not types or not pids or image is None or image.machine != EM_X86_64:
        return
    held = [pid for pid in pids[:_LOOKED_AT] if user_files.seccomp_mode(pid) in (STRICT, FILTERED)]
    if not held or is_passed(k) is not None:
        return
    who = f"Process {held[0]} runs" if len(held) == 1 else f"{len(held)} processes ({_listed(held)}) run"
    says = (
        f"{who} under seccomp. Whether this kernel lets the system call of return probes (uretprobe) pass every filter "
        "is unknown: where it does not, the function faults when it returns. Entry probes are not concerned."
    )
    yield Limit("limit.uretprobe_seccomp", "unknown", says, "proc/PID/status: Seccomp", types, "unknown")


def is_passed(k: Kernel) -> bool | None:
    """No filter stops a return probe: the kernel has no such system call, or the exception for it. None if unknown."""
    if k.has_symbol(*_LATER):
        return True
    return True if k.has_symbol(_HAS) is False and not k.is_cut() else None


def _listed(pids: Sequence[int]) -> str:
    return ", ".join(map(str, pids[:_SHOWN]))
