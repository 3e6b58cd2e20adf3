"""Read ELF notes: the GNU build-id in sys/kernel/notes and sys/module/<name>/notes/.note.gnu.build-id.

Written by the linker (elf(5), Elf64_Nhdr): three 32-bit words (size of the name with its NUL, size of
the content, type), the name, the content, both padded to 4 bytes.
"""

from __future__ import annotations

from struct import unpack_from

from ...errors import Malformed
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    Buffer = bytes | mmap | memoryview

PATH = "sys/kernel/notes"
NT_GNU_BUILD_ID = 3
HEADER_BYTES = 12


class Note(NamedTuple):
    """One note: its owner's name, its type and its content; where it begins, where its content does, where it ends."""

    name: bytes
    type: int
    content: bytes
    start: int
    content_start: int
    end: int


def notes(raw: Buffer, path: str = PATH, order: str = "", start: int = 0, end: int | None = None) -> Iterator[Note]:
    """Every note of raw[start:end] in file order. Raises Malformed at the first one that does not fit.

    `order`: "<" or ">"; without it the first name's size tells, which is a small number.
    """
    end, at = len(raw) if end is None else end, start
    shape = (order or ("<" if bytes(raw[at + 2 : at + 4]) == b"\0\0" else ">")) + "3I"
    while at < end:
        if end - at < HEADER_BYTES:
            raise Malformed(path, at, "a note's header of 12 bytes", f"{end - at} bytes")
        name_bytes, content_bytes, kind = unpack_from(shape, raw, at)
        name_at = at + HEADER_BYTES
        content_at = name_at + (name_bytes + 3 & ~3)
        if content_at + content_bytes > end:
            raise Malformed(path, at, f"a note of {name_bytes} + {content_bytes} bytes", f"{end - name_at} bytes")
        name = bytes(raw[name_at : name_at + name_bytes]).rstrip(b"\0")
        after = content_at + (content_bytes + 3 & ~3)
        yield Note(name, kind, bytes(raw[content_at : content_at + content_bytes]), at, content_at, after)
        at = after


def build_id(raw: Buffer, path: str = PATH) -> str | None:
    """The GNU build-id as lower-case hexadecimal digits, None if no note holds one.

    Raises Malformed at the first note that does not fit into the file.
    """
    found = None
    for note in notes(raw, path):
        if found is None and note.name == b"GNU" and note.type == NT_GNU_BUILD_ID and note.content:
            found = note.content.hex()
    return found
