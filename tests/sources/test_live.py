"""The running machine, and the same class over a small folder that plays its part."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from probe_scout.errors import Broken, Denied, NotThere, SourceError
from probe_scout.sources import reading
from probe_scout.sources.live import LiveSource
from probe_scout.sources.source import Description
from tests.builders.tree import SMALL, write_tree


@pytest.fixture
def machine(tmp_path):
    return LiveSource(str(write_tree(tmp_path, SMALL)))


def test_a_file_is_read_whole(machine):
    assert machine.read("proc/kallsyms") == SMALL["proc/kallsyms"]


def test_an_empty_file_is_no_error(tmp_path):
    write_tree(tmp_path, {"sys/kernel/debug/kprobes/list": b""})
    assert LiveSource(str(tmp_path)).read("sys/kernel/debug/kprobes/list") == b""


def test_entries_are_sorted(machine):
    assert machine.names("sys/kernel/tracing/events/sched/sched_switch") == ("format", "id")


def test_a_name_the_kernel_does_not_have_is_not_there(machine):
    with pytest.raises(NotThere) as found:
        machine.read("sys/kernel/tracing/events/sched/no_such/format")
    assert (found.value.kind, found.value.cure) == ("not_there", "")


def test_below_a_file_is_nothing(machine):
    with pytest.raises(NotThere):
        machine.read("proc/kallsyms/x")
    with pytest.raises(NotThere):
        machine.names("proc/kallsyms")


@pytest.mark.parametrize(
    "path", ["", "/proc/kallsyms", "../x", "proc/../etc/passwd", "proc//x", "./proc", "a\0b", "\ud800"]
)
def test_only_plain_paths_are_read(machine, path):
    with pytest.raises(NotThere):
        machine.read(path)


@pytest.mark.parametrize(
    ("path", "cure"),
    [
        ("sys/kernel/tracing/available_events", "mount -t tracefs none /sys/kernel/tracing"),
        ("sys/kernel/debug/kprobes/blacklist", "mount -t debugfs none /sys/kernel/debug"),
        ("sys/kernel/security/lockdown", "mount -t securityfs none /sys/kernel/security"),
    ],
)
def test_an_unmounted_filesystem_is_named_with_its_cure(tmp_path, path, cure):
    for folder in ("tracing", "debug", "security"):
        (tmp_path / "sys/kernel" / folder).mkdir(parents=True)
    with pytest.raises(NotThere) as found:
        LiveSource(str(tmp_path)).read(path)
    assert found.value.cure == cure
    assert found.value.kind == "not_recorded", "what an unmounted filesystem holds is unknown, not absent"
    with pytest.raises(NotThere, match="is not mounted"):
        LiveSource(str(tmp_path)).names(path.rpartition("/")[0].removesuffix("/kprobes"))


@pytest.mark.parametrize("has_empty_mount_point", [True, False])
def test_tracefs_is_found_below_debugfs(tmp_path, has_empty_mount_point):
    write_tree(tmp_path, {"sys/kernel/debug/tracing/events/a/b/id": b"7\n"})
    if has_empty_mount_point:
        (tmp_path / "sys/kernel/tracing").mkdir()
    source = LiveSource(str(tmp_path))
    assert source.read("sys/kernel/tracing/events/a/b/id") == b"7\n"
    assert source.names("sys/kernel/tracing") == ("events",)
    with pytest.raises(NotThere):
        source.read("sys/kernel/tracing/events/a/c/id")


def test_a_mounted_tracefs_is_not_mixed_with_the_one_below_debugfs(tmp_path):
    write_tree(tmp_path, {"sys/kernel/debug/tracing/old": b"x", "sys/kernel/tracing/README": b""})
    with pytest.raises(NotThere):
        LiveSource(str(tmp_path)).read("sys/kernel/tracing/old")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EACCES, Denied),
        (errno.EPERM, Denied),
        (errno.ENOENT, NotThere),
        (errno.ENOTDIR, NotThere),
        (errno.ENAMETOOLONG, NotThere),
        (errno.EIO, Broken),
        (errno.EINVAL, Broken),
        (errno.ENODEV, Broken),
        (errno.ELOOP, Broken),
        (errno.EAGAIN, Broken),
        (errno.EMFILE, Broken),
        (errno.EOPNOTSUPP, Broken),
    ],
)
@pytest.mark.parametrize("call", ["open", "read"])
def test_each_errno_becomes_one_error(machine, monkeypatch, code, kind, call):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(reading.os, call, fail)
    with pytest.raises(SourceError) as found:
        machine.read("proc/kallsyms")
    assert type(found.value) is kind
    assert found.value.path == "proc/kallsyms"


@pytest.mark.parametrize(("uid", "cure"), [(1000, "run as root"), (0, "root is refused too")])
def test_a_refusal_says_what_helps(machine, monkeypatch, uid, cure):
    def fail(*args, **kwargs):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(reading.os, "open", fail)
    monkeypatch.setattr(reading.os, "geteuid", lambda: uid)
    with pytest.raises(Denied, match=cure) as found:
        machine.read("proc/kallsyms")
    assert found.value.why == "Operation not permitted"


def test_special_files_are_refused_and_do_not_block(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.close()
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    source = LiveSource(str(tmp_path))
    for name, what in [("fifo", "FIFO"), ("socket", "socket"), ("folder", "folder"), ("device", "character device")]:
        with pytest.raises(Broken, match=what):
            source.read(name)


def test_a_huge_file_is_refused(tmp_path):
    with open(tmp_path / "huge", "wb") as out:
        out.truncate(reading.FILE_BYTES_MAX + 1)
    with pytest.raises(Broken, match="larger than 256 MiB"):
        LiveSource(str(tmp_path)).read("huge")


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    write_tree(tmp_path, {"a": b"x"})
    monkeypatch.setattr(reading.os, "read", lambda fd, size: bytes(1 << 20))
    with pytest.raises(Broken, match="larger than 256 MiB"):
        LiveSource(str(tmp_path)).read("a")


@pytest.mark.machine
def test_this_machine_answers():
    source = LiveSource()
    if not os.access("/proc/version", os.R_OK):
        pytest.skip("this machine has no readable /proc/version")
    assert source.read("proc/version").startswith(b"Linux version")
    assert "version" in source.names("proc")
    assert source.describe() == Description("live", "/", release=os.uname().release)


@pytest.mark.machine
def test_a_long_seq_file_of_this_machine_is_read_to_its_end():
    try:
        symbols = LiveSource().read("proc/kallsyms")
    except SourceError as exc:
        pytest.skip(f"this machine does not show its symbols: {exc}")
    if not symbols:
        pytest.skip("this machine's kallsyms is empty")
    assert symbols.endswith(b"\n")
    assert symbols.count(b"\n") > 1000


def test_a_tracefs_that_lockdown_left_empty_is_not_called_unmounted(tmp_path, monkeypatch):
    (tmp_path / "sys/kernel/tracing").mkdir(parents=True)
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path).endswith("sys/kernel/tracing"))
    live = LiveSource(str(tmp_path))
    with pytest.raises(Denied, match="mounted but empty") as found:
        live.read("sys/kernel/tracing/available_events")
    assert "lockdown=confidentiality" in found.value.cure
    with pytest.raises(Denied):
        live.names("sys/kernel/tracing/events")


def test_an_ftrace_that_shut_itself_down_is_told_with_its_cure():
    error = OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    found = reading.refusal("sys/kernel/tracing/available_filter_functions", error)
    assert isinstance(found, Denied)
    assert "boot again" in found.cure
    assert isinstance(reading.refusal("proc/sys/kernel/ftrace_enabled", error), Denied)
    assert isinstance(reading.refusal("proc/kallsyms", error), Broken)
