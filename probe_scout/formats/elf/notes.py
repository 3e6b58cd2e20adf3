"""Read ELF notes: the GNU build-id in sys/kernel/notes and sys/module/<name>/notes/.note.gnu.build-id.

Written by the linker (elf(5), Elf64_Nhdr): three 32-bit words (size of the name with its NUL, size of
the content, type), the name, the content, both padded to 4 bytes. Only little-endian files are read.
"""

from __future__ import annotations

from struct import unpack_from
from typing import TYPE_CHECKING, NamedTuple

from ...errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "sys/kernel/notes"
NT_GNU_BUILD_ID = 3
_HEADER_BYTES = 12


class Note(NamedTuple):
    """One note: its owner's name, its type and its content."""

    name: bytes
    type: int
    content: bytes


def notes(raw: bytes, path: str = PATH) -> Iterator[Note]:
    """Every note in file order. Raises Malformed at the first one that does not fit into the file."""
    at = 0
    while at < len(raw):
        if len(raw) - at < _HEADER_BYTES:
            raise Malformed(path, at, "a note's header of 12 bytes", f"{len(raw) - at} bytes")
        name_bytes, content_bytes, kind = unpack_from("<3I", raw, at)
        name_at = at + _HEADER_BYTES
        content_at = name_at + (name_bytes + 3 & ~3)
        if content_at + content_bytes > len(raw):
            raise Malformed(path, at, f"a note of {name_bytes} + {content_bytes} bytes", f"{len(raw) - name_at} bytes")
        name = raw[name_at : name_at + name_bytes].rstrip(b"\0")
        yield Note(name, kind, raw[content_at : content_at + content_bytes])
        at = content_at + (content_bytes + 3 & ~3)


def build_id(raw: bytes, path: str = PATH) -> str | None:
    """The GNU build-id as lower-case hexadecimal digits, None if no note holds one.

    Raises Malformed at the first note that does not fit into the file.
    """
    found = None
    for note in notes(raw, path):
        if found is None and note.name == b"GNU" and note.type == NT_GNU_BUILD_ID and note.content:
            found = note.content.hex()
    return found
