"""Everything that tells what is attached to the running kernel, as one JSON-able record: the input of `audit`.

The record is what a snapshot keeps (`tool/audit.json`), so that an audit can be repeated elsewhere. It holds what was
read and, under `gaps`, what was not and why. Nothing is judged here.
"""

from __future__ import annotations

import os
from errno import EACCES, EBUSY, EINVAL, EOPNOTSUPP, EPERM

from ...errors import CannotAsk
from . import SCHEMA, processes
from . import objects as bpf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .syscalls import Calls

    Record = dict[str, Any]

AUTO, YES, NO = "auto", "yes", "no"

_CGROUP_HOOKS = {
    "cgroup_skb": ("cgroup_inet_ingress", "cgroup_inet_egress"),
    "cgroup_sock": (
        *("cgroup_inet_sock_create", "cgroup_inet_sock_release"),
        *("cgroup_inet4_post_bind", "cgroup_inet6_post_bind"),
    ),
    "sock_ops": ("cgroup_sock_ops",),
    "cgroup_device": ("cgroup_device",),
    "cgroup_sock_addr": (
        *("cgroup_inet4_bind", "cgroup_inet6_bind", "cgroup_inet4_connect", "cgroup_inet6_connect"),
        *("cgroup_udp4_sendmsg", "cgroup_udp6_sendmsg", "cgroup_udp4_recvmsg", "cgroup_udp6_recvmsg"),
        *("cgroup_inet4_getpeername", "cgroup_inet6_getpeername", "cgroup_inet4_getsockname"),
        *("cgroup_inet6_getsockname", "cgroup_unix_connect", "cgroup_unix_sendmsg", "cgroup_unix_recvmsg"),
        *("cgroup_unix_getpeername", "cgroup_unix_getsockname"),
    ),
    "cgroup_sysctl": ("cgroup_sysctl",),
    "cgroup_sockopt": ("cgroup_getsockopt", "cgroup_setsockopt"),
    "lsm": ("lsm_cgroup",),
}
_MAP_HOOKS = {
    "sk_skb": ("sk_skb_stream_parser", "sk_skb_stream_verdict", "sk_skb_verdict"),
    "sk_msg": ("sk_msg_verdict",),
}
_NETNS_HOOKS = {"flow_dissector": ("flow_dissector",), "sk_lookup": ("sk_lookup",)}
_INTERFACE_PROGRAMS = frozenset(("xdp", "sched_cls", "sched_act"))
_ADMIN = "run it as root: this call needs CAP_SYS_ADMIN in the initial user namespace"


class _Taking:
    def __init__(self, calls: Calls, proc: str) -> None:
        self.calls, self.proc = calls, proc
        self.found: Record = {"schema": SCHEMA, "gaps": []}

    def gap(self, fact: str, kind: str, why: str, cure: str = "") -> None:
        self.found["gaps"].append({"fact": fact, "kind": kind, "why": why, "cure": cure})

    def refused(self, fact: str, call: str, error: bpf.Refused) -> None:
        if error.errno in (EPERM, EACCES):
            self.gap(fact, "denied", f"{call}: {error}", _ADMIN)
        else:
            self.gap(fact, "not_there", f"{call}: {error}")

    def each(self, fact: str, call: str, records: Iterable[Record]) -> list[Record]:
        found: list[Record] = []
        try:
            found.extend(records)  # what was read before a refusal stays
        except bpf.Refused as error:
            self.refused(fact, call, error)
        return found


def take(calls: Calls, net: str = AUTO, proc: str = "/proc") -> Record:
    """What is attached now. `net`: whether interfaces are looked at; AUTO only where a program may be on one.

    Raises CannotAsk where proc is not there.
    """
    import time

    t = _Taking(calls, proc)
    found = t.found
    found["now_s"], found["boot_ns"] = time.time(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    try:
        holders = processes.holders(proc, calls)
    except OSError as error:
        raise CannotAsk(f"{proc}: {error.strerror or error}") from None
    found["links"] = t.each("bpf_links", "BPF_LINK_GET_NEXT_ID", bpf.links(calls))
    if not found["links"]:
        found["links"] = _held_links(holders)
    found["programs"] = t.each("bpf_programs", "BPF_PROG_GET_NEXT_ID", bpf.programs(calls))
    found["maps"] = t.each("bpf_maps", "BPF_MAP_GET_NEXT_ID", bpf.maps(calls))
    _perf_events(t, holders)
    _btfs(t)
    found["holders"] = [[one.pid, one.fd, one.kind, one.id] for one in holders.held if one.kind != processes.PERF]
    found["pins"] = _pins(t, holders.pids)
    types = {one["type"] for one in found["programs"]}
    _cgroups(t, types)
    _sockmaps(t, types)
    if net != NO:
        _networks(t, types, holders.pids, net == YES)
    _processes(t, holders)
    found["boot"] = processes.boot(proc)
    return found


def links_and_events(calls: Calls, proc: str = "/proc") -> Record:
    """`links`, `perf` and `holders` alone, as `take` has them: what bpftool shows too."""
    t = _Taking(calls, proc)
    holders = processes.holders(proc, calls)
    t.found["links"] = t.each("bpf_links", "BPF_LINK_GET_NEXT_ID", bpf.links(calls))
    _perf_events(t, holders)
    t.found["holders"] = [[one.pid, one.fd, one.kind, one.id] for one in holders.held if one.kind == processes.LINK]
    return t.found


def _held_links(holders: processes.Holders) -> list[Record]:
    """Links by the fdinfo of those who hold them: what a caller without rights sees of its own processes."""
    found = {}
    for one in holders.held:
        record = bpf.link_of_fdinfo(one.text) if one.text else None
        if record is not None:
            found[record["id"]] = record
    return [found[number] for number in sorted(found)]


def _perf_events(t: _Taking, holders: processes.Holders) -> None:
    """`perf`: descriptors that carry a program; `events`: those whose program is on a software or hardware event.

    `file` is the same number for descriptors of one open file.
    """
    groups: dict[tuple[object, ...], list[Record]] = {}
    empty = 0
    events = [one for one in holders.held if one.kind == processes.PERF]
    if events and t.proc == "/proc" and not processes.is_own_proc():
        why = "/proc is that of another pid namespace: its numbers mean other processes to BPF_TASK_FD_QUERY"
        t.gap("perf_events", "denied", why, "run it in the pid namespace that /proc shows")
        events = []
    for one in events:
        answer = bpf.task_fd(t.calls, one.pid, one.fd)
        if isinstance(answer, dict):
            if answer["type"] == "raw_tracepoint" and not processes.is_raw_tracepoint(one.pid, one.fd, t.proc):
                continue  # the number is another file's by now: a link, which is listed as such
            key = tuple(answer[name] for name in ("prog_id", "type", "name", "offset", "address"))
            groups.setdefault(key, []).append(answer)
        elif answer == -EOPNOTSUPP:
            groups.setdefault((), []).append({"pid": one.pid, "fd": one.fd})
        elif answer in (-EPERM, -EACCES):
            t.gap("perf_events", "denied", "BPF_TASK_FD_QUERY: EPERM", _ADMIN)
            break
        else:
            empty += 1
    number = 0
    for group in groups.values():
        files: list[Record] = []
        for record in group:
            same = next((other for other in files if _same_file(t.calls, record, other)), None)
            if same is None:
                number += 1
                record["file"] = number
                files.append(record)
            else:
                record["file"] = same["file"]
    t.found["perf"] = [record for key, group in groups.items() if key for record in group]
    t.found["events"] = groups.get((), [])
    t.found["empty_events"] = empty


def _same_file(calls: Calls, one: Record, other: Record) -> bool:
    """One open file behind two descriptors. Where that cannot be asked, descriptors with equal content count as one."""
    answer = calls.kcmp_files(one["pid"], one["fd"], other["pid"], other["fd"])
    return answer <= 0


def _btfs(t: _Taking) -> None:
    """Names of the BTF objects that links and programs refer to."""
    wanted = {one.get(key) for one in t.found["links"] for key in ("target_obj_id", "btf_obj_id")}
    wanted.update(one["attach_btf_obj_id"] for one in t.found["programs"])
    names: dict[str, Record] = {}
    for number in sorted(one for one in wanted if one):
        try:
            record = bpf.btf_object(t.calls, number)
        except bpf.Refused as error:
            t.refused("btf_objects", "BPF_BTF_GET_FD_BY_ID", error)
            break
        if record is not None:
            names[str(number)] = record
    t.found["btfs"] = names


def _pins(t: _Taking, everyone: list[int]) -> list[Record]:
    found: list[Record] = []
    for point, way in processes.bpf_mounts(everyone, t.proc).items():
        for path in processes.files_below(way):
            fd = bpf.get_pinned(t.calls, path)
            if fd in (-EPERM, -EACCES):
                t.gap("pins", "denied", f"{point}: {bpf.errno_name(-fd)}", "run it as root")
                break
            if fd < 0:
                continue
            try:
                kind = processes.kind_of(fd, t.proc)
                number = processes.object_id(f"{t.proc}/self/fdinfo/{fd}", kind) if kind else None
            finally:
                t.calls.close(fd)
            if kind and number is not None:
                found.append({"path": point + path[len(way) :], "kind": kind, "id": number})
    return found


def _cgroups(t: _Taking, types: set[str]) -> None:
    """`cgroups`: programs on cgroups; `cgroup_paths`: id -> path of the cgroups that links name."""
    hooks = [hook for kind in sorted(types) for hook in _CGROUP_HOOKS.get(kind, ())]
    linked = {one["cgroup_id"] for one in t.found["links"] if one.get("cgroup_id")}
    t.found["cgroups"], t.found["cgroup_paths"] = [], {}
    root = processes.cgroup_root(t.proc)
    if root is None or not (hooks or linked):
        return
    unknown: set[str] = set()
    for path, number in processes.cgroups(root):
        if number in linked:
            t.found["cgroup_paths"][str(number)] = path
        if not hooks:
            continue
        try:
            fd = os.open(root + path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            for hook in hooks:
                if hook in unknown:
                    continue
                try:
                    programs = bpf.query(t.calls, fd, hook)
                except bpf.Refused as error:
                    if error.errno == EINVAL:
                        unknown.add(hook)
                        continue
                    t.refused("cgroup_programs", "BPF_PROG_QUERY", error)
                    return
                if programs:
                    entry = {"cgroup_id": number, "path": path, "attach_type": hook, "prog_ids": programs}
                    t.found["cgroups"].append(entry)
        finally:
            t.calls.close(fd)


def _sockmaps(t: _Taking, types: set[str]) -> None:
    t.found["sockmaps"] = []
    hooks = [hook for kind in sorted(types) for hook in _MAP_HOOKS.get(kind, ())]
    if not hooks:
        return
    is_told = False
    for one in t.found["maps"]:
        if one["type"] not in (bpf.MAP_SOCKMAP, bpf.MAP_SOCKHASH):
            continue
        fd = bpf.open_id(t.calls, bpf.MAP_GET_FD_BY_ID, one["id"])
        if fd < 0:
            continue
        try:
            for hook in hooks:
                try:
                    programs = bpf.query(t.calls, fd, hook)
                except bpf.Refused as error:
                    # EBUSY: a verdict of the other kind is there (sock_map_prog_link_lookup in net/core/sock_map.c)
                    if error.errno not in (EINVAL, EOPNOTSUPP, EBUSY):
                        t.refused("sockmap_programs", "BPF_PROG_QUERY", error)
                    elif error.errno != EBUSY and hook == "sk_skb_stream_verdict" and not is_told:
                        is_told = True
                        t.gap("sockmap_programs", "not_there", "BPF_PROG_QUERY of a sock map: this kernel has none")
                    continue
                if programs:
                    t.found["sockmaps"].append({"map_id": one["id"], "attach_type": hook, "prog_ids": programs})
        finally:
            t.calls.close(fd)


def _networks(t: _Taking, types: set[str], everyone: list[int], is_asked: bool) -> None:
    """`netns`: programs on network namespaces; `net`: those on interfaces. Each is looked for where one may be."""
    hooks = [hook for kind in sorted(types) for hook in _NETNS_HOOKS.get(kind, ())]
    of_links = any(one["type"] in ("xdp", "tcx", "netkit", "netns", "netfilter") for one in t.found["links"])
    if not (hooks or of_links or types & _INTERFACE_PROGRAMS or is_asked):
        return
    namespaces = processes.network_namespaces(everyone, t.proc)
    t.found["network_namespaces"] = {str(ino): path for ino, path in namespaces.items()}
    found: list[Record] = []
    for ino, path in namespaces.items():
        for hook in hooks:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                break
            try:
                programs = bpf.query(t.calls, fd, hook)
            except bpf.Refused as error:
                if error.errno in (EPERM, EACCES):
                    t.refused("netns_programs", "BPF_PROG_QUERY", error)
                    break
                continue
            finally:
                t.calls.close(fd)
            if programs:
                found.append({"ino": ino, "attach_type": hook, "prog_ids": programs})
    t.found["netns"] = found
    if not (types & _INTERFACE_PROGRAMS or is_asked):
        return
    from . import netlink

    def query(ifindex: int, hook: str) -> list[int]:
        try:
            return bpf.query(t.calls, ifindex, hook)
        except bpf.Refused as error:
            raise OSError(error.errno, str(error)) from None

    t.found["net"] = netlink.every_namespace(namespaces, query)
    for record in t.found["net"]:
        if "why" in record:
            t.gap("interfaces", "denied", f"network namespace {record['ino']}: {record['why']}", "run it as root")


def _processes(t: _Taking, holders: processes.Holders) -> None:
    """Who the holders are; and how many processes could not be looked at."""
    wanted = {one[0] for key in ("holders",) for one in t.found[key]}
    wanted.update(one["pid"] for key in ("perf", "events") for one in t.found[key])
    about: dict[str, Record] = {}
    for pid in sorted(wanted):
        record = processes.describe(pid, t.proc)
        if record is not None:
            about[str(pid)] = record
    t.found["processes"] = about
    t.found["process_count"] = len(holders.pids)
    if not processes.sees_all_processes(t.proc):
        why = "this pid namespace is not the initial one: processes outside of it, and what they hold, are not seen"
        t.gap("descriptors", "denied", why, "run it in the initial pid namespace (nsenter --target 1 --pid --mount)")
    if holders.denied:
        why = f"{t.proc}/PID/fd of {holders.denied} of {len(holders.pids)} processes may not be read"
        t.gap("descriptors", "denied", why, "run it as root, in the initial pid namespace, with CAP_SYS_PTRACE")
