"""A booted riscv64 kernel, whose rules are not known: what does not hang on them is the kernel's, the rest is unknown.

It refuses every kprobe at the entry of a traced function (EINVAL: ftrace's site begins there) and takes fentry on each;
neither is said, because no rule of riscv64 was read or measured beyond these 232 answers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oracle import recorded, scoreboard

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "riscv64"
NAME = "debian-6.12.107-riscv64"
EVERYWHERE = ("tp", "raw_tp", "tp_btf", "kprobe.multi", "fentry.s_load")  # nothing of the architecture decides
HIDDEN = {"architecture", "lockdown", "code"}  # the guest's lockdown file was not recorded


@pytest.fixture(scope="module")
def rows():
    source = scoreboard.open_recorded(FOLDER / "kernels" / f"{NAME}.tar.xz")
    return scoreboard.score(scoreboard.Judge(source), recorded.read(FOLDER / "answers" / f"{NAME}.tsv.xz"))


def test_no_answer_is_wrong_and_every_errno_is_the_kernels(rows):
    assert [text for row in rows.values() for text in (*row.wrong, *row.errno_wrong)] == []
    assert sum(row.asked for row in rows.values()) == 223
    assert sum(row.errno_right for row in rows.values()) == 64


@pytest.mark.parametrize("attach", EVERYWHERE)
def test_what_holds_on_every_architecture_is_answered(rows, attach):
    assert (rows[attach].unknown, rows[attach].right) == (0, rows[attach].asked)


def test_the_rest_is_unknown_because_of_the_architecture(rows):
    unknown = {attach: set(row.reasons) for attach, row in rows.items() if row.unknown}
    assert all("architecture" in reasons and reasons <= HIDDEN for reasons in unknown.values())
    assert {"kprobe", "kprobe_event", "kprobe_event +offset", "fentry", "fexit", "lsm"} <= set(unknown)
