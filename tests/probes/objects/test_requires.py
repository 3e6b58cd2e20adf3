"""What objects ask of a kernel, against their sources (bpf/objects) and llvm's disassembler."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probe_scout.frontends.session import lint_requires

ROOT = Path(__file__).resolve().parents[3]
OBJECTS = ROOT / "fixtures" / "objects"

EXPECTED = {  # by the sections in bpf/objects/targets.bpf.c
    "kretprobe_ok": ("kretprobe", "vfs_read"),
    "kprobe_no_target": None,
    "kprobe_empty_target": None,
    "tp_ok": ("tp", "tp:sched:sched_switch"),
    "raw_tp_missing": ("raw_tp", "tp:no_such_event"),
    "fentry_module_named": ("fentry", "ext4:ext4_file_read_iter"),
    "fentry_sleepable_ok": ("fentry.s", "__x64_sys_nanosleep"),
    "lsm_ok": ("lsm", "bpf_lsm_file_open"),
    "iter_ok": ("iter", "bpf_iter_task"),
}


def programs(name: str):
    (found,) = lint_requires(str(OBJECTS / f"{name}.bpf.o")).objects
    return {program.name: program for program in found.programs}


def test_what_is_tested_for_first_is_no_demand_without_a_way_around_it():
    found = programs("relocations")
    needs = {(n.kind, n.name, n.demand): n.always for n in found["task_state_both"].requires}
    assert needs["field", "struct task_struct.state", "byte_off"] is False
    assert needs["field", "struct task_struct.__state", "byte_off"] is False
    assert needs["helper", "bpf_probe_read_kernel", ""] is True  # on either way
    unguarded = {(n.name, n.always) for n in found["field_missing_unguarded"].requires if n.kind == "field"}
    assert unguarded == {("struct task_struct.no_such_field", True)}


def test_attach_points_are_written_as_check_takes_them():
    points = {name: program.attach_point for name, program in programs("targets").items()}
    assert {name: points[name] for name in EXPECTED} == EXPECTED


def test_strong_externs_and_maps_are_demands_of_the_object():
    (found,) = lint_requires(str(OBJECTS / "strong.bpf.o")).objects
    assert any(need.kind == "symbol" and need.always for need in found.requires)
    (sized,) = lint_requires(str(OBJECTS / "maps.bpf.o")).objects
    assert any(m.set_by_loader == ("max_entries",) for m in sized.maps)
    (legacy,) = lint_requires(str(OBJECTS / "legacy.bpf.o")).objects
    assert "maps" in legacy.opens


@pytest.mark.skipif(shutil.which("llvm-objdump") is None, reason="llvm-objdump is not installed")
@pytest.mark.parametrize("path", sorted(OBJECTS.glob("*.bpf.o")), ids=lambda path: path.name)
def test_no_helper_is_named_that_no_instruction_calls(path):
    text = subprocess.run(["llvm-objdump", "-d", path], capture_output=True, text=True, check=True).stdout
    from probe_scout.rules import bpf_names

    called = {bpf_names.helper(int(number, 0)) for number in re.findall(r"\tcall (0x[0-9a-f]+|\d+)", text)}
    (found,) = lint_requires(str(path)).objects
    named = {need.name for program in found.programs for need in program.requires if need.kind == "helper"}
    assert named <= called
    assert bool(named) == bool(called) or found.opens
