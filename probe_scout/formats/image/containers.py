"""What a kernel image is wrapped in: a unified kernel image, an EFI zboot, gzip; inside, an ELF or a flat arm64 image.

Unified kernel image: a PE file whose section .linux is the kernel's own file (systemd-stub(7), the UAPI group's
specification of UKI). arm64: Documentation/arch/arm64/booting.rst, drivers/firmware/efi/libstub/zboot-header.S.
"""

from __future__ import annotations

from struct import unpack_from

from ...errors import Malformed
from .. import arm64_image
from ..elf import kernel_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PE, _SECTION_BYTES, _SECTIONS_MAX = b"PE\0\0", 40, 96
_PE_LOONGARCH = b"PE\0\0\x64\x62"  # IMAGE_FILE_MACHINE_LOONGARCH64
_WORD_BYTES = 8
_POINTERS_MIN = 1000
_BLOCK_BITS = 24  # pointers are counted by their upper five bytes: 16 MiB of addresses
_RELATIVE = (0x403).to_bytes(8, "little")  # R_AARCH64_RELATIVE
# Images of architectures that are not read here: where their headers have which words. Documentation/arch/riscv/
# boot-image-header.rst, arch/arm/boot/compressed/head.S, arch/s390/boot/head.S (the first PSW). loongarch64 is told by
# the machine of its PE header: LINUX_PE_MAGIC at 56 stands in x86's bzImage and in every EFI zboot too.
_FOREIGN = (
    ("riscv64", 56, b"RSC\x05"),
    ("armv7l", 36, b"\x18\x28\x6f\x01"),
    ("s390x", 0, b"\x00\x08\x00\x00\x80\x00"),
)


def _refuse_foreign(raw: bytes, path: str) -> None:
    """Raises Malformed for a kernel image of an architecture whose images are not read."""
    (pe,) = unpack_from("<I", raw, 60) if raw[:2] == b"MZ" and len(raw) >= 64 else (0,)
    for machine, at, word in (*_FOREIGN, ("loongarch64", pe, _PE_LOONGARCH)):
        if raw[at : at + len(word)] == word:
            raise Malformed(path, at, "a kernel image of x86-64 or arm64, or a vmlinux in ELF", f"one of {machine}")


def kernel_of(raw: bytes, path: str) -> bytes:
    """The kernel's own file out of a unified kernel image; the bytes themselves if they are none. Raises Malformed."""
    _refuse_foreign(raw, path)
    if raw[:2] != b"MZ" or kernel_image.is_bzimage(raw) or arm64_image.is_arm64(raw) or len(raw) < 64:
        return raw
    (at,) = unpack_from("<I", raw, 60)
    if raw[at : at + 4] != _PE or at + 24 > len(raw):
        return raw
    count, optional = unpack_from("<H", raw, at + 6)[0], unpack_from("<H", raw, at + 20)[0]
    table = at + 24 + optional
    for position in range(table, table + min(count, _SECTIONS_MAX) * _SECTION_BYTES, _SECTION_BYTES):
        if position + _SECTION_BYTES > len(raw):
            raise Malformed(path, position, "the section table of a PE file", "the end of the file")
        if raw[position : position + 8].rstrip(b"\0") == b".linux":
            used, _, size, start = unpack_from("<IIII", raw, position + 8)
            content = raw[start : start + (min(used, size) or size)]
            if (
                start + size > len(raw)
                or not content
                or (content.startswith(b"MZ") and kernel_of(content, path) != content)
            ):
                raise Malformed(path, position, "a kernel in the section .linux")
            return content
    raise Malformed(path, table, "a section .linux, as a unified kernel image has")


def is_wrapped(head: bytes) -> bool:
    """Whether a file that begins so may hold a kernel: a PE file, a flat arm64 image, an EFI zboot, or gzip."""
    return head.startswith((b"MZ", b"\x1f\x8b")) or arm64_image.is_arm64(head)


class FlatKernel:
    """A flat arm64 image, asked as KernelImage is: addresses are those it is linked at."""

    def __init__(self, raw: bytes, path: str) -> None:
        """Raises Malformed where it is none, or where nothing in it tells its address."""
        self.raw, self.path = arm64_image.unpacked(raw, path), path
        if not arm64_image.is_arm64(self.raw):
            raise Malformed(path, 56, "the header of an arm64 image")
        self.link_base = _link_base(self.raw, path)
        self.raw = _relocated(self.raw, self.link_base)
        self.segments = (kernel_image.Segment(self.link_base, 0, len(self.raw), True),)

    def text_at(self, address: int, size: int) -> bytes | None:
        """As KernelImage.text_at."""
        at = address - self.link_base
        return self.raw[at : at + size] if at >= 0 and size >= 0 and at + size <= len(self.raw) else None

    def tail_at(self, address: int, size: int) -> bytes:
        """As KernelImage.tail_at."""
        at = address - self.link_base
        return self.raw[at : at + size] if at >= 0 else b""

    def find(self, piece: bytes) -> list[int]:
        """As KernelImage.find."""
        return kernel_image.KernelImage.find(self, piece)  # type: ignore[arg-type]  # asks for raw and segments alone

    def banner(self) -> str:
        """As KernelImage.banner."""
        return kernel_image.KernelImage.banner(self)  # type: ignore[arg-type]  # asks for raw alone

    def notes(self) -> bytes:
        """None by themselves: the file has no program headers; see Facts.notes."""
        return b""


def _relocated(raw: bytes, base: int) -> bytes:
    """The image with the pointers that its relocations (RELA) write; those of RELR stand in their places.

    The table has no header: its entries {place, R_AARCH64_RELATIVE, value} are found by their type, and count where
    place and value lie in the image and nothing stands at the place.
    """
    made = bytearray(raw)
    end = base + len(raw)
    at = raw.find(_RELATIVE)
    while at >= 0:
        if at % _WORD_BYTES == 0 and _WORD_BYTES <= at <= len(raw) - 2 * _WORD_BYTES:
            place, _, value = unpack_from("<QQQ", raw, at - _WORD_BYTES)
            if base <= place <= end - _WORD_BYTES and base <= value <= end:
                begin = place - base
                if not any(made[begin : begin + _WORD_BYTES]):
                    made[begin : begin + _WORD_BYTES] = raw[at + _WORD_BYTES : at + 2 * _WORD_BYTES]
        at = raw.find(_RELATIVE, at + _WORD_BYTES)
    return bytes(made)


def _link_base(raw: bytes, path: str) -> int:
    """Where it is linked, KIMAGE_VADDR: it differs by release and page size, and the pointers in its data tell."""
    blocks = (len(raw) >> _BLOCK_BITS) + 1
    best = max((_pointers(raw, base, blocks), base) for base in _bases())
    if best[0] < _POINTERS_MIN:
        raise Malformed(path, 0, "pointers to the image itself, which show its address")
    return best[1]


def _bases() -> Iterator[int]:
    """PAGE_END for each width of virtual addresses, with the modules' 2 GiB, 128 MiB or 256 MiB behind it."""
    for bits in (48, 39, 47, 42, 36):
        for behind in (1 << 31, 1 << 27, 1 << 28):
            yield (1 << 64) - (1 << bits - 1) + behind


def _pointers(raw: bytes, base: int, blocks: int) -> int:
    return sum(raw.count(((base >> _BLOCK_BITS) + block).to_bytes(5, "little")) for block in range(blocks))


def open_kernel(raw: bytes, path: str) -> tuple[bytes, kernel_image.KernelImage | FlatKernel]:
    """The unpacked image, and what reads it. Raises Malformed."""
    inner = kernel_of(raw, path)
    if not kernel_image.is_bzimage(inner) and not inner.startswith(b"\x7fELF") and not arm64_image.is_arm64(inner):
        inner = kernel_image.unpack(inner, path)
    if arm64_image.is_arm64(inner):
        flat = FlatKernel(inner, path)
        return flat.raw, flat
    elf = kernel_image.vmlinux_of(inner, path)
    return elf, kernel_image.KernelImage(elf, path)
