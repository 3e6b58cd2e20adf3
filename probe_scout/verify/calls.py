"""The system calls themselves, by ctypes: bpf(2) and perf_event_open(2) have no function in the C library.

Tests put their own Calls in this place and see every call and every close. ctypes is imported by KernelCalls alone.
"""

from __future__ import annotations

import os
from typing import Protocol

from ..errors import CannotAsk
from . import attr

# uname's machine and the bytes of a pointer -> bpf, perf_event_open (arch/*/…/syscall*.tbl, asm-generic/unistd.h)
NUMBERS = {
    ("x86_64", 8): (321, 298),
    ("x86_64", 4): (357, 336),
    ("i686", 4): (357, 336),
    ("aarch64", 8): (280, 241),
    ("riscv64", 8): (280, 241),
    ("loongarch64", 8): (280, 241),
    ("s390x", 8): (351, 331),
    ("ppc64le", 8): (361, 319),
    ("ppc64", 8): (361, 319),
    ("armv7l", 4): (386, 364),
    ("aarch64", 4): (386, 364),
}


class Buffer(Protocol):
    """Memory at an address that the kernel may be told."""

    @property
    def address(self) -> int:
        """Where it begins."""

    def bytes(self) -> bytes:
        """What it holds now."""


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


class _Memory:
    __slots__ = ("_memory", "address")

    def __init__(self, content: bytes) -> None:
        import ctypes

        self._memory = ctypes.create_string_buffer(content, len(content))
        self.address = ctypes.addressof(self._memory)

    def bytes(self) -> bytes:
        return self._memory.raw


class KernelCalls:
    """The running kernel. Raises CannotAsk on a machine whose call numbers are not known."""

    def __init__(self) -> None:
        import ctypes

        machine = os.uname().machine
        pointer_bytes = ctypes.sizeof(ctypes.c_void_p)
        numbers = NUMBERS.get((machine, pointer_bytes))
        if numbers is None:
            raise CannotAsk(
                f"the numbers of bpf(2) and perf_event_open(2) are not known for {machine} ({pointer_bytes * 8} bits)"
            )
        self._bpf_number, self._perf_number = numbers
        self._set_bpf = attr.ioctl_set_bpf(machine)
        self._cpu = min(os.sched_getaffinity(0))
        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.syscall.restype = ctypes.c_long

    def bpf(self, command: int, attribute: bytearray) -> int:
        c = self._ctypes
        memory = (c.c_char * len(attribute)).from_buffer(attribute)
        done: int = self._libc.syscall(
            c.c_long(self._bpf_number), c.c_int(command), c.c_void_p(c.addressof(memory)), c.c_uint(len(attribute))
        )
        return done if done >= 0 else -c.get_errno()

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

    def close(self, fd: int) -> None:
        try:
            os.close(fd)
        except OSError:
            pass

    def buffer(self, content: bytes) -> Buffer:
        return _Memory(content)

    def die_with(self, parent: int) -> None:
        """Let the kernel kill this process when its parent ends (prctl PR_SET_PDEATHSIG). Ends at once if it has."""
        import signal

        pr_set_pdeathsig = 1
        self._libc.prctl(self._ctypes.c_int(pr_set_pdeathsig), self._ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
