"""Kept answers: equal to fresh ones, and never trusted when anything is off."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import probe_scout
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


def ask(archive, name="s_next"):
    return open_kernel(archive, cache=True).check([name])


def test_a_kept_answer_equals_the_fresh_one_and_opens_nothing(archive, own_cache, monkeypatch):
    fresh = ask(archive)
    assert len(list(own_cache.iterdir())) == 1
    monkeypatch.setattr("probe_scout.sources.open_source", lambda root: pytest.fail("the source was opened"))
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
    (kept,) = own_cache.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    question = cache.key(archive, None, ["s_next"], (), False)
    assert cache.load(question) is None
    assert ask(archive) == fresh


def test_a_file_of_another_question_is_not_taken(archive, own_cache):
    ask(archive)
    (kept,) = own_cache.iterdir()
    other = cache.key(archive, None, ["vfs_read"], (), False)
    shutil.copy(kept, cache._path(other))
    os.chmod(cache._path(other), 0o600)
    assert cache.load(other) is None


def test_a_file_that_others_may_write_is_not_taken(archive, own_cache):
    ask(archive)
    (kept,) = own_cache.iterdir()
    kept.chmod(0o666)
    assert cache.load(cache.key(archive, None, ["s_next"], (), False)) is None


def test_a_link_is_not_followed(archive, own_cache, tmp_path):
    ask(archive)
    (kept,) = own_cache.iterdir()
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    assert cache.load(cache.key(archive, None, ["s_next"], (), False)) is None


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
    (kept,) = own_cache.iterdir()
    question, _ = json.loads(kept.read_bytes().partition(b"\n")[2])
    assert question.startswith(cache.FORMAT)


def test_the_key_covers_every_module_of_the_package():
    """A folder that the key forgets would keep stale answers, silently."""
    files = list(Path(probe_scout.__file__).parent.rglob("*.py"))
    state = cache._program()
    assert state == f"{max(path.stat().st_mtime_ns for path in files)}:{sum(path.stat().st_size for path in files)}"
