"""Short functions of an image, run: the bytes are those of an assembler, the results by hand."""

from __future__ import annotations

import pytest

from probe_scout.formats.image.emulate import SCRATCH, GaveUp, Machine

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


def test_a_jump_to_a_function_is_a_call_in_tail_position():
    # call +1; ret; jmp +1 (to a function); nop; mov eax, 7; ret
    code = bytes.fromhex("e801000000 c3 eb01 90 b807000000 c3".replace(" ", ""))

    def machine(is_function):
        def read(address, size):
            begin = address - START
            return code[begin : begin + size].ljust(size, b"\x90") if 0 <= begin < len(code) else None

        return Machine(read, lambda _, target: 9 if target == START + 9 else None, is_function)

    assert machine(lambda at: at == START + 9).run(START) == 9
    assert machine(lambda at: False).run(START) == 7


@pytest.mark.parametrize(("dividend", "quotient", "rest"), [(7, 2, 1), (-7 & 0xFFFFFFFF, -2 & 0xFFFFFFFF, 0xFFFFFFFF)])
def test_signed_division_rounds_towards_zero(dividend, quotient, rest):
    # mov eax, edi; cdq; mov ecx, 3; idiv ecx; ret / mov eax, edx; ret
    code = "89f8 99 b903000000 f7f9"
    assert run(code + "c3", dividend) == quotient
    assert run(code + "89d0 c3", dividend) == rest


def test_a_division_by_zero_gives_up():
    with pytest.raises(GaveUp):
        run("89f8 99 31c9 f7f9 c3", 7)


def test_what_a_called_function_returns_points_to_zeros():
    # mov rax, [rdi+8]; ret
    assert run("488b4708 c3", SCRATCH) == 0
    # the running CPU's: mov rax, gs:[0x28]; mov rax, [rax]; ret
    assert run("65488b042528000000 488b00 c3") == 0


def test_a_null_pointer_is_no_address_of_the_image():
    with pytest.raises(GaveUp):
        run("488b4708 c3", START - 8)


def test_compare_and_exchange():
    # xor eax, eax; mov ecx, 5; lock cmpxchg [rdi], rcx; mov rax, [rdi]; ret
    code = "31c0 b905000000 f0480fb10f 488b07 c3"
    assert run(code, SCRATCH) == 5
    assert run(code, 0x5000, memory={0x5000 + step: int(not step) for step in range(8)}) == 1
