"""The text of `check` for people."""

from __future__ import annotations

from probe_scout.frontends.render.plain import check_lines, grouped
from probe_scout.frontends.render.style import Style
from probe_scout.model.facts import Unread
from probe_scout.model.report import (
    Alternative,
    CheckReport,
    Copy,
    Coverage,
    Diagnosis,
    Form,
    Hazard,
    KernelInfo,
    Limit,
    TargetReport,
)
from probe_scout.model.verdict import Finding, Verdict

KERNEL = KernelInfo("6.12.107+deb13-amd64", "", "x86_64", "live", "")
NO_SYMBOL = Finding("symbol_lookup.no_symbol", "kallsyms has no symbol of exactly this name.", "proc/kallsyms: 0 lines")
NO_FUNC = Finding("attach_target.no_func", "BTF holds no function of this name.", "sys/kernel/btf/vmlinux")
DENIED = Unread("kprobe_blacklist", "denied", "Operation not permitted", "run as root")


def drawn(*verdicts, style=None, **rest):
    target = TargetReport("do_execve", "function", None, verdicts, rest.pop("coverage", Coverage()), **rest)
    return list(check_lines(CheckReport(KERNEL, (target,)), style or Style()))[2:]


def test_answer_then_reason_then_evidence_then_alternative():
    lines = drawn(
        Verdict("kprobe", "no", "ENOENT", True, (NO_SYMBOL,)),
        Verdict("kretprobe", "no", "ENOENT", True, (NO_SYMBOL,)),
        Verdict("fentry", "no", "ESRCH", True, (NO_FUNC,)),
        coverage=Coverage("none", "dwarf", True, (("__x64_sys_execve", 41),)),
        diagnosis=(Diagnosis("inlined", "inlined into __x64_sys_execve", "likely"),),
        alternatives=(
            Alternative("tp", "sched:sched_process_exec", "yes", ""),
            Alternative("fentry", "bprm_execve", "yes", ""),
        ),
    )
    assert lines == [
        "do_execve  function",
        "  no       kprobe kretprobe   (ENOENT)",
        "             kallsyms has no symbol of exactly this name.   symbol_lookup.no_symbol",
        "               proc/kallsyms: 0 lines",
        "  no       fentry   (ESRCH)",
        "             BTF holds no function of this name.   attach_target.no_func",
        "               sys/kernel/btf/vmlinux",
        "  calls    none: only inlined copies exist, into __x64_sys_execve+0x29 (debug information of this build)",
        "  because  likely: inlined into __x64_sys_execve",
        "  instead  tp sched:sched_process_exec (yes)",
        "           fentry bprm_execve (yes)",
    ]


def test_a_prediction_is_likely_and_tells_its_share():
    coverage = Coverage("complete", "survey-other", False, right=166_777, asked=167_427, kernels=("6.1", "6.12"))
    assert drawn(Verdict("kprobe", "yes"), coverage=coverage)[-1] == (
        "  calls    likely not inlined: the code calls this symbol (a prediction from other builds; 166,777 of 167,427 "
        "such predictions came true)"
    )
    this = coverage._replace(basis="survey", build_id_match=True, asked=0)
    assert drawn(Verdict("kprobe", "yes"), coverage=this)[-1].endswith(
        " not inlined: the code calls this symbol (survey of this build)"
    )


def test_what_goes_past_a_probe_is_told_with_what_is_known_of_inlining():
    coverage = Coverage("complete", "survey", True)
    entry = Limit("limit.compat_entry", "partial", "Calls of 32-bit programs enter by f.", "", ("kprobe",))
    slots = Limit("limit.maxactive", "partial", "Returns are lost.", "", ("kretprobe",))
    verdicts = (Verdict("kprobe", "yes"), Verdict("kretprobe", "yes"))
    assert drawn(*verdicts, coverage=coverage, limits=(slots, entry))[-3:] == [
        "  calls    partial for kprobe: calls of 32-bit programs enter by f.   limit.compat_entry",
        "           not inlined: the code calls this symbol (survey of this build)",
        "           partial for kretprobe: returns are lost.   limit.maxactive",
    ]


def test_where_nothing_attaches_no_probe_sees_anything():
    coverage = Coverage("complete", "survey", True)
    assert drawn(Verdict("kprobe", "no", "EINVAL", True, (NO_FUNC,)), coverage=coverage)[-1] == (
        "  calls    not inlined: the code calls this symbol; no type of those asked attaches, so no probe sees its "
        "calls (survey of this build)"
    )


def test_unknown_says_what_was_not_read_and_what_would_help_once():
    lines = drawn(Verdict("kprobe", "unknown", unread=(DENIED,)), Verdict("kprobe.multi", "unknown", unread=(DENIED,)))
    assert lines == [
        "do_execve  function",
        "  unknown  kprobe kprobe.multi",
        "             could not read kprobe_blacklist (denied): Operation not permitted",
        "  to know  run as root",
    ]


def test_an_uncertain_errno_is_said():
    lines = drawn(Verdict("kprobe", "no", "ENOENT", False, (NO_SYMBOL,), (DENIED,)))
    assert "             another error is possible: could not read kprobe_blacklist" in lines


def test_what_a_yes_leaves_open_is_said():
    note = Finding("notes.never_fires", "accepted, but the function never runs", "")
    assert "             but: accepted, but the function never runs   notes.never_fires" in drawn(
        Verdict("kprobe", "yes", notes=(note,))
    )


def test_a_hazard_stands_before_the_answers():
    lines = drawn(Verdict("kprobe", "yes"), hazards=(Hazard("module_end", "registering panics this kernel"),))
    assert lines[1] == "  danger   registering panics this kernel   module_end"


def test_several_copies_show_who_takes_which_and_how_to_name_them():
    copies = (Copy(None, "0x1f0", "t", True, ("fentry",)), Copy("xfs", "0x9f0", "t", False, ()))
    forms = (Form("bpftrace", "kprobe:xfs:f", ""),)
    lines = drawn(Verdict("fentry", "yes"), copies=copies, forms=forms)
    assert lines[2:] == [
        "  copies   2 symbols carry this name",
        "             0x1f0 t vmlinux: ftrace lists it, taken by fentry",
        "             0x9f0 t xfs: ftrace does not list it",
        "  name it  bpftrace kprobe:xfs:f",
    ]
    assert drawn(Verdict("fentry", "yes"), copies=copies[:1], forms=forms)[2:] == ["  name it  bpftrace kprobe:xfs:f"]


def test_groups_differ_by_reason_and_not_by_evidence():
    other = NO_SYMBOL._replace(evidence="elsewhere")
    verdicts = (
        Verdict("a", "no", "ENOENT", True, (NO_SYMBOL,)),
        Verdict("b", "no", "ENOENT", True, (other,)),
        Verdict("c", "no", "ENOENT", True, (NO_FUNC,)),
        Verdict("d", "no", "EINVAL", True, (NO_SYMBOL,)),
        Verdict("e", "yes"),
        Verdict("f", "yes", unread=(DENIED,)),
        Verdict("g", "no", "ENOENT", True, (NO_SYMBOL, NO_FUNC), (DENIED,)),
        Verdict("h", "no", "ENOENT", False, (NO_SYMBOL,), (DENIED,)),
    )
    groups = [[v.attach for v in group] for group in grouped(verdicts)]
    assert groups == [["a", "b", "g"], ["c"], ["d"], ["e", "f"], ["h"]]


def test_further_reasons_name_the_attach_types_that_have_them():
    lines = drawn(
        Verdict("fentry", "no", "ESRCH", True, (NO_FUNC,)),
        Verdict("fsession", "no", "ESRCH", True, (NO_FUNC, NO_SYMBOL)),
    )
    assert lines[1] == "  no       fentry fsession   (ESRCH)"
    assert lines[-1] == (
        "             also fsession: kallsyms has no symbol of exactly this name.   symbol_lookup.no_symbol"
    )


def test_alternatives_with_one_target_share_a_line():
    alternatives = (
        Alternative("tp", "tp:sched:sched_switch", "yes", "each switch"),
        Alternative("tp_btf", "tp:sched:sched_switch", "yes", "each switch"),
    )
    lines = drawn(Verdict("kprobe", "no", "ENOENT", True, (NO_SYMBOL,)), alternatives=alternatives)
    assert lines[-1] == "  instead  tp tp_btf sched:sched_switch (yes): each switch"


def test_lines_fit_the_width_and_lose_no_word():
    verdicts = [Verdict("kprobe", "no", "ENOENT", True, (NO_SYMBOL,)), Verdict("fentry", "unknown", unread=(DENIED,))]
    wide, narrow = drawn(*verdicts), drawn(*verdicts, style=Style(False, 44))
    assert max(map(len, narrow)) <= 44
    assert " ".join(narrow).split() == " ".join(wide).split()


def test_colour_adds_nothing_but_colour():
    import re

    verdicts = [Verdict("kprobe", "no", "ENOENT", True, (NO_SYMBOL,)), Verdict("fentry", "yes")]
    colored = drawn(*verdicts, style=Style(True))
    assert "\x1b[31m" in "".join(colored)
    assert [re.sub(r"\x1b\[[\d;]*m", "", line) for line in colored] == drawn(*verdicts)


def test_control_characters_of_hostile_names_are_escaped():
    target = TargetReport("f\x1b[2J", "function", None, (Verdict("kprobe", "yes"),), Coverage())
    assert "\x1b" not in "\n".join(check_lines(CheckReport(KERNEL, (target,)), Style()))
