"""Functions of a Go program by .gopclntab, which the runtime needs and `strip` leaves.

Format: src/runtime/symtab.go (pcHeader, funcInfo) and src/debug/gosym/pclntab.go of Go, versions 1.2, 1.16, 1.18 and
1.20 (still the one of 1.26). The table is found by its header's shape, so a file without section headers will do.
"""

from __future__ import annotations

from struct import calcsize, iter_unpack, unpack_from
from struct import error as StructError

from ...errors import Malformed
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .user_image import UserImage

FUNCTIONS_MAX = 4_000_000
NAME_BYTES_MAX = 1 << 16
_MAGICS = {0xFFFFFFFB: "1.2", 0xFFFFFFFA: "1.16", 0xFFFFFFF0: "1.18", 0xFFFFFFF1: "1.20"}
_SECTIONS = (".gopclntab", ".data.rel.ro.gopclntab")


class GoFunction(NamedTuple):
    """One function: its name as Go writes it, its first address, its size in bytes up to the next function."""

    name: str
    address: int
    size: int


class GoTable(NamedTuple):
    """Where a table lies and of which format ("1.2", "1.16", "1.18", "1.20")."""

    offset: int
    format: str
    pointer_bytes: int
    functions_total: int
    text_start: int
    names_at: int  # file offsets
    entries_at: int


def find(image: UserImage) -> GoTable | None:
    """The table; None in a file that has none. Raises Malformed for a table that is cut off."""
    for name in _SECTIONS:
        section = image.section(name)
        if section is not None:
            return _header(image, section.offset)
    for magic in _MAGICS:
        sign = magic.to_bytes(4, "little" if image.order == "<" else "big") + b"\0\0"
        at = -1
        while (at := image.raw.find(sign, at + 1)) >= 0:
            quantum, pointer = image.raw[at + 6 : at + 7], image.raw[at + 7 : at + 8]
            if quantum in (b"\x01", b"\x02", b"\x04") and pointer in (b"\x04", b"\x08"):
                try:
                    return _checked(image, _header(image, at))
                except Malformed:
                    continue
    return None


def _header(image: UserImage, at: int) -> GoTable:
    try:
        magic, _, _, _, pointer = unpack_from(image.order + "IBBBB", image.raw, at)
        version = _MAGICS.get(magic)
        if version is None or pointer not in (4, 8):
            raise Malformed(image.path, at, "a .gopclntab of Go 1.2 or later", f"{magic:#x}, pointers of {pointer}")
        word = image.order + ("I" if pointer == 4 else "Q")
        wide = {"1.2": 1, "1.16": 7}.get(version, 8)
        values = [unpack_from(word, image.raw, at + 8 + pointer * i)[0] for i in range(wide)]
    except StructError:
        raise Malformed(image.path, min(at, image.size), "the header of .gopclntab", "the end of the file") from None
    count = values[0]
    if version == "1.2":
        found = GoTable(at, version, pointer, count, 0, at, at + 8 + pointer)
    elif version == "1.16":
        found = GoTable(at, version, pointer, count, 0, at + values[2], at + values[6])
    else:
        found = GoTable(at, version, pointer, count, values[2] or _text_start(image), at + values[3], at + values[7])
    entry = 8 if version in ("1.18", "1.20") else 2 * pointer
    if count > FUNCTIONS_MAX or found.entries_at + count * entry > image.size:
        raise Malformed(image.path, at, f"{count} functions in .gopclntab", "the end of the file")
    return found


def _checked(image: UserImage, table: GoTable) -> GoTable:
    """The table, if its first names are text. Raises Malformed: the magic can stand elsewhere by chance."""
    first = next(functions(image, table), None)
    if table.functions_total == 0 or first is None or not first.name.isprintable():
        raise Malformed(image.path, table.offset, "functions in .gopclntab", "none that is named")
    return table


def _text_start(image: UserImage) -> int:
    """Go 1.27 leaves textStart 0: functions then count from the start of .text."""
    section = image.section(".text")
    if section is not None:
        return section.address
    return next((s.address for s in image.loads if s.flags & 1), 0)


def functions(image: UserImage, table: GoTable) -> Iterator[GoFunction]:
    """Every function in order of address. Entries that point outside the file are left out."""
    is_short = table.format in ("1.18", "1.20")
    word = "I" if is_short or table.pointer_bytes == 4 else "Q"
    shape = image.order + 2 * word
    start = table.entries_at
    data = image.raw[start : start + (table.functions_total + 1) * calcsize(shape)]
    data = data[: len(data) - len(data) % calcsize(shape)]
    rows = list(iter_unpack(shape, data))
    base = table.offset if table.format == "1.2" else start
    # func.nameoff follows func.entry (entryoff, four bytes, since 1.18).
    skip = 4 if is_short else table.pointer_bytes
    raw, order, names_at, text = image.raw, image.order + "i", table.names_at, table.text_start
    # The runtime's own table of names lies before the functions' data; its end is not written down.
    for number, (pc, offset) in enumerate(rows[: table.functions_total]):
        at = base + offset + skip
        if at + 4 > image.size:
            continue
        (name_offset,) = unpack_from(order, raw, at)
        name_at = names_at + name_offset
        end = raw.find(b"\0", name_at, name_at + NAME_BYTES_MAX) if 0 <= name_at < image.size else -1
        if end <= name_at:
            continue
        size = rows[number + 1][0] - pc if number + 1 < len(rows) else 0
        yield GoFunction(raw[name_at:end].decode("utf-8", "replace"), pc + text, max(size, 0))
