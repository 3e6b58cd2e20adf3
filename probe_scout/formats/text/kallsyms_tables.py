"""What searches of proc/kallsyms find out, in a form that can be kept: where each name's lines are, and the few things
that every question asks of it.

The tables are of the very bytes they were made of; who keeps them sees to that. Each line they give is compared.
"""

from __future__ import annotations

from itertools import accumulate

from .. import name_table
from . import btf_ids
from .kallsyms import Places, columns, limits_of, modules_begin, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol
else:
    Protocol = object

_NAMES, _FACTS, _IDS, _HEAD = "kallsyms names", "kallsyms facts", "kallsyms ids", "kallsyms head "
_SPLIT, _ARCH, _LIMITS = range(3)
# Beginnings of names that questions ask for: include/trace/bpf_probe.h, include/linux/tracepoint.h,
# include/trace/perf.h.
HEADS = (b"__bpf_trace_tp_map_", b"__traceiter_", b"perf_perm_")


class Parts(Protocol):
    """Named parts of bytes, as sources/kept_index.py gives them."""

    def part(self, name: str) -> memoryview | None: ...

    def whole(self, name: str) -> memoryview | None: ...


def made(raw: bytes, arch: str) -> dict[str, bytes]:
    """The tables of the file, by the names of their parts. Raises Malformed for a file that is none."""
    split = modules_begin(raw)
    names, _, _, _ = columns(raw[:split], 0, 3)
    lengths = [len(name) for name in names]
    more, _, _, owners = columns(raw[split:], split, 4)
    lengths += [len(name) + 1 + len(owner) for name, owner in zip(more, owners, strict=True)]
    beside = raw.find(b" ") + 4  # an address, a letter, two blanks and the line's end
    lines = accumulate((length + beside for length in lengths[:-1]), initial=0)
    facts = (str(split), arch, limits_of(raw).decode("latin-1"))
    found = {
        _NAMES: name_table.of_names([name.partition(b".")[0] for name in (*names, *more)], lines),
        _FACTS: "\0".join(facts).encode("latin-1"),
        _IDS: _written(btf_ids.table(raw)),
    }
    for head in HEADS:
        found[_HEAD + head.decode()] = b"\n".join(prefixed(raw, head))
    return found


def _written(ids: btf_ids.BtfIdSets) -> bytes:
    """A line for each set: its name, whether its members have flags, the members."""
    lines = [str(int(ids.visible))]
    for name, members in ids.sets.items():
        lines.append("\t".join((name, str(int(name in ids.flagged)), *sorted(members))))
    return "\n".join(lines).encode()


class KnownPlaces(Places):
    """Places of one file's lines by kept tables. What they do not tell is searched for."""

    __slots__ = ("_facts", "_parts", "_table", "_width")

    def __init__(self, raw: bytes, parts: Parts) -> None:
        """Raises Damaged where the tables are not what was written."""
        super().__init__(raw)
        facts, names = parts.whole(_FACTS), parts.part(_NAMES)
        if facts is None or names is None:
            raise name_table.Damaged
        self._facts = bytes(facts).decode("latin-1").split("\0")
        self._parts = parts
        self._table: name_table.NameTable | None = name_table.NameTable(names)
        self._split = int(self._facts[_SPLIT])
        self._width = raw.find(b" ") + 3

    @property
    def arch(self) -> str:
        """The machine word by the names of system calls; "" where they do not tell."""
        return self._facts[_ARCH]

    @property
    def limits(self) -> bytes:
        """As `limits_of`."""
        return self._facts[_LIMITS].encode("latin-1")

    def ids(self) -> btf_ids.BtfIdSets | None:
        """As btf_ids.table; None where the part is damaged."""
        found = self._parts.whole(_IDS)
        if found is None:
            return None
        visible, *lines = bytes(found).decode().split("\n")
        sets: dict[str, frozenset[str]] = {}
        flagged = []
        for line in lines:
            name, flag, *members = line.split("\t")
            sets[name] = frozenset(members)
            if flag == "1":
                flagged.append(name)
        return btf_ids.BtfIdSets(visible == "1", sets, frozenset(flagged))

    def note(self, name: bytes) -> None:
        """Nothing: every name is known."""
        if self._table is None:
            super().note(name)

    def lines_of(self, name: bytes) -> list[int] | None:
        """As Places.lines_of."""
        raw, width, found = self.raw, self._width, []
        for line in self._base(name.partition(b".")[0]):
            needle = b" " + name + (b"\n" if line < self.split else b"\t")
            if raw[line + width - 1 : line + width - 1 + len(needle)] == needle:
                found.append(line)
        return found if self._table is not None else super().lines_of(name)

    def prefixed(self, head: bytes) -> tuple[bytes, ...] | None:
        """As the function `prefixed`; None for a beginning that was not asked for before."""
        if head in HEADS:
            kept = self._parts.whole(_HEAD + head.decode())
            if kept is not None:
                return tuple(bytes(kept).split(b"\n")) if len(kept) else ()
        base, dot, _ = head.partition(b".")
        lines = self._base(base) if dot else ()
        if not dot or self._table is None:
            return super().prefixed(head)
        raw, width = self.raw, self._width
        found = set()
        for line in lines:
            if raw[line + width : line + width + len(head)] == head:
                end = raw.find(b"\n", line)
                found.add(raw[line + width : end if end >= 0 else len(raw)].partition(b"\t")[0])
        return tuple(sorted(found))

    def _base(self, base: bytes) -> Sequence[int]:
        """Lines of names that are this up to their first dot, as far as they begin lines; () once the table is lost."""
        if self._table is None:
            return ()
        try:
            lines = self._table.at(base)
        except name_table.Damaged:
            self._table = None
            return ()
        raw = self.raw
        if any(line and raw[line - 1] != 0x0A for line in lines):
            self._table = None
            return ()
        return lines
