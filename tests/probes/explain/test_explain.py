"""Diagnosis: one case per reason, with the number of the user problem it answers where there is one."""

from __future__ import annotations

import pytest

from probe_scout.model.report import Coverage, Diagnosis
from probe_scout.model.target import parse
from probe_scout.model.verdict import Finding, Verdict
from probe_scout.probes.explain.explain import explain

from .conftest import FakeLookup


def diagnose(lookup, text, verdicts=None, coverage=None):
    verdicts = lookup.verdicts(text) if verdicts is None else verdicts
    more = {} if coverage is None else {"coverage": coverage}
    return explain(lookup, parse(text), verdicts, **more)


def kinds(*args, **more):
    return [(d.kind, d.certainty) for d in diagnose(*args, **more)]


def says(*args, **more):
    return " ".join(d.says for d in diagnose(*args, **more))


def test_an_ordinary_function_needs_no_explanation():
    assert diagnose(FakeLookup(["T vfs_read"]), "vfs_read") == ()


def test_a_known_inlined_function_is_likely_inlined():  # 1
    lookup = FakeLookup(["T bprm_execve", "T __x64_sys_execve"])
    assert kinds(lookup, "do_execve") == [("inlined", "likely")]


def test_an_unknown_name_gets_possibilities_and_no_claim():  # 3
    (found,) = diagnose(FakeLookup(["T vfs_read"]), "my_own_function")
    assert (found.kind, found.certainty) == ("no_symbol", "is")
    assert "may be" in found.says


def test_dwarf_of_this_build_says_is_and_names_the_callers():  # 32
    coverage = Coverage("none", "dwarf", True, (("__x64_sys_execve", 41), ("__ia32_sys_execve", 38)))
    found = diagnose(FakeLookup(), "do_execve", coverage=coverage)[0]
    assert (found.kind, found.certainty) == ("inlined", "is")
    assert "__x64_sys_execve and __ia32_sys_execve" in found.says


@pytest.mark.parametrize(
    ("basis", "match", "says"),
    [
        ("survey-other", False, "folded is likely inlined into caller, as it is in 6.1-x and 6.12-x."),
        (
            "dwarf",
            False,
            "folded is likely inlined into caller, as it is in another build, whose debug information was",
        ),
        ("dwarf", None, "folded is likely inlined into caller, as it is in another build, whose debug information was"),
    ],
)
def test_another_build_only_says_likely(basis, match, says):
    kernels = ("6.1-x", "6.12-x") if basis == "survey-other" else ()
    coverage = Coverage("none", basis, match, (("caller", 1),), kernels=kernels)
    first = diagnose(FakeLookup(), "folded", coverage=coverage)[0]
    assert first.certainty == "likely"
    assert first.says.startswith(says)


@pytest.mark.parametrize("basis", ["dwarf", "survey"])
def test_what_was_read_of_this_build_is_so(basis):
    (folded, *_) = diagnose(FakeLookup(), "folded", coverage=Coverage("none", basis, True, (("caller", 1),)))
    assert folded == Diagnosis("inlined", "folded is inlined into caller and has no code of its own.", "is")
    partial = Coverage("partial", basis, True, (("caller", 1),), ("caller",), kind="partial", missed=1)
    (also,) = diagnose(FakeLookup(["t f"]), "f", coverage=partial)
    assert also == Diagnosis("partly_inlined", "f is also inlined elsewhere: calls from caller are missed.", "is")


def test_a_prediction_of_missed_calls_names_its_kernels():
    coverage = Coverage("partial", "survey-other", False, kernels=("6.1-x",), kind="partial", missed=2)
    (also,) = diagnose(FakeLookup(["t f"]), "f", coverage=coverage)
    assert also == Diagnosis("partly_inlined", "f is likely also inlined elsewhere, as it is in 6.1-x.", "likely")


def test_calls_that_go_to_a_clone_are_told_as_such():
    coverage = Coverage("partial", "survey", True, clones=("f.part.0",), kind="no")
    found = diagnose(FakeLookup(["t f", "t f.part.0"]), "f", coverage=coverage)
    assert [one.says for one in found if one.kind in ("cloned", "partly_inlined")] == [
        "Calls of f also go to f.part.0, past a probe on f."
    ]


def test_inner_calls_of_a_recursion_are_told_as_such():
    coverage = Coverage("partial", "survey", True, (("f", 9),), ("f",), kind="self only, recursive", missed=1)
    (found,) = diagnose(FakeLookup(["t f"]), "f", coverage=coverage)
    assert found.says == "f calls itself, and inner calls are inlined: a probe sees the outer one."


def test_inlined_elsewhere_names_the_missed_callers():  # 33
    coverage = Coverage("partial", "dwarf", True, (), ("leave_mm",))
    (found,) = diagnose(FakeLookup(["T switch_mm"]), "switch_mm", coverage=coverage)
    assert (found.kind, found.certainty) == ("partly_inlined", "is")
    assert "leave_mm" in found.says


@pytest.mark.parametrize(
    ("symbol", "kind", "certainty", "word"),
    [
        ("helper.isra.0", "renamed", "is", "parameters"),  # 27, 29
        ("helper.constprop.0", "renamed", "is", "parameters"),  # 28
        ("helper.isra.0.constprop.2", "renamed", "is", "parameters"),
        ("helper.part.0", "partly_inlined", "likely", "outlined"),  # 28
        ("helper.llvm.3433979326929198294", "renamed", "is", "Link-time"),  # 30
        ("helper.cold", "inlined", "likely", "jumped"),
        ("helper.isra.0.cold", "inlined", "likely", "jumped"),
    ],
)
def test_each_compiler_suffix_has_its_meaning(symbol, kind, certainty, word):
    (found,) = diagnose(FakeLookup([f"t {symbol}"]), "helper")
    assert (found.kind, found.certainty) == (kind, certainty)
    assert symbol in found.says
    assert word in found.says


def test_all_variants_are_listed():  # 28
    lookup = FakeLookup(["t f.isra.0", "t f.constprop.1", "t f.isra.0.cold"])
    assert "f.isra.0 or f.constprop.1" in says(lookup, "f")
    assert ".cold" not in says(lookup, "f")


def test_btf_without_symbol_is_no_evidence():  # 10, 26
    lookup = FakeLookup(btf=["nla_append"])
    assert kinds(lookup, "nla_append") == [("btf_only", "is")]


def test_blacklisted_and_traced_leaves_fentry():  # 5
    lookup = FakeLookup(["t do_trap"], blacklist=["do_trap"])
    assert kinds(lookup, "do_trap") == [("blacklisted", "is")]
    assert "fentry" in says(lookup, "do_trap")


def test_entry_code_is_closed_to_everything():  # 6
    lookup = FakeLookup(["T asm_exc_page_fault"], blacklist=["asm_exc_page_fault"], notrace=["asm_exc_page_fault"])
    assert kinds(lookup, "asm_exc_page_fault") == [("noinstr", "is")]


def test_notrace_is_told_from_a_missing_symbol():  # 3, 4
    lookup = FakeLookup(["t quiet"], notrace=["quiet"])
    assert kinds(lookup, "quiet") == [("notrace", "is")]


def test_notrace_with_kprobe_events_on_notrace_leaves_kprobes():
    lookup = FakeLookup(["t quiet"], notrace=["quiet"], config={"CONFIG_KPROBE_EVENTS_ON_NOTRACE": "y"})
    verdicts = (Verdict("kprobe", "unknown"), Verdict("fentry", "no"))
    assert "kprobes may enter" in says(lookup, "quiet", verdicts)


def test_an_alias_that_takes_kprobes_is_not_called_notrace():
    lookup = FakeLookup(["T alias"], notrace=["alias"])
    assert diagnose(lookup, "alias", (Verdict("kprobe", "yes"),)) == ()


def test_an_unread_filter_list_claims_nothing():
    assert diagnose(FakeLookup(["T vfs_read"], unread_trace=True), "vfs_read") == ()


def test_init_code_is_gone():  # 8
    assert kinds(FakeLookup(["T start_kernel"], init=["start_kernel"]), "start_kernel") == [("init_text", "is")]


def test_data_symbols_take_no_probe():
    assert kinds(FakeLookup(["D jiffies"]), "jiffies") == [("data", "is")]


def test_padding_is_not_the_function():
    lookup = FakeLookup(["T __pfx_vfs_read", "T vfs_read"], notrace=["__pfx_vfs_read"])
    assert kinds(lookup, "__pfx_vfs_read") == [("padding", "is")]


def test_a_cold_part_is_no_entry():
    lookup = FakeLookup(["t f", "t f.cold"])
    assert kinds(lookup, "f.cold") == [("cold", "is")]


def test_an_ambiguous_name_says_who_takes_what():  # 21, 22, 26
    lookup = FakeLookup(["t s_next", "t other", "t s_next"])
    found = {d.kind: d.says for d in diagnose(lookup, "s_next")}
    assert set(found) == {"ambiguous", "ambiguous_kprobe", "ambiguous_fentry", "ambiguous_multi"}
    assert "2 symbols" in found["ambiguous"]
    assert "0xffffffff81000000" in found["ambiguous_fentry"]
    assert "0xffffffff81002000" not in found["ambiguous_fentry"]
    assert "refused" in found["ambiguous_kprobe"]


def test_a_kernel_without_the_uniqueness_check_takes_the_first_copy():  # 21
    lookup = FakeLookup(["t s_next", "t s_next"])
    found = diagnose(lookup, "s_next", (Verdict("kprobe", "yes"),))
    assert [d.kind for d in found] == ["ambiguous", "ambiguous_kprobe"]
    assert "stay unseen" in found[1].says


def test_fentry_on_an_untraced_first_copy_says_so():
    lookup = FakeLookup(["t p_start", "t p_start"], notrace=["p_start@0"])
    found = {d.kind: d.says for d in diagnose(lookup, "p_start")}
    assert "does not trace" in found["ambiguous_fentry"]
    assert "0xffffffff81001000" in found["ambiguous_multi"]


def test_a_data_symbol_makes_a_name_ambiguous():
    lookup = FakeLookup(["t verbose", "d verbose"])
    assert "data" in says(lookup, "verbose")
    assert kinds(lookup, "verbose")[0] == ("ambiguous", "is")


def test_a_module_prefix_ends_the_ambiguity():  # 25
    lookup = FakeLookup(["t flush_store", "t flush_store [md_mod]"])
    assert diagnose(lookup, "md_mod:flush_store") == ()


def test_a_function_in_another_module_is_found_there():
    lookup = FakeLookup(["t xfs_file_open [xfs]", "t ext4_file_open [ext4]"])
    (found,) = diagnose(lookup, "ext4:xfs_file_open")
    assert (found.kind, found.certainty) == ("elsewhere", "is")
    assert "xfs" in found.says


def test_a_function_of_a_module_that_is_not_loaded():  # 14, 15
    lookup = FakeLookup(
        ["T vfs_read"], files={"md_mod": "kernel/drivers/md/md-mod.ko"}, modules={"md_mod": {"md_flush_request"}}
    )
    (found,) = diagnose(lookup, "md_flush_request")
    assert (found.kind, found.certainty) == ("module_not_loaded", "is")
    assert "modprobe md_mod" in found.says


def test_a_known_home_without_its_file_is_only_likely():
    lookup = FakeLookup(["T vfs_read"], files={"md_mod": "kernel/drivers/md/md-mod.ko"})
    assert kinds(lookup, "md_flush_request") == [("module_not_loaded", "likely")]


def test_a_module_file_without_the_function_is_not_named():
    lookup = FakeLookup(files={"md_mod": "x"}, modules={"md_mod": {"other"}})
    assert kinds(lookup, "md_flush_request") == [("no_symbol", "is")]


def test_a_module_that_is_asked_for_and_not_loaded():  # 14
    lookup = FakeLookup(files={"overlay": "kernel/fs/overlayfs/overlay.ko"})
    assert kinds(lookup, "overlay:ovl_open") == [("module_not_loaded", "is")]
    assert kinds(lookup, "overlays:ovl_open") == [("no_such_module", "is")]


@pytest.mark.parametrize("name", ["sys_execve", "SyS_execve", "__arm64_sys_execve", "__arm64___x64_sys_execve"])
def test_a_system_call_under_another_name(name):  # 16, 17
    lookup = FakeLookup(["T __x64_sys_execve"], events=["syscalls:sys_enter_execve"])
    (found,) = diagnose(lookup, name)
    assert (found.kind, found.certainty) == ("syscall_name", "is")
    for form in ("syscall:execve", "__x64_sys_execve", "tp:syscalls:sys_enter_execve"):
        assert form in found.says


def test_the_architecture_decides_the_entry():  # 16
    lookup = FakeLookup(["T __arm64_sys_execve"], arch="aarch64")
    assert "__arm64_sys_execve" in says(lookup, "__x64_sys_execve")


def test_a_bare_system_call_name():
    lookup = FakeLookup(["T __x64_sys_openat"])
    assert kinds(lookup, "openat") == [("is_syscall", "is")]


def test_a_missing_system_call_lists_what_was_tried():  # 17
    (found,) = diagnose(FakeLookup(), "syscall:listn")
    assert "__x64_sys_listn or __se_sys_listn" in found.says


def test_a_tracepoint_asked_as_function_and_the_other_way_round():
    lookup = FakeLookup(["T vfs_read"], events=["sched:sched_process_exec"])
    assert "tp:sched:sched_process_exec" in says(lookup, "sched_process_exec")
    assert kinds(lookup, "sched:sched_process_exec") == [("is_tracepoint", "is")]
    assert kinds(lookup, "tp:vfs:vfs_read") == [("is_function", "is")]


def test_a_function_that_the_ladder_knows_is_not_mistaken_for_its_event():
    lookup = FakeLookup(["T kmem_cache_alloc_noprof"], events=["kmem:kmem_cache_alloc"])
    assert kinds(lookup, "kmem_cache_alloc") == [("renamed", "likely")]


def test_a_security_hook_has_two_names():
    lookup = FakeLookup(["T security_file_open", "T bpf_lsm_file_open"])
    (found,) = diagnose(lookup, "file_open")
    assert found.kind == "lsm_hook"
    assert "bpf_lsm_file_open" in found.says
    assert "security_file_open" in found.says


def test_a_struct_of_callbacks_is_no_function():
    assert kinds(FakeLookup(), "sched_ext_ops") == [("struct_ops", "is")]


@pytest.mark.parametrize(
    "text",
    [
        "vfs_read()",
        "kprobe:vfs_read()",
        "&vfs_read",
    ],
)
def test_stray_characters_are_named(text):
    (found,) = diagnose(FakeLookup(["T vfs_read"]), text)
    assert (found.kind, found.certainty) == ("stray", "is")
    assert "ask for vfs_read" in found.says


def test_an_unfinished_suffix_is_completed():
    lookup = FakeLookup(["t finish_task_switch.isra.0"])
    found = diagnose(lookup, "finish_task_switch.isra")[0]
    assert found.kind == "stray"
    assert "finish_task_switch.isra.0" in found.says


def test_a_probe_word_is_not_a_module():
    assert kinds(FakeLookup(), "kprobe:nothing_here") == kinds(FakeLookup(), "nothing_here") == [("no_symbol", "is")]


def test_a_function_that_shares_its_name_with_an_event_is_not_called_an_event():
    lookup = FakeLookup(["t btrfs_sync_file [btrfs]"], events=["btrfs:btrfs_sync_file"])
    assert diagnose(lookup, "btrfs:btrfs_sync_file") == ()


def test_calls_that_go_past_a_symbol():  # 2 (cachestat), and do_sys_open
    lookup = FakeLookup(["T do_sys_open", "t do_sys_openat2"])
    assert kinds(lookup, "do_sys_open") == [("bypassed", "likely")]


def test_a_wrapper_is_not_bypassed_where_its_successor_does_not_exist():
    assert diagnose(FakeLookup(["T mark_page_accessed"]), "mark_page_accessed") == ()


def test_a_symbol_without_ftrace_record_that_the_ladder_knows():  # 2, 3
    lookup = FakeLookup(["t blk_account_io_start"], notrace=["blk_account_io_start"])
    assert kinds(lookup, "blk_account_io_start") == [("notrace", "is"), ("inlined", "likely")]


def test_a_part_beside_the_symbol_means_missed_calls():  # 32
    lookup = FakeLookup(["t f", "t f.part.0"])
    assert kinds(lookup, "f") == [("partly_inlined", "likely")]


def test_a_clone_beside_the_symbol_means_missed_calls():
    assert kinds(FakeLookup(["t f", "t f.constprop.0"]), "f") == [("cloned", "likely")]


def test_coverage_that_is_complete_silences_the_guess():
    assert diagnose(FakeLookup(["t f", "t f.part.0"]), "f", coverage=Coverage("complete", "dwarf", True)) == ()


def test_a_function_missing_from_btf_still_takes_kprobes():  # 49
    lookup = FakeLookup(["t tcp_fastretrans_alert"], not_in_btf=["tcp_fastretrans_alert"])
    assert kinds(lookup, "tcp_fastretrans_alert") == [("not_in_btf", "likely")]


def test_a_syscall_wrapper_without_arguments_has_no_btf():
    lookup = FakeLookup(["T __x64_sys_getpid"], not_in_btf=["__x64_sys_getpid"])
    assert "unnamed parameter" in says(lookup, "__x64_sys_getpid")


@pytest.mark.parametrize(
    ("option", "attach"),
    [
        ("CONFIG_KPROBES", "kprobe"),
        ("CONFIG_FPROBE", "kprobe.multi"),
        ("CONFIG_DEBUG_INFO_BTF", "fentry"),
        ("CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", "fexit"),  # 42, 43
        ("CONFIG_BPF_LSM", "lsm"),
    ],
)
def test_a_kernel_built_without_a_kind_of_probe(option, attach):
    every = dict.fromkeys(
        (
            "CONFIG_KPROBES",
            "CONFIG_KPROBE_EVENTS",
            "CONFIG_FPROBE",
            "CONFIG_DEBUG_INFO_BTF",
            "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
            "CONFIG_BPF_LSM",
        ),
        "y",
    )
    refused = (Verdict(attach, "no"),)
    without = {name: value for name, value in every.items() if name != option}
    found = [d for d in diagnose(FakeLookup(["T vfs_read"], config=without), "vfs_read", refused) if d.kind == "build"]
    assert len(found) == 1
    assert option in found[0].says
    assert diagnose(FakeLookup(["T vfs_read"], config=every), "vfs_read", refused) == ()
    assert diagnose(FakeLookup(["T vfs_read"]), "vfs_read", refused) == ()  # config unread: unknown is not no


def test_errno_524_gets_its_name():  # 42
    verdicts = (Verdict("fentry", "no", "ENOTSUPP"),)
    lookup = FakeLookup(
        ["T many"], config={"CONFIG_DEBUG_INFO_BTF": "y", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS": "y"}
    )
    (found,) = diagnose(lookup, "many", verdicts)
    assert "524" in found.says
    assert found.certainty == "likely"


def test_modify_return_without_error_injection():  # 65
    lookup = FakeLookup(
        ["T vfs_read"], config={"CONFIG_DEBUG_INFO_BTF": "y", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS": "y"}
    )
    refused = Verdict("fmod_ret", "no", "EINVAL", findings=(Finding("attach_target.not_modifiable", "", ""),))
    (found,) = diagnose(lookup, "vfs_read", (refused,))
    assert "CONFIG_FUNCTION_ERROR_INJECTION" in found.says
    assert diagnose(lookup, "vfs_read", (refused, Verdict("kprobe", "yes"))) == (found,)


def test_modify_return_is_no_news_where_no_program_gets_in_or_another_rule_refuses():
    lookup = FakeLookup(
        ["T vfs_read"], config={"CONFIG_DEBUG_INFO_BTF": "y", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS": "y"}
    )
    refused = Verdict("fmod_ret", "no", "EINVAL", findings=(Finding("attach_target.not_modifiable", "", ""),))
    unnamed = Verdict("fmod_ret", "no", "ESRCH", findings=(Finding("attach_target.not_in_btf", "", ""),))
    for verdicts in ((refused, Verdict("kprobe", "no")), (unnamed, Verdict("kprobe", "yes"))):
        assert not [d for d in diagnose(lookup, "vfs_read", verdicts) if "ERROR_INJECTION" in d.says]


def test_an_event_that_was_renamed():  # 55
    lookup = FakeLookup(events=["io_uring:io_uring_submit_req"])
    assert kinds(lookup, "tp:io_uring:io_uring_submit_sqe") == [("renamed", "likely")]


def test_an_event_in_another_category_and_a_bare_tracepoint():
    lookup = FakeLookup(["t __traceiter_pelt_cfs_tp", "t __traceiter_sched_util_est_tp"], events=["skb:kfree_skb"])
    assert kinds(lookup, "tp:net:kfree_skb") == [("elsewhere", "is")]
    assert kinds(lookup, "pelt_cfs_tp") == [("is_tracepoint", "is")]
    assert kinds(lookup, "tp:pelt_cfs_tp") == [("bare_tracepoint", "is")]
    assert "sched_util_est_tp" in says(lookup, "tp:sched:sched_util_est")


def test_an_event_that_exists_needs_no_explanation():
    lookup = FakeLookup(events=["sched:sched_switch", "syscalls:sys_enter_openat"])
    assert diagnose(lookup, "tp:sched:sched_switch") == ()
    assert kinds(lookup, "tp:syscalls:sys_enter_openat") == [("syscall_event", "is")]


EVERY_CASE = [
    (FakeLookup(["t s_next", "t s_next"]), "s_next"),
    (FakeLookup(["t helper.isra.0", "t helper.part.0"], btf=["helper"]), "helper"),
    (FakeLookup(), "my_own_function"),
    (FakeLookup(["t do_trap"], blacklist=["do_trap"]), "do_trap"),
    (FakeLookup(events=["sched:sched_switch"]), "sched_switch"),
]


@pytest.mark.parametrize(("lookup", "text"), EVERY_CASE)
def test_texts_are_single_plain_sentences(lookup, text):
    found = diagnose(lookup, text)
    assert found
    for diagnosis in found:
        assert diagnosis.says.endswith(".")
        assert ". " not in diagnosis.says
        assert "!" not in diagnosis.says
        assert diagnosis.certainty in ("is", "likely")
