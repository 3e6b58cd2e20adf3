"""`scan` of programs: of one file, of every file that a process maps code of, of all processes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.session import open_kernel
from probe_scout.probes.user import files
from probe_scout.sources import user_files
from probe_scout.sources.user_files import FileState, Mapping
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

if TYPE_CHECKING:
    from probe_scout.frontends.session import OpenKernel


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch) -> OpenKernel:
    """A kernel as this machine's, with two processes: 7 runs a program with a library, 8 another program."""
    write_tree(tmp_path / "root", tiny_files(symbols=("foo",)))
    program, library = programs.compiled(tmp_path, "prog", programs.PROGRAM), programs.library(tmp_path)
    traced = programs.compiled(tmp_path, "traced", programs.USDT)
    script = tmp_path / "jit.dump"
    script.write_text("no program")

    def mapped(pid: int, proc: str = "/proc") -> list[Mapping]:
        if pid not in (7, 8):
            raise FileNotFoundError(2, "No such file or directory")
        found = []
        for path in (program, library, library, script) if pid == 7 else (traced, library, tmp_path / "gone (deleted)"):
            state = os.stat(path) if path.exists() else os.stat(tmp_path)
            found.append(Mapping(0x1000, 0x2000, "r-xp", 0, state.st_dev, state.st_ino, str(path)))
        return [*found, Mapping(0x3000, 0x4000, "r--p", 0, 1, 1, "/usr/share/data")]

    monkeypatch.setattr(files, "kind_of", lambda k: files.LIVE)
    monkeypatch.setattr(user_files, "mappings", mapped)
    monkeypatch.setattr(user_files, "processes", lambda: [7, 8, 9])
    monkeypatch.setattr(user_files, "leader", lambda pid: pid)
    monkeypatch.setattr(user_files, "exists", lambda pid: pid in (7, 8))
    monkeypatch.setattr(user_files, "mapped_by", lambda *a, **k: user_files.MappedBy((), (), 0))

    def state(path: str) -> FileState:
        try:
            found = os.stat(re.sub(r"^/proc/\d+/root(?=/)", "", path))
        except OSError:
            return FileState("missing")
        return FileState("", True, found.st_size, found.st_dev, found.st_ino)

    monkeypatch.setattr(user_files, "state", state)
    monkeypatch.setattr(user_files, "is_one_file", lambda one, other: state(one).inode == state(other).inode != 0)
    return open_kernel(str(tmp_path / "root"))


def names(kernel: OpenKernel, glob: str, **options) -> list[str]:
    return [row.target.rpartition("/")[2] for row in kernel.scan(glob, **options).rows]


def test_functions_of_a_process(kernel):
    assert names(kernel, "work", pid=7) == ["prog:work"]
    every = names(kernel, "*", pid=7)
    assert {"prog:main", "prog:work", "prog:helper"} <= set(every)
    assert len([one for one in every if one.endswith(":entry")]) == 1, "a file that is mapped twice is listed once"
    assert names(kernel, "main", pid=8) == ["traced:main"]


def test_rows_are_targets_that_check_takes(kernel):
    (row,) = kernel.scan("work", pid=7).rows
    (report,) = kernel.check([row.target], ["uprobe"]).targets
    assert report.place is not None
    assert [site.offset for site in report.place.sites] == [row.offset]


def test_static_probes_of_one_and_of_all_processes(kernel):
    probes = names(kernel, "usdt:prov:*", pid=8)
    assert {one.partition(":")[2] for one in probes} == {"prov:plain", "prov:guarded"}
    assert names(kernel, "usdt:*:*", pid=7) == []
    assert names(kernel, "usdt:*:prov:*") == probes
    assert names(kernel, "usdt:*:other:*") == []


def test_what_cannot_be_asked(kernel, monkeypatch):
    with pytest.raises(UsageError, match="there is no process 12"):
        kernel.scan("*", pid=12)
    with pytest.raises(UsageError, match="one pattern of one file"):
        kernel.scan(["a", "b"], pid=7)
    monkeypatch.setattr(files, "kind_of", lambda k: files.ROOT)
    for glob, pid in (("*", 7), ("usdt:*:a:b", None)):
        with pytest.raises(UsageError, match="this machine's processes"):
            kernel.scan(glob, pid=pid)


def test_a_file_that_may_not_be_read_is_told(kernel, monkeypatch):
    def denied(path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(user_files, "content", denied)
    report = kernel.scan("*", pid=7)
    assert list(report.rows) == []
    assert {one.kind for one in report.unread} == {"denied"}


def test_nothing_found_says_where_it_was_looked_for(kernel, tmp_path):
    library = tmp_path / "libps.so"
    assert "has functions by .dynsym and .symtab" in kernel.looked_through(f"{library}:nosuch")
    assert "has no static probes" in kernel.looked_through(f"usdt:{library}:x:y")
    assert kernel.looked_through("nosuch", 7) == "2 files were looked through"
    assert "names no functions" in kernel.looked_through(str(programs.stripped(tmp_path / "prog")))
