"""Rules at their borders by traits alone, one step on each side; and how gates are walked."""

from __future__ import annotations

import itertools

import pytest

from probe_scout.model import facts
from probe_scout.model.traits import NONE, Proto, Traits
from probe_scout.rules import (
    attach_target,
    bpf_names,
    kfunc_sets,
    kprobe_multi,
    prototype,
    trampoline,
    uprobe,
)
from probe_scout.rules import judge as walk
from probe_scout.rules.gate import Gate


class Features:
    def __init__(self, **told):
        self.told = told

    def feature(self, name):
        return self.told.get(name)


def proto(**more):
    return Proto(**{**dict.fromkeys(Proto._fields, False), "args": 0, "slots": 0, **more})


@pytest.mark.parametrize(("known", "most"), [(True, 12), (False, 11), (None, 11)])
def test_how_many_arguments(known, most):
    k = Features(struct_arguments=known)
    fired = [prototype.too_many_arguments.fires(Traits(proto=proto(args=count)), k) for count in (most, most + 1)]
    assert fired == [False, True]
    assert not prototype.too_many_arguments.fires(Traits(), k)


@pytest.mark.parametrize(
    ("stack", "limited", "eight", "most"),
    [
        (True, True, False, 12),
        (True, None, False, 12),
        (True, False, False, 99),
        (False, True, True, 8),
        (False, True, False, 6),
        (None, True, None, 6),
    ],
)
def test_how_many_slots(stack, limited, eight, most):
    k = Features(stack_arguments=stack, stack_words_limited=limited, eight_argument_registers=eight)
    for count in (6, 7, 8, 9, 12, 13, 99):
        assert trampoline._too_many(Traits(proto=proto(slots=count)), k) == (count > most), count
    assert trampoline._too_many(Traits(), k) is False


@pytest.mark.parametrize("flags", [*itertools.product((True, False, None), repeat=2)])
def test_types_of_arguments(flags):
    unions, structs = flags
    k = Features(union_arguments=unions, struct_arguments=structs)
    for kind, expected in (
        ("union_args", unions is False),
        ("struct_args", structs is False),
        ("odd_arg", True),
        ("wide_arg", True),
        ("variadic", False),
    ):
        assert prototype.argument_type.fires(Traits(proto=proto(**{kind: True})), k) == expected, kind
    assert not prototype.argument_type.fires(Traits(), k)


@pytest.mark.parametrize("injection", [True, False, None])
def test_what_may_sleep_and_what_may_be_modified(injection):
    k = Features(error_injection=injection)
    for injectable, never, marked, syscall, security, known in itertools.product((True, False), repeat=6):
        traits = Traits(
            btf="vmlinux" if known else NONE,
            injectable=injectable,
            never_sleeps=never,
            modify_return_sleepable=marked,
            modify_return=marked,
            syscall=syscall,
            security=security,
        )
        allowed = (injectable and not never) if injection else syscall
        assert attach_target.not_sleepable.fires(traits, k) == (known and not marked and not allowed)
        allowed = injectable if injection else syscall
        assert attach_target.not_modifiable.fires(traits, k) == (known and not marked and not security and not allowed)
        assert attach_target.syscall_not_sleepable.fires(traits, k) == (
            syscall and known and not marked and not injection
        )


@pytest.mark.parametrize("sees", [True, False, None])
def test_sites_of_modules(sees):
    k = Features(multi_sees_modules=sees)
    for everywhere, vmlinux in itertools.product((True, False), repeat=2):
        fired = kprobe_multi.no_site.fires(Traits(any_site=everywhere, vmlinux_site=vmlinux), k)
        assert fired == (not (vmlinux if sees is False else everywhere))


def test_names_by_number():
    assert [bpf_names.helper(n) for n in (1, 2, 0, 9999, -1)] == [
        *("bpf_map_lookup_elem", "bpf_map_update_elem", "helper 0", "helper 9999", "helper -1")
    ]
    assert [bpf_names.map_type(n) for n in (1, 2, 0, 9999, -1)] == ["HASH", "ARRAY", "0", "9999", "-1"]
    last = len(bpf_names._MAP_TYPES)
    assert (bpf_names.map_type(last - 1), bpf_names.map_type(last)) == ("RHASH", str(last))
    last = len(bpf_names._HELPERS)
    assert bpf_names.helper(last - 1).startswith("bpf_")
    assert bpf_names.helper(last) == f"helper {last}"


def test_which_kernels_the_table_of_kfuncs_speaks_of():
    hooks = [f"{kfunc_sets._PREFIX}{name}" for name in kfunc_sets._HOOKS]
    assert kfunc_sets.fits(hooks)
    assert not kfunc_sets.fits(hooks[1:])
    assert not kfunc_sets.fits([*hooks, f"{kfunc_sets._PREFIX}NEW"])


def test_rules_that_say_all_there_is():
    """Their feature or their privilege decides; nothing about the place does."""
    for rule in (uprobe.not_admin, uprobe.not_sleepable, kprobe_multi.no_fprobe):
        assert rule.fires(None, Features()) is True
    for rule, field in ((uprobe.no_process_of_link, "no_process"), (uprobe.negative_offset, "negative")):
        for value in (True, False):
            from probe_scout.model.traits import UserTraits

            assert rule.fires(UserTraits(**{field: value}), Features()) is value


# ---------------------------------------------------------------- the walk

ONE, TWO = Gate("one", source="s", entry="e"), Gate("two", source="s", entry="e")


class Asked(Features):
    def __init__(self, unread=(), **told):
        super().__init__(**told)
        self.gone = unread

    def unread(self, fact):
        return f"{fact} is gone" if fact in self.gone else None

    def feature_fact(self, name):
        return {"feature": facts.BTF, "unless": facts.CONFIG, "known": facts.KALLSYMS}[name]


class Rule:
    def __init__(self, name, errno="EINVAL", fires=True, needs=(), feature="", unless=""):
        self.id, self.errno, self._fires = name, errno, fires
        self.needs, self.feature, self.unless = needs, feature, unless

    def fires(self, traits, k):
        return self._fires


def outcome(monkeypatch, *gates, unread=(), own=(), **told):
    made = [type("G", (), {"rules": rules, "known_by": known})() for rules, known in gates]
    monkeypatch.setitem(walk.PATHS, "kprobe", made)
    found = walk.judge(Asked(unread, **told), "kprobe", Traits(unread=frozenset(own)))
    return found.answer, found.errno, found.certain, [rule.id for rule in found.fired], list(found.missing)


A, B = Rule("a", "EBUSY"), Rule("b", "ENOENT")
NEEDY = Rule("needy", needs=(facts.KALLSYMS, facts.BTF))
SILENT = Rule("silent", fires=False, feature="feature")


@pytest.mark.parametrize(
    ("gates", "more", "expected"),
    [
        ([((), "")], {}, ("yes", None, True, [], [])),
        ([((A, B), "")], {}, ("no", "EBUSY", True, ["a", "b"], [])),
        ([((A,), ""), ((B,), "")], {}, ("no", "EBUSY", True, ["a", "b"], [])),
        ([((NEEDY,), "")], {}, ("no", "EINVAL", True, ["needy"], [])),
        ([((NEEDY,), "")], {"unread": (facts.BTF,)}, ("unknown", None, True, [], [(facts.BTF, "")])),
        ([((NEEDY,), "")], {"own": (facts.BTF,)}, ("unknown", None, True, [], [(facts.BTF, "")])),
        ([((NEEDY, NEEDY), "")], {"own": (facts.BTF,)}, ("unknown", None, True, [], [(facts.BTF, "")])),
        ([((NEEDY, A), "")], {"own": (facts.BTF,)}, ("no", "EBUSY", False, ["a"], [(facts.BTF, "")])),
        ([((A, NEEDY), "")], {"own": (facts.BTF,)}, ("no", "EBUSY", True, ["a"], [])),
        ([((A, NEEDY, B), "")], {"own": (facts.BTF,)}, ("no", "EBUSY", True, ["a", "b"], [])),
        ([((SILENT,), "")], {}, ("yes", None, True, [], [])),
        ([((Rule("w", feature="feature"),), "")], {"feature": True}, ("no", "EINVAL", True, ["w"], [])),
        ([((Rule("w", feature="feature"), A), "")], {"feature": False}, ("no", "EBUSY", True, ["a"], [])),
        ([((Rule("w", feature="feature"),), "")], {}, ("unknown", None, True, [], [(facts.BTF, "feature")])),
        ([((Rule("u", unless="unless"),), "")], {"unless": False}, ("no", "EINVAL", True, ["u"], [])),
        ([((Rule("u", unless="unless"), A), "")], {"unless": True}, ("no", "EBUSY", True, ["a"], [])),
        ([((Rule("u", unless="unless"),), "")], {}, ("unknown", None, True, [], [(facts.CONFIG, "unless")])),
        ([((), "known")], {"known": True}, ("yes", None, True, [], [])),
        ([((), "known")], {"known": False}, ("unknown", None, True, [], [(facts.KALLSYMS, "known")])),
        ([((), "known"), ((), "known")], {}, ("unknown", None, True, [], [(facts.KALLSYMS, "known")])),
        ([((A,), "known")], {}, ("no", "EBUSY", True, ["a"], [])),
        ([((), "known"), ((A,), "")], {}, ("no", "EBUSY", False, ["a"], [(facts.KALLSYMS, "known")])),
    ],
)
def test_how_gates_are_walked(monkeypatch, gates, more, expected):
    assert outcome(monkeypatch, *gates, **more) == expected
