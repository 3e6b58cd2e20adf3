"""The system calls of an attempt: what sources/syscalls.py has, and perf_event_open(2) with its ioctl.

Tests put their own Calls in this place and see every call and every close.
"""

from __future__ import annotations

import os

from ...sources.bpf.syscalls import NUMBERS as NUMBERS
from ...sources.bpf.syscalls import Buffer as Buffer
from ...sources.bpf.syscalls import Machine
from . import attr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object


class Calls(Protocol):
    """What an attempt needs of the machine. Results below 0 are negative errnos."""

    def bpf(self, command: int, attribute: bytearray) -> int:
        """bpf(2): a file descriptor or 0. What the kernel writes into the attribute is there afterwards."""

    def perf_event_open(self, attribute: bytes) -> int:
        """perf_event_open(2) for all processes on one CPU, close-on-exec."""

    def set_bpf(self, event_fd: int, prog_fd: int) -> int:
        """PERF_EVENT_IOC_SET_BPF: 0 or a negative errno."""

    def close(self, fd: int) -> None:
        """Close; detaches what belongs to it."""

    def buffer(self, content: bytes) -> Buffer:
        """A copy of these bytes that stays where it is as long as the object lives."""


class KernelCalls(Machine):
    """The running kernel. Raises CannotAsk on a machine whose call numbers are not known."""

    def __init__(self) -> None:
        super().__init__()
        self._set_bpf = attr.ioctl_set_bpf(self.machine)
        self._cpu = min(os.sched_getaffinity(0))

    def perf_event_open(self, attribute: bytes) -> int:
        c = self._ctypes
        memory = c.create_string_buffer(attribute, len(attribute))
        done: int = self._libc.syscall(
            c.c_long(self._perf_number),
            c.c_void_p(c.addressof(memory)),
            c.c_int(-1),
            c.c_int(self._cpu),
            c.c_int(-1),
            c.c_ulong(attr.PERF_FD_CLOEXEC),
        )
        return done if done >= 0 else -c.get_errno()

    def set_bpf(self, event_fd: int, prog_fd: int) -> int:
        import fcntl

        try:
            fcntl.ioctl(event_fd, self._set_bpf, prog_fd)
        except OSError as error:
            return -(error.errno or 1)
        return 0

    def die_with(self, parent: int) -> None:
        """Let the kernel kill this process when its parent ends (prctl PR_SET_PDEATHSIG). Ends at once if it has."""
        import signal

        pr_set_pdeathsig = 1
        self._libc.prctl(self._ctypes.c_int(pr_set_pdeathsig), self._ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
