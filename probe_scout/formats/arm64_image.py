"""An arm64 kernel image: flat, with a header of 64 bytes (Documentation/arch/arm64/booting.rst), also packed by gzip or
as an EFI zboot (drivers/firmware/efi/libstub/zboot-header.S).

The byte at an offset is that of `_text` + offset, data included. As in every image the code is what it was before boot
patched it: alternatives, jump labels, ftrace's entries.
"""

from __future__ import annotations

from struct import unpack_from

from ..errors import Malformed
from .elf import kernel_image

_MAGIC = b"ARM\x64"  # at offset 56
_ZBOOT = b"zimg"  # at offset 4 of a PE file
_NOTE = b"\4\0\0\0\x14\0\0\0\3\0\0\0GNU\0"  # an ELF note with a build-id of 20 bytes
_STEXT_OFFSET = 0x10000  # of _stext from _text where no symbol tells: SEGMENT_ALIGN of vmlinux.lds.S


def is_arm64(raw: bytes) -> bool:
    """A flat image, or one packed as an EFI zboot. What gzip packed shows only once it is unpacked."""
    return raw[56:60] == _MAGIC or (raw[:2] == b"MZ" and raw[4:8] == _ZBOOT)


def unpacked(raw: bytes, path: str) -> bytes:
    """The flat image of a zboot or gzip file; the bytes as they are if they are none. Raises Malformed."""
    if raw[4:8] == _ZBOOT and raw[:2] == b"MZ":
        offset, size = unpack_from("<II", raw.ljust(16, b"\0"), 8)
        if not 0 < offset < len(raw) or not 0 < size <= len(raw) - offset:
            raise Malformed(path, 8, "the offset of the packed kernel", f"{offset}, {size} bytes")
        raw = kernel_image.unpack(raw[offset : offset + size], path, kernel_image.UNPACKED_BYTES_MAX)
    return raw


class FlatImage:
    """Asked as `KernelImage` is; addresses count from `_text`, and `link_base` is the place of `_stext`."""

    def __init__(self, raw: bytes, path: str, stext_offset: int | None = None, build_id: str = "") -> None:
        """`build_id` is the one looked for: the image holds those of its vDSOs as well. Raises Malformed."""
        self.raw, self.path = unpacked(raw, path), path
        if self.raw[56:60] != _MAGIC:
            raise Malformed(path, 56, "the header of an arm64 image")
        self.link_base = _STEXT_OFFSET if stext_offset is None else stext_offset
        found = self._build_ids()
        self.build_id = build_id if build_id in found else next(iter(found), "")

    def _build_ids(self) -> tuple[str, ...]:
        found, at = [], self.raw.find(_NOTE)
        while at >= 0:
            found.append(self.raw[at + len(_NOTE) : at + len(_NOTE) + 20].hex())
            at = self.raw.find(_NOTE, at + 4)
        return tuple(found)

    def text_at(self, address: int, size: int) -> bytes | None:
        """The bytes at an offset from `_text`; None if the file does not hold all of them."""
        return self.raw[address : address + size] if address >= 0 and address + size <= len(self.raw) else None

    def sites(self, start: int, stop: int, entry_bytes: int) -> tuple[int, ...]:
        """Places that a table of relative entries points to (KernelImage.sites)."""
        raw = self.text_at(start, stop - start) if stop > start else None
        return kernel_image.relative_sites(raw or b"", start, entry_bytes)
