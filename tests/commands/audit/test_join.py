"""Each attachment once, however often it is seen."""

from __future__ import annotations

import pytest

from probe_scout.model.audit import Place

from .conftest import inputs, link, perf, process, program

KPROBE_LINK = {"perf_type": "kprobe", "name": "vfs_read", "offset": 0, "address": None, "missed": 3, "cookie": 9}


def brief(report):
    return [
        (one.attach, one.target, one.prog and one.prog.id, one.link and one.link.id, one.seen_by)
        for one in report.attachments
    ]


def owners(one):
    return [(owner.pid, owner.fd) for owner in one.owners]


def test_a_perf_link_and_its_event_are_one_row(audited):
    given = inputs(
        programs=[program(1)],
        links=[link(5, "perf_event", 1, **KPROBE_LINK)],
        perf=[perf(10, 3, 1, "kprobe", "vfs_read"), perf(20, 8, 1, "kprobe", "vfs_read", file=3)],
        holders=[[10, 4, "link", 5]],
    )
    (one,) = audited(given).attachments
    assert brief(audited(given)) == [("kprobe", "vfs_read", 1, 5, ("link", "perf"))]
    assert owners(one) == [(10, 3), (10, 4), (20, 8)]
    assert (one.cookie, one.missed, one.offset) == (9, 3, 0)


def test_a_link_whose_event_is_closed_stands_alone_and_an_ioctl_beside_it(audited):
    given = inputs(
        programs=[program(1), program(2)],
        links=[link(5, "perf_event", 1, **KPROBE_LINK)],
        perf=[perf(10, 3, 2, "kprobe", "vfs_read")],
        holders=[[20, 4, "link", 5]],
    )
    assert brief(audited(given)) == [
        ("kprobe", "vfs_read", 1, 5, ("link",)),
        ("kprobe", "vfs_read", 2, None, ("perf",)),
    ]


def test_two_events_of_one_program_on_one_function_are_two(audited):
    given = inputs(
        programs=[program(1)], perf=[perf(10, 3, 1, "kprobe", "vfs_read"), perf(10, 4, 1, "kprobe", "vfs_read")]
    )
    assert len(audited(given).attachments) == 2
    given["perf"][1]["file"] = given["perf"][0]["file"]
    (one,) = audited(given).attachments
    assert owners(one) == [(10, 3), (10, 4)]


def test_a_link_that_tells_no_place_gets_its_events(audited):
    """Kernels from 5.15 to 6.5."""
    given = inputs(
        programs=[program(1), program(2)],
        links=[link(5, "perf_event", 1, perf_type=None), link(6, "perf_event", 2, perf_type=None)],
        perf=[perf(10, 3, 1, "uprobe", "/bin/x", 4096)],
        holders=[[10, 9, "link", 6]],
    )
    rows = audited(given).attachments
    assert [(one.attach, one.target, one.offset, one.seen_by) for one in rows] == [
        ("uprobe", "/bin/x", 4096, ("link", "perf")),
        ("perf probe", None, None, ("link",)),
    ]


def test_a_raw_tracepoint_link_answers_the_query_itself(audited):
    given = inputs(
        programs=[program(1, "raw_tracepoint"), program(2, "tracing")],
        links=[
            link(5, "raw_tracepoint", 1, tp_name="sched_switch"),
            link(6, "raw_tracepoint", 2, tp_name="sched_switch"),
        ],
        perf=[perf(10, 3, 1, "raw_tracepoint", "sched_switch"), perf(10, 4, 2, "raw_tracepoint", "sched_switch")],
        holders=[[10, 3, "link", 5], [10, 4, "link", 6]],
    )
    assert brief(audited(given)) == [
        ("raw_tp", "sched_switch", 1, 5, ("link", "perf")),
        ("tp_btf", "sched_switch", 2, 6, ("link", "perf")),
    ]


def test_a_trace_event_gets_its_category_where_only_one_has_it(audited):
    given = inputs(programs=[program(1, "tracepoint")], perf=[perf(10, 3, 1, "tracepoint", "sched_switch")])
    (one,) = audited(given).attachments
    assert (one.attach, one.target) == ("tp", "sched:sched_switch")
    (one,) = audited(given, events=("sched:sched_switch", "other:sched_switch")).attachments
    assert one.target == "sched_switch"


def test_tracing_links_by_btf_ids(audited):
    from probe_scout.frontends.session import open_kernel

    given = inputs(programs=[program(1, "tracing")])
    audited(given)
    btf = open_kernel(audited.folder)._kernel.btf()
    type_id = btf.functions()["vfs_write"][0]
    given["links"] = [
        link(5, "tracing", 1, attach_type="trace_fexit", target_obj_id=1, target_btf_id=type_id, cookie=4)
    ]
    given["btfs"] = {"1": {"id": 1, "name": "vmlinux", "is_kernels": True}}
    (one,) = audited(given).attachments
    assert (one.attach, one.target, one.module, one.offset, one.cookie) == ("fexit", "vfs_write", None, 0, 4)
    given["links"][0].update(target_obj_id=None, target_btf_id=None)
    (one,) = audited(given).attachments
    assert (one.attach, one.target) == ("fexit", None)
    given["programs"][0].update(attach_btf_obj_id=1, attach_btf_id=type_id)
    (one,) = audited(given).attachments
    assert one.target == "vfs_write"


def test_kprobe_multi_by_addresses(audited):
    """A snapshot keeps the symbols; a machine looks the addresses up, also behind endbr64."""
    given = inputs(
        programs=[program(1)],
        links=[link(5, "kprobe_multi", 1, is_return=True, missed=0, addresses=[1, 2], cookies=[7, 8], count=2)],
        symbols={"1": ["vfs_read", None, 0], "2": ["xfs_read", "xfs", 0]},
    )
    (one,) = audited(given).attachments
    assert (one.attach, one.target, one.missed, one.cookie) == ("kretprobe.multi", "vfs_read", 0, 7)
    assert one.places == (Place("vfs_read", None, 0, 7), Place("xfs_read", "xfs", 0, 8))


@pytest.mark.parametrize(("ibt", "offset"), [("y", 0), (None, 4)])
def test_addresses_become_symbols(audited, ibt, offset):
    from probe_scout.commands.audit.resolve import Resolver, Symbol
    from probe_scout.frontends.session import open_kernel

    audited(inputs(), ("vfs_read", "xfs_read [xfs]"), config={"CONFIG_X86_KERNEL_IBT": ibt})
    k = open_kernel(audited.folder)._kernel
    symbols = k.full().symbols
    read, module = (symbols.addresses[symbols.lookup(name)] for name in (b"vfs_read", b"xfs_read"))
    resolver = Resolver(k, {}, {})
    resolver.learn([read, read + 4, read + 0x20, module, 0])
    assert resolver.symbol(read) == Symbol("vfs_read", None, 0)
    assert resolver.symbol(read + 4) == Symbol("vfs_read", None, offset)
    assert resolver.symbol(read + 0x20) == Symbol("vfs_read", None, 0x20)
    assert resolver.symbol(module) == Symbol("xfs_read", "xfs", 0)
    assert resolver.symbol(0) is None


@pytest.mark.parametrize(
    ("kind", "config", "name"),
    [
        *((1, 0, "cpu-clock"), (1, 99, "software 99"), (0, 99, "hardware 99")),
        *((None, 0, None), (1, None, None), (0, None, None)),
    ],
)
def test_perf_events_in_the_words_of_perf(audited, kind, config, name):
    from probe_scout.commands.audit.resolve import Resolver
    from probe_scout.frontends.session import open_kernel

    audited(inputs(), ("vfs_read",))
    assert Resolver(open_kernel(audited.folder)._kernel, {}, {}).perf_event(kind, config) == name


@pytest.mark.parametrize(("pattern", "count"), [("xfs:xfs_*", 1), ("xfs_*", 1), ("vfs_*", 1), ("nfs:*", 0), ("*", 2)])
def test_narrowed_by_a_function_of_a_module(audited, pattern, count):
    from probe_scout.commands import audit

    given = inputs(
        programs=[program(1)], perf=[perf(10, 3, 1, "kprobe", "vfs_read"), perf(10, 4, 1, "kprobe", "xfs:xfs_read")]
    )
    report = audited(given, ("vfs_read", "xfs_read [xfs]"))
    assert len(audit.narrowed(report, 0, pattern).attachments) == count


def test_cgroups_by_link_and_by_query(audited):
    entry = {"cgroup_id": 77, "path": "/system.slice", "attach_type": "cgroup_inet_egress", "prog_ids": [1, 2]}
    given = inputs(
        programs=[program(1, "cgroup_skb"), program(2, "cgroup_skb")],
        links=[link(5, "cgroup", 1, cgroup_id=77, attach_type="cgroup_inet_egress")],
        cgroups=[entry],
        cgroup_paths={"77": "/system.slice"},
    )
    report = audited(given)
    assert brief(report) == [
        ("cgroup", "/system.slice", 1, 5, ("link", "query")),
        ("cgroup", "/system.slice", 2, None, ("query",)),
    ]
    assert {one.hook for one in report.attachments} == {"cgroup_inet_egress"}


def test_interfaces_of_several_namespaces_with_the_same_number(audited):
    def interface(name, xdp=(), hooks=(), tc=()):
        return {"ifindex": 3, "name": name, "kind": None, "xdp": list(xdp), "tc": list(tc), "hooks": list(hooks)}

    tc = {"kind": "filter", "hook": "egress", "prog_id": 4, "name": "f", "priority": 1, "handle": 1, "parent": 1}
    given = inputs(
        programs=[program(n, "xdp") for n in (1, 2, 3, 4)],
        links=[
            link(5, "xdp", 1, ifindex=3),
            link(6, "tcx", 2, ifindex=3, attach_type="tcx_ingress"),
            link(7, "xdp", 9, ifindex=4),
        ],
        net=[
            {"ino": 1, "interfaces": [interface("eth0", [{"mode": "generic", "prog_id": 3}], tc=[tc])]},
            {
                "ino": 2,
                "interfaces": [
                    interface(
                        "ps0", [{"mode": "native", "prog_id": 1}], [{"attach_type": "tcx_ingress", "prog_ids": [2]}]
                    )
                ],
            },
        ],
        network_namespaces={"1": "/proc/self/ns/net", "2": "/run/netns/blue"},
    )
    found = {
        (one.attach, one.prog.id): (one.target, one.hook, one.netns, one.link and one.link.id, one.seen_by)
        for one in audited(given).attachments
    }
    assert found == {
        ("xdp", 1): ("ps0", "native", "blue", 5, ("link", "netlink")),
        ("tcx", 2): ("ps0", "ingress", "blue", 6, ("link", "query")),
        ("xdp", 3): ("eth0", "generic", "1", None, ("netlink",)),
        ("tc", 4): ("eth0", "egress", "1", None, ("netlink",)),
        ("xdp", 9): ("ifindex 4", None, None, 7, ("link",)),
    }


def test_struct_ops_by_link_and_without(audited):
    given = inputs(
        programs=[program(1, "struct_ops", "init"), program(2, "struct_ops", "init"), program(3, "kprobe")],
        maps=[
            {"id": 8, "type": 26, "name": "a", "value_type_id": 0, "state": 3, "words": [1, 3]},
            {"id": 9, "type": 26, "name": "b", "value_type_id": 0, "state": 1, "words": [2]},
            {"id": 10, "type": 26, "name": "c", "value_type_id": 0, "state": 0, "words": []},
        ],
        links=[link(5, "struct_ops", None, map_id=8)],
    )
    report = audited(given)
    assert [(one.link and one.link.id, [p.id for p in one.programs], one.seen_by) for one in report.attachments] == [
        (5, [1], ("link",)),
        (None, [2], ("map",)),
    ]
    assert [held.prog.id for held in report.loaded] == [3]


def test_a_program_on_a_software_event_is_named_where_only_one_can_be_meant(audited):
    given = inputs(programs=[program(1, "perf_event")], events=[{"pid": 10, "fd": 3, "file": 1}])
    assert brief(audited(given)) == [("perf_event", None, 1, None, ("perf",))]
    given["programs"].append(program(2, "perf_event"))
    assert brief(audited(given)) == [("perf_event", None, None, None, ("perf",))]


def test_unknown_links_pins_and_programs_that_are_only_loaded(audited):
    given = inputs(
        programs=[program(1), program(2, name="tail")],
        links=[link(5, "type_99", 1)],
        pins=[
            {"path": "/sys/fs/bpf/l", "kind": "link", "id": 5},
            {"path": "/sys/fs/bpf/p", "kind": "program", "id": 2},
        ],
        holders=[[10, 7, "program", 2]],
    )
    report = audited(given)
    assert brief(report) == [("type_99", None, 1, 5, ("link",))]
    assert report.attachments[0].pins == ("/sys/fs/bpf/l",)
    (held,) = report.loaded
    assert (held.prog.name, held.pins, owners(held)) == ("tail", ("/sys/fs/bpf/p",), [(10, 7)])


def test_counts_are_unknown_where_the_kernel_does_not_count(audited):
    given = inputs(programs=[program(1, "tracing"), program(2), program(3, run_count=5, run_time_ns=7)])
    refs = [held.prog for held in audited(given).loaded]
    assert [(one.run_count, one.run_time_ns) for one in refs] == [(None, None), (None, None), (5, 7)]
    assert [one.recursion_misses for one in refs] == [0, None, None]
    given["stats_enabled"] = True
    assert [held.prog.run_count for held in audited(given).loaded] == [0, 0, 5]
    assert refs[0].loaded == "2023-11-14T22:12:30Z"  # 50 seconds after boot, which was 100 seconds ago


def test_owner_and_target_narrow_the_report(audited):
    given = inputs(
        programs=[program(1), program(2), program(3)],
        perf=[perf(10, 3, 1, "kprobe", "vfs_read"), perf(20, 4, 2, "kprobe", "vfs_write")],
        holders=[[20, 9, "program", 3]],
        processes=[process(10), process(20)],
    )
    assert [one.target for one in audited(given, owner=10).attachments] == ["vfs_read"]
    report = audited(given, owner=20)
    assert ([one.target for one in report.attachments], len(report.loaded)) == (["vfs_write"], 1)
    assert [one.target for one in audited(given, target="*_read").attachments] == ["vfs_read"]


def test_a_link_of_fdinfo_is_a_row(audited):
    rows = audited(inputs(links=[link(8, "tracing", 3, by_fdinfo=True)], holders=[[10, 4, "link", 8]])).attachments
    assert [(one.attach, one.target, one.prog.id, one.prog.name, one.seen_by) for one in rows] == [
        ("tracing", None, 3, None, ("fdinfo",))
    ]


def test_a_thread_is_told_as_its_process(audited):
    given = inputs(programs=[program(9)], holders=[[11, 5, "program", 9]], processes=[process(10)])
    given["processes"]["11"] = {**process(10, "worker")}
    (one,) = audited(given, owner=10).loaded
    assert [(owner.pid, owner.thread, owner.comm, owner.fd) for owner in one.owners] == [(10, 11, "worker", 5)]
