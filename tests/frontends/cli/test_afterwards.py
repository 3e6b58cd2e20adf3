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

    def settle_indexes(self) -> None:
        self.settled_by = os.getpid()

    def keep_indexes(self) -> None:
        with open(self.file, "w") as handle:
            handle.write(f"{self.settled_by} {os.getpid()} {os.getsid(0)} {os.nice(0)}")


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


def test_a_process_lets_go_of_what_its_caller_waits_for(tmp_path):
    """Also of descriptors far above those of a shell."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.dup2(writer, 700)
        os.chdir(tmp_path)
        afterwards.let_go()
        with open(tmp_path / "open", "w") as handle:
            links = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
            handle.write(f"{links.count(os.devnull)} {os.getcwd()} {sum('pipe:' in link for link in links)}")
        os._exit(0)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(reader)
    assert (tmp_path / "open").read_text() == "3 / 0"


def test_the_work_is_done_by_a_process_of_lowest_priority(tmp_path, folder, children):
    file = tmp_path / "made"
    afterwards.keep_indexes([Kernel(False, "/nowhere"), Kernel(True, str(file))])
    (child,) = children
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert file.read_text() == f"{os.getpid()} {child} {child} 19"
    assert not list(folder.iterdir())  # its lock is gone


def test_where_nothing_is_wanted_nothing_is_started(children):
    afterwards.keep_indexes([])
    afterwards.keep_indexes([Kernel(False, "/nowhere")])
    assert not children


@pytest.mark.parametrize("when", [(5, 5), (1 << 33, 1 << 33)])  # also where a clock was set back
def test_one_at_a_time_and_a_lock_of_a_killed_one_is_taken_over(tmp_path, folder, children, when):
    folder.mkdir()
    lock = folder / "index.lock"
    lock.touch()
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "made"))])
    assert not children
    os.utime(lock, when)
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "made"))])
    (child,) = children
    os.waitpid(child, 0)
    assert (tmp_path / "made").exists()


def test_a_failure_is_not_seen_by_anybody(tmp_path, folder, children):
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "no folder" / "made"))])
    (child,) = children
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not list(folder.iterdir())


def test_process_1_of_a_container_starts_none(tmp_path, children, monkeypatch):
    monkeypatch.setattr(afterwards.os, "getpid", lambda: 1)
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "made"))])
    assert not children


def test_where_no_process_is_to_be_had_the_lock_is_given_back(tmp_path, folder, monkeypatch):
    def refused() -> int:
        raise BlockingIOError

    monkeypatch.setattr(afterwards.os, "fork", refused)
    with pytest.raises(BlockingIOError):
        afterwards.keep_indexes([Kernel(True, str(tmp_path / "made"))])
    assert not list(folder.iterdir())


def test_a_folder_that_others_may_write_to_gets_no_lock(tmp_path, folder, children):
    folder.mkdir()
    folder.chmod(0o777)
    afterwards.keep_indexes([Kernel(True, str(tmp_path / "made"))])
    assert not children
    assert not list(folder.iterdir())
