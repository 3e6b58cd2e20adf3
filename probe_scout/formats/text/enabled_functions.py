"""Read tracefs enabled_functions (and touched_functions): the functions ftrace has patched.

Written by kernel/trace/ftrace.c (t_show): `name [module] (COUNT)` and a column for each flag, then
what is called, and behind a line end `<tab>direct-->target` for a direct call (a BPF trampoline or a
live patch); newer kernels write `direct(jmp)-->`. Letters: R registers are saved, I the address is
redirected (live patch, kprobe that changes the address), D a direct call, O per-site operations,
M was once modified. A record whose function could not be named has neither count nor flags.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .lines import malformed_line, split, text

PATH = "sys/kernel/tracing/enabled_functions"
_INVALID = b"__ftrace_invalid_address__"


class EnabledFunction(NamedTuple):
    """One patched site. `module` None for vmlinux. `flags` holds the letters in the kernel's order.

    `users` counts the ftrace_ops that want the site (ftrace_rec_count). `calls` is the rest of the line
    as printed (tramp:, ops:, ->), `direct` the direct call's target or None.
    """

    name: str
    module: str | None
    users: int
    flags: str
    calls: str = ""
    direct: str | None = None


def find(raw: bytes, name: str, path: str = PATH) -> tuple[EnabledFunction, ...]:
    """The sites of functions of exactly this name, of vmlinux and of modules, in file order.

    Raises Malformed if the file is cut off or a line of this name does not fit.
    """
    lines = split(raw, path)
    head = name.encode() + b" "
    return tuple(_record(lines, row, path) for row, line in enumerate(lines) if line.startswith(head))


def table(raw: bytes, path: str = PATH) -> tuple[EnabledFunction, ...]:
    """Every patched site in file order; records without a name are left out, `unnamed` counts them.

    Raises Malformed at the first line that does not fit.
    """
    lines = split(raw, path)
    found = []
    for row, line in enumerate(lines):
        if line.startswith(b"\t"):
            if not _is_direct(line) or row == 0 or lines[row - 1].startswith((b"\t", _INVALID)):
                raise malformed_line(path, lines, row, "direct-->TARGET behind a function")
        elif not line.startswith(_INVALID):
            found.append(_record(lines, row, path))
    return tuple(found)


def unnamed(raw: bytes) -> int:
    """How many records have no name: patched places of discarded weak functions."""
    return raw.startswith(_INVALID) + raw.count(b"\n" + _INVALID)


def _record(lines: list[bytes], row: int, path: str) -> EnabledFunction:
    shown, bracket, rest = lines[row].partition(b" (")
    count, closed, rest = rest.partition(b")")
    name, space, module = shown.partition(b" ")
    shaped = bracket and closed and name and count.isdigit() and len(count) <= 20
    if not shaped or (space and not (module.startswith(b"[") and module.endswith(b"]") and len(module) > 2)):
        raise malformed_line(path, lines, row, "name, (count) and flags")
    stop = min((at for at in (rest.find(b"\t"), rest.find(b" ->")) if at >= 0), default=len(rest))
    flags = rest[:stop].replace(b" ", b"")
    if flags and not (flags.isalpha() and flags.isupper()):
        raise malformed_line(path, lines, row, "flags of one upper-case letter each")
    at = sum(map(len, lines[:row])) + row if not lines[row].isascii() else 0
    direct = None
    if row + 1 < len(lines) and _is_direct(lines[row + 1]):
        direct = text(lines[row + 1].partition(b"-->")[2], path, at)
    return EnabledFunction(
        text(name, path, at),
        text(module[1:-1], path, at) or None,
        int(count),
        flags.decode(),
        text(rest[stop:].strip(), path, at),
        direct,
    )


def _is_direct(line: bytes) -> bool:
    return line.startswith((b"\tdirect-->", b"\tdirect(jmp)-->")) and not line.endswith(b"-->")
