"""What a program's own return value means, by program and attach type, and where the kernel's source says so.

`is_enforced`: the verifier refuses other values (EINVAL) on every kernel since 5.10 that has the attach type
(kernel/bpf/verifier.c, check_return_code; return_retval_range since 7.x). Values that the verifier lets through mean
what the caller of the program makes of them.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple


class Returned(NamedTuple):
    """Values with what they do. `source`: kernel file and function."""

    says: str
    is_enforced: bool
    source: str


_VERIFIER = "kernel/bpf/verifier.c, check_return_code"
_RUN = "kernel/bpf/cgroup.c, bpf_prog_run_array_cg"
_ALLOW = "0 refuses (EPERM, or what bpf_set_retval set), 1 allows"
_ONE = Returned("1: the kernel looks at nothing else", True, _VERIFIER)
_BIND = Returned(
    "0 refuses (EPERM), 1 allows; newer kernels also 2 and 3: without CAP_NET_BIND_SERVICE", True, _VERIFIER
)
_TRACED = Returned("0", True, _VERIFIER)
_FREE = Returned("any value; it is not looked at", False, _VERIFIER)
_TC = "-1 TC_ACT_UNSPEC, 0 TC_ACT_OK, 2 TC_ACT_SHOT, 7 TC_ACT_REDIRECT and others of include/uapi/linux/pkt_cls.h"
_TCX = Returned(
    "-1 TCX_NEXT, 0 TCX_PASS, 2 TCX_DROP, 7 TCX_REDIRECT; others count as TCX_NEXT",
    False,
    "include/net/tcx.h, tcx_action_code",
)
_LWT = "0 BPF_OK, 2 BPF_DROP, 128 BPF_LWT_REROUTE; others drop the packet"
_LWT_BY = "net/core/lwt_bpf.c, run_lwt_bpf"
_VERDICT = Returned("0 SK_DROP, 1 SK_PASS", False, "net/core/skmsg.c, sk_psock_map_verd")
_FILTERED = Returned(
    "0: no sample for perf; else the sample is kept (programs of links have none)",
    False,
    "kernel/trace/bpf_trace.c, trace_call_bpf",
)
_SESSION = Returned("0, or 1 to leave the return out", True, _VERIFIER)

# By (program type, attach type), then by program type alone, both without BPF_ and BPF_PROG_TYPE_.
_BY_ATTACH = {
    **{
        ("CGROUP_SOCK_ADDR", f"CGROUP_{family}_{call}"): _ONE
        for family in ("INET4", "INET6", "UNIX")
        for call in ("GETPEERNAME", "GETSOCKNAME")
    },
    **{("CGROUP_SOCK_ADDR", f"CGROUP_{family}_RECVMSG"): _ONE for family in ("UDP4", "UDP6", "UNIX")},
    **{("CGROUP_SOCK_ADDR", f"CGROUP_{family}_BIND"): _BIND for family in ("INET4", "INET6")},
    ("CGROUP_SKB", "CGROUP_INET_EGRESS"): Returned(
        "0 drops, 1 passes; 2 and 3 as 0 and 1, and report congestion",
        True,
        "kernel/bpf/cgroup.c, __cgroup_bpf_run_filter_skb",
    ),
    ("SCHED_CLS", "TCX_INGRESS"): _TCX,
    ("SCHED_CLS", "TCX_EGRESS"): _TCX,
    ("SCHED_CLS", "NETKIT_PRIMARY"): _TCX._replace(source="drivers/net/netkit.c, netkit_run"),
    ("SCHED_CLS", "NETKIT_PEER"): _TCX._replace(source="drivers/net/netkit.c, netkit_run"),
    ("SK_SKB", "SK_SKB_STREAM_PARSER"): Returned(
        "length of the message in bytes; 0: more is needed; below 0 an error",
        False,
        "net/strparser/strparser.c, __strp_recv",
    ),
    **{
        ("TRACING", kind): _TRACED
        for name in ("FENTRY", "FEXIT", "FSESSION")
        for kind in (f"TRACE_{name}", f"TRACE_{name}_MULTI")
    },
    ("TRACING", "TRACE_RAW_TP"): _FREE,
    ("TRACING", "MODIFY_RETURN"): Returned(
        "0 lets the function run, another value is returned in its place",
        False,
        "arch/x86/net/bpf_jit_comp.c, invoke_bpf_mod_ret",
    ),
    ("TRACING", "TRACE_ITER"): Returned(
        "0, or 1 to be called again for the same object", True, "kernel/bpf/bpf_iter.c, bpf_iter_run_prog"
    ),
    ("LSM", "LSM_MAC"): Returned(
        "0, or a negative errno that refuses; what the hook takes (newer kernels check its range)",
        False,
        "kernel/bpf/bpf_lsm.c, bpf_lsm_get_retval_range",
    ),
    ("LSM", "LSM_CGROUP"): Returned(f"{_ALLOW}; 1 alone for hooks that return nothing", True, _VERIFIER),
    ("KPROBE", "TRACE_KPROBE_SESSION"): _SESSION,
    ("KPROBE", "TRACE_UPROBE_SESSION"): _SESSION,
}
_BY_TYPE = {
    "XDP": Returned(
        "0 XDP_ABORTED, 1 XDP_DROP, 2 XDP_PASS, 3 XDP_TX, 4 XDP_REDIRECT; others drop with a warning",
        False,
        "include/uapi/linux/bpf.h, enum xdp_action",
    ),
    "SCHED_CLS": Returned(_TC, False, "net/sched/cls_bpf.c, cls_bpf_exec_opcode"),
    "SCHED_ACT": Returned(_TC, False, "net/sched/act_bpf.c, tcf_bpf_act"),
    "SOCKET_FILTER": Returned(
        "bytes of the packet to keep; 0 drops it", False, "net/core/filter.c, sk_filter_trim_cap"
    ),
    "CGROUP_SKB": Returned("0 drops, 1 passes", True, _VERIFIER),
    "CGROUP_SOCK": Returned(_ALLOW, True, _RUN),
    "CGROUP_SOCK_ADDR": Returned(_ALLOW, True, _RUN),
    "CGROUP_DEVICE": Returned("0 denies, 1 allows", True, "kernel/bpf/cgroup.c, __cgroup_bpf_check_dev_permission"),
    "CGROUP_SYSCTL": Returned(
        "0 refuses the access (EPERM), 1 allows it", True, "kernel/bpf/cgroup.c, __cgroup_bpf_run_filter_sysctl"
    ),
    "CGROUP_SOCKOPT": Returned(
        "0 refuses (EPERM), 1 allows", True, "kernel/bpf/cgroup.c, __cgroup_bpf_run_filter_setsockopt"
    ),
    "SOCK_OPS": Returned("0 or 1; what the operation takes is ctx->reply", True, "include/net/tcp.h, tcp_call_bpf"),
    "SK_SKB": _VERDICT,
    "SK_MSG": _VERDICT,
    "SK_REUSEPORT": Returned("0 SK_DROP, 1 SK_PASS", False, "net/core/filter.c, bpf_run_sk_reuseport"),
    "SK_LOOKUP": Returned("0 SK_DROP, 1 SK_PASS", True, _VERIFIER),
    "NETFILTER": Returned("0 NF_DROP, 1 NF_ACCEPT", True, _VERIFIER),
    "FLOW_DISSECTOR": Returned(
        "0 BPF_OK, 2 BPF_DROP, 129 BPF_FLOW_DISSECTOR_CONTINUE", False, "net/core/flow_dissector.c, bpf_flow_dissect"
    ),
    "LWT_IN": Returned(_LWT, False, _LWT_BY),
    "LWT_OUT": Returned(_LWT, False, _LWT_BY),
    "LWT_XMIT": Returned(f"{_LWT}; 7 BPF_REDIRECT", False, _LWT_BY),
    "LWT_SEG6LOCAL": Returned(
        "0 BPF_OK, 2 BPF_DROP, 7 BPF_REDIRECT", False, "net/ipv6/seg6_local.c, input_action_end_bpf"
    ),
    "PERF_EVENT": Returned(
        "0: the event is left out; else it is kept", False, "kernel/events/core.c, bpf_overflow_handler"
    ),
    "KPROBE": _FILTERED,
    "TRACEPOINT": _FILTERED,
    "RAW_TRACEPOINT": _FREE,
    "RAW_TRACEPOINT_WRITABLE": _FREE,
    "SYSCALL": Returned(
        "any value; BPF_PROG_TEST_RUN hands it back", False, "net/bpf/test_run.c, bpf_prog_test_run_syscall"
    ),
}


def of(program: str, attach: str | None) -> Returned | None:
    """By the names of enum bpf_prog_type and bpf_attach_type; None where what it belongs to decides."""
    return _BY_ATTACH.get((program, attach or "")) or _BY_TYPE.get(program)
