"""Tracepoints: trace events by perf, raw tracepoints, typed raw tracepoints.

kernel/trace/trace_event_perf.c perf_trace_init, kernel/events/core.c __perf_event_set_bpf_prog,
kernel/bpf/syscall.c bpf_raw_tp_link_attach, kernel/bpf/verifier.c bpf_check_attach_target.
"""

from __future__ import annotations

from ..model.facts import BTF, EVENTS, KALLSYMS, MODULE_BTF
from ..model.traits import EventTraits
from .gate import Gate, KernelFeatures

EVENT = Gate("trace_event", source="kernel/trace/trace_event_perf.c", entry="perf_trace_init")
RAW = Gate("raw_tracepoint", source="kernel/bpf/syscall.c", entry="bpf_raw_tp_link_attach")
TYPED = Gate("typed_tracepoint", source="kernel/bpf/verifier.c", entry="bpf_check_attach_target")


@EVENT.rule("no_events", errno="ENOENT", decides="Kconfig EVENT_TRACING, BPF_EVENTS", unless="trace_events")
def no_events(_t: EventTraits, _k: KernelFeatures) -> bool:
    """This kernel was built without trace events, or without BPF on them (CONFIG_BPF_EVENTS)."""
    return True


@EVENT.rule(
    "locked_down",
    errno="EINVAL",
    decides="tracer_alloc_buffers: security_locked_down(LOCKDOWN_TRACEFS); perf_trace_init",
    feature="tracing_locked",
    known="5.4 and later",
)
def locked_down(_t: EventTraits, _k: KernelFeatures) -> bool:
    """The kernel was booted in lockdown=confidentiality, so it has no trace events at all.

    kernel/trace/trace.c tracer_alloc_buffers gives up before any event is made, and tracefs stays empty: a loader
    that looks for the event's id gets ENOENT there, perf_event_open with a known id gets EINVAL. raw_tp and tp_btf
    are not concerned. A kernel that is locked down later keeps its events and closes tracefs.
    """
    return True


@EVENT.rule("no_event", errno="ENOENT", decides="tracefs events/<category>/<name>/id", needs=(EVENTS,))
def no_event(t: EventTraits, _k: KernelFeatures) -> bool:
    """tracefs has no event of this name, so the loader finds no id to open.

    Bare tracepoints (DECLARE_TRACE) have no event and can be reached as raw_tp and tp_btf only.
    """
    return not t.event


@EVENT.rule(
    "ring_buffer_format",
    errno="EINVAL",
    decides="perf_trace_init: class->reg; __perf_event_set_bpf_prog",
    needs=(EVENTS,),
)
def ring_buffer_format(t: EventTraits, _k: KernelFeatures) -> bool:
    """Events of the category ftrace describe the ring buffer's own records and cannot carry a program."""
    return t.ftrace_only


@EVENT.rule("perf_perm", errno="EPERM", decides="perf_trace_event_perm: tp_event->perf_perm", needs=(EVENTS, KALLSYMS))
def perf_perm(t: EventTraits, _k: KernelFeatures) -> bool:
    """The event refuses sampling perf events (TRACE_EVENT_PERF_PERM), even to root.

    It is probed by its callback perf_perm_<event> in kallsyms. Loaders that open the event with a
    sample period (BCC, bpftrace) get EPERM; an open without one is let through by the source.
    """
    return t.perf_perm


@EVENT.rule("wrong_program", errno="EINVAL", decides="__perf_event_set_bpf_prog: program type", needs=(EVENTS,))
def wrong_program(t: EventTraits, _k: KernelFeatures) -> bool:
    """The event is a kprobe or uprobe event, which takes programs of type KPROBE, not TRACEPOINT."""
    # Flags TRACE_EVENT_FL_KPROBE and _UPROBE of the event, asked ahead of whether the program may sleep.
    return t.dynamic


@RAW.rule("no_tracepoint", errno="ENOENT", decides="bpf_get_raw_tracepoint", needs=(KALLSYMS,))
def no_tracepoint(t: EventTraits, _k: KernelFeatures) -> bool:
    """No raw tracepoint of this name is registered.

    The events of single system calls (sys_enter_openat) have none; use sys_enter and sys_exit and
    compare the number.
    """
    return not t.raw


@TYPED.rule("no_btf", errno="ENOENT", decides="/sys/kernel/btf/vmlinux; Kconfig DEBUG_INFO_BTF", unless="btf")
def typed_no_btf(_t: EventTraits, _k: KernelFeatures) -> bool:
    """This kernel has no BTF, so no typed program can name its target."""
    return True


@TYPED.rule("not_in_btf", errno="ESRCH", decides="the loader: btf_trace_<name>", needs=(BTF, MODULE_BTF))
def not_in_btf(t: EventTraits, _k: KernelFeatures) -> bool:
    """BTF holds no typedef btf_trace_<name>, so the loader cannot name the target."""
    return not t.typed


@TYPED.rule(
    "module_btf_closed",
    errno="ESRCH",
    decides="kernel/bpf/syscall.c bpf_btf_get_fd_by_id; the loader: libbpf load_module_btfs",
    needs=(BTF,),
    unless="may_admin",
)
def typed_module_btf_closed(t: EventTraits, _k: KernelFeatures) -> bool:
    """A module's BTF is handed out to CAP_SYS_ADMIN only, so this caller's loader does not find the tracepoint's type.

    CAP_BPF and CAP_PERFMON are enough for tracepoints of vmlinux, and raw_tp needs no BTF.
    """
    return t.typed_in_module


@TYPED.rule(
    "not_registered",
    errno="EINVAL",
    decides="bpf_check_attach_target: bpf_get_raw_tracepoint",
    needs=(KALLSYMS,),
)
def not_registered(t: EventTraits, _k: KernelFeatures) -> bool:
    """BTF knows the tracepoint, but no raw tracepoint of this name is registered."""
    return t.typed and not t.raw


SLEEP = Gate("tracepoint_sleep", source="kernel/bpf/verifier.c, kernel/events/core.c", entry="check_attach_btf_id")


@SLEEP.rule(
    "unknown",
    errno="EINVAL",
    decides="check_attach_btf_id: can_be_sleepable",
    needs=(BTF,),
    unless="sleepable_tracepoints",
    known="until 7.2, and stable 7.1.7. The verifier's half left no symbol or type of its own: see the probe",
)
def sleep_unknown(_t: EventTraits, _k: KernelFeatures) -> bool:
    """This kernel takes no sleepable programs on tracepoints."""
    return True


@SLEEP.rule(
    "typed_unknown",
    errno="EINVAL",
    decides="check_attach_btf_id: can_be_sleepable",
    needs=(BTF,),
    feature="sleepable_types_listed",
    unless="sleepable_tracepoints",
    known="6.12 to 7.1.3; 5.10 and 6.1 accept sleepable programs of every tracing type",
)
def sleep_typed_unknown(_t: EventTraits, _k: KernelFeatures) -> bool:
    """This kernel takes no sleepable programs on typed tracepoints.

    Kernels before can_be_sleepable only look at the program type, so tp_btf.s is accepted there and runs where
    sleeping is not allowed.
    """
    return True


@SLEEP.rule(
    "not_a_syscall_event",
    errno="EINVAL",
    decides="__perf_event_set_bpf_prog: is_syscall_tp",
    needs=(EVENTS,),
    feature="faultable_events",
    known="since 7.2; stable 7.1.7 takes the program and has no such check",
)
def not_a_syscall_event(t: EventTraits, _k: KernelFeatures) -> bool:
    """Only the events of single system calls may sleep."""
    return t.event and not t.syscall


@SLEEP.rule(
    "not_faultable",
    errno="EINVAL",
    decides="tracepoint_is_faultable",
    needs=(BTF,),
    feature="sleepable_tracepoints",
    known="sys_enter and sys_exit in 7.3",
)
def not_faultable(t: EventTraits, _k: KernelFeatures) -> bool:
    """This tracepoint runs where sleeping is not allowed; only sys_enter and sys_exit are declared faultable.

    No probe: which tracepoints are faultable is known from the kernel's headers.
    """
    return t.raw and not t.faultable


# check_attach_btf_id asks can_be_sleepable ahead of all else; tracepoint_is_faultable comes behind
# bpf_get_raw_tracepoint (bpf_check_attach_target, bpf_raw_tp_link_attach), so a tracepoint that is not registered is
# refused for that.
SLEEP_LOAD = SLEEP.part("unknown")
SLEEP_EVENT = SLEEP.part("not_a_syscall_event")
SLEEP_RAW = SLEEP.part("not_faultable")
SLEEP_TYPED = SLEEP.part("typed_unknown", "not_faultable")
TYPED_LOADER = TYPED.part("no_btf", "not_in_btf", "module_btf_closed")
TYPED_KERNEL = TYPED.part("not_registered")
