"""The matrix: every cell is what single checks say, and what booted kernels answered."""

from __future__ import annotations

import re

import pytest

from probe_scout.commands.matrix import cell
from probe_scout.frontends.many_kernels import matrix, timelines
from probe_scout.frontends.session import open_kernel
from probe_scout.model.hooks import Hook
from probe_scout.model.report import Alternative, Coverage, Limit, TargetReport
from probe_scout.model.verdict import Verdict
from probe_scout.sources import open_source
from tests.conftest import ROOT
from tests.oracle.recorded import unpack

KERNELS = sorted((ROOT / "fixtures" / "kernels").glob("*.tar.xz"))
TARGETS = (
    *("do_execve", "vfs_read", "tcp_v4_connect", "tcp_sendmsg", "security_file_open", "vfs_fsync_range"),
    *("finish_task_switch", "blk_account_io_done", "tp:sched:sched_switch", "tp:sock:inet_sock_set_state"),
    *("tp:block:block_io_start", "syscall:execve"),
)
HOOKS = [
    *(Hook(name, (name,)) for name in TARGETS[:9]),
    Hook("exec", ("fentry/do_execve", "fentry/bprm_execve", "kprobe/bprm_execve")),
    Hook("block", ("tp_btf/block_io_start", "tp:block:block_rq_issue"), need="may"),
    Hook("sockets", ("tp:sock:inet_sock_set_state", "syscall:execve")),
]


@pytest.fixture(scope="module")
def report():
    return matrix(HOOKS, [str(path) for path in KERNELS])


@pytest.fixture(scope="module")
def singles():
    """Each rung on each kernel, asked alone."""
    found = {}
    for place, path in enumerate(KERNELS):
        kernel = open_kernel(str(path))
        for rung in {rung for hook in HOOKS for rung in hook.ladder}:
            found[place, rung] = kernel.check([rung]).targets[0]
    return found


def test_every_cell_is_what_single_checks_say(report, singles):
    assert (len(report.hooks), len(report.kernels)) == (12, 8)
    for one in report.cells:
        checked = [singles[one.kernel, rung] for rung in HOOKS[one.hook].ladder]
        said = [(n, r.target, v.attach, v.answer, v.errno) for n, r in enumerate(checked) for v in r.verdicts]
        assert [(r.rung, r.target, r.attach, r.answer, r.errno) for r in one.rungs] == said
        if one.rung >= 0:
            assert (one.rung, one.target, one.attach, "yes") in {row[:4] for row in said}
            assert one.coverage == checked[one.rung].coverage
            if one.rung:
                assert one.state == "instead"
        elif one.attach:
            proposed = {(a.attach, a.target) for check in checked for a in check.alternatives if a.answer == "yes"}
            assert (one.attach, one.target) in proposed
            assert one.answer == "no"
        assert (one.state == "unknown") == (not one.attach and one.answer == "unknown")
        if one.state == "refused":
            assert one.errno
            assert all(row[3] != "yes" for row in said if row[2] in ("fentry", "kprobe", "tp", "raw_tp", "tp_btf"))


def test_every_state_occurs(report):
    states = {one.state for one in report.cells}
    assert states >= {"attaches", "instead", "refused", "unknown"}


def test_what_attaches_did_attach_where_the_kernel_was_booted(report):
    compared = 0
    for place, path in enumerate(KERNELS):
        raw = (ROOT / "fixtures" / "answers" / path.name.replace(".tar.xz", ".tsv.xz")).read_bytes()
        booted = dict(unpack(raw))
        for one in report.cells:
            if one.kernel != place or not one.attach:
                continue
            event = one.target.removeprefix("tp:")
            name = event.partition(":")[2] if one.attach in ("raw_tp", "tp_btf") else event
            types = (one.attach, f"{one.attach}_load")
            if said := {answer.ok for answer in booted.get(name, ()) if answer.type in types and not answer.more}:
                compared += 1
                assert said == {True}, (path.name, one.target, one.attach)
    assert compared > 30


def test_more_hooks_than_are_asked_at_once_have_the_same_cells():
    names = [f"no_such_function_{n}" for n in range(20)] + list(TARGETS)
    many = matrix([Hook(name, (name,)) for name in names], [str(KERNELS[1])])
    few = matrix([Hook(name, (name,)) for name in TARGETS], [str(KERNELS[1])])
    assert [one._replace(hook=0) for one in many.cells[20:]] == [one._replace(hook=0) for one in few.cells]


def test_a_broken_kernel_leaves_the_others_answered(tmp_path):
    broken = tmp_path / "broken.tar.xz"
    broken.write_bytes(KERNELS[0].read_bytes()[:5000])
    found = matrix([Hook("vfs_read", ("vfs_read",))], [str(broken), str(tmp_path / "none"), str(KERNELS[0])])
    assert [one.state for one in found.cells] == ["unknown", "unknown", "attaches"]
    assert [bool(column.error) for column in found.kernels] == [True, True, False]
    assert found.kernels[1].unread[0].kind == "not_there"


# what is chosen, from reports that are written out


def told(target, *verdicts, kind="function", coverage=None, limits=(), alternatives=()):
    """A report of check: verdicts are (attach, answer)."""
    found = tuple(Verdict(attach, answer, "EINVAL" if answer == "no" else None) for attach, answer in verdicts)
    return TargetReport(
        target, kind, None, found, coverage or Coverage(), alternatives=tuple(alternatives), limits=tuple(limits)
    )


ALL = Coverage("complete", "dwarf", True)
SOME = Coverage("partial", "dwarf", True, (("caller", 16),), missed=3)
LIKELY = Coverage("complete", "survey-other", False)


def choose(*reports, coverage="any"):
    return cell(Hook("h", tuple(r.target for r in reports), coverage=coverage), 0, 0, reports)


def test_the_first_rung_that_attaches_is_taken():
    one = choose(told("a", ("fentry", "no")), told("b", ("kprobe", "yes")), told("c", ("fentry", "yes")))
    assert (one.state, one.answer, one.rung, one.attach, one.target) == ("instead", "yes", 1, "kprobe", "b")
    assert one.errno == "EINVAL"


def test_typed_arguments_come_first_where_a_rung_names_no_type():
    one = choose(told("a", ("kprobe", "yes"), ("fentry", "yes"), ("fexit", "yes")))
    assert one.attach == "fentry"


def test_a_rung_that_cannot_be_told_is_never_a_no():
    one = choose(told("a", ("fentry", "no")), told("b", ("fentry", "unknown")))
    assert (one.state, one.answer, one.errno) == ("unknown", "unknown", None)


def test_a_proposal_on_no_rung_is_a_no():
    other = Alternative("tp", "tp:x:y", "yes", "")
    one = choose(told("a", ("fentry", "no"), alternatives=[other]))
    assert (one.state, one.answer, one.rung, one.target) == ("instead", "no", -1, "tp:x:y")


def test_a_proposal_does_not_hide_what_cannot_be_told():
    other = Alternative("tp", "tp:x:y", "yes", "")
    assert choose(told("a", ("fentry", "unknown"), alternatives=[other])).state == "unknown"


def test_missed_copies_are_a_state_of_their_own():
    one = choose(told("a", ("fentry", "yes"), coverage=SOME))
    assert (one.state, one.answer, one.missed, one.sees) == ("misses", "yes", 3, "partial")


@pytest.mark.parametrize(
    ("asked", "first", "answer", "rung"),
    [
        ("complete", SOME, "yes", 1),
        ("partial", SOME, "yes", 0),
        ("complete", ALL, "yes", 0),
        ("complete", LIKELY, "yes", 1),
        ("any", LIKELY, "yes", 0),
    ],
)
def test_a_rung_that_sees_too_little_is_passed_over(asked, first, answer, rung):
    one = choose(
        told("a", ("fentry", "yes"), coverage=first), told("b", ("fentry", "yes"), coverage=ALL), coverage=asked
    )
    assert (one.answer, one.rung) == (answer, rung)


@pytest.mark.parametrize(
    ("first", "answer"), [(SOME, "no"), (LIKELY, "unknown"), (Coverage(), "unknown"), (ALL, "yes")]
)
def test_the_coverage_that_is_asked_for_decides_the_answer(first, answer):
    one = choose(told("a", ("fentry", "yes"), coverage=first), coverage="complete")
    assert one.answer == answer
    assert bool(one.says) == (answer != "yes")


def test_limits_count_for_their_attach_types_alone():
    lost = Limit("limit.maxactive", "partial", "", "", ("kretprobe",))
    reports = [told("a", (attach, "yes"), coverage=ALL, limits=[lost]) for attach in ("kretprobe", "fentry")]
    assert [choose(report).state for report in reports] == ["misses", "attaches"]


def test_a_hook_that_nothing_calls_sees_none():
    never = Limit("limit.lsm_not_active", "never", "", "", ("lsm",))
    one = choose(told("bpf_lsm_file_open", ("lsm", "yes"), coverage=ALL, limits=[never]), coverage="partial")
    assert (one.state, one.sees, one.answer) == ("misses", "none", "no")


def test_inlining_does_not_concern_events():
    one = choose(told("tp:a:b", ("tp_btf", "yes"), kind="tracepoint"), coverage="complete")
    assert (one.state, one.sees, one.answer) == ("attaches", "complete", "yes")


def test_fields_of_events_are_those_of_the_format_files(report):
    found = {one.event: one for one in timelines(report)}
    assert {"sched:sched_switch", "block:block_rq_issue", "sock:inet_sock_set_state"} <= set(found)
    line = found["sched:sched_switch"]
    assert line.told == ("yes",) * 8
    for place, path in enumerate(KERNELS):
        raw = open_source(str(path)).read("sys/kernel/tracing/events/sched/sched_switch/format").decode()
        own = re.findall(r"field:[^;]*?(\w+)(?:\[\d+\])?;\toffset:(\d+);\tsize:(\d+)", raw)[4:]
        said = [(name, str(at[place].offset), str(at[place].size)) for name, at in line.fields]
        assert said == own
    assert found["sock:inet_sock_set_state"].told.count("yes") >= 2


def test_a_tracepoint_program_takes_no_other_type():
    """`tp/…` is a section of libbpf: its loader does not try tp_btf where tp is refused."""
    report = told("tp:a:b", ("tp", "no"), ("tp_btf", "yes"), kind="tracepoint")
    for written, state in (("tp:a:b", "attaches"), ("tp/a/b", "refused"), ("tracepoint:a:b", "refused")):
        found = cell(Hook("h", (written,)), 0, 0, [report])
        assert (found.state, found.answer) == (state, "yes" if state == "attaches" else "no"), written
