"""What is taken of a machine: a fake kernel, and a proc made of folders and links."""

from __future__ import annotations

from errno import ENOENT, EOPNOTSUPP

import pytest

from probe_scout.sources.bpf import attached, netlink, processes
from tests.builders.fake_bpf import FakeBpf, write_process

KPROBE = (5, "kprobe", "vfs_read", 0, 0)


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "self").mkdir()
    return tmp_path


def take(calls, proc, net="no"):
    return attached.take(calls, net, str(proc))


def test_one_open_file_behind_several_descriptors_counts_once(proc):
    write_process(proc, 10, "one", {3: "perf_event", 4: "perf_event", 5: "perf_event"})
    write_process(proc, 20, "two", {3: "perf_event"})
    places = ((10, 3), (10, 4), (10, 5), (20, 3))
    files = {(10, 3): "a", (10, 4): "a", (10, 5): "b", (20, 3): "a"}
    found = take(FakeBpf(perf=dict.fromkeys(places, KPROBE), files=files), proc)
    by_file = {}
    for one in found["perf"]:
        by_file.setdefault(one["file"], set()).add((one["pid"], one["fd"]))
    assert sorted(by_file.values(), key=len) == [{(10, 5)}, {(10, 3), (10, 4), (20, 3)}]


def test_without_kcmp_equal_descriptors_count_as_one(proc):
    write_process(proc, 10, "one", {3: "perf_event", 4: "perf_event"})
    found = take(FakeBpf(perf={(10, 3): KPROBE, (10, 4): (5, "kprobe", "vfs_write", 0, 0)}), proc)
    assert [one["file"] for one in found["perf"]] == [1, 2]
    found = take(FakeBpf(perf={(10, 3): KPROBE, (10, 4): KPROBE}), proc)
    assert [one["file"] for one in found["perf"]] == [1, 1]


def test_events_without_a_program_and_with_one_that_is_not_told(proc):
    write_process(proc, 10, "one", {3: "perf_event", 4: "perf_event"})
    found = take(FakeBpf(perf={(10, 3): -ENOENT, (10, 4): -EOPNOTSUPP}), proc)
    assert (found["perf"], found["empty_events"]) == ([], 1)
    assert [(one["pid"], one["fd"]) for one in found["events"]] == [(10, 4)]


def test_a_number_that_is_a_link_by_now_is_no_perf_event(proc):
    """BPF_TASK_FD_QUERY answers for a raw tracepoint's link as well, and links are listed by themselves."""
    write_process(proc, 10, "one", {3: "perf_event", 4: "perf_event"})
    found = take(FakeBpf(perf={(10, 3): (5, "raw_tracepoint", "sched_switch", 0, 0), (10, 4): KPROBE}), proc)
    assert [one["fd"] for one in found["perf"]] == [4]


def test_holders_and_who_they_are(proc):
    cgroup = f"/system.slice/docker-{'ab' * 32}.scope"
    write_process(proc, 10, "agent", {7: ("link", 3), 8: ("program", 9)}, exe="/usr/bin/agent (deleted)", cgroup=cgroup)
    write_process(proc, 11, "shell")
    found = take(FakeBpf(), proc)
    assert sorted(found["holders"]) == [[10, 7, "link", 3], [10, 8, "program", 9]]
    assert set(found["processes"]) == {"10"}
    about = found["processes"]["10"]
    assert (about["comm"], about["exe"], about["exe_deleted"]) == ("agent", "/usr/bin/agent", True)
    assert (about["cgroup"], about["container"]) == (cgroup, "ab" * 32)
    assert found["process_count"] == 2


def test_what_may_not_be_asked_is_a_gap_and_the_rest_is_there(proc):
    write_process(proc, 10, "one", {3: "perf_event", 4: ("link", 8)})
    found = take(FakeBpf(denied={"programs", "links", "maps", "perf"}), proc)
    gaps = {gap["fact"]: gap for gap in found["gaps"]}
    assert set(gaps) == {"bpf_programs", "bpf_links", "bpf_maps", "perf_events"}
    assert gaps["bpf_links"]["kind"] == "denied"
    assert "CAP_SYS_ADMIN" in gaps["bpf_links"]["cure"]
    assert found["holders"] == [[10, 4, "link", 8]]


@pytest.mark.parametrize(("namespace", "facts"), [("4026531836", []), ("4026532200", ["descriptors"])])
def test_in_another_pid_namespace_not_all_owners_are_seen(proc, namespace, facts):
    (proc / "self" / "ns").mkdir()
    (proc / "self" / "ns" / "pid").symlink_to(f"pid:[{namespace}]")
    assert [gap["fact"] for gap in take(FakeBpf(), proc)["gaps"]] == facts


def test_numbers_of_another_pid_namespace_are_not_asked_about(monkeypatch):
    held = processes.Held(10, 3, processes.PERF, None)
    monkeypatch.setattr(processes, "holders", lambda proc, calls: processes.Holders([held], [10], 0))
    monkeypatch.setattr(processes, "is_own_proc", lambda: False)
    monkeypatch.setattr(processes, "bpf_mounts", lambda pids, proc: {})
    monkeypatch.setattr(processes, "cgroup_root", lambda proc: None)
    monkeypatch.setattr(processes, "boot", lambda proc: None)
    found = attached.take(FakeBpf(perf={(10, 3): KPROBE}), "no")
    assert found["perf"] == []
    assert "perf_events" in [gap["fact"] for gap in found["gaps"]]


def test_a_process_that_is_gone_while_it_is_looked_at(proc):
    write_process(proc, 10, "one", {4: ("link", 8)})
    (proc / "10" / "fdinfo" / "4").unlink()
    (proc / "30").mkdir()  # a folder whose fd has gone
    assert processes.holders(str(proc)) == processes.Holders([], [10, 30], 0)
    assert processes.describe(30, str(proc)) is None
    assert take(FakeBpf(), proc)["holders"] == []


def test_a_descriptor_that_is_another_by_now_is_left_out(proc):
    write_process(proc, 10, "one", {4: ("link", 8)})
    (proc / "10" / "fdinfo" / "4").write_text("pos:\t0\nflags:\t02\n")
    assert processes.holders(str(proc)).held == []


def test_bpf_objects_of_links_are_named(proc):
    link = {"id": 1, "type": "tracing", "prog_id": 2, "attach_type": "trace_fentry"}
    calls = FakeBpf(
        links=[{**link, "target_obj_id": 33, "target_btf_id": 5}],
        btfs=[{"id": 33, "name": "xfs"}, {"id": 34, "name": "other"}],
    )
    found = take(calls, proc)
    assert found["btfs"] == {"33": {"id": 33, "name": "xfs", "is_kernels": True}}
    assert calls.open_now() == []


def test_sock_maps_are_asked_only_where_a_program_may_be_on_one(proc):
    maps = [{"id": 4, "type": 15, "name": "socks"}, {"id": 5, "type": 1, "name": "hash"}]
    queries = {(("maps", 4), "sk_skb_stream_verdict"): [9]}
    assert take(FakeBpf(maps=maps, queries=queries), proc)["sockmaps"] == []
    programs = [{"id": 9, "type": "sk_skb", "name": "verdict"}]
    found = take(FakeBpf(programs=programs, maps=maps, queries=queries), proc)
    assert found["sockmaps"] == [{"map_id": 4, "attach_type": "sk_skb_stream_verdict", "prog_ids": [9]}]


def test_namespaces_of_processes_and_of_names(proc, tmp_path):
    (proc / "self" / "ns").mkdir()
    (proc / "self" / "ns" / "net").symlink_to("net:[1]")
    write_process(proc, 10, "one", net=1)
    write_process(proc, 11, "two", net=2)
    named = tmp_path / "netns"
    named.mkdir()
    (named / "blue").write_text("")
    found = processes.network_namespaces([10, 11], str(proc), str(named))
    inode = (named / "blue").stat().st_ino
    assert found == {1: f"{proc}/self/ns/net", 2: f"{proc}/11/ns/net", inode: f"{named}/blue"}


def test_bpf_filesystems_of_other_mount_namespaces_are_reached_through_a_process(proc):
    (proc / "self" / "ns").mkdir()
    (proc / "self" / "ns" / "mnt").symlink_to("mnt:[1]")
    line = "36 25 0:{} / /sys/fs/bpf{} rw - bpf bpf rw,mode=700\n"
    (proc / "self" / "mountinfo").write_text("24 1 0:5 / / rw - ext4 /dev/sda rw\n" + line.format(31, ""))
    write_process(proc, 10, "pod", mnt=2)
    (proc / "10" / "mountinfo").write_text(line.format(31, "") + line.format(32, "\\040two"))
    assert processes.bpf_mounts([10], str(proc)) == {
        "/sys/fs/bpf": "/sys/fs/bpf",
        "/sys/fs/bpf two": f"{proc}/10/root/sys/fs/bpf two",
    }


# ---------------------------------------------------------------- netlink, by messages as pyroute2 hands them out


class Message(dict):
    def __init__(self, attributes=(), **fields):
        super().__init__(**fields, attrs=list(attributes))

    def get_attr(self, name):
        return next((value for key, value in self["attrs"] if key == name), None)


class Net:
    """Interfaces with attributes, qdiscs and filters, as IPRoute gives them."""

    def __init__(self, links, qdiscs=(), filters=None):
        self._links, self._qdiscs, self._filters = links, qdiscs, filters or {}
        self.asked = []

    def get_links(self):
        return self._links

    def get_qdiscs(self):
        return self._qdiscs

    def get_filters(self, index, parent):
        self.asked.append((index, parent))
        return self._filters.get((index, parent), [])


def link(number, name, *attributes):
    return Message([("IFLA_IFNAME", name), *attributes], index=number)


def filter_of(number, name="f", handle=1):
    options = Message([("TCA_BPF_NAME", name), ("TCA_BPF_ID", number)])
    return Message([("TCA_KIND", "bpf"), ("TCA_OPTIONS", options)], info=49152 << 16 | 3, handle=handle)


def test_xdp_native_generic_and_both():
    xdp = Message([("IFLA_XDP_ATTACHED", "xdpgeneric"), ("IFLA_XDP_PROG_ID", 7), ("IFLA_XDP_SKB_PROG_ID", 7)])
    two = Message([("IFLA_XDP_ATTACHED", None), ("IFLA_XDP_DRV_PROG_ID", 8), ("IFLA_XDP_SKB_PROG_ID", 9)])
    found = netlink.interfaces(
        Net([link(1, "lo", ("IFLA_XDP", xdp)), link(2, "eth0", ("IFLA_XDP", two)), link(3, "x")])
    )
    assert [one["xdp"] for one in found] == [
        [{"mode": "generic", "prog_id": 7}],
        [{"mode": "native", "prog_id": 8}, {"mode": "generic", "prog_id": 9}],
        [],
    ]


def test_filters_of_clsact_and_of_other_qdiscs():
    clsact = Message([("TCA_KIND", "clsact")], index=1, parent=0xFFFFFFF1, handle=0xFFFF0000)
    prio = Message([("TCA_KIND", "prio")], index=1, parent=0xFFFFFFFF, handle=0x10000)
    filters = {
        (1, netlink.CLSACT_EGRESS): [filter_of(5, "egress"), filter_of(5, "egress")],
        (1, 0x10000): [filter_of(6)],
    }
    net = Net([link(1, "lo")], [clsact, prio], filters)
    (one,) = netlink.interfaces(net)
    assert [(each["hook"], each["prog_id"], each["kind"]) for each in one["tc"]] == [
        ("egress", 5, "filter"),
        ("qdisc 1:", 6, "filter"),
    ]
    assert (1, netlink.CLSACT_INGRESS) in net.asked


def test_an_action_below_another_filter():
    action = Message([("TCA_ACT_OPTIONS", Message([("TCA_ACT_BPF_ID", 12)]))])
    options = Message([("TCA_MATCHALL_ACT", Message([("TCA_ACT_PRIO_1", action)]))])
    matchall = Message([("TCA_KIND", "matchall"), ("TCA_OPTIONS", options)], info=1 << 16, handle=1)
    clsact = Message([("TCA_KIND", "clsact")], index=1, parent=0xFFFFFFF1, handle=0xFFFF0000)
    (one,) = netlink.interfaces(Net([link(1, "lo")], [clsact], {(1, netlink.CLSACT_INGRESS): [matchall]}))
    assert [(each["kind"], each["prog_id"]) for each in one["tc"]] == [("action", 12)]


def test_a_hook_that_one_interface_refuses_is_asked_of_the_next():
    def query(number, hook):
        if hook == "netkit_primary" and number == 1:
            raise PermissionError(13, "EACCES")
        return [number] if hook == "netkit_primary" else []

    netkit = ("IFLA_LINKINFO", Message([("IFLA_INFO_KIND", "netkit")]))
    found = netlink.interfaces(Net([link(1, "peer", netkit), link(2, "main", netkit)]), query)
    assert [one["hooks"] for one in found] == [[], [{"attach_type": "netkit_primary", "prog_ids": [2]}]]


def test_the_attributes_that_pyroute2_lacks():
    """Fails when upstream adds them: then the widening can go."""
    from pyroute2.netlink.rtnl.tcmsg import act_bpf, sched_bpf

    class Options:
        nla_map = sched_bpf.options.nla_map[:9]

    assert Options.nla_map[8][0] == "TCA_BPF_FLAGS"
    netlink.widen(Options, netlink._FILTER_MORE)
    assert Options.nla_map[11][0] == "TCA_BPF_ID"
    netlink.widen(Options, netlink._FILTER_MORE)
    assert len(Options.nla_map) == 12
    assert act_bpf.options.nla_map[6][0] == "TCA_ACT_BPF_NAME"


def test_an_ordinary_user_sees_the_links_of_own_processes(proc):
    write_process(proc, 10, "one", {4: ("link", 8), 5: ("link", 8)})
    for fd in ("4", "5"):
        (proc / "10" / "fdinfo" / fd).write_text(
            "pos:\t0\nlink_type:\ttracing\nlink_id:\t8\nprog_tag:\t00\nprog_id:\t3\n"
        )
    denied = FakeBpf(denied={"programs", "links", "maps", "perf"})
    assert take(denied, proc)["links"] == [{"id": 8, "type": "tracing", "prog_id": 3, "by_fdinfo": True}]


def test_the_command_line_and_the_user_of_a_holder(proc, tmp_path):
    write_process(proc, 10, "one", {4: ("link", 8)})
    (proc / "10" / "cmdline").write_bytes(b"/usr/bin/one\0--port\x005\0")
    (proc / "10" / "status").write_text("Name:\tone\nUid:\t1000\t0\t0\t0\nGid:\t0\t0\t0\t0\n")
    about = take(FakeBpf(), proc)["processes"]["10"]
    assert (about["cmdline"], about["uid"]) == ("/usr/bin/one --port 5", 0)
    passwd = tmp_path / "passwd"
    passwd.write_text("root:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:1000::/:/bin/sh\n")
    assert [processes.user_name(uid, str(passwd)) for uid in (0, 1000, 7)] == ["root", "alice", None]
    (proc / "10" / "cmdline").write_bytes(b"")  # a kernel thread, or a process that ends
    (proc / "10" / "status").unlink()
    about = take(FakeBpf(), proc)["processes"]["10"]
    assert (about["cmdline"], about["uid"], about["user"]) == (None, None, None)


def test_the_boot_is_told(proc):
    assert take(FakeBpf(), proc)["boot"] is None
    folder = proc / "sys" / "kernel" / "random"
    folder.mkdir(parents=True)
    told = []
    for number in ("0f3a\n", "0f3b\n", "0f3a\n"):
        (folder / "boot_id").write_text(number)
        told.append(take(FakeBpf(), proc)["boot"])
    assert told[0] == told[2] != told[1]
    assert "0f3a" not in told[0]


def test_a_snapshot_keeps_no_command_lines(tiny_kernel, monkeypatch):
    import json

    from probe_scout.commands import audit
    from probe_scout.sources.source import Description

    from ...commands.audit.conftest import inputs, process

    k = tiny_kernel(["vfs_read"])._kernel
    monkeypatch.setattr(type(k.source), "describe", lambda self: Description("live", "/"), raising=False)
    given = inputs(processes=[process(10, cmdline="agent --password secret", user="alice")])
    monkeypatch.setattr(audit, "document", lambda k: given)
    (raw,) = audit.saved(k).values()
    assert b"secret" not in raw
    assert json.loads(raw)["processes"]["10"]["user"] == "alice"


@pytest.fixture
def found_unlisted(monkeypatch):
    """Numbers of threads are no folders of proc's list, and lead to one all the same."""
    monkeypatch.setattr(processes, "pids", lambda proc: [10])


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (0, [[10, 4, "link", 8]]),  # one table for all threads: read once
        (1, [[10, 4, "link", 8], [11, 5, "program", 9]]),  # copied, and then one of its own
        (-1, [[10, 4, "link", 8], [11, 5, "program", 9]]),  # kcmp(2) may not be asked
    ],
)
def test_a_thread_with_descriptors_of_its_own(proc, found_unlisted, tables, expected):
    write_process(proc, 10, "one", {4: ("link", 8)})
    write_process(proc, 11, "worker", {4: ("link", 8), 5: ("program", 9)})
    (proc / "11" / "status").write_text("Name:\tworker\nTgid:\t10\nPid:\t11\nUid:\t0\t0\t0\t0\n")
    for number in ("10", "11"):
        (proc / "10" / "task" / number).mkdir(parents=True)
    found = take(FakeBpf(tables=lambda pid, other: tables), proc)
    assert found["holders"] == expected
    if tables:
        assert (found["processes"]["11"]["pid"], found["processes"]["11"]["comm"]) == (10, "worker")


def test_two_threads_with_one_table_count_once(proc, found_unlisted):
    """The first thread has ended, and the others share what was the process's."""
    write_process(proc, 10, "one")
    for number in (11, 12):
        write_process(proc, number, "worker", {5: ("program", 9)})
        (proc / "10" / "task" / str(number)).mkdir(parents=True)
    tables = {(10, 11): 1, (10, 12): 1, (11, 12): 0}
    assert take(FakeBpf(tables=lambda *pair: tables[pair]), proc)["holders"] == [[11, 5, "program", 9]]
