"""kallsyms out of an uncompressed kernel image: names, letters and addresses in the kernel's own order.

Written by scripts/kallsyms.c. The tables have no header; they are found by what they must hold: the token table
holds "0\\0" to "9\\0" one after the other, with 256 increasing u16 behind it; the markers are a zero u32 and
increasing steps; the number of symbols stands before the names. Addresses are one of three encodings, told apart by
their order: without one inversion, or the layout is not the right one.

- base - 1 - x for a negative x, x itself for a positive one (CONFIG_KALLSYMS_ABSOLUTE_PERCPU, up to 6.12)
- base + x (architectures without absolute per-CPU symbols, and since commit 01157ddc58dc, "kallsyms: Remove
  KALLSYMS_ABSOLUTE_PERCPU")
- the place of the entry itself plus x (without a base)
"""

from __future__ import annotations

import re
import sys
from array import array
from itertools import pairwise

from ...errors import Malformed
from ...named_tuple import NamedTuple

_DIGITS = b"".join(b"%d\0" % digit for digit in range(10))
_FIRST_DIGIT = ord("0")
_STEP_MIN, _STEP_MAX = 256, 60_000  # bytes of 256 packed names
_MARKERS_MIN, _MARKERS_MAX = 16, 32_000  # one for 256 symbols: up to 8 million
_NAME_BYTES_MAX = 1024
_NAMES_BEFORE_MAX = 48 << 20
_TRIED_MAX = 64
# A zero word and 15 words that grow by 256 to 60,000: what 16 markers look like before their steps are counted.
_RUN = re.compile(rb"\0\0\0\0(?=[\0-\xff][\1-\xff]\0\0(?:[\0-\xff]{2}[\0-\x0e]\0){14})")


class Table(NamedTuple):
    """Every row in the kernel's order: address, letter, name; parallel lists."""

    addresses: list[int]
    letters: list[bytes]
    names: list[bytes]

    def text(self) -> bytes:
        """As /proc/kallsyms prints them for root (kernel/kallsyms.c, s_show)."""
        return b"".join(b"%016x %b %b\n" % row for row in zip(self.addresses, self.letters, self.names, strict=True))


class _NameList(NamedTuple):
    """Where packed names and their markers lie, and how many they are."""

    markers: int
    marker_count: int
    names: int
    number: int


class Located(NamedTuple):
    """Where the tables lie in the bytes of the image that were searched."""

    tokens: int
    token_index: int
    markers: int
    marker_count: int
    names: int
    number: int


def read(raw: bytes, address_of: int, path: str = "vmlinux") -> Table:
    """The table in `raw`, whose first byte lies at the address `address_of`. Raises Malformed where there is none."""
    lists = _name_lists(raw, path)
    tried = 0
    for match in re.finditer(re.escape(_DIGITS), raw):
        located = _locate(raw, match.start(), lists)
        if located is None:
            continue
        tried += 1
        if tried > _TRIED_MAX:
            raise Malformed(path, match.start(), "one table of kallsyms", f"more than {_TRIED_MAX}")
        rows = _names(raw, located)
        if rows is None:
            continue
        letters, names = rows
        addresses = _addresses(raw, located, address_of)
        if addresses is not None:
            return Table(addresses, letters, names)
    what = "kallsyms tables whose addresses are in order" if tried else "kallsyms tables"
    raise Malformed(path, 0, what, "none in this image (built without CONFIG_KALLSYMS, or of an unknown layout)")


def _u32(raw: bytes, at: int, count: int) -> array[int]:
    found = array("I", raw[at : at + 4 * count])
    if sys.byteorder != "little":
        found.byteswap()
    return found


def _locate(raw: bytes, digits: int, lists: list[_NameList]) -> Located | None:
    """The tables around a token table that has its digits here: the names stand before it, the nearest are meant."""
    end = digits
    for _ in range(256 - _FIRST_DIGIT):
        end = raw.find(b"\0", end) + 1
        if not end:
            return None
    for alignment in (4, 8):
        at = (end + alignment - 1) // alignment * alignment
        index = array("H", raw[at : at + 512])
        if len(index) < 256 or index[0] or any(a >= b for a, b in pairwise(index)):
            continue
        tokens = digits - index[_FIRST_DIGIT]
        if tokens < 0 or tokens + index[-1] >= at:
            continue
        before = [one for one in lists if tokens - _NAMES_BEFORE_MAX <= one.markers < tokens]
        if before:
            one = before[-1]
            return Located(tokens, at, one.markers, one.marker_count, one.names, one.number)
    return None


def _name_lists(raw: bytes, path: str) -> list[_NameList]:
    """Every list of packed names with its markers, in the order of the image.

    The images of eight kernels looked at hold one run of words that could be markers each. Raises Malformed for an
    image of very many, which was made to be searched for hours.
    """
    found, runs, behind = [], 0, 0
    for match in _RUN.finditer(raw):
        markers = match.start()
        if markers % 4 or markers < behind:
            continue
        words = _u32(raw, markers, min(_MARKERS_MAX, (len(raw) - markers) // 4))
        run = 1
        while run < len(words) and _STEP_MIN <= words[run] - words[run - 1] <= _STEP_MAX:
            run += 1
        if run < _MARKERS_MIN:
            continue
        runs += 1
        if runs > _TRIED_MAX:
            raise Malformed(path, markers, "one list of kallsyms' markers", f"more than {_TRIED_MAX}")
        behind = markers + 4 * run
        one = _count(raw, words, markers, run)
        if one is not None:
            found.append(one)
    return found


def _count(raw: bytes, words: array[int], markers: int, run: int) -> _NameList | None:
    """The number of symbols stands at most a few MB before the markers, the names right behind it, at 4 or 8 bytes."""
    for count in (run, run - 1):
        if count < _MARKERS_MIN:
            continue
        last = words[count - 1]
        # The names end where the markers begin: from the last marker on there are 1 to 256 names.
        high = markers - last // 4 * 4 - 4
        low = max(markers - (last + 256 * _NAME_BYTES_MAX) // 4 * 4, 0)
        for place in range(high, low, -4):
            number = int.from_bytes(raw[place : place + 4], "little")
            if not (count - 1) * 256 < number <= count * 256:
                continue
            for gap in (4, 8):
                if _fits(raw, place + gap, words, count, number, markers):
                    return _NameList(markers, count, place + gap, number)
    return None


def _fits(raw: bytes, names: int, words: array[int], count: int, number: int, markers: int) -> bool:
    """Whether names begin here: 256 of them end where the first marker says, and all of them before the markers."""
    end = names
    for group in range(min(2, count - 1)):
        for _ in range(256):
            if end >= markers:
                return False
            end = _after(raw, end)
        if end - names != words[group + 1]:
            return False
    end = names + words[count - 1]
    for _ in range(number - (count - 1) * 256):
        if end >= markers:
            return False
        end = _after(raw, end)
    return end <= markers <= end + 8


def _after(raw: bytes, at: int) -> int:
    """Where the next packed name begins: one length byte, two for names of 128 bytes and more (since 6.1)."""
    length = raw[at]
    if length & 0x80:
        return at + 2 + (length & 0x7F | raw[at + 1] << 7)
    return at + 1 + length


def _names(raw: bytes, located: Located) -> tuple[list[bytes], list[bytes]] | None:
    index = array("H", raw[located.token_index : located.token_index + 512])
    table = [raw[located.tokens + at : raw.index(b"\0", located.tokens + at)] for at in index]
    letters, names = [], []
    at = located.names
    take = table.__getitem__
    for _ in range(located.number):
        if at >= located.markers:  # markers and names that do not belong together
            return None
        length = raw[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | raw[at] << 7
            at += 1
        text = b"".join(map(take, raw[at : at + length]))
        at += length
        if len(text) < 2 or len(text) > _NAME_BYTES_MAX:
            return None
        letters.append(text[:1])
        names.append(text[1:])
    return letters, names


def _addresses(raw: bytes, located: Located, address_of: int) -> list[int] | None:
    """The addresses, by the encoding and the place that give them in order."""
    number = located.number
    after = located.token_index + 512
    # Behind the tokens' index (since 6.5), or before the base that stands before the number of symbols.
    places: list[tuple[int, int | None]] = []
    for alignment in (4, 8):
        at = (after + alignment - 1) // alignment * alignment
        base = (at + 4 * number + 7) // 8 * 8
        places.append((at, int.from_bytes(raw[base : base + 8], "little")))
        places.append((at, None))
    head = located.names
    for back in (4, 8):
        base = head - back - 8
        if base > 4 * number:
            places += [
                ((base - 4 * number) // step * step, int.from_bytes(raw[base : base + 8], "little")) for step in (8, 4)
            ]
    for at, base_value in places:
        if at < 0 or at + 4 * number > len(raw):
            continue
        values = array("i", raw[at : at + 4 * number])
        if sys.byteorder != "little":
            values.byteswap()
        for found in _decoded(values, base_value, address_of + at):
            if _is_sorted(found):
                return found
    return None


def _decoded(values: array[int], base: int | None, here: int) -> list[list[int]]:
    if base is None:
        return [[here + 4 * position + value for position, value in enumerate(values)]]
    if base >> 63 == 0:
        return []
    return [
        [value if value >= 0 else base - 1 - value for value in values],
        [base + (value & 0xFFFFFFFF) for value in values],
    ]


def _is_sorted(addresses: list[int]) -> bool:
    """In order without one inversion, and somewhere in the kernel's half."""
    return addresses[-1] >> 63 == 1 and all(map(int.__le__, addresses, addresses[1:]))
