"""Functions of two kernels: gone, appeared, renamed, moved, changed, and what is no difference."""

from __future__ import annotations

import re

from probe_scout.model.diff import ArgumentChange, FunctionChange, VerdictChange
from tests.builders.tiny_kernel import BLACKLIST, FILTER, FILTER_ADDRS, tiny_files


def found(report):
    return {(f.module, f.target): (f.change, f.others) for f in report.functions}


def functions(differ, a, b, **more):
    return differ({"symbols": a}, {"symbols": b}, kinds=("functions",), **more)


def test_the_same_kernel_twice_does_not_differ(differ):
    report = differ(
        {"symbols": ("foo", "foo.cold notrace", "bar [xfs]")}, {"symbols": ("foo", "foo.cold notrace", "bar [xfs]")}
    )
    assert not report.differs()
    assert (report.functions, report.events, report.unread) == ((), (), ())
    assert report.totals[0].same == report.totals[0].in_a == report.totals[0].in_b > 3


def test_gone_and_appeared(differ):
    report = functions(differ, ("foo", "old"), ("foo", "new"))
    assert found(report) == {(None, "old"): ("gone", ()), (None, "new"): ("appeared", ())}


def test_addresses_are_no_differences(differ, tiny_kernel):
    """The second kernel has the same symbols 16 MiB further up and in another order."""
    names = ("foo", "bar", "bar.cold notrace", "baz blacklisted", "mod_fn [xfs]")
    files = tiny_files(names)
    moved = {
        path: re.sub(rb"ffffffff8", b"ffffffff9", files[path])
        for path in ("proc/kallsyms", FILTER, FILTER_ADDRS, BLACKLIST)
    }
    assert moved["proc/kallsyms"] != files["proc/kallsyms"]
    assert not tiny_kernel(names).diff(tiny_kernel(names, files=moved)).differs()
    assert not functions(differ, names, (names[1], names[0], *names[2:])).differs()


def test_a_compilers_suffix_is_a_renaming_and_not_gone(differ):
    report = functions(
        differ,
        ("foo", "bar.constprop.0", "baz.isra.0", "baz.isra.0.cold notrace", "kept"),
        ("foo.isra.0", "bar", "baz.part.0", "baz.cold notrace", "kept"),
    )
    assert found(report) == {
        (None, "foo"): ("renamed", ("foo.isra.0",)),
        (None, "bar.constprop.0"): ("renamed", ("bar",)),
        (None, "baz.isra.0"): ("renamed", ("baz.part.0",)),
        (None, "baz.isra.0.cold"): ("renamed", ("baz.cold",)),
    }


def test_a_cold_part_is_not_the_function(differ):
    """foo is gone though foo.cold appeared: nothing of that name is entered any more."""
    assert found(functions(differ, ("foo",), ("foo.cold notrace",))) == {
        (None, "foo"): ("gone", ()),
        (None, "foo.cold"): ("appeared", ()),
    }


def test_a_longer_name_is_another_function(differ):
    assert found(functions(differ, ("foo",), ("foo_one",))) == {
        (None, "foo"): ("gone", ()),
        (None, "foo_one"): ("appeared", ()),
    }


def test_from_a_module_into_the_kernel_is_a_move(differ):
    report = functions(differ, ("foo [xfs]", "rest [xfs]"), ("foo", "rest [xfs]"))
    assert found(report) == {("xfs", "foo"): ("moved", ("vmlinux",))}


def test_two_candidates_are_no_move(differ):
    report = functions(differ, ("foo [a]", "foo [b]", "x [a]", "x [b]"), ("foo", "x [a]", "x [b]"))
    assert found(report) == {("a", "foo"): ("gone", ()), ("b", "foo"): ("gone", ()), (None, "foo"): ("appeared", ())}


def test_a_module_that_is_not_loaded_has_no_functions_gone(differ):
    report = functions(differ, ("foo", "one [xfs]", "two [xfs]"), ("foo", "three [ext4]"))
    assert report.functions == ()
    assert [(m.module, m.loaded_in, m.functions) for m in report.modules] == [("xfs", "a", 2), ("ext4", "b", 1)]
    assert report.differs()


def test_static_functions_of_one_name_are_counted(differ):
    report = functions(differ, ("foo", "foo"), ("foo", "foo", "foo"))
    (foo,) = report.functions
    assert (foo.target, foo.change, foo.copies_a, foo.copies_b, foo.verdicts) == ("foo", "changed", 2, 3, ())


def test_a_second_copy_changes_verdicts_by_name(differ):
    report = functions(differ, ("foo",), ("foo", "foo"), types=("kprobe",))
    assert report.functions == (
        FunctionChange(
            "foo",
            None,
            "changed",
            copies_a=1,
            copies_b=2,
            verdicts=(VerdictChange("kprobe", "yes", None, "no", "EADDRNOTAVAIL"),),
        ),
    )


def test_inlined_functions_are_told_from_lost_ones(differ):
    report = differ({"symbols": ("foo", "bar")}, {"symbols": ("x",), "typed": ("foo",)}, kinds=("functions",))
    still = {f.target: f.still_typed for f in report.functions if f.change == "gone"}
    assert still == {"foo": True, "bar": False}


def prototypes(differ, before, after):
    report = differ(
        {"symbols": ("foo",), "prototypes": {"foo": before}},
        {"symbols": ("foo",), "prototypes": {"foo": after}},
        kinds=("functions",),
        types=("kprobe",),
    )
    return report.functions


def test_equal_prototypes(differ):
    assert prototypes(differ, ("int", ["ptr", "u64"]), ("int", ["ptr", "u64"])) == ()


def test_a_changed_argument(differ):
    (foo,) = prototypes(differ, ("int", ["ptr", "u64"]), ("int", ["ptr", "int"]))
    assert (foo.prototype_a, foo.prototype_b) == ("int foo(void *a0, u64 a1)", "int foo(void *a0, int a1)")
    assert foo.arguments == (ArgumentChange(1, "type", "u64 a1", "int a1"),)


def test_more_and_fewer_arguments_and_the_return_value(differ):
    (foo,) = prototypes(differ, ("int", ["ptr", "u64"]), ("u64", ["ptr"]))
    assert foo.arguments == (ArgumentChange(None, "type", "int", "u64"), ArgumentChange(1, "gone", "u64 a1", None))
    (foo,) = prototypes(differ, ("void", []), ("void", ["ptr", "..."]))
    assert [(a.place, a.what, a.b) for a in foo.arguments] == [(0, "appeared", "void *a0"), (1, "appeared", "...")]


def test_a_verdict_that_changed_with_its_errno(differ):
    report = functions(differ, ("foo", "bar"), ("foo blacklisted", "bar"), types=("kprobe", "fentry"))
    assert [(f.target, f.verdicts) for f in report.functions] == [
        ("foo", (VerdictChange("kprobe", "yes", None, "no", "EINVAL"),))
    ]
    (count,) = [c for c in report.counts if c.attach]
    assert (count.what, count.attach, count.number, count.examples) == ("yes to no EINVAL", "kprobe", 1, ("foo",))


def test_a_type_that_one_kernel_lacks_is_told_once(differ):
    report = differ({"symbols": ("foo", "bar"), "without": ("BPF_TRACE_FSESSION",)}, {"symbols": ("foo", "bar")})
    assert report.types == (VerdictChange("fsession", "no", "EINVAL", "yes", None),)
    assert report.functions == ()


def test_unknown_on_one_side_is_no_difference(differ):
    report = differ({"symbols": ("foo",)}, {"symbols": ("foo",), "denied": (BLACKLIST,)}, types=("kprobe",))
    assert report.functions == ()
    assert report.totals[0].untold > 0
    assert [(gap.side, gap.unread.fact) for gap in report.unread] == [("b", "kprobe_blacklist")]


def test_a_pattern_keeps_what_it_names(differ):
    assert found(functions(differ, ("foo", "bar", "baz [xfs]", "x [xfs]"), ("x [xfs]",), glob="ba*")) == {
        (None, "bar"): ("gone", ()),
        ("xfs", "baz"): ("gone", ()),
    }
    assert found(functions(differ, ("foo", "baz [xfs]", "x [xfs]"), ("x [xfs]",), glob="xfs:*")) == {
        ("xfs", "baz"): ("gone", ())
    }
    assert found(functions(differ, ("foo",), ("foo.isra.0",), glob="foo")) == {
        (None, "foo"): ("renamed", ("foo.isra.0",))
    }


def test_the_short_form_keeps_the_counts(differ):
    report = functions(differ, ("foo", "old"), ("foo",), whole=False)
    assert (report.functions, report.whole) == ((), False)
    assert [(c.what, c.number, c.examples) for c in report.counts] == [("gone", 1, ("old",))]
