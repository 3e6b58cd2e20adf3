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
CHURN = "10000"  # turns, of which each attaches or detaches
# What each kernel of the table lacks; the holder prints the same with the errno.
NEWER = {
    "5.10": {
        *("uprobe.multi/bx", "kprobe/link", "kretprobe/link", "fprobe_event", "uprobe/link", "uretprobe/link"),
        *("uprobe.multi", "uretprobe.multi", "uprobe.session", "tp/link", "tp_btf/link", "software/link"),
        *("hardware/link", "fentry/cookie", "fentry/module", "fsession", "fentry.multi", "kprobe.multi"),
        *("kretprobe.multi", "kprobe.session", "cgroup/lsm", "tcx/link", "tcx/attach", "netkit", "netfilter"),
        *("elsewhere/tcx", "sockmap/link", "struct_ops/link", "fexit_event"),
    },
    "6.1": {
        *(
            "uprobe.multi/bx",
            "fprobe_event",
            "fexit_event",
            "uprobe.multi",
            "uretprobe.multi",
            "uprobe.session",
            "hardware/link",
        ),
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


def booted(kernel, *words, programs=(), share=None, memory_mb=2048, append=(), env=()):
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
        share={
            "/host/audit_all.py": GUEST,
            "/holder": HOLDER,
            "/holder-go": HOLDER.with_name("holder-go"),
            **(share or {}),
        },
        append=append,
        env=["PYTHONPATH=/usr/lib/probe-scout", *env],
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


def bpftool_of(said, about, test="bpftool"):
    (one,) = (one for one in said[test] if one["about"] == about)
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


def test_bpftool_prog_show_row_by_row(said):
    """Name, type, tag, user, maps, when it was loaded; no count of runs is told while the kernel does not count."""
    rows, _ = bpftool_of(said, "prog")
    found = document(said, "during")
    assert bpftool_rows.prog(rows, found) == []
    assert any(row.get("map_ids") for row in rows)
    assert {one["prog"]["run_count"] for one in found["attachments"] if one["prog"]} == {None}
    rows, _ = bpftool_of(said, "prog", "bpftool with stats")
    found = document(said, "with stats")
    assert bpftool_rows.prog(rows, found) == []
    counts = [one["prog"]["run_count"] for one in found["attachments"] if one["prog"]]
    assert None not in counts
    assert 0 in counts
    assert any(counts)


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


@pytest.fixture(scope="module", params=["6.12", "7.3"])
def users(request):
    return {**booted(request.param, "user"), "kernel": request.param}


@pytest.mark.parametrize("who", ["user", "bpf and perfmon", "namespaces"])
def test_who_may_see_little_is_told_what_is_not_seen(users, who):
    """Exit 3, a reason and a cure each; and of what is seen nothing is invented."""
    (one,) = users[who]
    assert one["code"] == 3
    assert "Traceback" not in one["stderr"]
    found = json.loads(one["stdout"])
    assert {each["kind"] for each in found["unread"]} >= {"denied"}
    assert all(each["why"] for each in found["unread"])
    rows = planted.rows(users["planted"][0]["lines"])
    lists = {(row.attach.removesuffix("_event"), row.target) for row in rows}  # whose owners are out of sight
    strange = [each for each in found["attachments"] if not any(planted.matches(row, each) for row in rows)]
    assert all((each["attach"].removesuffix("_event"), each["target"]) in lists for each in strange)
    assert all(each["prog"] is None and each["seen_by"] in (["kprobes"], ["tracefs"]) for each in strange)
    checks = {finding["check"] for each in found["attachments"] for finding in each["findings"]}
    assert "audit.orphaned" not in checks  # who holds it may be out of sight


@pytest.mark.parametrize("who", ["admin", "admin and ptrace"])
def test_the_right_that_bpf_asks_for_shows_every_link_and_program(users, who):
    (one,) = users[who]
    found = json.loads(one["stdout"])
    rows = [row for row in planted.rows(users["planted"][0]["lines"]) if row.link is not None]
    assert rows
    assert not [row.kind for row in rows if not any(planted.matches(row, each) for each in found["attachments"])]
    if who == "admin and ptrace":  # addresses are hidden from it, and it says so
        assert one["code"] == 3
        assert {each["fact"] for each in found["unread"]} == {"probed_places", "traced_functions"}
        rows = planted.rows(users["planted"][0]["lines"])
        strange = [each for each in found["attachments"] if not any(planted.matches(row, each) for row in rows)]
        (gap,) = (each for each in found["unread"] if each["fact"] == "probed_places")
        assert {each["target"] for each in strange} == {
            "vfs_rmdir",
            "elf_core_dump",
        }  # by address, and one more is there
        assert all(each["seen_by"] == ["kprobes"] and each["target"] in gap["why"] for each in strange)


# ---------------------------------------------------------------- what can be switched, and what is full


@pytest.fixture(scope="module", params=["6.12", "7.3"])
def switched(request):
    return {**booted(request.param, "switches"), "kernel": request.param}


def fires(found, name):
    """Attach types of the rows with this finding, and of those without."""
    have = [one for one in found["attachments"] if f"audit.{name}" in {each["check"] for each in one["findings"]}]
    return {one["attach"] for one in have}, {one["attach"] for one in found["attachments"] if one not in have}


def test_disarmed_kprobes(switched):
    (one,) = switched["kprobes off"]
    assert one["errno"] == 0
    have, others = fires(one["document"], "kprobes_off")
    assert have == {"kprobe", "kretprobe", "kprobe_event", "kretprobe_event"}
    assert not have & others


def test_ftrace_that_is_off(switched):
    """7.3 takes no 0 there; 6.12 takes the attachments and calls none of them."""
    (one,) = switched["ftrace off"]
    have, _ = fires(one["document"], "ftrace_off")
    if switched["kernel"] == "7.3":
        assert (one["errno"] != 0, one["now"], have) == (True, "1", set())
        return
    assert (one["errno"], one["now"]) == (0, "0")
    assert have >= {"kprobe", "kprobe.multi", "fentry", "fexit"}
    assert not have & {"tp", "raw_tp", "tp_btf", "uprobe", "xdp", "cgroup"}
    inside = [each for each in one["document"]["attachments"] if each["attach"] == "kprobe" and each["offset"]]
    assert inside
    assert all("audit.ftrace_off" not in {f["check"] for f in each["findings"]} for each in inside)


@pytest.mark.parametrize(("words", "count"), [("lsm=lockdown,yama", 1), ("lsm=lockdown,yama,bpf", 0)])
def test_bpf_that_is_no_active_security_module(words, count):
    found = booted("6.12", "rows", append=(words,))
    have, _ = fires(document(found, "during"), "bpf_not_in_lsm")
    assert have == ({"lsm"} if count else set())


@pytest.fixture(scope="module", params=KERNELS)
def filled(request):
    return booted(request.param, "full")


def test_a_trampoline_that_is_nearly_full(filled):
    """The limit is what the kernel took by construction; four free places are one too many for a finding."""
    for one in filled["full"]:
        word, target, most, errno = next(line for line in one["lines"] if line.startswith("full")).split("\t")
        assert (word, target, errno) == ("full", "vfs_fchown", "E2BIG")
        rows = one["document"]["attachments"]
        assert len(rows) == int(most) - one["free"]
        evidence = {f["evidence"] for each in rows for f in each["findings"] if f["check"] == "audit.trampoline_full"}
        if one["free"] == 4:
            assert evidence == set()
        else:
            (said,) = evidence
            assert said == f"vfs_fchown: {len(rows)} of {most}"


def test_calls_that_are_missed(filled):
    (one,) = filled["missing"]
    (row,) = one["document"]["attachments"]
    checks = {each["check"] for each in row["findings"]}
    if row["missed"] is None:  # before 6.7
        assert "audit.missed" not in checks
    else:
        assert row["missed"] > 0
        assert "audit.missed" in checks
    assert document({"after": filled["after"]}, "after")["attachments"] == []


def headers(kernel):
    """Where the headers of this kernel's build are, which a module can be made with; skips without them."""
    from tests.vm import cache

    if kernel not in fetched():
        pytest.skip(f"kernel {kernel} is not fetched, or PROBE_SCOUT_VM does not name it")
    folder = Path("/usr/src", f"linux-headers-{cache.get(kernel).release}")
    if not (folder / "Makefile").exists():
        pytest.skip(f"{folder.name} is not installed")
    return folder


def test_a_live_patch_and_a_direct_call(tmp_path):
    """Modules of bpf/audit/patch, for 6.1: each a row of its own, and a finding on the probes of its function."""
    folder = headers("6.1")
    for name in ("Makefile", "patch.c", "direct.c"):
        shutil.copy(HOLDER.with_name("patch") / name, tmp_path)
    subprocess.run(["make", "-s", "-C", str(folder), f"M={tmp_path}", "modules"], check=True, capture_output=True)
    files = {f"/{name}": tmp_path / name for name in ("patch.ko", "direct.ko")}
    found = booted("6.1", "patched", *files, share=files)
    judged = planted.judge(planted.rows(found["planted"][0]["lines"]), document(found, "during"), True, UNTOLD["6.1"])
    assert (judged.missing, judged.doubled) == ([], [])
    assert sorted(judged.wrong) == [
        "kprobe/shared: finds ['direct_call'], planted None",
        "kretprobe/ioctl: finds ['livepatched'], planted None",
    ]
    told = {(one["attach"], one["target"]): one for one in document(found, "during")["attachments"]}
    assert told["livepatch", "vfs_symlink"]["event"] == "patch"
    assert "direct_trampoline" in told["ftrace.direct", "vfs_mknod"]["event"]
    assert len(judged.invented) == 2


@pytest.mark.parametrize("kernel", KERNELS)
def test_programs_of_clang_that_count_on_other_arguments(kernel, tmp_path):
    """bpf/audit/other.bpf.c by clang and libbpf: what the kernel passes as they count on is not told."""
    from tests.vm.test_stubs import libraries

    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    words = ["clang", "-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86", "-I/usr/include/x86_64-linux-gnu"]
    subprocess.run([*words, "-c", HOLDER.with_name("other.bpf.c"), "-o", tmp_path / "other.o"], check=True)
    share = {"/other.o": tmp_path / "other.o", **libraries()}
    found = booted(kernel, "loaded", "/other.o", share=share, env=("LD_LIBRARY_PATH=/lib",))
    (one,) = found["loaded"]
    assert (one["errno"], len(one["names"])) == (0, 4)
    told = {
        each["prog"]["name"]: [
            f["evidence"].removesuffix("`").removesuffix("rq")
            for f in each["findings"]
            if f["check"] == "audit.arguments_differ"
        ]
        for each in one["document"]["attachments"]
    }
    switch = "argument 1: the program has `struct task_struct *prev`, the event passes `bool preempt"
    issue = "argument 1: the program has `struct request_queue *queue`, the event passes `struct request *"
    assert told == {
        "same_exec": [],
        "same_any": [],
        "other_switch": [switch],
        "other_issue": [issue],
    }


# ---------------------------------------------------------------- snapshots, and bpftool beside it


@pytest.fixture(scope="module", params=["6.1", "7.3"])
def saved(request):
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed")
    return booted(request.param, "saved", programs=("bpftool",), memory_mb=4096)


def test_a_snapshot_repeats_the_audit(saved):
    inside, outside = document(saved, "inside"), document(saved, "outside")
    for one in (inside, outside):
        del one["kernel"]
        for each in one["attachments"]:  # it moves on
            each["missed"] = None
            if each["prog"]:
                each["prog"]["recursion_misses"] = None
    assert inside["findings"] == []
    assert inside == outside


def test_bpftool_agrees_all_the_time(saved):
    assert document(saved, "inside")["findings"] == []
    assert len(saved["meanwhile"]) >= 1
    for one in saved["meanwhile"]:
        assert "Traceback" not in one["stderr"]
        assert one["document"]["findings"] == []


@pytest.mark.parametrize("test", ["printed", "plain"])
def test_what_bpftool_printed_alone(saved, test):
    """Perf events are there with their target, and links by number; what bpftool does not show is not."""
    (one,) = saved[test]
    assert "Traceback" not in one["stderr"]
    rows = planted.rows(saved["planted"][0]["lines"])
    found = one["document"]["attachments"]
    links = {row.link for row in rows if row.link is not None}
    assert {each["link"]["id"] for each in found if each["link"]} == links
    by_ioctl = [row for row in rows if row.attach in ("kprobe", "kretprobe", "tp") and row.prog and row.link is None]
    for row in by_ioctl:
        each = next(each for each in found if each["prog"] and each["prog"]["id"] == row.prog)
        assert each["attach"] == row.attach
        if row.kind not in ("kprobe/address", "kprobe/several"):
            assert (each["target"] or "").rpartition(":")[2] == (row.target or "").rpartition(":")[2]
