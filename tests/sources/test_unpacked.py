"""Unpacked archives that are kept between runs: the same answers, and nothing that is altered is believed."""

from __future__ import annotations

import os
import tarfile

import pytest

from probe_scout.errors import Broken
from probe_scout.sources import archive, open_source, unpacked
from probe_scout.sources.archive import ArchiveSource
from tests.sources.test_archive import SMALL, manifest, tar_of


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "probe-scout"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kernel.tar"
    path.write_bytes(tar_of({**SMALL, "manifest.json": manifest(SMALL)}))
    return path


@pytest.fixture
def unpacking(monkeypatch):
    """How often an archive was unpacked."""
    times = []
    whole = archive._unpack
    monkeypatch.setattr(archive, "_unpack", lambda file: times.append(file) or whole(file))
    return times


def everything(source, folder=""):
    found = {}
    for name in source.names(folder):
        path = f"{folder}/{name}" if folder else name
        try:
            found[path] = source.read(path)
        except Broken:
            raise
        except Exception:
            found.update(everything(source, path))
    return found


def test_the_second_time_nothing_is_unpacked(cache, file, unpacking):
    first, second = (ArchiveSource(str(file), keep=True) for _ in range(2))
    assert len(unpacking) == 1
    assert everything(first) == everything(second)
    assert second.describe() == first.describe()
    (kept,) = cache.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_an_altered_archive_is_unpacked_anew(cache, file, unpacking):
    ArchiveSource(str(file), keep=True)
    changed = {**SMALL, "proc/kallsyms": b"other"}
    file.write_bytes(tar_of({**changed, "manifest.json": manifest(changed)}))
    assert ArchiveSource(str(file), keep=True).read("proc/kallsyms") == b"other"
    assert len(unpacking) == 2


@pytest.mark.parametrize("name", ["proc/kallsyms", "manifest.json"])
def test_what_was_altered_in_the_cache_is_taken_from_the_archive(cache, file, unpacking, name):
    good = everything(ArchiveSource(str(file), keep=True))
    (kept,) = cache.iterdir()
    raw = kept.read_bytes()
    assert raw.count(good[name]) == 1
    kept.write_bytes(raw.replace(good[name], good[name].replace(b"a", b"b")))
    assert everything(ArchiveSource(str(file), keep=True)) == good
    assert len(unpacking) == 2
    ArchiveSource(str(file), keep=True)  # the damaged one is gone
    assert everything(ArchiveSource(str(file), keep=True)) == good


def test_an_altered_member_of_the_archive_itself_is_refused_as_before(cache, file, unpacking):
    file.write_bytes(tar_of({**SMALL, "proc/kallsyms": b"other", "manifest.json": manifest(SMALL)}))
    for _ in range(2):
        with pytest.raises(Broken, match="does not have the si"):
            ArchiveSource(str(file), keep=True).read("proc/kallsyms")


def test_a_pipe_in_place_of_a_kept_file_is_not_waited_for(cache, file, unpacking):
    ArchiveSource(str(file), keep=True)
    (kept,) = cache.iterdir()
    kept.unlink()
    os.mkfifo(kept, 0o600)
    assert everything(ArchiveSource(str(file), keep=True))
    assert len(unpacking) == 2


@pytest.mark.parametrize("cut", [0, 1, 8, 30, 400])
def test_a_damaged_file_is_as_good_as_none(cache, file, unpacking, cut):
    ArchiveSource(str(file), keep=True)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:-cut] if cut else b"")
    assert everything(ArchiveSource(str(file), keep=True))
    assert len(unpacking) == 2


def test_a_table_that_leads_out_of_the_file_is_refused(cache, file, unpacking):
    ArchiveSource(str(file), keep=True)
    (kept,) = cache.iterdir()
    raw = kept.read_bytes()
    size = int.from_bytes(raw[-12:-4], "little")
    body, table = raw[: -12 - size], raw[-12 - size : -12]
    assert raw.endswith(unpacked._sum(table, manifest(SMALL)))
    far = table.replace(b"proc/kallsyms\0", b"proc/kallsyms\x009999999")
    assert far != table
    kept.write_bytes(body + far + len(far).to_bytes(8, "little") + unpacked._sum(far, manifest(SMALL)))
    assert ArchiveSource(str(file), keep=True).read("proc/kallsyms") == SMALL["proc/kallsyms"]
    assert len(unpacking) == 2


def test_a_file_that_others_may_read_or_that_is_a_link_is_not_believed(cache, file, unpacking):
    ArchiveSource(str(file), keep=True)
    (kept,) = cache.iterdir()
    kept.chmod(0o644)
    ArchiveSource(str(file), keep=True)
    elsewhere = cache.parent / "elsewhere"
    kept.rename(elsewhere)
    elsewhere.chmod(0o600)
    kept.symlink_to(elsewhere)
    ArchiveSource(str(file), keep=True)
    assert len(unpacking) == 3


def test_nothing_is_kept_unless_asked_or_without_a_manifest(cache, file, tmp_path, monkeypatch):
    open_source(str(file))
    bare = tmp_path / "bare.tar"
    with tarfile.open(bare, "w"):
        pass
    bare.write_bytes(tar_of(SMALL))
    open_source(str(bare), keep=True)
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    open_source(str(file), keep=True)
    assert not cache.exists()


def test_the_oldest_are_given_back(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "_BYTES_MAX", 100_000)
    for number in range(6):
        content = {**SMALL, "proc/kallsyms": bytes(8000 + number)}
        path = tmp_path / f"{number}.tar"
        path.write_bytes(tar_of({**content, "manifest.json": manifest(content)}))
        ArchiveSource(str(path), keep=True)
        for age, kept in enumerate(sorted(cache.iterdir(), key=lambda one: one.stat().st_mtime_ns)):
            os.utime(kept, (age, age))
    assert 0 < sum(kept.stat().st_size for kept in cache.iterdir()) <= 100_000
