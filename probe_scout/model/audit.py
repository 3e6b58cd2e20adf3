"""The report of `audit`: everything that is attached, each once, and what is not sound about it.

None is *unknown* everywhere: the kernel does not tell it, or this caller may not read it. A count of 0 was read as 0.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import KernelInfo

# How bad a finding is, worst last. `--fail-on` takes one of them.
NOTE, WARNING, BROKEN = "note", "warning", "broken"
LEVELS = (NOTE, WARNING, BROKEN)
NOT_ALLOWED = "audit.not_allowed"
LOADED = "loaded"  # the `attach` of programs that are attached nowhere that the kernel tells, where they are rows
# What an audit may be unable to read: `unread[].fact`.
FACTS = (
    *("bpf_programs", "bpf_links", "bpf_maps", "btf_objects", "perf_events", "descriptors", "pins", "cgroup_programs"),
    *("sockmap_programs", "netns_programs", "interfaces", "dynamic_events", "kprobes_list", "enabled_functions"),
    *("traced_functions", "probed_places"),
    *("bpftool", "bpftool_perf", "bpftool_links", "bpftool_programs", "bpftool_net"),
)


class AuditFinding(NamedTuple):
    """A check that fired on one attachment. `check` is the permanent id; `level` one of LEVELS."""

    check: str
    level: str
    says: str
    evidence: str


class ProgramRef(NamedTuple):
    """One BPF program. `loaded` in UTC; `run_count` and `run_time_ns` are None while the kernel does not count."""

    id: int
    type: str | None
    name: str | None
    tag: str | None
    loaded: str | None = None
    uid: int | None = None
    maps: tuple[int, ...] | None = None
    run_count: int | None = None
    run_time_ns: int | None = None
    recursion_misses: int | None = None


class LinkRef(NamedTuple):
    """One BPF link. `type` is the kernel's word, `type_N` for a number that is not known here."""

    id: int
    type: str


class Owner(NamedTuple):
    """A descriptor that keeps the attachment (or, of a program that is only loaded, the program).

    `cmdline`: the command line, its words apart by spaces; a snapshot does not keep it, as passwords may be in it.
    `thread`: the thread whose descriptor it is, where that has a table of descriptors of its own.
    `uid` is the effective user, `user` its name in this machine's /etc/passwd.
    """

    pid: int
    comm: str | None
    fd: int
    cgroup: str | None = None
    container: str | None = None
    exe: str | None = None
    exe_deleted: bool | None = None
    cmdline: str | None = None
    uid: int | None = None
    user: str | None = None
    thread: int | None = None


class Place(NamedTuple):
    """One of the places of a link that has several. For uprobe.multi `symbol` and the offset in the file."""

    symbol: str | None
    module: str | None
    offset: int | None
    cookie: int | None


class Attachment(NamedTuple):
    """One attachment. `attach`: the attach type as everywhere in this program, and for what is not tracing the
    kernel's word (xdp, tc, tcx, netkit, netfilter, cgroup, sockmap, flow_dissector, sk_lookup, struct_ops); for users
    without BPF kprobe_event, kretprobe_event, uprobe_event, uretprobe_event, fprobe_event, fexit_event, kprobe,
    kretprobe, ftrace, ftrace.direct, livepatch.

    `seen_by`: link, fdinfo (links of the caller's own processes, without rights), perf (BPF_TASK_FD_QUERY), query
    (BPF_PROG_QUERY), netlink, map, kprobes (kprobes/list), tracefs (dynamic events), ftrace (enabled_functions),
    livepatch.
    """

    attach: str
    target: str | None
    module: str | None = None
    offset: int | None = None
    prog: ProgramRef | None = None
    link: LinkRef | None = None
    owners: tuple[Owner, ...] = ()
    pins: tuple[str, ...] = ()
    missed: int | None = None
    seen_by: tuple[str, ...] = ()
    findings: tuple[AuditFinding, ...] = ()
    cookie: int | None = None
    places: tuple[Place, ...] = ()  # of links with several
    symbol: str | None = None  # of a uprobe: the function in the file that holds the offset
    symbol_offset: int | None = None
    event: str | None = None  # of users without BPF: group:name, and of a program on such an event
    hook: str | None = None  # where on the target: ingress, cgroup_inet_egress, …
    cgroup: str | None = None
    netns: str | None = None  # the name `ip netns` gives, else the inode's number; None is unknown
    ifindex: int | None = None
    programs: tuple[ProgramRef, ...] = ()  # of struct_ops
    enabled: bool | None = None  # of dynamic events


class Loaded(NamedTuple):
    """A program that is attached nowhere that the kernel tells: tail-call targets, socket filters, only held."""

    prog: ProgramRef
    owners: tuple[Owner, ...]
    pins: tuple[str, ...]
    findings: tuple[AuditFinding, ...] = ()

    def as_attachment(self) -> Attachment:
        """The program as a row among attachments: `attach` is LOADED, and nothing is its target."""
        return Attachment(LOADED, None, prog=self.prog, owners=self.owners, pins=self.pins, findings=self.findings)


class _AuditReport(NamedTuple):
    kernel: KernelInfo
    attachments: tuple[Attachment, ...]
    loaded: tuple[Loaded, ...]
    net: str
    unread: tuple[Unread, ...]
    findings: tuple[AuditFinding, ...] = ()  # about the whole: disagreement of bpftool, what is not told here
    boot: str | None = None  # tells one boot from another: ids of programs and links count within a boot


class AuditReport(Document, _AuditReport):
    """`probe-scout audit`. `net`: scanned, or why the interfaces were not looked at."""

    __slots__ = ()
    COMMAND = "audit"
