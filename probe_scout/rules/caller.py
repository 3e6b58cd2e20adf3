"""What the kernel was built with and what the caller may do, before any name is looked at.

Privileges are judged only when the caller asks for its own (`--as-me`); the default is a fully
privileged root, for whom the privileges `may_*` are true.
"""

from __future__ import annotations

from ..model.traits import Traits
from .gate import Gate, KernelFeatures

BPF = Gate("bpf_syscall", source="kernel/bpf/syscall.c", entry="__sys_bpf")
PERF = Gate("perf_open", source="kernel/events/core.c", entry="perf_event_open")


@BPF.rule("absent", errno="ENOSYS", decides="Kconfig BPF_SYSCALL", unless="bpf_syscall")
def no_bpf(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without the bpf system call.

    Needs CONFIG_BPF_SYSCALL=y.
    """
    return True


@BPF.rule("unprivileged", errno="EPERM", decides="bpf_prog_load", unless="may_bpf")
def unprivileged(_t: Traits, _k: KernelFeatures) -> bool:
    """The caller has neither CAP_BPF nor CAP_SYS_ADMIN, which every tracing program needs.

    kernel/bpf/syscall.c bpf_prog_load refuses all program types but socket filters and cgroup skb.
    """
    return True


@BPF.rule("no_perfmon", errno="EPERM", decides="bpf_prog_load: is_perfmon_prog_type", unless="may_perfmon")
def no_perfmon(_t: Traits, _k: KernelFeatures) -> bool:
    """The caller has neither CAP_PERFMON nor CAP_SYS_ADMIN, which tracing programs need besides CAP_BPF.

    The list of types is is_perfmon_prog_type: KPROBE, TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT, TRACING, LSM, EXT.
    """
    return True


@PERF.rule("paranoid", errno="EACCES", decides="perf_paranoid_any, perf_allow_kernel", unless="may_perf")
def paranoid(_t: Traits, _k: KernelFeatures) -> bool:
    """kernel.perf_event_paranoid keeps this caller from perf_event_open.

    Above 1 kernel events need CAP_PERFMON. Debian's and Ubuntu's patch lets values above 2 demand
    CAP_SYS_ADMIN for every event, so CAP_PERFMON alone is not enough there.
    """
    return True


@PERF.rule(
    "no_kprobes",
    errno="ENOENT",
    decides="Kconfig KPROBES, KPROBE_EVENTS; /sys/bus/event_source/devices/kprobe",
    unless="kprobe_pmu",
)
def no_kprobes(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without kprobes, or without kprobe events: perf has no kprobe device.

    Needs CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y. Loaders look for
    /sys/bus/event_source/devices/kprobe/type and get ENOENT.
    """
    return True


EVENTS = Gate("bpf_events", source="kernel/bpf/syscall.c", entry="bpf_prog_load")


@EVENTS.rule("absent", errno="EINVAL", decides="find_prog_type; Kconfig BPF_EVENTS", unless="bpf_events")
def no_bpf_events(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without BPF_EVENTS, so it knows no program type for tracing.

    KPROBE, TRACEPOINT, RAW_TRACEPOINT, PERF_EVENT and TRACING are in include/linux/bpf_types.h for CONFIG_BPF_EVENTS=y
    alone, which needs PERF_EVENTS and one of KPROBE_EVENTS and UPROBE_EVENTS. Loading is refused.
    """
    return True


PERF_TRACEPOINT = PERF.part("paranoid")
