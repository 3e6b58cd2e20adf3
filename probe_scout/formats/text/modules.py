"""Read proc/modules: the modules that are loaded.

Written by kernel/module/procfs.c (m_show): name, size, reference count (`-` where modules cannot be
unloaded), users separated by commas (`-` if none), state, address (zero where kallsyms hides
addresses), and taint letters in brackets if there are any.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .lines import malformed_line, split, whole

PATH = "proc/modules"
STATES = ("Live", "Loading", "Unloading")


class Module(NamedTuple):
    """One line. `references` is None where modules cannot be unloaded; `address` 0 where it is hidden.

    `users` are other modules, or `[permanent]`. `taints` are letters such as "OE".
    """

    name: str
    size_bytes: int
    references: int | None
    users: tuple[str, ...]
    state: str
    address: int
    taints: str = ""


def find(raw: bytes, name: str) -> Module | None:
    """The module of exactly this name, None if it is not loaded.

    Raises Malformed if the file is cut off or the module's line does not fit.
    """
    head = name.encode() + b" "
    at = 0 if whole(raw, PATH).startswith(head) else raw.find(b"\n" + head) + 1
    if at == 0 and not raw.startswith(head):
        return None
    return _line(raw[: raw.index(b"\n", at)].split(b"\n"), raw.count(b"\n", 0, at))


def table(raw: bytes) -> dict[str, Module]:
    """Every module by its name, in file order. Raises Malformed at the first line that does not fit."""
    lines = split(raw, PATH)
    found: dict[str, Module] = {}
    for row in range(len(lines)):
        module = _line(lines, row)
        found.setdefault(module.name, module)
    return found


def _line(lines: list[bytes], row: int) -> Module:
    words = lines[row].split(b" ")
    taints = words.pop()[1:-1] if words[-1][:1] == b"(" and words[-1][-1:] == b")" else b""
    if len(words) == 6 and words[0] and lines[row].isascii():
        name, size, references, users, state, address = words
        number = _hexadecimal(address)
        counted = references == b"-" or references.removeprefix(b"-").isdigit()
        if size.isdigit() and counted and users and state.decode() in STATES and number is not None:
            return Module(
                name.decode(),
                int(size[:20]),
                None if references == b"-" else int(references[:20]),
                () if users == b"-" else tuple(users.decode().removesuffix(",").split(",")),
                state.decode(),
                number,
                taints.decode(),
            )
    raise malformed_line(PATH, lines, row, "name, size, references, users, state, address")


def _hexadecimal(written: bytes) -> int | None:
    digits = written.removeprefix(b"0x")
    if digits == written or not digits.isalnum() or len(digits) > 16:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None
