"""The rules of uprobes that no recorded answer decides."""

from __future__ import annotations

import pytest

from probe_scout.model.traits import UserTraits
from probe_scout.rules import uprobe


@pytest.mark.parametrize(("rule", "word"), [(uprobe.opcode, "opcode"), (uprobe.branch_prefix, "branch_prefix")])
def test_an_instruction_is_refused_where_the_breakpoint_is_planted_at_once(rule, word):
    told = [rule.fires(UserTraits(mapped=m, refused=r), None) for m in (True, False) for r in (word, "other")]
    assert told == [True, False, False, False]
