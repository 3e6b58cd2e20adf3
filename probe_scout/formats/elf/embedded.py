"""BPF objects inside other bytes: executables with skeletons, libraries, ar archives, Debian packages.

A skeleton (bpftool gen skeleton) keeps the whole object in a read-only section, so an object begins with an ELF
header of machine EM_BPF and type ET_REL, and ends where its section headers and its sections end. Packed payloads
are not found. ar archives: ar(5); Debian packages: deb(5), an ar archive with data.tar packed by xz, gzip or zstd.
"""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from

from ...errors import Malformed
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ELF = b"\x7fELF\x02"
_ORDERS = {1: "<", 2: ">"}
_AR = b"!<arch>\n"
_EM_NONE, _EM_BPF, _ET_REL = 0, 247, 1
_HEADER_BYTES, _SECTION_BYTES = 64, 64
_SECTIONS_MAX = 4096
_NOBITS = 8
OBJECTS_MAX = 4096


class Found(NamedTuple):
    """An object: where it lies in the bytes that were searched, and its own bytes. `inside`: a member's name or ""."""

    offset: int
    raw: bytes
    inside: str = ""


def is_object(raw: bytes) -> bool:
    """Whether the bytes begin with an object's ELF header."""
    if len(raw) < _HEADER_BYTES or not raw.startswith(_ELF):
        return False
    kind, machine = unpack_from(f"{_ORDERS.get(raw[5], '>')}HH", raw, 16)
    return bool(kind == _ET_REL and machine == _EM_BPF)


def is_archive(raw: bytes) -> bool:
    """Whether the bytes are an ar archive, such as a .a or a .deb."""
    return raw.startswith(_AR)


def find(raw: bytes) -> Iterator[Found]:
    """The objects in these bytes, in order, each once where the same bytes are there twice. Never raises."""
    at = raw.find(_ELF)
    count, seen = 0, set()
    while at >= 0 and count < OBJECTS_MAX:
        size = _extent(raw, at)
        if size:
            found = raw[at : at + size]
            if found not in seen:
                seen.add(found)
                count += 1
                yield Found(at, found)
        at = raw.find(_ELF, at + max(size, 1))


def _extent(raw: bytes, at: int) -> int:
    """Length of the object at an offset, by its section headers; 0 where there is none."""
    try:
        order, version = _ORDERS.get(raw[at + 5]), raw[at + 6]
        if order is None or version != 1:
            return 0
        kind, machine = unpack_from(f"{order}HH", raw, at + 16)
        if kind != _ET_REL or machine != _EM_BPF:
            return 0
        (headers,) = unpack_from(f"{order}Q", raw, at + 40)
        entry, count = unpack_from(f"{order}HH", raw, at + 58)
        if entry != _SECTION_BYTES or not 0 < count <= _SECTIONS_MAX:
            return 0
        end = headers + count * entry
        for number in range(count):
            kind, offset, size = _section(raw, at + headers + number * entry, order)
            if kind != _NOBITS:
                end = max(end, offset + size)
    except (StructError, IndexError):
        return 0
    return end if at + end <= len(raw) else 0


def _section(raw: bytes, at: int, order: str) -> tuple[int, int, int]:
    (kind,) = unpack_from(f"{order}I", raw, at + 4)
    offset, size = unpack_from(f"{order}QQ", raw, at + 24)
    return kind, offset, size


def members(raw: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each member of an ar archive. Raises Malformed where it is damaged."""
    at = len(_AR)
    names = b""
    while at < len(raw):
        if at + 60 > len(raw) or raw[at + 58 : at + 60] != b"`\n":
            raise Malformed(path, at, "a member of an ar archive", "something else")
        name, digits = raw[at : at + 16].rstrip(), raw[at + 48 : at + 58].strip()
        if not digits.isdigit() or at + 60 + int(digits) > len(raw):
            raise Malformed(path, at + 48, "the size of a member of an ar archive", digits.decode("latin-1"))
        size = int(digits)
        held = raw[at + 60 : at + 60 + size]
        at += 60 + size + (size & 1)
        if name == b"//":
            names = held
        elif name not in (b"/", b"/SYM64/"):
            yield _long_name(name, names), held


def _long_name(name: bytes, names: bytes) -> str:
    if name.startswith(b"/") and name[1:].isdigit():
        begin = int(name[1:])
        name = names[begin : names.find(b"\n", begin)]
    return name.rstrip(b"/").decode("utf-8", "replace")
