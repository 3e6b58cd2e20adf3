"""Inlined copies, asked for real: a booted 6.12 takes or refuses a kprobe at every place as `inline` predicts.

`pytest -m vm tests/vm/test_inline.py` with PROBE_SCOUT_DEBUG_VMLINUX, the vmlinux with debug information of the lab's
6.12. PROBE_SCOUT_COPIES says how many places are asked (default 400), PROBE_SCOUT_SEED which.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from probe_scout.api import open_kernel
from tests.conftest import RECORDED
from tests.vm import asking, cache, plan, record

if TYPE_CHECKING:
    from probe_scout.model.verdict import Verdict

PATH = os.environ.get("PROBE_SCOUT_DEBUG_VMLINUX", "")
COUNT = int(os.environ.get("PROBE_SCOUT_COPIES", "400"))
SEED = int(os.environ.get("PROBE_SCOUT_SEED", "5"))
KERNEL = "6.12"
UNKNOWN_MAX = 0.05  # places whose code the running kernel may have rewritten

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not PATH, reason="PROBE_SCOUT_DEBUG_VMLINUX names no file"),
]


def predicted(count: int) -> dict[str, Verdict]:
    """So many places of inlined copies with their verdicts, of functions drawn at random; none that is dangerous."""
    kernel = open_kernel(str(RECORDED))
    report = kernel.inline_all("*", ("partial", "full"), PATH)
    names = sorted({row.name for row in report.rows if 2 <= row.copies <= 20})
    random.Random(SEED).shuffle(names)
    found: dict[str, Verdict] = {}
    for name in names:
        for function in kernel.inline(name, PATH).functions:
            for copy in function.copies:
                if (
                    copy.verdict is not None
                    and copy.symbol not in plan.HAZARDS
                    and not copy.symbol.startswith("__pfx_")
                ):
                    found.setdefault(copy.target, copy.verdict)
        if len(found) >= count:
            break
    return dict(list(found.items())[:count])


def test_every_copy_is_taken_or_refused_as_predicted(tmp_path, capsys):
    if cache.find(KERNEL) is None:
        pytest.skip(f"{KERNEL} is not fetched: python -m tests.vm fetch {KERNEL}")
    verdicts = predicted(COUNT)
    questions = [plan.Question("kprobe", target) for target in verdicts]
    kept = asking.Record(tmp_path / "answers.tsv")
    guest = record.LabGuest(KERNEL, tmp_path, record.build_prober(tmp_path), [])
    assert asking.ask(questions, kept, guest, limit_s=1500, boot_s=900)
    right, unknown, wrong = 0, [], []
    for question in questions:
        verdict, errno = verdicts[question.target], kept.answers[question].errno
        if verdict.answer == "unknown":
            unknown.append(question.target)
        elif errno == ("0" if verdict.answer == "yes" else verdict.errno):
            right += 1
        else:
            wrong.append((question.target, verdict.answer, verdict.errno, errno))
    accepted = sum(answer.errno == "0" for answer in kept.answers.values())
    with capsys.disabled():
        print(f"\n{len(questions)} places: {right} as predicted ({accepted} accepted), {len(unknown)} unknown")
    assert wrong == []
    assert len(unknown) <= UNKNOWN_MAX * len(questions)
