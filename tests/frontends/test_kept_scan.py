"""A kept scan gives the rows of one that judges everything, in every way of asking, and nothing stale."""

from __future__ import annotations

import os

import pytest

from probe_scout import open_kernel
from probe_scout.commands import scan
from probe_scout.sources import kept_index

SYMBOLS = [
    *("vfs_read", "vfs_write", "tcp_close = tcp_close_alias", "cold_one.cold", "data_one data", "init_one init"),
    *("mod_one [ext4]", "twice", "twice [xfs]", "listed blacklisted", "untyped nobtf", "quiet notrace"),
]
ASKED = [
    *({}, {"glob": "vfs_*"}, {"glob": ["twice", "xfs:*"]}, {"types": ["fentry"]}, {"types": ["kprobe", "fexit"]}),
    *({"answer": "no"}, {"answer": "yes", "types": ["kprobe.multi"]}, {"without": ["vfs_*"]}, {"returns": "int"}),
]


@pytest.fixture(autouse=True)
def cache(kept_at_once):
    return kept_at_once


@pytest.fixture
def judged(monkeypatch):
    """How often everything was judged."""
    times = []
    whole = scan.groups
    monkeypatch.setattr(scan, "groups", lambda k: times.append(k) or whole(k))
    return times


def told(folder, cache: bool = True):
    found = []
    for one in ASKED:
        kernel = open_kernel(str(folder), cache=cache)
        report = kernel.scan(**one)
        found.append((report.kernel, list(report.rows), report.unread, kernel.untyped()))
    for glob, types, answer in (("*", (), None), ("tcp_*", ("kprobe",), None), ("*", (), "unknown")):
        kernel = open_kernel(str(folder), cache=cache)
        found.append((list(kernel.scan_ndjson(glob, types, answer)), kernel.gaps()))
    return found


def keep(folder):
    kernel = open_kernel(str(folder), cache=True)
    list(kernel.scan().rows)
    assert kernel.wants_indexes()
    kernel.keep_indexes()
    assert not kernel.wants_indexes()


@pytest.mark.parametrize("gone", [None, "sys/kernel/debug/kprobes/blacklist", "sys/kernel/btf/vmlinux"])
def test_the_same_rows_and_nothing_is_judged(tiny_folder, judged, gone):
    folder = tiny_folder(SYMBOLS)
    if gone:
        (folder / gone).unlink()
    good = told(folder, cache=False)
    assert told(folder) == good
    keep(folder)
    judged.clear()
    assert told(folder) == good
    assert not judged


def test_a_file_that_changed_is_scanned_again(tiny_folder, judged):
    folder = tiny_folder(SYMBOLS)
    keep(folder)
    os.utime(folder / "sys/kernel/debug/kprobes/blacklist", ns=(9, 9))
    judged.clear()
    list(open_kernel(str(folder), cache=True).scan().rows)
    assert judged


def test_other_rights_are_judged_anew(tiny_folder, judged):
    folder = tiny_folder(SYMBOLS)
    keep(folder)
    judged.clear()
    kernel = open_kernel(str(folder), cache=True)
    kernel.ask_as("none")
    list(kernel.scan().rows)
    assert judged
    assert not kernel._scanned


def test_a_damaged_scan_is_not_believed(tiny_folder, cache):
    folder = tiny_folder(SYMBOLS)
    good = list(open_kernel(str(folder)).scan().rows)
    keep(folder)
    (file,) = (file for file in cache.glob(f"*{kept_index.ENDING}") if b"scan keys" in file.read_bytes())
    raw = file.read_bytes()
    for at in range(0, len(raw), max(len(raw) // 60, 1)):
        file.write_bytes(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :])
        assert list(open_kernel(str(folder), cache=True).scan().rows) == good


def test_a_scan_without_the_cache_keeps_nothing(tiny_folder, cache):
    folder = tiny_folder(SYMBOLS)
    kernel = open_kernel(str(folder))
    list(kernel.scan().rows)
    assert not kernel.wants_indexes()
    assert not cache.exists()
