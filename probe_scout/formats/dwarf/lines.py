"""Names of source files, out of the header of a unit's line table (.debug_line; DWARF 5, 6.2.4; DWARF 4, 6.2.4)."""

from __future__ import annotations

from struct import Struct, unpack_from
from struct import error as StructError

from ...errors import Malformed
from . import names as n
from .abbrev import LINE, NOT_READ, Attribute, Shape, UnknownForm, uleb, value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .units import Unit

_LNCT_PATH, _LNCT_DIRECTORY_INDEX = 1, 2
_USUAL = ((_LNCT_PATH, n.FORM_LINE_STRP), (_LNCT_DIRECTORY_INDEX, n.FORM_UDATA))  # gcc and clang


class Files:
    """Paths of a unit's source files by number, each put together when it is asked for.

    Relative to the directory of compilation where they lie below it.
    """

    __slots__ = ("_below", "_directories", "_files", "_known", "_unit")

    def __init__(self, unit: Unit, directories: list[tuple[Any, int]], files: list[tuple[Any, int]]) -> None:
        self._unit, self._directories, self._files = unit, directories, files
        self._below = unit.text(unit.root.get(n.AT_COMP_DIR)).rstrip("/") + "/"
        self._known: dict[int, str] = {}

    def name(self, number: int) -> str:
        """The path of a file, "" if there is none of this number. Raises Malformed."""
        if not 0 <= number < len(self._files):
            return ""
        if number not in self._known:
            self._known[number] = self._path(*self._files[number])
        return self._known[number]

    def _path(self, name: Any, directory: int) -> str:
        unit, below = self._unit, self._below
        text = unit.text(name)
        if not text.startswith("/"):
            home = ""
            if directory < len(self._directories):
                home = unit.text(self._directories[directory][0])
            home = (home.rstrip("/") + "/") if home else ""
            text = (home[len(below) :] if home.startswith(below) else home) + text
        return text[len(below) :] if text.startswith(below) else text


def files_of(unit: Unit) -> Files | None:
    """The unit's source files; None if the unit has no line table. Raises Malformed."""
    at = unit.root.get(n.AT_STMT_LIST)
    if not isinstance(at, int):
        return None
    image, order = unit.file.image, "<" if unit.shape.is_little else ">"
    size = image.region(".debug_line").size
    try:
        head = image.relocated(".debug_line", min(at, size), min(at + 12, size))
        (length,) = unpack_from(order + "I", head, 0)
        offset_bytes, body = (8, 12) if length == 0xFFFFFFFF else (4, 4)
        if offset_bytes == 8:
            (length,) = unpack_from(order + "Q", head, 4)
        data = image.relocated(".debug_line", at, min(at + body + length, size))  # of this unit alone
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
    return Files(unit, directories, files)


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
    if formats == [(content, Attribute(content, form, 0)) for content, form in _USUAL] and shape.offset_bytes == 4:
        text = Struct(("<" if shape.is_little else ">") + "I").unpack_from
        for _ in range(entries):
            directory = data[at + 4]
            found.append((LINE + text(data, at)[0], directory))
            at += 5
            if directory > 127:
                directory, at = uleb(data, at - 1)
                found[-1] = (found[-1][0], directory)
        return found, at
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


def file_name(unit: Unit, number: int | None) -> str:
    """The path of a source file; "" if the number is None or not in the table. Raises Malformed."""
    if number is None:
        return ""
    if unit.files is NOT_READ:
        unit.files = files_of(unit)
    return unit.files.name(number) if unit.files is not None else ""
