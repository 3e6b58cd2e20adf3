"""Each check where it fires, and where it just does not."""

from __future__ import annotations

import pytest

from probe_scout.commands.audit import checks
from probe_scout.model.audit import LEVELS

from .conftest import NOW, inputs, link, perf, process, program

FTRACE, KPROBES = "proc/sys/kernel/ftrace_enabled", "sys/kernel/debug/kprobes/enabled"
PATH = "/bin/x"
PLACE = {"is_code": True, "symbol": "f", "offset": 0, "is_start": True}


def fired(report):
    """Target to the ids that fired, without `audit.`."""
    return {one.target: {f.check.removeprefix("audit.") for f in one.findings} for one in report.attachments}


def kprobe(name="vfs_read", kind="kprobe", pid=10, number=1, offset=0):
    return {"programs": [program(number)], "perf": [perf(pid, 3, number, kind, name, offset)]}


def uprobe(kind="uprobe", state="there", place=PLACE, **about):
    places = {"4096": place}
    file = {"state": state, "places": places, "is_go": False, "changed_s": NOW - 1000, **about}
    return {"programs": [program(1)], "perf": [perf(10, 3, 1, kind, PATH, 4096)], "files": {f"10:{PATH}": file}}


def test_a_sound_kprobe_has_no_findings(audited):
    assert fired(audited(inputs(**kprobe()))) == {"vfs_read": set()}


def test_a_sound_uprobe_has_no_findings(audited):
    assert fired(audited(inputs(**uprobe()))) == {PATH: set()}


@pytest.mark.parametrize(
    ("name", "symbols", "given", "more"),
    [
        ("symbol_gone", ("vfs_write",), kprobe(), {}),
        ("symbol_ambiguous", ("vfs_read", "vfs_read [xfs]"), kprobe(), {}),
        ("refused_today", ("vfs_read notrace",), kprobe(), {}),
        ("ftrace_off", ("vfs_read",), kprobe(), {"files": {FTRACE: b"0\n"}}),
        ("kprobes_off", ("vfs_read",), kprobe(), {"files": {KPROBES: b"0\n"}}),
        ("never_returns", ("do_exit",), kprobe("do_exit", "kretprobe"), {}),
    ],
)
def test_on_functions(audited, name, symbols, given, more):
    target = given["perf"][0]["name"]
    assert name in fired(audited(inputs(**given), symbols, **more))[target]


@pytest.mark.parametrize(
    ("name", "given", "more"),
    [
        ("ftrace_off", kprobe(), {"files": {FTRACE: b"1\n"}}),
        ("ftrace_off", kprobe(offset=9), {"files": {FTRACE: b"0\n"}}),
        ("kprobes_off", kprobe(), {"files": {KPROBES: b"1\n"}}),
        ("never_returns", kprobe(kind="kretprobe"), {}),
    ],
)
def test_on_functions_that_just_do_not_fire(audited, name, given, more):
    assert name not in fired(audited(inputs(**given), **more))["vfs_read"]


def test_a_kprobe_on_a_breakpoint_fires_without_ftrace(audited):
    """A function that ftrace cannot patch: the kprobe is a breakpoint."""
    off = {FTRACE: b"0\n"}
    assert "ftrace_off" not in fired(audited(inputs(**kprobe()), ("vfs_read notrace",), files=off))["vfs_read"]
    assert "ftrace_off" in fired(audited(inputs(**kprobe()), ("vfs_read",), files=off))["vfs_read"]
    assert "ftrace_off" in fired(audited(inputs(**kprobe("xfs_read")), ("xfs_read [xfs]",), files=off))["xfs_read"]


def test_an_event_of_another_kind_is_no_function(audited):
    given = inputs(programs=[program(1, "raw_tracepoint")], links=[link(5, "raw_tracepoint", 1, tp_name="no_such")])
    assert fired(audited(given, files={FTRACE: b"0\n"})) == {"no_such": set()}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("file_deleted", uprobe(state="gone", place={})),
        ("no_function", uprobe(state="no_elf", place={})),
        ("no_function", uprobe(place={**PLACE, "is_code": False, "symbol": None})),
        ("no_function", uprobe(place={**PLACE, "symbol": None, "is_start": None, "is_outside": True})),
        ("inside_instruction", uprobe(place={**PLACE, "is_start": False})),
        ("instruction_refused", uprobe(place={**PLACE, "refused": "prefix"})),
        ("instruction_misread", uprobe(place={**PLACE, "misread": "jump"})),
        ("go_return", uprobe("uretprobe", is_go=True)),
        ("file_replaced", uprobe(changed_s=NOW - 30)),  # loaded 50 seconds before
    ],
)
def test_on_files(audited, name, given):
    assert fired(audited(inputs(**given)))[PATH] == {name}


@pytest.mark.parametrize(
    "given",
    [
        uprobe(is_go=True),
        uprobe(changed_s=NOW - 60),
        uprobe(place={**PLACE, "is_start": None}),
        uprobe(state="denied", place={}),
    ],
)
def test_on_files_that_just_do_not_fire(audited, given):
    assert fired(audited(inputs(**given)))[PATH] == set()


def test_a_uprobe_gets_its_function(audited):
    (one,) = audited(inputs(**uprobe(place={**PLACE, "offset": 12}))).attachments
    assert (one.symbol, one.symbol_offset) == ("f", 12)


def test_missed_and_recursion(audited):
    detail = {"perf_type": "kprobe", "name": "vfs_read", "offset": 0, "cookie": 0}
    given = inputs(
        programs=[program(1, "kprobe", recursion_misses=2), program(2)],
        links=[link(5, "perf_event", 1, missed=3, **detail), link(6, "perf_event", 2, missed=0, **detail)],
    )
    one, two = audited(given).attachments
    assert {f.check: f.evidence for f in one.findings} == {"audit.missed": "3 missed", "audit.recursion": "2 times"}
    assert two.findings == ()


def test_two_owners_of_one_function(audited):
    both = [perf(10, 3, 1, "kprobe", "vfs_read"), perf(20, 4, 2, "kprobe", "vfs_read")]
    given = inputs(programs=[program(1), program(2)], perf=both)
    one, two = audited(given).attachments
    assert [f.evidence for f in one.findings] == ["vfs_read: also kprobe by other 20"]
    assert [f.evidence for f in two.findings] == ["vfs_read: also kprobe by agent 10"]
    both[1]["pid"] = 10
    assert [row.findings for row in audited(given).attachments] == [(), ()]


def test_an_owner_whose_executable_is_deleted(audited):
    given = inputs(**kprobe(), processes=[process(10, exe_deleted=True)])
    (one,) = audited(given).attachments
    assert [(f.check, f.evidence) for f in one.findings] == [("audit.deleted_executable", "agent 10: /usr/bin/agent")]


def test_a_pin_without_an_owner(audited):
    pin = {"path": "/sys/fs/bpf/l", "kind": "link", "id": 5}
    given = inputs(programs=[program(1)], links=[link(5, "raw_tracepoint", 1, tp_name="sched_switch")], pins=[pin])
    (one,) = audited(given).attachments
    assert [f.check for f in one.findings] == ["audit.orphaned"]
    (one,) = audited({**given, "holders": [[10, 3, "link", 5]]}).attachments
    assert one.findings == ()
    blind = {"fact": "descriptors", "kind": "denied", "why": "3 of 9 processes", "cure": ""}
    (one,) = audited({**given, "gaps": [blind]}).attachments
    assert one.findings == ()


@pytest.mark.parametrize(("ifindex", "names"), [(0, ["audit.target_gone"]), (3, [])])
def test_a_link_whose_interface_is_gone(audited, ifindex, names):
    given = inputs(programs=[program(1, "xdp")], links=[link(5, "xdp", 1, ifindex=ifindex)])
    (one,) = audited(given).attachments
    assert [f.check for f in one.findings] == names


@pytest.mark.parametrize(("active", "count"), [("lockdown,bpf", 0), ("lockdown,yama", 1)])
def test_an_lsm_program_that_is_never_called(audited, active, count):
    given = inputs(programs=[program(1, "lsm")], links=[link(5, "tracing", 1, attach_type="lsm_mac")])
    (one,) = audited(given, lsm=active).attachments
    assert [f.check for f in one.findings].count("audit.bpf_not_in_lsm") == count


@pytest.mark.parametrize(
    ("total", "limit", "is_full"), [(34, 38, False), (35, 38, True), (36, 40, False), (37, 40, True)]
)
def test_a_trampoline_that_is_nearly_full(audited, total, limit, is_full, monkeypatch):
    """Limits of booted kernels: 40 in 5.10, 38 in 6.1 and 6.12. The tiny kernel's BTF has the field that is probed."""
    from probe_scout.formats.btf.reader import Btf
    from probe_scout.frontends.session import open_kernel

    members = {("bpf_prog_info", "recursion_misses")} if limit == 38 else set()
    monkeypatch.setattr(Btf, "has_member", lambda self, *names: names in members)
    audited(inputs())
    type_id = open_kernel(audited.folder)._kernel.btf().functions()["vfs_read"][0]
    links = [
        link(n, "tracing", 1, attach_type="trace_fentry", target_obj_id=1, target_btf_id=type_id)
        for n in range(1, total + 1)
    ]
    btfs = {"1": {"id": 1, "name": "vmlinux", "is_kernels": True}}
    report = audited(inputs(programs=[program(1, "tracing")], links=links, btfs=btfs))
    assert ("trampoline_full" in fired(report)["vfs_read"]) is is_full
    said = {f.evidence for one in report.attachments for f in one.findings if f.check == "audit.trampoline_full"}
    assert said == ({f"vfs_read: {total} of {limit}"} if is_full else set())


def test_live_patches_and_direct_calls_on_the_same_function(audited):
    text = b"vfs_read (2) R I     \tops: x\nvfs_write (1)       D   \n\tdirect-->my_hook+0x0/0x20\n"
    files = {"sys/kernel/tracing/enabled_functions": text}
    both = [perf(10, 3, 1, "kprobe", "vfs_read"), perf(10, 4, 1, "kprobe", "vfs_write")]
    given = inputs(programs=[program(1)], perf=both, livepatches=[[None, "vfs_read", "patch"]])
    rows = audited(given, files=files).attachments
    told = {(one.attach, one.target): [(f.check, f.evidence) for f in one.findings] for one in rows if one.prog}
    assert told == {
        ("kprobe", "vfs_read"): [("audit.livepatched", "vfs_read: patch")],
        ("kprobe", "vfs_write"): [("audit.direct_call", "vfs_write: my_hook+0x0/0x20")],
    }


def test_callers_that_are_missed(audited, monkeypatch):
    from probe_scout.model.report import Coverage
    from probe_scout.probes.inlining import coverage

    found = Coverage("partial", "dwarf", True, (("a", 4),), ("caller",))
    monkeypatch.setattr(coverage, "of", lambda k, target, symbol, named="": (found, ()))
    assert fired(audited(inputs(**kprobe())))["vfs_read"] == {"callers_missed"}
    found = found._replace(basis="survey-other")
    assert fired(audited(inputs(**kprobe())))["vfs_read"] == set()


def test_the_registry():
    ids = [one.id for one in checks.CHECKS]
    assert len(set(ids)) == len(ids)
    for one in checks.CHECKS:
        assert one.level in LEVELS
        assert one.says.endswith(".")
        assert one.decides
        assert one.reads
        assert len(one.page.split("\n\n")) > 1
