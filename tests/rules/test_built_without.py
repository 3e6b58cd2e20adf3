"""Kernels built without an option: the answers and errnos of every attach type, the reason by its name.

The same is asked of booted kernels, compiled so, in tests/oracle/test_built.py.
"""

from __future__ import annotations

import pytest

from tests.builders.tiny_kernel import FILTER, FILTER_ADDRS

TRACER = ("CONFIG_FUNCTION_TRACER", "CONFIG_DYNAMIC_FTRACE", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", "CONFIG_FPROBE")
FTRACE_FUNCTIONS = ("ftrace_location", "register_ftrace_direct", "register_fprobe", "within_notrace_func")
KPROBES = ("kprobe", "kretprobe")
MULTI = ("kprobe.multi", "kretprobe.multi", "kprobe.session")


@pytest.fixture
def asked(tiny_kernel):
    """Attach type to (answer, errno, first rule), and the reasons told."""

    def ask(name, *types, symbols=("foo", "bpf_lsm_file_open"), **kernel):
        target = tiny_kernel(symbols, **kernel).check([name], types).targets[0]
        told = {v.attach: (v.answer, v.errno, v.findings[0].rule if v.findings else "") for v in target.verdicts}
        return told, [one.says for one in target.diagnosis if one.kind == "build"]

    return ask


@pytest.mark.parametrize("off", [TRACER, TRACER[1:]], ids=["FUNCTION_TRACER", "DYNAMIC_FTRACE"])
def test_without_ftrace_kprobes_work_and_trampolines_find_no_nop(asked, off):
    kernel = {"absent": (FILTER, FILTER_ADDRS), "without": FTRACE_FUNCTIONS, "config": dict.fromkeys(off)}
    told, reasons = asked("foo", *KPROBES, *MULTI, "fentry", "fexit", "fsession", **kernel)
    assert {told[one] for one in KPROBES} == {("yes", None, "")}
    assert {told[one] for one in MULTI} == {("no", "EOPNOTSUPP", "kprobe_multi.no_fprobe")}
    assert {told[one] for one in ("fentry", "fexit", "fsession")} == {("no", "EBUSY", "trampoline.not_traced")}
    assert [off[0] in reason for reason in reasons] == [True]
    told, _ = asked("bpf_lsm_file_open", "lsm", "lsm.s", **kernel)
    assert set(told.values()) == {("no", "EBUSY", "trampoline.not_traced")}


def test_without_ftrace_a_list_that_cannot_be_read_is_no_gap(asked):
    kernel = {"without": FTRACE_FUNCTIONS, "config": dict.fromkeys(TRACER)}
    assert asked("foo", "fentry", denied=(FILTER, FILTER_ADDRS), **kernel)[0]["fentry"][0] == "unknown"
    silent = {"absent": (FILTER, FILTER_ADDRS, "boot/config"), "without": FTRACE_FUNCTIONS}
    assert asked("foo", "fentry", **silent)[0]["fentry"][0] == "unknown"


@pytest.mark.parametrize(("first", "answer"), [("e800000000", "yes"), ("0f0b", "no"), ("cc", "no")])
def test_without_ftrace_the_first_instruction_of_any_function_decides(asked, first, answer):
    kernel = {"absent": (FILTER, FILTER_ADDRS), "without": FTRACE_FUNCTIONS, "config": dict.fromkeys(TRACER)}
    words = ("bug",) if first == "0f0b" else ()
    assert asked("foo", "kprobe", code={"foo": (first, words)}, **kernel)[0]["kprobe"][0] == answer


def test_without_bpf_events_no_tracing_program_loads(asked):
    kernel = {"without": ("perf_event_attach_bpf_prog",), "config": {"CONFIG_BPF_EVENTS": None}}
    told, reasons = asked("foo", *KPROBES, *MULTI, "fentry", "fexit", **kernel)
    assert set(told.values()) == {("no", "EINVAL", "bpf_events.absent")}
    assert ["CONFIG_BPF_EVENTS" in reason for reason in reasons] == [True]
    told, reasons = asked("tp:sched:sched_switch", "tp", "raw_tp", "tp_btf", **kernel)
    assert set(told.values()) == {("no", "EINVAL", "bpf_events.absent")}
    assert ["CONFIG_BPF_EVENTS" in reason for reason in reasons] == [True]
    assert asked("not_there", "fentry", symbols=("foo",), **kernel)[0]["fentry"][1:] == (
        "ESRCH",
        "attach_target.not_in_btf",
    )


def test_without_the_jit_there_are_no_trampolines(asked):
    kernel = {"without": ("bpf_trampoline_get",), "config": {"CONFIG_BPF_JIT": None}}
    told, reasons = asked("foo", *KPROBES, *MULTI, "fentry", "fexit", **kernel)
    assert {told[one] for one in (*KPROBES, *MULTI)} == {("yes", None, "")}
    assert {told[one] for one in ("fentry", "fexit")} == {("no", "ENOMEM", "trampoline.no_jit")}
    assert ["CONFIG_BPF_JIT" in reason for reason in reasons] == [True]
    assert set(asked("tp:sched:sched_switch", "tp", "raw_tp", "tp_btf", **kernel)[0].values()) == {("yes", None, "")}


def test_without_kallsyms_no_function_has_an_address(asked):
    kernel = {"absent": ("proc/kallsyms",), "config": {"CONFIG_KALLSYMS": None, "CONFIG_64BIT": "y"}}
    told, reasons = asked("foo", "fentry", "fexit", **kernel)
    assert set(told.values()) == {("no", "ENOENT", "attach_target.no_kallsyms")}
    assert ["CONFIG_KALLSYMS" in reason for reason in reasons] == [True]


@pytest.mark.parametrize("option", ["CONFIG_BPF_EVENTS", "CONFIG_BPF_JIT", "CONFIG_DYNAMIC_FTRACE"])
def test_a_configuration_of_another_build_does_not_outweigh_the_functions_that_are_there(asked, option):
    told, _ = asked("foo", *KPROBES, *MULTI, "fentry", config={option: None})
    assert set(told.values()) == {("yes", None, "")}


def test_without_error_injection_only_what_the_kernel_marks_sleeps_or_is_replaced(asked):
    kernel = {"without": ("within_error_injection_list",), "config": {"CONFIG_FUNCTION_ERROR_INJECTION": None}}
    told, reasons = asked("foo", "fentry", "fentry.s", "fmod_ret", **kernel)
    assert told["fentry"] == ("yes", None, "")
    assert told["fentry.s"] == ("no", "EINVAL", "attach_target.not_sleepable")
    assert told["fmod_ret"] == ("no", "EINVAL", "attach_target.not_modifiable")
    assert ["CONFIG_FUNCTION_ERROR_INJECTION" in reason for reason in reasons] == [True]


def test_without_an_lsm_for_bpf_no_program_of_the_type_loads(asked):
    kernel = {"without": ("bpf_lsm_verify_prog",), "config": {"CONFIG_BPF_LSM": None}}
    told, reasons = asked("bpf_lsm_file_open", "fentry", "lsm", "lsm.s", **kernel)
    assert told["fentry"] == ("yes", None, "")
    assert {told[one] for one in ("lsm", "lsm.s")} == {("no", "EINVAL", "lsm_hook.no_bpf_lsm")}
    assert ["CONFIG_BPF_LSM" in reason for reason in reasons] == [True]


def test_without_kprobe_events_perf_has_no_device_for_them(asked):
    kernel = {"without": ("perf_kprobe_init",), "config": {"CONFIG_KPROBE_EVENTS": None}}
    told, reasons = asked("foo", *KPROBES, *MULTI, "fentry", **kernel)
    assert {told[one] for one in KPROBES} == {("no", "ENOENT", "perf_open.no_kprobes")}
    assert {told[one] for one in (*MULTI, "fentry")} == {("yes", None, "")}
    assert ["CONFIG_KPROBE_EVENTS" in reason for reason in reasons] == [True]


def test_where_perf_has_no_kprobes_that_is_said_before_the_type_that_does_not_load(asked):
    kernel = {
        "without": ("perf_kprobe_init", "perf_event_attach_bpf_prog"),
        "config": {"CONFIG_KPROBE_EVENTS": None, "CONFIG_BPF_EVENTS": None},
    }
    told, _ = asked("foo", "kprobe", "fentry", **kernel)
    assert told["kprobe"] == ("no", "ENOENT", "perf_open.no_kprobes")
    assert told["fentry"] == ("no", "EINVAL", "bpf_events.absent")


def test_without_fprobe_only_the_links_of_many_functions_are_gone(asked):
    kernel = {"without": ("register_fprobe",), "config": {"CONFIG_FPROBE": None}}
    told, _ = asked("foo", *KPROBES, *MULTI, "fentry", **kernel)
    assert {told[one] for one in MULTI} == {("no", "EOPNOTSUPP", "kprobe_multi.no_fprobe")}
    assert {told[one] for one in (*KPROBES, "fentry")} == {("yes", None, "")}


def test_without_events_of_system_calls_the_raw_ones_are_left(asked):
    events = {"events": ("raw_syscalls:sys_enter",), "config": {"CONFIG_FTRACE_SYSCALLS": None}}
    told, _ = asked("tp:syscalls:sys_enter_openat", "tp", **events)
    assert told["tp"] == ("no", "ENOENT", "trace_event.no_event")
    told, _ = asked("tp:raw_syscalls:sys_enter", "tp", "raw_tp", **events)
    assert set(told.values()) == {("yes", None, "")}


def test_without_btf_what_needs_no_types_works_on(asked):
    kernel = {"absent": ("sys/kernel/btf/vmlinux",), "config": {"CONFIG_DEBUG_INFO_BTF": None}}
    told, reasons = asked("foo", *KPROBES, "fentry", "fexit", **kernel)
    assert {told[one] for one in KPROBES} == {("yes", None, "")}
    assert {told[one] for one in ("fentry", "fexit")} == {("no", "ENOENT", "attach_target.no_btf")}
    assert ["CONFIG_DEBUG_INFO_BTF" in reason for reason in reasons] == [True]
    assert asked("tp:sched:sched_switch", "tp", "raw_tp", **kernel)[0] == {
        "tp": ("yes", None, ""),
        "raw_tp": ("yes", None, ""),
    }
