"""`check --pid`: what is said of the one process that a probe is for. The kernel's answers are in tests/vm."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.session import open_kernel
from probe_scout.probes.user import files, one_process
from probe_scout.sources import user_files
from probe_scout.sources.user_files import FileState, MappedBy
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

KERNEL = SimpleNamespace(feature=lambda name: True)
FILE = SimpleNamespace(path="/lib/x.so")
NONE = MappedBy((), (), 0, False, ())


@pytest.mark.parametrize(
    ("mapped", "told"),
    [
        (NONE._replace(pids=(7,)), []),
        (NONE, [("limit.uprobe_process_unmapped", "never", "likely")]),
        (NONE._replace(denied=1), [("limit.uprobe_process_unmapped", "unknown", "fact")]),
        (NONE._replace(old=(7,)), [("limit.uprobe_process_other_file", "never", "fact")]),
        (NONE._replace(elsewhere=(7,)), [("limit.uprobe_process_other_file", "never", "fact")]),
    ],
)
def test_limits(mapped, told, monkeypatch):
    monkeypatch.setattr(user_files, "exists", lambda pid: True)
    found = list(one_process.limits(KERNEL, 7, FILE, mapped, ("uprobe",)))  # type: ignore[arg-type]
    assert [(one.id, one.effect, "likely" if one.certainty == "likely" else "fact") for one in found] == told


@pytest.mark.parametrize(("session", "threads", "told"), [(True, 2, []), (None, 1, []), (False, 2, 1), (None, 2, 1)])
def test_links_of_early_kernels_may_see_one_thread(session, threads, told, monkeypatch):
    monkeypatch.setattr(user_files, "exists", lambda pid: True)
    monkeypatch.setattr(user_files, "threads", lambda pid: threads)
    kernel = SimpleNamespace(feature={"type_uprobe_session": session}.get)
    types = ("uprobe", "uprobe.multi", "uretprobe.multi")
    found = list(one_process.limits(kernel, 7, FILE, NONE._replace(pids=(7,)), types))  # type: ignore[arg-type]
    assert [(one.id, one.effect, one.types) for one in found] == (
        [("limit.uprobe_process_threads", "unknown", types[1:])] if told else []
    )


def test_a_process_that_is_gone_has_a_verdict_and_no_limit(monkeypatch):
    monkeypatch.setattr(user_files, "exists", lambda pid: False)
    assert one_process.is_gone(7)
    assert not one_process.is_gone(None)
    assert list(one_process.limits(KERNEL, 7, FILE, NONE, ("uprobe",))) == []  # type: ignore[arg-type]


def test_one_process_of_a_recorded_proc(tmp_path):
    line = "1000-2000 r-xp 00000000 00:07 12 /lib/x.so\n"
    for pid, text in ((7, line), (8, line), (9, "")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "maps").write_text(text)
        (tmp_path / str(pid) / "status").write_text(f"Name:\tx\nTgid:\t{min(pid, 8)}\nNgid:\t0\n")
    state = FileState("", True, 4096, 7, 12)
    ask = user_files.mapped_by
    assert sorted(ask("/lib/x.so", state, 0, str(tmp_path)).pids) == [7, 8]
    assert ask("/lib/x.so", state, 0, str(tmp_path), only=8)[:4] == ((8,), (), 0, True)
    assert ask("/lib/x.so", state, 0, str(tmp_path), only=9) == NONE
    assert ask("/lib/x.so", state, 0, str(tmp_path), only=10) == NONE
    assert [user_files.leader(pid, str(tmp_path)) for pid in (7, 9, 10)] == [7, 8, 0]


def test_what_cannot_be_asked(tmp_path, monkeypatch):
    write_tree(tmp_path, tiny_files(symbols=("foo",)))
    kernel = open_kernel(str(tmp_path))
    for name, says in (("/bin/sh:main", "this machine's"), ("foo", "functions of programs")):
        with pytest.raises(UsageError, match=says):
            kernel.check([name], pid=7)
    monkeypatch.setattr(files, "kind_of", lambda k: files.LIVE)
    monkeypatch.setattr(user_files, "leader", lambda pid: 3)
    with pytest.raises(UsageError, match="thread of process 3"):
        one_process.checked(kernel._kernel, SimpleNamespace(pid=None), 7)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="of process 5"):
        one_process.checked(kernel._kernel, SimpleNamespace(pid=5), 7)  # type: ignore[arg-type]
