"""The switch that decides about copies of user memory, run: bytes are an assembler's. The image lane has kernels'."""

from __future__ import annotations

import pytest

from probe_scout.formats.image.user_copies import UserCopies

pytest.importorskip("capstone")
BASE = 0xFFFF_FFFF_8100_0000
INIT, CALL, CLASS, META = BASE, BASE + 0x100, BASE + 0x140, BASE + 0x180
# mov rax, [rdi+16]; cmp dword [rax+8], 1; jne +4; mov byte [rax+14], 6
SWITCH = "488b4710 83780801 7504 c6400e06"
CALLS, RETURNS, CPUID = "e800000000", "c3", "0fa2"
OFFSETS = {
    ("trace_event_call", "class"): 0,
    ("trace_event_class", "raw_init"): 0,
    ("syscall_metadata", "syscall_nr"): 8,
    ("syscall_metadata", "user_mask"): 14,
}


class Tiny:
    """As much of an image as is asked: the code, an event's call and class, the metadata of its system call."""

    def __init__(self, code: str, arm64: bool = False) -> None:
        raw = bytearray(0x200)
        raw[: len(bytes.fromhex(code))] = bytes.fromhex(code)
        for at, value in ((CALL, CLASS), (CALL + 16, META), (CLASS, INIT)):
            raw[at - BASE : at - BASE + 8] = value.to_bytes(8, "little")
        self.raw, self.arm64, self.image = bytes(raw), arm64, self

    def text_at(self, address: int, size: int) -> bytes | None:
        return self.raw[address - BASE :][:size] if BASE <= address < BASE + len(self.raw) else None

    def pointer(self, address: int) -> int:
        return int.from_bytes(self.text_at(address, 8) or b"", "little")

    def offset(self, *path: str) -> int | None:
        return OFFSETS.get(path)

    def first_name(self, address: int) -> str:
        return "init_syscall_trace" if address == INIT else ""

    def is_arm64(self) -> bool:
        return self.arm64


def positions(code: str, nr: int, arm64: bool = False) -> tuple[int, ...] | None:
    return UserCopies(Tiny(code, arm64)).positions(CALL, META, nr)  # type: ignore[arg-type]


def test_the_switch_says_which_arguments_by_the_calls_number():
    assert positions(SWITCH + CALLS, 1) == (1, 2)
    assert positions(SWITCH + CALLS, 2) == ()


def test_what_cannot_be_run_is_not_told():
    assert positions(SWITCH + CPUID, 1) is None
    assert positions(SWITCH + RETURNS, 1) is None
    assert positions(SWITCH + CALLS, 1, arm64=True) is None


def test_a_kernel_without_the_members_is_not_told(monkeypatch):
    monkeypatch.delitem(OFFSETS, ("syscall_metadata", "user_mask"))
    assert positions(SWITCH + CALLS, 1) is None
