"""Names of source files, out of the header of a unit's line table (.debug_line; DWARF 5, 6.2.4; DWARF 4, 6.2.4)."""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from ..errors import Malformed
from . import names as n
from .abbrev import Attribute, Shape, UnknownForm, uleb, value_of

if TYPE_CHECKING:
    from .units import Unit

_LNCT_PATH, _LNCT_DIRECTORY_INDEX = 1, 2


def files_of(unit: Unit) -> list[str]:
    """Paths of the unit's source files, by number; empty if the unit has no line table. Raises Malformed.

    Relative to the directory of compilation where they lie below it.
    """
    at = unit.root.get(n.AT_STMT_LIST)
    if not isinstance(at, int):
        return []
    data = unit.file.data(".debug_line")
    order = "<" if unit.shape.is_little else ">"
    try:
        (length,) = unpack_from(order + "I", data, at)
        offset_bytes, body = (8, at + 12) if length == 0xFFFFFFFF else (4, at + 4)
        (version,) = unpack_from(order + "H", data, body)
        if not 2 <= version <= 5:
            raise Malformed(unit.file.path, at, "a line table of DWARF 2 to 5 in .debug_line", f"version {version}")
        body += (4 if version == 5 else 2) + offset_bytes + (6 if version >= 4 else 5)
        body += data[body - 1]  # opcode_base, then opcode_base - 1 lengths
        if version == 5:
            shape = Shape(unit.shape.is_little, unit.shape.address_bytes, offset_bytes, version)
            directories, body = _table(unit, shape, data, body - 1)
            files, _ = _table(unit, shape, data, body)
        else:
            directories, files = _old(data, body - 1, unit)
    except UnknownForm as error:
        raise Malformed(unit.file.path, at, "a known form in .debug_line", str(error)) from None
    except (IndexError, ValueError, StructError) as error:
        raise Malformed(unit.file.path, at, "a line table's header in .debug_line", str(error)[:60]) from None
    below = unit.text(unit.root.get(n.AT_COMP_DIR)).rstrip("/") + "/"
    known: dict[int, str] = {}
    paths = []
    for name, directory in files:
        home = known.get(directory)
        if home is None:
            home = unit.text(directories[directory][0]) if directory < len(directories) else ""
            home = home if directory or version == 5 else ""
            home = (home.rstrip("/") + "/") if home else ""
            home = known[directory] = home[len(below) :] if home.startswith(below) else home
        text = unit.text(name)
        text = text if text.startswith("/") else home + text
        paths.append(text[len(below) :] if text.startswith(below) else text)
    return paths


def _table(unit: Unit, shape: Shape, data: bytes, at: int) -> tuple[list[tuple[Any, int]], int]:
    """(name, number of the directory) of each entry of a table of DWARF 5, and the table's end."""
    formats = []
    count, at = data[at], at + 1
    for _ in range(count):
        content, at = uleb(data, at)
        form, at = uleb(data, at)
        formats.append((content, Attribute(content, form, 0)))
    entries, at = uleb(data, at)
    if entries > len(data):
        raise ValueError(f"{entries} entries")
    found: list[tuple[Any, int]] = []
    for _ in range(entries):
        name, directory = None, 0
        for content, attribute in formats:
            value, at = value_of(attribute, data, at, 0, shape)
            if content == _LNCT_PATH:
                name = value
            elif content == _LNCT_DIRECTORY_INDEX:
                directory = value
        found.append((name, directory))
        if not formats:
            break
    return found, at


def _old(data: bytes, at: int, unit: Unit) -> tuple[list[tuple[Any, int]], list[tuple[Any, int]]]:
    """Directories and files of DWARF 2 to 4. Both count from one; directory 0 is that of compilation."""
    directories: list[tuple[Any, int]] = [(b"", 0)]
    while True:
        end = data.index(0, at)
        text, at = data[at:end], end + 1
        if not text:
            break
        directories.append((text, 0))
    files: list[tuple[Any, int]] = [(b"", 0)]
    while True:
        end = data.index(0, at)
        text, at = data[at:end], end + 1
        if not text:
            return directories, files
        directory, at = uleb(data, at)
        _, at = uleb(data, at)
        _, at = uleb(data, at)
        files.append((text, directory))
