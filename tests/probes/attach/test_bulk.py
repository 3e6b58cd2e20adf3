"""scan's traits are check's: small kernels with every odd kind of function, whatever of their files can be read."""

from __future__ import annotations

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import FUNCTION, Target
from probe_scout.model.traits import MODULE
from probe_scout.probes.attach import bulk, function_traits, verdicts
from probe_scout.sources import open_source
from tests.builders.tiny_kernel import BLACKLIST, BTF, FILTER, FILTER_ADDRS, Changed, tiny_files
from tests.builders.tree import write_tree

LONG = "f" * function_traits.KSYM_NAME_LEN
SYMBOLS = [
    *("plain", "plain2", "untyped nobtf", "untraced notrace", "untraced2 notrace nobtf", "black blacklisted"),
    *("black_untraced blacklisted notrace", "early init", "early_untyped init nobtf", "two", "two", "two nobtf"),
    *("one = other", "third = fourth notrace", "thing data", "__pfx_plain", "__cfi_plain", LONG, f"{LONG[:-1]} nobtf"),
    *("plain.isra.0", "plain.cold notrace", "untraced.cold notrace", "black.cold notrace", "nobody.cold notrace"),
    *("plain2.part.0 notrace blacklisted", "early.cold notrace", "two.cold notrace", "security_file_open"),
    *("security_untyped nobtf", "__x64_sys_open", "__x64_sys_close notrace", "bpf_lsm_file_open", "bpf_lsm_other"),
    *("bpf_iter_other", "bpf_modify_return_test injectable", "bpf_fentry_test1", "do_exit", "migrate_disable"),
    *("should_failslab injectable", "__switch_to", "shared nobtf", "taken", "taken_impl", "lacks", "kept"),
    *("shared [m]", "alone [m]", "alone_untyped [m] nobtf", "untraced_too [m] notrace", "black_too [m] blacklisted"),
    *("plain [m]", "alone.cold [m] notrace", "plain.cold [m] notrace", "inject [m] injectable", "value [m] data"),
    *(
        "alone [n]",
        "__pfx_alone [n]",
        "twice [n]",
        "twice [n]",
        "security_module [n]",
        "__x64_sys_module [n]",
        "$x [n]",
    ),
    *("bpf_lsm_module [n]", "weak [n]", "same = alias [n]", f"{'g' * 126} [n]", f"{'h' * 125} [n]", f"{'i' * 128} [n]"),
]
TYPED = ("only_typed", "security_only", "__x64_sys_only", "bpf_lsm_only", "do_task_dead", "thing")
PROTOTYPES = {
    "plain": ("int", ["ptr"]),
    "plain2": ("void", ["int", "u64"]),
    "black": ("bool", []),
    "lacks": ("int", ["ptr", "prog_aux"]),
    "taken": ("int", ["ptr", "prog_aux"]),
    "kept": ("int", ["ptr", "ptr"]),
    "only_typed": ("int", ["ptr", "ptr", "ptr"]),
    "untraced": ("void", ["u128"]),
}
IDS = {
    "btf_id_deny": ("migrate_disable",),
    "noreturn_deny": ("do_exit",),
    "bpf_test_modify_return_ids": ("plain2",),
    "btf_non_sleepable_error_inject": ("should_failslab",),
    "common_kfunc_set": ("taken", "lacks", "kept", "nowhere"),
    "bpf_lsm_hooks": ("bpf_lsm_file_open",),
}
CODE = {
    "plain.cold": ("55", ()),
    "untraced.cold": ("0f1f440000", ("jump_label",)),
    "nobody.cold": ("cc", ()),
    "untraced": ("0f1f440000", ()),
    "untraced2": ("f30f1efa55", ()),
}
DENIED = {
    "everything is read": (),
    "sites without addresses": (FILTER_ADDRS,),
    "no sites": (FILTER_ADDRS, FILTER),
    "no blacklist": (BLACKLIST,),
    "no types": (BTF,),
    "no types of a module": ("sys/kernel/btf/m",),
    "no configuration": ("boot/config",),
    "no code": ("code/slices",),
    "neither code nor sites": ("code/slices", FILTER, FILTER_ADDRS),
    "no list of error injection": ("sys/kernel/debug/error_injection/list",),
}
BUILDS = {
    "": {"code": CODE},
    "addresses are hidden": {"hidden": True, "code": CODE},
    "no code was taken": {},
    "no set is shown": {"hide_ids": True, "code": CODE},
    "notrace functions take kprobes": {"without": ("within_notrace_func",), "code": CODE},
    "no program's own argument": {"without": ("bpf_prog_aux",), "code": CODE},
    "without dynamic ftrace": {"config": {"CONFIG_DYNAMIC_FTRACE": None}, "absent": (FILTER, FILTER_ADDRS)},
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Name of a build to its source; each written once."""
    made = {}

    def tree(name):
        if name not in made:
            files = tiny_files(
                SYMBOLS, typed=TYPED, prototypes=PROTOTYPES, ids=IDS, iterators=("task",), **BUILDS[name]
            )
            made[name] = open_source(str(write_tree(tmp_path_factory.mktemp("kernel"), files)))
        return made[name]

    return tree


def both(kernel):
    """(name, module) to scan's traits, and the same by check's way."""
    lines = list(bulk.lines(kernel))
    scanned = {(line.name, line.module): line.traits for line in lines}
    assert len(scanned) == len(lines), "a function is there twice"
    symbols = kernel.full().symbols
    checked = {}
    for name, module in scanned:
        traits = function_traits.function_traits(kernel, name, module)
        alone = traits.modules == 1 and len(symbols.rows(name.encode())) == 1
        bare = function_traits.function_traits(kernel, name)
        told = {"qualified": False, "name_over_127": bare.name_over_127} if alone and traits.qualified else {}
        checked[name, module] = traits._replace(**told)
    return scanned, checked


CASES = [("", name) for name in DENIED] + [(build, "everything is read") for build in BUILDS if build]


@pytest.mark.parametrize(("build", "denied"), CASES)
def test_both_ways_give_the_same_traits(trees, build, denied):
    scanned, checked = both(Kernel(Changed(trees(build), DENIED[denied])))
    assert scanned == checked
    assert len(scanned) > 90


def test_which_functions_are_scanned(trees):
    """By name and owner: no data, no padding, no marks of a module; what only BTF knows at the end."""
    found, _ = both(Kernel(trees("")))
    own = [_name(line) for line in SYMBOLS]
    of_modules = {(name, module) for name, module in own if module and name not in ("value", "__pfx_alone", "$x")}
    assert {key for key in found if key[1]} == of_modules | {("alias", "n")}
    vmlinux = {name for name, module in own if not module} - {"__pfx_plain", "__cfi_plain", "thing"}
    assert {name for name, module in found if module is None} >= vmlinux | {"other", "fourth", *TYPED} - {"thing"}
    last = [name for name, module in found if module is None][-len(TYPED) :]
    assert set(last) >= set(TYPED) - {"thing"}
    names = list(bulk.function_names(Kernel(trees(""))))
    assert len(names) == len(set(names))
    assert vmlinux | {name for name, _ in of_modules} | {"alias", "fourth"} <= set(names)
    assert not {"value", "__pfx_alone", "$x", "__pfx_plain", "thing", "only_typed"} & set(names)


def _name(line):
    words = line.split()
    return words[0], next((word[1:-1] for word in words if word.startswith("[")), None)


def test_hidden_addresses_leave_the_letters(trees):
    names = set(bulk.function_names(Kernel(trees("addresses are hidden"))))
    assert {"plain", "early", "alone", "untraced"} <= names
    assert not {"__pfx_plain", "value"} & names


@pytest.mark.parametrize("kind", ["a module's freed code had a BUG there", "a module's sections were not read"])
def test_what_is_told_of_modules_alone(trees, monkeypatch, kind):
    kernel = Kernel(trees(""))
    symbols = kernel.full().symbols
    row = symbols.rows(b"alone_untyped")[0]  # no other symbol has the name
    if kind.endswith("there"):
        monkeypatch.setattr(kernel, "stale_bug", lambda symbols, one: one == row)
        monkeypatch.setattr(kernel, "stale_bugs", lambda symbols, rows: {row} & set(rows))
    else:
        monkeypatch.setattr(kernel, "module_gaps", {"m": None})
    scanned, checked = both(kernel)
    assert scanned == checked
    assert (scanned["alone_untyped", "m"].first == "stale") == kind.endswith("there")
    assert scanned["alone_untyped", "m"].place == MODULE


@pytest.mark.parametrize("build", ["", "no code was taken", "addresses are hidden"])
def test_a_sweep_answers_as_check_does(trees, build):
    kernel = Kernel(trees(build))
    kernel.full()
    types = ("kprobe", "kretprobe", "kprobe.multi", "fentry", "fexit", "fmod_ret", "lsm")
    sweep = bulk.Sweep(kernel, types)
    for name, module, traits in bulk.lines(kernel):
        answers, errnos = sweep.answers(traits)
        if module is None:
            told = verdicts.verdicts(kernel, Target(FUNCTION, name), types)
            assert answers == {one.attach: one.answer for one in told}, name
            assert errnos == {one.attach: one.errno or "" for one in told if one.answer == "no"}, name
        assert sweep.answers(traits) is sweep.answers(traits)


def test_without_symbols_there_is_nothing(trees):
    kernel = Kernel(Changed(trees(""), ("proc/kallsyms",)))
    assert list(bulk.lines(kernel)) == list(bulk.function_names(kernel)) == []
