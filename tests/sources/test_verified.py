"""A file whose sha256 was taken is not hashed again until it changes."""

from __future__ import annotations

import hashlib
import os

import pytest

from probe_scout.errors import Broken
from probe_scout.sources import mapped, open_source
from probe_scout.sources.manifest import Manifest
from tests.sources.test_archive import SMALL as EVERY
from tests.sources.test_archive import manifest

SMALL = {path: data for path, data in EVERY.items() if "/events/" not in path}


@pytest.fixture(autouse=True)
def cache(kept_at_once):
    return kept_at_once


@pytest.fixture
def folder(tmp_path):
    files = {**SMALL, "manifest.json": manifest(SMALL)}
    for name, data in files.items():
        path = tmp_path / "kernel" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "kernel"


@pytest.fixture
def hashed(monkeypatch):
    """Paths whose sha256 was taken."""
    paths: list[str] = []
    whole = Manifest.verify
    monkeypatch.setattr(Manifest, "verify", lambda self, path, data: paths.append(path) or whole(self, path, data))
    return paths


def read_all(folder, keep: bool = True):
    source = open_source(str(folder), keep)
    data = {path: source.read(path) for path in SMALL}
    if source.verified is not None:
        source.verified.keep()
    assert keep == (source.verified is not None)
    return data


def test_each_file_is_hashed_once(folder, hashed):
    assert read_all(folder) == SMALL
    assert sorted(hashed) == sorted(SMALL)
    hashed.clear()
    assert read_all(folder) == SMALL
    assert hashed == []
    assert read_all(folder, keep=False) == SMALL
    assert sorted(hashed) == sorted(SMALL)


def test_files_of_events_are_hashed_each_time(tmp_path, hashed):
    path = "sys/kernel/tracing/events/sched/sched_switch/id"
    for name, data in ((path, EVERY[path]), ("manifest.json", manifest({path: EVERY[path]}))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for _ in range(2):
        source = open_source(str(tmp_path), True)
        source.read(path)
        assert not source.verified.is_new
    assert hashed == [path, path]


def test_a_file_that_changed_is_hashed_and_refused(folder, hashed):
    read_all(folder)
    hashed.clear()
    path = next(iter(SMALL))
    before = os.stat(folder / path)
    (folder / path).write_bytes(SMALL[path].swapcase())
    os.utime(folder / path, ns=(before.st_atime_ns, before.st_mtime_ns))  # its change time tells
    with pytest.raises(Broken):
        open_source(str(folder), True).read(path)
    assert hashed == [path]


def test_another_manifest_is_another_question(folder, hashed):
    read_all(folder)
    hashed.clear()
    path = next(iter(SMALL))
    text = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(text.replace(hashlib.sha256(SMALL[path]).hexdigest().encode(), b"0" * 64))
    with pytest.raises(Broken):
        open_source(str(folder), True).read(path)
    assert hashed == [path]


def test_what_is_not_whole_is_not_added(folder, cache):
    path = next(iter(SMALL))
    (folder / path).write_bytes(b"other")
    source = open_source(str(folder), True)
    with pytest.raises(Broken):
        source.read(path)
    assert not source.verified.is_new
    source.verified.keep()
    assert not cache.exists()


def test_files_of_this_moment_are_hashed_each_time(folder, hashed, monkeypatch):
    monkeypatch.setattr(mapped, "SETTLED_NS", 10**15)
    read_all(folder)
    read_all(folder)
    assert len(hashed) == 2 * len(SMALL)


def test_a_damaged_list_is_not_believed(folder, hashed, cache):
    read_all(folder)
    (file,) = cache.iterdir()
    raw = file.read_bytes()
    path = next(iter(SMALL))
    (folder / path).write_bytes(SMALL[path].swapcase())
    state = mapped.state_of(os.stat(folder / path)).encode()
    at = raw.index(path.encode() + b"\0") + len(path) + 1
    file.write_bytes(raw[:at] + state + raw[at + len(state) :])
    with pytest.raises(Broken):
        open_source(str(folder), True).read(path)
