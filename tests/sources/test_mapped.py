"""A mapped file answers as its bytes would; which files have a state that can be relied on."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.sources import mapped
from probe_scout.sources.folder import FolderSource
from probe_scout.sources.mapped import Mapped, held, state_of
from tests.sources.test_archive import manifest

TEXT = b"ffff t alpha\nffff t alphabet\n\n0 T beta\t[m]\nffff t alpha\n"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "file"
    path.write_bytes(TEXT)
    return path


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files of a test were written a moment ago."""
    monkeypatch.setattr(mapped, "SETTLED_NS", 0)


@pytest.fixture(scope="module")
def raw(file):
    with open(file, "rb") as handle:
        yield Mapped(handle.fileno(), 0, prot=1)


@given(
    st.sampled_from([b"a", b"\n", b" alpha\n", b"alpha", b"\t[", b"absent", b"f" * 4, TEXT]),
    st.integers(0, len(TEXT)),
    st.integers(0, len(TEXT) + 3),
)
def test_searches_are_those_of_bytes(raw, sub, start, end):
    assert raw.find(sub, start, end) == TEXT.find(sub, start, end)
    assert raw.find(sub, start) == TEXT.find(sub, start)
    assert raw.rfind(sub, start, end) == TEXT.rfind(sub, start, end)
    assert raw.count(sub, start, end) == TEXT.count(sub, start, end)
    assert raw.startswith(sub, start, end) == TEXT.startswith(sub, start, end)
    assert raw.endswith(sub, start, end) == TEXT.endswith(sub, start, end)
    assert (sub in raw) == (sub in TEXT)


def test_the_rest_of_bytes_that_readers_use(raw):
    assert (raw.split(b"\n"), raw.split()) == (TEXT.split(b"\n"), TEXT.split())
    assert raw.splitlines(True) == TEXT.splitlines(True)
    assert raw.partition(b"\t") == TEXT.partition(b"\t")
    assert raw.decode() == TEXT.decode()
    assert (raw.index(b"beta"), raw.index(10)) == (TEXT.index(b"beta"), TEXT.index(10))
    assert (raw[3:9], raw[0], len(raw), bool(raw)) == (TEXT[3:9], TEXT[0], len(TEXT), True)
    with pytest.raises(ValueError):
        raw.index(b"absent")


def test_a_file_of_this_moment_has_no_state(file, monkeypatch):
    monkeypatch.setattr(mapped, "SETTLED_NS", 10**15)
    assert not state_of(os.stat(file))


@pytest.mark.machine
def test_files_of_procfs_and_sysfs_have_no_state():
    assert not state_of(os.stat("/proc/version"))
    assert not state_of(os.stat("/sys/kernel/mm/transparent_hugepage/enabled"))


def test_folders_and_empty_files_have_no_state(tmp_path):
    (tmp_path / "empty").touch()
    assert not state_of(os.stat(tmp_path))
    assert not state_of(os.stat(tmp_path / "empty"))


def test_the_state_changes_with_the_file_and_with_what_is_beside_it(file):
    with open(file, "rb") as handle:
        first = held(handle.fileno(), ("beside",))
        assert first is not None
        assert first.raw[:] == TEXT
        assert held(handle.fileno(), ("other",)).state != first.state
        os.utime(file, ns=(1, 1))
        assert held(handle.fileno(), ("beside",)).state != first.state


def snapshot(folder, files):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return FolderSource(str(folder), "snapshot")


def test_a_folder_holds_plain_files_alone(tmp_path):
    files = {"proc/kallsyms": TEXT, "sys/kernel/notes.xz": b"packed"}
    source = snapshot(tmp_path, {**files, "manifest.json": manifest(files)})
    first = source.held("proc/kallsyms")
    assert first.raw[:] == TEXT
    assert source.held("sys/kernel/notes") is None
    assert source.held("absent") is None
    assert source.held("proc") is None
    (tmp_path / "manifest.json").write_bytes(manifest(files) + b" ")
    assert source.held("proc/kallsyms").state != first.state


def test_a_packed_manifest_leaves_the_state_open(tmp_path):
    assert snapshot(tmp_path, {"proc/kallsyms": TEXT}).held("proc/kallsyms") is not None
    (tmp_path / "manifest.json.xz").write_bytes(b"")
    assert FolderSource(str(tmp_path), "snapshot").held("proc/kallsyms") is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path, file):
    (tmp_path / "proc").symlink_to(file.parent)
    (tmp_path / "kallsyms").symlink_to(file)
    source = FolderSource(str(tmp_path), "root")
    assert source.held("proc/file") is None
    assert source.held("kallsyms") is None
