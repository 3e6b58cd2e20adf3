"""Writing snapshots, and reading them back."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile

import pytest

from probe_scout.commands.snapshot import write_snapshot
from probe_scout.errors import Broken, Denied, NotThere, SourceError, UsageError
from probe_scout.sources import open_source
from probe_scout.sources.folder import FolderSource
from probe_scout.sources.live import LiveSource
from tests.builders.small_files import note
from tests.builders.tree import SMALL, manifest, write_tree

EVENTS = "sys/kernel/tracing/events"
NOW = 1_767_323_045.9
CONFIG = b"#\n# Linux/x86 6.12.0-test Kernel Configuration\n#\nCONFIG_X86_64=y\n"
BUILD_ID = note(b"GNU", 3, bytes(range(20)))
XEN = note(b"Xen", 1, b"\x00\x00\x00\x92\xff\xff\xff\xff")
MACHINE = {
    "proc/cmdline": b"root=UUID=secret\n",
    "proc/config.gz": gzip.compress(CONFIG),
    "proc/cpuinfo": b"processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: EPYC\nserial\t: 1\n"
    b"flags\t\t: fpu cx8\n\nprocessor\t: 1\nvendor_id\t: other\n",
    "proc/kallsyms": b"ffffffff92000000 T _stext\nffffffff92000010 T __x64_sys_bpf\n"
    b"ffffffffc1201010 t xfs_read\t[xfs]\n",
    "proc/modules": b"xfs 4096 0 - Live 0xffffffffc1201000\n",
    "proc/sys/kernel/hostname": b"secret-host\n",
    "proc/sys/kernel/osrelease": b"6.12.0-test\n",
    "proc/sys/kernel/random/boot_id": b"secret-id\n",
    "proc/version": b"Linux version 6.12.0-test (builder@example)\n",
    "sys/kernel/btf/vmlinux": b"\x9f\xeb\x01\0" * 50,
    "sys/kernel/btf/xfs": b"\x9f\xeb",
    "sys/kernel/notes": BUILD_ID + XEN + note(b"Linux", 257, b"\0\0\0\0"),
    "sys/kernel/tracing/README": b"tracing mini-HOWTO:\n",
    f"{EVENTS}/enable": b"0\n",
    f"{EVENTS}/header_page": b"\tfield: u64 timestamp;\n",
    f"{EVENTS}/sched/enable": b"0\n",
    f"{EVENTS}/sched/sched_switch/enable": b"0\n",
    f"{EVENTS}/sched/sched_switch/format": b"name: sched_switch\n",
    f"{EVENTS}/sched/sched_switch/id": b"316\n",
    "sys/kernel/debug/kprobes/blacklist": b"",
    "sys/kernel/security/lsm": b"capability,bpf",
    "sys/module/xfs/notes/.note.gnu.build-id": note(b"GNU", 3, b"\1" * 20),
    "sys/module/xfs/refcnt": b"0\n",
    "sys/module/printk/parameters/time": b"Y\n",
    "usr/lib/modules/6.12.0-test/modules.dep": b"kernel/fs/xfs/xfs.ko:\n",
    "lib/modules/6.12.0-test/modules.builtin": b"kernel/a.ko\n",
}


@pytest.fixture
def machine(tmp_path):
    return LiveSource(str(write_tree(tmp_path / "machine", MACHINE)))


def save(source, out, **options):
    return write_snapshot(source, str(out), **{"tool_version": "0.1.0", "now": NOW, **options})


def top_of(out) -> dict:
    return json.loads(open_source(str(out)).read("manifest.json"))


def members(out) -> dict[str, bytes]:
    with tarfile.open(out) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive.getmembers()}


def test_everything_the_tool_reads_is_saved(machine, tmp_path):
    result = save(machine, tmp_path / "out.tar.xz")
    found = members(tmp_path / "out.tar.xz")
    assert list(found) == ["manifest.json", *sorted(set(found) - {"manifest.json"})]
    assert set(found) - {"manifest.json"} == {
        "boot/config",
        "lib/modules/6.12.0-test/modules.builtin",
        "lib/modules/6.12.0-test/modules.dep",
        "proc/cpuinfo",
        "proc/kallsyms",
        "proc/modules",
        "proc/sys/kernel/osrelease",
        "proc/version",
        "sys/kernel/btf/vmlinux",
        "sys/kernel/btf/xfs",
        "sys/kernel/debug/kprobes/blacklist",
        "sys/kernel/notes",
        "sys/kernel/security/lsm",
        "sys/kernel/tracing/README",
        f"{EVENTS}/sched/sched_switch/format",
        f"{EVENTS}/sched/sched_switch/id",
        "sys/module/xfs/notes/.note.gnu.build-id",
    }
    assert result[:3] == (str(tmp_path / "out.tar.xz"), os.path.getsize(tmp_path / "out.tar.xz"), len(found))
    assert found["boot/config"] == CONFIG
    assert found["proc/cpuinfo"] == b"vendor_id\t: AuthenticAMD\nmodel name\t: EPYC\nflags\t\t: fpu cx8\n"
    assert found["sys/kernel/btf/vmlinux"] == MACHINE["sys/kernel/btf/vmlinux"]


def test_the_btf_ids_of_events_are_saved_where_the_kernel_has_them(tmp_path):
    """Since 7.3 (event_btf_ids_read); a read of an event whose class has none fails and is told."""
    ids = b"btf_obj_id: 1\nraw_btf_id: 31895\ntp_btf_id: 121058\n"
    made = {**MACHINE, f"{EVENTS}/sched/sched_switch/btf_ids": ids}
    save(LiveSource(str(write_tree(tmp_path / "machine", made))), tmp_path / "out")
    assert open_source(str(tmp_path / "out")).read(f"{EVENTS}/sched/sched_switch/btf_ids") == ids


def test_nothing_private_is_saved(machine, tmp_path):
    save(machine, tmp_path / "out")
    assert b"secret" not in b"".join(members(tmp_path / "out").values())


def test_the_manifest_says_what_was_taken(machine, tmp_path):
    save(machine, tmp_path / "out")
    top = top_of(tmp_path / "out")
    found = {key: top[key] for key in ("schema", "release", "build_id", "arch", "taken", "tool_version", "addresses")}
    assert found == {
        "schema": "probe-scout/snapshot/1",
        "release": "6.12.0-test",
        "build_id": bytes(range(20)).hex(),
        "arch": "x86_64",
        "taken": "2026-01-02T03:04:05Z",
        "tool_version": "0.1.0",
        "addresses": "relative",
    }
    assert top["files"]["boot/config"] == {"size": len(CONFIG), "sha256": hashlib.sha256(CONFIG).hexdigest()}
    description = open_source(str(tmp_path / "out")).describe()
    assert description[:5] == ("snapshot", str(tmp_path / "out"), "2026-01-02T03:04:05Z", "6.12.0-test", "0.1.0")


def test_addresses_are_moved_unless_asked_otherwise(machine, tmp_path):
    save(machine, tmp_path / "out")
    found = members(tmp_path / "out")
    assert found["proc/kallsyms"].startswith(b"ffffffff81000000 T _stext\nffffffff81000010 T __x64_sys_bpf\n")
    assert found["proc/modules"] == b"xfs 4096 0 - Live 0xffffffffc0000000\n"
    assert found["sys/kernel/notes"] == BUILD_ID + note(b"Linux", 257, b"\0\0\0\0"), "Xen's notes hold addresses"
    save(machine, tmp_path / "kept", keep_addresses=True)
    found = members(tmp_path / "kept")
    assert found["proc/kallsyms"] == MACHINE["proc/kallsyms"]
    assert found["sys/kernel/notes"] == MACHINE["sys/kernel/notes"]
    assert top_of(tmp_path / "kept")["addresses"] == "absolute"


def test_hidden_addresses_are_recorded_as_hidden(tmp_path):
    symbols = b"0000000000000000 T _stext\n0000000000000000 T vfs_read\n"
    source = LiveSource(str(write_tree(tmp_path / "m", {**MACHINE, "proc/kallsyms": symbols, "proc/modules": b""})))
    save(source, tmp_path / "out")
    assert members(tmp_path / "out")["proc/kallsyms"] == symbols
    assert top_of(tmp_path / "out")["addresses"] == "hidden"


def test_the_same_machine_gives_the_same_bytes(machine, tmp_path):
    save(machine, tmp_path / "a")
    save(machine, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with tarfile.open(tmp_path / "a") as archive:
        assert {(i.mtime, i.uid, i.gid, i.mode) for i in archive.getmembers()} == {(0, 0, 0, 0o644)}


def test_absence_is_told_apart_afterwards(tmp_path, monkeypatch):
    root = write_tree(tmp_path / "m", MACHINE)
    (root / "sys/kernel/security/lsm").unlink()
    (root / "sys/kernel/security/other").write_bytes(b"")
    source = LiveSource(str(root))
    read = source.read

    class Guarded:
        names, describe = staticmethod(source.names), staticmethod(source.describe)

        @staticmethod
        def read(path):
            if path.endswith("available_filter_functions"):
                raise Denied(path, "Operation not permitted", "run as root")
            if path == "proc/version":
                raise Broken(path, "Input/output error")
            return read(path)

    result = save(Guarded(), tmp_path / "out")
    assert dict(result.left_out) == {
        "proc/version": "Input/output error",
        "sys/kernel/tracing/available_filter_functions": "Operation not permitted",
    }
    found = open_source(str(tmp_path / "out"))
    kinds = {}
    for path in (
        "sys/kernel/tracing/available_filter_functions",
        "proc/version",
        "sys/kernel/security/lsm",
        "sys/kernel/debug/error_injection/list",
        f"{EVENTS}/sched/no_such/format",
        f"{EVENTS}/sched/sched_switch/btf_ids",
        "sys/kernel/btf/no_such",
        "proc/cmdline",
        f"{EVENTS}/sched/sched_switch/enable",
    ):
        with pytest.raises(SourceError) as caught:
            found.read(path)
        kinds[path] = (type(caught.value).__name__, caught.value.kind)
    assert list(kinds.values()) == [
        ("Denied", "denied"),
        ("Broken", "malformed"),
        *[("NotThere", "not_there")] * 5,
        *[("NotThere", "not_recorded")] * 2,
    ]
    assert found.names("sys/kernel/btf") == ("vmlinux", "xfs")
    with pytest.raises(NotThere):
        found.names(f"{EVENTS}/no_such")


def test_an_unmounted_filesystem_stays_unknown_in_the_snapshot(tmp_path):
    bare = {path: raw for path, raw in MACHINE.items() if "/tracing/" not in path}
    root = write_tree(tmp_path / "m", bare)
    (root / "sys/kernel/tracing").mkdir()
    result = save(LiveSource(str(root)), tmp_path / "out")
    assert dict(result.left_out)[EVENTS] == "tracefs is not mounted"
    found = open_source(str(tmp_path / "out"))
    for path in (f"{EVENTS}/sched/sched_switch/format", "sys/kernel/tracing/available_events"):
        with pytest.raises(NotThere, match="tracefs is not mounted when the snapshot was taken") as caught:
            found.read(path)
        assert caught.value.kind == "not_recorded"


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("proc/config.gz", gzip.compress(CONFIG)),
        ("boot/config-6.12.0-test", CONFIG),
        ("usr/lib/modules/6.12.0-test/config", CONFIG),
        ("lib/modules/6.12.0-test/config", CONFIG),
        ("boot/config", CONFIG),
    ],
)
def test_the_configuration_is_found_wherever_it_is(tmp_path, path, raw):
    root = write_tree(tmp_path / "m", {"proc/sys/kernel/osrelease": b"6.12.0-test\n", path: raw})
    save(LiveSource(str(root)), tmp_path / "out")
    assert members(tmp_path / "out")["boot/config"] == CONFIG
    assert top_of(tmp_path / "out")["arch"] == "x86_64"


def test_a_damaged_config_gz_does_not_hide_the_one_in_boot(tmp_path):
    files = {"proc/sys/kernel/osrelease": b"6.12.0-test\n", "proc/config.gz": b"\x1f\x8bx", "boot/config": CONFIG}
    save(LiveSource(str(write_tree(tmp_path / "m", files))), tmp_path / "out")
    assert members(tmp_path / "out")["boot/config"] == CONFIG


def test_a_snapshot_can_be_saved_again(machine, tmp_path):
    save(machine, tmp_path / "a", with_code={"code/slices": b"machine code"})
    save(open_source(str(tmp_path / "a")), tmp_path / "b", now=NOW + 999)
    first, second = members(tmp_path / "a"), members(tmp_path / "b")
    assert {k: v for k, v in first.items() if k != "manifest.json"} == {
        k: v for k, v in second.items() if k != "manifest.json"
    }
    again = top_of(tmp_path / "b")
    assert {k: v for k, v in top_of(tmp_path / "a").items() if k not in ("unread", "asked")} == {
        k: v for k, v in again.items() if k not in ("unread", "asked")
    }
    save(open_source(str(tmp_path / "b")), tmp_path / "c", keep_addresses=True)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes(), "relative addresses stay called so"
    found = open_source(str(tmp_path / "b"))
    with pytest.raises(NotThere) as caught:
        found.read(f"{EVENTS}/sched/no_such/format")
    assert caught.value.kind == "not_there"


def test_reasons_do_not_grow_when_saved_again(tmp_path):
    unread = {"proc/modules": {"kind": "denied", "why": "Permission denied"}}
    folder = write_tree(tmp_path / "s", {**SMALL, "manifest.json": manifest(SMALL, unread=unread)})
    save(FolderSource(str(folder), "snapshot"), tmp_path / "a")
    save(open_source(str(tmp_path / "a")), tmp_path / "b")
    assert top_of(tmp_path / "b")["unread"]["proc/modules"] == unread["proc/modules"]


def test_what_a_snapshot_without_manifest_lacks_stays_unknown(tmp_path):
    save(FolderSource(str(write_tree(tmp_path / "s", SMALL)), "snapshot"), tmp_path / "out")
    found = open_source(str(tmp_path / "out"))
    for path in ("proc/modules", f"{EVENTS}/sched/sched_switch/btf_ids", "sys/kernel/btf/vmlinux"):
        with pytest.raises(NotThere) as caught:
            found.read(path)
        assert caught.value.kind == "not_recorded", path
    with pytest.raises(NotThere) as caught:
        found.read(f"{EVENTS}/sched/no_such/format")
    assert caught.value.kind == "not_there"


def test_extra_members_are_stored_as_they_are(machine, tmp_path):
    save(machine, tmp_path / "out", with_code={"code/slices": b"\x55\x48"})
    assert open_source(str(tmp_path / "out")).read("code/slices") == b"\x55\x48"


@pytest.mark.parametrize("path", ["../x", "/x", "", "code//x", "manifest.json", "proc/kallsyms"])
def test_extra_members_may_not_spoil_the_snapshot(machine, tmp_path, path):
    with pytest.raises(UsageError):
        save(machine, tmp_path / "out", with_code={path: b""})
    assert os.listdir(tmp_path) == ["machine"]


def test_anyone_may_read_the_file_whatever_the_umask(machine, tmp_path):
    before = os.umask(0o077)
    try:
        save(machine, tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "out").st_mode) == 0o644


def test_only_a_regular_file_is_overwritten(machine, tmp_path):
    (tmp_path / "out").write_bytes(b"old")
    save(machine, tmp_path / "out")
    assert open_source(str(tmp_path / "out")).read("proc/version") == MACHINE["proc/version"]
    (tmp_path / "victim").write_bytes(b"keep")
    (tmp_path / "link").symlink_to("victim")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "folder", "fifo"):
        with pytest.raises(UsageError, match="not a regular file"):
            save(machine, tmp_path / name)
    assert (tmp_path / "victim").read_bytes() == b"keep"
    with pytest.raises(Broken, match="cannot be written: No such file"):
        save(machine, tmp_path / "none/out")


def test_a_failed_write_leaves_nothing_behind(machine, tmp_path, monkeypatch):
    (tmp_path / "out").write_bytes(b"old")

    def fail(*args):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("probe_scout.commands.snapshot.os.replace", fail)
    with pytest.raises(Broken, match="cannot be written: No space left on device"):
        save(machine, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["machine", "out"]
    assert (tmp_path / "out").read_bytes() == b"old"


def test_a_snapshot_of_a_mounted_root_is_taken_inside_it(tmp_path):
    root = write_tree(tmp_path / "root", {**MACHINE, "etc/fstab": b""})
    (root / "proc/version").unlink()
    (root / "proc/version").symlink_to("/proc/modules")
    save(open_source(str(root)), tmp_path / "out")
    assert members(tmp_path / "out")["proc/version"] == b"xfs 4096 0 - Live 0xffffffffc1201000\n"


def test_an_empty_source_still_gives_a_snapshot(tmp_path):
    (tmp_path / "root").mkdir()
    save(FolderSource(str(tmp_path / "root"), "root"), tmp_path / "out")
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "out").read_bytes())) as archive:
        assert archive.getnames() == ["manifest.json"]
    with pytest.raises(NotThere, match="proc is not mounted"):
        open_source(str(tmp_path / "out")).read("proc/kallsyms")


@pytest.mark.machine
def test_this_machine_can_be_saved(tmp_path, monkeypatch):
    monkeypatch.setattr("probe_scout.sources.pack.XZ_PRESET", 0)
    monkeypatch.setattr("probe_scout.commands.snapshot.PATTERNS", ("sys/module/*/notes/.note.gnu.build-id",))
    source = LiveSource()
    try:
        source.read("proc/version")
    except SourceError as exc:
        pytest.skip(f"this machine does not say its version: {exc}")
    save(source, tmp_path / "out")
    assert open_source(str(tmp_path / "out")).read("proc/version") == source.read("proc/version")
