"""kallsyms of an image, in each layout that kernels have had; written here as scripts/kallsyms.c does."""

from __future__ import annotations

import struct

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.image import symbols

BASE = 0xFFFF_FFFF_8100_0000
HERE = 0xFFFF_FFFF_8200_0000
COUNT = 5_000


def rows():
    found = [(0, "A", "fixed_percpu_data"), (0x100, "A", "irq_stack")]
    for number in range(COUNT):
        name = f"function_{number}" if number % 7 else f"a_rather_long_name_of_{'x' * 200}_{number}"
        found.append((BASE + 16 * (number // 2), "tTdD"[number % 4], name))
    return found


def packed_names(found):
    """One token for each character, as a kernel without better ones would have them."""
    tokens = b"".join(bytes((value,)) + b"\0" if value else b"\1\0" for value in range(256))
    index = [2 * value for value in range(256)]
    names, markers = b"", []
    for number, (_, letter, name) in enumerate(found):
        if number % 256 == 0:
            markers.append(len(names))
        text = (letter + name).encode()
        length = bytes((len(text),)) if len(text) < 128 else bytes((len(text) & 0x7F | 0x80, len(text) >> 7))
        names += length + text
    return names, markers, tokens, index


def pad(raw, size):
    return raw + bytes(-len(raw) % size)


def image(found, layout):
    names, markers, tokens, index = packed_names(found)
    body = pad(struct.pack("<I", len(found)), 8) + pad(names, 8) + pad(struct.pack(f"<{len(markers)}I", *markers), 8)
    if layout == "seqs":  # 6.1: the order of names, three bytes each, between markers and tokens
        body += pad(b"".join(number.to_bytes(3, "big") for number in range(len(found))), 8)
    body += pad(tokens, 8) + pad(struct.pack("<256H", *index), 8)
    if layout == "relative":
        start = 64 + len(body)
        offsets = struct.pack(f"<{len(found)}i", *(a - (HERE + start + 4 * n) for n, (a, _, _) in enumerate(found)))
        return bytes(64) + body + offsets + bytes(64)
    percpu = layout != "plain"
    base = BASE
    values = [a if a < 1 << 31 else base - 1 - a for a, _, _ in found] if percpu else [a - base for a, _, _ in found]
    offsets = struct.pack(f"<{len(found)}i", *values)
    tail = struct.pack("<Q", base)
    if layout in ("before", "seqs"):
        return bytes(64) + pad(offsets, 8) + tail + body + bytes(64)
    return bytes(64) + body + pad(offsets, 8) + tail + bytes(64)


@pytest.mark.parametrize("layout", ["before", "seqs", "behind", "plain", "relative"])
def test_every_row_comes_out_in_order(layout):
    found = rows() if layout in ("before", "seqs", "behind") else rows()[2:]
    table = symbols.read(image(found, layout), HERE)
    assert list(zip(table.addresses, table.letters, table.names, strict=True)) == [
        (address, letter.encode(), name.encode()) for address, letter, name in found
    ]
    assert table.text().splitlines()[-1] == b"%016x %b %b" % (
        found[-1][0],
        found[-1][1].encode(),
        found[-1][2].encode(),
    )


def test_one_inversion_is_no_table():
    """A layout that is wrong by one word gives right names and addresses out of order."""
    found = rows()[2:]
    found[7], found[9] = found[9], found[7]
    with pytest.raises(Malformed):
        symbols.read(image(found, "relative"), HERE)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_cut_off_tables_are_malformed(part):
    raw = image(rows(), "behind")
    with pytest.raises(Malformed):
        symbols.read(raw[: int(len(raw) * part)], HERE)


def test_bytes_without_tables_are_malformed():
    with pytest.raises(Malformed):
        symbols.read(bytes(100_000), HERE)
