"""Kept answers: equal to fresh ones, and never trusted when anything is off."""

from __future__ import annotations

import json
import os
import shutil
import zlib
from pathlib import Path

import pytest

from probe_scout.frontends import kept_reports
from probe_scout.frontends.session import open_kernel
from probe_scout.sources import cache

SNAPSHOT = Path(__file__).resolve().parents[2] / "fixtures/kernels/debian-6.12.107-amd64.tar.xz"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("PROBE_SCOUT_CACHE", raising=False)
    return tmp_path / "cache" / "probe-scout"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    copy = tmp_path_factory.mktemp("snapshot") / "kernel.tar.xz"
    shutil.copy(SNAPSHOT, copy)
    return str(copy)


def answers(folder):
    """The kept answers, without the archive's bytes (*.unpacked) and the tables kept beside them."""
    return [path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith(cache._LARGE)]


def ask(archive, name="s_next"):
    return open_kernel(archive, cache=True).check([name])


def test_a_kept_answer_equals_the_fresh_one_and_opens_nothing(archive, own_cache, monkeypatch):
    fresh = ask(archive)
    assert len(answers(own_cache)) == 1
    monkeypatch.setattr("probe_scout.sources.open_source", lambda *_: pytest.fail("the source was opened"))
    assert ask(archive) == fresh
    assert fresh.targets[0].copies  # a report with all its parts


def test_files_are_private(archive, own_cache):
    ask(archive)
    assert own_cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in own_cache.iterdir()} == {0o600}


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
        lambda raw: raw.replace(b'"no"', b'"ye"', 1),
        lambda raw: raw[:9] + b"null",
        lambda raw: b"not a cache file at all\n" * 9,
    ],
)
def test_a_broken_file_is_as_good_as_none(archive, own_cache, damage):
    fresh = ask(archive)
    (kept,) = answers(own_cache)
    kept.write_bytes(damage(kept.read_bytes()))
    question = cache.key(archive, None, ["s_next"], (), False)
    assert kept_reports.load(question) is None
    assert ask(archive) == fresh


def test_a_file_of_another_question_is_not_taken(archive, own_cache):
    ask(archive)
    (kept,) = answers(own_cache)
    other = cache.key(archive, None, ["vfs_read"], (), False)
    shutil.copy(kept, cache._path(other))
    os.chmod(cache._path(other), 0o600)
    assert kept_reports.load(other) is None


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640, 0o620, 0o610, 0o604, 0o602, 0o601])
def test_a_file_that_is_open_to_others_is_not_taken(archive, own_cache, mode):
    ask(archive)
    (kept,) = answers(own_cache)
    question = cache.key(archive, None, ["s_next"], (), False)
    assert kept_reports.load(question) is not None
    kept.chmod(mode)
    assert kept_reports.load(question) is None


def test_a_link_is_not_followed(archive, own_cache, tmp_path):
    ask(archive)
    (kept,) = answers(own_cache)
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    assert kept_reports.load(cache.key(archive, None, ["s_next"], (), False)) is None


def test_a_changed_snapshot_is_another_question(archive, own_cache):
    before = cache.key(archive, None, ["vfs_read"], (), False)
    os.utime(archive, ns=(1, 1))
    assert cache.key(archive, None, ["vfs_read"], (), False) != before


@pytest.mark.parametrize("name", ["tp:sched:sched_switch", "vfs_read+0x10", "xfs:xfs_file_open"])
def test_answers_that_hang_on_more_are_not_kept(archive, name):
    assert cache.key(archive, None, [name], (), False) is None


def test_the_callers_own_rights_are_not_kept(archive):
    assert cache.key(archive, None, ["vfs_read"], (), True) is None


def test_it_can_be_turned_off(archive, own_cache, monkeypatch):
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    ask(archive)
    assert not own_cache.exists()


def test_a_folder_that_cannot_be_made_costs_nothing(archive, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert ask(archive).targets[0].verdicts


def test_what_is_kept_is_plain_json(archive, own_cache):
    ask(archive)
    (kept,) = answers(own_cache)
    question, _ = json.loads(kept.read_bytes().partition(b"\n")[2])
    assert question.startswith(cache.FORMAT)


def test_the_key_walks_the_whole_package(tmp_path, monkeypatch):
    """A folder or a file of data that is added, changed in size or touched is another program."""
    package = tmp_path / "package"
    (package / "deep" / "deeper").mkdir(parents=True)
    (package / "sources").mkdir()
    deep = package / "deep" / "deeper" / "table.bin"
    deep.write_bytes(b"one")
    monkeypatch.setattr(cache, "__file__", str(package / "sources" / "cache.py"))
    states = [cache.program()]
    os.utime(deep, ns=(1, 1))
    states.append(cache.program())
    deep.write_bytes(b"more")
    os.utime(deep, ns=(1, 1))
    states.append(cache.program())
    deep.rename(package / "deep" / "table.bin")
    states.append(cache.program())
    (package / "new").mkdir()
    (package / "new" / "__init__.py").write_text("")
    states.append(cache.program())
    assert len(set(states)) == len(states)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "cache.cpython-311.pyc").write_text("")
    assert cache.program() == states[-1]


def test_a_file_that_is_too_large_is_not_read(archive, own_cache):
    ask(archive)
    (kept,) = answers(own_cache)
    question = cache.key(archive, None, ["s_next"], (), False)
    head, _, body = kept.read_bytes().partition(b"\n")
    for size in (cache._BYTES_MAX, cache._BYTES_MAX + 1):
        padded = body + b" " * (size - len(head) - 1 - len(body))
        kept.write_bytes(b"%08x\n" % zlib.crc32(padded) + padded)
        assert (kept_reports.load(question) is not None) == (size == 1 << 20)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (b"Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n".hex(), "\t000001ffffffffff\nSeccom"),
        (b"Name:\tx\n".hex(), ""),
        ("PermissionError", "PermissionError"),
    ],
)
def test_the_callers_capabilities_are_part_of_the_key(monkeypatch, head, told):
    """A status that cannot be read is another caller, and no error."""
    monkeypatch.setattr(cache, "_head", lambda path: head if path == "/proc/self/status" else "")
    assert cache._capabilities() == told


def test_small_and_large_values_are_kept_apart(own_cache):
    cache.keep("question", [1])
    assert cache.kept("question") == [1]
    assert cache.kept("question", large=True) is None
    cache.keep("question", [2], large=True)
    assert (cache.kept("question"), cache.kept("question", large=True)) == ([1], [2])


def test_names_of_functions_are_read_once_for_misspelled_ones(archive, monkeypatch):
    first = ask(archive, "vfs_reax").targets[0].suggestions
    assert "vfs_read" in first
    monkeypatch.setattr("probe_scout.probes.attach.bulk.function_names", lambda _: pytest.fail("names were read again"))
    assert ask(archive, "vfs_reay").targets[0].suggestions == first
    monkeypatch.undo()
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    assert ask(archive, "vfs_reay").targets[0].suggestions == first


def test_names_of_a_kernel_that_runs_are_not_kept(tmp_path):
    """Each BPF program adds one, and no file's state shows it: in /proc the size is 0."""
    folder = tmp_path / "proc"
    folder.mkdir()
    for text, is_kept in (("", False), ("0 T vfs_read\n", True)):
        (folder / "kallsyms").write_text(text)
        kernel = open_kernel(str(tmp_path), cache=True)
        assert kernel._is_still() is is_kept
        assert (kernel._kernel.names_question() is not None) is is_kept
    assert not open_kernel("", cache=True)._is_still()


def test_a_file_whose_mtime_was_set_back_is_another_question(tiny_folder):
    """`touch -r` keeps mtime, size and inode of a file that was edited where it is; its ctime tells."""
    folder = tiny_folder(["vfs_read", "vfs_write"])
    for path in (folder / "proc/kallsyms", folder / "boot/config-1"):
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_text("CONFIG_A=y")
        before = path.stat()
        question = cache.key(str(folder), None, ["vfs_write"], (), False)
        with path.open("r+b") as handle:
            handle.write(path.read_bytes()[::-1])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = path.stat()
        assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
        assert cache.key(str(folder), None, ["vfs_write"], (), False) != question
