"""Numbers to names, and what is known of the files that uprobes are on: by tables and small files alone."""

from __future__ import annotations

import os

import pytest

from probe_scout.commands.audit import files, record, resolve
from probe_scout.commands.audit.record import Btf, Process
from probe_scout.commands.audit.resolve import ENTRY_BYTES, MANY, MOST, Resolver, Symbol
from probe_scout.errors import Malformed, NotThere

from .conftest import inputs, link, perf

BASE = 0xFFFFFFFF81000000
SYMBOLS = b"".join(
    b"%016x %s\n" % (BASE + at, rest)
    for at, rest in (
        *((0, b"T first"), (0, b"t alias"), (0x10, b"W weak"), (0x20, b"w weaker"), (0x30, b"d data")),
        *((0x40, b"t last"), (0x1000, b"t mod_f\t[mod]"), (0x2000, b"t first\t[mod]")),
    )
)


class K:
    """As much of a kernel as names are made of."""

    def __init__(self, raw=SYMBOLS, ibt=None, hidden=False, btf=None, events=(), folders=None, files=None):
        self.raw, self.ibt, self.hidden, self._btf, self.events = raw, ibt, hidden, btf, events
        self.folders, self.files = folders or {}, files or {}
        self.source = self
        self.asked = []

    def kallsyms(self):
        self.asked.append("kallsyms")
        return self.raw

    def addresses_hidden(self):
        return self.hidden

    def config(self, option):
        return self.ibt if option == "CONFIG_X86_KERNEL_IBT" else None

    def btf(self, module):
        return self._btf

    def events_named(self, event):
        return self.events

    def full(self):
        self.asked.append("full")

    def gather(self, names):
        self.asked.append(sorted(names))

    def names(self, folder):
        if folder not in self.folders:
            raise NotThere(folder, "no")
        return self.folders[folder]

    def read(self, path):
        if path not in self.files:
            raise NotThere(path, "no")
        return self.files[path]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, Symbol("first", None, 0)),
        (1, Symbol("first", None, 1)),
        (4, Symbol("first", None, 4)),
        (0x10, Symbol("weak", None, 0)),
        (0x2F, Symbol("weaker", None, 0xF)),
        (0x30, Symbol("weaker", None, 0x10)),  # data is no symbol of code
        (0x44, Symbol("last", None, 4)),
        (0x1000, Symbol("mod_f", "mod", 0)),
        (0x1008, Symbol("mod_f", "mod", 8)),
        (-1, None),
        (-BASE, None),
    ],
)
@pytest.mark.parametrize("others", [(), (BASE,), (BASE + 0x44, BASE + 0x1009)])
def test_an_address(at, expected, others):
    """Alone, and beside others for which one look at the lines of their entries does, or does not."""
    resolver = Resolver(K(), {}, {})
    resolver.learn([BASE + at, *others])
    assert resolver.symbol(BASE + at) == expected


@pytest.mark.parametrize(("ibt", "offset"), [("y", 0), (None, ENTRY_BYTES), ("n", ENTRY_BYTES)])
def test_an_entry_behind_endbr64(ibt, offset):
    resolver = Resolver(K(ibt=ibt), {}, {})
    resolver.learn([BASE + 4, BASE + 5])
    assert resolver.symbol(BASE + 4).offset == offset
    assert resolver.symbol(BASE + 5).offset == 5


def test_what_is_not_looked_up():
    for k in (K(hidden=True), K(raw=None), K(raw=b"")):
        resolver = Resolver(k, {}, {})
        resolver.learn([BASE])
        assert resolver.symbol(BASE) is None
    nothing = K()
    Resolver(nothing, {}, {}).learn([0, 0])
    assert nothing.asked == []
    kept = Resolver(nothing, {}, {}, symbols={7: ("f", "m", 8)})
    kept.learn([BASE])
    assert (kept.symbol(7), kept.symbol(BASE), nothing.asked) == (Symbol("f", "m", 8), None, [])


def test_addresses_leave_a_document():
    document = {
        "links": [{"addresses": [BASE, 0, BASE + 0x10, BASE]}, {"address": BASE + 0x10}, {"address": None}],
        "perf": [{"address": BASE + 0x40}, {"address": 0}, {"address": 5}],
    }
    Resolver(K(), {}, {}).name_addresses(document)
    assert document == {
        "links": [{"addresses": [1, 0, 2, 1]}, {"address": 2}, {"address": None}],
        "perf": [{"address": 3}, {"address": 0}, {"address": 4}],
        "symbols": {"1": ["first", None, 0], "2": ["weak", None, 0], "3": ["last", None, 0]},
    }


@pytest.mark.parametrize(("name", "module"), [("mod_f", "mod"), ("first", None), ("nothing", None), ("mod", None)])
def test_the_module_of_a_function(name, module):
    """A name of vmlinux is vmlinux's, whoever else has it."""
    assert Resolver(K(), {}, {}).module_of(name) == module
    assert Resolver(K(raw=None), {}, {}).module_of(name) is None
    only = K(raw=b" mod_f\t[mod]\n")
    assert Resolver(only, {}, {}).module_of("mod_f") == "mod"


class View:
    def __init__(self):
        rows = {b"a": (0,), b"b": (1, 2), b"c": (3,)}
        self.symbols = type("S", (), {"rows": lambda s, n: rows.get(n, ()), "modules": [None, b"m", None, b"n"]})()


@pytest.mark.parametrize(("count", "at_once"), [(MANY, False), (MANY + 1, True)])
def test_owners_of_many_functions_are_found_at_once(monkeypatch, count, at_once):
    asked = []
    monkeypatch.setattr(resolve, "of_many", lambda k, names: asked.append(sorted(names)) or View())
    k = K(raw=b"")
    resolver = Resolver(k, {}, {})
    names = ["a", "b", "c", *(f"x{n}" for n in range(count - 3))]
    resolver.learn_owners(names, ["later"])
    assert asked == ([sorted([*names, "later"])] if at_once else [])
    told = [resolver.module_of(name) for name in ("a", "b", "c", "x0")]
    assert told == ([None, "m", "n", None] if at_once else [None] * 4)
    assert bool(k.asked) != at_once
    resolver.learn_owners(names, ["later"])
    assert len(asked) == at_once


def test_a_view_that_cannot_be_had():
    k = K()
    assert resolve.of_many(k, [f"x{n}" for n in range(MOST)]) is None
    assert resolve.of_many(k, [f"x{n}" for n in range(MOST + 1)]) is None
    assert [type(one) for one in k.asked] == [list, str]
    k.gather = lambda names: (_ for _ in ()).throw(Malformed("x", 0, "y"))
    assert resolve.of_many(k, ["x"]) is None


class Types:
    words = (0, 11, 22)

    def __init__(self, fails=False):
        self.fails = fails

    def locate(self, number):
        if self.fails or number > 3:
            raise IndexError
        return self, number

    def string(self, word, at):
        return {11: "vfs_read"}.get(word, "")


BTFS = {"1": Btf("vmlinux", True), "2": Btf("xfs", True), "3": Btf("program", False)}


@pytest.mark.parametrize(
    ("object_id", "type_id", "expected"),
    [
        (1, 2, (None, "vfs_read")),
        (2, 2, ("xfs", "vfs_read")),
        (1, 3, (None, None)),
        (1, 9, (None, None)),
        (3, 2, (None, None)),
        (9, 2, (None, None)),
        (None, 2, (None, None)),
        (0, 2, (None, None)),
        (1, 0, (None, None)),
        (1, None, (None, None)),
    ],
)
def test_a_type_by_its_number(object_id, type_id, expected):
    assert Resolver(K(btf=Types()), BTFS, {}).btf_name(object_id, type_id) == expected
    assert Resolver(K(), BTFS, {}).btf_name(object_id, type_id)[1] is None
    assert Resolver(K(btf=Types(True)), BTFS, {}).btf_name(object_id, type_id)[1] is None


@pytest.mark.parametrize(("events", "category"), [(("sched",), "sched"), (("a", "b"), None), ((), None), (None, None)])
def test_a_category(events, category):
    assert Resolver(K(events=events), {}, {}).category("sched_switch") == category


@pytest.mark.parametrize(
    ("kind", "config", "name"),
    [
        *((0, 0, "cycles"), (0, 9, "ref-cycles"), (0, 10, "hardware 10"), (0, 4 << 32, "cpu_core:cycles")),
        *(
            (0, (4 << 32) + 1, "cpu_core:instructions"),
            (0, 5 << 32, "pmu 5:cycles"),
            (0, (1 << 32) - 1, "hardware 4294967295"),
        ),
        *((1, 0, "cpu-clock"), (1, 11, "cgroup-switches"), (1, 12, "software 12")),
        *((4, 0x10, "cpu_core config 0x10"), (6, 1, "cpu-clock"), (7, 1, "task-clock"), (8, 1, "cpu-clock")),
        *((9, 1, "task-clock"), (10, 1, "other_clock config 0x1"), (99, 255, "pmu 99 config 0xff")),
        *((None, 0, None), (1, None, None)),
    ],
)
def test_a_perf_event(kind, config, name):
    units = {"4": "cpu_core", "8": "cpu_clock", "9": "task_clock", "10": "other_clock"}
    assert Resolver(K(), {}, units).perf_event(kind, config) == name


def test_performance_units():
    folder = "sys/bus/event_source/devices"
    k = K(
        folders={folder: ("gone", "cpu", "uncore")},
        files={f"{folder}/cpu/type": b"4\n", f"{folder}/uncore/type": b"12\n"},
    )
    assert resolve.read_pmus(k) == {"4": "cpu", "12": "uncore"}
    assert resolve.read_pmus(K()) == {}


# ---------------------------------------------------------------- files of uprobes


def test_files_that_are_looked_at():
    given = inputs(
        links=[
            link(5, "perf_event", 1, perf_type="uprobe", name="/a", offset=16),
            link(6, "perf_event", 1, perf_type="uretprobe", name="/a", offset=None, path="/wrong"),
            link(7, "perf_event", 1, perf_type="kprobe", name="vfs_read", offset=1),
            link(8, "uprobe_multi", 1, path="/b", offsets=[1, None, 2], name="/wrong", offset=9),
            link(9, "uprobe_multi", 1, path="/c"),
            link(10, "uprobe_multi", 1, offsets=[1]),
        ],
        perf=[
            perf(30, 3, 1, "uprobe", "/a", 32),
            perf(30, 4, 1, "uretprobe", "/a", 33),
            perf(30, 5, 1, "kprobe", "/a", 34),
        ],
        holders=[[10, 3, "link", 5], [20, 3, "link", 5], [20, 4, "program", 8], [10, 5, "link", 8]],
    )
    assert files.wanted(record.read(given)) == {
        (30, "/a"): {32, 33},
        (10, "/a"): {16},
        (20, "/a"): {16},
        (0, "/a"): set(),
        (10, "/b"): {1, 2},
        (0, "/c"): set(),
    }


MINE = "mnt:[1]"


@pytest.mark.parametrize(
    ("pid", "about", "ways"),
    [
        (0, Process(root="/x", mnt="mnt:[2]"), ["/x/f"]),
        (10, Process(root="/", mnt=MINE), ["/x/f"]),
        (10, Process(root=None, mnt="mnt:[2]"), ["/x/f"]),
        (10, Process(root="/", mnt="mnt:[2]"), ["P/10/root/x/f"]),
        (10, Process(root="/x", mnt="mnt:[2]"), ["P/10/root/x/f", "P/10/root/f"]),
        (10, Process(root="/y", mnt="mnt:[2]"), ["P/10/root/x/f"]),
        (10, Process(root="/x", mnt=MINE), ["P/10/root/x/f", "P/10/root/f", "/x/f"]),
    ],
)
def test_where_a_file_may_be(pid, about, ways):
    for path in ("/x/f", "/x/f (deleted)"):
        assert files._ways(path, pid, about, MINE, "P") == ways


def test_the_first_way_that_leads_to_a_file(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(files, "_file", lambda way, offsets, k: read.append((way, offsets)) or {"way": way})
    (tmp_path / "self" / "ns").mkdir(parents=True)
    os.symlink(MINE, tmp_path / "self" / "ns" / "mnt")
    (tmp_path / "10" / "root").mkdir(parents=True)
    (tmp_path / "10" / "root" / "f").write_bytes(b"")
    processes = [{"pid": 10, "root": "/x", "mnt": "mnt:[2]"}, {"pid": 20, "root": "/", "mnt": MINE}]
    given = record.read(
        inputs(perf=[perf(10, 3, 1, "uprobe", "/x/f", 5), perf(20, 3, 1, "uprobe", "/x/f", 5)], processes=processes)
    )
    found = files.look(given, [("/x/f", 5), ("/x/f", 4), ("/y", 1)], proc=str(tmp_path))
    inside = f"{tmp_path}/10/root/f"
    assert {name: about["way"] for name, about in found.items()} == {
        "10:/x/f": inside,
        "20:/x/f": "/x/f",
        "0:/x/f": "/x/f",
        "0:/y": "/y",
    }
    assert sorted(read) == sorted([(inside, [5]), ("/x/f", [5]), ("/x/f", [4, 5]), ("/y", [1])])
    read.clear()
    again = record.read(inputs(perf=[perf(20, 3, 1, "uprobe", "/x/f", 5)], processes=processes))
    files.look(again, [("/x/f", 5)], proc=str(tmp_path))
    assert read == [("/x/f", [5])], "one file was read twice"


def test_a_file_that_cannot_be_looked_into(tmp_path):
    (tmp_path / "text").write_bytes(b"no program\n")
    (tmp_path / "empty").write_bytes(b"")
    os.symlink("loop", tmp_path / "loop")
    state = {name: files._file(str(tmp_path / name), [1]) for name in ("text", "empty", "loop", "none", "text/below")}
    assert {name: found["state"] for name, found in state.items()} == {
        "text": "no_elf",
        "empty": "no_elf",
        "loop": "denied",
        "none": "gone",
        "text/below": "gone",
    }
    assert all(found["places"] == {} for found in state.values())
    assert state["text"]["changed_s"] == os.stat(tmp_path / "text").st_ctime


@pytest.mark.parametrize(
    ("code", "offset", "is_start"),
    [
        ("", 0, True),
        ("ff", 0, True),
        ("55 4889e5 c3", 1, True),
        ("55 4889e5 c3", 2, False),
        ("55 4889e5 c3", 4, True),
        ("55 4889e5 c3", 5, None),  # behind what was decoded
        ("", 3, None),
    ],
)
def test_where_an_instruction_starts(code, offset, is_start, monkeypatch):
    def machine(name):
        monkeypatch.setattr(os, "uname", lambda: type("U", (), {"machine": name}))

    machine("x86_64")
    assert files._is_start(bytes.fromhex(code), offset) is is_start
    assert files._is_start(b"\x90" * (files._FUNCTION_BYTES_MAX + 2), files._FUNCTION_BYTES_MAX) is True
    assert files._is_start(b"\x90" * (files._FUNCTION_BYTES_MAX + 2), files._FUNCTION_BYTES_MAX + 1) is None
    machine("aarch64")
    assert files._is_start(bytes.fromhex(code), offset) is (True if offset == 0 else None)
