"""First instructions by opcode, and boundaries by decoding."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.arch import x86_64
from probe_scout.model import instruction as kinds
from tests.builders.damage import EXAMPLES

# The first bytes of vfs_read in two Debian kernels: with IBT (6.12) and without (5.10).
VFS_READ_IBT = bytes.fromhex("f30f1efae837d7c4ff415741564155415455534883ec6065488b042528000000")
VFS_READ = bytes.fromhex("e82ba9d8ff415741564155415455538b474489c583e5010f8457010000a90000")

FIRST = [
    ("f30f1efa", kinds.ENDBR, 4),
    ("0f1f440000", kinds.NOP5, 5),
    ("e837d7c4ff", kinds.CALL, 5),
    ("e9ed1d8402", kinds.JUMP, 5),
    ("2e2e2e31c0", kinds.RETURN0, 5),  # what boot makes of a static call that returns 0
    ("66664831c0", kinds.RETURN0, 5),
    ("eb10", kinds.PATCH2, 2),
    ("6690", kinds.PATCH2, 2),
    ("0f0b", kinds.UD, 2),
    ("0fb902", kinds.UD, 3),
    ("6748 0fb93a", kinds.UD, 5),  # ud1 (%edx),%rdi: WARN with a format
    ("0fff c0", kinds.UD, 3),
    ("0fb9 84 24 78563412", kinds.UD, 8),
    ("0fb9 05 78563412", kinds.UD, 7),
    ("0fb9 04 25 78563412", kinds.UD, 8),
    ("cc", kinds.INT, 1),
    ("cd80", kinds.INT, 2),
    ("f1", kinds.INT, 1),
    ("cf", kinds.IRET, 1),
    ("48cf", kinds.IRET, 2),
    ("0f01c1", kinds.VMX, 3),  # vmcall
    ("0f01d9", kinds.OTHER, 3),  # vmmcall is group /3
    ("f30f01fe", kinds.OTHER, 4),  # rmpadjust
    ("0f0138", kinds.OTHER, None),  # invlpg (%rax)
    ("0f0100", kinds.OTHER, None),  # sgdt (%rax): /0 through memory
    ("ff15aa6cf800", kinds.INDIRECT, None),  # call *disp(%rip)
    ("ff24c5 00000081", kinds.INDIRECT, None),  # jmp *table(,%rax,8)
    ("41ff10", kinds.INDIRECT, None),
    ("67ffd0", kinds.INDIRECT, None),  # another address size
    ("ffd0", kinds.OTHER, 2),  # call *%rax
    ("41ffe3", kinds.OTHER, 3),
    ("ff18", kinds.FAR, None),
    ("ff28", kinds.FAR, None),
    ("48ff2c24", kinds.FAR, None),
    ("ff30", kinds.OTHER, None),  # push (%rax)
    ("ffc0", kinds.OTHER, 2),  # inc %eax
    ("8ed0", kinds.MASKING, None),  # mov %eax, %ss
    ("8ed8", kinds.OTHER, None),  # mov %eax, %ds
    ("0f0b78656e0fa2", kinds.EMULATED, None),  # Xen's prefix in front of cpuid
    ("0f0b6b766d0fa2", kinds.EMULATED, None),
    ("c3", kinds.OTHER, None),
    ("4157", kinds.OTHER, None),
    ("c5f877", kinds.OTHER, None),  # vzeroupper
    ("48c7c7e8eb8d82", kinds.OTHER, None),
    ("", kinds.TRUNCATED, None),
    ("48", kinds.TRUNCATED, None),
    ("0f", kinds.TRUNCATED, None),
    ("0f01", kinds.TRUNCATED, None),
    ("ff", kinds.TRUNCATED, None),
    ("66" * 15, kinds.TRUNCATED, None),
]


@pytest.mark.parametrize(("code", "kind", "length"), FIRST)
def test_first_instruction_is_told_by_its_opcode(code, kind, length):
    found = x86_64.first_instruction(bytes.fromhex(code) + (b"\x90" * 16 if kind != kinds.TRUNCATED else b""))
    assert found == (kind, length)


@pytest.mark.parametrize(("code", "kind", "length"), FIRST)
def test_the_shortest_form_has_the_same_kind(code, kind, length):
    whole = bytes.fromhex(code) + (b"\x90" * 16 if kind != kinds.TRUNCATED else b"")
    short = x86_64.shortest(whole)
    assert x86_64.first_instruction(short).kind == kind
    assert whole.startswith(short)
    assert len(short) <= max(len(bytes.fromhex(code)), 1) + (kind == kinds.ENDBR)


def test_behind_endbr_the_instruction_that_is_probed_is_kept():
    code = VFS_READ_IBT[:16]
    assert x86_64.shortest(code) == code[:5]
    assert x86_64.entry_instruction(code) == x86_64.entry_instruction(code[4:]) == (kinds.CALL, 5)
    assert x86_64.shortest(code[:4]) == code[:4]


def test_a_cut_off_ud1_has_no_length():
    assert x86_64.first_instruction(b"\x0f\xb9") == (kinds.UD, None)
    assert x86_64.first_instruction(b"\x0f\xb9\x04") == (kinds.UD, None)


def test_boundaries_follow_the_code():
    pytest.importorskip("capstone")
    assert x86_64.boundaries(VFS_READ_IBT[:23]) == ((0, 4, 9, 11, 13, 15, 17, 18, 19), 23)
    assert x86_64.boundaries(VFS_READ[:15]) == ((0, 5, 7, 9, 11, 13, 14), 15)
    assert x86_64.boundaries(b"") == ((), 0)


def test_boundaries_stop_where_the_bytes_end_inside_an_instruction():
    pytest.importorskip("capstone")
    assert x86_64.boundaries(VFS_READ_IBT[:8]) == ((0,), 4)


def test_boundaries_stop_at_what_is_no_instruction():
    pytest.importorskip("capstone")
    assert x86_64.boundaries(b"\x90\x06\x90") == ((0,), 1)  # push %es does not exist in 64-bit code


def test_ud1_has_its_operand_as_in_the_kernels_decoder():
    pytest.importorskip("capstone")
    assert x86_64.boundaries(bytes.fromhex("90 6748 0fb93a 90 0fb98424 78563412 c3")) == ((0, 1, 6, 7, 15), 16)


def test_instructions_newer_than_the_decoder_are_stepped_over():
    pytest.importorskip("capstone")
    assert x86_64.boundaries(bytes.fromhex("0f01fe 0f01ff f30f01fe f20f01ff c3")) == ((0, 3, 6, 10, 14), 15)


def test_functions_longer_than_a_chunk_are_decoded_to_the_end():
    pytest.importorskip("capstone")
    found = x86_64.boundaries(b"\x66\x90\x90" * 5000)
    assert found.decoded_bytes == 15000
    assert len(found.starts) == 10000


def test_no_decoder_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(x86_64.NoDecoder, match=r"pip install probe-scout\[code\]"):
        x86_64.boundaries(VFS_READ)
    assert x86_64.look(VFS_READ, 0).kind == kinds.CALL  # the entry needs none
    assert x86_64.look(VFS_READ_IBT, 4).kind == kinds.CALL


def test_a_look_at_an_offset_tells_all_that_the_rules_ask():
    pytest.importorskip("capstone")
    found = x86_64.look(VFS_READ_IBT, 9)
    assert (found.starts_with_endbr, found.kind, found.inside) == (True, kinds.OTHER, None)
    assert 9 in found.boundaries
    assert found.decoded_bytes > 9
    inside = x86_64.look(VFS_READ_IBT, 6)
    assert inside.inside == kinds.CALL
    assert 6 not in inside.boundaries


def test_a_foreign_breakpoint_in_running_code_ends_what_is_known():
    pytest.importorskip("capstone")
    probed = b"\x55\xcc\x89\xe5\x5d\xc3\xcc\x90"  # push; int3 over the first byte of mov; pop; ret; int3 padding; nop
    assert x86_64.look(probed, 7, is_running_code=True).decoded_bytes == 1
    assert x86_64.look(probed, 7, is_running_code=False).decoded_bytes == 8
    padded = b"\x55\x5d\xc3\xcc\xcc\x90"
    assert x86_64.look(padded, 5, is_running_code=True).decoded_bytes == 6


def test_the_pair_that_feeds_a_cfi_trap_is_seen():
    pytest.importorskip("capstone")
    check = bytes.fromhex("41ba78563412 450353fc 7402 0f0b c3")
    assert x86_64.look(check, 0).cfi_pair
    assert x86_64.look(check, 6).cfi_pair
    assert not x86_64.look(check, 10).cfi_pair
    assert not x86_64.look(b"\x41\xba\x78\x56\x34\x12\xc3" + b"\x90" * 8, 0).cfi_pair


@pytest.mark.parametrize(
    ("kind", "sites", "running", "expected"),
    [
        (kinds.NOP5, (), True, True),
        (kinds.JUMP, ("alternative",), True, False),
        (kinds.JUMP, ("alternative",), False, None),  # static_cpu_has: the processor decides
        (kinds.JUMP, ("jump_label",), False, None),
        (kinds.NOP5, ("jump_label",), False, None),
        (kinds.JUMP, ("unread",), False, None),
        (kinds.JUMP, (), False, False),
        (kinds.OTHER, (), False, False),
        (kinds.OTHER, ("bug",), False, False),
        (kinds.NOP5, (), False, True),
    ],
)
def test_whether_a_trampoline_finds_its_noop(kind, sites, running, expected):
    assert x86_64.may_be_nop5(kind, sites, running) is expected


# first_instruction by capstone's mnemonic, where capstone decodes the bytes at all.
MNEMONICS = {
    "ud2": {kinds.UD, kinds.EMULATED},
    "int3": {kinds.INT},
    "int": {kinds.INT},
    "int1": {kinds.INT},
    "iretq": {kinds.IRET},
    "iretd": {kinds.IRET},
    "iret": {kinds.IRET},
    "endbr64": {kinds.ENDBR},
    "lcall": {kinds.FAR},
    "ljmp": {kinds.FAR},
    "vmcall": {kinds.VMX},
    "vmlaunch": {kinds.VMX},
}
REX_NOT_LAST = re.compile(
    rb"[\x26\x2e\x36\x3e\x64-\x67\xf0\xf2\xf3]*[\x40-\x4f][\x26\x2e\x36\x3e\x40-\x4f\x64-\x67\xf0\xf2\xf3]"
)
INTERESTING = st.sampled_from(
    [b"\x0f", b"\xff", b"\x0f\x01", b"\x0f\x0b", b"\xcd", b"\xcf", b"\x8e", b"\x66", b"\x48", b"\xe9", b""]
)


@pytest.mark.property
@EXAMPLES
@given(INTERESTING, INTERESTING, st.binary(min_size=16, max_size=16))
def test_kinds_agree_with_a_full_decoder(prefix, opcode, rest):
    capstone = pytest.importorskip("capstone")
    code = prefix + opcode + rest
    decoded = next(capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64).disasm_lite(code, 0, 1), None)
    found = x86_64.first_instruction(code)
    if decoded is None or REX_NOT_LAST.match(code):
        return
    _, length, mnemonic, operands = decoded
    name = mnemonic.split()[-1]
    if name in MNEMONICS:
        assert found.kind in MNEMONICS[name], (code.hex(), decoded)
    elif name in ("call", "jmp") and "[" in operands:
        assert found.kind in (kinds.INDIRECT, kinds.FAR), (code.hex(), decoded)  # capstone names both alike
    elif name not in ("ud0", "ud1"):
        assert found.kind not in (kinds.UD, kinds.INT, kinds.IRET, kinds.ENDBR, kinds.FAR), (code.hex(), decoded)
        if found.length_bytes is not None:
            assert found.length_bytes == length, (code.hex(), decoded)


@pytest.mark.property
@EXAMPLES
@given(st.binary(max_size=64), st.integers(0, 80), st.booleans())
def test_any_bytes_are_looked_at(code, offset, running):
    pytest.importorskip("capstone")
    found = x86_64.boundaries(code)
    assert list(found.starts) == sorted(set(found.starts))
    assert found.decoded_bytes <= len(code)
    assert all(start < found.decoded_bytes for start in found.starts)
    assert not code or found.decoded_bytes == 0 or found.starts[0] == 0
    looked = x86_64.look(code, offset, running)
    assert looked.inside is None or offset not in looked.boundaries


@pytest.mark.property
@EXAMPLES
@given(st.binary(min_size=1, max_size=16))
def test_shortest_keeps_the_kind(code):
    short = x86_64.shortest(code)
    assert code.startswith(short)
    assert x86_64.first_instruction(short).kind == x86_64.first_instruction(code).kind
    assert x86_64.entry_instruction(short).kind == x86_64.entry_instruction(code).kind


@pytest.mark.parametrize("endbr", [b"\xf3\x0f\x1e\xfa", b"\x66\x0f\x1f\x00", b"\x0f\x1f\x40\xd6"])
def test_a_poisoned_endbr_is_stepped_over_like_an_endbr(endbr):
    assert x86_64.entry_offset(endbr + b"\xe9") == 4
    assert x86_64.entry_instruction(endbr + b"\x0f\x1f\x44\0\0").kind == kinds.NOP5
    assert x86_64.shortest(endbr + b"\xe9\0\0\0\0\xc3") == endbr + b"\xe9"
    assert x86_64.shortest(endbr) == endbr  # nothing behind it was read: the entry is not told
    look = x86_64.look(endbr + b"\x0f\x0b", 0)
    assert (look.starts_with_endbr, look.kind) == (True, kinds.UD)
    assert x86_64.look(endbr + b"\x0f\x0b", 4).boundaries == (0, 4)


def test_a_function_without_endbr_is_probed_at_its_first_byte():
    assert x86_64.entry_offset(b"\x0f\x1f\x44\0\0") == 0
    assert x86_64.look(b"\x0f\x0b", 0).kind == kinds.UD
