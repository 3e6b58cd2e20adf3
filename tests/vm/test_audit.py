"""`audit` in guests: every attachment of the holder once and right, nothing else, and nothing afterwards.

Runs with `pytest -m vm`. PROBE_SCOUT_VM names the kernels (blank separated; those of KERNELS that are fetched
if it is not set). bpftrace's run needs one that has rawtracepoint: the one installed, or one of another release
whose packages are unpacked below the folder PROBE_SCOUT_BPFTRACE.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.vm import bpftool_rows, planted

pytestmark = pytest.mark.vm

HERE = Path(__file__).resolve().parent
HOLDER = HERE.parents[1] / "bpf" / "audit" / "holder"
GUEST = HERE / "guest" / "audit_all.py"
KERNELS = ("5.10", "6.1", "6.12", "7.3")
MODULES = ("crc32c_generic", "ext4", "veth", "sch_ingress", "cls_bpf", "sch_prio")
TIME_LIMIT_S = 900.0
CHURN = "10000"
# What each kernel of the table lacks; the holder prints the same with the errno.
NEWER = {
    "5.10": {
        *("uprobe.multi/bx", "kprobe/link", "kretprobe/link", "fprobe_event", "uprobe/link", "uretprobe/link"),
        *("uprobe.multi", "uretprobe.multi", "uprobe.session", "tp/link", "tp_btf/link", "software/link"),
        *("hardware/link", "fentry/cookie", "fentry/module", "fsession", "fentry.multi", "kprobe.multi"),
        *("kretprobe.multi", "kprobe.session", "cgroup/lsm", "tcx/link", "tcx/attach", "netkit", "netfilter"),
        *("elsewhere/tcx", "sockmap/link", "struct_ops/link"),
    },
    "6.1": {
        *("uprobe.multi/bx", "fprobe_event", "uprobe.multi", "uretprobe.multi", "uprobe.session", "hardware/link"),
        *("fsession", "fentry.multi", "kprobe.multi", "kretprobe.multi", "kprobe.session", "tcx/link", "tcx/attach"),
        *("netkit", "netfilter", "elsewhere/tcx", "sockmap/link", "struct_ops/link"),
    },
    "6.12": {"uprobe.session", "hardware/link", "fsession", "fentry.multi"},
    "7.3": {"hardware/link"},
}
# 5.10: BPF_PROG_QUERY of a sock map is refused, and neither struct bpf_link_info nor struct bpf_prog_info has the BTF
# id of a traced function; of a single bpf_lsm_ function it is clear whose it is. 6.1: a perf link without an open
# perf event does not say what it is on.
UNTOLD = {
    "5.10": {
        "sockmap/attach": planted.LOADED,
        **dict.fromkeys(("fentry", "fexit", "fmod_ret"), planted.TARGET),
    },
    "6.1": dict.fromkeys(("kretprobe/link", "uprobe/link", "software/link"), planted.TARGET),
}


def fetched():
    from tests.vm import cache
    from tests.vm.problems import LabError

    found = []
    for name in os.environ.get("PROBE_SCOUT_VM", "").split() or KERNELS:
        try:
            cache.get(name)
        except LabError:
            continue
        found.append(name)
    return found


def booted(kernel, *words, programs=(), share=None, memory_mb=2048):
    """What the guest said: lists of objects by test."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    if kernel not in fetched():
        pytest.skip(f"kernel {kernel} is not fetched, or PROBE_SCOUT_VM does not name it")
    from tests.vm import boot

    subprocess.run(["make", "-s", "-C", str(HOLDER.parent)], check=True)
    ended = boot.run(
        kernel,
        ["python3", "/host/audit_all.py", "/holder", *words],
        share={"/host/audit_all.py": GUEST, "/holder": HOLDER, **(share or {})},
        env=["PYTHONPATH=/usr/lib/probe-scout"],
        modules=MODULES,
        programs=programs,
        memory_mb=memory_mb,
        timeout_s=TIME_LIMIT_S,
        tool=True,
    )
    kept = os.environ.get("PROBE_SCOUT_AUDIT_KEPT")
    if kept:
        Path(kept, f"{kernel}-{words[0]}.json").write_text(ended.stdout)
    assert ended.status == 0, ended.stderr[-2000:] + ended.console[-2000:]
    found = {}
    for line in ended.stdout.splitlines():
        one = json.loads(line)
        found.setdefault(one.pop("test"), []).append(one)
    return found


@pytest.fixture(scope="module", params=KERNELS)
def said(request):
    programs = ("bpftool",) if shutil.which("bpftool") else ()
    return {**booted(request.param, "rows", programs=programs), "kernel": request.param}


def document(said, test):
    (one,) = said[test]
    assert one["document"] is not None, one["stderr"]
    assert "Traceback" not in one["stderr"]
    return one["document"]


def test_each_kernel_takes_what_the_table_says(said):
    (one,) = said["planted"]
    assert set(planted.lacking(one["lines"])) == NEWER[said["kernel"]]


def test_every_planted_attachment_once_and_right(said):
    (one,) = said["planted"]
    judged = planted.judge(planted.rows(one["lines"]), document(said, "during"), True, UNTOLD.get(said["kernel"]))
    assert judged == planted.Judged([], [], [], [])


def test_without_net_only_interfaces_are_missing(said):
    (one,) = said["planted"]
    judged = planted.judge(planted.rows(one["lines"]), document(said, "without net"), False, UNTOLD.get(said["kernel"]))
    assert judged == planted.Judged([], [], [], [])


def test_nothing_before_and_nothing_after(said):
    for when in ("before", "after"):
        assert (document(said, when)["attachments"], document(said, when)["loaded"]) == ([], [])
    assert said["ended"] == [{"holder": 0, "last": "gone\n"}]


def bpftool_of(said, about):
    (one,) = (one for one in said["bpftool"] if one["about"] == about)
    if one["code"] == 127:
        pytest.skip("bpftool is not installed here")
    return bpftool_rows.read(one["text"])


def test_bpftool_perf_show_row_by_row(said):
    rows, is_valid = bpftool_of(said, "perf")
    assert is_valid
    assert len(rows) >= 20
    assert bpftool_rows.perf(rows, document(said, "during")["attachments"]) == []


def test_bpftool_link_show_row_by_row(said):
    rows, is_valid = bpftool_of(said, "link")
    assert is_valid
    assert len(rows) >= 12
    assert bpftool_rows.link(rows, document(said, "during")["attachments"]) == []


def test_bpftool_net_show_row_by_row(said):
    rows, _ = bpftool_of(said, "net")
    assert len(rows[0]["xdp"]) == 3
    assert bpftool_rows.net(rows, document(said, "during")["attachments"]) == []


def test_where_bpftool_is_wrong(said):
    """perf show has a typed tracepoint as raw_tracepoint, and for a kprobe by address no name; none says the group."""
    rows, _ = bpftool_of(said, "perf")
    (one,) = said["planted"]
    by_kind = {row.kind: row for row in planted.rows(one["lines"])}
    by_prog = {row["prog_id"]: row for row in rows}
    assert by_prog[by_kind["tp_btf"].prog]["fd_type"] == "raw_tracepoint"
    assert "func" not in by_prog[by_kind["kprobe/address"].prog]
    assert by_prog[by_kind["tp/ioctl"].prog]["tracepoint"] == "sched_process_exec"
    assert not {by_kind[kind].prog for kind in ("fentry", "fexit", "software/ioctl", "iter")} & set(by_prog)
    assert [row for row in rows if row["prog_id"] == by_kind["kprobe/shared"].prog][1:]  # one event, three rows


def test_the_kernel_did_not_complain(said):
    assert said["end"][0]["log"] == []


# ---------------------------------------------------------------- bpftrace on the newest kernel

KINDS = {
    "kprobe:vfs_fsync": "kprobe",
    "kprobe:vfs_get*": "kprobe.multi",
    "kfunc:vfs_rename": "fentry",
    "kretfunc:vfs_rmdir": "fexit",
    "tracepoint:sched:sched_process_fork": "tp",
    "rawtracepoint:sched_process_exit": "raw_tp",
    "uprobe:/holder:planted_one": "uprobe",
    "usdt:/holder:holder:tick": "uprobe",
}


def test_a_bpftrace_run_is_seen_whole():
    """Eight kinds of probes; a usdt probe is a uprobe for the kernel."""
    folder = os.environ.get("PROBE_SCOUT_BPFTRACE")
    words, share, programs = (), None, ("bpftrace",)
    if folder:
        library = "/bpftrace/usr/lib/x86_64-linux-gnu"
        words = (f"{library}/ld-linux-x86-64.so.2", "--library-path", library, "/bpftrace/usr/bin/bpftrace")
        share, programs = {"/bpftrace": Path(folder)}, ()
    elif shutil.which("bpftrace") is None:
        pytest.skip("bpftrace is not installed, and PROBE_SCOUT_BPFTRACE names no folder")
    programs += ("bpftool",) if shutil.which("bpftool") else ()
    found = booted("7.3", "bpftrace", *words, programs=programs, share=share, memory_mb=4096)
    (one,) = found["bpftrace"]
    if "Invalid probe type" in one["said"]:
        pytest.skip(f"{one['version']} has no rawtracepoint")
    attachments = one["document"]["attachments"]
    seen = sorted(each["attach"] for each in attachments)
    assert set(seen) == set(KINDS.values()), one["said"]
    uprobes = sorted((each["target"], each["symbol"]) for each in attachments if each["attach"] == "uprobe")
    assert uprobes == [("/holder", "planted_one"), ("/holder", "planted_two")]
    assert all({owner["pid"] for owner in each["owners"]} == {one["pid"]} for each in attachments)
    (multi,) = (each for each in attachments if each["attach"] == "kprobe.multi")
    assert len(multi["places"]) > 1
    assert all(place["symbol"].startswith("vfs_get") for place in multi["places"])
    rows, _ = bpftool_of(found, "perf")
    assert bpftool_rows.perf(rows, attachments) == []
    assert {row["fd_type"] for row in rows} == {"kprobe", "tracepoint", "raw_tracepoint", "uprobe"}  # 5 of the 8 probes
    assert document({"after": found["after"]}, "after")["attachments"] == []


# ---------------------------------------------------------------- while things come and go

CHURNED = {
    "churn_kprobe": ("kprobe", "vfs_iter_read", None),
    "churn_uprobe": ("uprobe", "/run/holder/target", "planted_one"),
    "churn_raw_tp": ("raw_tp", "sched_process_hang", None),
    "churn_tp": ("tp", "sched:sched_process_hang", None),
}


@pytest.mark.parametrize("kernel", ["6.12", "7.3"])
def test_what_vanishes_while_it_is_read(kernel):
    """No traceback, the steady rows as ever, and a row that comes and goes is whole or not there.

    A kprobe that came after the programs were read is one of nobody's, as kprobes/list has it.
    """
    found = booted(kernel, "churn", CHURN)
    assert (found["churned"][0]["code"], found["churned"][0]["text"]) == (0, f"churned\t{CHURN}\n")
    assert len(found["meanwhile"]) >= 3
    rows = planted.rows(found["planted"][0]["lines"])
    seen = 0
    for one in found["meanwhile"]:
        assert "Traceback" not in one["stderr"]
        whole = one["document"]
        assert whole is not None, one["stderr"]
        moving = [each for each in whole["attachments"] if (each["prog"] or {}).get("name") in CHURNED]
        late = [
            each
            for each in whole["attachments"]
            if (each["attach"], each["target"], each["seen_by"]) == ("kprobe", "vfs_iter_read", ["kprobes"])
        ]
        seen += len(moving)
        for each in moving:
            symbol = CHURNED[each["prog"]["name"]][2]
            assert (each["attach"], each["target"]) == CHURNED[each["prog"]["name"]][:2]
            assert symbol is None or each["symbol"] == symbol
        whole["attachments"] = [
            each for each in whole["attachments"] if not any(each is one for one in (*moving, *late))
        ]
        whole["loaded"] = [each for each in whole["loaded"] if each["prog"]["name"] not in CHURNED]
        assert planted.judge(rows, whole, with_net=False) == planted.Judged([], [], [], [])
    assert seen
    assert document({"after": found["after"]}, "after")["attachments"] == []


def test_an_ordinary_user_is_told_what_is_not_seen():
    """Exit 3: what may be read is little, and it says so."""
    (one,) = booted("6.12", "user")["user"]
    assert one["code"] == 3
    assert "Traceback" not in one["stderr"]
    assert {each["kind"] for each in json.loads(one["stdout"])["unread"]} >= {"denied"}
