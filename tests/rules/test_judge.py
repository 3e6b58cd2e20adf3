"""Order, errno and certainty: what judge.judge makes of rules that fire, pass, or cannot be asked."""

from __future__ import annotations

import pytest

from probe_scout.model.traits import Traits
from probe_scout.rules import PATHS, judge
from probe_scout.rules.gate import REGISTRY, Gate

FACT, OTHER = "kallsyms", "btf"


class Asked:
    """A kernel of features and unread facts."""

    def __init__(self, unread=(), **features):
        self.missing, self.features = unread, features
        self.asked = []

    def feature(self, name):
        self.asked.append(name)
        return self.features.get(name)

    def feature_fact(self, name):
        return f"fact of {name}"

    def unread(self, fact):
        return "why" if fact in self.missing else None


@pytest.fixture
def path(monkeypatch):
    """path(rule arguments, …) makes a path of one gate; fires defaults to True."""

    def make(*rules):
        gate = Gate("test_gate", "kernel/test.c", "test")
        for number, arguments in enumerate(rules):
            fires = arguments.pop("fires", True)
            name, errno = f"r{number}", f"E{number}"
            gate.rule(name, errno=errno, decides="test", **arguments)(lambda t, k, fires=fires: fires)
        monkeypatch.setitem(PATHS, "test", (gate,))
        return gate

    yield make
    for rule_id in [rule_id for rule_id in REGISTRY if rule_id.startswith("test_gate.")]:
        del REGISTRY[rule_id]


NOTHING_READ_OF_IT = Traits()


def judged(asked, traits=NOTHING_READ_OF_IT):
    outcome = judge.judge(asked, "test", traits)
    return outcome.answer, outcome.errno, outcome.certain, [rule.id[-2:] for rule in outcome.fired]


def test_nothing_fires(path):
    path({"fires": False}, {"fires": False, "needs": (FACT,)})
    assert judged(Asked()) == ("yes", None, True, [])


def test_the_first_that_fires_gives_the_errno_and_all_are_kept(path):
    path({"fires": False}, {}, {"fires": False}, {})
    assert judged(Asked()) == ("no", "E1", True, ["r1", "r3"])


def test_an_unread_fact_is_unknown(path):
    path({"fires": False}, {"needs": (FACT,)})
    assert judged(Asked(unread=(FACT,))) == ("unknown", None, True, [])


def test_a_fact_unread_for_this_question_alone_is_unknown(path):
    path({"needs": (FACT,)})
    assert judged(Asked(), Traits(unread=frozenset((FACT,)))) == ("unknown", None, True, [])
    assert judged(Asked(), Traits(unread=frozenset((OTHER,)))) == ("no", "E0", True, ["r0"])


def test_no_behind_an_unread_fact_is_no_with_an_uncertain_errno(path):
    path({"needs": (FACT,)}, {})
    assert judged(Asked(unread=(FACT,))) == ("no", "E1", False, ["r1"])


def test_an_unread_fact_behind_the_first_finding_changes_nothing(path):
    path({}, {"needs": (FACT,)})
    outcome = judge.judge(Asked(unread=(FACT,)), "test", Traits())
    assert (outcome.answer, outcome.errno, outcome.certain, outcome.missing) == ("no", "E0", True, ())


@pytest.mark.parametrize(("seen", "answer"), [(True, ("no", "E0")), (False, ("yes", None)), (None, ("unknown", None))])
def test_a_rule_exists_where_its_feature_is_seen(path, seen, answer):
    path({"feature": "shown"})
    assert judged(Asked(shown=seen))[:2] == answer


@pytest.mark.parametrize(("seen", "answer"), [(True, ("yes", None)), (False, ("no", "E0")), (None, ("unknown", None))])
def test_unless_is_the_other_way_round(path, seen, answer):
    path({"unless": "built"})
    assert judged(Asked(built=seen))[:2] == answer


def test_a_feature_that_is_not_known_names_its_fact_and_itself(path):
    path({"feature": "shown"})
    assert judge.judge(Asked(), "test", Traits()).missing == (("fact of shown", "shown"),)


def test_a_rule_that_would_not_fire_is_no_gap_for_want_of_its_feature(path):
    path({"feature": "shown", "fires": False}, {"unless": "built", "fires": False})
    assert judged(Asked()) == ("yes", None, True, [])


def test_a_missing_fact_is_a_gap_even_where_the_traits_would_not_fire(path):
    """Traits of an unread fact hold its default, which says nothing."""
    path({"needs": (FACT,), "fires": False})
    assert judged(Asked(unread=(FACT,)))[0] == "unknown"


def test_an_absent_feature_keeps_an_unread_fact_from_mattering(path):
    path({"feature": "shown", "needs": (FACT,)})
    assert judged(Asked(unread=(FACT,), shown=False))[0] == "yes"


def test_each_gap_is_named_once(path):
    path({"needs": (FACT,)}, {"needs": (FACT, OTHER)})
    assert judge.judge(Asked(unread=(FACT, OTHER)), "test", Traits()).missing == ((FACT, ""), (OTHER, ""))
