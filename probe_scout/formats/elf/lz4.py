"""Unpack LZ4 as kernels are packed with it: the legacy frame, blocks of 8 MiB (scripts/Makefile.lib, cmd_lz4: lz4 -l).

lz4_Block_format.md and lz4_Frame_format.md of the LZ4 project. A stream may end with the unpacked size, which the
kernel's build appends. Some 3 s for a kernel: Debian's cloud kernels of 6.1 are packed so.
"""

from __future__ import annotations

_MAGIC = b"\x02\x21\x4c\x18"
_BLOCK_BYTES_MAX = 8 << 20
_MORE = 15  # in a nibble: further bytes are added, up to the first that is not 255


def unpacked(raw: bytes, limit_bytes: int) -> bytes:
    """All blocks; at most a block more than `limit_bytes`, which the caller refuses. Raises ValueError."""
    out = bytearray()
    at = len(_MAGIC)
    while at + 4 <= len(raw) and len(out) <= limit_bytes:
        if raw[at : at + 4] == _MAGIC:
            at += 4
            continue
        size = int.from_bytes(raw[at : at + 4], "little")
        if at + 4 == len(raw) and size == len(out):
            break
        block = raw[at + 4 : at + 4 + size]
        if len(block) < size or not size:
            raise ValueError("cut off inside a block")
        out += _block(block)
        at += 4 + size
    if not out:
        raise ValueError("no block")
    return bytes(out)


def _block(raw: bytes) -> bytearray:
    """One block: literals, then a copy of what is there already, again and again; the last has literals alone."""
    out = bytearray()
    at, end = 0, len(raw)
    try:
        while at < end:
            token = raw[at]
            at += 1
            count = token >> 4
            if count == _MORE:
                while (more := raw[at]) == 255:
                    count += more
                    at += 1
                count += more
                at += 1
            out += raw[at : at + count]
            at += count
            if at >= end:
                break
            back = raw[at] | raw[at + 1] << 8
            at += 2
            count = token & 15
            if count == _MORE:
                while (more := raw[at]) == 255:
                    count += more
                    at += 1
                count += more
                at += 1
            count += 4
            start = len(out) - back
            if start < 0 or not back or len(out) + count > _BLOCK_BYTES_MAX:
                raise ValueError("a copy of what is not there")
            if back >= count:
                out += out[start : start + count]
            else:
                out += (out[start:] * (count // back + 1))[:count]
    except IndexError:
        raise ValueError("cut off inside a block") from None
    if at > end or len(out) > _BLOCK_BYTES_MAX:
        raise ValueError("a damaged block")
    return out
