"""Advice: only points that answer yes, few, in order."""

from __future__ import annotations

import pytest

from probe_scout.model.target import parse
from probe_scout.model.verdict import Verdict
from probe_scout.probes.explain import known_changes
from probe_scout.probes.explain.alternatives import LIMIT, alternatives

from .conftest import FakeLookup

EXEC = [
    "T bprm_execve",
    "T __x64_sys_execve",
    "t do_execveat_common.isra.0",
]
EXEC_EVENTS = ["sched:sched_process_exec", "syscalls:sys_enter_execve"]


def advise(lookup, text, verdicts=None):
    return alternatives(lookup, parse(text), lookup.verdicts(text) if verdicts is None else verdicts)


def points(*args, **more):
    return [(a.attach, a.target) for a in advise(*args, **more)]


def test_do_execve_on_an_ordinary_kernel():  # 1
    prototypes = {"bprm_execve": "int bprm_execve(struct linux_binprm *bprm)"}
    lookup = FakeLookup(EXEC, events=EXEC_EVENTS, prototypes=prototypes)
    found = advise(lookup, "do_execve")
    assert [(a.attach, a.target) for a in found] == [
        ("fentry", "bprm_execve"),
        ("kprobe", "bprm_execve"),
        ("tp", "tp:sched:sched_process_exec"),
        ("tp_btf", "tp:sched:sched_process_exec"),
        ("ksyscall", "syscall:execve"),
        ("tp", "tp:syscalls:sys_enter_execve"),
    ]
    assert "(struct linux_binprm *bprm)" in found[0].says
    assert all(a.answer == "yes" for a in found)


def test_what_does_not_answer_yes_is_never_advised():
    lookup = FakeLookup(EXEC, notrace=["bprm_execve"], events=["sched:sched_process_exec"])
    assert ("fentry", "bprm_execve") not in points(lookup, "do_execve")
    assert ("tp", "tp:syscalls:sys_enter_execve") not in points(lookup, "do_execve")
    for attach, target in points(lookup, "do_execve"):
        assert lookup.answer(target, attach) == "yes"


def test_unknown_is_not_yes():
    lookup = FakeLookup(EXEC, events=EXEC_EVENTS, unread_trace=True)
    assert {attach for attach, _ in points(lookup, "do_execve")} == {"tp", "tp_btf", "ksyscall"}


@pytest.mark.parametrize("step", known_changes.KNOWN_CHANGES, ids=lambda step: step.asked)
def test_a_kernel_without_any_candidate_gets_no_advice(step):
    assert points(FakeLookup(["T unrelated"], events=["sched:unrelated"]), step.asked) == []


def test_a_function_that_takes_its_probes_needs_no_advice():
    lookup = FakeLookup(["T vfs_read"])
    assert points(lookup, "vfs_read") == []
    assert points(lookup, "vfs_read", (*lookup.verdicts("vfs_read"), Verdict("fmod_ret", "no"))) == []


def test_a_blacklisted_function_is_reached_through_ftrace():  # 5
    lookup = FakeLookup(["t do_trap"], blacklist=["do_trap"])
    found = advise(lookup, "do_trap")
    assert [(a.attach, a.target) for a in found][:2] == [("fentry", "do_trap"), ("kprobe.multi", "do_trap")]
    assert "blacklist" in found[0].says


def test_a_type_that_was_not_asked_about_is_tried():  # 5
    lookup = FakeLookup(["t do_trap"], blacklist=["do_trap"])
    assert points(lookup, "do_trap", (Verdict("kprobe", "no"),)) == [("fentry", "do_trap"), ("kprobe.multi", "do_trap")]


def test_a_function_that_never_returns_is_not_given_return_probes():
    lookup = FakeLookup(["T do_exit"])
    verdicts = (Verdict("kprobe", "yes"), Verdict("fentry", "yes"), Verdict("fexit", "no", "EINVAL"))
    assert points(lookup, "do_exit", verdicts) == []


def test_compiler_variants_come_first():  # 27, 28
    lookup = FakeLookup(
        ["t finish_task_switch.isra.0", "t finish_task_switch.isra.0.cold"], events=["sched:sched_switch"]
    )
    assert points(lookup, "finish_task_switch") == [
        ("kprobe", "finish_task_switch.isra.0"),
        ("kprobe.multi", "finish_task_switch.isra.0"),
        ("tp", "tp:sched:sched_switch"),
        ("tp_btf", "tp:sched:sched_switch"),
    ]


def test_the_ladder_is_climbed_until_a_name_exists():  # 90: readahead
    lookup = FakeLookup(["T filemap_alloc_folio_noprof"])
    assert points(lookup, "__page_cache_alloc") == [
        ("fentry", "filemap_alloc_folio_noprof"),
        ("kprobe", "filemap_alloc_folio_noprof"),
    ]


def test_the_ladder_leads_back_on_an_older_kernel():
    lookup = FakeLookup(["T _do_fork"])
    assert points(lookup, "kernel_clone") == [("fentry", "_do_fork"), ("kprobe", "_do_fork")]


def test_slabratetop_and_biolatency():  # 2, 90
    lookup = FakeLookup(["T kmem_cache_alloc_noprof"], events=["kmem:kmem_cache_alloc", "block:block_io_start"])
    assert points(lookup, "kmem_cache_alloc")[0] == ("fentry", "kmem_cache_alloc_noprof")
    assert points(lookup, "blk_account_io_start")[0] == ("tp", "tp:block:block_io_start")


def test_a_bypassed_function_is_advised_against_although_it_answers_yes():
    lookup = FakeLookup(["T do_sys_open", "t do_sys_openat2"])
    assert points(lookup, "do_sys_open") == [("fentry", "do_sys_openat2"), ("kprobe", "do_sys_openat2")]


def test_a_page_fault_handler_leads_to_the_events():  # 7
    lookup = FakeLookup(events=["exceptions:page_fault_user", "exceptions:page_fault_kernel"])
    assert [t for _, t in points(lookup, "do_page_fault")] == [
        "tp:exceptions:page_fault_user",
        "tp:exceptions:page_fault_kernel",
    ]


def test_interrupt_entry_leads_to_its_event():  # 6
    name = "asm_sysvec_reschedule_ipi"
    lookup = FakeLookup([f"T {name}"], blacklist=[name], notrace=[name], events=["irq_vectors:reschedule_entry"])
    assert points(lookup, name) == [("tp", "tp:irq_vectors:reschedule_entry")]


def test_system_calls_by_another_name():  # 16
    lookup = FakeLookup(["T __x64_sys_openat"], events=["syscalls:sys_enter_openat"])
    assert points(lookup, "sys_openat") == [
        ("ksyscall", "syscall:openat"),
        ("kprobe", "__x64_sys_openat"),
        ("fentry", "__x64_sys_openat"),
        ("tp", "tp:syscalls:sys_enter_openat"),
    ]


def test_an_ambiguous_name_is_qualified_by_its_module():  # 25
    lookup = FakeLookup(["t flush_store", "t flush_store [md_mod]"])
    found = advise(lookup, "flush_store")
    assert (found[0].attach, found[0].target) == ("kprobe", "md_mod:flush_store")
    assert "without a word" in next(a.says for a in found if a.attach == "fentry")


def test_an_event_asked_as_function():
    lookup = FakeLookup(events=["sched:sched_process_exec", "sched:sched_process_exec_time"])
    assert points(lookup, "sched_process_exec")[0] == ("tp", "tp:sched:sched_process_exec")
    assert points(lookup, "sched:sched_process_exec") == [
        ("tp", "tp:sched:sched_process_exec"),
        ("tp_btf", "tp:sched:sched_process_exec"),
    ]


def test_a_single_word_in_common_is_no_reason():
    assert points(FakeLookup(events=["tcp:tcp_probe", "tcp:tcp_send_reset"]), "tcp_something_else") == []


def test_a_security_hook_by_its_bare_name():
    lookup = FakeLookup(["T security_file_open", "T bpf_lsm_file_open"])
    assert points(lookup, "file_open") == [
        ("fentry", "security_file_open"),
        ("kprobe", "security_file_open"),
        ("lsm", "bpf_lsm_file_open"),
    ]


def test_events():  # 55
    lookup = FakeLookup(["t __traceiter_pelt_cfs_tp"], events=["io_uring:io_uring_submit_req", "skb:kfree_skb"])
    assert points(lookup, "tp:io_uring:io_uring_submit_sqe") == [("tp", "tp:io_uring:io_uring_submit_req")]
    assert points(lookup, "tp:net:kfree_skb") == [("tp", "tp:skb:kfree_skb")]
    only_tp = (Verdict("tp", "no", "ENOENT"),)
    assert points(lookup, "tp:pelt_cfs_tp", only_tp) == [("tp_btf", "tp:pelt_cfs_tp"), ("raw_tp", "tp:pelt_cfs_tp")]
    assert points(lookup, "tp:skb:kfree_skb") == []


def test_a_bare_tracepoint_asked_as_function():
    lookup = FakeLookup(["t __traceiter_pelt_cfs_tp"])
    assert points(lookup, "pelt_cfs_tp") == [("tp_btf", "tp:pelt_cfs_tp"), ("raw_tp", "tp:pelt_cfs_tp")]


def test_a_successor_leads_back_where_it_does_not_exist():
    lookup = FakeLookup(["T add_to_page_cache_lru"])
    assert points(lookup, "filemap_add_folio")[0] == ("fentry", "add_to_page_cache_lru")


def test_stray_characters():
    assert points(FakeLookup(["T vfs_read"]), "vfs_read()") == [("kprobe", "vfs_read"), ("fentry", "vfs_read")]


def test_a_limit_holds_and_stops_the_asking():
    lookup = FakeLookup(EXEC, events=EXEC_EVENTS)
    assert len(points(lookup, "do_execve")) == LIMIT
    lookup.asked.clear()
    assert len(alternatives(lookup, parse("do_execve"), (), limit=2)) == 2
    assert len(lookup.asked) == 2


@pytest.mark.parametrize("text", ["do_execve", "kmem_cache_alloc", "sys_execve"])
def test_texts_are_single_plain_sentences(text):
    lookup = FakeLookup([*EXEC, "T kmem_cache_alloc_noprof"], events=EXEC_EVENTS)
    found = advise(lookup, text)
    assert found
    for alternative in found:
        assert alternative.says.endswith(".")
        assert not alternative.says.endswith("..")
        assert alternative.says[0].isupper()
