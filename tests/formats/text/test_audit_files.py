"""dynamic_events, kprobes/list, kprobe_profile and bpftool's outputs: lines as kernels write them, and damaged ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats import bpftool
from probe_scout.formats.text import dynamic_events, kprobes_list
from probe_scout.formats.text.dynamic_events import DynamicEvent
from probe_scout.formats.text.kprobes_list import RegisteredProbe
from tests.builders.damage import EXAMPLES, answer, damaged

EVENTS = b"""\
p:kprobes/p_vfs_read_0 vfs_read
r32:mine/ret xfs:xfs_file_open arg1=$retval
p:mine/inside vfs_write+0x1c
p:mine/at 0xffffffff81234567
p:uprobes/u /usr/lib/a:b.so:0x00000000000004d2(0x10) x=%ax
r:uprobes/ur /bin/x:0x10
p:mine/new vfs_open%return
f:fprobes/f vfs_mkdir arg=$arg1
f:fprobes/fx vfs_mkdir%return
t:tracepoints/t sched_switch
e:eprobes/e sched.sched_switch pid=$prev_pid
s:synthetic/s int a
"""


def test_dynamic_events():
    found = dynamic_events.table(EVENTS)
    assert found == (
        DynamicEvent("kprobe_event", "kprobes", "p_vfs_read_0", "vfs_read", None, 0),
        DynamicEvent("kretprobe_event", "mine", "ret", "xfs_file_open", "xfs", 0),
        DynamicEvent("kprobe_event", "mine", "inside", "vfs_write", None, 0x1C),
        DynamicEvent("kprobe_event", "mine", "at", "0xffffffff81234567", None, None),
        DynamicEvent("uprobe_event", "uprobes", "u", "/usr/lib/a:b.so", None, 1234),
        DynamicEvent("uretprobe_event", "uprobes", "ur", "/bin/x", None, 16),
        DynamicEvent("kretprobe_event", "mine", "new", "vfs_open", None, 0),
        DynamicEvent("fprobe_event", "fprobes", "f", "vfs_mkdir", None, 0),
        DynamicEvent("fexit_event", "fprobes", "fx", "vfs_mkdir", None, 0),
        DynamicEvent("tprobe_event", "tracepoints", "t", "sched_switch", None, None),
    )
    for one in found:
        assert dynamic_events.find(EVENTS, one.group, one.name) == one
    assert dynamic_events.find(EVENTS, "eprobes", "e") is None
    assert dynamic_events.find(EVENTS, "mine", "none") is None


LIST = b"""\
ffffffff81402344  k  vfs_read+0x4    [FTRACE]
ffffffff81402344  r  vfs_read+0x4    [DISABLED][FTRACE]
0000000000000000  k  xfs_file_open+0x0  xfs [OPTIMIZED]
ffffffffc0402344  k  gone_one+0x10/0x20 [mod] [GONE]
"""


def test_registered_kprobes():
    found = kprobes_list.table(LIST)
    assert found == (
        RegisteredProbe(0xFFFFFFFF81402344, False, "vfs_read", 4, None, ("FTRACE",)),
        RegisteredProbe(0xFFFFFFFF81402344, True, "vfs_read", 4, None, ("DISABLED", "FTRACE")),
        RegisteredProbe(0, False, "xfs_file_open", 0, "xfs", ("OPTIMIZED",)),
        RegisteredProbe(0xFFFFFFFFC0402344, False, "gone_one", 16, "mod", ("GONE",)),
    )
    for name in ("vfs_read", "xfs_file_open", "gone_one", "none"):
        assert kprobes_list.find(LIST, name) == tuple(one for one in found if one.symbol == name)


def test_profile():
    raw = b"  p_vfs_read_0                        12               3\n"
    assert dynamic_events.profile(raw) == {"p_vfs_read_0": (12, 3)}


@pytest.mark.parametrize(
    ("read", "raw"),
    [
        (dynamic_events.table, b"p:kprobes/x"),
        (dynamic_events.table, b"what\n"),
        (dynamic_events.table, b"p:nogroup vfs_read\n"),
        (dynamic_events.table, b"p:g/u /bin/x\n"),
        (dynamic_events.table, b"p:g/\xff vfs_read\n"),
        (dynamic_events.profile, b"one 2\n"),
        (dynamic_events.profile, b"one x y\n"),
        (kprobes_list.table, b"ffff  k  vfs_read\n"),
        (kprobes_list.table, b"zzzz  k  vfs_read+0x0\n"),
        (kprobes_list.table, b"ffff  x  vfs_read+0x0\n"),
        (kprobes_list.table, b"\n"),
        (bpftool.perf, b"{"),
        (bpftool.perf, b"3"),
        (bpftool.perf, b'[{"pid": "x", "fd_type": "kprobe"}]'),
        (bpftool.links, b"[1]"),
        (bpftool.links, b'[{"type": "xdp"}]'),
        (bpftool.programs, b'[{"id": -1}]'),
    ],
)
def test_damaged_files_are_malformed(read, raw):
    with pytest.raises(Malformed):
        read(raw)


def test_bpftool_perf_show():
    rows = [
        {"pid": 132, "fd": 28, "prog_id": 6, "fd_type": "raw_tracepoint", "tracepoint": "sched_switch"},
        {"pid": 132, "fd": 37, "prog_id": 12, "fd_type": "kprobe", "func": "vfs_fsync", "offset": 9},
        {"pid": 134, "fd": 14, "prog_id": 32, "fd_type": "kprobe", "addr": 18446744071587064304},
        {"pid": 132, "fd": 44, "prog_id": 14, "fd_type": "uprobe", "filename": "/host/load", "offset": 4793},
        {"pid": 132, "fd": 45, "prog_id": 15},
    ]
    found, error = bpftool.perf(json.dumps(rows).encode())
    assert error == ""
    assert [(one["type"], one["name"], one["offset"], one["address"]) for one in found] == [
        ("raw_tracepoint", "sched_switch", 0, None),
        ("kprobe", "vfs_fsync", 9, None),
        ("kprobe", "", 0, 18446744071587064304),
        ("uprobe", "/host/load", 4793, None),
        ("", "", 0, None),
    ]


# Of bpftool 7.1; a type that it does not know has no line end (print_perf_plain).
TEXT = b"""\
pid 132  fd 28: prog_id 6  raw_tracepoint  sched_switch
pid 132  fd 26: prog_id 5  tracepoint  sched_process_exec
pid 132  fd 37: prog_id 12  kprobe  func vfs_fsync  offset 9
pid 134  fd 14: prog_id 32  kretprobe  addr 18446744071587064304
pid 132  fd 45: prog_id 15  pid 132  fd 44: prog_id 14  uprobe  filename /a  b/load  offset 4793
"""


def test_bpftool_perf_show_as_plain_text():
    found, error = bpftool.perf(TEXT)
    assert error == ""
    assert [(one["fd"], one["type"], one["name"], one["offset"], one["address"]) for one in found] == [
        (28, "raw_tracepoint", "sched_switch", 0, None),
        (26, "tracepoint", "sched_process_exec", 0, None),
        (37, "kprobe", "vfs_fsync", 9, None),
        (14, "kretprobe", "", 0, 18446744071587064304),
        (45, "", "", 0, None),
        (44, "uprobe", "/a  b/load", 4793, None),
    ]


def test_plain_text_of_nothing_and_of_a_refusal():
    assert bpftool.perf(b"", bpftool.PERF_TEXT) == ([], "")
    refused = b"Error: perf_query_support: Operation not permitted\n"
    assert bpftool.perf(refused) == ([], "perf_query_support: Operation not permitted")


@pytest.mark.parametrize("raw", [b"", b"hello\n", TEXT + b"hello\n", b"[1]", b'{"a": 1', b"pid 1  fd x: prog_id 3"])
def test_other_text_is_malformed(raw):
    with pytest.raises(Malformed):
        bpftool.perf(raw)


NET = b"""\
[{"xdp":[{"devname":"lo","ifindex":1,"mode":"generic","id":48},
         {"devname":"h0","ifindex":3,"multi_attachments":[{"mode":"driver","id":46},{"mode":"offload","id":47}]}],
  "tc":[{"devname":"lo","ifindex":1,"kind":"clsact/ingress","name":"in","id":49},
        {"devname":"h0","ifindex":3,"kind":"prio","name":"p","id":51},
        {"devname":"lo","ifindex":1,"kind":"tcx/ingress","name":"x","prog_id":52,"link_id":9}],
  "flow_dissector":["id":22]}]
"""


def test_bpftool_net_show_that_is_no_json():
    with pytest.raises(ValueError, match="delimiter"):
        json.loads(NET)
    found, error = bpftool.net(NET)
    assert (error, found["flow_dissector"]) == ("", [22])
    lo, h0 = found["interfaces"]
    assert (lo["name"], lo["xdp"]) == ("lo", [{"mode": "generic", "prog_id": 48}])
    assert [(one["hook"], one["prog_id"]) for one in lo["tc"]] == [("ingress", 49)]
    assert lo["hooks"] == [{"attach_type": "tcx_ingress", "prog_ids": [52]}]
    assert h0["xdp"] == [{"mode": "native", "prog_id": 46}, {"mode": "offload", "prog_id": 47}]
    assert [(one["hook"], one["prog_id"]) for one in h0["tc"]] == [("qdisc prio", 51)]


def test_bpftool_net_show_refused():
    raw = b'{"error":"can\'t query prog: Operation not permitted"}'
    assert bpftool.net(raw) == ({"interfaces": [], "flow_dissector": []}, "can't query prog: Operation not permitted")


def test_bpftool_link_show():
    rows = [
        {"id": 1, "type": "perf_event", "prog_id": 2},
        {
            "id": 2,
            "type": "perf_event",
            "prog_id": 2,
            "retprobe": True,
            "addr": 5,
            "func": "f",
            "offset": 0,
            "missed": 3,
        },
        {"id": 3, "type": 77, "prog_id": 2},
        {
            "id": 4,
            "type": "tracing",
            "prog_id": 2,
            "attach_type": "trace_fexit",
            "target_obj_id": 0,
            "target_btf_id": 0,
        },
    ]
    found, _ = bpftool.links(json.dumps(rows).encode())
    assert found[0]["perf_type"] is None
    assert (found[1]["perf_type"], found[1]["missed"], found[1]["address"]) == ("kretprobe", 3, 5)
    assert found[2]["type"] == "type_77"
    assert (
        bpftool.links(b'[{"id": 1, "type": "type 12", "prog_id": 2, "attach_type": 58}]')[0][0]
        | {
            "type": "type_12",
            "attach_type": "type_58",
        }
        == bpftool.links(b'[{"id": 1, "type": 12, "prog_id": 2, "attach_type": 58}]')[0][0]
    )
    assert "pf" not in bpftool.links(b'[{"id": 1, "type": "netfilter", "prog_id": 2}]')[0][0]
    assert (found[3]["target_obj_id"], found[3]["target_btf_id"]) == (None, None)


READERS = {
    "dynamic_events": (dynamic_events.table, EVENTS),
    "kprobe_profile": (dynamic_events.profile, b"  one 12  3\n  two 0 0\n"),
    "kprobes_list": (kprobes_list.table, LIST),
    "bpftool_text": (bpftool.perf, TEXT),
    "bpftool_net": (bpftool.net, NET),
    "bpftool": (bpftool.links, b'[{"id": 1, "type": "xdp", "prog_id": 2}, {"id": 2, "type": "tracing", "prog_id": 3}]'),
}


@pytest.mark.property
@pytest.mark.parametrize("name", READERS)
@EXAMPLES
@given(data=st.data())
def test_any_bytes_are_read_or_malformed(name, data):
    read, raw = READERS[name]
    answer(read, data.draw(damaged(raw)))
