"""An image as the files of a booted kernel: what is computed, what is assumed, and what boot decides."""

from __future__ import annotations

import gzip

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.image import tree
from tests.builders.image_writer import bzimage, with_size
from tests.builders.tiny_image import BANNER, BUILD_ID, Event, TinyImage


def image() -> TinyImage:
    made = TinyImage()
    made.function("vfs_read")
    made.event(Event("sched", "sched_switch"))
    return made


def test_the_files_are_those_that_the_booted_kernel_shows():
    made = image()
    made.config = gzip.compress(b"CONFIG_BPF=y\n")
    found = tree.Tree(with_size(made.elf(), made.elf()), "vmlinux")
    files = {path: make() for path, make in found.files().items()}
    assert found.release() == "6.12.0-tiny"
    assert files["proc/version"] == BANNER.encode() + b"\n"
    assert b" T vfs_read\n" in files["proc/kallsyms"]
    assert files["sys/kernel/tracing/available_filter_functions"] == b"vfs_read\n"
    assert files["sys/kernel/tracing/available_events"] == b"sched:sched_switch\n"
    assert files["sys/kernel/tracing/events/sched/sched_switch/id"] == b"20\n"
    assert BUILD_ID in files["sys/kernel/notes"]
    assert gzip.decompress(files["boot/config-6.12.0-tiny"]) == b"CONFIG_BPF=y\n"
    assert files["proc/modules"] == b""
    assert "sys/kernel/security/lockdown" not in files  # no function of this image knows it


@pytest.mark.parametrize("pack", [gzip.compress, lambda raw: with_size(__import__("lzma").compress(raw), raw)])
def test_a_packed_image_is_the_same(pack):
    elf = image().elf()
    found = tree.Tree(bzimage(pack(elf)), "vmlinuz")
    assert found.elf == elf


def test_the_package_s_configuration_is_taken_before_the_image_s():
    made = image()
    made.config = gzip.compress(b"CONFIG_OLD=y\n")
    assert tree.Tree(made.elf(), "x", b"CONFIG_NEW=y\n").files()["boot/config-6.12.0-tiny"]() == b"CONFIG_NEW=y\n"


def test_what_boot_decides_is_not_recorded_and_what_the_image_would_hold_is_not_there():
    for path in ("proc/cpuinfo", "sys/kernel/security/lsm"):
        assert tree.not_known(path).kind == "not_recorded"
    for path in ("sys/kernel/debug/error_injection/list", "sys/kernel/tracing/available_filter_functions"):
        assert tree.not_known(path).kind == "not_there"
        without = tree.not_known(path, has_data=False)
        assert (without.kind, "CONFIG_KALLSYMS_ALL" in str(without)) == ("not_recorded", True)
    for path in ("sys/kernel/tracing/events/a/b/id", "sys/kernel/btf/fuse"):
        assert tree.not_known(path).kind == "not_there"


@pytest.mark.parametrize("raw", [b"", b"\x7fELF", b"MZ" + bytes(600), bytes(4096)])
def test_bytes_that_are_no_image_are_malformed(raw):
    with pytest.raises(Malformed):
        tree.Tree(raw, "x")
