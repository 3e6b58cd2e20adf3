"""Kept answers of lint: equal to fresh ones, for exactly this object, kernel, libbpf and program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.kept_lint import KeptAnswers
from probe_scout.frontends.session import open_kernel
from probe_scout.sources import cache

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT / "fixtures/kernels/debian-6.12.107-amd64.tar.xz"
OBJECT = ROOT / "fixtures" / "objects" / "trie.bpf.o"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a snapshot and a cache of its own, where the archive is unpacked once."""
    folder = tmp_path_factory.mktemp("kept")
    shutil.copy(SNAPSHOT, folder / "kernel.tar.xz")
    return folder


@pytest.fixture
def archive(place, monkeypatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.delenv("PROBE_SCOUT_CACHE", raising=False)
    for path in entries(place):
        path.unlink()
    return str(place / "kernel.tar.xz")


def entries(place: Path) -> list[Path]:
    return [path for path in place.glob("cache/probe-scout/*.json") if not path.name.startswith(cache._LARGE)]


def ask(archive: str, path: Path = OBJECT, **more: str):
    return open_kernel(archive, cache=True).lint(str(path), **more)


def test_kept_answers_equal_fresh_ones_and_open_nothing(archive, tmp_path, monkeypatch):
    objects = tmp_path / "objects"
    objects.mkdir()
    for path in sorted((ROOT / "fixtures" / "objects").glob("*.bpf.o"))[:3]:
        shutil.copy(path, objects)
    fresh = ask(archive, objects)
    assert len(fresh.objects) == 3
    monkeypatch.setattr("probe_scout.sources.open_source", lambda *_: pytest.fail("the source was opened"))
    assert ask(archive, objects) == fresh
    assert ask(archive, objects).to_json() == fresh.to_json()


def test_another_object_libbpf_program_or_kernel_is_another_question(archive, tmp_path, monkeypatch):
    fresh = ask(archive)
    opened: list[str] = []
    import probe_scout.sources

    open_source = probe_scout.sources.open_source
    monkeypatch.setattr("probe_scout.sources.open_source", lambda *a: opened.append(a[0]) or open_source(*a))
    assert ask(archive) == fresh
    assert not opened
    program = fresh.objects[0].kernels[0].programs[0].name
    changed = tmp_path / "changed.o"
    changed.write_bytes(OBJECT.read_bytes() + b"\0")
    for count, again in enumerate(({"libbpf": "1.1"}, {"program": program}, {"path": changed}), 1):
        ask(archive, **again)
        assert len(opened) == count
    state = os.stat(archive)
    os.utime(archive, (1, 1))
    ask(archive)
    assert len(opened) == 4
    os.utime(archive, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_off_keeps_nothing_and_damaged_entries_are_as_good_as_none(archive, place, monkeypatch):
    fresh = ask(archive).objects[0]
    (entry,) = entries(place)
    keeper = KeptAnswers([cache.key(archive, None, ("lint",), (), False)], (1, 8), "")
    kept = keeper.load(0, fresh.sha256)
    assert kept is not None
    assert kept[:2] == (fresh.license, fresh.kernels[0])
    for value in (None, [], [1, 2, 3], ["GPL", [[], [], []], []], ["GPL", [[1] * 7, [1] * 4, [[]]], []], {"a": 1}):
        with monkeypatch.context() as patched:
            patched.setattr(cache, "kept", lambda *_, value=value: value)
            assert keeper.load(0, fresh.sha256) is None, value
    entry.unlink()
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    keeper.store(0, fresh.sha256, kept)
    assert keeper.load(0, fresh.sha256) is None
    assert not entries(place)


def test_what_is_kept_reads_no_object_and_no_kernel(archive):
    ask(archive)
    code = (
        "import sys; from probe_scout.frontends.session import open_kernel;"
        f"open_kernel({archive!r}, cache=True).lint({str(OBJECT)!r});"
        "print(*sorted(name for name in sys.modules if name.startswith('probe_scout.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "probe_scout.frontends.kept_lint" in loaded
    assert not loaded & {
        "probe_scout.kernel.kernel",
        "probe_scout.probes.objects.judge",
        "probe_scout.formats.elf.bpf_object",
    }


def test_a_file_that_is_not_there_is_still_said(archive, tmp_path):
    with pytest.raises(UsageError):
        ask(archive, tmp_path / "nothing.o")
