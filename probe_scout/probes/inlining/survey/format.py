"""A survey file: names, kernels, and a class for each pair. Bytes in, facts out.

Made by build.py. Layout, numbers little-endian:

    "probe-scout survey 2\\n" (1: without places)
    u32 bytes of the packed head, u32 of the unpacked head, u32 crc32 of the packed head; the packed head
    blocks

The head is text, one fact a line: a word, then fields parted by tabs.

    kernel  RELEASE                      numbered from 0
    machine KERNEL  WORD                 of its debug files, where the release does not tell it
    scope   MODULE                       "vmlinux" for the kernel itself; numbered from 0
    file    KERNEL  SCOPE  BUILD-ID      what was read
    cell    TEXT                         as cell.py writes it; numbered from 1, 0 is "not in this kernel"
    share   SYMBOL  LABEL  AGREEMENT  ASKED  RIGHT  EXACT
    block   BYTES  RAW-BYTES  CRC32  NAMES  PAIRS  COUNTS  FIRST-NAME
    callers BYTES  RAW-BYTES  CRC32  NUMBER      a table of symbols (places.py)
    places  BYTES  RAW-BYTES  CRC32              one for each block, in their order; zeros where there are none
    vectors NUMBER                       and an empty line; then NUMBER times one byte a kernel: cell numbers

A block holds names in byte order, each with one pair or more: a scope and a vector. Its streams follow one another:
shared bytes with the name before (one byte a name), pairs of the name less one (one byte a name), scopes (one byte a
pair), vectors (low byte of each pair, then high bytes), counts of missed copies (one byte for each "partial" of each
pair's vector, in order), the rest of each name and a newline. Blocks, callers, places (places.py) and the head are
packed with LZMA, so that one name costs one block, and one more of places where it has some.
"""

from __future__ import annotations

import lzma
import zlib
from itertools import accumulate

from ....arch import ARCHITECTURES
from ....errors import Malformed
from ....named_tuple import NamedTuple
from . import cell as cells

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .cell import Cell, Place

MAGIC = b"probe-scout survey 2\n"
_OLD_MAGIC = b"probe-scout survey 1\n"
MAGICS = (MAGIC, _OLD_MAGIC)
VMLINUX = "vmlinux"
_HEAD_START = len(MAGIC) + 12
_HEAD_BYTES_MAX = 1 << 20
_BLOCK_BYTES_MAX = 1 << 22
NAMES_PER_BLOCK = 8192
_FILTERS = [
    {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 19, "lc": 4, "lp": 0, "pb": 0, "nice_len": 273, "depth": 1000},
]


_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # Debian's words; others end a release with the machine word


def machine_of(release: str) -> str:
    """The machine word that a release ends with (6.12.107+deb13-amd64, 6.12.5-200.fc41.x86_64); "" where none does."""
    word = max(release.rpartition("-")[2], release.rpartition(".")[2], key=lambda one: one in ARCHITECTURES)
    return _MACHINES.get(word, word if word in ARCHITECTURES else "")


class File(NamedTuple):
    """A file that was read: the number of its kernel, the number of its scope, its build-id in hexadecimal."""

    kernel: int
    scope: int
    build_id: str


class Share(NamedTuple):
    """How often predictions of one sort came true when a surveyed kernel was predicted from the others.

    `right`: what a probe sees of the calls was as predicted; `exact`: the label was.
    """

    asked: int
    right: int
    exact: int


class Found(NamedTuple):
    """A name in one scope: for each kernel what became of it; None where that kernel's file does not have it."""

    scope: str
    cells: tuple[Cell | None, ...]


class _Block(NamedTuple):
    start: int
    size: int
    raw_size: int
    crc: int
    names: int
    pairs: int
    counts: int
    first: bytes


class _Part(NamedTuple):
    """A packed part of the file that is no block of names."""

    start: int
    size: int
    raw_size: int
    crc: int


class Table:
    """One survey file. `read(offset, size)` gives bytes of it; only the head and the blocks asked for are read.

    `kernels`, `scopes`: names. `machines`: machine words of the kernels. `files`: what was read. `shares`: by (symbol,
    label, agreement). `blocks_read` counts. Raises Malformed.
    """

    def __init__(self, read: Callable[[int, int], bytes], path: str) -> None:
        self._read, self.path = read, path
        self.blocks_read = 0
        start = read(0, _HEAD_START)
        if start[: len(MAGIC)] not in (MAGIC, _OLD_MAGIC):
            raise Malformed(path, 0, "a survey of this program's version", repr(start[:24]))
        size, raw_size, crc = (int.from_bytes(start[len(MAGIC) + at :][:4], "little") for at in (0, 4, 8))
        head = self._unpacked(_HEAD_START, size, raw_size, crc, _HEAD_BYTES_MAX)
        self.kernels: list[str] = []
        self.machines: list[str] = []
        self.scopes: list[str] = []
        self.files: list[File] = []
        self.shares: dict[tuple[str, str, str], Share] = {}
        self._cells: list[Cell | None] = [None]
        self._whole: dict[int, tuple[Cell | None, ...]] = {}  # vectors without a count
        self._blocks: list[_Block] = []
        self._counted: list[int] | None = None
        self._kept: dict[int, _Opened] = {}  # opened blocks, for those who ask for many names
        self._places: list[_Part] = []
        self._callers: tuple[_Part, int] | None = None
        self._caller_names: list[str] | None = None
        text, _, self._vectors = head.partition(b"\n\n")
        try:
            self._take(text.decode(), _HEAD_START + size)
        except (ValueError, IndexError) as error:
            raise Malformed(path, _HEAD_START, "the head of a survey", str(error)[:80]) from None

    def _take(self, text: str, at: int) -> None:
        """Read the head's lines. Raises ValueError and IndexError."""
        vectors = -1
        for line in text.split("\n"):
            word, *fields = line.split("\t")
            if word == "kernel":
                self.kernels.append(fields[0])
                self.machines.append(machine_of(fields[0]))
            elif word == "machine":
                self.machines[int(fields[0])] = fields[1]
            elif word == "scope":
                self.scopes.append(fields[0])
            elif word == "file":
                one = File(int(fields[0]), int(fields[1]), fields[2])
                if not (0 <= one.kernel < len(self.kernels) and 0 <= one.scope < len(self.scopes)):
                    raise ValueError(line)
                self.files.append(one)
            elif word == "cell":
                self._cells.append(cells.read(fields[0]))
            elif word == "share":
                self.shares[fields[0], fields[1], fields[2]] = Share(int(fields[3]), int(fields[4]), int(fields[5]))
            elif word == "block":
                size, raw_size, crc, names, pairs, counts = map(int, fields[:6])
                self._blocks.append(_Block(at, size, raw_size, crc, names, pairs, counts, fields[6].encode()))
                at += size
            elif word == "callers":
                self._callers = _Part(at, *map(int, fields[:3])), int(fields[3])
                at += self._callers[0].size
            elif word == "places":
                self._places.append(_Part(at, *map(int, fields[:3])))
                at += self._places[-1].size
            elif word == "vectors":
                vectors = int(fields[0])
            else:
                raise ValueError(line)
        if self._places and len(self._places) != len(self._blocks):
            raise ValueError(f"{len(self._places)} blocks of places for {len(self._blocks)} blocks")
        if not self.kernels or len(self._vectors) != vectors * len(self.kernels):
            raise ValueError(f"{len(self._vectors)} bytes of vectors")
        if max(self._vectors, default=0) >= len(self._cells):
            raise ValueError(f"cell {max(self._vectors)}")

    def find(self, name: str) -> tuple[Found, ...]:
        """Where the name was seen, by scope; empty if nowhere. Reads one block at most. Raises Malformed."""
        wanted = name.encode("utf-8", "surrogateescape")
        low, high = 0, len(self._blocks)
        while low < high:
            middle = (low + high) // 2
            if self._blocks[middle].first <= wanted:
                low = middle + 1
            else:
                high = middle
        if not low or b"\n" in wanted:
            return ()
        block = self._kept.get(low)
        if block is None:
            block = self._kept[low] = self._opened(low - 1)
        number = block.number_of(wanted)
        return () if number is None else tuple(block.rows(number, number + 1))

    def all_names(self) -> Iterator[tuple[str, tuple[Found, ...]]]:
        """Every name with what `find` says of it, in order. Raises Malformed."""
        for number, one in enumerate(self._blocks):
            block = self._opened(number)
            rows = block.rows(0, one.names)
            for name, pairs in zip(block.names(), block.pairs, strict=True):
                try:
                    text = name.decode()
                except UnicodeDecodeError as error:
                    raise Malformed(self.path, one.start, "names in UTF-8", str(error)[:80]) from None
                yield text, tuple(next(rows) for _ in range(pairs + 1))

    def vector(self, number: int) -> bytes:
        """Cell numbers of one vector, a byte a kernel."""
        width = len(self.kernels)
        return self._vectors[number * width : (number + 1) * width]

    def cells_of(self, number: int) -> tuple[Cell | None, ...]:
        """The cells of one vector, without their counts."""
        found = self._whole.get(number)
        if found is None:
            found = self._whole[number] = tuple(self._cells[one] for one in self.vector(number))
        return found

    def counted(self) -> list[int]:
        """For each vector how many of its cells have a count; kept."""
        if self._counted is None:
            self._counted = self._count_cells()
        return self._counted

    def _count_cells(self) -> list[int]:
        partial = bytes(cell is not None and cell.kind == cells.WITH_SYMBOL[0] for cell in self._cells)
        width = len(self.kernels)
        flags = self._vectors.translate(partial.ljust(256, b"\0"))
        return [sum(flags[at : at + width]) for at in range(0, len(flags), width)]

    def places_of(self, number: int) -> dict[int, tuple[tuple[Place, ...], ...]]:
        """By pair of a block of names: the places in each kernel. Raises Malformed."""
        if not self._places or not self._places[number].size or self._callers is None:
            return {}
        from . import places

        part, count = self._callers
        try:
            if self._caller_names is None:
                self._caller_names = places.read_names(self._unpacked(*part, _BLOCK_BYTES_MAX), count)
            part = self._places[number]
            return places.read(self._unpacked(*part, _BLOCK_BYTES_MAX), self._caller_names, len(self.kernels))
        except (ValueError, IndexError) as error:
            raise Malformed(self.path, part.start, "places of copies", str(error)[:80]) from None

    def _opened(self, number: int) -> _Opened:
        self.blocks_read += 1
        block = self._blocks[number]
        raw = self._unpacked(block.start, block.size, block.raw_size, block.crc, _BLOCK_BYTES_MAX)
        try:
            return _Opened(self, raw, block, number)
        except (ValueError, IndexError) as error:
            raise Malformed(self.path, block.start, "a block of names", str(error)[:80]) from None

    def _unpacked(self, start: int, size: int, raw_size: int, crc: int, limit: int) -> bytes:
        if not (0 < size <= limit and 0 <= raw_size <= limit):
            raise Malformed(self.path, start, "a survey's size", f"{size} bytes, unpacked {raw_size}")
        packed = self._read(start, size)
        if len(packed) != size:
            raise Malformed(self.path, start, f"{size} bytes", f"{len(packed)}: the survey is cut off")
        if zlib.crc32(packed) != crc:
            raise Malformed(self.path, start, f"bytes of checksum {crc:08x}", f"{zlib.crc32(packed):08x}")
        try:
            raw = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS).decompress(packed, raw_size)
        except lzma.LZMAError as error:
            raise Malformed(self.path, start, "packed bytes", str(error)) from None
        if len(raw) != raw_size:
            raise Malformed(self.path, start, f"{raw_size} bytes once unpacked", str(len(raw)))
        return raw


_SEVERAL = 2  # names of a block from which on its tables pay


class _Opened:
    """A block, unpacked. Raises ValueError if its streams do not fit."""

    def __init__(self, table: Table, raw: bytes, block: _Block, number: int) -> None:
        self._table, names, pairs = table, block.names, block.pairs
        self._number = number
        self._places: dict[int, tuple[tuple[Place, ...], ...]] | None = None
        self._asked = 0
        self._by_name: dict[bytes, int] = {}
        self._sums: tuple[list[int], list[int], list[int]] | None = None
        ends = [names, names * 2, names * 2 + pairs, names * 2 + pairs * 2, names * 2 + pairs * 3]
        ends.append(ends[-1] + block.counts)
        self._shared, self.pairs, self._scopes, self._low, self._high, self._counts = (
            raw[start:end] for start, end in zip([0, *ends], ends, strict=False)
        )
        self._rests = raw[ends[-1] :].split(b"\n")
        if len(self._rests) != names + 1 or sum(self.pairs) + names != pairs or len(self._counts) != block.counts:
            raise ValueError("streams of other lengths")
        if max(self._scopes, default=0) >= len(table.scopes):
            raise ValueError("a scope that is not named")

    def number_of(self, wanted: bytes) -> int | None:
        """The number of a name; None if it is not here. Names are compared without being put together at first."""
        self._asked += 1
        if self._asked > _SEVERAL:
            if not self._by_name:
                self._by_name = {name: number for number, name in enumerate(self.names())}
            return self._by_name.get(wanted)
        same = 0  # bytes that the name before shares with the wanted one, which is greater
        rest = wanted
        for number, shared in enumerate(self._shared):
            if shared > same:
                continue
            if shared < same:
                return None
            mine = self._rests[number]
            if mine == rest:
                return number
            if mine > rest:
                return None
            while same - shared < len(mine) and mine[same - shared] == rest[same - shared]:
                same += 1
            rest = wanted[same:]
        return None

    def names(self) -> Iterator[bytes]:
        """Every name of the block, in order."""
        name = b""
        for shared, rest in zip(self._shared, self._rests, strict=False):
            name = name[:shared] + rest
            yield name

    def rows(self, start: int, end: int) -> Iterator[Found]:
        """The pairs of names `start` to `end`."""
        table, counted = self._table, self._table.counted()
        if self._asked > _SEVERAL and self._sums is None:
            self._sums = self._summed(counted)
        if self._sums is not None:
            firsts, numbers, sums = self._sums
            first, after = firsts[start], firsts[end]
            at = sums[first]
        else:
            first = sum(self.pairs[:start]) + start
            after = first + sum(self.pairs[start:end]) + end - start
            numbers = [low | high << 8 for low, high in zip(self._low[:after], self._high, strict=False)]
            if max(numbers, default=0) >= len(counted):
                raise Malformed(table.path, 0, "the number of a vector", str(max(numbers)))
            at = sum(counted[number] for number in numbers[:first])
        for pair in range(first, after):
            found = table.cells_of(numbers[pair])
            many = counted[numbers[pair]]
            if many:
                counts = iter(self._counts[at : at + many])
                if at + many > len(self._counts):
                    raise Malformed(table.path, 0, "a count of missed copies", "the end of them")
                at += many
                found = tuple(
                    cell._replace(missed=next(counts))
                    if cell is not None and cell.kind == cells.WITH_SYMBOL[0]
                    else cell
                    for cell in found
                )
            if any(cell is not None and cell.kind in cells.WITH_PLACES for cell in found):
                if self._places is None:
                    self._places = table.places_of(self._number)
                if pair in self._places:
                    mine = zip(found, self._places[pair], strict=True)
                    found = tuple(cell._replace(places=at) if cell is not None and at else cell for cell, at in mine)
            yield Found(table.scopes[self._scopes[pair]], found)

    def _summed(self, counted: list[int]) -> tuple[list[int], list[int], list[int]] | None:
        """The first pair of each name, the vector of each pair, the counts before it; None if a vector is none."""
        numbers = [low | high << 8 for low, high in zip(self._low, self._high, strict=False)]
        if max(numbers, default=0) >= len(counted):
            return None
        firsts = [0, *accumulate(pairs + 1 for pairs in self.pairs)]
        return firsts, numbers, [0, *accumulate(counted[number] for number in numbers)]


# writing


def encode(
    kernels: Sequence[str],
    files: Sequence[tuple[int, str, str]],
    names: Mapping[str, Mapping[str, Sequence[Cell | None]]],
    shares: Mapping[tuple[str, str, str], Share],
    machines: Sequence[str] = (),
) -> bytes:
    """The bytes of a survey. `files`: kernel number, scope, build-id. `names`: to scope to a cell for each kernel.

    `machines`: the machine word of each kernel, as releases tell it if left out.

    Raises ValueError where there is more than fits.
    """
    scopes = sorted({scope for _, scope, _ in files}, key=lambda scope: (scope != VMLINUX, scope))
    texts: dict[str, int] = {}
    used: dict[bytes, int] = {}
    pairs: dict[bytes, list[_Pair]] = {}
    callers: set[str] = set()
    for name in names:
        mine = []
        for scope, row in names[name].items():
            numbers = [0 if c is None else texts.setdefault(cells.written(c), len(texts) + 1) for c in row]
            if len(texts) > 255:
                raise ValueError("more than 255 cells: too many for one survey")
            vector = bytes(numbers)
            used[vector] = used.get(vector, 0) + 1
            missed = bytes(min(c.missed, cells.MISSED_MAX) for c in row if c and c.kind == cells.WITH_SYMBOL[0])
            held = tuple(c.places if c and c.kind in cells.WITH_PLACES else () for c in row)
            callers.update(symbol for at in held for symbol, _ in at)
            mine.append((scopes.index(scope), vector, missed, held))
        pairs[name.encode()] = sorted(mine)
    vectors = {vector: number for number, vector in enumerate(sorted(used, key=lambda v: (-used[v], v)))}
    if len(scopes) > 256 or len(vectors) > 65536:
        raise ValueError(f"{len(scopes)} scopes, {len(vectors)} vectors: too many for one survey")
    ordered = sorted(pairs)
    cut = [ordered[start : start + NAMES_PER_BLOCK] for start in range(0, len(ordered), NAMES_PER_BLOCK)]
    blocks = [_packed_block(some, pairs, vectors) for some in cut]
    if callers:
        from . import places

        listed = sorted(callers, key=str.encode)
        order = {name: number for number, name in enumerate(listed)}
        line, packed = _packed_part("callers", places.write_names(listed))
        blocks.append((f"{line}\t{len(listed)}", packed))
        for some in cut:
            rows = enumerate(pair[3] for name in some for pair in pairs[name])
            blocks.append(_packed_part("places", places.write(((n, held) for n, held in rows if any(held)), order)))
    lines = [f"kernel\t{kernel}" for kernel in kernels]
    told = enumerate(zip(kernels, machines, strict=True)) if machines else ()
    lines += [f"machine\t{number}\t{word}" for number, (one, word) in told if word != machine_of(one)]
    lines += [f"scope\t{scope}" for scope in scopes]
    lines += [f"file\t{kernel}\t{scopes.index(scope)}\t{build_id}" for kernel, scope, build_id in files]
    lines += [f"cell\t{text}" for text in texts]
    lines += ["\t".join(("share", *key, *map(str, one))) for key, one in sorted(shares.items())]
    lines += [line for line, _ in blocks]
    lines += [f"vectors\t{len(vectors)}", "", ""]
    head = "\n".join(lines).encode() + b"".join(vectors)
    packed = _packed(head)
    sizes = (len(packed), len(head), zlib.crc32(packed))
    return b"".join(
        (MAGIC, *(number.to_bytes(4, "little") for number in sizes), packed, *(block for _, block in blocks))
    )


# A name in one scope: the scope's number; a cell number, the count of missed copies and the places for each kernel.
_Pair = tuple[int, bytes, bytes, tuple[tuple["Place", ...], ...]]


def _packed_part(word: str, raw: bytes) -> tuple[str, bytes]:
    """A part's line in the head, and its bytes."""
    packed = _packed(raw) if raw else b""
    return "\t".join((word, *map(str, (len(packed), len(raw), zlib.crc32(packed))))), packed


def _packed_block(
    names: Sequence[bytes], pairs: Mapping[bytes, list[_Pair]], vectors: Mapping[bytes, int]
) -> tuple[str, bytes]:
    """A block's line in the head, and its bytes."""
    shared, many, scopes, low, high, counts, rests = (bytearray() for _ in range(7))
    before = b""
    for name in names:
        same = 0
        while same < min(len(before), len(name), 255) and before[same] == name[same]:
            same += 1
        shared.append(same)
        rests += name[same:] + b"\n"
        many.append(len(pairs[name]) - 1)
        for scope, vector, missed, _ in pairs[name]:
            scopes.append(scope)
            low.append(vectors[vector] & 0xFF)
            high.append(vectors[vector] >> 8)
            counts += missed
        before = name
    raw = bytes(shared + many + scopes + low + high + counts + rests)
    packed = _packed(raw)
    fields = (len(packed), len(raw), zlib.crc32(packed), len(names), len(scopes), len(counts), names[0].decode())
    return "\t".join(("block", *map(str, fields))), packed


def _packed(raw: bytes) -> bytes:
    return lzma.compress(raw, lzma.FORMAT_RAW, filters=_FILTERS)
