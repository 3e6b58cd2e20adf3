"""bpf(2)'s structs, read back from a fake kernel that writes them: every link type, shorter structs, vanishing ids."""

from __future__ import annotations

import pytest

from probe_scout.sources.bpf import objects as bpf
from tests.builders.fake_bpf import FakeBpf

LINKS = [
    {"id": 1, "type": "raw_tracepoint", "prog_id": 9, "tp_name": "sched_switch", "cookie": 7},
    {
        "id": 2,
        "type": "tracing",
        "prog_id": 9,
        "attach_type": "trace_fexit",
        "target_obj_id": 1,
        "target_btf_id": 4321,
        "cookie": 8,
    },
    {"id": 3, "type": "cgroup", "prog_id": 9, "cgroup_id": 1 << 40 | 5, "attach_type": "cgroup_inet_egress"},
    {"id": 4, "type": "netns", "prog_id": 9, "netns_ino": 4026531840, "attach_type": "sk_lookup"},
    {"id": 5, "type": "xdp", "prog_id": 9, "ifindex": 3},
    {"id": 6, "type": "tcx", "prog_id": 9, "ifindex": 3, "attach_type": "tcx_egress"},
    {"id": 7, "type": "netkit", "prog_id": 9, "ifindex": 4, "attach_type": "netkit_peer"},
    {"id": 8, "type": "netfilter", "prog_id": 9, "pf": 2, "hook": 1, "priority": -100, "flags": 0},
    {"id": 9, "type": "struct_ops", "prog_id": None, "map_id": 77},
    {"id": 10, "type": "sockmap", "prog_id": 9, "map_id": 78, "attach_type": "sk_msg_verdict"},
    {
        "id": 11,
        "type": "perf_event",
        "prog_id": 9,
        "perf_type": "kretprobe",
        "name": "vfs_read",
        "offset": 0,
        "address": 0xFFFFFFFF81000004,
        "missed": 12,
        "cookie": 3,
    },
    {
        "id": 12,
        "type": "perf_event",
        "prog_id": 9,
        "perf_type": "uprobe",
        "name": "/bin/x",
        "offset": 4096,
        "cookie": 2,
        "ref_ctr_offset": 0,
    },
    {"id": 13, "type": "perf_event", "prog_id": 9, "perf_type": "tracepoint", "name": "sched_switch", "cookie": 1},
    {"id": 14, "type": "perf_event", "prog_id": 9, "perf_type": "event", "config": 2, "event_type": 1, "cookie": 0},
]


@pytest.mark.parametrize("link", LINKS, ids=lambda one: f"{one['type']}-{one['id']}")
def test_a_link_is_read_as_it_was_written(link):
    given = {**link, "prog_id": link["prog_id"] or 0}
    assert list(bpf.links(FakeBpf(links=[given]))) == [link]


def test_links_with_several_places():
    (multi, uprobes, typed, iterator) = bpf.links(
        FakeBpf(
            links=[
                {"id": 1, "type": "kprobe_multi", "prog_id": 2, "addresses": [16, 32], "cookies": [5, 6], "missed": 4},
                {
                    "id": 2,
                    "type": "uprobe_multi",
                    "prog_id": 2,
                    "path": "/bin/x",
                    "pid": 44,
                    "offsets": [100, 200, 300],
                    "is_return": True,
                },
                {
                    "id": 3,
                    "type": "tracing_multi",
                    "prog_id": 2,
                    "attach_type": "trace_fentry_multi",
                    "btf_obj_id": 1,
                    "btf_ids": [11, 12],
                },
                {"id": 4, "type": "iter", "prog_id": 2, "target_name": "task"},
            ]
        )
    )
    assert (multi["addresses"], multi["cookies"], multi["missed"], multi["is_return"]) == ([16, 32], [5, 6], 4, False)
    assert (uprobes["path"], uprobes["offsets"], uprobes["pid"]) == ("/bin/x", [100, 200, 300], 44)
    assert (uprobes["is_return"], uprobes["cookies"], uprobes["ref_ctr_offsets"]) == (True, [0, 0, 0], [0, 0, 0])
    assert (typed["btf_obj_id"], typed["btf_ids"], typed["attach_type"]) == (1, [11, 12], "trace_fentry_multi")
    assert (iterator["target_name"], iterator["map_id"]) == ("task", None)


def test_an_unknown_type_of_link_keeps_its_number():
    assert list(bpf.links(FakeBpf(links=[{"id": 5, "type": 99, "prog_id": 3}]))) == [
        {"id": 5, "type": "type_99", "prog_id": 3}
    ]


def test_what_an_older_kernel_does_not_write_is_none_and_not_zero():
    links = [LINKS[0], LINKS[1], LINKS[10], {"id": 20, "type": "kprobe_multi", "prog_id": 1, "addresses": [16]}]
    newer = list(bpf.links(FakeBpf(links=[{**one, "cookie": 0, "missed": 0} for one in links])))
    older = list(bpf.links(FakeBpf(links=links, unwritten=("cookie", "missed", "cookies"))))
    assert [one.get("cookie") for one in newer[:3]] == [0, 0, 0]
    assert [one.get("cookie") for one in older[:3]] == [None, None, None]
    assert (newer[2]["missed"], older[2]["missed"], newer[3]["missed"], older[3]["missed"]) == (0, None, 0, None)
    assert (newer[3]["cookies"], older[3]["cookies"], older[3]["addresses"]) == ([0], None, [16])


def test_the_target_that_5_10_leaves_out_is_none():
    (one,) = bpf.links(FakeBpf(links=[LINKS[1]], link_bytes=32, unwritten=("target_obj_id", "target_btf_id")))
    assert (one["attach_type"], one["target_obj_id"], one["target_btf_id"], one["cookie"]) == (
        *("trace_fexit", None, None),
        None,
    )


def test_a_program_and_a_shorter_struct():
    given = {
        "id": 3,
        "type": "tracing",
        "name": "on_read",
        "tag": "0123456789abcdef",
        "uid": 1000,
        "maps": [4, 5],
        "run_count": 10,
        "run_time_ns": 999,
        "recursion_misses": 2,
        "attach_btf_obj_id": 1,
        "attach_btf_id": 55,
    }
    (new,), (old,) = (list(bpf.programs(FakeBpf(programs=[given], prog_bytes=size))) for size in (232, 208))
    assert {key: new[key] for key in given} == given
    assert (old["recursion_misses"], old["attach_btf_id"]) == (None, None)
    assert (old["maps"], old["run_count"]) == ([4, 5], 10)


def test_what_vanishes_between_listing_and_opening_is_left_out():
    programs = [{"id": n, "type": "kprobe", "name": f"p{n}"} for n in (1, 2, 3)]
    calls = FakeBpf(programs=programs, gone={("programs", 2)})
    assert [one["id"] for one in bpf.programs(calls)] == [1, 3]
    assert calls.open_now() == []


def test_a_struct_ops_map_tells_its_state_and_its_programs():
    value = b"".join(n.to_bytes(8, "little") for n in (1 | 1 << 32, 0, 41, 42, 0xFFFFFFFF81000000))
    (one,) = bpf.maps(FakeBpf(maps=[{"id": 6, "type": 26, "name": "ops", "value": value, "value_type_id": 9}]))
    assert (one["state"], one["words"], one["value_type_id"]) == (1, [41, 42], 9)


def test_refusals_are_told_apart():
    with pytest.raises(bpf.Refused, match="EPERM"):
        list(bpf.programs(FakeBpf(denied={"programs"})))
    assert bpf.task_fd(FakeBpf(), 1, 2) == -524
    assert bpf.errno_name(524) == "ENOTSUPP"


def test_a_query_grows_its_room():
    many = list(range(1, 200))
    assert bpf.query(FakeBpf(queries={(3, "tcx_ingress"): many}), 3, "tcx_ingress") == many


def test_the_tables_are_those_of_the_header():
    for names, count, last in (
        (bpf.PROGRAM_TYPES, 33, "netfilter"),
        (bpf.LINK_TYPES, 16, "tracing_multi"),
        (bpf.ATTACH_TYPES, 62, "trace_fsession_multi"),
    ):
        assert (len(names), names[-1], len(set(names))) == (count, last, count)
    assert bpf.ATTACH_TYPES[23] == "trace_raw_tp"
    assert bpf.type_name(bpf.LINK_TYPES, 16) == "type_16"


def fdinfo(*lines):
    return "".join(f"{line.replace('=', chr(58) + chr(9), 1)}\n" for line in ("pos=0", "flags=02000000", *lines))


def test_what_fdinfo_tells_of_links():
    """As 7.3 writes it; 6.12 stops behind prog_id."""
    kprobe = ("link_type=perf", "link_id=4", "prog_tag=00", "prog_id=9", "name=vfs_read", "offset=0x10", "missed=2")
    assert bpf.link_of_fdinfo(fdinfo(*kprobe, "addr=0xffff", "event_type=kretprobe", "cookie=3")) == {
        "id": 4,
        "type": "perf_event",
        "prog_id": 9,
        "perf_type": "kretprobe",
        "name": "vfs_read",
        "offset": 16,
        "missed": 2,
        "cookie": 3,
        "by_fdinfo": True,
    }
    assert bpf.link_of_fdinfo(fdinfo("link_type=kretprobe_multi", "link_id=4", "prog_id=9", "kprobe_cnt=1")) == {
        "id": 4,
        "type": "kprobe_multi",
        "prog_id": 9,
        "is_return": True,
        "by_fdinfo": True,
    }
    tracing = fdinfo("link_type=tracing", "link_id=5", "prog_id=9", "attach_type=25", "target_btf_id=77")
    assert bpf.link_of_fdinfo(tracing) == {
        "id": 5,
        "type": "tracing",
        "prog_id": 9,
        "attach_type": "trace_fexit",
        "target_btf_id": 77,
        "by_fdinfo": True,
    }
    tcx = fdinfo("link_type=tcx", "link_id=5", "ifindex=3", "attach_type=47 (tcx_egress)")
    assert bpf.link_of_fdinfo(tcx)["attach_type"] == "tcx_egress"
    assert bpf.link_of_fdinfo(fdinfo("link_type=<99>", "link_id=5"))["type"] == "type_99"
    assert bpf.link_of_fdinfo(fdinfo("link_type=xdp", "link_id=5", "prog_id=1"))["type"] == "xdp"
    for text in ("", fdinfo(), fdinfo("link_type=xdp"), fdinfo("link_type=xdp", "link_id=x")):
        assert bpf.link_of_fdinfo(text) is None
