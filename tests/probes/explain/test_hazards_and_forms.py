"""What not to try, and how loaders name a target without ambiguity."""

from __future__ import annotations

import pytest

from probe_scout.model.target import parse
from probe_scout.model.verdict import Verdict
from probe_scout.probes.explain.hazards import DENIED, NEVER_TRY, NORETURN, hazards, never_try
from probe_scout.probes.explain.name_forms import copies, forms
from probe_scout.probes.explain.symbol_resolution import kprobe_multi_copy

from .conftest import FakeLookup


def dangers(lookup, text, verdicts=None, last=None):
    verdicts = lookup.verdicts(text) if verdicts is None else verdicts
    return [h.id for h in hazards(lookup, parse(text), verdicts, last)]


def test_an_ordinary_function_is_harmless():
    assert dangers(FakeLookup(["T vfs_read"]), "vfs_read") == []


@pytest.mark.parametrize("name", sorted(DENIED))
def test_deny_list_where_the_kernel_accepts(name):
    assert dangers(FakeLookup([f"T {name}"]), name, (Verdict("fentry", "yes"),)) == ["hazard.trampoline_recursion"]
    assert dangers(FakeLookup([f"T {name}"]), name, (Verdict("fentry", "unknown"),)) == ["hazard.trampoline_recursion"]


def test_what_the_kernel_refuses_is_no_hazard():
    assert dangers(FakeLookup(["T __rcu_read_lock"]), "__rcu_read_lock", (Verdict("fentry", "no"),)) == []


def test_functions_that_never_return():
    assert dangers(FakeLookup(["T do_exit"]), "do_exit", (Verdict("fexit", "yes"),)) == ["hazard.noreturn"]
    assert dangers(FakeLookup(["T do_exit"]), "do_exit", (Verdict("fentry", "yes"),)) == []


def test_system_exits_that_the_kernels_list_leaves_out():
    name = "__arm64_sys_exit_group"
    assert dangers(FakeLookup([f"T {name}"]), name, (Verdict("fexit", "yes"),)) == ["hazard.noreturn"]
    assert dangers(FakeLookup([f"T {name}"]), name, (Verdict("fexit", "no"),)) == []
    assert never_try(name)


def test_a_kprobe_in_the_pointer_of_ftrace():
    lookup, target = FakeLookup(["T vfs_read"]), parse("vfs_read+0x38")
    for answer, told in (("yes", ["hazard.ops_pointer"]), ("unknown", ["hazard.ops_pointer"]), ("no", [])):
        found = hazards(lookup, target, (Verdict("kprobe", answer),), ops_pointer=True)
        assert [one.id for one in found] == told


def test_locks_that_programs_take_themselves():  # 19
    assert dangers(FakeLookup(["T _raw_spin_lock"]), "_raw_spin_lock", (Verdict("kretprobe", "yes"),)) == [
        "hazard.lock"
    ]
    assert dangers(FakeLookup(["T _raw_spin_lock"]), "_raw_spin_lock", (Verdict("kprobe", "yes"),)) == []


def test_what_only_begins_with_bpf_is_no_machinery():
    names = ("bpf_lsm_file_open", "bpf_iter_task", "bpf_prog_load", "bpf_ringbuf_alloc", "bpf_map_lookup_elem")
    lookup = FakeLookup([f"T {name}" for name in names])
    assert [dangers(lookup, name) for name in names] == [[]] * len(names)
    verdicts = (Verdict("kprobe", "yes"),)
    (told,) = hazards(lookup, parse("bpf_map_lookup_elem"), verdicts, is_helper=True)
    assert told.id == "hazard.recursion"


def test_the_machinery_of_programs_is_hedged():  # 19, 41
    lookup = FakeLookup(["t htab_map_update_elem"])
    assert dangers(lookup, "htab_map_update_elem") == ["hazard.recursion"]


@pytest.mark.parametrize(("last", "found"), [(True, ["hazard.module_end"]), (None, ["hazard.module_end"]), (False, [])])
def test_the_cold_end_of_a_module(last, found):
    lookup = FakeLookup(["t fq_change [sch_fq]", "t fq_change.cold [sch_fq]"])
    assert dangers(lookup, "fq_change.cold", (Verdict("kprobe", "yes"),), last) == found


def test_an_unknown_place_is_said_with_if():
    lookup = FakeLookup(["t fq_change.cold [sch_fq]"])
    (unknown,) = hazards(lookup, parse("fq_change.cold"), (Verdict("kprobe", "yes"),))
    (known,) = hazards(lookup, parse("fq_change.cold"), (Verdict("kprobe", "yes"),), True)
    assert ", if " in unknown.says
    assert ", if " not in known.says


def test_a_cold_part_of_vmlinux_is_harmless():
    assert dangers(FakeLookup(["t f.cold"]), "f.cold", (Verdict("kprobe", "yes"),)) == []


def test_never_try_covers_the_lists_and_the_cold_parts_of_modules():
    assert set(NEVER_TRY) >= set(DENIED) | set(NORETURN)
    assert never_try("migrate_disable")
    assert never_try("f.cold", "sch_fq")
    assert never_try("f.cold") is None
    assert never_try("vfs_read") is None


def loaders(lookup, text):
    return {(f.loader, f.form) for f in forms(lookup, parse(text))}


def test_a_unique_function_of_vmlinux_needs_no_form():
    assert forms(FakeLookup(["T vfs_read"]), parse("vfs_read")) == ()
    assert forms(FakeLookup(), parse("nothing")) == ()
    assert forms(FakeLookup(events=["sched:sched_switch"]), parse("tp:sched:sched_switch")) == ()


def test_a_module_function_of_a_unique_name_is_written_bare():  # 25
    found = loaders(FakeLookup(["t xfs_file_open [xfs]"]), "xfs:xfs_file_open")
    assert ("bpftrace", "kprobe:xfs_file_open") in found
    assert ("libbpf", 'SEC("kprobe/xfs_file_open")') in found
    assert ("libbpf", 'SEC("fentry/xfs:xfs_file_open")') in found
    assert ("perf", "perf probe -m xfs -a xfs_file_open") in found
    assert ("tracefs", "p xfs:xfs_file_open") in found
    assert not any("_stext" in form or form.startswith("kprobe:xfs:") for _, form in found)
    assert not any("attach_kprobe" in form for _, form in found)


def test_a_module_function_of_a_common_name_gets_its_prefix_where_perf_takes_it():
    copies = ["t flush [md_mod]", "t flush [xfs]"]
    found = loaders(FakeLookup(copies), "xfs:flush")
    assert ("bpftrace", "kprobe:xfs:flush") in found
    assert ("libbpf", 'bpf_program__attach_kprobe(prog, false, "xfs:flush")') in found
    refused = FakeLookup(copies)
    refused.answer = lambda target, attach: "unknown"
    found = loaders(refused, "xfs:flush")
    assert ("tracefs", "p xfs:flush") in found
    assert not any(form.startswith("kprobe:xfs:") or "attach_kprobe" in form for _, form in found)


def test_copies_in_vmlinux_are_told_apart_by_address():  # 20, 21, 24
    lookup = FakeLookup(["T _stext", "t s_next", "t s_next"], notrace=["s_next@1"])
    found = loaders(lookup, "s_next")
    assert next(f.form for f in forms(lookup, parse("s_next"))) == "p _stext+0x2000"  # the traced copy first
    assert ("tracefs", "p _stext+0x1000") in found
    assert ("tracefs", "p _stext+0x2000") in found
    assert ("bpftrace", "kprobe:0xffffffff81002000") in found  # the copy that ftrace traces
    assert {loader for loader, _ in found} == {"tracefs", "perf", "bpftrace", "libbpf", "cilium/ebpf"}


def test_hidden_addresses_are_said():  # 81
    lookup = FakeLookup(["t s_next", "t s_next"], base=0)
    (found,) = forms(lookup, parse("s_next"))
    assert "kptr_restrict" in found.says


def test_a_vmlinux_copy_beside_a_module_copy():
    found = loaders(FakeLookup(["T _stext", "t flush_store", "t flush_store [md_mod]"]), "flush_store")
    assert ("tracefs", "p md_mod:flush_store") in found
    assert ("tracefs", "p _stext+0x1000") in found
    assert len([form for loader, form in found if loader == "tracefs"]) == 2


def test_a_system_call_in_every_loader():  # 16
    found = loaders(FakeLookup(["T __x64_sys_execve"], events=["syscalls:sys_enter_execve"]), "syscall:execve")
    assert ("libbpf", 'SEC("ksyscall/execve")') in found
    assert ("bpftrace", "tracepoint:syscalls:sys_enter_execve") in found
    assert ("cilium/ebpf", 'link.Kprobe("__x64_sys_execve", …)') in found


def test_copies_say_who_takes_which():  # 21, 26
    lookup = FakeLookup(["T _stext", "t p_start", "t p_start", "d p_start"], notrace=["p_start@1"])
    verdicts = (Verdict("kprobe", "no"), Verdict("fentry", "no"), Verdict("kprobe.multi", "yes"))
    found = copies(lookup, parse("p_start"), verdicts)
    assert [(c.address, c.letter, c.traced, c.taken_by) for c in found] == [
        ("_stext+0x1000", "t", False, ()),
        ("_stext+0x2000", "t", True, ("kprobe.multi",)),
        ("_stext+0x3000", "d", False, ()),
    ]


def test_the_lowest_address_of_vmlinux_is_taken_by_name():  # 26
    lookup = FakeLookup(["t f [aaa]", "t f", "t f"])
    found = copies(lookup, parse("f"), (Verdict("fentry", "yes"), Verdict("kprobe", "yes")))
    assert [(c.module, c.taken_by) for c in found] == [(None, ("kprobe", "fentry")), (None, ()), ("aaa", ())]


def test_a_qualified_name_goes_to_its_own_copy():
    lookup = FakeLookup(["t f", "t f [aaa]"])
    found = copies(lookup, parse("aaa:f"), (Verdict("kprobe", "yes"),))
    assert [(c.module, c.taken_by) for c in found] == [(None, ()), ("aaa", ("kprobe",))]


def test_an_unread_filter_list_leaves_the_choice_of_kprobe_multi_open():
    lookup = FakeLookup(["t f", "t f"], unread_trace=True)
    assert all("kprobe.multi" not in c.taken_by for c in copies(lookup, parse("f"), (Verdict("kprobe.multi", "yes"),)))


def test_a_copy_of_which_ftrace_tells_nothing_leaves_the_choice_of_kprobe_multi_open():
    lookup = FakeLookup(["t f", "t f", "t f"], notrace=["f@0"])
    plain, first, second = lookup.symbols("f")
    assert kprobe_multi_copy((plain, first, second)) is first
    assert kprobe_multi_copy((plain, first._replace(traced=None), second)) is None
    assert kprobe_multi_copy((plain, first, second._replace(traced=None))) is first
    assert kprobe_multi_copy((plain,)) is None
