"""etc/ld.so.cache, written here by sysdeps/generic/dl-cache.h of glibc."""

from __future__ import annotations

import struct

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.elf import ld_cache

ENTRIES = (("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", 0x0303), ("libc.so.6", "/lib32/libc.so.6", 0x0003))


def cache(entries=ENTRIES, old=False):
    strings, rows = b"", b""
    start = 48 + 24 * len(entries)
    for name, path, flags in entries:
        key = start + len(strings)
        strings += name.encode() + b"\0"
        value = start + len(strings)
        strings += path.encode() + b"\0"
        rows += struct.pack("<iIIIQ", flags, key, value, 0, 0)
    head = b"glibc-ld.so.cache1.1" + struct.pack("<II", len(entries), len(strings)) + bytes(20)
    return (b"ld.so-1.7.0\0" + bytes(52) if old else b"") + head + rows + strings


@pytest.mark.parametrize("old", [False, True])
def test_entries_in_the_order_of_the_file(old):
    found = ld_cache.libraries(cache(old=old))
    assert [tuple(one) for one in found] == list(ENTRIES)
    assert [one.is_for("x86_64") for one in found] == [True, False]
    assert [one.is_for("i386") for one in found] == [False, True]
    assert all(one.is_for("loongarch64") for one in found)  # flags not known here refuse nothing


@pytest.mark.parametrize(
    "raw",
    [b"", b"something else", b"glibc-ld.so.cache1.1", cache()[:60], cache()[:20] + b"\xff\xff\xff\xff" + cache()[24:]],
)
def test_damaged_bytes_are_one_sentence(raw):
    with pytest.raises(Malformed):
        ld_cache.libraries(raw)


def test_a_string_outside_the_file_is_empty():
    raw = bytearray(cache())
    raw[52:56] = b"\xff\xff\xff\x7f"  # the first entry's key
    assert ld_cache.libraries(bytes(raw))[0].name == ""
