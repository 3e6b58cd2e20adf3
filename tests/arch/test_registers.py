"""struct pt_regs of each architecture: no holes, and every expression names a member."""

from __future__ import annotations

import pytest

from probe_scout.arch.registers import REGISTERS_OF

ROWS = sorted(REGISTERS_OF.items())


@pytest.mark.parametrize(("machine", "one"), ROWS, ids=[machine for machine, _ in ROWS])
def test_members_lie_behind_each_other_without_holes(machine, one):
    at = 0
    for _, offset, words in one.members:
        assert offset == at
        at += 8 * words
    assert at <= one.size


@pytest.mark.parametrize(("machine", "one"), ROWS, ids=[machine for machine, _ in ROWS])
def test_expressions_name_members(machine, one):
    words = {name: count for name, _, count in one.members}
    for written in (*one.call, *one.system_call, one.returned, one.pointer):
        name, _, index = written.partition("[")
        assert (int(index.rstrip("]")) if index else 0) < words[name]
    assert len(one.system_call) == 6


def test_x86_by_its_header():
    """arch/x86/include/asm/ptrace.h; PT_REGS_PARM1_REG and others of tools/lib/bpf/bpf_tracing.h."""
    one = REGISTERS_OF["x86_64"]
    offsets = {name: offset for name, offset, _ in one.members}
    assert (offsets["ax"], offsets["di"], offsets["ip"], offsets["sp"]) == (80, 112, 128, 152)  # asm-offsets
    assert one.call[3] == "cx"
    assert one.system_call[3] == "r10"
