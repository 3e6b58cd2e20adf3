"""Each type of link, and each way a program is on something without one, to its row: what is told, and what is not."""

from __future__ import annotations

import pytest

from probe_scout.commands.audit import record
from probe_scout.commands.audit.join import Join
from probe_scout.commands.audit.resolve import Symbol
from probe_scout.model.audit import Attachment, Place

from .conftest import inputs, link, perf, program

PLAIN = Attachment("", None)


class Names:
    """A resolver of a few names; it notes what it was told to look up."""

    def __init__(self):
        self.addresses = {0xFFFFFFFF81000000: Symbol("vfs_read", None, 0), 1: Symbol("xfs_read", "xfs", 8)}
        self.types = {
            (3, 7): (None, "vfs_write"),
            (4, 7): ("xfs", "xfs_write"),
            (3, 8): (None, "btf_trace_sched_wakeup"),
        }
        self.learned, self.owners = [], []

    def learn(self, addresses):
        self.learned += addresses

    def learn_owners(self, functions, others):
        self.owners = [sorted(functions), sorted(others)]

    def symbol(self, address):
        return self.addresses.get(address)

    def btf_name(self, object_id, type_id):
        return self.types.get((object_id, type_id), (None, None))

    def type_name(self, module, type_id):
        return {20: "bpf_struct_ops_tcp_congestion_ops"}.get(type_id)

    def module_of(self, function):
        return {"xfs_read": "xfs"}.get(function)

    def category(self, event):
        return {"sched_switch": "sched"}.get(event)

    def perf_event(self, kind, config):
        return None if kind is None else f"event {kind} {config}"


def joined(**given):
    names = Names()
    return Join(record.read(inputs(**given)), names).rows(), names


def told(row):
    """What a row tells beside its attach type and target, of what a plain one leaves out."""
    more = {field: getattr(row, field) for field in row._fields[2:] if getattr(row, field) != getattr(PLAIN, field)}
    for field in ("prog", "link"):
        if field in more:
            more[field] = more[field].id
    if "owners" in more:
        more["owners"] = [(owner.pid, owner.fd) for owner in row.owners]
    if "programs" in more:
        more["programs"] = [one.id for one in row.programs]
    return row.attach, row.target, more


L = {"prog": 1, "link": 5, "seen_by": ("link",)}
LINKS = {
    "raw tracepoint": (
        "raw_tracepoint",
        "raw_tracepoint",
        {"tp_name": "sched_switch", "cookie": 3},
        ("raw_tp", "sched_switch", {**L, "cookie": 3}),
    ),
    "raw tracepoint of a tracing program": (
        "raw_tracepoint",
        "tracing",
        {"tp_name": "sched_switch"},
        ("tp_btf", "sched_switch", L),
    ),
    "fentry": (
        "tracing",
        "tracing",
        {"attach_type": "trace_fentry", "target_obj_id": 4, "target_btf_id": 7, "cookie": 2},
        ("fentry", "xfs_write", {**L, "module": "xfs", "offset": 0, "cookie": 2}),
    ),
    "fentry on what has no name here": (
        "tracing",
        "tracing",
        {"attach_type": "trace_fentry", "target_obj_id": 9},
        ("fentry", None, L),
    ),
    "tp_btf": (
        "tracing",
        "tracing",
        {"attach_type": "trace_raw_tp", "target_obj_id": 3, "target_btf_id": 8, "cookie": 2},
        ("tp_btf", "sched_wakeup", {**L, "cookie": 2}),
    ),
    "tp_btf on what has no name here": ("tracing", "tracing", {"attach_type": "trace_raw_tp"}, ("tp_btf", None, L)),
    "lsm without a word of it": (
        "tracing",
        "lsm",
        {"target_obj_id": 3, "target_btf_id": 7},
        ("lsm", "vfs_write", {**L, "offset": 0}),
    ),
    "tracing without a word of it": ("tracing", "tracing", {"attach_type": "type_99"}, ("tracing", None, L)),
    "a program that is not known": ("tracing", None, {}, ("tracing", None, L)),
    "iter": ("iter", "tracing", {"target_name": "task"}, ("iter", "bpf_iter_task", L)),
    "iter without a name": ("iter", "tracing", {}, ("iter", None, L)),
    "fentry.multi": (
        "tracing_multi",
        "tracing",
        {"attach_type": "trace_fentry_multi", "btf_obj_id": 3, "btf_ids": [7, 99, 7], "cookies": [4, 5]},
        (
            "fentry.multi",
            "vfs_write",
            {
                **L,
                "offset": 0,
                "cookie": 4,
                "places": (
                    Place("vfs_write", None, 0, 4),
                    Place(None, None, None, 5),
                    Place("vfs_write", None, 0, None),
                ),
            },
        ),
    ),
    "tracing.multi without places": ("tracing_multi", "tracing", {}, ("tracing.multi", None, L)),
    "kprobe.multi by addresses": (
        "kprobe_multi",
        "kprobe",
        {"addresses": [1, 2, 0xFFFFFFFF81000000], "cookies": [4, 5], "missed": 0},
        (
            "kprobe.multi",
            "xfs_read",
            {
                **L,
                "module": "xfs",
                "offset": 8,
                "cookie": 4,
                "missed": 0,
                "places": (
                    Place("xfs_read", "xfs", 8, 4),
                    Place(None, None, None, 5),
                    Place("vfs_read", None, 0, None),
                ),
            },
        ),
    ),
    "kretprobe.multi by bpftool's names": (
        "kprobe_multi",
        "kprobe",
        {"functions": [["a", "m", 6], [None, None, None]], "is_return": True},
        (
            "kretprobe.multi",
            "a",
            {
                **L,
                "module": "m",
                "offset": 0,
                "cookie": 6,
                "places": (Place("a", "m", 0, 6), Place(None, None, None, None)),
            },
        ),
    ),
    "uprobe.multi": (
        "uprobe_multi",
        "kprobe",
        {"path": "/bin/x", "offsets": [64, 128, 256], "cookies": [7, 8]},
        (
            "uprobe.multi",
            "/bin/x",
            {
                **L,
                "offset": 64,
                "cookie": 7,
                "places": (Place(None, None, 64, 7), Place(None, None, 128, 8), Place(None, None, 256, None)),
            },
        ),
    ),
    "uretprobe.multi": (
        "uprobe_multi",
        "kprobe",
        {"path": "/bin/x", "is_return": True},
        ("uretprobe.multi", "/bin/x", L),
    ),
    "kprobe": (
        "perf_event",
        "kprobe",
        {"perf_type": "kprobe", "name": "vfs_read", "offset": 8, "cookie": 2, "missed": 3},
        ("kprobe", "vfs_read", {**L, "offset": 8, "cookie": 2, "missed": 3}),
    ),
    "kprobe without an offset": (
        "perf_event",
        "kprobe",
        {"perf_type": "kprobe", "name": "xfs_read"},
        ("kprobe", "xfs_read", {**L, "module": "xfs", "offset": 0}),
    ),
    "kretprobe of a module": (
        "perf_event",
        "kprobe",
        {"perf_type": "kretprobe", "name": "m:f", "offset": 0},
        ("kretprobe", "f", {**L, "module": "m", "offset": 0}),
    ),
    "kprobe by address": (
        "perf_event",
        "kprobe",
        {"perf_type": "kprobe", "address": 1},
        ("kprobe", "xfs_read", {**L, "module": "xfs", "offset": 8}),
    ),
    "kprobe by an address without a symbol": (
        "perf_event",
        "kprobe",
        {"perf_type": "kprobe", "address": (1 << 32) + 1},
        ("kprobe", "0x100000001", L),
    ),
    "kprobe by the number of an address": (
        "perf_event",
        "kprobe",
        {"perf_type": "kprobe", "address": 1 << 32},
        ("kprobe", None, L),
    ),
    "kprobe nowhere": ("perf_event", "kprobe", {"perf_type": "kprobe"}, ("kprobe", None, L)),
    "uprobe": (
        "perf_event",
        "kprobe",
        {"perf_type": "uretprobe", "name": "/bin/a:b", "offset": 64},
        ("uretprobe", "/bin/a:b", {**L, "offset": 64}),
    ),
    "tracepoint": (
        "perf_event",
        "tracepoint",
        {"perf_type": "tracepoint", "name": "sched_switch"},
        ("tp", "sched:sched_switch", L),
    ),
    "tracepoint of several categories": (
        "perf_event",
        "tracepoint",
        {"perf_type": "tracepoint", "name": "other"},
        ("tp", "other", L),
    ),
    "software event": (
        "perf_event",
        "perf_event",
        {"perf_type": "event", "event_type": 1, "config": 0},
        ("perf_event", "event 1 0", L),
    ),
    "event of an untold kind": ("perf_event", "perf_event", {}, ("perf_event", None, L)),
    "tracepoint of an untold place": ("perf_event", "tracepoint", {}, ("tp", None, L)),
    "kprobe of an untold place": ("perf_event", "kprobe", {}, ("perf probe", None, L)),
    "untold, and no program": ("perf_event", None, {}, ("perf_event", None, L)),
    "cgroup that is gone": (
        "cgroup",
        "cgroup_skb",
        {"cgroup_id": 78, "attach_type": "cgroup_inet_egress"},
        ("cgroup", None, {**L, "hook": "cgroup_inet_egress"}),
    ),
    "the root cgroup": (
        "cgroup",
        "cgroup_skb",
        {"cgroup_id": 1, "attach_type": "cgroup_inet_egress"},
        ("cgroup", "/", {**L, "hook": "cgroup_inet_egress", "cgroup": "/"}),
    ),
    "lsm of a cgroup": (
        "cgroup",
        "lsm",
        {"cgroup_id": 77, "attach_type": "lsm_cgroup", "target_obj_id": 4, "target_btf_id": 7},
        ("cgroup", "/a", {**L, "hook": "lsm_cgroup", "cgroup": "/a", "symbol": "xfs_write", "module": "xfs"}),
    ),
    "a cgroup's other hook": (
        "cgroup",
        "lsm",
        {"cgroup_id": 77, "attach_type": "cgroup_device", "target_obj_id": 4, "target_btf_id": 7},
        ("cgroup", "/a", {**L, "hook": "cgroup_device", "cgroup": "/a"}),
    ),
    "network namespace": (
        "netns",
        "sk_lookup",
        {"netns_ino": 42, "attach_type": "sk_lookup"},
        ("sk_lookup", "net:[42]", {**L, "netns": "blue"}),
    ),
    "network namespace without a name": (
        "netns",
        "sk_lookup",
        {"netns_ino": 43, "attach_type": "sk_lookup"},
        ("sk_lookup", "net:[43]", {**L, "netns": "43"}),
    ),
    "a process's network namespace": (
        "netns",
        "flow_dissector",
        {"netns_ino": 44},
        ("netns", "net:[44]", {**L, "netns": "44"}),
    ),
    "network namespace that is gone": ("netns", "sk_lookup", {"netns_ino": 0}, ("netns", None, L)),
    "interface that is gone": ("xdp", "xdp", {"ifindex": 0}, ("xdp", None, L)),
    "xdp": ("xdp", "xdp", {"ifindex": 4}, ("xdp", "ifindex 4", {**L, "ifindex": 4})),
    "netkit": (
        "netkit",
        "sched_cls",
        {"ifindex": 4, "attach_type": "netkit_peer"},
        ("netkit", "ifindex 4", {**L, "ifindex": 4, "hook": "peer"}),
    ),
    "netfilter": (
        "netfilter",
        "netfilter",
        {"pf": 2, "hook": 0, "priority": -5},
        ("netfilter", "ipv4:prerouting priority -5", {**L, "hook": "prerouting"}),
    ),
    "netfilter, the last hook": (
        "netfilter",
        "netfilter",
        {"pf": 10, "hook": 4, "priority": 0},
        ("netfilter", "ipv6:postrouting priority 0", {**L, "hook": "postrouting"}),
    ),
    "netfilter, an unknown hook": (
        "netfilter",
        "netfilter",
        {"pf": 99, "hook": 5, "priority": 1},
        ("netfilter", "family 99:hook 5 priority 1", {**L, "hook": "hook 5"}),
    ),
    "netfilter without a hook": ("netfilter", "netfilter", {"pf": 2}, ("netfilter", None, L)),
    "netfilter without a family": ("netfilter", "netfilter", {"hook": 2}, ("netfilter", None, L)),
    "sockmap": (
        "sockmap",
        "sk_skb",
        {"map_id": 9, "attach_type": "sk_skb_verdict"},
        ("sockmap", "socks", {**L, "hook": "sk_skb_verdict"}),
    ),
    "sockmap that is not told": ("sockmap", "sk_skb", {"map_id": 99}, ("sockmap", None, L)),
    "struct_ops": ("struct_ops", None, {"map_id": 8}, ("struct_ops", "tcp_congestion_ops", {**L, "programs": [2]})),
    "struct_ops that is not told": ("struct_ops", None, {"map_id": 99}, ("struct_ops", None, L)),
    "an unknown type": ("type_99", "kprobe", {"name": "x"}, ("type_99", None, L)),
    "by fdinfo": ("iter", None, {"by_fdinfo": True}, ("iter", None, {**L, "seen_by": ("fdinfo",)})),
}
MAPS = [
    {"id": 8, "type": 26, "name": "ops", "value_type_id": 20, "state": 3, "words": [2, 1, 0]},
    {"id": 9, "type": 15, "name": "socks"},
]


@pytest.mark.parametrize("name", LINKS)
def test_a_link_alone(name):
    kind, program_type, more, expected = LINKS[name]
    programs = [program(2, "struct_ops")] + ([] if program_type is None else [program(1, program_type)])
    found, _ = joined(
        links=[link(5, kind, 1, **more)],
        programs=programs,
        maps=MAPS,
        cgroup_paths={"77": "/a", "1": ""},
        network_namespaces={"42": "/run/netns/blue", "44": "/proc/1/ns/net"},
    )
    assert [told(row) for row in found.attachments] == [expected]


def test_freplace_tells_the_program_whose_part_it_takes():
    programs = [program(1, "ext"), program(2, name="main")]
    given = {"attach_type": "type_0", "cookie": 4}
    for target, words in ((2, "program 2 (main)"), (3, None), (None, None)):
        found, _ = joined(links=[link(5, "tracing", 1, **given, target_obj_id=target)], programs=programs)
        assert told(found.attachments[0]) == ("freplace", words, {**L, "cookie": 4})


def test_what_is_looked_up_at_once():
    links = [
        link(5, "kprobe_multi", 1, addresses=[11, 12]),
        link(6, "perf_event", 1, perf_type="kprobe", name="", address=13),
        link(7, "perf_event", 1, perf_type="kprobe", name="named", address=14),
        link(8, "perf_event", 1, perf_type="kretprobe", name="m:f"),
        link(9, "perf_event", 1, perf_type="tracepoint", name="event"),
        link(10, "tracing", 2, attach_type="trace_fentry", target_obj_id=3, target_btf_id=7),
        link(11, "tracing", 2, attach_type="trace_raw_tp", target_obj_id=3, target_btf_id=8),
        link(12, "iter", 2, target_obj_id=4, target_btf_id=7),
    ]
    events = [perf(10, 3, 1, "kprobe", "", address=15), perf(10, 4, 1, "kretprobe", "other", address=16)]
    _, names = joined(links=links, programs=[program(1), program(2, "tracing")], perf=events)
    assert names.learned == [11, 12, 13, 15]
    assert names.owners == [["named", "other"], ["vfs_write"]]


EVENTS = {
    "another program's": (perf(10, 3, 2, "kprobe", "f"), False),
    "of another kind": (perf(10, 3, 1, "kretprobe", "f"), False),
    "of another function": (perf(10, 3, 1, "kprobe", "g"), False),
    "of another kind and function": (perf(10, 3, 1, "uprobe", "g"), False),
    "at another offset": (perf(10, 3, 1, "kprobe", "f", 4), False),
    "its own": (perf(10, 3, 1, "kprobe", "f"), True),
}


@pytest.mark.parametrize("name", EVENTS)
def test_which_event_is_a_links(name):
    """Also behind events that are not."""
    event, is_its = EVENTS[name]
    given = {
        "programs": [program(1), program(2)],
        "links": [link(5, "perf_event", 1, perf_type="kprobe", name="f", offset=0)],
    }
    found, _ = joined(**given, perf=[event])
    assert found.attachments[0].seen_by == (("link", "perf") if is_its else ("link",))
    assert len(found.attachments) == 2 - is_its
    found, _ = joined(**given, perf=[{**event, "fd": 1, "file": 1}, perf(20, 9, 1, "kprobe", "f")])
    assert found.attachments[0].seen_by == ("link", "perf")


def test_a_link_takes_the_event_of_its_own_holder_first():
    given = {
        "programs": [program(1)],
        "links": [link(5, "perf_event", 1, perf_type="kprobe", name="f", offset=0)],
        "holders": [[20, 7, "link", 5]],
        "perf": [perf(10, 3, 1, "kprobe", "f"), perf(20, 4, 1, "kprobe", "f"), perf(30, 5, 1, "kprobe", "f")],
    }
    found, _ = joined(**given)
    assert [told(row)[2].get("owners") for row in found.attachments] == [[(20, 4), (20, 7)], [(10, 3)], [(30, 5)]]
    given["perf"] = [perf(30, 5, 1, "kprobe", "f"), perf(10, 3, 1, "kprobe", "f")]
    found, _ = joined(**given)
    assert [told(row)[2].get("owners") for row in found.attachments] == [[(20, 7), (30, 5)], [(10, 3)]]


def test_a_tracepoints_event_has_no_offset_to_differ_by():
    link_of = link(5, "perf_event", 1, perf_type="tracepoint", name="sched_switch", offset=9)
    events = [perf(10, 3, 1, "tracepoint", "sched_switch")]
    found, _ = joined(programs=[program(1, "tracepoint")], links=[link_of], perf=events)
    assert [row.seen_by for row in found.attachments] == [("link", "perf")]


def test_a_software_events_link_takes_the_descriptor_of_its_holder():
    given = {
        "programs": [program(1, "perf_event")],
        "links": [link(5, "perf_event", 1, perf_type="event", event_type=1, config=0)],
        "events": [{"pid": 20, "fd": 3, "file": 1}, {"pid": 10, "fd": 4, "file": 2}],
        "holders": [[10, 9, "link", 5]],
    }
    found, _ = joined(**given)
    assert [told(row) for row in found.attachments] == [
        ("perf_event", "event 1 0", {**L, "owners": [(10, 4), (10, 9)]}),
        ("perf_event", None, {"owners": [(20, 3)], "seen_by": ("perf",)}),
    ]
    given["holders"] = [[30, 9, "link", 5]]
    assert told(joined(**given)[0].attachments[0]) == ("perf_event", "event 1 0", {**L, "owners": [(30, 9)]})


@pytest.mark.parametrize(
    ("count", "events", "loaded"), [(1, 1, []), (2, 1, [1, 2]), (2, 2, []), (3, 2, [1, 2, 3]), (1, 0, [1])]
)
def test_programs_on_events_that_do_not_tell_theirs(count, events, loaded):
    """One program is named; of several nobody is, and as many events as programs leave none that is only loaded."""
    found, _ = joined(
        programs=[program(n + 1, "perf_event") for n in range(count)],
        events=[{"pid": 10, "fd": n, "file": n} for n in range(events)],
    )
    assert [row.prog and row.prog.id for row in found.attachments] == ([1] if count == 1 else [None] * events)[:events]
    assert [one.prog.id for one in found.loaded] == loaded


def test_a_program_with_a_link_is_on_no_other_event():
    found, _ = joined(
        programs=[program(1, "perf_event"), program(2, "perf_event"), program(3)],
        links=[link(5, "perf_event", 1, perf_type="event", event_type=1, config=0)],
        events=[{"pid": 10, "fd": 4, "file": 2}],
    )
    assert [row.prog.id for row in found.attachments] == [1, 2]


@pytest.mark.parametrize(("program_type", "attach"), [("tracing", "tp_btf"), ("raw_tracepoint", "raw_tp")])
def test_a_raw_tracepoint_without_a_link(program_type, attach):
    events = [perf(10, 3, 1, "raw_tracepoint", "sched_switch"), perf(10, 4, 1, "kprobe", "f")]
    pins = [{"path": "/p", "kind": "program", "id": 1}, {"path": "/l", "kind": "link", "id": 1}]
    found, _ = joined(programs=[program(1, program_type)], perf=events, pins=pins)
    alone = {"prog": 1, "owners": [(10, 3)], "pins": ("/p",), "seen_by": ("perf",)}
    assert [told(row) for row in found.attachments] == [
        (attach, "sched_switch", alone),
        ("kprobe", "f", {**alone, "owners": [(10, 4)], "offset": 0}),
    ]


Q = {"seen_by": ("query",)}


def test_hooks_that_were_queried():
    """A link takes its program out of the hook; the others are rows of their own."""
    found, _ = joined(
        programs=[program(n, "cgroup_skb") for n in (1, 2, 3, 4, 6)],
        maps=MAPS,
        links=[
            link(5, "cgroup", 1, cgroup_id=77, attach_type="a"),
            link(6, "netns", 3, netns_ino=42, attach_type="sk_lookup"),
            link(7, "netns", 4, netns_ino=43, attach_type="sk_lookup"),
            link(8, "sockmap", 6, map_id=9, attach_type="v"),
        ],
        cgroups=[
            {"cgroup_id": 77, "path": "/a", "attach_type": "b", "prog_ids": [1]},
            {"cgroup_id": 77, "path": "/a", "attach_type": "a", "prog_ids": [2, 1]},
            {"cgroup_id": 1, "path": "", "attach_type": "a", "prog_ids": [1]},
        ],
        netns=[
            {"ino": 42, "attach_type": "sk_lookup", "prog_ids": [3, 2]},
            {"ino": None, "attach_type": "sk_lookup", "prog_ids": [4, 1]},
        ],
        sockmaps=[
            {"map_id": 9, "attach_type": "v", "prog_ids": [6, 2]},
            {"map_id": None, "attach_type": "v", "prog_ids": [3]},
        ],
    )
    assert [told(row) for row in found.attachments] == [
        ("cgroup", None, {**L, "hook": "a", "seen_by": ("link", "query")}),
        ("sk_lookup", "net:[42]", {"prog": 3, "link": 6, "netns": "42", "seen_by": ("link", "query")}),
        ("sk_lookup", "net:[43]", {"prog": 4, "link": 7, "netns": "43", "seen_by": ("link", "query")}),
        ("sockmap", "socks", {"prog": 6, "link": 8, "hook": "v", "seen_by": ("link", "query")}),
        ("cgroup", "/a", {**Q, "prog": 1, "hook": "b", "cgroup": "/a"}),
        ("cgroup", "/a", {**Q, "prog": 2, "hook": "a", "cgroup": "/a"}),
        ("cgroup", "/", {**Q, "prog": 1, "hook": "a", "cgroup": "/"}),
        ("sockmap", "socks", {**Q, "prog": 2, "hook": "v"}),
        ("sockmap", None, {**Q, "prog": 3, "hook": "v"}),
        ("sk_lookup", "net:[42]", {**Q, "prog": 2, "netns": "42"}),
        ("sk_lookup", None, {**Q, "prog": 1}),
    ]


def test_interfaces():
    tc = {"priority": 1, "handle": 1, "parent": 1, "name": "f"}
    interface = {
        "ifindex": 3,
        "name": "eth0",
        "kind": None,
        "xdp": [{"mode": None, "prog_id": None}, {"mode": "native", "prog_id": 1}, {"mode": "generic", "prog_id": 2}],
        "tc": [
            {**tc, "kind": "filter", "hook": "egress", "prog_id": 3},
            {**tc, "kind": "action", "hook": None, "prog_id": 3},
        ],
        "hooks": [{"attach_type": "tcx_ingress", "prog_ids": [4, 6]}, {"attach_type": "netkit_peer", "prog_ids": [2]}],
    }
    found, _ = joined(
        programs=[program(n, "xdp") for n in (1, 2, 3, 4, 6)],
        links=[
            link(5, "xdp", 1, ifindex=3),
            link(6, "tcx", 4, ifindex=3, attach_type="tcx_ingress"),
            link(7, "netkit", 2, ifindex=3),
            link(8, "tcx", 4, ifindex=2, attach_type="tcx_ingress"),
            link(9, "xdp", 3, ifindex=3),
        ],
        net=[{"ino": None, "interfaces": []}, {"ino": 42, "interfaces": [interface]}],
    )
    on = {"netns": "42", "ifindex": 3}
    net = {**on, "seen_by": ("netlink",)}
    assert [told(row) for row in found.attachments] == [
        ("xdp", "eth0", {**L, **on, "hook": "native", "seen_by": ("link", "netlink")}),
        ("tcx", "eth0", {**on, "prog": 4, "link": 6, "hook": "ingress", "seen_by": ("link", "query")}),
        ("netkit", "eth0", {**on, "prog": 2, "link": 7, "seen_by": ("link", "query")}),
        ("tcx", "ifindex 2", {"prog": 4, "link": 8, "ifindex": 2, "hook": "ingress", "seen_by": ("link",)}),
        ("xdp", "ifindex 3", {"prog": 3, "link": 9, "ifindex": 3, "seen_by": ("link",)}),
        ("xdp", "eth0", {**net, "prog": 2, "hook": "generic"}),
        ("tc", "eth0", {**net, "prog": 3, "hook": "egress"}),
        ("tc.action", "eth0", {**net, "prog": 3}),
        ("tcx", "eth0", {**on, **Q, "prog": 6, "hook": "ingress"}),
    ]


@pytest.mark.parametrize(("state", "is_row"), [(0, False), (1, True), (2, False), (None, False)])
def test_struct_ops_without_a_link_are_rows_while_they_are_in_use(state, is_row):
    given = {
        "maps": [{**MAPS[0], "state": state}, MAPS[1]],
        "programs": [program(2, "struct_ops")],
        "holders": [[10, 3, "map", 8], [20, 4, "map", 9]],
        "pins": [{"path": "/m", "kind": "map", "id": 8}],
    }
    row = (
        "struct_ops",
        "tcp_congestion_ops",
        {"programs": [2], "owners": [(10, 3)], "pins": ("/m",), "seen_by": ("map",)},
    )
    assert [told(one) for one in joined(**given)[0].attachments] == ([row] if is_row else [])
    found, _ = joined(**given, links=[link(5, "struct_ops", None, map_id=8)])
    assert [one.link and one.link.id for one in found.attachments] == [5]


@pytest.mark.parametrize(
    ("kind", "stats", "count", "misses", "told_as"),
    [
        ("tracing", None, 0, 0, (None, 0)),
        ("lsm", False, 0, 4, (None, 4)),
        ("kprobe", False, 0, 0, (None, None)),
        ("kprobe", True, 0, 0, (0, None)),
        ("kprobe", False, 1, 1, (1, 1)),
    ],
)
def test_what_a_program_counts(kind, stats, count, misses, told_as):
    one = program(1, kind, run_count=count, run_time_ns=2 * count, recursion_misses=misses)
    found, _ = joined(programs=[one], stats_enabled=stats)
    ref = found.loaded[0].prog
    assert (ref.run_count, ref.recursion_misses) == told_as
    assert ref.run_time_ns == (None if told_as[0] is None else 2 * count)
    counted = Join(record.read(inputs(programs=[one], stats_enabled=stats)), Names(), counts_all_misses=True)
    assert counted.rows().loaded[0].prog.recursion_misses == misses


def test_a_link_that_tells_no_program_and_no_map_is_not_that_of_number_1():
    """Ids begin at 1: nothing is told of the first program and map."""
    links = [
        link(5, "struct_ops", None),
        link(6, "sockmap", None),
        link(7, "tracing", None),
        link(8, "raw_tracepoint", None, tp_name="x"),
        link(9, "tracing", 2),
    ]
    found, _ = joined(
        programs=[program(1, "tracing", attach_btf_obj_id=3, attach_btf_id=7), program(2, "ext")],
        maps=[{"id": 1, "type": 26, "name": "first", "value_type_id": 20, "state": 3, "words": [1]}],
        links=links,
        sockmaps=[{"map_id": None, "attach_type": "v", "prog_ids": [2]}],
    )
    assert [told(row)[:2] for row in found.attachments] == [
        ("struct_ops", None),
        ("sockmap", None),
        ("tracing", None),
        ("raw_tp", "x"),
        ("freplace", None),
        ("sockmap", None),
    ]
    assert all(row.prog is None for row in found.attachments[:4])


def test_an_event_link_that_tells_nothing_takes_its_holders_descriptor():
    found, _ = joined(
        programs=[program(1, "perf_event")],
        links=[link(5, "perf_event", 1)],
        events=[{"pid": 10, "fd": 4, "file": 2}],
        holders=[[10, 9, "link", 5]],
    )
    assert [told(row) for row in found.attachments] == [("perf_event", None, {**L, "owners": [(10, 4), (10, 9)]})]
