"""Kernels that were not booted, by the path of an image or a package: opened, asked, refused with one sentence."""

from __future__ import annotations

import gzip
import json

import pytest

import probe_scout
from probe_scout.errors import Broken
from probe_scout.frontends.cli import run
from probe_scout.kernel.from_image import open_image
from tests.builders import package_writer as write
from tests.builders.image_writer import bzimage
from tests.builders.tiny_image import BUILD_ID, Event, TinyImage
from tests.builders.tiny_kernel import FEATURE_FUNCTIONS


@pytest.fixture(scope="module")
def vmlinuz() -> bytes:
    made = TinyImage()
    for name in (*FEATURE_FUNCTIONS, "vfs_read"):
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


def test_what_was_assumed_is_told(tmp_path, packages, capsys):
    path = tmp_path / "linux-image.deb"
    path.write_bytes(packages["linux-image.deb"])
    assert run.main(["check", "vfs_read", "--type=kprobe", f"--root={path}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["kernel"]
    assert told["basis"] == "image"
    assert "no modules are loaded" in told["assumed"]
    run.main(["check", "vfs_read", "--type=kprobe", f"--root={path}"])
    assert "not booted; assumed: no modules are loaded;" in capsys.readouterr().out


def test_a_snapshot_of_a_package_answers_the_same_and_says_that_it_was_not_booted(tmp_path, packages, capsys):
    path, out = tmp_path / "linux-image.deb", tmp_path / "x.tar.xz"
    path.write_bytes(packages["linux-image.deb"])
    assert run.main(["snapshot", f"--from={path}", "-o", str(out)]) == 0
    assert "boot/config: neither the package" not in capsys.readouterr().out
    package, kept = probe_scout.open_kernel(str(path)), probe_scout.open_kernel(str(out))
    assert kept.info().basis == "image"
    assert kept.info().assumed == package.info().assumed
    names = ["vfs_read", "closed_one", "no_such", "sched:sched_switch"]
    said = [
        [(v.attach, v.answer, v.errno) for t in kernel.check(names).targets for v in t.verdicts]
        for kernel in (package, kept)
    ]
    assert said[0] == said[1]
    again = tmp_path / "y.tar.gz"
    assert run.main(["snapshot", f"--root={out}", "-o", str(again)]) == 0
    assert probe_scout.open_kernel(str(again)).info().basis == "image"


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
