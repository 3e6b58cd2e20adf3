"""Hosts of a fleet: what is attached, what nobody owns, what an upgrade loses."""

from __future__ import annotations

import json
import sqlite3

import pytest

from probe_scout.commands.fleet import hosts
from probe_scout.commands.snapshot import HOST, write_snapshot
from probe_scout.errors import Broken
from probe_scout.frontends.cli.run import main
from probe_scout.frontends.fleet import add
from probe_scout.frontends.session import ATTACHED
from probe_scout.model.audit import Attachment, LinkRef, Owner, Place, ProgramRef
from probe_scout.sources import open_source
from probe_scout.sources.fleet_store import Store
from tests.builders.small_files import note

PROGRAM = ProgramRef(7, "tracing", "p", "00")


@pytest.fixture
def build(tiny_folder):
    """build(number, symbols) is a snapshot folder of a build of its own."""

    def make(number, symbols):
        own = {
            "sys/kernel/notes": note(b"GNU", 3, bytes([number]) * 20),
            "proc/sys/kernel/osrelease": f"6.{number}.0\n".encode(),
        }
        return str(tiny_folder(symbols, files=own))

    return make


@pytest.fixture
def store(tmp_path):
    made = Store(str(tmp_path / "fleet.sqlite"), create=True)
    yield made
    made.close()


@pytest.fixture
def sent(tmp_path, build):
    """sent(name, build, rows) is the host part that a host of this build sent."""

    def make(name, root, rows):
        out = tmp_path / f"{name}.tar.xz"
        extra = {ATTACHED: json.dumps(rows).encode()}
        write_snapshot(open_source(root), str(out), tool_version="1", now=1, part=HOST, with_code=extra)
        return str(out)

    return make


def test_an_upgrade_loses_what_the_other_build_refuses_or_lacks(store, build, sent):
    old = build(1, ["vfs_read", "gone", "closed", "stays"])
    new = build(2, ["vfs_read", "closed blacklisted notrace", "stays"])
    here = [
        *(["kprobe", "gone", "agent"], ["kprobe", "closed", "agent"], ["kprobe", "stays", "agent"]),
        *(["fentry", "", "other"], ["tp", "sched:sched_switch", "agent"], ["xdp", "eth0", "cni"]),
    ]
    roots = [old, new, sent("a", old, here), sent("b", old, here[:1]), sent("c", new, here[:1])]
    report = add(store, roots, "1")
    assert [one.outcome for one in report.added] == ["added", "added", "host", "host", "host"]
    found = hosts.upgrade(store, "6.1.0", "6.2.0")
    assert found.hosts == 2
    assert {(one.target, one.answer, one.hosts, one.examples) for one in found.lost} == {
        ("gone", "absent", 2, ("a", "b")),
        ("closed", "no", 1, ("a",)),
        (None, "unknown", 1, ("a",)),
    }
    assert next(one.errno for one in found.lost if one.target == "closed") == "EINVAL"
    assert hosts.upgrade(store, "6.2.0", "6.1.0").lost == ()


def test_what_nobody_owns(store, build, sent):
    root = build(1, ["vfs_read"])
    rows = [["fentry", "vfs_read", ""], ["fentry", "vfs_read", ""], ["kprobe", "vfs_read", "agent"]]
    add(store, [sent("a", root, rows), sent("b", root, rows)], "1")
    assert [tuple(one) for one in hosts.unowned(store).unowned] == [("fentry", "vfs_read", 2, ("a", "b"))]
    assert [(one.name, one.attached, one.is_kept) for one in hosts.listed(store).hosts] == [
        ("a", 3, False),
        ("b", 3, False),
    ]


def test_a_host_that_sends_again_has_what_it_sent_last(store, build, sent, tmp_path):
    root = build(1, ["vfs_read"])
    add(store, [sent("a", root, [["fentry", "vfs_read", ""]])], "1")
    (tmp_path / "a.tar.xz").unlink()
    (row,) = add(store, [sent("a", root, [])], "1").added
    assert row.outcome == "host again"
    assert hosts.unowned(store).unowned == ()


def test_a_host_part_that_is_damaged_is_a_row_of_its_own(store, build, sent, tmp_path):
    root = build(1, ["vfs_read"])
    odd = tmp_path / "odd.tar.xz"
    write_snapshot(open_source(root), str(odd), tool_version="1", now=1, part=HOST, with_code={ATTACHED: b'{"a": [1]}'})
    report = add(store, [str(odd), sent("a", root, [])], "1")
    assert [one.outcome for one in report.added] == ["error", "host"]


@pytest.mark.parametrize(
    ("one", "row"),
    [
        (Attachment("fentry", "vfs_read", prog=PROGRAM), ("fentry", "vfs_read", "")),
        (Attachment("kprobe", "f", "xfs", prog=PROGRAM, owners=(Owner(1, "b", 3), Owner(2, "a", 4), Owner(3, "a", 5))),
         ("kprobe", "xfs:f", "a b")),
        (Attachment("lsm", "h", prog=PROGRAM, pins=("/sys/fs/bpf/x",)), ("lsm", "h", "pin /sys/fs/bpf/x")),
        (Attachment("kprobe_event", "f"), ("kprobe_event", "f", hosts.NO_PROGRAM)),
        (Attachment("kprobe.multi", None, link=LinkRef(1, "kprobe_multi"), places=(Place("g", "m", 0, None),)),
         ("kprobe.multi", "m:g", "")),
    ],
)  # fmt: skip
def test_attachments_as_a_fleet_keeps_them(one, row):
    assert hosts.rows([one]) == [row]


def test_a_fleet_without_hosts_of_the_first_schema(tmp_path, build, sent):
    path = str(tmp_path / "old.sqlite")
    root = build(1, ["vfs_read"])
    made = Store(path, create=True)
    add(made, [root], "1")
    made.close()
    base = sqlite3.connect(path)
    base.executescript("DROP TABLE host; DROP TABLE attachment; DROP TABLE attached; PRAGMA user_version = 1")
    base.close()
    old = Store(path)
    assert hosts.listed(old).hosts == ()
    assert hosts.unowned(old).unowned == ()
    old.close()
    new = Store(path, create=True)
    assert add(new, [sent("a", root, [])], "1").added[0].outcome == "host"
    assert len(new.builds()) == 1
    new.close()
    base = sqlite3.connect(path)
    base.execute("PRAGMA user_version = 3")
    base.close()
    with pytest.raises(Broken, match="schema 3"):
        Store(path)


def test_nothing_half_of_a_host_is_kept(store):
    def rows():
        yield "fentry", "a", ""
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put_host("a", "b x", "6.1", "", rows())
    assert store.hosts() == []


def test_the_commands(tmp_path, build, sent, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old, new = build(1, ["vfs_read", "gone"]), build(2, ["vfs_read"])
    host = sent("a", old, [["kprobe", "gone", ""]])
    assert main(["fleet", "add", old, new, host]) == 0
    codes = {}
    for words in (("hosts",), ("unowned",), ("upgrade", "6.1.0", "6.2.0"), ("upgrade", "6.2.0", "6.1.0")):
        capsys.readouterr()
        codes[words] = main(["fleet", *words, "--json"])
        assert json.loads(capsys.readouterr().out)["schema"] == f"probe-scout/fleet-{words[0]}/1"
        assert main(["fleet", *words]) == codes[words]
    assert list(codes.values()) == [0, 1, 1, 0]
    assert main(["fleet", "upgrade", "6.1.0"]) == 2
