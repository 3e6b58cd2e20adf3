"""Whether a program may call a helper or a kfunc, by what is known of the program before its code is read.

kernel/bpf/verifier.c: check_helper_call for helpers; add_kfunc_call, check_kfunc_call for kfuncs. What the call hands
over is the verifier's matter and not judged.
"""

from __future__ import annotations

from ..model import facts
from .gate import Gate, KernelFeatures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..model.traits import CallTraits

HELPER = Gate("helper_call", source="kernel/bpf/verifier.c", entry="check_helper_call")
KFUNC = Gate("kfunc_call", source="kernel/bpf/verifier.c", entry="check_kfunc_call")
OVERRIDE = Gate("override_return", source="kernel/trace/bpf_trace.c", entry="perf_event_attach_bpf_prog")


@HELPER.rule("may_not_load", errno="EPERM", decides="bpf_prog_load", needs=(facts.CAPABILITIES,))
def may_not_load(t: CallTraits, _k: KernelFeatures) -> bool:
    """The caller lacks a capability that loading a program of this type wants.

    CAP_BPF for all but socket filters and cgroup_skb (these too, where kernel.unprivileged_bpf_disabled is set),
    CAP_PERFMON for tracing and struct_ops, CAP_NET_ADMIN for networking; CAP_SYS_ADMIN does for each.
    """
    return t.may_not_load


@HELPER.rule("unknown_program", errno="EINVAL", decides="bpf_prog_load: find_prog_type", needs=(facts.CALLS,))
def no_program(t: CallTraits, _k: KernelFeatures) -> bool:
    """This kernel does not know the program type, or was built without it."""
    return t.no_program


@HELPER.rule("unknown_helper", errno="EINVAL", decides="check_helper_call: invalid func", needs=(facts.CALLS,))
def no_helper(t: CallTraits, _k: KernelFeatures) -> bool:
    """This kernel has no such helper.

    Helpers are numbers of enum bpf_func_id; a kernel refuses one behind its last.
    """
    return t.absent


@HELPER.rule("locked_down", errno="EINVAL", decides="get_func_proto: security_locked_down", needs=(facts.CALLS,))
def helper_locked(t: CallTraits, _k: KernelFeatures) -> bool:
    """The kernel is locked down, and the helper is closed by that.

    Confidentiality closes helpers that read kernel memory, integrity bpf_probe_write_user.
    """
    return t.refused == "lockdown"


@HELPER.rule("no_rights", errno="EINVAL", decides="get_func_proto: bpf_token_capable", needs=(facts.CALLS,))
def helper_rights(t: CallTraits, _k: KernelFeatures) -> bool:
    """The caller lacks a capability that this helper wants besides that of loading a program.

    Many want CAP_PERFMON, bpf_probe_write_user CAP_SYS_ADMIN.
    """
    return t.refused == "rights"


@HELPER.rule("not_for_type", errno="EINVAL", decides="get_func_proto of the program type", needs=(facts.CALLS,))
def helper_type(t: CallTraits, _k: KernelFeatures) -> bool:
    """Programs of this type cannot call the helper.

    The verifier says "program of this type cannot use helper", older kernels "unknown func".
    """
    return t.refused == "type"


@HELPER.rule("not_at_this_place", errno="EINVAL", decides="bpf_func_proto.allowed", needs=(facts.CALLS,))
def helper_place(t: CallTraits, _k: KernelFeatures) -> bool:
    """The helper is allowed at some places alone, and this is none of them.

    bpf_d_path: a list of functions (btf_allowlist_d_path), sleepable LSM hooks, iterators. bpf_sk_storage_get of a
    tracing program: not on functions whose names begin with bpf_sk_storage. bpf_ima_inode_hash: sleepable LSM hooks.
    The verifier says "helper call is not allowed in probe".
    """
    return t.refused == "place"


@HELPER.rule("must_sleep", errno="EINVAL", decides="bpf_func_proto.might_sleep", needs=(facts.CALLS,))
def helper_sleeps(t: CallTraits, _k: KernelFeatures) -> bool:
    """The helper may sleep, and the program is not sleepable."""
    return t.sleeps


@OVERRIDE.rule(
    "not_injectable",
    errno="EINVAL",
    decides="perf_event_attach_bpf_prog, bpf_kprobe_multi_link_attach: kprobe_override",
    needs=(facts.ERROR_INJECTION,),
)
def override_place(t: CallTraits, _k: KernelFeatures) -> bool:
    """The function is not in the error-injection list, so a program with bpf_override_return is not attached to it.

    The program loads; attaching it is refused. ALLOW_ERROR_INJECTION marks a function in the kernel's source.
    """
    return t.overrides and not t.injectable


@KFUNC.rule("may_not_load", errno="EPERM", decides="bpf_prog_load", needs=(facts.CAPABILITIES,))
def may_not_load_kfunc(t: CallTraits, _k: KernelFeatures) -> bool:
    """The caller lacks a capability that loading a program of this type wants.

    CAP_BPF for all, CAP_PERFMON for tracing and struct_ops, CAP_NET_ADMIN for networking; CAP_SYS_ADMIN does for each.
    """
    return t.may_not_load


@KFUNC.rule("no_kfuncs", errno="EINVAL", decides="check_func_call: BPF_CALL uses reserved fields", needs=(facts.CALLS,))
def no_kfuncs(t: CallTraits, _k: KernelFeatures) -> bool:
    """This kernel takes no calls of kernel functions."""
    return t.no_calls


@KFUNC.rule("unknown_program", errno="EINVAL", decides="bpf_prog_load: find_prog_type", needs=(facts.CALLS,))
def no_kfunc_program(t: CallTraits, _k: KernelFeatures) -> bool:
    """This kernel does not know the program type, or was built without it."""
    return t.no_program


@KFUNC.rule("unknown_kfunc", errno="EINVAL", decides="add_kfunc_call; libbpf: bpf_object__load", needs=(facts.CALLS,))
def no_kfunc(t: CallTraits, _k: KernelFeatures) -> bool:
    """Neither vmlinux nor a loaded module has a function of this name in its type information.

    libbpf refuses a strong extern before the kernel is asked; a weak one is absent, and a call that is reached fails.
    """
    return t.absent


@KFUNC.rule("not_bound", errno="EINVAL", decides="add_kfunc_call: bpf_dev_bound_kfunc_check", needs=(facts.CALLS,))
def kfunc_not_bound(t: CallTraits, _k: KernelFeatures) -> bool:
    """The kfunc is for XDP programs that are bound to a network device (BPF_F_XDP_DEV_BOUND_ONLY), and only for them.

    Decided before the program's code is walked: a call that is never reached counts too.
    """
    return t.not_bound


@KFUNC.rule("no_set", errno="EACCES", decides="btf_kfunc_id_set_contains", needs=(facts.CALLS,))
def in_no_set(t: CallTraits, _k: KernelFeatures) -> bool:
    """The function is no kfunc: it is in no set of this kernel.

    The verifier says "calling kernel function NAME is not allowed".
    """
    return t.refused == "set"


@KFUNC.rule("not_for_type", errno="EACCES", decides="btf_kfunc_id_set_contains", needs=(facts.CALLS,))
def kfunc_type(t: CallTraits, _k: KernelFeatures) -> bool:
    """The kfunc is registered, and not for programs of this type, or a filter of its set refuses them.

    The verifier says "calling kernel function NAME is not allowed".
    """
    return t.refused == "type"


@KFUNC.rule("must_sleep", errno="EACCES", decides="check_kfunc_call: KF_SLEEPABLE", needs=(facts.CALLS,))
def kfunc_sleeps(t: CallTraits, _k: KernelFeatures) -> bool:
    """The kfunc may sleep (KF_SLEEPABLE), and the program is not sleepable."""
    return t.sleeps


@KFUNC.rule("destructive", errno="EACCES", decides="check_kfunc_call: KF_DESTRUCTIVE", needs=(facts.CALLS,))
def kfunc_destroys(t: CallTraits, _k: KernelFeatures) -> bool:
    """The kfunc is destructive (KF_DESTRUCTIVE), and the caller lacks CAP_SYS_BOOT."""
    return t.destructive


@KFUNC.rule("no_perfmon", errno="EPERM", decides="check_kfunc_call: KF_PERFMON", needs=(facts.CALLS,))
def kfunc_perfmon(t: CallTraits, _k: KernelFeatures) -> bool:
    """The kfunc wants CAP_PERFMON (KF_PERFMON), which the caller lacks."""
    return t.no_perfmon


@KFUNC.rule("css_task_iter", errno="EINVAL", decides="check_css_task_iter_allowlist", needs=(facts.CALLS,))
def kfunc_walks_css(t: CallTraits, _k: KernelFeatures) -> bool:
    """Iterators over a cgroup's tasks are for LSM programs, BPF iterators and sleepable programs alone.

    Others may run where css_set_lock is held. The verifier says "css_task_iter is only allowed in bpf_lsm, bpf_iter and
    sleepable progs".
    """
    return t.walks_css


CSS_TASK_ITER = "bpf_iter_css_task_new"  # kernel/bpf/verifier.c, check_kfunc_args
DEVICE_BOUND_SET = "xdp_metadata_kfunc_ids"  # net/core/xdp.c, bpf_dev_bound_kfunc_id

# kernel/bpf/syscall.c: is_net_admin_prog_type, is_perfmon_prog_type.
_NET = frozenset(
    (
        *("SCHED_CLS", "SCHED_ACT", "XDP", "LWT_IN", "LWT_OUT", "LWT_XMIT", "LWT_SEG6LOCAL", "SK_SKB", "SK_MSG"),
        *("FLOW_DISSECTOR", "CGROUP_DEVICE", "CGROUP_SOCK", "CGROUP_SOCK_ADDR", "CGROUP_SOCKOPT", "CGROUP_SYSCTL"),
        *("SOCK_OPS", "EXT", "NETFILTER"),
    )
)
_PERFMON = frozenset(
    (
        *("KPROBE", "TRACEPOINT", "PERF_EVENT", "RAW_TRACEPOINT", "RAW_TRACEPOINT_WRITABLE", "TRACING", "LSM"),
        *("STRUCT_OPS", "EXT"),
    )
)
UNPRIVILEGED = ("SOCKET_FILTER", "CGROUP_SKB")


def rights_to_load(program: str) -> tuple[str, ...]:
    """Privileges of the caller that bpf_prog_load asks for, by program type without BPF_PROG_TYPE_."""
    return (
        "may_bpf",
        *(("may_net",) if program in _NET else ()),
        *(("may_perfmon",) if program in _PERFMON else ()),
    )
