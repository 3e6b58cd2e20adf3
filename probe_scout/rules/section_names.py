"""Section names of BPF objects and what libbpf makes of them: tools/lib/bpf/libbpf.c, section_defs (libbpf 1.8).

The table belongs to the libbpf that a program was linked with, not to a kernel: `since` is the libbpf release, as
(major, minor), in which a name appeared where that is later than 1.1; `SEC("name/extra")` needs a `+`.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple


class SectionName(NamedTuple):
    """One row. `how`: the way libbpf attaches such a program by itself, "" where it has none.

    `program` and `attach` are enumerators without BPF_PROG_TYPE_ and BPF_; `by_btf`: it needs a BTF target to load.
    """

    name: str
    program: str
    attach: str
    how: str
    by_btf: bool = False
    sleepable: bool = False
    frags: bool = False
    since: tuple[int, int] = (1, 1)
    checks_attach: bool = True


def _tracing(name: str, attach: str, since: tuple[int, int] = (1, 1)) -> list[SectionName]:
    return [
        SectionName(f"{name}+", "TRACING", attach, "trace", True, since=since),
        SectionName(f"{name}.s+", "TRACING", attach, "trace", True, True, since=since),
    ]


def _probe(
    name: str, how: str, attach: str = "", since: tuple[int, int] = (1, 1), sleepable: bool = False
) -> list[SectionName]:
    rows = [SectionName(f"{name}+", "KPROBE", attach, how, since=since, checks_attach=False)]
    if sleepable:
        rows.append(SectionName(f"{name}.s+", "KPROBE", attach, how, sleepable=True, since=since, checks_attach=False))
    return rows


def _tracepoint(names: tuple[str, ...], program: str, how: str) -> list[SectionName]:
    return [SectionName(f"{name}+", program, "", how, checks_attach=False) for name in names] + [
        SectionName(f"{name}.s+", program, "", how, sleepable=True, since=(1, 8), checks_attach=False) for name in names
    ]


def _cgroup_addresses() -> list[SectionName]:
    rows = []
    for call, attach in (
        ("bind", "CGROUP_INET{}_BIND"),
        ("connect", "CGROUP_INET{}_CONNECT"),
        ("sendmsg", "CGROUP_UDP{}_SENDMSG"),
        ("recvmsg", "CGROUP_UDP{}_RECVMSG"),
        ("getpeername", "CGROUP_INET{}_GETPEERNAME"),
        ("getsockname", "CGROUP_INET{}_GETSOCKNAME"),
    ):
        rows += [SectionName(f"cgroup/{call}{ip}", "CGROUP_SOCK_ADDR", attach.format(ip), "") for ip in "46"]
        if call != "bind":
            rows.append(
                SectionName(f"cgroup/{call}_unix", "CGROUP_SOCK_ADDR", f"CGROUP_UNIX_{call.upper()}", "", since=(1, 3))
            )
    return rows


def _plain(
    name: str, program: str, attach: str = "", since: tuple[int, int] = (1, 1), checks: bool = True
) -> SectionName:
    return SectionName(name, program, attach, "", since=since, checks_attach=checks)


TABLE: tuple[SectionName, ...] = (
    _plain("socket", "SOCKET_FILTER"),
    # A kernel without these attach types does not look at them (commit d5e4ddaeb6ab added both and the check).
    _plain("sk_reuseport/migrate", "SK_REUSEPORT", "SK_REUSEPORT_SELECT_OR_MIGRATE", checks=False),
    _plain("sk_reuseport", "SK_REUSEPORT", "SK_REUSEPORT_SELECT", checks=False),
    *_probe("kprobe", "kprobe"),
    *_probe("uprobe", "uprobe", sleepable=True),
    *_probe("kretprobe", "kprobe"),
    *_probe("uretprobe", "uprobe", sleepable=True),
    *_probe("kprobe.multi", "kprobe.multi", "TRACE_KPROBE_MULTI"),
    *_probe("kretprobe.multi", "kprobe.multi", "TRACE_KPROBE_MULTI"),
    *_probe("kprobe.session", "kprobe.multi", "TRACE_KPROBE_SESSION", since=(1, 5)),
    *_probe("uprobe.multi", "uprobe.multi", "TRACE_UPROBE_MULTI", since=(1, 3), sleepable=True),
    *_probe("uretprobe.multi", "uprobe.multi", "TRACE_UPROBE_MULTI", since=(1, 3), sleepable=True),
    *_probe("uprobe.session", "uprobe.multi", "TRACE_UPROBE_SESSION", since=(1, 6), sleepable=True),
    *_probe("ksyscall", "ksyscall"),
    *_probe("kretsyscall", "ksyscall"),
    *_probe("usdt", "usdt"),
    SectionName("usdt.s+", "KPROBE", "", "usdt", sleepable=True, since=(1, 3), checks_attach=False),
    _plain("tc/ingress", "SCHED_CLS", "TCX_INGRESS", (1, 3), False),
    _plain("tc/egress", "SCHED_CLS", "TCX_EGRESS", (1, 3), False),
    _plain("tcx/ingress", "SCHED_CLS", "TCX_INGRESS", (1, 3), False),
    _plain("tcx/egress", "SCHED_CLS", "TCX_EGRESS", (1, 3), False),
    _plain("tc", "SCHED_CLS"),
    _plain("classifier", "SCHED_CLS"),
    _plain("action", "SCHED_ACT"),
    _plain("netkit/primary", "SCHED_CLS", "NETKIT_PRIMARY", (1, 3), False),
    _plain("netkit/peer", "SCHED_CLS", "NETKIT_PEER", (1, 3), False),
    *_tracepoint(("tracepoint", "tp"), "TRACEPOINT", "tp"),
    *_tracepoint(("raw_tracepoint", "raw_tp"), "RAW_TRACEPOINT", "raw_tp"),
    *(
        SectionName(f"{name}.w+", "RAW_TRACEPOINT_WRITABLE", "", "raw_tp", checks_attach=False)
        for name in ("raw_tracepoint", "raw_tp")
    ),
    *_tracing("tp_btf", "TRACE_RAW_TP")[:1],
    SectionName("tp_btf.s+", "TRACING", "TRACE_RAW_TP", "trace", True, True, since=(1, 8)),
    *_tracing("fentry", "TRACE_FENTRY"),
    *_tracing("fmod_ret", "MODIFY_RETURN"),
    *_tracing("fexit", "TRACE_FEXIT"),
    *_tracing("fsession", "TRACE_FSESSION", (1, 7)),
    *(
        SectionName(
            f"{name}.multi{suffix}+",
            "TRACING",
            f"TRACE_{name.upper()}_MULTI",
            "trace.multi",
            False,
            bool(suffix),
            since=(1, 8),
        )
        for name in ("fsession", "fentry", "fexit")
        for suffix in ("", ".s")
    ),
    SectionName("freplace+", "EXT", "", "trace", True),
    SectionName("lsm+", "LSM", "LSM_MAC", "hook", True),
    SectionName("lsm.s+", "LSM", "LSM_MAC", "hook", True, True),
    SectionName("lsm_cgroup+", "LSM", "LSM_CGROUP", "", True),
    SectionName("iter+", "TRACING", "TRACE_ITER", "iterator", True),
    SectionName("iter.s+", "TRACING", "TRACE_ITER", "iterator", True, True),
    SectionName("syscall", "SYSCALL", "", "", sleepable=True),
    SectionName("xdp.frags/devmap", "XDP", "XDP_DEVMAP", "", frags=True),
    _plain("xdp/devmap", "XDP", "XDP_DEVMAP"),
    SectionName("xdp.frags/cpumap", "XDP", "XDP_CPUMAP", "", frags=True),
    _plain("xdp/cpumap", "XDP", "XDP_CPUMAP"),
    SectionName("xdp.frags", "XDP", "XDP", "", frags=True),
    _plain("xdp", "XDP", "XDP"),
    _plain("perf_event", "PERF_EVENT"),
    *(_plain(name, name.upper()) for name in ("lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local")),
    _plain("sockops", "SOCK_OPS", "CGROUP_SOCK_OPS"),
    _plain("sk_skb/stream_parser", "SK_SKB", "SK_SKB_STREAM_PARSER", checks=False),
    _plain("sk_skb/stream_verdict", "SK_SKB", "SK_SKB_STREAM_VERDICT", checks=False),
    _plain("sk_skb/verdict", "SK_SKB", "SK_SKB_VERDICT", (1, 4), False),
    _plain("sk_skb", "SK_SKB"),
    _plain("sk_msg", "SK_MSG", "SK_MSG_VERDICT", checks=False),
    _plain("lirc_mode2", "LIRC_MODE2", "LIRC_MODE2", checks=False),
    _plain("flow_dissector", "FLOW_DISSECTOR", "FLOW_DISSECTOR", checks=False),
    _plain("cgroup_skb/ingress", "CGROUP_SKB", "CGROUP_INET_INGRESS"),
    _plain("cgroup_skb/egress", "CGROUP_SKB", "CGROUP_INET_EGRESS"),
    _plain("cgroup/skb", "CGROUP_SKB"),
    _plain("cgroup/sock_create", "CGROUP_SOCK", "CGROUP_INET_SOCK_CREATE"),
    _plain("cgroup/sock_release", "CGROUP_SOCK", "CGROUP_INET_SOCK_RELEASE"),
    _plain("cgroup/sock", "CGROUP_SOCK", "CGROUP_INET_SOCK_CREATE"),
    _plain("cgroup/post_bind4", "CGROUP_SOCK", "CGROUP_INET4_POST_BIND"),
    _plain("cgroup/post_bind6", "CGROUP_SOCK", "CGROUP_INET6_POST_BIND"),
    *_cgroup_addresses(),
    _plain("cgroup/sysctl", "CGROUP_SYSCTL", "CGROUP_SYSCTL", checks=False),
    _plain("cgroup/getsockopt", "CGROUP_SOCKOPT", "CGROUP_GETSOCKOPT"),
    _plain("cgroup/setsockopt", "CGROUP_SOCKOPT", "CGROUP_SETSOCKOPT"),
    _plain("cgroup/dev", "CGROUP_DEVICE", "CGROUP_DEVICE", checks=False),
    SectionName("struct_ops+", "STRUCT_OPS", "", "", checks_attach=False),
    SectionName("struct_ops.s+", "STRUCT_OPS", "", "", sleepable=True, since=(1, 2), checks_attach=False),
    _plain("sk_lookup", "SK_LOOKUP", "SK_LOOKUP"),
    _plain("netfilter", "NETFILTER", "NETFILTER", (1, 2)),
)
NEWEST = (1, 8)


def of(section: str, libbpf: tuple[int, int] = NEWEST) -> SectionName | None:
    """The row of a section name, `?` in front aside; None where this libbpf does not know it."""
    section = section.removeprefix("?")
    for row in TABLE:
        if row.since <= libbpf and _fits(row.name, section):
            return row
    return None


def _fits(name: str, section: str) -> bool:
    if not name.endswith("+"):
        return name == section
    head = name[:-1]
    return section == head or section.startswith(head + "/")


def extra(section: str) -> str | None:
    """What stands behind the first `/`; None where there is none."""
    _, slash, rest = section.removeprefix("?").partition("/")
    return rest if slash else None
