"""Compressed debug sections as they are when unpacked, kept between runs: of libc they cost half of a first answer.

One private file for each debug file of this machine, beside unpacked archives (sources/unpacked.py), with a CRC-32 of
each section. Kept are the sections that an answer needed, from the second question on: writing them costs a quarter of
unpacking them, which a single question need not pay. Another function of the same file then unpacks nothing.
"""

from __future__ import annotations

import os
import zlib

from ...formats.elf.image import Region
from ...sources import cache, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from ...formats.elf.image import ElfImage

_FORMAT = "debug sections 1"
_ASKED = "asked once"
_BYTES_MAX = 96 << 20  # of one file's sections


def give(image: ElfImage, path: str) -> None:
    """Give the image of a debug file of this machine the sections that are kept of it."""
    found = unpacked.load(question) if (question := _question(path)) else None
    if found is None:
        return
    places, _, data = found
    for name, (at, size) in places.items():
        number, _, check = name.partition(".")
        if number.isdigit() and len(check) == 8:
            image.given[int(number)] = _region(data, at, size, check)


def _region(data: mmap, at: int, size: int, check: str) -> Callable[[], Region | None]:
    def made() -> Region | None:
        with memoryview(data) as whole, whole[at : at + size] as part:
            return Region(data, at, at + size) if f"{zlib.crc32(part):08x}" == check else None

    return made


def keep(image: ElfImage, path: str) -> None:
    """Keep what was unpacked for an answer, with what is kept already. Where that cannot be, nothing is said."""
    question = _question(path)
    if not question or not image.inflated:
        return
    if not image.given and cache.kept(question) is None:
        cache.keep(question, _ASKED)
        return
    for number in image.given:
        if number not in image.inflated and (section := image.sections[number]).name.startswith((".debug", ".zdebug")):
            image.region_of(section)
    sections = {number: image.region_of(image.sections[number]) for number in {*image.inflated, *image.given}}
    if sum(region.size for region in sections.values()) > _BYTES_MAX:
        return
    parts: list[bytes] = []
    places, at = {}, 0
    for number, region in sorted(sections.items()):
        is_whole = isinstance(region.raw, bytes) and region.size == len(region.raw)
        raw: bytes = region.raw if is_whole else region.raw[region.start : region.end]  # type: ignore[assignment]
        places[f"{number}.{zlib.crc32(raw):08x}"] = (at, len(raw))
        parts.append(raw)
        at += len(raw)
    unpacked.store(question, places, set(), b"", parts)


def _question(path: str) -> str:
    """The file's state; "" where it is not there."""
    try:
        return f"{unpacked.state(path, os.stat(path))}\0{_FORMAT}"
    except OSError:
        return ""
