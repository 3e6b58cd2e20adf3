"""LZ4 of kernels: blocks written by hand after the format's description, and streams that are cut off or damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.elf import kernel_image, lz4
from tests.builders.damage import EXAMPLES, damaged

MAGIC = b"\x02\x21\x4c\x18"
# 3 literals, a copy of 7 bytes from 3 back; 16 literals (15 + 1), a copy of 20 (15 + 1 + 4) from 1 back; "end".
BLOCK = b"\x33abc\3\0" + b"\xff\1" + b"0123456789ABCDEF" + b"\1\0\1" + b"\x30end"
TEXT = b"abcabcabca" + b"0123456789ABCDEF" + b"F" * 20 + b"end"
STREAM = MAGIC + len(BLOCK).to_bytes(4, "little") + BLOCK


def test_literals_and_copies_also_of_what_they_write():
    assert lz4.unpacked(STREAM, 1 << 20) == TEXT
    assert lz4.unpacked(STREAM + len(TEXT).to_bytes(4, "little"), 1 << 20) == TEXT  # as the kernel's build appends it
    assert lz4.unpacked(STREAM + STREAM, 1 << 20) == TEXT * 2


@pytest.mark.parametrize(
    "raw", [MAGIC, STREAM[:-1], STREAM + b"\1\0\0\0", MAGIC + b"\3\0\0\0\x10a\1", MAGIC + b"\4\0\0\0\x10a\2\0"]
)
def test_damaged_streams_are_one_sentence(raw):
    with pytest.raises(Malformed) as error:
        kernel_image.unpack(raw, "vmlinuz")
    assert "\n" not in str(error.value)


def test_a_bomb_is_refused():
    bomb = b"\x1fa\1\0" + b"\xff" * 40_000 + b"\0"
    with pytest.raises(Malformed):
        kernel_image.unpack(MAGIC + len(bomb).to_bytes(4, "little") + bomb, "vmlinuz")


@pytest.mark.property
@EXAMPLES
@given(st.just(STREAM).flatmap(damaged))
def test_damaged_bytes_are_read_or_refused(raw):
    try:
        kernel_image.unpack(raw, "vmlinuz")
    except Malformed as error:
        if "\n" in str(error):
            raise
