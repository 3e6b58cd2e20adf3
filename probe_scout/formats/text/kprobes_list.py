"""Read debugfs kprobes/list: every kprobe that is registered, whoever did it.

Written by kernel/kprobes.c (report_probe): address, `k` or `r`, symbol+offset, the module, and [GONE], [DISABLED],
[OPTIMIZED], [FTRACE]. Several probes at one address have a line each.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .lines import malformed_line, split, text

PATH = "sys/kernel/debug/kprobes/list"


class RegisteredProbe(NamedTuple):
    """`address` is 0 where addresses are hidden. `flags` holds the words without brackets."""

    address: int
    is_return: bool
    symbol: str
    offset: int
    module: str | None
    flags: tuple[str, ...]


def table(raw: bytes) -> tuple[RegisteredProbe, ...]:
    """Every probe in file order. Raises Malformed at the first line that does not fit."""
    lines = split(raw, PATH)
    return tuple(_probe(lines, row) for row in range(len(lines)))


def find(raw: bytes, symbol: str) -> tuple[RegisteredProbe, ...]:
    """The probes in functions of exactly this name. Raises Malformed if one of their lines does not fit."""
    lines = split(raw, PATH)
    needle = f"  {symbol}+0x".encode()
    return tuple(_probe(lines, row) for row, line in enumerate(lines) if needle in line)


def _probe(lines: list[bytes], row: int) -> RegisteredProbe:
    body, bracket, flags = lines[row].partition(b"[")
    while bracket and not flags.startswith((b"GONE", b"DISABLED", b"OPTIMIZED", b"FTRACE")):
        more, bracket, flags = flags.partition(b"[")  # %pS writes the module in brackets
        body += b"[" + more
    words = body.split()
    symbol, plus, rest = words[2].rpartition(b"+0x") if len(words) in (3, 4) else (b"", b"", b"")
    try:
        address, offset = int(words[0], 16), int(rest.partition(b"/")[0], 16)
    except (IndexError, ValueError):
        raise malformed_line(PATH, lines, row, "address, k or r, symbol+offset") from None
    if not plus or not symbol or words[1] not in (b"k", b"r"):
        raise malformed_line(PATH, lines, row, "address, k or r, symbol+offset")
    at = sum(map(len, lines[:row])) + row
    module = text(words[3].strip(b"[]"), PATH, at) if len(words) == 4 else None
    names = (bracket + flags).replace(b"[", b" ").replace(b"]", b" ").split()
    return RegisteredProbe(
        address,
        words[1] == b"r",
        text(symbol, PATH, at),
        offset,
        module,
        tuple(text(name, PATH, at) for name in names),
    )
