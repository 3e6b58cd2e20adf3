"""Tables of a kernel's large files between two runs: the same answers, less read, and nothing stale is believed."""

from __future__ import annotations

import os

import pytest

from probe_scout import open_kernel
from probe_scout.kernel import kept
from probe_scout.kernel.kernel import Kernel
from probe_scout.kernel.reading import LARGE
from probe_scout.sources import kept_index
from probe_scout.sources.archive import ArchiveSource
from probe_scout.sources.folder import FolderSource
from tests.builders.tiny_kernel import FILTER, FILTER_ADDRS
from tests.sources.test_archive import manifest, tar_of

SYMBOLS = ["vfs_read", "vfs_write", "tcp_close = tcp_close_alias", "cold_one.cold", "data_one data", "init_one init"]
NAMES = [
    "vfs_read",
    "vfs_write",
    "tcp_close",
    "tcp_close_alias",
    "cold_one",
    "data_one",
    "init_one",
    "absent",
    "vfs_rea",
]
FEW = ["tcp_close_alias", "cold_one", "absent", "xfs:twice"]


@pytest.fixture(autouse=True)
def cache(kept_at_once):
    return kept_at_once


@pytest.fixture
def reads(monkeypatch):
    """Paths that were read whole."""
    paths: list[str] = []
    whole = FolderSource.read
    monkeypatch.setattr(FolderSource, "read", lambda self, path: paths.append(path) or whole(self, path))
    return paths


def asked(folder, cache: bool = True):
    kernel = open_kernel(str(folder), cache=cache)
    return kernel, [kernel.check([name]) for name in NAMES]


def forget_answers(cache):
    for path in cache.glob("*.json"):
        path.unlink()


@pytest.mark.parametrize("gone", [None, FILTER_ADDRS, "sys/kernel/btf/vmlinux"])
def test_the_next_run_reads_none_of_the_large_files_and_answers_the_same(tiny_folder, cache, reads, gone):
    folder = tiny_folder(SYMBOLS)
    if gone:
        (folder / gone).unlink()
    _, good = asked(folder, cache=False)
    first, answers = asked(folder)
    assert answers == good
    assert first.wants_indexes()
    first.keep_indexes()
    assert not first.wants_indexes()
    forget_answers(cache)
    assert set(kept.MAKERS) & set(reads)
    reads.clear()
    again, answers = asked(folder)
    assert answers == good
    assert set(kept.MAKERS) & set(reads) <= {gone}
    assert not again.wants_indexes()


def kept_for(folder, cache):
    kernel, good = asked(folder)
    kernel.keep_indexes()
    forget_answers(cache)
    return good


@pytest.mark.parametrize("path", sorted(kept.MAKERS))
def test_a_file_that_changed_is_read_again(tiny_folder, cache, reads, path):
    folder = tiny_folder(SYMBOLS)
    if path == FILTER:
        (folder / FILTER_ADDRS).unlink()
    kept_for(folder, cache)
    reads.clear()
    os.utime(folder / path, ns=(9, 9))
    asked(folder)
    assert path in reads


def test_tables_of_another_program_are_not_looked_at(tiny_folder, cache, reads, monkeypatch):
    folder = tiny_folder(SYMBOLS)
    kept_for(folder, cache)
    monkeypatch.setattr("probe_scout.sources.cache._this", ["another"])
    reads.clear()
    asked(folder)
    assert set(kept.MAKERS) & set(reads)


def test_damaged_tables_are_made_up_for(tiny_folder, cache):
    folder = tiny_folder(SYMBOLS)
    kept_for(folder, cache)
    good = [open_kernel(str(folder)).check([name]) for name in FEW]
    files = sorted(cache.glob(f"*{kept_index.ENDING}"))
    assert files
    for file in files:
        raw = file.read_bytes()
        for at in range(20, len(raw), max(len(raw) // 9, 1)):
            file.write_bytes(raw[:at] + bytes(byte ^ 0x11 for byte in raw[at : at + 60]) + raw[at + 60 :])
            kernel = open_kernel(str(folder), cache=True)
            assert [kernel.check([name]) for name in FEW] == good
            forget_answers(cache)
        file.write_bytes(raw)


def test_a_file_that_is_written_to_meanwhile_gets_no_tables(tiny_folder, cache):
    folder = tiny_folder(SYMBOLS)
    kernel, _ = asked(folder)
    for path in kept.MAKERS:
        os.utime(folder / path, ns=(9, 9))
    kernel.settle_indexes()
    kernel.keep_indexes()
    assert not list(cache.glob(f"*{kept_index.ENDING}"))


def test_when_it_is_settled_no_file_of_the_folder_is_opened_or_mapped(tiny_folder, cache):
    """The process that makes the tables lives on when the answer is out: a mount can be taken off meanwhile."""
    folder = tiny_folder(SYMBOLS)
    kept_for(folder, cache)
    os.utime(folder / FILTER_ADDRS)
    kernel, _ = asked(folder)
    assert kernel.wants_indexes()
    before = len(list(cache.glob(f"*{kept_index.ENDING}")))
    kernel.settle_indexes()
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        folder.rename(folder.parent / "elsewhere")
        kernel.keep_indexes()
        with open("/proc/self/maps") as maps:
            os.write(writer, str([line for line in maps if "elsewhere" in line]).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    assert os.read(reader, 4096) == b"[]"
    os.close(reader)
    assert len(list(cache.glob(f"*{kept_index.ENDING}"))) > before


def test_an_archive_that_is_kept_unpacked_has_tables_too(tiny_folder, tmp_path, cache, monkeypatch):
    folder = tiny_folder(SYMBOLS)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    file = tmp_path / "kernel.tar"
    file.write_bytes(tar_of({**files, "manifest.json": manifest(files)}))
    _, good = asked(file, cache=False)
    first, answers = asked(file)
    assert [one.targets for one in answers] == [one.targets for one in good]
    assert first.wants_indexes()
    first.keep_indexes()
    forget_answers(cache)
    read: list[str] = []
    whole = ArchiveSource.read
    monkeypatch.setattr(ArchiveSource, "read", lambda self, path: read.append(path) or whole(self, path))
    again, answers = asked(file)
    assert [one.targets for one in answers] == [one.targets for one in good]
    assert not set(kept.MAKERS) & set(read)
    assert not again.wants_indexes()
    (copy,) = cache.glob("*.unpacked")
    os.utime(copy, ns=(9, 9))  # whoever writes to the copy changes its times
    forget_answers(cache)
    asked(file)
    assert set(kept.MAKERS) & set(read)


def test_programs_that_keep_nothing_keep_no_tables(tiny_folder, cache, monkeypatch):
    folder = tiny_folder(SYMBOLS)
    kernel, _ = asked(folder, cache=False)
    assert not kernel.wants_indexes()
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    kernel, _ = asked(folder)
    assert not kernel.wants_indexes()
    kernel.keep_indexes()
    assert not cache.exists()


def test_a_source_without_states_is_read_as_always(recorded):
    k = Kernel(recorded)
    k.keeps = True
    assert all(k.read(path) and k.tables_of(path) is None for path in kept.MAKERS)


def test_every_large_file_has_a_maker_of_tables():
    assert frozenset(kept.MAKERS) == LARGE
