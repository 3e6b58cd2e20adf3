"""Field access against what booted kernels answered (fixtures/tp_field)."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path

import pytest

from probe_scout.rules import tracepoint_access
from probe_scout.scanners import trace_format

RECORDED = sorted((Path(__file__).parents[2] / "fixtures" / "tp_field").glob("*.jsonl.xz"))


def test_two_kernels_are_recorded():
    assert len(RECORDED) == 2


@pytest.mark.oracle
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_every_recorded_load_is_answered_as_the_kernel_did(path):
    wrong = []
    seen: Counter[str] = Counter()
    for line in lzma.decompress(path.read_bytes()).splitlines():
        row = json.loads(line)
        fmt = trace_format.parse(row["format"].encode(), category=row["event"].partition(":")[0])
        for offset, size, read, answer, stage in row["answers"]:
            if stage == "open":  # the event takes no program at all: not this gate's answer
                seen["open"] += 1
                continue
            seen[answer, stage] += 1
            found = tracepoint_access.reads(offset, {"byte": 1, "last": 1, "low4": 4}.get(read, size), fmt)
            told = (found.errno or "ok", found.stage or "attach")
            if told != (answer, stage):
                wrong.append((row["event"], offset, size, read, answer, stage, told))
    assert wrong == []
    assert seen["ok", "attach"] > 2000
    assert seen["EACCES", "load"] > 1000
    assert seen["EACCES", "attach"] > 300


@pytest.mark.oracle
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_access_agrees_with_the_kernel_for_the_first_byte_of_every_field(path):
    for line in lzma.decompress(path.read_bytes()).splitlines():
        row = json.loads(line)
        fmt = trace_format.parse(row["format"].encode(), category=row["event"].partition(":")[0])
        for field in fmt.fields:
            access = tracepoint_access.field_access(field, fmt).access
            accepted = tracepoint_access.reads(field.offset_bytes, 1, fmt).accepted
            assert (access == "unreadable") == (not accepted), (row["event"], field)
