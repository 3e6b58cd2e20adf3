"""Every rule fires with its errno, lets the nearest case pass, and is unknown where its fact is unread."""

from __future__ import annotations

import pytest

from probe_scout.model.target import FUNCTION, TRACEPOINT, Target
from probe_scout.probes import call_verdicts
from probe_scout.probes.attach import verdicts
from probe_scout.probes.user.report import of_traits
from probe_scout.rules import REGISTRY, all_rules
from tests.rules import single_gates
from tests.rules.every_rule import CASES, NAME_ALONE, Ask

# Known misses, asserted as such.
MISSES: dict[str, str] = {}
RULES = {rule.id: rule for rule in all_rules()}


def test_every_rule_has_a_case_that_fires_one_that_passes_and_one_unread():
    cases = [*CASES, *single_gates.CASES]
    lacking = [rule_id for rule_id in RULES if rule_id not in cases]
    assert not lacking, f"tests/rules/every_rule.py and single_gates.py have no case for {', '.join(lacking)}"
    assert not [rule_id for rule_id in cases if rule_id not in RULES]


def test_every_registered_rule_stands_in_a_path():
    assert sorted(REGISTRY) == sorted(RULES)


def target_of(text):
    if text.startswith("tp:"):
        category, colon, name = text[3:].partition(":")
        return Target(TRACEPOINT, name, category) if colon else Target(TRACEPOINT, category)
    module, colon, name = text.rpartition(":")
    return Target(FUNCTION, name, module if colon else None)


@pytest.fixture
def verdict_of(tiny_kernel):
    """The verdict and the kernel of a question."""

    def verdict(ask):
        arguments = dict(ask.kernel)
        caller = arguments.pop("caller", None)
        traits = arguments.pop("user", None)
        called = arguments.pop("call", None)
        kernel = tiny_kernel(**arguments)._kernel
        if caller is not None:
            kernel.set_caller(caller.get)
        if called is not None:
            return call_verdicts.of_traits(kernel, ask.attach, ask.attach, called, evidence=ask.target), kernel
        if traits is not None:
            return of_traits(kernel, traits, ask.attach, evidence=ask.target), kernel
        return verdicts.verdicts(kernel, target_of(ask.target), (ask.attach,))[0], kernel

    return verdict


@pytest.mark.parametrize("rule_id", CASES)
def test_it_fires_first_and_gives_its_errno(rule_id, verdict_of):
    verdict, _ = verdict_of(CASES[rule_id].fires)
    assert (verdict.answer, [f.rule for f in verdict.findings][:1]) == ("no", [rule_id])
    assert (verdict.errno, verdict.errno_certain) == (RULES[rule_id].errno, True)
    assert verdict.findings[0].says == RULES[rule_id].says
    assert verdict.findings[0].evidence


@pytest.mark.parametrize("rule_id", CASES)
def test_the_nearest_case_passes(rule_id, verdict_of):
    verdict, _ = verdict_of(CASES[rule_id].passes)
    assert (verdict.answer, verdict.errno, verdict.findings, verdict.unread) == ("yes", None, (), ())


@pytest.mark.parametrize(
    "rule_id",
    [
        pytest.param(rule_id, marks=[pytest.mark.xfail(reason=MISSES[rule_id])] if rule_id in MISSES else [])
        for rule_id in CASES
        if CASES[rule_id].unread is not NAME_ALONE
    ],
)
def test_an_unread_fact_makes_it_unknown(rule_id, verdict_of):
    ask, fact = CASES[rule_id].unread
    verdict, kernel = verdict_of(ask)
    assert (verdict.answer, verdict.errno) == ("unknown", None)
    assert fact in {unread.fact for unread in verdict.unread}
    assert all(unread.why for unread in verdict.unread)
    rule = RULES[rule_id]
    own = {*rule.needs, *(kernel.feature_fact(name) for name in (rule.feature, rule.unless) if name)}
    assert not own or fact in own, f"{rule_id} does not look at {fact}"


def test_only_a_rule_about_the_name_reads_nothing():
    assert [rule_id for rule_id in CASES if CASES[rule_id].unread is NAME_ALONE] == [
        "symbol_lookup.name_too_long",
        "perf_uprobe.no_process",
        "uprobe_register.counter_unaligned",
    ]


def test_a_name_that_is_nowhere_is_not_said_to_be_in_a_module(verdict_of):
    for rule_id in ("symbol_lookup.module_not_counted", "symbol_lookup.prefix_counted"):
        case = CASES[rule_id].fires
        verdict, _ = verdict_of(case._replace(target=case.target.replace("foo", "nowhere")))
        assert [finding.rule for finding in verdict.findings] == ["symbol_lookup.no_symbol"]


@pytest.mark.parametrize("rule_id", RULES)
def test_a_rule_says_one_sentence_and_its_page_begins_with_it(rule_id):
    rule = RULES[rule_id]
    assert rule.says[:1].isalpha()
    assert rule.says.endswith((".", ":"))
    assert rule.page.startswith(rule.says)


@pytest.mark.parametrize(("arguments", "answers"), [(6, ("yes", "yes")), (7, ("no", "yes")), (12, ("no", "yes"))])
def test_how_many_slots_a_trampoline_passes(verdict_of, arguments, answers):
    """Six registers until the trampoline learned to pass arguments on the stack."""
    plain = Ask("fentry", "foo", {"symbols": ("foo",), "prototypes": {"foo": ("int", ["int"] * arguments)}})
    old = plain._replace(kernel={**plain.kernel, "without": ("arch_bpf_trampoline_size",)})
    assert tuple(verdict_of(one)[0].answer for one in (old, plain)) == answers
