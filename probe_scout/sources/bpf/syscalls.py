"""System calls that the C library has no function for, by ctypes: bpf(2) and the numbers of a few others.

Tests put their own Calls in this place and see every call and every close. ctypes is imported by Machine alone.
"""

from __future__ import annotations

import os

from ...errors import CannotAsk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

# uname's machine and the bytes of a pointer -> bpf, perf_event_open, kcmp (arch/*/…/syscall*.tbl, asm-generic/unistd.h)
NUMBERS = {
    ("x86_64", 8): (321, 298, 312),
    ("x86_64", 4): (357, 336, 349),
    ("i686", 4): (357, 336, 349),
    ("aarch64", 8): (280, 241, 272),
    ("riscv64", 8): (280, 241, 272),
    ("loongarch64", 8): (280, 241, 272),
    ("s390x", 8): (351, 331, 343),
    ("ppc64le", 8): (361, 319, 354),
    ("ppc64", 8): (361, 319, 354),
    ("armv7l", 4): (386, 364, 378),
    ("aarch64", 4): (386, 364, 378),
}
_KCMP_FILE, _KCMP_FILES = 0, 2  # include/uapi/linux/kcmp.h


class Buffer(Protocol):
    """Memory at an address that the kernel may be told."""

    @property
    def address(self) -> int:
        """Where it begins."""

    def bytes(self) -> bytes:
        """What it holds now."""


class Calls(Protocol):
    """What reading the kernel's BPF objects needs. Results below 0 are negative errnos."""

    def bpf(self, command: int, attribute: bytearray) -> int:
        """bpf(2): a file descriptor or 0. What the kernel writes into the attribute is there afterwards."""

    def kcmp_files(self, pid: int, fd: int, other_pid: int, other_fd: int) -> int:
        """kcmp(2), KCMP_FILE: 0 the same open file, 1 less, 2 greater, 3 not equal, or a negative errno."""

    def kcmp_tables(self, pid: int, other_pid: int) -> int:
        """kcmp(2), KCMP_FILES: 0 both tasks have one table of descriptors, 1 to 3 not, or a negative errno."""

    def close(self, fd: int) -> None:
        """Close."""

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


class Machine:
    """The running kernel. Raises CannotAsk on a machine whose call numbers are not known."""

    def __init__(self) -> None:
        import ctypes

        self.machine = os.uname().machine
        pointer_bytes = ctypes.sizeof(ctypes.c_void_p)
        numbers = NUMBERS.get((self.machine, pointer_bytes))
        if numbers is None:
            raise CannotAsk(
                f"the numbers of bpf(2) and perf_event_open(2) are not known for {self.machine} "
                f"({pointer_bytes * 8} bits)"
            )
        self._bpf_number, self._perf_number, self._kcmp_number = numbers
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

    def kcmp_files(self, pid: int, fd: int, other_pid: int, other_fd: int) -> int:
        c = self._ctypes
        done: int = self._libc.syscall(
            *(c.c_long(self._kcmp_number), c.c_int(pid), c.c_int(other_pid), c.c_int(_KCMP_FILE)),
            *(c.c_ulong(fd), c.c_ulong(other_fd)),
        )
        return done if done >= 0 else -c.get_errno()

    def kcmp_tables(self, pid: int, other_pid: int) -> int:
        c = self._ctypes
        done: int = self._libc.syscall(
            *(c.c_long(self._kcmp_number), c.c_int(pid), c.c_int(other_pid), c.c_int(_KCMP_FILES)),
            *(c.c_ulong(0), c.c_ulong(0)),
        )
        return done if done >= 0 else -c.get_errno()

    def close(self, fd: int) -> None:
        try:
            os.close(fd)
        except OSError:
            pass

    def buffer(self, content: bytes) -> Buffer:
        return _Memory(content)
