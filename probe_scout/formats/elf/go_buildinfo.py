"""The Go version that a program was built with, by .go.buildinfo, which `strip` leaves.

Format: src/debug/buildinfo/buildinfo.go of Go: a magic, the pointer size, flags; since 1.18 (flag 2) two strings with
their lengths in front at byte 32, before that pointers to Go strings.
"""

from __future__ import annotations

import re
from struct import error as StructError
from struct import unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .user_image import UserImage

_MAGIC = b"\xff Go buildinf:"
_ALIGN = 16
_INLINE, _BIG_ENDIAN = 2, 1
_TEXT_MAX = 256
_VERSION = re.compile(r"go(\d+)\.(\d+)")


def version(image: UserImage) -> str:
    """The version as Go writes it ("go1.19.8", "devel go1.27-…"), "" where the file has none that can be read."""
    try:
        at = _place(image)
        return _read(image, at) if at is not None else ""
    except (StructError, IndexError):
        return ""


def number(text: str) -> tuple[int, int] | None:
    """(1, 19) of "go1.19.8"; None where no number is in it."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else None


def _place(image: UserImage) -> int | None:
    section = image.section(".go.buildinfo")
    if section is not None and image.raw[section.offset : section.offset + len(_MAGIC)] == _MAGIC:
        return section.offset
    at = -1
    while (at := image.raw.find(_MAGIC, at + 1)) >= 0:
        if at % _ALIGN == 0:
            return at
    return None


def _read(image: UserImage, at: int) -> str:
    pointer, flags = image.raw[at + 14], image.raw[at + 15]
    if flags & _INLINE:
        size, shift, start = 0, 0, at + 32
        while True:
            byte = image.raw[start]
            size |= (byte & 0x7F) << shift
            shift, start = shift + 7, start + 1
            if byte < 0x80 or shift > 21:
                break
        return _text(image, start, size)
    if pointer not in (4, 8):
        return ""
    word = (">" if flags & _BIG_ENDIAN else "<") + ("I" if pointer == 4 else "Q")
    header = image.file_offset(unpack_from(word, image.raw, at + 16)[0])
    if header is None:
        return ""
    (data,), (size,) = unpack_from(word, image.raw, header), unpack_from(word, image.raw, header + pointer)
    start_at = image.file_offset(data)
    return _text(image, start_at, size) if start_at is not None else ""


def _text(image: UserImage, start: int, size: int) -> str:
    if not 0 < size <= _TEXT_MAX:
        return ""
    text = bytes(image.raw[start : start + size]).decode("utf-8", "replace")
    return text if text.isprintable() else ""
