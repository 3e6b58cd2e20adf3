"""Every feature that a rule names is one the kernel can settle, and can be told to a person."""

from __future__ import annotations

import pytest

from probe_scout.kernel import features
from probe_scout.rules import PATHS, all_rules, trampoline

NAMED = sorted({name for rule in all_rules() for name in (rule.feature, rule.unless) if name})


@pytest.mark.parametrize("name", NAMED)
def test_a_feature_is_known_and_has_words(name):
    assert name.startswith("may_") or name in features.FEATURES
    assert features.says(name)
    assert features.fact(name)


def test_no_feature_is_left_without_a_user():
    codes = [*(rule.fires.__code__ for rule in all_rules()), trampoline._too_many.__code__]
    used = set(NAMED) | {const for code in codes for const in code.co_consts if isinstance(const, str)}
    used |= {gate.known_by for path in PATHS.values() for gate in path}
    elsewhere = {
        "dynamic_ftrace",
        "error_injection",
        "module_scoped",
        "refuses_traps",
        "exact_exclusive_masks",
        "refuses_mops",
    }  # asked by questions, offsets and the kernel
    elsewhere |= {name for name in features.FEATURES if name.startswith(("decoder_", "uprobe_nop"))}  # user/code.py
    assert set(features.FEATURES) - used - elsewhere == set()


def test_no_rule_reads_a_release():
    source = {name for rule in all_rules() for name in rule.fires.__code__.co_names}
    assert not source & {"release", "KernelRelease", "uname"}
