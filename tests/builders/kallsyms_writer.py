"""Write the tables of kallsyms as scripts/kallsyms.c does, in each layout that kernels have had."""

from __future__ import annotations

import struct

BASE = 0xFFFF_FFFF_8100_0000
Rows = list[tuple[int, str, str]]


def _packed_names(found: Rows) -> tuple[bytes, list[int], bytes, list[int]]:
    """One token for each character, as a kernel without better ones would have them."""
    tokens = b"".join(bytes((value,)) + b"\0" if value else b"\1\0" for value in range(256))
    index = [2 * value for value in range(256)]
    names, markers = b"", list[int]()
    for number, (_, letter, name) in enumerate(found):
        if number % 256 == 0:
            markers.append(len(names))
        text = (letter + name).encode()
        length = bytes((len(text),)) if len(text) < 128 else bytes((len(text) & 0x7F | 0x80, len(text) >> 7))
        names += length + text
    return names, markers, tokens, index


def pad(raw: bytes, size: int) -> bytes:
    """Filled up with zeros to a multiple."""
    return raw + bytes(-len(raw) % size)


def kallsyms(found: Rows, here: int, layout: str) -> bytes:
    """The tables with 64 bytes around them, to lie at the address `here`.

    `layout`: before (offsets before the names, absolute per-CPU), seqs (as that, with the order of names), behind,
    plain (offsets to the base), relative (to the entry itself).
    """
    names, markers, tokens, index = _packed_names(found)
    body = pad(struct.pack("<I", len(found)), 8) + pad(names, 8) + pad(struct.pack(f"<{len(markers)}I", *markers), 8)
    if layout == "seqs":  # 6.1: the order of names, three bytes each, between markers and tokens
        body += pad(b"".join(number.to_bytes(3, "big") for number in range(len(found))), 8)
    body += pad(tokens, 8) + pad(struct.pack("<256H", *index), 8)
    if layout == "relative":
        start = 64 + len(body)
        offsets = struct.pack(f"<{len(found)}i", *(a - (here + start + 4 * n) for n, (a, _, _) in enumerate(found)))
        return bytes(64) + body + offsets + bytes(64)
    percpu = layout != "plain"
    base = BASE
    values = [a if a < 1 << 31 else base - 1 - a for a, _, _ in found] if percpu else [a - base for a, _, _ in found]
    offsets = struct.pack(f"<{len(found)}i", *values)
    tail = struct.pack("<Q", base)
    if layout in ("before", "seqs"):
        return bytes(64) + pad(offsets, 8) + tail + body + bytes(64)
    return bytes(64) + body + pad(offsets, 8) + tail + bytes(64)
