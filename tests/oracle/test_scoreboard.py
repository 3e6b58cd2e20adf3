"""Verdicts against the answers of booted kernels: none wrong, none unknown, the errno right.

By default all targets with rare answers and a fixed part of the others; all of them with PROBE_SCOUT_ORACLE=whole.
"""

from __future__ import annotations

import pytest

from tests.oracle import recorded, scoreboard
from tests.oracle.recorded import Answer
from tests.oracle.scoreboard import Row, Said, count

ERRNO_RIGHT_MIN = 0.999
KERNELS = list(scoreboard.kernels())


@pytest.fixture(scope="module", params=KERNELS)
def scored(request):
    """A kernel's name and its rows."""
    return request.param, scoreboard.scored(request.param, scoreboard.one_in_wanted())


@pytest.mark.oracle
def test_no_verdict_is_wrong(scored, capsys):
    name, rows = scored
    with capsys.disabled():
        print("\n" + "\n".join(scoreboard.table(name, rows)))
    assert {type_: row.wrong[:5] for type_, row in rows.items() if row.wrong} == {}


@pytest.mark.oracle
def test_no_verdict_is_unknown_but_inside_functions(scored):
    """A snapshot holds the first instructions of some functions; offsets into others need the code itself."""
    unknown = {t: row.unknown_names[:5] for t, row in scored[1].items() if row.unknown and not t.endswith("+offset")}
    assert unknown == {}


@pytest.mark.oracle
def test_the_errno_of_refusals_is_right(scored):
    rows = scored[1].values()
    refused, right = (sum(getattr(row, key) for row in rows) for key in ("refused", "errno_right"))
    assert refused > 1000
    assert right / refused >= ERRNO_RIGHT_MIN, [text for row in rows for text in row.errno_wrong[:3]]


@pytest.mark.oracle
def test_every_kind_of_question_was_asked(scored):
    asked = {type_ for type_, row in scored[1].items() if row.asked}
    assert {"kprobe", "kprobe_event", "kretprobe", "fentry", "fentry_load", "fmod_ret_load", "lsm", "iter"} <= asked
    assert {"tp", "raw_tp", "tp_btf", "tp_field"} <= asked


def test_a_part_keeps_every_rare_answer_and_is_the_same_every_time():
    common = [(f"f{n}", (Answer("kprobe", "", "0", "-"),)) for n in range(1000)]
    rare = [(f"g{n}", (Answer("kprobe", "", "EINVAL", "open"),)) for n in range(scoreboard.RARE - 1)]
    part = list(scoreboard.part(common + rare, 10))
    assert part == list(scoreboard.part(common + rare, 10))
    assert set(rare) <= set(part)
    assert 50 < len(part) - len(rare) < 150
    assert sorted(scoreboard.part(common + rare, 1)) == sorted(common + rare)


def counted(answer, said):
    row = Row()
    count(row, "vfs_read", answer, said)
    return row


def test_the_scoreboard_sees_what_is_wrong():
    yes, no = Answer("kprobe", "", "0", "-"), Answer("kprobe", "", "EINVAL", "open")
    assert counted(yes, Said("yes", None)).right == 1
    assert counted(yes, Said("no", "EINVAL")).wrong == ["vfs_read: we no EINVAL, kernel yes"]
    assert counted(no, Said("yes", None)).wrong == ["vfs_read: we yes, kernel EINVAL at open"]
    assert counted(no, Said("unknown", None, ["kallsyms"])).unknown_names == ["vfs_read"]
    same, other = counted(no, Said("no", "EINVAL")), counted(no, Said("no", "ENOENT"))
    assert (same.errno_right, other.errno_right) == (1, 0)
    assert other.errno_wrong == ["vfs_read: we ENOENT, kernel EINVAL at open"]


def test_tracefs_tells_a_missing_and_a_doubled_name_as_einval():
    said = Said("no", "EADDRNOTAVAIL")
    assert counted(Answer("kprobe_event", "", "EINVAL", "register"), said).errno_right == 1
    assert counted(Answer("kprobe", "", "EINVAL", "open"), said).errno_right == 0


def test_crashes_and_lookups_are_no_answers_and_a_new_type_is_noticed(tiny_kernel):
    judge = scoreboard.Judge(tiny_kernel()._kernel.source)
    rows = [
        ("vfs_read", (Answer("kprobe", "", "crash", "crash"), Answer("fentry", "", "ENOENT", "lookup"))),
        ("vfs_read", (Answer("kfunc", "tp", "EACCES", "load"),)),
    ]
    found = scoreboard.score(judge, rows)
    assert (found["kprobe"].hazards, found["kprobe"].asked) == (1, 0)
    assert (found["fentry"].not_judged, found["kfunc"].not_judged) == (1, 1)
    with pytest.raises(ValueError, match="no mapping for the type 'telepathy'"):
        scoreboard.score(judge, [("vfs_read", (Answer("telepathy", "", "0", "-"),))])


def test_each_type_of_question_reaches_its_verdict(tiny_kernel):
    symbols = ("vfs_read", "quiet notrace", "__x64_sys_read", "xfs_read [xfs]")
    code = {"vfs_read": ("55", ())}  # a snapshot with code: an entry that it lacks is no five-byte no-op
    judge = scoreboard.Judge(tiny_kernel(symbols, events=("sched:sched_switch",), code=code)._kernel.source)

    def answer(target, type_, more=""):
        return judge.say(target, Answer(type_, more, "0", "-")).answer

    types = ("kprobe", "kprobe_event", "fentry", "kprobe.multi")
    assert {answer("vfs_read", type_) for type_ in (*types, "fentry_load")} == {"yes"}
    assert {answer("quiet", type_) for type_ in types} == {"no"}
    assert answer("quiet", "fentry_load") == "yes"
    assert answer("xfs:xfs_read", "fentry") == "yes"
    assert answer("xfs_read", "fentry") == "no"  # vmlinux's BTF has no such function
    assert answer("read", "ksyscall") == "yes"
    assert answer("sched:sched_switch", "tp") == answer("sched_switch", "raw_tp") == "yes"
    assert answer("sched:sched_switch", "tp_field", "8:4") == "yes"
    assert answer("sched:sched_switch", "tp_field", "0:2") == answer("sched:sched_switch", "tp_field", "64:1") == "no"


def test_the_page_counts_all_questions_and_names_what_is_wrong():
    good, bad = Row(), Row()
    good.right, good.refused, good.errno_right = 7, 2, 2
    bad.right, bad.wrong = 1, ["vfs_read: we no EINVAL, kernel yes"]
    page = scoreboard.markdown({"debian-1": {"kprobe": good, "fentry": bad}, "debian-2": {"kprobe": good}})
    assert "| debian-1 | kprobe | 7 | 7 | 0 | 0 | 2 of 2 | 0 |" in page
    assert "| **debian-1** | **all** | **9** | **8** | **1** | **0** | **2 of 2** | **0** |" in page
    assert "| **all** | **all** | **16** | **15** | **1** |" in page
    assert "* `vfs_read: we no EINVAL, kernel yes`" in page


def test_recorded_kernels_are_bundled_with_their_answers():
    assert len(KERNELS) >= 8
    for name, (snapshot, answers) in scoreboard.kernels().items():
        told = scoreboard.provenance(name)
        assert snapshot.exists()
        assert told["asked"] >= 60_000
        kept = sum(len(said) for _, said in recorded.read(answers))
        assert kept == told["answers"]
        assert kept == told["asked"] if told["snapshot"] == "whole" else kept >= 15_000
