"""The judge of audits finds what is missing, twice, invented or wrong; and what bpftool says is compared row by row."""

from __future__ import annotations

import copy

import pytest

from tests.vm import bpftool_rows, planted

LINES = (
    "children\tsecond=8\tgone=9\telsewhere=10",
    "planted\tkprobe/link\tvfs_fsync\t0\t-\t3\tkprobe_link\t2\t7\t-\tcookie=0x1111",
    "planted\tkprobe/shared\tvfs_mknod\t0\t-\t11\tkprobe_shared\t-\t7,8\t-\ttwo descriptors here, one there",
    "planted\tkprobe/twin\tvfs_tmpfile\t0\t-\t12\tkprobe_twin\t-\t7\t-\ttwo events",
    "planted\tkprobe/twin\tvfs_tmpfile\t0\t-\t12\tkprobe_twin\t-\t7\t-\ttwo events",
    "planted\tkprobe_event\tvfs_unlink\t0\t-\t-\t-\t-\t-\t-\tevent=holder:plain enabled",
    "planted\ttc/egress\tlo\t-\t-\t51\ttc_egress\t-\t-\t/sys/fs/bpf/holder/prog\tattach=egress program pinned",
    "planted\tunseen/pin\t-\t-\t-\t69\tunseen_pin\t-\t-\t/sys/fs/bpf/holder/unseen\tonly pinned",
    "planted\tstruct_ops/map\ttcp_congestion_ops\t-\t-\t-\t-\t-\t7\t-\tmap=5 programs=73,74",
    "lacks\thardware/link\tENOENT\t",
    "ready",
)
ROWS = planted.rows(LINES)
NOTHING = planted.Judged([], [], [], [])


def attachment(attach, target, prog=None, link=None, pids=(7,), **more):
    ids = None if prog is None else {"id": prog, "name": f"{more.pop('name')}"}
    owners = [{"pid": pid, "fd": 3} for pid in pids]
    link = None if link is None else {"id": link, "type": "perf_event"}
    empty = {"module": None, "offset": 0, "pins": [], "places": [], "symbol": None, "cookie": None, "event": None}
    fixed = {"attach": attach, "target": target, "prog": ids, "link": link, "owners": owners}
    return {**fixed, **empty, "hook": None, "programs": [], "seen_by": [], **more}


@pytest.fixture
def right():
    """An audit that has all of LINES."""
    twin = attachment("kprobe", "vfs_tmpfile", 12, name="kprobe_twin")
    return {
        "attachments": [
            attachment("kprobe", "vfs_fsync", 3, 2, name="kprobe_link", cookie=0x1111),
            attachment("kprobe", "vfs_mknod", 11, pids=(7, 7, 8), name="kprobe_shared"),
            twin,
            copy.deepcopy(twin),
            attachment("kprobe_event", "vfs_unlink", pids=(), event="holder:plain"),
            attachment("tc", "lo", 51, pids=(), name="tc_egress", hook="egress", pins=["/sys/fs/bpf/holder/prog"]),
            attachment("struct_ops", "tcp_congestion_ops", programs=[{"id": 74}, {"id": 73}]),
        ],
        "loaded": [{"prog": {"id": 69, "name": "unseen_pin"}, "owners": [], "pins": ["/sys/fs/bpf/holder/unseen"]}],
    }


def test_rows_and_what_is_lacking():
    assert [row.kind for row in ROWS].count("kprobe/twin") == 2
    assert ROWS[1][7:] == ((7, 8), None, {})
    assert planted.lacking(LINES) == {"hardware/link": "ENOENT"}


def test_a_right_audit(right):
    assert planted.judge(ROWS, right) == NOTHING


@pytest.mark.parametrize("place", range(7))
def test_what_is_missing(right, place):
    """One of the twins, too."""
    del right["attachments"][place]
    judged = planted.judge(ROWS, right)
    assert len(judged.missing) == 1
    assert judged._replace(missing=[], wrong=[]) == NOTHING


@pytest.mark.parametrize("place", range(7))
def test_what_is_there_twice(right, place):
    right["attachments"].append(copy.deepcopy(right["attachments"][place]))
    judged = planted.judge(ROWS, right)
    assert judged.doubled
    assert judged.missing == []


def test_what_is_invented(right):
    right["attachments"].append(attachment("ftrace", "vfs_getattr"))
    right["loaded"].append({"prog": {"id": 3, "name": "kprobe_link"}, "owners": [], "pins": []})
    judged = planted.judge(ROWS, right)
    assert len(judged.invented) == 2
    assert judged._replace(invented=[]) == NOTHING


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, {"target": "vfs_read"}),
        (0, {"cookie": 0x2222}),
        (0, {"module": "ext4"}),
        (0, {"offset": 5}),
        (1, {"owners": [{"pid": 7, "fd": 3}]}),
        (5, {"pins": []}),
        (5, {"hook": "ingress"}),
        (6, {"attach": "kprobe"}),
    ],
)
def test_what_is_wrong(right, place, change):
    right["attachments"][place].update(change)
    judged = planted.judge(ROWS, right)
    assert len(judged.wrong) == 1
    assert judged._replace(wrong=[]) == NOTHING


def test_without_net_only_interfaces_may_be_missing(right):
    right["loaded"].append({"prog": {"id": 51, "name": "tc_egress"}, "owners": [], "pins": []})
    del right["attachments"][5]
    assert planted.judge(ROWS, right, with_net=False) == NOTHING
    del right["attachments"][0]
    assert len(planted.judge(ROWS, right, with_net=False).missing) == 1


def test_what_a_kernel_does_not_tell(right):
    right["attachments"][0]["target"] = None
    right["attachments"] = [one for one in right["attachments"] if one["attach"] != "tc"]
    pinned = ["/sys/fs/bpf/holder/prog"]
    right["loaded"].append({"prog": {"id": 51, "name": "tc_egress"}, "owners": [], "pins": pinned})
    untold = {"kprobe/link": planted.TARGET, "tc/egress": planted.LOADED}
    assert planted.judge(ROWS, right, untold=untold) == NOTHING
    right["attachments"][0]["target"] = "vfs_read"
    assert len(planted.judge(ROWS, right, untold=untold).wrong) == 1


def test_perf_show(right):
    rows = [{"pid": 7, "fd": 3, "prog_id": 12, "fd_type": "kprobe", "func": "vfs_tmpfile", "offset": 0}]
    assert bpftool_rows.perf(rows, right["attachments"][2:3]) == []
    assert len(bpftool_rows.perf([{**rows[0], "prog_id": 3}], right["attachments"][2:3])) == 1
    assert len(bpftool_rows.perf([{**rows[0], "func": "vfs_read"}], right["attachments"][2:3])) == 1
    assert len(bpftool_rows.perf([{**rows[0], "fd": 9}], right["attachments"][2:3])) == 1


def test_link_show(right):
    rows = [{"id": 2, "type": "perf_event", "prog_id": 3}]
    assert bpftool_rows.link(rows, right["attachments"]) == []
    assert bpftool_rows.link([{**rows[0], "type": 12}], right["attachments"]) != []
    assert bpftool_rows.link([], right["attachments"]) != []


def test_net_show_is_no_json_where_a_flow_dissector_is():
    text = '[{"xdp":[{"devname":"lo","ifindex":1,"mode":"generic","id":3}],"tc":[],"flow_dissector":["id":22]}]'
    document, is_valid = bpftool_rows.read(text)
    assert not is_valid
    assert document[0]["flow_dissector"] == [{"id": 22}]
    assert bpftool_rows.net(document, []) == [f"net {document[0]['xdp'][0]}"]
    assert bpftool_rows.net(document, [attachment("xdp", "lo", 3, name="any")]) == []
