"""What a kernel is wrapped in: unified kernel images, zboot, gzip; flat images of arm64 at their own addresses.

Those that systemd's stub with objcopy, rpmbuild, bsdtar, gzip and zstd made of Debian's kernels were equal to the
kernels themselves; the lane of images asks a whole arm64 kernel.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats import arm64_image
from probe_scout.formats.elf import kernel_image
from probe_scout.formats.image import containers
from tests.builders.damage import EXAMPLES, damaged
from tests.builders.image_writer import bzimage

BASE = 0xFFFF_8000_8000_0000
VMLINUZ = bzimage(b"payload of a kernel")
HEADS = Path(__file__).parents[3] / "fixtures" / "heads"


def pe(sections: dict[str, bytes], count: int | None = None) -> bytes:
    """A PE file with these sections, each padded to 512 bytes, as objcopy writes them."""
    head = b"MZ" + bytes(58) + pack("<I", 64) + b"PE\0\0"
    head += pack("<HHIIIHH", 0x8664, len(sections) if count is None else count, 0, 0, 0, 240, 0) + bytes(240)
    at = 2048
    table, body = b"", b""
    for name, raw in sections.items():
        size = (len(raw) + 511) // 512 * 512
        table += name.encode().ljust(8, b"\0") + pack("<IIII", len(raw), 0, size, at + len(body)) + bytes(16)
        body += raw.ljust(size, b"\0")
    return (head + table).ljust(at, b"\0") + body


def flat(relocations: bytes = b"") -> bytes:
    """A flat image with 2,000 pointers to itself, a zero at 0x8000, and relocations behind."""
    raw = bytearray(0x20000)
    raw[56:60] = b"ARM\x64"
    raw[0x1000 : 0x1000 + 16_000] = b"".join(pack("<Q", BASE + 16 * i) for i in range(2000))
    return bytes(raw) + relocations


def test_the_section_linux_is_the_kernel():
    uki = pe({".uname": b"6.12.0", ".linux": VMLINUZ, ".initrd": b"other"})
    assert containers.kernel_of(uki, "x.efi") == VMLINUZ


@pytest.mark.parametrize("raw", [VMLINUZ, flat(), b"\x7fELF" + bytes(80), b"MZ", b"MZ" + bytes(100), b""])
def test_other_files_are_left_as_they_are(raw):
    assert containers.kernel_of(raw, "x") == raw


@pytest.mark.parametrize(
    "raw",
    [
        pe({".text": b"code"}),
        pe({".linux": b""}),
        pe({".linux": VMLINUZ})[:-600],
        pe({".linux": pe({".linux": VMLINUZ})}),
        pe({}, count=65535)[:600],
    ],
)
def test_a_pe_file_without_a_kernel_is_one_sentence(raw):
    with pytest.raises(Malformed) as error:
        containers.kernel_of(raw, "x.efi")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, lambda raw: pe({".linux": raw})])
def test_a_flat_image_is_asked_by_the_addresses_of_its_pointers(wrap):
    raw, image = containers.open_kernel(wrap(flat()), "Image")
    assert raw == flat()
    assert image.link_base == BASE
    assert image.text_at(BASE + 56, 4) == b"ARM\x64"
    assert image.text_at(BASE - 4, 4) is None
    assert image.text_at(BASE + len(raw) - 2, 4) is None
    assert image.tail_at(BASE + len(raw) - 2, 4) == b"\0\0"
    assert image.tail_at(BASE - 8, 4) == b""


def test_relocations_are_written_where_nothing_stands():
    def entry(place: int, value: int) -> bytes:
        return pack("<QQQ", place, 0x403, value)

    table = entry(BASE + 0x8000, BASE + 0x40) + entry(BASE + 0x1008, BASE + 0x80) + entry(1 << 40, 2) + entry(BASE, 1)
    _, image = containers.open_kernel(flat(table), "Image")
    assert image.text_at(BASE + 0x8000, 8) == pack("<Q", BASE + 0x40)
    assert image.text_at(BASE + 0x1008, 8) == pack("<Q", BASE + 16)


def test_an_image_that_does_not_tell_its_address_is_malformed():
    raw = bytearray(0x20000)
    raw[56:60] = b"ARM\x64"
    with pytest.raises(Malformed, match="pointers to the image itself"):
        containers.open_kernel(bytes(raw), "Image")


@pytest.mark.property
@EXAMPLES
@given(st.sampled_from([pe({".linux": VMLINUZ}), flat(), gzip.compress(flat())]).flatmap(damaged))
def test_damaged_images_are_read_or_refused(raw):
    try:
        containers.open_kernel(raw, "x")
    except Malformed as error:
        if "\n" in str(error):
            raise


@pytest.mark.parametrize(
    ("machine", "at", "word"),
    [
        ("riscv64", 48, b"RISCV\0\0\0RSC\x05"),
        ("loongarch64", None, b"PE\0\0\x64\x62"),
        ("armv7l", 36, bytes.fromhex("18286f01")),
        ("s390x", 0, bytes.fromhex("0008000080000200")),
    ],
)
def test_images_of_other_architectures_are_named(machine, at, word):
    """Headers as linux-image-…-riscv64 and -s390x of Debian have them, and as the kernel's documents give them."""
    raw = bytearray(pe({".text": b"code"}) if machine != "s390x" else bytes(512))
    at = int.from_bytes(raw[60:64], "little") if at is None else at
    raw[at : at + len(word)] = word
    with pytest.raises(Malformed, match=f"expected a kernel image of x86-64 or arm64.*found one of {machine}$"):
        containers.open_kernel(bytes(raw), "vmlinuz")


def test_the_magic_of_every_efi_stub_tells_no_machine():
    """LINUX_PE_MAGIC stands at 56 in Debian's bzImage of 6.12 (its bytes were looked at) and in EFI zboot files."""
    raw = bytearray(pe({".linux": b"kernel"}))
    raw[56:60] = bytes.fromhex("cd238281")
    assert containers.kernel_of(bytes(raw), "vmlinuz") == b"kernel"


@pytest.mark.parametrize("head", sorted(HEADS.glob("*.bin")), ids=lambda path: path.stem)
def test_the_heads_of_real_images_tell_their_machine(head):
    """The first KiB of Debian's vmlinuz: with and without an EFI stub's magic, of both architectures that are read."""
    raw = head.read_bytes()
    assert containers.kernel_of(raw, "vmlinuz") == raw
    assert kernel_image.is_bzimage(raw) is head.stem.endswith("amd64")
    assert arm64_image.is_arm64(raw) is head.stem.endswith("arm64")
    assert containers.is_wrapped(raw)
    with pytest.raises(Malformed) as refused:
        containers.open_kernel(raw, "vmlinuz")
    assert "x86-64 or arm64" not in str(refused.value), "it is cut off, and not of another architecture"
