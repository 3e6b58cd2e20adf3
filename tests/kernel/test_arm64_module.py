"""arm64's code of modules out of their files: words, alternatives, tables, and the answers that hang on them."""

from __future__ import annotations

import struct

import pytest

from probe_scout.arch import aarch64
from probe_scout.errors import Malformed
from probe_scout.kernel.arm64_module import ModuleFile
from tests.builders.image_writer import ModuleSymbol, module

BRANCH, LOAD, STORE, ERET = 0x14000002, 0xF9400000, 0xF9000000, 0xD69F03E0
TEXT = [aarch64.NOP, BRANCH, LOAD, STORE, ERET, LOAD]
OTHER = [ERET]
ALTERNATIVE = ".altinstructions"
CALLBACK = 0x8000


def entry(capability: int, old: int = 4, new: int = 4) -> bytes:
    return struct.pack("<iiHBB", 0, 0, capability, old, new)


def file(entries: list[bytes], pointers: list[tuple[int, str, int]], imports: tuple[str, ...] = ()) -> ModuleFile:
    raw = module(
        {
            ".text": b"".join(word.to_bytes(4, "little") for word in TEXT),
            ".text.other": b"".join(word.to_bytes(4, "little") for word in OTHER),
            ALTERNATIVE: b"".join(entries),
            "__ex_table": bytes(24),
        },
        [ModuleSymbol("one", ".text", 0), ModuleSymbol("two", ".text", 16)],
        {
            ".rela.altinstructions": pointers,
            ".rela__bug_table": [(0, ".text", 12)],
            ".rela__jump_table": [(0, ".text", 0), (4, ".text", 20)],
            # Backwards: the linker's order is no promise.
            ".rela__ex_table": [(16, ".text", 20), (12, ".text", 8), (4, ".text", 20), (0, ".text", 4)],
        },
        machine=183,
        data=(ALTERNATIVE, "__ex_table"),
        imports=imports,
    )
    return ModuleFile(raw, "a.ko")


def words(of: ModuleFile) -> list[tuple[int, ...]]:
    ((section, start),) = of.places["one"]
    return [of.word((section, start + 4 * at)) for at in range(len(TEXT))]


def test_words_are_those_of_the_file_where_boot_changes_nothing():
    assert words(file([], [])) == [(word,) for word in TEXT]


def test_an_alternative_is_one_word_more():
    found = words(file([entry(3)], [(0, ".text", 8), (4, ".text.other", 0)]))
    assert found == [(word,) if at != 2 else (LOAD, ERET) for at, word in enumerate(TEXT)]


@pytest.mark.parametrize(
    ("callback", "expected"), [("alt_cb_patch_nops", (BRANCH, aarch64.NOP)), ("kvm_compute_final_ctr_el0", ())]
)
def test_what_a_callback_writes_is_told_of_one_that_writes_no_ops(callback, expected):
    found = words(file([entry(CALLBACK | 3, new=0)], [(0, ".text", 4), (4, callback, 0)], (callback,)))
    assert found[1] == expected
    assert found[2] == (LOAD,)


def test_an_alternative_of_another_length_or_without_its_code_is_not_told():
    assert words(file([entry(3, new=8)], [(0, ".text", 8), (4, ".text.other", 0)]))[2] == ()
    assert words(file([entry(3)], [(0, ".text", 8)]))[2] == ()
    assert words(file([entry(3, 8, 8)], [(0, ".text", 8), (4, ".text.other", 0)]))[2:4] == [(LOAD, ERET), ()]


def test_the_tables_hold_the_instructions_they_name_and_no_fixups():
    found = file([], [])
    section = found.places["one"][0][0]
    held = [found.reserved((section, 4 * at)) for at in range(len(TEXT))]
    assert held == ["jump_label", "extable", "extable", "bug", "", ""]


def test_behind_the_section_there_is_no_word():
    found = file([], [])
    section = found.places["one"][0][0]
    assert found.word((section, 4 * len(TEXT))) == ()
    assert found.word((section, -4)) == ()


def test_what_is_no_module_is_malformed():
    with pytest.raises(Malformed):
        ModuleFile(b"\x7fELF", "a.ko")
