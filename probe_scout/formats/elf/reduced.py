"""A program with what uprobes need and no more: headers, symbols, notes, relocations, machine code; the rest is zeros.

The result is an ELF file of the same size, with every byte that is kept at its own offset, so that it is read by the
same code and gives the same answers. Sections that are dropped are marked SHT_NOBITS, as `objcopy --only-keep-debug`
does: read-only data, data, unwind tables, debug information. What a segment of code holds is kept whole.
"""

from __future__ import annotations

from struct import pack_into

from .user_image import PF_X, PT_DYNAMIC, PT_INTERP, PT_NOTE, UserImage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

_NULL, _PROGBITS, _NOBITS = 0, 1, 8
_TYPES = frozenset((2, 3, 4, 5, 6, 7, 9, 11, 19, 0x6FFFFFF6, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF))  # tables and notes
_NAMES = frozenset(
    (
        *(".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".note.go.buildid"),
        *(".gnu_debugdata", ".gnu_debuglink", ".gnu_debugaltlink", ".stapsdt.base"),
    )
)
_HEADER_BYTES = 64


def reduced(raw: bytes | mmap, path: str) -> bytes:
    """The file with what is not needed set to zeros. A file without section headers comes back as it is.

    Raises Malformed for what is no ELF file.
    """
    image = UserImage(raw, path)
    sections = image.sections
    if not sections:
        return bytes(raw)
    kept = sorted(_kept(image))
    out = bytearray(len(raw))
    for start, end in kept:
        out[start:end] = raw[start:end]
    for number, section in enumerate(sections):
        end = section.offset + section.size
        is_whole = any(start <= section.offset and end <= stop for start, stop in kept)
        if section.type not in (_NULL, _NOBITS) and section.size and not is_whole:
            pack_into(image.order + "I", out, image.section_headers[0] + number * image.section_headers[1] + 4, _NOBITS)
    return bytes(out)


def _kept(image: UserImage) -> Iterator[tuple[int, int]]:
    yield 0, min(_HEADER_BYTES, image.size)
    for start, width, count in (image.segment_headers, image.section_headers):
        yield start, min(start + width * count, image.size)
    for segment in image.segments:
        if segment.flags & PF_X or segment.type in (PT_DYNAMIC, PT_INTERP, PT_NOTE):
            yield segment.offset, min(segment.offset + segment.file_bytes, image.size)
    for section in image.sections:
        if section.type in _TYPES or (section.type == _PROGBITS and section.name in _NAMES):
            yield section.offset, min(section.offset + section.size, image.size)
