"""The vm lane for answers: every kernel of the table, booted, snapshotted, asked anew and compared. `pytest -m vm`."""

from __future__ import annotations

import os

import pytest

from tests.oracle import scoreboard
from tests.vm import cache, kernels, smoke

QUESTIONS = int(os.environ.get("PROBE_SCOUT_QUESTIONS", "3000"))


@pytest.mark.vm
@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_a_booted_kernel_answers_as_predicted_and_as_recorded(kernel, tmp_path, capsys):
    if cache.find(kernel) is None:
        pytest.skip(f"{kernel} is not fetched: python -m tests.vm fetch {kernel}")
    found = smoke.anew(kernel, tmp_path, QUESTIONS, verified=smoke.VERIFIED)
    with capsys.disabled():
        print("\n" + "\n".join(scoreboard.table(kernel, found.rows)))
    assert found.faults() == []
    assert sum(row.asked for row in found.rows.values()) >= 0.9 * QUESTIONS
