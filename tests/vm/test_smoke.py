"""Choosing questions for a short run, and telling what is not as it must be."""

from __future__ import annotations

from tests.oracle.recorded import Answer
from tests.oracle.scoreboard import Row
from tests.vm import asking, smoke
from tests.vm.plan import LAST, Part, Question


def part(name, count, type_="kprobe"):
    return Part(name, [Question(type_, f"{name}_{n}") for n in range(count)], "", 1)


def test_some_of_every_part_and_none_of_the_dangerous_ones():
    parts = [part("many", 9000), part("some", 900), part("few", 3), part("kfuncs", 50, "kfunc"), part(LAST, 9)]
    chosen = smoke.choose(parts, 1000)
    assert chosen == smoke.choose(parts, 1000)
    count = {name: sum(q.target.startswith(name) for q in chosen) for name in ("many", "some", "few", "kfuncs", LAST)}
    assert count["few"] == 3
    assert count["kfuncs"] == count[LAST] == 0
    assert count["some"] >= smoke.LEAST_OF_A_PART
    assert len(chosen) == 1000


def test_answers_are_compared_with_the_recorded_ones_to_the_same_question():
    said = {
        Question("kprobe", "a"): asking.Answer("0", "-", 1, ""),
        Question("kprobe", "b"): asking.Answer("EINVAL", "open", 1, ""),
        Question("kprobe", "c"): asking.Answer("0", "-", 1, ""),
    }
    known = [
        ("a", (Answer("kprobe", "", "0", "-"), Answer("fentry", "", "EBUSY", "attach"))),
        ("b", (Answer("kprobe", "", "0", "-"),)),
    ]
    known.append(("c", (Answer("kprobe", "", "crash", "crash"),)))
    assert smoke.changed(said, known) == ["kprobe\tb: recorded 0, now EINVAL"]


def test_each_fault_gets_a_sentence():
    good = Row()
    good.right = good.refused = good.errno_right = 1000
    assert smoke.Found({"kprobe": good}, [], 0, "").faults() == []
    assert smoke.Found({"kprobe": good}, [], -1, "").faults() == []
    bad = Row()
    bad.wrong, bad.unknown, bad.unknown_names, bad.refused = ["vfs_read: we no"], 1, ["vfs_write"], 10
    said = smoke.Found({"fentry": bad}, ["kprobe\tx: recorded 0, now EINVAL"], 1, "differs").faults()
    assert [text.split(":")[0] for text in said] == [
        "fentry",
        "fentry",
        "not as recorded",
        "errno right in 0 of 10 refusals",
        "verify ended with 1",
    ]
    inside = Row()
    inside.unknown, inside.unknown_names = 1, ["vfs_read+0x9"]
    assert smoke.Found({"kprobe +offset": inside}, [], 0, "").faults() == []
