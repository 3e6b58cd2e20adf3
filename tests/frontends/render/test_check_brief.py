"""The short text of `check`: a sentence first, then a line for each group of attach types."""

from __future__ import annotations

import pytest

from probe_scout.frontends.render.check_brief import brief_lines
from probe_scout.frontends.render.style import Style
from probe_scout.frontends.session import OpenKernel
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.facts import Unread
from probe_scout.model.report import CheckReport, Coverage, Diagnosis, Hazard, KernelInfo, Limit, TargetReport
from probe_scout.model.verdict import Finding, Verdict

KERNEL = KernelInfo("6.12.107+deb13-amd64", "", "x86_64", "live", "2026-01-01T00:00:00Z")
REFUSED = Finding(
    "kprobe_register.blacklisted", "The function is in the kprobe blacklist.", "kprobes/blacklist: a range"
)
YES = tuple(Verdict(attach, "yes", None, True) for attach in ("kprobe", "kretprobe", "fentry"))


def drawn(*verdicts, **rest):
    target = TargetReport("do_it", "function", None, verdicts, rest.pop("coverage", Coverage()), **rest)
    return list(brief_lines(CheckReport(KERNEL, (target,)), Style()))


@pytest.fixture(scope="module")
def kernel(recorded):
    opened = OpenKernel()
    opened._opened = Kernel(recorded)
    return opened


def test_do_execve_in_twelve_lines_of_80_columns(kernel):
    lines = "\n".join(brief_lines(kernel.check("do_execve"), Style(width=80))).splitlines()
    assert len(lines) <= 12
    assert lines[2].startswith("do_execve cannot be probed: ")
    assert any(line.startswith("  instead  fentry kprobe bprm_execve: ") for line in lines)
    assert max(map(len, lines)) <= 80


def test_all_is_accepted():
    lines = drawn(*YES, coverage=Coverage("complete", "survey", True))
    assert lines[0] == "kernel 6.12.107+deb13-amd64 x86_64 (live)"
    assert lines[2:] == [
        "do_it can be probed, best by fentry; it is not inlined.",
        "  yes      kprobe kretprobe fentry",
    ]


def test_a_prediction_is_no_fact():
    assert "it is likely not inlined" in drawn(*YES, coverage=Coverage("complete", "survey-other", False))[2]
    inlined = Coverage("partial", "survey-other", False, missed_callers=("a", "b", "c", "d"))
    assert drawn(*YES, coverage=inlined)[2].endswith(", but likely misses the calls in a, b, c and 1 more.")


def test_some_types_are_refused():
    lines = drawn(Verdict("kprobe", "no", "EINVAL", True, (REFUSED,)), Verdict("fentry", "yes", None, True))
    assert lines[2:] == [
        "do_it can be probed by fentry, not by kprobe.",
        "  no       kprobe (EINVAL): The function is in the kprobe blacklist.",
        "  yes      fentry",
    ]


def test_no_type_is_accepted():
    refused = Verdict("kprobe", "no", "EINVAL", True, (REFUSED,))
    assert drawn(refused)[2:] == [
        "do_it cannot be probed: the function is in the kprobe blacklist.",
        "  no       kprobe (EINVAL)",
    ]
    why = Diagnosis("renamed", "do_it is called done_it here.", "likely")
    assert drawn(refused, diagnosis=(why,))[2] == "do_it cannot be probed: likely: it is called done_it here."


def test_an_unknown_answer_names_what_was_not_read_and_the_cure():
    unread = Unread("ftrace_functions", "denied", "Operation not permitted", "run as root")
    assert drawn(Verdict("fentry", "unknown", None, False, (), (unread,)))[2:] == [
        "do_it: unknown whether it can be probed; could not read ftrace_functions (denied).",
        "  unknown  fentry: could not read ftrace_functions (denied)",
        "  to know  run as root",
    ]


def test_calls_that_go_past_are_in_the_first_sentence():
    past = Limit("limit.compat_entry", "partial", "Calls of 32-bit programs enter elsewhere.", "", ("kprobe", "fentry"))
    lines = drawn(*YES, limits=(past,), coverage=Coverage("complete", "survey", True))
    assert lines[2] == "do_it can be probed, best by fentry, but some calls go past it."
    assert "  calls    partial for kprobe fentry: Calls of 32-bit programs enter elsewhere." in lines
    never = Limit("limit.lsm_not_active", "never", "The module is not active.", "", ("kprobe", "kretprobe", "fentry"))
    assert drawn(*YES, limits=(never,))[2] == "do_it takes a probe that sees no call: The module is not active."


def test_a_danger_is_never_left_out():
    lines = drawn(*YES, hazards=(Hazard("hazard.recursion", "It freezes the machine."),))
    assert "  danger   It freezes the machine.   hazard.recursion" in lines


def test_what_does_not_count_is_one_line():
    lacking = Finding("attach_type.unknown_type", "This kernel does not know it.", "")
    others = (
        Verdict("fsession", "no", "EINVAL", True, (lacking,)),
        Verdict("fentry.s", "no", "EINVAL", True, (REFUSED,)),
    )
    assert drawn(*YES, *others)[-1] == "  -v       no to 1 other type; 1 unknown to this kernel"
