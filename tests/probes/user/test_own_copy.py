"""A process that does not map the library, but has the function: linked in, or Go's own TLS."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.session import open_kernel
from probe_scout.probes.user import files, own_copy
from probe_scout.sources import user_files
from probe_scout.sources.user_files import FileState, Mapping
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

STATIC = "__attribute__((noinline)) int SSL_write(int a) { return a; }\nint main(int c) { return SSL_write(c); }\n"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch):
    """Process 7 runs a program with the function, 8 one without; nobody maps the library that is asked about."""
    write_tree(tmp_path / "root", tiny_files(symbols=("foo",)))
    (tmp_path / "lib").mkdir()
    shared = programs.compiled(tmp_path / "lib", "libssl.so.3", STATIC, "-shared", "-fPIC")
    own = programs.compiled(tmp_path, "own", STATIC)
    other = programs.compiled(tmp_path, "other", programs.PROGRAM)

    def mapped(pid: int, proc: str = "/proc") -> list[Mapping]:
        path = {7: own, 8: other}[pid]
        state = os.stat(path)
        return [Mapping(0x1000, 0x2000, "r-xp", 0, state.st_dev, state.st_ino, str(path))]

    def state(path: str) -> FileState:
        try:
            found = os.stat(path.partition("/root")[2] if path.startswith("/proc/") else path)
        except OSError:
            return FileState("missing")
        return FileState("", True, found.st_size, found.st_dev, found.st_ino)

    monkeypatch.setattr(files, "kind_of", lambda k: files.LIVE)
    monkeypatch.setattr(user_files, "mappings", mapped)
    monkeypatch.setattr(user_files, "leader", lambda pid: pid)
    monkeypatch.setattr(user_files, "threads", lambda pid: 1)
    monkeypatch.setattr(user_files, "exists", lambda pid: pid in (7, 8))
    monkeypatch.setattr(user_files, "mapped_by", lambda *a, **k: user_files.MappedBy((), (), 0))
    monkeypatch.setattr(user_files, "state", state)
    monkeypatch.setattr(user_files, "is_one_file", lambda one, other: True)
    monkeypatch.setattr(files.os, "readlink", lambda path: str(own))
    return open_kernel(str(tmp_path / "root")), shared, own


def test_a_probe_on_the_library_names_the_copy_of_the_process(kernel):
    k, shared, own = kernel
    (report,) = k.check([f"{shared}:SSL_write"], ["uprobe"], pid=7).targets
    assert [one.says for one in report.diagnosis if one.kind == "own_copy"] == [
        f"Process 7 has SSL_write in a file of its own: {own}:SSL_write."
    ]
    assert [(one.target, one.says) for one in report.alternatives] == [(f"{own}:SSL_write", "the process's own copy")]
    (report,) = k.check([f"{shared}:SSL_write"], ["uprobe"], pid=8).targets
    assert not [one for one in report.diagnosis if one.kind == "own_copy"]
    assert not report.alternatives


def test_a_library_that_the_process_does_not_map(kernel):
    k, _, own = kernel
    with pytest.raises(
        UsageError, match=rf"maps no library libssl\. Process 7 has SSL_write in .*{own.name}:SSL_write"
    ):
        k.check(["pid:7:libssl:SSL_write"])
    with pytest.raises(UsageError, match=r"maps no library libssl$"):
        k.check(["pid:7:libssl:SSL_nothing"])


def test_tls_of_go(kernel, tmp_path, monkeypatch):
    k, _, _ = kernel
    program = str(programs.go_program(tmp_path))
    go = files.UserFile(k._kernel, files.Place(program, program), files.LIVE)
    monkeypatch.setattr(own_copy, "GO_INSTEAD", {"SSL_write": "main.add", "SSL_read": "main.no_such"})
    monkeypatch.setattr(files, "of_mapped", lambda k, pids: [go])
    found = own_copy.copies(k._kernel, 9, "SSL_write")
    assert "is a Go program with TLS of its own" in own_copy.says(9, "SSL_write", found)
    assert own_copy.copies(k._kernel, 9, "SSL_read") == []
    assert own_copy.says(9, "SSL_read", []) == ""
