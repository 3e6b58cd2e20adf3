"""The copy that a program on one system call's event gets, as the kernel's BTF has it.

kernel/trace/trace_syscalls.c keeps `struct syscall_tp_t` inside perf_call_bpf_enter and perf_call_bpf_exit; the format
file describes another struct, syscall_trace_enter or syscall_trace_exit. pahole writes both into BTF.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from ...errors import Malformed
from ...formats.btf import tracepoint as btf_trace
from ...model.trace import SyscallCopy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...formats.btf.reader import Btf
    from ...kernel.kernel import Kernel

_known: WeakKeyDictionary[Kernel, dict[str, SyscallCopy | None]] = WeakKeyDictionary()


def layout(k: Kernel, event: str) -> SyscallCopy | None:
    """What programs on `sys_enter_…` or `sys_exit_…` get; None where BTF does not tell, or tells two things."""
    value = "ret" if event.startswith("sys_exit_") else "args"
    known = _known.setdefault(k, {})
    if value not in known:
        btf = k.btf()
        known[value] = None if btf is None else _read(btf, value)
    return known[value]


def _read(btf: Btf, value: str) -> SyscallCopy | None:
    try:
        found = btf_trace.syscall_copies(btf, value)
    except Malformed:
        return None
    if len(found) != 1:
        return None
    one = SyscallCopy(*found.pop())
    is_sane = one.number_offset >= 8 and one.number_offset + one.number_size <= one.values_offset
    return one if is_sane and one.number_size in (4, 8) and one.values_offset % 8 == 0 else None
