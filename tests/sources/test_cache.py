"""The folder of kept answers: what a key hangs on, which files are believed, how much is kept."""

from __future__ import annotations

import json
import os
import zlib
from types import SimpleNamespace

import pytest

from probe_scout.sources import cache


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """The folder, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PROBE_SCOUT_CACHE", raising=False)
    return tmp_path / "cache" / "probe-scout"


# ------------------------------------------------------------------------ the key


@pytest.fixture
def tree(tmp_path):
    """Another root, in which every file that a key hangs on is there."""
    root = tmp_path / "root"
    for path in sorted({*cache._STATED, *cache._READ, "proc/modules", "sys/kernel/btf/xfs"}):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if not any(other.startswith(f"{path}/") for other in (*cache._STATED, *cache._READ)):
            (root / path).write_bytes(b"one\n")
    return root


def key(root, names=("vfs_read",), types=(), vmlinux=None, as_me=False):
    return cache.key(str(root), vmlinux, names, types, as_me)


@pytest.mark.parametrize("path", sorted({*cache._STATED, *cache._READ, "sys/kernel/btf/xfs"}))
def test_every_file_of_a_root_is_part_of_its_key(tree, path):
    before = key(tree)
    assert key(tree) == before
    if (tree / path).is_dir():
        os.utime(tree / path, ns=(1, 1))
    else:
        (tree / path).write_bytes(b"another\n")
    assert key(tree) != before


def test_a_small_file_is_read_where_its_time_tells_nothing(tree):
    before, state = key(tree), os.stat(tree / "proc/version")
    (tree / "proc/version").write_bytes(b"two\n")
    os.utime(tree / "proc/version", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert key(tree) != before


def test_modules_are_part_of_it_without_their_counts(tree):
    modules = tree / "proc/modules"
    states = []
    for text in (
        b"xfs 100 0 - Live 0xc0\next4 7 0 - Live 0xd0 (OE)\n",
        b"ext4 7 9 - Live 0xd0 (OE)\nxfs 100 3 nfs, Live 0xc0\n",
        b"xfs 100 0 - Live 0xc8\next4 7 0 - Live 0xd0 (OE)\n",
        b"xfs 101 0 - Live 0xc0\next4 7 0 - Live 0xd0 (OE)\n",
        b"xfs 100 0 - Unloading 0xc0\next4 7 0 - Live 0xd0 (OE)\n",
        b"xfs 100 0 - Live 0xc0\n",
    ):
        modules.write_bytes(text)
        states.append(key(tree))
    assert states[0] == states[1]
    assert len(set(states)) == len(states) - 1
    modules.write_bytes(b"xfs 100 0 - Live 0xc0 (OE) more\n")
    assert cache._modules(str(modules)) == "xfs:100:Live:0xc0"
    assert cache._modules(str(tree / "none")) == "FileNotFoundError"


def test_the_question_is_part_of_it(tree, tmp_path, monkeypatch):
    image = tmp_path / "vmlinux"
    image.write_bytes(b"one")
    asked = [
        key(tree),
        key(tree, ("vfs_write",)),
        key(tree, ("vfs_read", "vfs_write")),
        key(tree, (), ()) or "none",
        key(tree, types=("kprobe",)),
        key(tree, ("syscall:openat",)),
        key(tree, vmlinux=str(image)),
    ]
    image.write_bytes(b"another")
    asked.append(key(tree, vmlinux=str(image)))
    monkeypatch.setattr(cache.os, "geteuid", lambda: 12345)
    asked.append(key(tree))
    assert len(set(asked)) == len(asked)
    assert asked[3] == "none"
    assert "\0vfs_read\0|\0kprobe\0|\0" in asked[4]
    assert "\0" + str(tree) + "\0" in asked[0]


@pytest.mark.parametrize("name", ["xfs:xfs_read", "vfs_read+4", "kprobe/vfs_read", "tp:sched:x", "syscall:a+1"])
def test_what_hangs_on_more_has_no_key(tree, name):
    assert key(tree, (name,)) is key(tree, ("vfs_read", name)) is None


def test_there_is_no_key_for_ones_own_rights_and_where_it_is_turned_off(tree, monkeypatch):
    assert key(tree) is not None
    assert key(tree, as_me=True) is None
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    assert key(tree) is None
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    assert key(tree) is not None


def test_a_folder_of_a_kernels_packages_hangs_on_all_of_them(tree, tmp_path):
    """It has no proc. Elsewhere a file that is beside is none of the kernel's."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for folder, differs in ((packages, True), (tree, False)):
        (folder / "beside").write_bytes(b"one")
        before = key(folder)
        (folder / "beside").write_bytes(b"another")
        assert (key(folder) != before) is differs


def test_the_kernel_that_runs_is_told_by_its_own_files_and_the_callers_rights(tree, monkeypatch):
    seen = []
    monkeypatch.setattr(cache, "_stat", lambda path: seen.append(path) or "stat")
    monkeypatch.setattr(cache, "_head", lambda path: seen.append(path) or "head")
    monkeypatch.setattr(cache, "_modules", lambda path: seen.append(path) or "modules")
    monkeypatch.setattr(cache, "_capabilities", lambda: "rights")
    live = key("").split("\0")
    assert (live[3], live[-2:]) == ("/", ["modules", "rights"])
    assert set(seen) == {f"/{path}" for path in (*cache._STATED, *cache._READ, "proc/modules")}
    assert key(tree).endswith("modules\0")


def test_times_tell_nothing_in_proc_and_sys(tmp_path, monkeypatch):
    """Kind and rights alone; elsewhere a file is its device, number, size and time."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    state = os.stat(path)
    times = f"{state.st_mtime_ns}:{state.st_ctime_ns}"
    assert cache._stat(str(path)) == f"{state.st_dev}:{state.st_ino}:3:{times}:True"
    assert cache._stat("/proc/version") == f"{os.stat('/proc/version').st_mode}:True"
    assert cache._stat(str(tmp_path / "none")) == "FileNotFoundError"
    assert cache._stat("a\0b") == "ValueError"
    monkeypatch.setattr(cache.os, "access", lambda *_: False)
    assert cache._stat(str(path)).endswith(":False")


def test_what_cannot_be_read_is_told_by_its_error(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a" * 4096 + b"b")
    assert cache._head(str(path)) == "61" * 4096
    assert cache._head(str(tmp_path / "none")) == "FileNotFoundError"
    assert cache._head(str(tmp_path)) == "IsADirectoryError"
    (tmp_path / "also").write_bytes(b"")
    assert cache._each(str(tmp_path)) == [cache._stat(str(tmp_path / name)) for name in ("also", "file")]
    assert cache._each(str(tmp_path / "none")) == ["FileNotFoundError"]


def test_the_program_is_walked_once_a_process(tmp_path, monkeypatch):
    """Links are not followed: one leads round in a circle, one to nothing."""
    (tmp_path / "package" / "sources").mkdir(parents=True)
    (tmp_path / "package" / "round").symlink_to(".")
    (tmp_path / "package" / "nothing").symlink_to("nowhere")
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "package" / "sources" / "cache.py"))
    monkeypatch.setattr(cache, "_this", [])
    first = cache.this_program()
    assert first.startswith("2:")
    assert cache.program() == first
    (tmp_path / "package" / "more").write_bytes(b"")
    assert cache.program().startswith("3:")
    assert cache.this_program() == first


# ---------------------------------------------------------------------- the files


def test_a_value_comes_back_under_its_own_key_alone(own, monkeypatch):
    for large in (False, True):
        cache.keep("question", {"a": [1, None, "b"]}, large)
        assert cache.kept("question", large) == {"a": [1, None, "b"]}
        assert cache.kept("another", large) is None
    assert {path.name for path in own.iterdir()} == {
        f"{kind}{zlib.crc32(b'question'):08x}{zlib.adler32(b'question'):08x}.json" for kind in ("", "table-")
    }
    assert {path.stat().st_mode & 0o777 for path in own.iterdir()} == {0o600}
    assert own.stat().st_mode & 0o777 == 0o700
    cache.keep("question", [2])
    assert cache.kept("question") == [2]
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    cache.keep("question", [3])
    assert cache.kept("question") is None
    monkeypatch.delenv("PROBE_SCOUT_CACHE")
    assert cache.kept("question") == [2]


@pytest.mark.parametrize(
    "body",
    [
        b'["another",1]',
        b'["question",1,2]',
        b'["question"]',
        b'{"question":1,"b":2}',
        b'"question"',
        b"17",
        b'["question",1',
        b"[" * 100_000,
    ],
)
def test_a_whole_file_that_holds_something_else_is_none(own, body):
    cache.keep("question", 1)
    (path,) = own.iterdir()
    path.write_bytes(b"%08x\n" % zlib.crc32(body) + body)
    assert cache.kept("question") is None


def test_a_file_of_somebody_else_is_not_believed(own, monkeypatch):
    cache.keep("question", 1)
    monkeypatch.setattr(cache.os, "geteuid", lambda: os.getuid() + 1)
    assert cache.kept("question") is None
    cache.keep("second", 1)  # nor is anything put into somebody else's folder
    assert len(list(own.iterdir())) == 1


@pytest.mark.parametrize(
    ("mode", "is_used"),
    [(0o700, True), (0o755, True), (0o711, True), (0o701, True), (0o720, False), (0o702, False), (0o777, False)],
)
def test_a_folder_that_others_may_write_to_is_not_used(own, mode, is_used):
    own.mkdir(parents=True)
    own.chmod(mode)
    cache.keep("question", 1)
    assert bool(list(own.iterdir())) is is_used


@pytest.mark.parametrize(("large", "limit"), [(False, 1 << 20), (True, 64 << 20)])
def test_how_large_a_file_may_be(monkeypatch, large, limit):
    """With its line of the checksum and some room: a file that is read whole was written whole."""
    written = []
    monkeypatch.setattr(cache, "write_private", lambda path, parts, room: written.append(len(parts[0])))
    monkeypatch.setattr(cache.zlib, "crc32", lambda raw: 0)  # of 64 MiB it would cost more than it shows
    for size in (limit - 16, limit - 15):
        monkeypatch.setattr(json, "dumps", lambda *_, size=size, **__: SimpleNamespace(encode=lambda: bytes(size)))
        cache.keep("q", "text", large)
    assert written == [limit - 16 + 9]

    monkeypatch.setattr(cache.os, "read", lambda file, count: read.append(count) or b"")
    for size, expected in ((limit, [limit + 1]), (limit + 1, [])):
        read = []
        monkeypatch.setattr(cache, "read_private", lambda path, take, size=size: take(-1, size))
        assert cache.kept("q", large) is None
        assert read == expected


@pytest.mark.parametrize(("large", "most"), [(False, 4096), (True, 16)])
def test_of_too_many_the_older_half_is_given_back(own, large, most):
    own.mkdir(parents=True, mode=0o700)
    head, other = ("table-", "") if large else ("", "table-")
    for name in (f"{other}other.json", f"{head}other.unpacked"):
        (own / name).write_bytes(b"")
    for number in range(most - 1):
        descriptor = os.open(own / f"{head}{number:04}.json", os.O_WRONLY | os.O_CREAT)
        os.utime(descriptor, ns=(0, number))
        os.close(descriptor)
    cache.keep("first", 1, large)
    assert len(list(own.iterdir())) == most + 2
    cache.keep("second", 1, large)
    left = {path.name for path in own.iterdir()}
    assert len(left) == most // 2 + 3
    assert {f"{other}other.json", f"{head}other.unpacked", f"{head}{most // 2:04}.json"} <= left
    assert f"{head}{most // 2 - 1:04}.json" not in left
    assert cache.kept("first", large) == cache.kept("second", large) == 1


@pytest.mark.parametrize(("most", "left"), [(6, "abc"), (5, "bc"), (4, "c"), (3, "c"), (2, "")])
def test_the_oldest_are_given_back_until_what_is_left_fits(tmp_path, most, left):
    for number, name in enumerate("abc"):
        path = tmp_path / f"{name}.big"
        path.write_bytes(b"x" * (1, 2, 3)[number])
        os.utime(path, ns=(number, number))
    (tmp_path / "z.other").write_bytes(b"x" * 50)
    (tmp_path / "link.big").symlink_to("nowhere")
    os.utime(tmp_path / "link.big", ns=(9, 9), follow_symlinks=False)
    size = os.lstat(tmp_path / "link.big").st_size
    cache.give_back(str(tmp_path), ".big", most + size)
    kept = {path.name for path in tmp_path.iterdir()} - {"z.other", "link.big"}
    assert (kept, (tmp_path / "z.other").exists()) == ({f"{name}.big" for name in left}, True)


@pytest.mark.parametrize(
    ("base", "home", "folder"),
    [
        ("/x", "/home/me", "/x/probe-scout"),
        (None, "/home/me", "/home/me/.cache/probe-scout"),
        ("", "/home/me", "/home/me/.cache/probe-scout"),
        ("relative", "/home/me", ""),
    ],
)
def test_where_it_is(monkeypatch, tmp_path, base, home, folder):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", home)
    if base is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert cache.folder() == folder
    if not folder:
        cache.keep("question", 1)
        assert cache.kept("question") is None
        assert not list(tmp_path.iterdir())


def test_what_is_cut_off_while_it_is_written_leaves_nothing(own, monkeypatch):
    monkeypatch.setattr(cache.os, "replace", lambda *_: (_ for _ in ()).throw(OSError))
    cache.keep("question", 1)
    assert list(own.iterdir()) == []


def test_a_file_is_written_whole_by_a_system_that_takes_a_byte_at_a_time(own, monkeypatch):
    write, asked = os.write, []
    monkeypatch.setattr(cache.os, "write", lambda file, data: write(file, data[:1]))
    cache.write_private(str(own / "x"), (b"abc", bytearray(b"de")), lambda folder, count: asked.append((folder, count)))
    assert (own / "x").read_bytes() == b"abcde"
    assert asked == [(str(own), 5)]
