"""Read debugfs kprobes/blacklist: the functions that must not be probed.

Written by kernel/kprobes.c (kprobe_blacklist_seq_show): `0xSTART-0xEND<tab>name`, with ` [module]`
behind the name of a module's function; END is the first address after the function. Ranges come in
no order, and some come twice. Where kallsyms hides addresses they are all zero here, and only the
names are left; a name is the first symbol at that address, so an alias of it is not told.
"""

from __future__ import annotations

from bisect import bisect_right

from .lines import malformed_line, split, whole

PATH = "sys/kernel/debug/kprobes/blacklist"


class Blacklist:
    """The whole list. `starts` and `ends` are sorted and disjoint: touching and nested ranges are merged."""

    __slots__ = ("ends", "hidden", "in_modules", "names", "starts")

    def __init__(
        self,
        ranges: list[tuple[int, int]],
        names: frozenset[bytes],
        in_modules: frozenset[tuple[bytes, bytes]],
        hidden: bool,
    ) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.names = names  # of vmlinux
        self.in_modules = in_modules  # (name, module)
        self.hidden = hidden
        for start, end in sorted(ranges):
            if self.ends and start <= self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], end)
            else:
                self.starts.append(start)
                self.ends.append(end)

    def covers(self, address: int) -> bool | None:
        """Whether kprobes are refused at this address; None where addresses are hidden.

        Decided in kernel/kprobes.c, within_kprobe_blacklist.
        """
        if self.hidden:
            return None
        at = bisect_right(self.starts, address) - 1
        return at >= 0 and address < self.ends[at]


def find(raw: bytes, address: int) -> bool | None:
    """As `Blacklist.covers`, without building the list. Raises Malformed as `table` does."""
    hidden = False
    covered = False
    lines = split(raw, PATH)
    for row in range(len(lines)):
        start, end, _, _ = _line(lines, row)
        hidden = hidden or end == 0
        covered = covered or start <= address < end
    return None if hidden else covered


def find_name(raw: bytes, name: str, module: str | None = None) -> bool:
    """Whether a function of exactly this name is listed; `module` None asks for vmlinux.

    Raises Malformed if the file is cut off.
    """
    shown = f"{name} [{module}]" if module else name
    return f"\t{shown}\n".encode() in whole(raw, PATH)


def table(raw: bytes) -> Blacklist:
    """All ranges and names. Raises Malformed at the first line that is not a range and a name."""
    return _plain_table(raw) or _table_by_line(raw)


def _plain_table(raw: bytes) -> Blacklist | None:
    """The same at once, of a file in which each line is as the kernel writes it and no address is hidden; else None."""
    import re

    found = re.findall(rb"0x([0-9a-f]{16})-0x([0-9a-f]{16})\t([^ \n]+)(?: \[([^\]\n]+)\])?\n", raw)
    # What is between the parts of a line, two addresses and, behind a module's name, a blank and two brackets.
    written = sum(len(name) + (len(module) + 3 if module else 0) for _, _, name, module in found) + 39 * len(found)
    if written != len(raw):
        return None
    ranges = [(int(low, 16), int(high, 16)) for low, high, _, _ in found]
    if any(low >= high for low, high in ranges):
        return None
    names = frozenset(name for _, _, name, module in found if not module)
    return Blacklist(ranges, names, frozenset((name, module) for _, _, name, module in found if module), False)


def _table_by_line(raw: bytes) -> Blacklist:
    lines = split(raw, PATH)
    ranges: list[tuple[int, int]] = []
    names: set[bytes] = set()
    in_modules: set[tuple[bytes, bytes]] = set()
    hidden = False
    for row in range(len(lines)):
        start, end, name, module = _line(lines, row)
        if end:
            ranges.append((start, end))
        else:
            hidden = True
        if module:
            in_modules.add((name, module))
        else:
            names.add(name)
    return Blacklist(ranges, frozenset(names), frozenset(in_modules), hidden)


def _line(lines: list[bytes], row: int) -> tuple[int, int, bytes, bytes]:
    """Start, end (0 if hidden), name and module (b"" for vmlinux) of one line."""
    span, tab, shown = lines[row].partition(b"\t")
    low, dash, high = span.partition(b"-")
    name, _, module = shown.partition(b" ")
    start, end = _address(low), _address(high)
    shaped = tab and dash and name and (not module or (module[:1] == b"[" and module[-1:] == b"]" and len(module) > 2))
    if not shaped or start is None or end is None or (start >= end and (start or end)):
        raise malformed_line(PATH, lines, row, "0xSTART-0xEND and a name")
    return start, end, name, module[1:-1]


def _address(written: bytes) -> int | None:
    """The number; 0 for a pointer the kernel hides; None for anything else."""
    digits = written.removeprefix(b"0x")
    if digits in (b"(ptrval)", b"(____ptrval____)"):
        return 0
    if digits == written or len(digits) > 16 or not digits.isalnum():
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None
