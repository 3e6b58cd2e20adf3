"""Short functions of an image, run: the bytes are those of an assembler, the results by hand."""

from __future__ import annotations

import pytest

from probe_scout.formats.image.emulate import GaveUp, Machine

pytest.importorskip("capstone")
START = 0x1000


def run(code, *arguments, call=lambda machine, target: 0, memory=None):
    raw = bytes.fromhex(code)

    def read(address, size):
        begin = address - START
        return raw[begin : begin + size].ljust(size, b"\x90") if 0 <= begin < len(raw) else None

    return Machine(read, call).run(START, *arguments, memory=memory)


def test_a_switch_compares_and_jumps():
    # cmp edi, 6; je +6; mov eax, 1; ret; mov eax, 2; ret
    code = "83ff06 7406 b801000000 c3 b802000000 c3"
    assert run(code, 6) == 2
    assert run(code, 7) == 1


def test_a_bit_test_of_a_mask():
    # mov eax, 0x22; bt eax, edi; setb al; movzx eax, al; ret
    code = "b822000000 0fa3f8 0f92c0 0fb6c0 c3"
    assert [run(code, number) for number in (0, 1, 5)] == [0, 1, 1]


def test_signed_and_unsigned_comparisons_differ():
    # xor eax, eax; cmp edi, -1; setl al; ret / seta
    assert run("31c0 83ffff 0f9cc0 c3", -2 & 0xFFFFFFFF) == 1
    assert run("31c0 83ffff 0f9cc0 c3", 1) == 0
    assert run("31c0 83ff01 0f97c0 c3", 0xFFFFFFFF) == 1


def test_calls_are_answered_by_the_caller_or_followed():
    # call +1; ret; mov eax, 7; ret
    code = "e801000000 c3 b807000000 c3"
    assert run(code, call=lambda machine, target: 9) == 9
    assert run(code, call=lambda machine, target: None) == 7


def test_memory_that_nothing_tells_gives_up():
    # mov rax, [rdi]; ret
    with pytest.raises(GaveUp):
        run("488b07 c3", 0x5000)
    assert run("488b07 c3", 0x5000, memory={0x5000 + step: 1 for step in range(8)}) == 0x0101010101010101


def test_a_loop_without_end_gives_up():
    with pytest.raises(GaveUp):
        run("ebfe")


def test_an_instruction_that_is_not_known_gives_up():
    with pytest.raises(GaveUp):
        run("0fa2 c3")  # cpuid
