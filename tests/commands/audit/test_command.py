"""The command: formats, exit codes, --diff, --fail-on, and snapshots that hold what bpftool printed."""

from __future__ import annotations

import csv
import io
import json

import pytest

from probe_scout.commands.audit import changes
from probe_scout.errors import UsageError
from probe_scout.frontends.cli import run

from .conftest import QUIET, inputs, link, perf, process, program


def given(missed=0, pid=10, count=1):
    detail = {"perf_type": "kprobe", "name": "vfs_read", "offset": 0, "cookie": 0, "missed": missed}
    return inputs(
        programs=[program(n, name="on_read") for n in range(1, count + 1)],
        links=[link(n + 100, "perf_event", n, **detail) for n in range(1, count + 1)],
        holders=[[pid, n, "link", n + 100] for n in range(1, count + 1)],
    )


def test_the_document_keeps_its_promises(asked):
    code, said = asked(given(missed=2), "--json")
    document = json.loads(said.out)
    (one,) = document["attachments"]
    assert (code, document["schema"]) == (0, "probe-scout/audit/1")
    keys = ("attach", "target", "module", "offset", "prog", "link", "owners", "pins", "missed", "seen_by", "findings")
    assert tuple(one)[: len(keys)] == keys
    assert one["prog"] | {"id": 1, "type": "kprobe", "name": "on_read", "tag": "00112233445566ff"} == one["prog"]
    assert one["link"] == {"id": 101, "type": "perf_event"}
    assert one["owners"][0] | {"pid": 10, "comm": "agent", "fd": 1} == one["owners"][0]
    assert [(f["check"], f["level"]) for f in one["findings"]] == [("audit.missed", "warning")]
    assert set(document) == {"schema", "kernel", "attachments", "loaded", "net", "unread", "findings", "boot"}


def test_the_table_names_program_holder_and_findings(asked):
    code, said = asked(given(missed=2))
    assert code == 0
    lines = said.out.splitlines()
    assert lines[1] == "1 attachment of 1 process: 1 warning; interfaces not scanned"
    assert lines[3].split() == ["attach", "target", "program", "link", "missed", "held", "by"]
    assert lines[4].split() == ["kprobe", "vfs_read", "1", "on_read", "101", "2", "agent", "10"]
    assert lines[5:] == [
        "",
        "warning  Calls were missed.   audit.missed",
        "         kprobe vfs_read (1 on_read): 2 missed",
    ]


def test_the_table_leaves_out_counts_that_are_all_zero(asked):
    lines = asked(given(missed=0))[1].out.splitlines()
    assert lines[1] == "1 attachment of 1 process: no findings; interfaces not scanned"
    assert lines[3].split() == ["attach", "target", "program", "link", "held", "by"]


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_narrow_terminal_gets_two_lines_a_row(audited, width):
    from probe_scout.frontends.render.audit import audit_lines
    from probe_scout.frontends.render.style import Style

    report = audited(given(missed=2, count=3))
    lines = list(audit_lines(report, Style(False, width)))
    assert all(len(line) <= max(width, 44) for line in lines[3:])
    is_table = lines[3].startswith("attach")
    assert is_table is (width == 80)
    if not is_table:
        assert lines[3] == "kprobe  vfs_read"
        assert " ".join(" ".join(lines[4:]).split()).startswith(
            "program 1 on_read, link 101, missed 2, held by agent 10"
        )


def test_lines_and_cells(asked):
    _, said = asked(given(count=2), "--format", "ndjson")
    assert [json.loads(line)["link"]["id"] for line in said.out.splitlines()] == [101, 102]
    _, said = asked(given(), "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(said.out))
    assert (row["attach"], row["prog_name"], row["owners"], row["cookie"], row["symbol"]) == (
        *("kprobe", "on_read", "10/1"),
        *("0", ""),
    )
    assert (row["owners_comm"], row["owners_container"], row["owners_cgroup"], row["places"]) == ("agent", "", "/", "")


def test_nothing_attached(asked):
    code, said = asked(inputs())
    assert (code, "nothing is attached" in said.out) == (0, True)
    assert "nothing is attached that matches\n" in asked(given(), "--target", "no_such")[1].out
    gap = {"fact": "bpf_links", "kind": "denied", "why": "BPF_LINK_GET_NEXT_ID: EPERM", "cure": "run it as root"}
    code, said = asked(inputs(gaps=[gap]))
    assert (code, "nothing is seen to be attached" in said.out) == (3, True)
    assert "bpf_links could not be read: BPF_LINK_GET_NEXT_ID: EPERM; run it as root" in said.err


def test_what_may_stay_unread(asked):
    gaps = [{"fact": fact, "kind": "denied", "why": "EPERM", "cure": ""} for fact in ("pins", "perf_events")]
    code, said = asked(inputs(gaps=gaps), "--accept-unread", "pins")
    assert (code, "pins" in said.err, "perf_events could not be read" in said.err) == (3, False, True)
    code, said = asked(inputs(gaps=gaps), "--accept-unread=pins,perf_events", "--json")
    assert (code, said.err) == (0, "")
    assert [one["fact"] for one in json.loads(said.out)["unread"]] == ["pins", "perf_events"]
    assert asked(inputs(gaps=gaps), "--accept-unread", "pins", "--accept-unread", "perf_events")[0] == 0
    code, said = asked(inputs(), "--accept-unread", "no_such")
    assert (code, "kprobes_list" in said.err) == (2, True)


def test_the_changes_carry_what_may_not_be_seen(asked, tmp_path):
    old = tmp_path / "old.json"
    old.write_text(asked(inputs(), "--json")[1].out)
    gap = {"fact": "pins", "kind": "denied", "why": "EPERM", "cure": ""}
    code, said = asked(inputs(gaps=[gap]), "--diff", str(old), "--json")
    assert (code, [one["fact"] for one in json.loads(said.out)["unread"]]) == (3, ["pins"])
    assert asked(inputs(gaps=[gap]), "--diff", str(old), "--accept-unread", "pins")[0] == 0


def test_quiet_prints_where_the_exit_code_is_not_0(asked, tmp_path):
    old = tmp_path / "old.json"
    old.write_text(asked(given(), "--json")[1].out)
    for form in ("table", "json", "csv", "ndjson"):
        assert asked(given(missed=1), "--quiet", "--format", form) == (0, ("", ""))
        assert asked(given(), "--quiet", "--diff", str(old), "--format", form) == (0, ("", ""))
        assert asked(given(missed=1), "--quiet", "--fail-on", "note", "--format", form)[1].out
        assert asked(inputs(), "--quiet", "--diff", str(old), "--format", form)[1].out
    gap = {"fact": "pins", "kind": "denied", "why": "EPERM", "cure": ""}
    code, said = asked(inputs(gaps=[gap]), "--quiet")
    assert (code, "pins" in said.err) == (3, True)


def test_the_facts_are_those_of_the_document():
    import re
    from pathlib import Path

    from probe_scout.model.audit import FACTS

    top = Path(__file__).resolve().parents[3]
    page = (top / "docs" / "commands.md").read_text()
    assert [fact for fact in FACTS if f"`{fact}`" not in page and not fact.startswith("bpftool_")] == []
    told = set()
    for path in (*top.glob("probe_scout/commands/audit/*.py"), *top.glob("probe_scout/sources/bpf/**/attached.py")):
        text = path.read_text()
        told.update(re.findall(r"(?:\bgap|refused|each|tell|Unread|_read)\((?:k, [\w.]+, )?\"(\w+)\"", text))
    assert len(told) > 10
    assert told - {*FACTS} == set()


@pytest.mark.parametrize(("level", "missed", "code"), [("warning", 1, 1), ("broken", 1, 0), ("note", 0, 0)])
def test_fail_on(asked, level, missed, code):
    assert asked(given(missed=missed), "--fail-on", level)[0] == code


def test_a_snapshot_without_an_audit_says_what_to_do(asked):
    code, said = asked(None)
    assert (code, said.out) == (3, "")
    assert "take the snapshot on the running machine, as root" in said.err


@pytest.mark.parametrize("name", ["audit.json", "bpftool-perf.json"])
def test_inputs_that_are_cut_off_are_not_called_missing(asked, monkeypatch, name):
    from probe_scout.errors import Broken
    from probe_scout.kernel.kernel import Kernel

    read = Kernel.read

    def cut(self, path):
        if path == f"tool/{name}":
            raise Broken(path, "does not have the size that manifest.json records")
        return read(self, path)

    monkeypatch.setattr(Kernel, "read", cut)
    code, said = asked(None)
    assert (code, said.out) == (4, "")
    assert "does not have the size" in said.err


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"schema": "probe-scout/audit-inputs/2"}'])
def test_inputs_that_make_no_sense(asked, raw):
    code, said = asked(None, files={"tool/audit.json": raw})
    assert code == 4
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "words",
    [("--net", "--no-net"), ("--owner", "0"), ("--fail-on", "bad"), ("--watch", "x"), ("--watch", "1", "--json")],
)
def test_lines_that_cannot_be_asked(asked, words):
    assert asked(inputs(), *words)[0] == 2


def on_cgroup(prog, tag="00112233445566ff", uid=0, boot="b1", loaded_ns=50_000_000_000, **more):
    one = program(prog, "cgroup_skb", "count", tag=tag, uid=uid, loaded_ns=loaded_ns)
    entry = {"cgroup_id": 1, "path": "/a", "attach_type": "cgroup_inet_egress", "prog_ids": [prog]}
    return inputs(programs=[one], cgroups=[entry], boot=boot, **more)


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (on_cgroup(8, "ffeeddccbbaa9988", loaded_ns=90_000_000_000), ["tag", "id", "loaded"]),
        (on_cgroup(8, loaded_ns=90_000_000_000), ["id", "loaded"]),
        (on_cgroup(7, uid=1000), ["uid"]),
        (on_cgroup(8, boot="b2", loaded_ns=90_000_000_000), None),  # a reboot gives every program another id
        (on_cgroup(8, "ffeeddccbbaa9988", boot="b2"), ["tag", "id"]),
        (on_cgroup(7, loaded_ns=51_000_000_000), None),  # the clock was set: an id is given once a boot
        (on_cgroup(7, boot=None, loaded_ns=90_000_000_000), ["loaded"]),  # of an unknown boot, ids may come again
        (on_cgroup(7, boot=None, loaded_ns=51_000_000_000), None),
        (on_cgroup(7, boot=None, loaded_ns=52_000_000_000), None),  # two clocks, each rounded
        (on_cgroup(7, None), None),  # what is not told is no difference
    ],
)
def test_a_program_that_took_the_place_of_another_is_a_change(asked, tmp_path, other, differs):
    old = tmp_path / "old.json"
    old.write_text(asked(on_cgroup(7), "--json")[1].out)
    code, said = asked(other, "--diff", str(old), "--json")
    changes_told = json.loads(said.out)["changes"]
    if differs is None:
        assert (code, changes_told) == (0, [])
        return
    (change,) = changes_told
    assert (code, change["change"], change["target"], change["differs"]) == (1, "replaced", "/a", differs)
    assert [one["id"] for one in change["programs_gone"]] == [7]
    text = asked(other, "--diff", str(old))[1].out
    assert "replaced on cgroup /a cgroup_inet_egress count" in text
    assert "id 7 tag 00112233445566ff loaded 2023-11-14T22:12:30Z uid 0 -> id " in text
    rows = list(csv.DictReader(io.StringIO(asked(other, "--diff", str(old), "--format", "csv")[1].out)))
    assert set(rows[0]) == set(change)
    assert rows[0]["programs_gone"] == "7/00112233445566ff/2023-11-14T22:12:30Z/0"


def test_one_of_several_alike_was_replaced(audited):
    before, after = given(count=3), given(count=3)
    after["programs"][1] |= {"id": 9, "tag": "aa"}
    after["links"][1]["prog_id"] = 9
    (change,) = changes.between(audited(before), audited(after)).changes
    assert (change.change, change.before, change.after, change.differs) == ("replaced", 3, 3, ("tag", "id"))
    assert [one.id for one in (*change.programs_gone, *change.programs_new)] == [2, 9]


def test_programs_that_are_only_loaded_are_in_every_format_and_in_the_diff(asked, tmp_path):
    more = inputs(programs=[program(4, "socket_filter", "tail")], holders=[[20, 5, "program", 4]])
    rows = list(csv.DictReader(io.StringIO(asked(more, "--format", "csv")[1].out)))
    assert [(row["attach"], row["target"], row["prog_id"], row["owners"]) for row in rows] == [
        ("loaded", "", "4", "20/5")
    ]
    (line,) = map(json.loads, asked(more, "--format", "ndjson")[1].out.splitlines())
    assert (line["attach"], line["target"], line["prog"]["name"]) == ("loaded", None, "tail")
    for form in ("md", "grid"):
        assert "tail" in asked(more, "--format", form)[1].out
    old = tmp_path / "old.json"
    old.write_text(asked(inputs(), "--json")[1].out)
    code, said = asked(more, "--diff", str(old), "--format", "ndjson")
    change = json.loads(said.out)
    assert (code, change["change"], change["attach"], change["prog_name"], change["prog_type"]) == (
        *(1, "appeared", "loaded"),
        *("tail", "socket_filter"),
    )
    old.write_text(asked(more, "--json")[1].out)
    assert asked(more, "--diff", str(old))[0] == 0
    assert asked(inputs(), "--diff", str(old))[0] == 1
    other = inputs(programs=[program(5, "socket_filter", "tail", tag="aa")])
    assert json.loads(asked(other, "--diff", str(old), "--format", "ndjson")[1].out)["change"] == "replaced"


def test_who_a_holder_is(asked):
    about = process(10, cmdline="agent --all", uid=1000, user="alice")
    (one,) = json.loads(asked(given() | {"processes": {"10": about}}, "--json")[1].out)["attachments"]
    (owner,) = one["owners"]
    assert (owner["cmdline"], owner["uid"], owner["user"]) == ("agent --all", 1000, "alice")
    (row,) = csv.DictReader(io.StringIO(asked(given() | {"processes": {"10": about}}, "--format", "csv")[1].out))
    assert (row["owners_cmdline"], row["owners_user"]) == ("agent --all", "alice")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\xff", '{"schema": "probe-scout/check/1"}'])
def test_an_earlier_audit_that_is_none_gets_one_sentence(asked, tmp_path, text):
    old = tmp_path / "old.json"
    old.write_bytes(text.encode("latin-1"))
    code, said = asked(given(), "--diff", str(old))
    assert (code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "--diff" in said.err
    assert "Error" not in said.err


def test_diff(asked, tmp_path):
    _, said = asked(given(), "--json")
    old = tmp_path / "old.json"
    old.write_text(said.out)
    assert asked(given(pid=20), "--diff", str(old))[0] == 0
    code, said = asked(given(count=3), "--diff", str(old), "--format", "ndjson")
    (change,) = map(json.loads, said.out.splitlines())
    assert (code, change["change"], change["before"], change["after"]) == (1, "grew", 1, 3)
    code, said = asked(inputs(), "--diff", str(old), "--format", "csv")
    assert (code, said.out.splitlines()[1].split(",")[:3]) == (1, ["gone", "kprobe", "vfs_read"])
    code, said = asked(given(missed=5), "--diff", str(old), "--json")
    document = json.loads(said.out)
    assert (document["schema"], document["changes"][0]["missed_after"]) == ("probe-scout/audit-diff/1", 5)
    code, said = asked(given(), "--diff", str(old))
    assert (code, said.out.splitlines()[-1]) == (0, "nothing changed")


@pytest.mark.parametrize(
    "old",
    [
        *({}, [], {"schema": "probe-scout/check/1"}, {"schema": changes.SCHEMA, "attachments": [1]}),
        {"schema": changes.SCHEMA, "attachments": [{"prog": {"name": [1], "id": 1}, "owners": []}], "loaded": []},
        {"schema": changes.SCHEMA, "attachments": [{"prog": {"name": "a", "id": "x"}, "owners": []}], "loaded": []},
        {"schema": changes.SCHEMA, "attachments": [{"prog": None, "owners": [], "missed": "1"}], "loaded": []},
        {"schema": changes.SCHEMA, "attachments": []},
    ],
)
def test_a_document_that_is_no_audit(audited, old):
    with pytest.raises(UsageError):
        changes.since(old, audited(inputs()))


# ---------------------------------------------------------------- bpftool

PERF = [
    {"pid": 10, "fd": 3, "prog_id": 1, "fd_type": "kprobe", "func": "vfs_read", "offset": 0},
    {"pid": 10, "fd": 4, "prog_id": 1},
]
LINK = [
    {"id": 7, "type": "tracing", "prog_id": 2, "attach_type": "trace_fentry", "target_obj_id": 0, "target_btf_id": 0},
    {
        "id": 8,
        "type": "kprobe_multi",
        "prog_id": 1,
        "retprobe": True,
        "func_cnt": 1,
        "missed": 4,
        "funcs": [{"addr": 1, "func": "vfs_write", "module": None, "cookie": 9}],
    },
]
PROG = [{"id": 1, "type": "kprobe", "name": "a", "tag": "00", "loaded_at": 1700000000, "uid": 0, "map_ids": [4]}]


def printed(perf_rows=PERF, links=LINK, programs=PROG):
    rows = {"perf": perf_rows, "link": links, "prog": programs}
    return {f"tool/bpftool-{name}.json": json.dumps(value).encode() for name, value in rows.items()}


def test_what_bpftool_printed_is_enough(asked):
    code, said = asked(None, "--json", files=printed())
    document = json.loads(said.out)
    assert [(one["attach"], one["target"], one["missed"]) for one in document["attachments"]] == [
        ("fentry", None, None),
        ("kretprobe.multi", "vfs_write", 4),
        ("kprobe", "vfs_read", None),
    ]
    assert document["attachments"][2]["prog"]["loaded"] == "2023-11-14T22:13:20Z"
    assert code == 0


@pytest.mark.parametrize("error", [{"error": "Operation not permitted"}, [{"error": "can't get next link"}]])
def test_what_bpftool_was_refused_is_unread(asked, error):
    code, said = asked(None, files=printed(links=error))
    assert code == 3
    assert "bpftool_links could not be read" in said.err


def test_where_bpftool_and_the_kernel_differ(asked):
    own = inputs(
        programs=[program(1), program(2, "tracing")],
        perf=[perf(10, 3, 1, "kprobe", "vfs_read")],
        links=[link(7, "tracing", 2, attach_type="trace_fentry"), link(9, "tracing", 2, attach_type="trace_fexit")],
    )
    _, said = asked(own, "--json", files=printed())
    told = [finding["evidence"] for finding in json.loads(said.out)["findings"]]
    assert told == [
        "tool/bpftool-perf.json: only bpftool has something without a name program 1 of 10/4",
        "tool/bpftool-link.json: only bpftool has link 8 kprobe_multi program 1",
        "tool/bpftool-link.json: bpftool lacks link 9 tracing program 2",
    ]
    equal = printed(PERF[:1], links=[{"id": n, "type": "tracing", "prog_id": 2} for n in (7, 9)])
    assert json.loads(asked(own, "--json", files=equal)[1].out)["findings"] == []


def test_what_an_older_bpftool_and_the_kernel_say_otherwise_is_no_difference(asked):
    """Numbers for types it does not know, no kind, raw tracepoints' links, an address for a name."""
    own = inputs(
        programs=[program(1), program(2, "raw_tracepoint")],
        perf=[
            perf(10, 3, 1, "kprobe", "vfs_read"),
            perf(10, 4, 1, "type_6", "x"),
            perf(10, 5, 1, "kprobe", "", 0, 9, 1),
        ],
        links=[link(7, "uprobe_multi", 1), link(8, "type_77", 1), link(9, "raw_tracepoint", 2, tp_name="sched_switch")],
        holders=[[10, 6, "link", 9], [10, 7, "link", 7]],
    )
    rows = [
        *PERF,
        {"pid": 10, "fd": 5, "prog_id": 1, "fd_type": "kprobe", "addr": 12},
        {"pid": 10, "fd": 6, "prog_id": 2, "fd_type": "raw_tracepoint", "tracepoint": "sched_switch"},
    ]
    links = [{"id": 7, "type": 12, "prog_id": 1}, {"id": 8, "type": "new", "prog_id": 1}]
    links.append({"id": 9, "type": "raw_tracepoint", "prog_id": 2, "tp_name": "sched_switch"})
    assert json.loads(asked(own, "--json", files=printed(rows, links))[1].out)["findings"] == []


def test_plain_text_and_interfaces_of_bpftool_alone(asked):
    text = b"pid 10  fd 3: prog_id 1  kprobe  func vfs_read  offset 0\npid 10  fd 9: prog_id 2  "
    net = b'[{"xdp":[{"devname":"lo","ifindex":1,"mode":"generic","id":5}],"tc":[],"flow_dissector":["id":6]}]'
    links = [{"id": 7, "type": 12, "prog_id": 1}, {"id": 8, "type": "netfilter", "prog_id": 1}]
    links.append({"id": 9, "type": "netns", "prog_id": 7, "netns_ino": 4026531840, "attach_type": "flow_dissector"})
    files = printed(links=links) | {"tool/bpftool-net.json": net, "tool/bpftool-perf.txt": text}
    del files["tool/bpftool-perf.json"]
    code, said = asked(None, "--json", files=files)
    rows = json.loads(said.out)["attachments"]
    assert [(one["attach"], one["target"], one["link"] and one["link"]["type"]) for one in rows] == [
        ("uprobe.multi", None, "uprobe_multi"),
        ("netfilter", None, "netfilter"),
        ("flow_dissector", "net:[4026531840]", "netns"),
        ("kprobe", "vfs_read", None),
        ("flow_dissector", None, None),
        ("xdp", "lo", None),
    ]
    assert code == 0


def test_bpftool_is_not_asked_about_a_snapshot(asked):
    code, said = asked(given(), "--bpftool")
    assert (code, said.out) == (3, "")
    assert "running kernel alone" in said.err


def _no_code(k):
    raise UsageError("no code can be read here")


def test_a_snapshot_of_this_machine_repeats_its_audit(tmp_path, monkeypatch, capsys):
    """The inputs go into the archive without addresses, and come back as the same rows."""
    from probe_scout.commands import audit
    from probe_scout.commands.audit import record
    from probe_scout.frontends.session import OpenKernel
    from probe_scout.kernel.kernel import Kernel
    from probe_scout.sources.live import LiveSource
    from tests.builders.tiny_kernel import tiny_files
    from tests.builders.tree import write_tree

    folder = write_tree(tmp_path / "root", {**tiny_files(["vfs_read"]), **QUIET})
    kernel = OpenKernel()
    kernel._opened = k = Kernel(LiveSource(str(folder)))
    symbols = k.full().symbols
    address = symbols.addresses[symbols.lookup(b"vfs_read")]
    multi = link(5, "kprobe_multi", 1, addresses=[address], cookies=[0], missed=0, is_return=False)
    taken = inputs(programs=[program(1)], links=[multi])
    del taken["symbols"]
    monkeypatch.setattr(audit, "document", lambda k, net="auto", calls=None: json.loads(json.dumps(taken)))
    now = audit.judged(k, record.read(audit.document(k))).attachments
    monkeypatch.setattr("probe_scout.kernel.text.slices_for_snapshot", _no_code)  # it would read this machine's kcore
    kernel.snapshot(str(tmp_path / "saved.tar.xz"))
    monkeypatch.undo()
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    assert run.main(["audit", "--root", str(tmp_path / "saved.tar.xz"), "--json"]) == 0
    out = capsys.readouterr().out
    (one,) = json.loads(out)["attachments"]
    assert (one["attach"], one["target"]) == (now[0].attach, now[0].target) == ("kprobe.multi", "vfs_read")
    from probe_scout.sources import open_source

    raw = open_source(str(tmp_path / "saved.tar.xz")).read("tool/audit.json").decode()
    assert str(address) not in raw


WHOLE = given(missed=2, count=2) | {
    "cgroups": [{"cgroup_id": 7, "path": "/x", "attach_type": "cgroup_device", "prog_ids": [1]}],
    "sockmaps": [{"map_id": 4, "attach_type": "sk_msg_verdict", "prog_ids": [1]}],
    "netns": [{"ino": 1, "attach_type": "sk_lookup", "prog_ids": [1]}],
    "pins": [{"path": "/sys/fs/bpf/x", "kind": "link", "id": 101}],
    "maps": [{"id": 4, "type": 26, "name": "m", "value_type_id": 3, "state": 1, "words": [1]}],
    "perf": [perf(10, 3, 1, "uprobe", "/bin/x", 64)],
    "files": {"10:/bin/x": {"state": "there", "places": {"64": {"symbol": "f", "offset": 0, "is_code": True}}}},
}


def _spoilt(value, path=()):
    """The same inputs with one value after the other of another kind."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        for other in (None, "text", 3, [], {}, -1, True):
            copy = json.loads(json.dumps(WHOLE))
            place = copy
            for step in path:
                place = place[step]
            place[key] = other
            yield copy
        yield from _spoilt(part, (*path, key))


def test_inputs_of_any_shape_are_read_or_malformed(tiny_folder):
    """Somebody else's snapshot: a sentence, never a traceback."""
    from probe_scout.commands import audit
    from probe_scout.errors import ProbeScoutError
    from probe_scout.frontends.render import json as json_of
    from probe_scout.frontends.render.audit import audit_lines
    from probe_scout.frontends.render.style import Style
    from probe_scout.kernel.kernel import Kernel
    from probe_scout.sources import open_source
    from tests.builders.tiny_kernel import Changed

    source = open_source(str(tiny_folder(["vfs_read"], files=QUIET)))
    refused = read = 0
    for spoilt in _spoilt(WHOLE):
        k = Kernel(Changed(source, replaced={"tool/audit.json": json.dumps(spoilt).encode()}))
        try:
            report = audit.report(k)
            assert "".join(audit_lines(report, Style()))
            assert json_of.document("audit", report)
            read += 1
        except ProbeScoutError:
            refused += 1
    assert refused > 200
    assert read > 200


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ((0, 1), (5, 1), ["grew"]),
        ((5, 1), (0, 1), []),  # a new boot counts from 0
        ((5, 1), (5, 1), []),
        ((0, 2), (0, 1), ["shrank"]),
        ((0, 1), (0, 2), ["grew"]),
        ((0, 2), (5, 1), ["grew"]),
    ],
)
def test_what_grew_and_what_shrank(audited, before, after, told):
    """More calls missed at equal counts is growth."""
    states = [audited(given(missed=missed, count=count)) for missed, count in (before, after)]
    assert [change.change for change in changes.between(*states).changes] == told


def test_a_change_names_who_holds_it_now_or_held_it(audited):
    before, after = audited(given(pid=10)), audited(given(pid=20, count=2))
    (grew,) = changes.between(before, after).changes
    assert set(grew.owners) == {owner.comm or str(owner.pid) for one in after.attachments for owner in one.owners}
    assert set(grew.owners) != {owner.comm or str(owner.pid) for one in before.attachments for owner in one.owners}
    (gone,) = changes.between(before, audited(inputs())).changes
    assert (gone.change, gone.owners) == ("gone", ("agent",))
