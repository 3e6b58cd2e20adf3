"""Rules of instructions and loads: each fires with its errno, passes the nearest case, and says what is unread."""

from __future__ import annotations

import pytest

from probe_scout.model.verdict import NO, UNKNOWN, YES, Verdict
from probe_scout.probes.attach import instruction
from probe_scout.rules import REGISTRY
from tests.rules.single_gates import CASES, NEEDS_NOTHING


@pytest.mark.parametrize("rule_id", CASES)
def test_it_fires_first_and_gives_its_errno(rule_id):
    case = CASES[rule_id]
    assert case.judge(*case.fires) == (NO, REGISTRY[rule_id].errno, rule_id, REGISTRY[rule_id].says)


@pytest.mark.parametrize("rule_id", CASES)
def test_the_nearest_case_passes(rule_id):
    case = CASES[rule_id]
    assert case.judge(*case.passes)[:3] == (YES, None, "")


@pytest.mark.parametrize("rule_id", [name for name, case in CASES.items() if case.unread is not NEEDS_NOTHING])
def test_an_unread_fact_makes_it_unknown(rule_id):
    case = CASES[rule_id]
    said = case.judge(*case.unread)
    assert said[:2] == (UNKNOWN, None)
    assert said.says


@pytest.mark.parametrize("rule_id", [name for name in CASES if name.startswith("kprobe_instruction.")])
def test_the_verdict_carries_errno_sentence_and_evidence(rule_id, tiny_kernel):
    case = CASES[rule_id]
    kernel = tiny_kernel(symbols=("foo",))._kernel
    accepted = Verdict("kprobe", YES, None, True, (), ())
    verdict = instruction.merged(kernel, "kprobe", accepted, case.judge(*case.fires), "bug")
    (finding,) = verdict.findings
    assert (verdict.answer, verdict.errno, verdict.errno_certain) == (NO, REGISTRY[rule_id].errno, True)
    assert (finding.rule, finding.says) == (rule_id, REGISTRY[rule_id].says)
    assert finding.evidence
    assert ("a BUG or WARN" in finding.evidence) == (rule_id == "kprobe_instruction.reserved")
