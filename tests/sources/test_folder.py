"""Snapshot folders and mounted roots."""

from __future__ import annotations

import gzip
import lzma
import os

import pytest

from probe_scout.errors import Broken, Denied, NotThere, SourceError
from probe_scout.sources import unpack
from probe_scout.sources.folder import FolderSource
from tests.builders.tree import SMALL, manifest, write_tree
from tests.builders.zstd_readers import without_readers

FORMAT = "sys/kernel/tracing/events/sched/sched_switch/format"


def snapshot(folder, files=SMALL, **changes):
    write_tree(folder, {**files, "manifest.json": manifest(files, **changes)})
    return FolderSource(str(folder), "snapshot")


def test_files_and_folders_are_read(tmp_path):
    source = FolderSource(str(write_tree(tmp_path, SMALL)), "snapshot")
    assert {path: source.read(path) for path in SMALL} == SMALL
    assert source.names("") == ("boot", "proc", "sys")
    assert source.names("sys/kernel/tracing/events/sched") == ("sched_switch",)
    assert source.describe().notes == ("no manifest.json",)


def test_many_reads_are_the_same_reads(tmp_path):
    files = {
        "a/b/one/format": b"1",
        "a/b/two/format": b"2",
        "a/c/format": b"3",
        "a/b/packed.xz": lzma.compress(b"4"),
        "a/empty": b"",
        "a/large": b"x" * 200_000,
    }
    write_tree(tmp_path, files)
    (tmp_path / "a/b/link").symlink_to("one")
    (tmp_path / "a/out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "a/fifo")
    source = FolderSource(str(tmp_path), "root")
    paths = [
        *("a/b/one/format", "a/b/two/format", "a/b/packed", "a/c/format", "a/b/link/format", "a/out", "a/fifo"),
        *("a/none", "a/b", "../x", "a//b", "", "a/empty", "a/large", "a/b/one/format"),
    ]

    def answer(path):
        try:
            return source.read(path)
        except SourceError as error:
            return type(error), str(error)

    many = [(type(one), str(one)) if isinstance(one, SourceError) else one for one in source.read_many(paths)]
    assert many == [answer(path) for path in paths]
    assert many[:5] == [b"1", b"2", b"4", b"3", b"1"]


def test_many_reads_are_checked_against_the_manifest(tmp_path):
    source = snapshot(tmp_path)
    path = next(iter(SMALL))
    (tmp_path / path).write_bytes(b"changed")
    (found,) = source.read_many([path])
    assert isinstance(found, Broken)


def test_packed_files_stand_for_the_absent_ones(tmp_path):
    files = {
        "sys/kernel/btf/vmlinux.xz": lzma.compress(b"BTF"),
        "sys/kernel/btf/xfs.gz": gzip.compress(b"split"),
        "sys/kernel/btf/tun": b"plain",
        "sys/kernel/btf/tun.gz": gzip.compress(b"not this one"),
        "proc/config.gz": gzip.compress(b"CONFIG_BPF=y\n"),
    }
    source = FolderSource(str(write_tree(tmp_path, files)), "snapshot")
    assert source.names("sys/kernel/btf") == ("tun", "vmlinux", "xfs")
    assert [source.read(f"sys/kernel/btf/{n}") for n in ("tun", "vmlinux", "xfs")] == [b"plain", b"BTF", b"split"]
    assert source.names("proc") == ("config.gz",)
    assert source.read("proc/config.gz") == files["proc/config.gz"]


@pytest.mark.parametrize("raw", [b"", b"garbage", lzma.compress(b"x" * 999)[:-9], lzma.compress(b"")[:8]])
def test_a_damaged_packed_file_is_broken(tmp_path, raw):
    source = FolderSource(str(write_tree(tmp_path, {"proc/kallsyms.xz": raw})), "snapshot")
    with pytest.raises(Broken):
        source.read("proc/kallsyms")


def test_a_packed_file_may_not_unpack_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("probe_scout.sources.folder.FILE_BYTES_MAX", 1 << 20)
    source = FolderSource(str(write_tree(tmp_path, {"proc/kallsyms.xz": lzma.compress(bytes(2 << 20))})), "snapshot")
    with pytest.raises(Broken, match="unpacks to more than 1 MiB"):
        source.read("proc/kallsyms")


def test_packed_streams_may_follow_each_other():
    for packing, one in [("gzip", gzip.compress(b"ab")), ("xz", lzma.compress(b"ab"))]:
        assert unpack.unpacked(one * 3, packing, "x", 100) == b"ababab"
        assert unpack.unpacked(one + b"\0" * 8 + one + b"rest", packing, "x", 100) == b"abab"
        with pytest.raises(Broken, match="streams in one file"):
            unpack.unpacked(one * (unpack.STREAMS_MAX + 1), packing, "x", 1 << 20)


@pytest.mark.parametrize("packing", ["gzip", "xz"])
@pytest.mark.parametrize("slice_bytes", [1, 7, 64])
def test_packed_streams_may_be_cut_anywhere_between_reads(monkeypatch, packing, slice_bytes):
    monkeypatch.setattr(unpack, "SLICE_BYTES", slice_bytes)
    one = {"gzip": gzip.compress, "xz": lzma.compress}[packing]
    raw = one(b"first" * 50) + one(b"") + one(b"last")
    assert unpack.unpacked(raw, packing, "x", 1000) == b"first" * 50 + b"last"


@pytest.mark.parametrize("piece_bytes", [1, 100, 1 << 20])
def test_a_gzip_piece_that_comes_out_full_is_not_the_last(monkeypatch, piece_bytes):
    monkeypatch.setattr(unpack, "PIECE_BYTES", piece_bytes)
    assert unpack.unpacked(gzip.compress(bytes(1000)), "gzip", "x", 1000) == bytes(1000)


def test_zstd_needs_a_reader(tmp_path, monkeypatch):
    without_readers(monkeypatch)
    source = FolderSource(str(write_tree(tmp_path, {"proc/kallsyms.zst": b"\x28\xb5\x2f\xfd"})), "snapshot")
    with pytest.raises(Broken) as found:
        source.read("proc/kallsyms")
    assert found.value.why == "packed with zstd, which needs Python 3.14 or the zstandard package"


@pytest.mark.parametrize(
    "target",
    ["/etc/secret", "../../../../../../../../etc/secret", "../outside/secret", "/../../etc/secret", "//etc//./secret"],
)
def test_links_never_leave_the_root(tmp_path, target):
    write_tree(tmp_path, {"etc/secret": b"outside", "outside/secret": b"outside"})
    root = write_tree(tmp_path / "root", {"etc/secret": b"inside", "outside/secret": b"inside"})
    (root / "proc").mkdir()
    (root / "proc/kallsyms").symlink_to(target)
    (root / "sys").symlink_to(target.removesuffix("secret"))
    source = FolderSource(str(root), "root")
    assert source.read("proc/kallsyms") == b"inside"
    assert source.read("sys/secret") == b"inside"
    assert source.names("sys") == ("secret",)


def test_a_link_to_a_file_of_this_machine_finds_nothing(tmp_path):
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    (tmp_path / "up").symlink_to("../" * 40)
    source = FolderSource(str(tmp_path), "root")
    with pytest.raises(NotThere):
        source.read("passwd")
    assert source.names("up") == ("passwd", "up")


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Broken, match="symbolic links"):
        FolderSource(str(tmp_path), "root").read("a")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "proc/../../x", "a\0b"])
def test_only_plain_paths_are_read(tmp_path, path):
    write_tree(tmp_path, {"x": b"outside"})
    source = FolderSource(str(write_tree(tmp_path / "root", SMALL)), "snapshot")
    with pytest.raises(NotThere):
        source.read(path)
    with pytest.raises(NotThere):
        source.names(path)


def test_special_files_are_refused_and_do_not_block(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Broken, match="a FIFO"):
        FolderSource(str(tmp_path), "root").read("fifo")
    with pytest.raises(Broken, match="a folder"):
        FolderSource(str(tmp_path.parent), "root").read(tmp_path.name)


def test_a_root_without_proc_does_not_speak_for_its_kernel(tmp_path):
    (tmp_path / "proc").mkdir()
    for path, why in [("proc/kallsyms", "proc is not mounted"), ("sys/kernel/btf/vmlinux", "sysfs is not mounted")]:
        with pytest.raises(NotThere, match=why) as found:
            FolderSource(str(tmp_path), "root").read(path)
        assert found.value.kind == "not_recorded"


def test_a_root_with_proc_does(tmp_path):
    with pytest.raises(NotThere) as found:
        FolderSource(str(write_tree(tmp_path, SMALL)), "root").read("proc/modules")
    assert found.value.kind == "not_there"


def test_what_a_snapshot_without_manifest_lacks_was_not_recorded(tmp_path):
    with pytest.raises(NotThere, match="not recorded in this snapshot") as found:
        FolderSource(str(write_tree(tmp_path, SMALL)), "snapshot").read("proc/modules")
    assert found.value.kind == "not_recorded"


def test_the_manifest_tells_four_kinds_of_absence_apart(tmp_path):
    source = snapshot(
        tmp_path,
        unread={
            "sys/kernel/debug": {"kind": "denied", "why": "Permission denied"},
            "proc/modules": {"kind": "not_there", "why": "no such file or folder"},
            "proc/version": {"kind": "malformed", "why": "Input/output error"},
            "sys/kernel/security/lsm": {"kind": "not_recorded", "why": "securityfs is not mounted"},
        },
        asked=["sys/kernel/tracing/events/*/*/format"],
    )
    found = {}
    for path in (
        "sys/kernel/debug/kprobes/blacklist",
        "proc/modules",
        "proc/version",
        "sys/kernel/security/lsm",
        "sys/kernel/tracing/events/sched/no_such/format",
        "sys/kernel/tracing/events/sched/sched_switch/btf_ids",
    ):
        with pytest.raises((NotThere, Denied, Broken)) as caught:
            source.read(path)
        found[path] = (type(caught.value), caught.value.kind, caught.value.why)
    assert list(found.values()) == [
        (Denied, "denied", "Permission denied when the snapshot was taken"),
        (NotThere, "not_there", "no such file or folder when the snapshot was taken"),
        (Broken, "malformed", "Input/output error when the snapshot was taken"),
        (NotThere, "not_recorded", "securityfs is not mounted when the snapshot was taken"),
        (NotThere, "not_there", "no such file when the snapshot was taken"),
        (NotThere, "not_recorded", "not recorded in this snapshot"),
    ]
    with pytest.raises(Denied):
        source.names("sys/kernel/debug/kprobes")
    with pytest.raises(NotThere) as caught:
        source.names("sys/kernel/tracing/events/no_such")
    assert caught.value.kind == "not_there"


def test_the_manifest_describes_the_snapshot(tmp_path):
    found = snapshot(tmp_path, unread={"x": {"kind": "denied", "why": "y"}}).describe()
    assert found[:5] == ("snapshot", str(tmp_path), "2026-01-02T03:04:05Z", "6.12.0-test", "0.1.0")
    assert found.notes == ("addresses are relative", "1 files could not be read when the snapshot was taken")


def test_a_changed_file_is_broken(tmp_path):
    source = snapshot(tmp_path)
    (tmp_path / "proc/kallsyms").write_bytes(SMALL["proc/kallsyms"].replace(b"read", b"rea1"))
    (tmp_path / FORMAT).write_bytes(b"")
    with pytest.raises(Broken, match="sha256"):
        source.read("proc/kallsyms")
    with pytest.raises(Broken, match="size"):
        source.read(FORMAT)


def test_a_lost_file_is_broken(tmp_path):
    source = snapshot(tmp_path)
    (tmp_path / FORMAT).unlink()
    with pytest.raises(Broken, match="lists"):
        source.read(FORMAT)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"{}",
        b'{"schema":"probe-scout/snapshot/2","files":{}}',
        b'{"schema":["probe-scout/snapshot/1"],"files":{}}',
        b'{"schema":"probe-scout/snapshot/1"}',
        b'{"schema":"probe-scout/snapshot/1","files":[]}',
        b'{"schema":"probe-scout/snapshot/1","files":{},"release":7}',
        b'{"schema":"probe-scout/snapshot/1","files":{"proc/kallsyms":1}}',
        b'{"schema":"probe-scout/snapshot/1","files":{"proc/kallsyms":{"size":"1"}}}',
    ],
)
def test_a_manifest_of_another_shape_is_broken(tmp_path, raw):
    source = FolderSource(str(write_tree(tmp_path, {**SMALL, "manifest.json": raw})), "snapshot")
    with pytest.raises(Broken):
        source.read("proc/kallsyms")


def test_an_unread_entry_of_another_shape_is_broken(tmp_path):
    source = snapshot(tmp_path, unread={"proc/modules": 1, "proc/version": {"kind": 1, "why": 2}})
    for path in ("proc/modules", "proc/version"):
        with pytest.raises(Broken):
            source.read(path)
