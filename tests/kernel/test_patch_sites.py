"""Which instructions the kernel keeps for itself, from tables in memory."""

from __future__ import annotations

from struct import pack

import pytest

from probe_scout.kernel import patch_sites as reserved

TEXT = 0xFFFFFFFF81000000
TABLES = 0xFFFFFFFF82000000
BUG, LABEL, CALL = TEXT + 0x10, TEXT + 0x20, TEXT + 0x30
LINES = (
    (TEXT, "T", "_stext"),
    (TEXT, "T", "some_function"),
    (TEXT + 0x1000, "T", "_etext"),
    (TABLES, "D", "__start___bug_table"),
    (TABLES + 12, "D", "__stop___bug_table"),
    (TABLES + 16, "D", "__start___jump_table"),
    (TABLES + 32, "D", "__stop___jump_table"),
    (TABLES + 32, "D", "__start_static_call_sites"),
    (TABLES + 40, "D", "__stop_static_call_sites"),
)
MEMORY = (
    pack("<iii", BUG - TABLES, 0, 0)
    + bytes(4)
    + pack("<iiq", LABEL - (TABLES + 16), 0, 0)
    + pack("<ii", CALL - (TABLES + 32), 0)
)


def kallsyms(*without: str) -> bytes:
    return b"".join(b"%016x %b %b\n" % (a, t.encode(), n.encode()) for a, t, n in LINES if n not in without)


def read(_symbols: object, start: int, size_bytes: int) -> bytes | None:
    return MEMORY[start - TABLES :][:size_bytes]


def test_each_table_gives_its_instruction():
    found = reserved.tables(kallsyms(), read)
    assert found == (frozenset((BUG,)), frozenset((LABEL,)), frozenset((CALL,)))


def test_a_kernel_without_static_calls_has_no_such_table():
    found = reserved.tables(kallsyms("__start_static_call_sites", "__stop_static_call_sites"), read)
    assert found is not None
    assert found.static_call == frozenset()


def test_what_cannot_be_read_is_not_an_empty_table():
    assert reserved.tables(kallsyms(), lambda _symbols, _start, _size: None) is None
    assert reserved.tables(kallsyms(*(name for _, _, name in LINES if "__st" in name)), read) is None


def test_a_table_that_points_past_the_code_is_not_believed():
    assert reserved.tables(kallsyms(), lambda _symbols, _start, size: b"\xff\xff\xff\x7f" * (size // 4)) is None


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (0x0F, ""),
        (0x10, "bug"),
        (0x11, ""),
        (0x1F, ""),
        (0x20, "jump_label"),
        (0x24, "jump_label"),
        (0x25, ""),
        (0x30, "static_call"),
        (0x34, "static_call"),
        (0x35, ""),
    ],
)
def test_bugs_are_compared_and_patched_instructions_cover_their_bytes(offset: int, expected: str):
    code = bytearray(b"\x90" * 0x40)
    code[0x20:0x25] = b"\x0f\x1f\x44\0\0"
    found = reserved.tables(kallsyms(), read)
    assert found is not None
    assert reserved.word_at(found, TEXT, offset, bytes(code)) == expected


@pytest.mark.parametrize("label", [b"\xeb\x10", b"\x66\x90"])
def test_a_short_jump_label_covers_two_bytes(label: bytes):
    code = bytearray(b"\x90" * 0x40)
    code[0x20:0x22] = label
    found = reserved.tables(kallsyms(), read)
    assert found is not None
    assert [reserved.word_at(found, TEXT, at, bytes(code)) for at in (0x20, 0x21, 0x22)] == [
        "jump_label",
        "jump_label",
        "",
    ]
