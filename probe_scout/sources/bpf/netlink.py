"""Programs on network interfaces, which only netlink tells: XDP and tc; tcx and netkit by bpf(2) beside them.

The one home of pyroute2. Numbers: include/uapi/linux/if_link.h (IFLA_XDP_*), pkt_cls.h (TCA_BPF_*),
tc_act/tc_bpf.h (TCA_ACT_BPF_*). Each network namespace is entered by a process of its own, so that the caller stays
where it is. Records are dicts of plain values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from errno import EINVAL, EPERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]

CLSACT_INGRESS, CLSACT_EGRESS = 0xFFFFFFF2, 0xFFFFFFF3  # TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), _EGRESS
_CLSACT, _INGRESS = "clsact", "ingress"
_XDP_MODES = ((1, "DRV"), (2, "SKB"), (3, "HW"))
_XDP_WORDS = {"DRV": "native", "SKB": "generic", "HW": "offload"}
_CLONE_NEWNET = 0x40000000
# What pyroute2's tables lack: they end before the program's tag and id.
_FILTER_MORE = (("TCA_BPF_FLAGS_GEN", "uint32"), ("TCA_BPF_TAG", "hex"), ("TCA_BPF_ID", "uint32"))
_ACTION_MORE = (("TCA_ACT_BPF_PAD", "hex"), ("TCA_ACT_BPF_TAG", "hex"), ("TCA_ACT_BPF_ID", "uint32"))
LIMIT_S = 60.0

Query = Callable[[int, str], list[int]]  # interface's number and attach type -> program ids; OSError says why not


def widen(options: Any, more: tuple[tuple[str, str], ...]) -> None:
    """Add the attributes that a table of pyroute2 lacks; those it has by now are left as they are."""
    names = {entry[0] for entry in options.nla_map}
    options.nla_map = (*options.nla_map, *(entry for entry in more if entry[0] not in names))


def interfaces(ip: Any, query: Query | None = None) -> list[Record]:
    """The interfaces of the namespace that `ip` (an IPRoute) is in, with the programs on each."""
    found: list[Record] = []
    for link in ip.get_links():
        record: Record = {
            "ifindex": link["index"],
            "name": link.get_attr("IFLA_IFNAME") or "",
            "kind": _kind(link),
            "xdp": _xdp(link),
            "tc": [],
            "hooks": [],
        }
        found.append(record)
    by_number = {record["ifindex"]: record for record in found}
    asked: set[tuple[int, int]] = set()
    for qdisc in ip.get_qdiscs():
        if qdisc["index"] not in by_number:
            continue
        record = by_number[qdisc["index"]]
        parents = (
            (CLSACT_INGRESS, CLSACT_EGRESS) if qdisc.get_attr("TCA_KIND") in (_CLSACT, _INGRESS) else (qdisc["handle"],)
        )
        for parent in parents:
            if parent and (record["ifindex"], parent) not in asked:
                asked.add((record["ifindex"], parent))
                record["tc"] += _filters(ip, record["ifindex"], parent)
    if query is not None:
        unknown: set[str] = set()
        for record in found:
            hooks = ["tcx_ingress", "tcx_egress"]
            if record["kind"] == "netkit":
                hooks += ["netkit_primary", "netkit_peer"]
            for hook in hooks:
                if hook in unknown:
                    continue
                try:
                    programs = query(record["ifindex"], hook)
                except OSError as error:
                    # The peer of a netkit pair answers EACCES for the primary's hook (netkit_dev_fetch).
                    if error.errno in (EINVAL, EPERM):
                        unknown.add(hook)
                    continue
                if programs:
                    record["hooks"].append({"attach_type": hook, "prog_ids": programs})
    return found


def _kind(link: Any) -> str | None:
    about = link.get_attr("IFLA_LINKINFO")
    return about.get_attr("IFLA_INFO_KIND") if about is not None else None


def _xdp(link: Any) -> list[Record]:
    about = link.get_attr("IFLA_XDP")
    if about is None:
        return []
    found = []
    for _, word in _XDP_MODES:
        number = about.get_attr(f"IFLA_XDP_{word}_PROG_ID")
        if number:
            found.append({"mode": _XDP_WORDS[word], "prog_id": number})
    number = about.get_attr("IFLA_XDP_PROG_ID")
    if number and not found:
        mode = str(about.get_attr("IFLA_XDP_ATTACHED") or "")
        found.append({"mode": {"xdp": "native", "xdpgeneric": "generic"}.get(mode, mode), "prog_id": number})
    return found


def _filters(ip: Any, ifindex: int, parent: int) -> list[Record]:
    found: list[Record] = []
    seen: set[tuple[int, int, int]] = set()
    for one in ip.get_filters(index=ifindex, parent=parent):
        options = one.get_attr("TCA_OPTIONS")
        if options is None or isinstance(options, str):
            continue
        place: Record = {
            "parent": parent,
            "hook": {CLSACT_INGRESS: "ingress", CLSACT_EGRESS: "egress"}.get(parent, f"qdisc {parent >> 16:x}:"),
            "priority": one["info"] >> 16,
            "handle": one["handle"],
        }
        if one.get_attr("TCA_KIND") == "bpf":
            number = options.get_attr("TCA_BPF_ID")
            key = (place["priority"], place["handle"], number or 0)
            if number and key not in seen:
                seen.add(key)
                found.append({**place, "kind": "filter", "prog_id": number, "name": options.get_attr("TCA_BPF_NAME")})
        for number in _actions(options):
            key = (place["priority"], place["handle"], number)
            if key not in seen:
                seen.add(key)
                found.append({**place, "kind": "action", "prog_id": number, "name": None})
    return found


def _actions(options: Any) -> list[int]:
    """The program ids of bpf actions anywhere below a filter's options."""
    found: list[int] = []
    waiting = [options]
    while waiting:
        here = waiting.pop()
        for name, value in getattr(here, "get", lambda key, default: default)("attrs", ()) or ():
            if name == "TCA_ACT_BPF_ID" and isinstance(value, int):
                found.append(value)
            elif hasattr(value, "get_attr"):
                waiting.append(value)
    return found


def every_namespace(namespaces: Mapping[int, str], query: Query | None, limit_s: float = LIMIT_S) -> list[Record]:
    """The interfaces of each namespace (inode number -> path): records with `ino`, and `interfaces` or `why` not.

    A child process enters them one after the other and ends; after `limit_s` seconds it is ended and what it told
    counts.
    """
    import json
    import select
    import signal
    import time

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            for record in _enter_each(namespaces.items(), query):
                with open(writer, "wb", closefd=False) as out:
                    out.write(json.dumps(record).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writer)
    raw = b""
    until = time.monotonic() + limit_s
    try:
        while select.select([reader], [], [], max(0.0, until - time.monotonic()))[0]:
            block = os.read(reader, 1 << 16)
            if not block:
                break
            raw += block
    finally:
        os.close(reader)
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
        os.waitpid(pid, 0)
    found = [json.loads(line) for line in raw.split(b"\n")[:-1]]
    told = {record["ino"] for record in found}
    return found + [{"ino": ino, "why": "no answer in time"} for ino in namespaces if ino not in told]


def _enter_each(namespaces: Iterable[tuple[int, str]], query: Query | None) -> Iterable[Record]:
    import ctypes

    try:
        from pyroute2 import IPRoute
        from pyroute2.netlink.rtnl.tcmsg import act_bpf, sched_bpf
    except ImportError as error:
        yield from ({"ino": ino, "why": f"pyroute2: {error}"} for ino, _ in namespaces)
        return
    widen(sched_bpf.options, _FILTER_MORE)
    widen(act_bpf.options, _ACTION_MORE)
    libc = ctypes.CDLL(None, use_errno=True)
    for ino, path in namespaces:
        try:
            if not path.startswith("/proc/self/"):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    if libc.setns(fd, _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
                finally:
                    os.close(fd)
            with IPRoute() as ip:
                yield {"ino": ino, "interfaces": interfaces(ip, query)}
        except Exception as error:  # pyroute2 has errors of its own; a namespace that fails is told, not skipped
            yield {"ino": ino, "why": f"{type(error).__name__}: {error}"}
