"""Kernel packages: what is taken out of each form, and one sentence for everything that is none."""

from __future__ import annotations

import lzma
import resource
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Broken
from probe_scout.sources import package
from tests.builders import package_writer as write
from tests.builders.damage import EXAMPLES, damaged

IMAGE, CONFIG = b"the image" * 500, b"CONFIG_BPF=y\n"
BOOT = {
    "boot/System.map-6.12.0": b"none",
    "boot/config-6.12.0": CONFIG,
    "boot/vmlinuz-6.12.0": IMAGE,
    "usr/lib/modules/6.12.0/kernel/fs/fuse/fuse.ko.xz": b"module",
    "usr/share/doc/vmlinuz-6.12.0": b"not this one",
}
LIB = {
    "usr/lib/modules/6.12.0/vmlinuz": IMAGE,
    "usr/lib/modules/6.12.0/config": CONFIG,
    "usr/lib/modules/6.12.0/kernel/fuse.ko.zst": b"module",
}
FORMS = {
    "deb.xz": write.deb(BOOT),
    "deb.gz": write.deb(BOOT, "gz"),
    "deb": write.deb(BOOT, ""),
    "deb.lib": write.deb(LIB),
    "rpm": write.rpm(LIB, "./"),
    "rpm.plain": write.rpm(LIB, "/"),
    "arch": write.arch(LIB),
}


@pytest.mark.parametrize("form", FORMS)
def test_image_and_configuration_are_found(form):
    found = package.read(FORMS[form], form)
    assert found.image is not None
    assert found.config is not None
    assert (found.image[1], found.config[1]) == (IMAGE, CONFIG)


def test_only_ar_and_rpm_are_told_by_their_first_bytes():
    assert [package.is_package(FORMS[form][:8]) for form in ("deb", "rpm", "arch")] == [True, True, False]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7])
def test_a_package_that_is_cut_off_is_one_sentence(form, part):
    raw = FORMS[form]
    with pytest.raises(Broken) as error:
        package.read(raw[: int(len(raw) * part)], form)
    assert "\n" not in str(error.value)


def test_a_package_without_a_kernel_says_so():
    assert package.read(write.deb({"usr/bin/ls": b""}), "ls.deb").image is None
    with pytest.raises(Broken, match=r"no data\.tar"):
        package.read(write.ar([("debian-binary", b"2.0\n")]), "x.deb")


def test_long_names_and_extended_headers_are_read():
    long = f"usr/lib/modules/6.12.0/{'d' * 120}/{'e' * 60}/fuse.ko"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        raw = write.ar([("data.tar", write.tar({long: b"m", **BOOT}, format=form))])
        assert dict(package.members(raw, "x.deb", lambda name: "fuse.ko" in name))[long] == b"m"
        assert package.read(raw, "x.deb").image == ("boot/vmlinuz-6.12.0", IMAGE)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (write.ar([("data.tar", write.tar(BOOT))])[:68] + b"\xff" * 600, "cut off inside a member of the ar"),
        (b"!<arch>\n" + b"x" * 60, "damaged ar archive at byte 8"),
        (b"\xed\xab\xee\xdb" + bytes(500), "damaged RPM header at byte 96"),
        (b"\xed\xab\xee\xdb" + bytes(92) + b"\x8e\xad\xe8\x01" + b"\xff" * 40, "cut off inside the RPM header"),
    ],
)
def test_damaged_heads(raw, says):
    with pytest.raises(Broken, match=says):
        package.read(raw, "x")


def test_sizes_that_the_file_does_not_hold_cost_no_memory():
    """A member that claims 2^62 bytes, a name of 4 GiB, an image above the limit."""
    huge = bytearray(write.tar({"boot/vmlinuz-1": b"x"}, prefix=""))
    huge[512 + 124 : 512 + 136] = b"\x80" + (1 << 62).to_bytes(11, "big")
    with pytest.raises(Broken, match="is larger than"):
        package.read(write.ar([("data.tar", bytes(huge))]), "x")
    long = bytearray(write.cpio({"boot/vmlinuz-1": b"x"}))
    long[94:102] = b"FFFFFFFF"
    rpm = write.rpm({})
    raw = rpm[: rpm.index(b"\xfd7zXZ")] + lzma.compress(bytes(long))
    with pytest.raises(Broken, match="more than 4096 bytes"):
        package.read(raw, "x")


def test_a_bomb_is_read_through_and_not_kept():
    """128 MB of zeros in a member that nobody asked for: unpacked a piece at a time."""
    head = bytearray(write.tar({"usr/zeros": b""}, prefix=""))[512:1024]
    size = 128 << 20
    head[124:136] = b"%011o\0" % size
    packer = lzma.LZMACompressor(preset=0)
    packed = packer.compress(bytes(head))
    for _ in range(size >> 20):
        packed += packer.compress(bytes(1 << 20))
    packed += packer.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert package.read(packed, "bomb.pkg.tar.xz").image is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_what_unpacks_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(package, "_UNPACKED_BYTES_MAX", 4 << 20)
    head = bytearray(write.tar({"usr/zeros": b""}, prefix=""))[512:1024]
    head[124:136] = b"%011o\0" % (1 << 32)
    raw = lzma.compress(bytes(head) + bytes(16 << 20), preset=0)
    with pytest.raises(Broken, match="unpacks to more than 4 MiB"):
        package.read(raw, "bomb.pkg.tar.xz")


@pytest.mark.property
@EXAMPLES
@given(st.sampled_from([FORMS["deb"], FORMS["rpm"], FORMS["arch"]]).flatmap(damaged))
def test_damaged_packages_are_read_or_refused(raw):
    try:
        found = package.read(raw, "x")
    except Broken as error:
        if "\n" in str(error):
            raise
    else:
        assert found.image is None or found.image[1] is not None
