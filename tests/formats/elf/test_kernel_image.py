"""vmlinux, bzImage and module images."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.elf import kernel_image
from tests.builders.damage import EXAMPLES, answer, damaged
from tests.builders.image_writer import Load, ModuleSymbol, bzimage, elf_core, module, with_size
from tests.builders.small_files import note

TEXT = 0xFFFFFFFF81000000
DATA = 0xFFFFFFFF82000000
VFS_READ = bytes.fromhex("f30f1efae837d7c4ff4157")
BANNER = b"Linux version 6.12.0 (builder) (gcc) # SMP\n\0Linux version 6.12.0 (builder) (gcc) #1 SMP (2026-08-29)\n\0"
VMLINUX = elf_core(
    [
        Load(DATA, struct.pack("<ii", TEXT - DATA + 4, 0) + struct.pack("<ii", TEXT - DATA - 8, 0) + BANNER, 2),
        Load(TEXT, VFS_READ),
    ],
    note(b"GNU", 3, bytes(range(20))),
)
COLD = bytes.fromhex("0f0b48c7c7e8eb8d824489f6")
MODULE = module(
    {".text": VFS_READ, ".text.unlikely": b"\x90\x90" + COLD},
    [
        ModuleSymbol("fq_change", ".text", 0),
        ModuleSymbol("fq_change.cold", ".text.unlikely", 2),
        ModuleSymbol("twice", ".text", 4),
        ModuleSymbol("twice", ".text.unlikely", 0),
        ModuleSymbol("version", "none", 0, 1),
    ],
    {".rela__bug_table": [(0, ".text.unlikely", 2), (12, ".text", 9)]},
)


def test_text_is_read_by_link_time_address():
    image = kernel_image.KernelImage(VMLINUX)
    assert image.link_base == TEXT
    assert image.text_at(TEXT, 4) == b"\xf3\x0f\x1e\xfa"
    assert image.text_at(TEXT + 4, 5) == bytes.fromhex("e837d7c4ff")
    assert image.text_at(DATA + 16, 5) == b"Linux"


@pytest.mark.parametrize(("address", "size"), [(TEXT - 1, 4), (TEXT + len(VFS_READ) - 3, 4), (0, 1), (TEXT + 4096, 1)])
def test_bytes_that_the_file_does_not_hold_are_none(address, size):
    assert kernel_image.KernelImage(VMLINUX).text_at(address, size) is None


def test_build_id_and_banner_name_the_build():
    image = kernel_image.KernelImage(VMLINUX)
    assert image.build_id == "000102030405060708090a0b0c0d0e0f10111213"
    assert image.banner() == "Linux version 6.12.0 (builder) (gcc) #1 SMP (2026-08-29)"
    bare = kernel_image.KernelImage(elf_core([Load(TEXT, VFS_READ)]))
    assert (bare.build_id, bare.banner()) == ("", "")


def test_a_relative_table_gives_the_addresses_its_entries_point_to():
    image = kernel_image.KernelImage(VMLINUX)
    assert image.sites(DATA, DATA + 16, 8) == (TEXT + 4, TEXT)
    assert image.sites(DATA, DATA + 12, 8) == (TEXT + 4,)
    assert image.sites(DATA + 0x10000, DATA + 0x10010, 8) == ()
    assert image.sites(DATA, DATA, 8) == ()


PAYLOADS = {
    "gzip": gzip.compress(VMLINUX),
    "xz": with_size(lzma.compress(VMLINUX, check=lzma.CHECK_CRC32), VMLINUX),
    "lzma": with_size(lzma.compress(VMLINUX, format=lzma.FORMAT_ALONE), VMLINUX),
    "bzip2": with_size(bz2.compress(VMLINUX), VMLINUX),
}


@pytest.mark.parametrize("packing", PAYLOADS)
def test_the_payload_of_a_bzimage_is_the_vmlinux(packing):
    assert kernel_image.vmlinux_of(bzimage(PAYLOADS[packing])) == VMLINUX


def test_setup_sectors_of_zero_mean_four():
    image = bytearray(bzimage(PAYLOADS["gzip"]))
    image[0x1F1] = 0
    assert kernel_image.vmlinux_of(bytes(image)) == VMLINUX


def test_an_elf_and_a_plainly_packed_vmlinux_are_taken_too():
    assert kernel_image.vmlinux_of(VMLINUX) == VMLINUX
    assert kernel_image.vmlinux_of(gzip.compress(VMLINUX)) == VMLINUX
    assert kernel_image.unpack(lzma.compress(MODULE), "fq.ko.xz") == MODULE


def test_the_version_is_read_without_unpacking():
    assert kernel_image.bzimage_version(bzimage(b"garbage!")) == "6.12.0 (builder) #1 SMP"
    assert kernel_image.bzimage_version(VMLINUX) == ""


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "an ELF or a packed kernel"),
        (b"\x7fELF", "ELF64"),
        (bzimage(PAYLOADS["gzip"], protocol=0x207), "boot protocol 2.08"),
        (bzimage(PAYLOADS["gzip"])[:-9], "a payload inside the file"),
        (bzimage(gzip.compress(b"no kernel at all")), "an ELF in the payload"),
        (bzimage(PAYLOADS["xz"][:-4] + b"\1\0\0\0"), "the size of the unpacked ELF"),
        (gzip.compress(VMLINUX)[:-20], "the rest of the packed stream"),
        (elf_core([Load(DATA, b"data", 2)]), "a PT_LOAD segment with code"),
    ],
)
def test_what_is_no_kernel_image_is_malformed(raw, says):
    with pytest.raises(Malformed, match=says):
        kernel_image.KernelImage(kernel_image.vmlinux_of(raw))


@pytest.mark.parametrize("packing", PAYLOADS)
def test_an_image_that_unpacks_to_too_much_is_malformed(packing):
    with pytest.raises(Malformed):
        kernel_image.vmlinux_of(bzimage(PAYLOADS[packing]), limit_bytes=len(VMLINUX) - 1)


@pytest.mark.parametrize(("magic", "packing"), [(b"\x04\x22\x4d\x18", "lz4"), (b"\x89LZO\0\r\n", "lzo")])
def test_packings_without_a_reader_say_what_helps(magic, packing):
    with pytest.raises(kernel_image.CannotUnpack, match=f"extract-vmlinux.*{packing}"):
        kernel_image.vmlinux_of(bzimage(magic + b"\0" * 20))


def test_zstd_without_a_reader_says_what_helps(monkeypatch):
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(kernel_image.CannotUnpack, match=r"needs Python 3\.14 or the zstandard package"):
        kernel_image.vmlinux_of(bzimage(b"\x28\xb5\x2f\xfd" + b"\0" * 20))


def test_zstd_with_a_reader_is_unpacked():
    zstandard = pytest.importorskip("zstandard")
    packed = with_size(zstandard.ZstdCompressor().compress(VMLINUX), VMLINUX)
    assert kernel_image.vmlinux_of(bzimage(packed)) == VMLINUX
    with pytest.raises(Malformed):
        kernel_image.vmlinux_of(bzimage(packed[:-30]))


def test_module_code_comes_from_the_symbols_own_section():
    assert kernel_image.module_symbol_code(MODULE, "fq_change", 4) == (b"\xf3\x0f\x1e\xfa",)
    assert kernel_image.module_symbol_code(MODULE, "fq_change.cold", 2) == (b"\x0f\x0b",)
    assert kernel_image.module_symbol_code(MODULE, "fq_change.cold", 4096) == (COLD,)


def test_module_names_are_compared_whole_and_data_has_no_code():
    assert kernel_image.module_symbol_code(MODULE, "fq_chang", 4) == ()
    assert kernel_image.module_symbol_code(MODULE, "version", 4) == ()
    assert kernel_image.module_symbol_code(MODULE, "twice", 1) == (b"\xe8", b"\x90")


def test_the_find_and_table_ways_into_a_module_agree():
    table = kernel_image.module_code_table(MODULE, 8)
    assert set(table) == {"fq_change", "fq_change.cold", "twice"}
    for name, codes in table.items():
        assert kernel_image.module_symbol_code(MODULE, name, 8) == codes
        assert len(kernel_image.module_places(MODULE)[name]) == len(codes)


def test_bug_sites_of_a_module_are_places_in_its_sections():
    places = kernel_image.module_places(MODULE)
    sites = kernel_image.module_sites(MODULE, "__bug_table")
    assert places["fq_change.cold"][0] in sites
    assert places["fq_change"][0] not in sites
    assert kernel_image.module_sites(MODULE, "__bug_table", 8) == {places["fq_change.cold"][0]}  # 12 starts no entry
    assert kernel_image.module_sites(MODULE, "__jump_table") == frozenset()


@pytest.mark.property
@EXAMPLES
@given(damaged(VMLINUX))
def test_a_damaged_vmlinux_is_read_or_malformed(raw):
    image = answer(kernel_image.KernelImage, raw)
    if image is not None:
        image.text_at(image.link_base, 16)
        answer(lambda _: image.build_id, raw)
        assert len(image.banner()) <= 512
        assert len(image.sites(DATA, DATA + 64, 8)) <= 8


@pytest.mark.property
@EXAMPLES
@given(st.sampled_from(sorted(PAYLOADS)).flatmap(lambda packing: damaged(bzimage(PAYLOADS[packing]))))
def test_a_damaged_bzimage_is_read_or_malformed(raw):
    elf = answer(lambda r: kernel_image.vmlinux_of(r, limit_bytes=1 << 20), raw)
    assert elf is None or len(elf) <= 1 << 20


@pytest.mark.property
@EXAMPLES
@given(damaged(MODULE))
def test_a_damaged_module_is_read_or_malformed(raw):
    table = answer(lambda r: kernel_image.module_code_table(r, 16), raw)
    answer(lambda r: kernel_image.module_sites(r, "__bug_table"), raw)
    for name, codes in (table or {}).items():
        if "�" not in name:
            assert kernel_image.module_symbol_code(raw, name, 16) == codes
