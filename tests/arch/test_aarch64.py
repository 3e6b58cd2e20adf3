"""Words of arm64 kernels with what booted kernels said to a kprobe on them, and some that none was asked about."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probe_scout.arch import aarch64
from probe_scout.arch.aarch64 import ACCEPTED, MOPS, REFUSED
from probe_scout.formats.elf.image import ElfImage
from probe_scout.probes.user.code import _walk_words
from tests.builders import programs

# Accepted and refused by 5.10, 6.1, 6.12 and 7.3 (kprobe_events, neoverse-n1).
ASKED = {
    ACCEPTED: {
        "mov x9, x30": 0xAA1E03E9,
        "paciasp": 0xD503233F,
        "nop": 0xD503201F,
        "bti c": 0xD503245F,
        "b": 0x14000010,
        "bl": 0x94000010,
        "b.eq": 0x54000040,
        "cbz x0": 0xB4000040,
        "tbz w0, #3": 0x36180040,
        "br x16": 0xD61F0200,
        "ret": 0xD65F03C0,
        "adrp x0": 0x90000000,
        "adr x0": 0x10000000,
        "mrs x0, sp_el0": 0xD5384100,
        "dsb ish": 0xD5033B9F,
        "isb": 0xD5033FDF,
        "tlbi vmalle1is": 0xD508831F,
        "ldr x0, literal": 0x58000040,
        "stp x29, x30, [sp, #-32]!": 0xA9BE7BFD,
    },
    REFUSED: {
        "autiasp": 0xD50323BF,
        "yield": 0xD503203F,
        "msr daifset, #2": 0xD50342DF,
        "msr sp_el0, x0": 0xD5184100,
        "mrs x0, daif": 0xD53B4220,
        "brk #0x800": 0xD4210000,
        "ldxr x0, [x1]": 0xC85F7C20,
        "stxr w2, x0, [x1]": 0xC8027C20,
    },
}
# By the masks of arch/arm64/include/asm/insn.h alone.
READ = {
    REFUSED: {
        "retaa": 0xD65F0BFF,
        "retab": 0xD65F0FFF,
        "braa x0, x1": 0xD71F0801,
        "blraaz x0": 0xD63F081F,
        "eret": 0xD69F03E0,
        "eretaa": 0xD69F0BFF,
        "hvc #0": 0xD4000002,
        "prfm literal": 0xD8000000,
        "csdb": 0xD503229F,
        "casp x0, x1, x2, x3, [x4]": 0x48207C82,
    },
    MOPS: {"cpyfp": 0x19010440, "setp": 0x19C20420},
    ACCEPTED: {
        "ldr q0, literal": 0x9C000040,
        "ldrsw literal": 0x98000040,
        "ldar x0, [x1]": 0xC8DFFC20,
        "cas x0, x2, [x1]": 0xC8A07C22,
    },
}
ALL = [(word, said) for table in (ASKED, READ) for said, words in table.items() for word in words.items()]


@pytest.mark.parametrize(("word", "said"), ALL, ids=[word[0] for word, _ in ALL])
def test_a_word_is_judged_as_the_kernel_does(word, said):
    assert aarch64.judge_word(word[1]) == said


def test_the_older_mask_takes_load_acquire_for_an_exclusive_load():
    ldar, stlr, ldxr, stxr = 0xC8DFFC20, 0xC89FFC20, 0xC85F7C20, 0xC8027C20
    assert [aarch64.opens_exclusive(one, True) for one in (ldar, ldxr)] == [False, True]
    assert [aarch64.opens_exclusive(one, False) for one in (ldar, ldxr)] == [True, True]
    assert [aarch64.closes_exclusive(one, True) for one in (stlr, stxr)] == [False, True]
    assert [aarch64.closes_exclusive(one, False) for one in (stlr, stxr)] == [True, True]


def test_what_a_table_may_name():
    assert aarch64.may_be_jump_label(aarch64.NOP)
    assert aarch64.may_be_jump_label(0x14000010)
    assert not aarch64.may_be_jump_label(0x94000010)
    assert aarch64.may_fault(0xF9400020)  # ldr x0, [x1]
    assert not aarch64.may_fault(0x91000421)  # add


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (0x52800741, True),
        (0x7100E81F, True),
        (0x7100E85F, True),
        (0x52800761, False),
        (0xD2800741, False),
        (0xAA1E03E9, False),
    ],
)
def test_a_constant_is_loaded_or_compared_with(word, found):
    """mov w1, #58; cmp w0, #58; cmp w2, #58; mov w1, #59; mov x1, #58 (no character); mov x9, x30."""
    assert aarch64.has_constant((0xD503233F).to_bytes(4, "little") + word.to_bytes(4, "little"), 58) is found


def test_a_word_is_judged_for_a_uprobe():
    """As for a kprobe, but for loads from beside the code, and memory copies."""
    assert aarch64.judge_user_word(0xD42000A0) == aarch64.BREAKPOINT
    for (name, word), said in ALL:
        if name == "ldr q0, literal":
            said = aarch64.LITERAL
        differs = said == MOPS or name in ("ldr x0, literal", "ldrsw literal")
        assert aarch64.judge_user_word(word) == (aarch64.MAYBE if differs else said), name


CODE = """
f: cbz x0, g
 cbnz w1, f
 tbz x2, #40, g
 tbnz w3, #3, f
 b.ne g
 b.al f
 b f
 b g
 bl f
 bl g
 br x3
 blr x4
 ret
 ret x5
 retaa
 retab
 braa x1, x2
 brabz x3
 blraa x1, x2
 nop
 ldr x0, g
 adr x0, f
g: ret
"""


def test_branches_as_the_assembler_wrote_them(tmp_path: Path):
    """Kinds and distances, with llvm-objdump as the other reader."""
    (tmp_path / "a.s").write_text(".arch armv8.5-a+pauth\n" + CODE)
    programs.run(programs.tool("clang"), "--target=aarch64-linux-gnu", "-c", tmp_path / "a.s", "-o", tmp_path / "a.o")
    image = ElfImage((tmp_path / "a.o").read_bytes(), "a.o")
    region = image.region(".text")
    code = bytes(region.raw[region.start : region.end])
    options = ("-d", "--mattr=+v8.5a,+pauth", "--no-show-raw-insn")
    shown = programs.run(programs.tool("llvm-objdump"), *options, tmp_path / "a.o")
    rows = re.findall(r"^\s+([0-9a-f]+):\s+(\S+)(.*)$", shown, re.M)
    assert len(rows) == len(code) // 4 == 23
    kinds = {"bl": "call", "b": "jump"}
    for place, mnemonic, operands in rows:
        at = int(place, 16)
        word = int.from_bytes(code[at : at + 4], "little")
        goal = re.search(r"0x([0-9a-f]+) <", operands)
        assert aarch64.is_return(word) is mnemonic.startswith("ret"), mnemonic
        assert aarch64.is_indirect_jump(word) is mnemonic.startswith("br"), mnemonic
        found = aarch64.branch(word)
        if goal and mnemonic not in ("ldr", "adr"):
            assert found == (kinds.get(mnemonic, "maybe"), int(goal[1], 16) - at), mnemonic
        else:
            assert found is None, mnemonic
    walk = _walk_words(code)
    assert [walk.jumps_to_entry, walk.calls_itself, walk.may_leave] == [True, True, True]
    assert len(walk.returns) == 5
