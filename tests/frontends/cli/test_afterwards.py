"""What a command leaves to a process of its own when its answer is out."""

from __future__ import annotations

import os

import pytest

from probe_scout.frontends.cli import afterwards


class Kernel:
    def __init__(self, wants: bool, file: str) -> None:
        self.wants, self.file = wants, file

    def wants_indexes(self) -> bool:
        return self.wants

    def keep_indexes(self) -> None:
        closed = []
        for descriptor in (0, 1, 2):
            closed.append(os.path.realpath(f"/proc/self/fd/{descriptor}") == os.devnull)
        with open(self.file, "w") as handle:
            handle.write(f"{all(closed)} {os.getpid()} {os.getsid(0)} {os.nice(0)}")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "probe-scout"


@pytest.fixture
def children(monkeypatch):
    """The processes that were started; each is waited for here."""
    found: list[int] = []
    fork = os.fork

    def counted() -> int:
        pid = fork()
        found.append(pid)
        return pid

    monkeypatch.setattr(afterwards.os, "fork", counted)
    return found


def test_the_work_is_done_by_a_process_that_holds_nothing_of_the_callers(tmp_path, folder, children):
    file = tmp_path / "made"
    afterwards.keep_indexes([Kernel(False, "/nowhere"), Kernel(True, str(file))])
    (child,) = children
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert file.read_text() == f"True {child} {child} 19"
    assert not list(folder.iterdir())  # its lock is gone


def test_where_nothing_is_wanted_nothing_is_started(children):
    afterwards.keep_indexes([])
    afterwards.keep_indexes([Kernel(False, "/nowhere")])
    assert not children


def test_one_at_a_time_and_a_lock_of_a_killed_one_is_taken_over(tmp_path, folder, children):
    folder.mkdir()
    lock = folder / "index.lock"
    lock.touch()
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "made"))])
    assert not children
    os.utime(lock, (5, 5))
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "made"))])
    (child,) = children
    os.waitpid(child, 0)
    assert (tmp_path / "made").exists()


def test_a_failure_is_not_seen_by_anybody(tmp_path, folder, children):
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "no folder" / "made"))])
    (child,) = children
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not list(folder.iterdir())
