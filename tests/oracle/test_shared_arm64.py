"""The lane of a whole arm64 recording: every answer of debian-6.12-arm64, without its code.

PROBE_SCOUT_ARM64 names the folder with debian-6.12-arm64.tar.xz and answers-6.12-arm64/. A share of it is committed in
tests/rules/recorded/arm64_offsets.jsonl.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from probe_scout.sources import open_source

from . import scoreboard, shared_answers

FOLDER = os.environ.get("PROBE_SCOUT_ARM64", "")
# A BUG entry of another module's freed init text lay at its address; nothing in the snapshot tells, and the answer
# names limit.stale_bug.
MISSED = {"__mb_cache_entry_free: we yes, kernel EINVAL at register"}


@pytest.mark.skipif(not FOLDER, reason="the lane needs PROBE_SCOUT_ARM64: the folder of the recording")
def test_every_recorded_answer(tmp_path):
    with tarfile.open(Path(FOLDER) / "debian-6.12-arm64.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    answers = shared_answers.rows(Path(FOLDER) / "answers-6.12-arm64")
    judge = scoreboard.Judge(open_source(str(tmp_path)))
    rows = scoreboard.score(judge, ((target, (answer,)) for target, answer in answers))
    assert {text for row in rows.values() for text in row.wrong} <= MISSED
    assert [text for row in rows.values() for text in row.errno_wrong] == []
    unknown = {type_ for type_, row in rows.items() if row.unknown}
    assert all(type_.endswith("+offset") for type_ in unknown)
    assert sum(row.asked for row in rows.values()) > 140_000
