"""Kernels compiled without an option (tests/vm/built.py): their own recorded answers against the verdicts."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.oracle import recorded, scoreboard
from tests.vm.built import BUILT

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "built"
NAMES = sorted(path.name.removesuffix(".tsv.xz") for path in FOLDER.glob("*.tsv.xz"))
# Attach types of which some question is answered unknown, and why no file tells.
UNKNOWN_MAX = {
    # kallsyms without data hides the kernel's id sets: hooks that some kernels list and others not, test functions.
    "no-kprobes": 0.014,
}


@pytest.fixture(scope="module", params=NAMES)
def scored(request):
    source = scoreboard.open_recorded(FOLDER / f"{request.param}.tar.xz")
    rows = scoreboard.score(scoreboard.Judge(source), recorded.read(FOLDER / f"{request.param}.tsv.xz"))
    return request.param, rows


def test_there_are_kernels_without_options():
    assert "no-function-tracer" in NAMES
    assert set(NAMES) <= set(BUILT)


def test_no_answer_is_wrong(scored):
    name, rows = scored
    assert [f"{type_}: {text}" for type_, row in rows.items() for text in row.wrong] == []
    told = tomllib.loads((FOLDER / f"{name}.kernel.toml").read_text())
    assert told["without"] == list(BUILT[name].without)
    assert sum(row.asked + row.not_judged + row.hazards for row in rows.values()) == told["answers"]


def test_every_errno_is_the_kernels(scored):
    _, rows = scored
    assert [f"{type_}: {text}" for type_, row in rows.items() for text in row.errno_wrong] == []


def test_little_is_unknown(scored):
    name, rows = scored
    judged = sum(row.asked for row in rows.values())
    unknown = sum(row.unknown for row in rows.values())
    assert unknown <= UNKNOWN_MAX.get(name, 0.01) * judged, {t: r.unknown_names[:3] for t, r in rows.items()}


def test_without_bpf_events_no_type_loads_and_perf_has_no_kprobes():
    stages = {
        (answer.errno, answer.stage)
        for _, answers in recorded.read(FOLDER / "no-events.tsv.xz")
        for answer in answers
        if answer.stage != "lookup"
    }
    assert stages == {("EINVAL", "load"), ("ENOENT", "open")}


def test_without_the_jit_no_trampoline_program_loads():
    found = {
        (answer.type, answer.errno, answer.stage)
        for _, answers in recorded.read(FOLDER / "no-jit-traced.tsv.xz")
        for answer in answers
    }
    trampolines = ("fentry", "fexit")
    assert {row for row in found if row[0] in trampolines} == {(one, "ENOMEM", "load") for one in trampolines}
    assert {("kprobe.multi", "0", "-"), ("tp_btf", "0", "-"), ("kprobe", "0", "-")} <= found


def test_without_kprobes_perf_has_none_and_all_else_is_there():
    found = {
        (answer.type, answer.errno, answer.stage)
        for _, answers in recorded.read(FOLDER / "no-kprobes.tsv.xz")
        for answer in answers
    }
    kprobes = ("kprobe", "kretprobe", "ksyscall", "kretsyscall", "kprobe_event", "kretprobe_event")
    assert {row for row in found if row[0] in kprobes} == {(one, "ENOENT", "open") for one in kprobes}
    others = ("kprobe.multi", "kprobe.session", "fentry", "fexit", "lsm", "lsm.s", "tp", "raw_tp", "tp_btf", "iter")
    assert {(one, "0", "-") for one in others} <= found


def test_without_the_function_tracer_every_kind_is_there():
    """The recording would not show much if it lacked the types that the option decides about."""
    found = {
        (answer.type, answer.errno, answer.stage)
        for _, answers in recorded.read(FOLDER / "no-function-tracer.tsv.xz")
        for answer in answers
    }
    assert {
        ("kprobe", "0", "-"),
        ("fentry", "EBUSY", "attach"),
        ("lsm", "EBUSY", "attach"),
        ("kprobe.multi", "EOPNOTSUPP", "attach"),
        ("tp", "0", "-"),
    } <= found
