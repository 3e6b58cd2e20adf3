"""Where the copies lie that a probe on a function does not see: symbol and offset, for each kernel of a survey.

One block belongs to each block of names (format.py). A number is an LEB128; a list of numbers up to some thousands is
parted into their low bytes and the numbers that are left, which pack better. The block: the bytes of each of eight
streams, then the streams.

    pairs    of the block of names, those that have places: each less the one before
    callers  how many symbols hold copies, for each pair
    symbols  number of each in the survey's table of callers, less the one before (low bytes, and the rest)
    kernels  for each symbol a bit for every kernel in which it holds copies
    counts   how many copies it holds, for each of these kernels
    offsets  of each copy from the symbol, less the one before (low bytes, and the rest)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .cell import Place

    Row = Sequence[Sequence[Place]]  # for each kernel its places, in order

_STREAMS = 8


def write(rows: Iterable[tuple[int, Row]], callers: Mapping[str, int]) -> bytes:
    """The bytes of a block: rows are pairs of a block of names, by their numbers. Empty if there are none."""
    streams = pairs, many, low, high, kernels, counts, offsets, far = tuple(bytearray() for _ in range(_STREAMS))
    before = 0
    for pair, row in rows:
        held: dict[int, dict[int, list[int]]] = {}
        for kernel, places in enumerate(row):
            for symbol, offset in places:
                held.setdefault(callers[symbol], {}).setdefault(kernel, []).append(offset)
        _put(pairs, pair - before)
        before = pair
        _put(many, len(held))
        last = 0
        for number in sorted(held):
            low.append(number - last & 0xFF)
            _put(high, number - last >> 8)
            last = number
            _put(kernels, sum(1 << kernel for kernel in held[number]))
            for kernel in sorted(held[number]):
                _put(counts, len(held[number][kernel]))
                end = 0
                for offset in sorted(held[number][kernel]):
                    offsets.append(offset - end & 0xFF)
                    _put(far, offset - end >> 8)
                    end = offset
    if not pairs:
        return b""
    head = bytearray()
    for stream in streams:
        _put(head, len(stream))
    return bytes(head) + b"".join(streams)


def read(raw: bytes, callers: Sequence[str], kernels: int) -> dict[int, tuple[tuple[Place, ...], ...]]:
    """What was written, by pair. Raises ValueError or IndexError for other bytes."""
    if not raw:
        return {}
    sizes, at = _numbers(raw, _STREAMS)
    if at + sum(sizes) != len(raw):
        raise ValueError("streams of other lengths")
    streams = []
    for size in sizes:
        streams.append(raw[at : at + size])
        at += size
    pairs, many, held, counts = (iter(_numbers(streams[number])[0]) for number in (0, 1, 4, 5))
    symbols = iter(_parted(streams[2], streams[3]))
    offsets = iter(_parted(streams[6], streams[7]))
    found: dict[int, tuple[tuple[Place, ...], ...]] = {}
    pair = 0
    try:
        for step in pairs:
            pair += step
            row: list[list[Place]] = [[] for _ in range(kernels)]
            number = 0
            for _ in range(next(many)):
                number += next(symbols)
                symbol, mask = callers[number], next(held)
                for kernel in range(mask.bit_length()):
                    if mask >> kernel & 1:
                        mine, offset = row[kernel], 0
                        for _ in range(next(counts)):
                            offset += next(offsets)
                            mine.append((symbol, offset))
            found[pair] = tuple(map(tuple, row))
    except StopIteration:
        raise ValueError("a stream that ends early") from None
    return found


def write_names(names: Sequence[str]) -> bytes:
    """The table of callers: bytes shared with the name before, one byte a name, then the rest of each and a newline."""
    shared, rests, before = bytearray(), bytearray(), b""
    for name in names:
        raw, same = name.encode(), 0
        while same < min(len(before), len(raw), 255) and before[same] == raw[same]:
            same += 1
        shared.append(same)
        rests += raw[same:] + b"\n"
        before = raw
    return bytes(shared + rests)


def read_names(raw: bytes, count: int) -> list[str]:
    """What was written. Raises ValueError for other bytes."""
    rests = raw[count:].split(b"\n")
    if len(rests) != count + 1 or rests[-1]:
        raise ValueError(f"{len(rests) - 1} names of callers")
    found: list[bytes] = []
    name = b""
    for shared, rest in zip(raw, rests[:-1], strict=False):
        name = name[:shared] + rest
        found.append(name)
    return b"\n".join(found).decode().split("\n") if found else []


def _put(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _numbers(raw: bytes, most: int = -1) -> tuple[list[int], int]:
    """At most so many numbers, and where they end. Raises ValueError for one that does not end or is too large."""
    few = raw if most < 0 else raw[:most]
    if few.isascii():  # a byte each
        return list(few), len(few)
    found: list[int] = []
    value = shift = at = 0
    for byte in raw:
        if len(found) == most:
            break
        at += 1
        value |= (byte & 127) << shift
        if byte > 127:
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than ten bytes")
        else:
            found.append(value)
            value = shift = 0
    if shift:
        raise ValueError("a number that does not end")
    return found, at


def _parted(low: bytes, rest: bytes) -> list[int]:
    high, _ = _numbers(rest)
    if len(high) != len(low):
        raise ValueError("streams of other lengths")
    return [number << 8 | byte for number, byte in zip(high, low, strict=True)]
