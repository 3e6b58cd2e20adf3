"""Slices of booted arm64 kernels (fixtures/arm64; `python -m tests.vm record --arch arm64`), judged by answers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from probe_scout.model import lsm_hooks
from tests.oracle import recorded, scoreboard

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "arm64"
NAMES = sorted(path.name.removesuffix(".tsv.xz") for path in (FOLDER / "answers").glob("*.tsv.xz"))
# A kernel without CONFIG_KALLSYMS_ALL hides its lists: which of these hooks it lists nothing tells. The load's EINVAL
# comes before the trampoline's ENOTSUPP.
VARYING = {f"bpf_lsm_{hook}: we ENOTSUPP, kernel EINVAL at load" for hook in lsm_hooks.VARYING}


@pytest.fixture(scope="module", params=NAMES)
def scored(request):
    source = scoreboard.open_recorded(FOLDER / "kernels" / f"{request.param}.tar.xz")
    rows = scoreboard.score(scoreboard.Judge(source), recorded.read(FOLDER / "answers" / f"{request.param}.tsv.xz"))
    return request.param, rows


def test_there_are_kernels():
    assert {"debian-5.10.223-arm64", "debian-6.1.176-arm64", "debian-7.3.4-arm64"} <= set(NAMES)


def test_no_answer_is_wrong(scored):
    name, rows = scored
    assert [f"{type_}: {text}" for type_, row in rows.items() for text in row.wrong] == []
    told = tomllib.loads((FOLDER / "kernels" / f"{name}.kernel.toml").read_text())
    assert sum(row.asked + row.not_judged + row.hazards for row in rows.values()) == told["answers"]


def test_every_errno_is_the_kernels(scored):
    _, rows = scored
    wrong = {text for row in rows.values() for text in row.errno_wrong}
    assert wrong <= VARYING
    assert sum(row.errno_right for row in rows.values()) > 200


def test_unknown_are_instructions_and_loads_by_hidden_lists(scored):
    _, rows = scored
    unknown = {type_: row for type_, row in rows.items() if row.unknown}
    assert all(set(row.reasons) <= {"code", "btf_ids"} for row in unknown.values())
    assert all("+offset" in type_ or "_load" in type_ or type_ == "kprobe" for type_ in unknown), sorted(unknown)
    assert sum(row.unknown for type_, row in unknown.items() if "_load" in type_) < 100
