"""Kernels that were not booted, by the path of an image or a package: opened, asked, refused with one sentence."""

from __future__ import annotations

import gzip

import pytest

import probe_scout
from probe_scout.errors import Broken
from probe_scout.kernel.from_image import open_image
from tests.builders import package_writer as write
from tests.builders.image_writer import bzimage
from tests.builders.tiny_image import BUILD_ID, Event, TinyImage
from tests.builders.tiny_kernel import WITNESS_FUNCTIONS


@pytest.fixture(scope="module")
def vmlinuz() -> bytes:
    made = TinyImage()
    for name in (*WITNESS_FUNCTIONS, "vfs_read"):
        made.function(name)
    made.function("closed_one", blacklisted=True)
    made.event(Event("sched", "sched_switch"))
    return bzimage(gzip.compress(made.elf(), 1))


CONFIG = b"CONFIG_KPROBES=y\nCONFIG_BPF_SYSCALL=y\nCONFIG_KPROBE_EVENTS=y\n"


@pytest.fixture(scope="module")
def packages(vmlinuz) -> dict[str, bytes]:
    boot = {"boot/vmlinuz-6.12.0-tiny": vmlinuz, "boot/config-6.12.0-tiny": CONFIG}
    lib = {"usr/lib/modules/6.12.0-tiny/vmlinuz": vmlinuz, "usr/lib/modules/6.12.0-tiny/config": CONFIG}
    return {
        "linux-image.deb": write.deb(boot),
        "kernel-core.rpm": write.rpm(lib),
        "linux.pkg.tar.xz": write.arch(lib),
        "vmlinuz": vmlinuz,
    }


@pytest.mark.parametrize("name", ["linux-image.deb", "kernel-core.rpm", "linux.pkg.tar.xz", "vmlinuz"])
def test_a_package_is_asked_as_a_kernel(tmp_path, packages, name):
    path = tmp_path / name
    path.write_bytes(packages[name])
    kernel = probe_scout.open_kernel(str(path))
    info = kernel.info()
    assert (info.release, info.build_id, info.source) == ("6.12.0-tiny", BUILD_ID.hex(), "image")
    report = kernel.check(["closed_one"], types=["kprobe"])
    (verdict,) = report.targets[0].verdicts
    assert (verdict.answer, verdict.errno) == ("no", "EINVAL")


def test_snapshots_folders_and_other_files_are_not_taken_for_images(tmp_path):
    assert open_image(str(tmp_path)) is None
    assert open_image("") is None
    other = tmp_path / "snapshot.tar.xz"
    other.write_bytes(b"\xfd7zXZ\0" + bytes(100))
    assert open_image(str(other)) is None
    assert open_image(str(tmp_path / "none")) is None


@pytest.mark.parametrize("name", ["linux-image.deb", "kernel-core.rpm", "linux.pkg.tar.xz", "vmlinuz"])
def test_a_file_that_is_cut_off_is_one_sentence(tmp_path, packages, name):
    path = tmp_path / name
    raw = packages[name]
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(Broken) as error:
        probe_scout.open_kernel(str(path)).info()
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
