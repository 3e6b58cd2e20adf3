"""A fleet keeps what scan says: for every build, after every kind of interruption."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from probe_scout.commands import fleet
from probe_scout.errors import Broken, NotThere, UsageError
from probe_scout.frontends.cli.run import main
from probe_scout.frontends.fleet import add
from probe_scout.frontends.session import open_kernel
from probe_scout.sources.fleet_store import Store
from tests.builders.small_files import note
from tests.conftest import ROOT

SLICES = [str(ROOT / "fixtures" / "kernels" / f"debian-{one}-amd64.tar.xz") for one in ("6.1.176", "7.3.4")]


@pytest.fixture
def build(tiny_folder):
    """build(number, symbols) is a snapshot folder of a build of its own."""

    def make(number, symbols, **files):
        own = {
            "sys/kernel/notes": note(b"GNU", 3, bytes([number]) * 20),
            "proc/sys/kernel/osrelease": f"6.{number}.0\n".encode(),
        }
        return str(tiny_folder(symbols, files={**own, **files}))

    return make


@pytest.fixture
def store(tmp_path):
    made = Store(str(tmp_path / "fleet.sqlite"), create=True)
    yield made
    made.close()


def raw(store):
    return sqlite3.connect(store.path).execute("SELECT name, cells FROM function ORDER BY name").fetchall()


def test_answers_are_those_of_scan(store):
    report = add(store, SLICES, "1")
    assert [one.outcome for one in report.added] == ["added", "added"]
    for root in SLICES:
        kernel = open_kernel(root)
        build_id = kernel.info().build_id
        rows = list(kernel.scan("*").rows)
        for row in rows[:: len(rows) // 40]:
            asked = fleet.ask(store, f"{row.module or 'vmlinux'}:{row.target}", list(row.answers), "", "")
            (found,) = [one for one in asked.answers if one.build_id == build_id and one.state == "kept"]
            assert (found.answers, found.errno) == (row.answers, row.errno), row.target


def test_answers_are_those_of_single_checks(store):
    add(store, SLICES[:1], "1")
    kernel = open_kernel(SLICES[0])
    for name in ("vfs_read", "tcp_v4_connect", "blk_account_io_done"):
        (found,) = fleet.ask(store, name, ("kprobe", "fentry", "kprobe.multi"), "", "").answers
        verdicts = kernel.check([name], ("kprobe", "fentry", "kprobe.multi")).targets[0].verdicts
        assert found.answers == {one.attach: one.answer for one in verdicts}
        assert found.errno == {one.attach: one.errno for one in verdicts if one.errno}


def test_a_name_has_a_row_and_a_build_a_byte(store, build):
    add(store, [build(1, ["vfs_read", "gone"]), build(2, ["vfs_read"]), build(3, ["vfs_read", "new"])], "1")
    cells = dict(raw(store))
    assert [len(cells[name]) for name in ("vfs_read", "gone", "new")] == [3, 1, 3]
    assert cells["new"][:2] == b"\0\0"
    answers = {one.release: one.state for one in fleet.ask(store, "gone", ("kprobe",), "", "").answers}
    assert answers == {"6.1.0": "kept", "6.2.0": "absent", "6.3.0": "absent"}


def test_what_a_part_of_a_kernel_does_not_hold_is_not_told(store):
    add(store, SLICES[:1], "1")
    (found,) = fleet.ask(store, "no_such_function", ("kprobe",), "", "").answers
    assert (found.state, found.answers, found.errno) == ("not_recorded", {"kprobe": "unknown"}, {})


def test_a_pattern_counts_what_a_part_of_a_kernel_does_not_hold_as_unknown(store, build):
    add(store, [*SLICES, build(1, ["vfs_read"])], "1")
    (found,) = fleet.ask(store, "vfs_copy_file_rang[e]", ("kprobe",), "", "").counts  # 7.3.4 alone
    assert (found.yes, found.no, found.unknown, found.absent) == (1, 0, 1, 1)
    assert fleet.ask(store, "vfs_copy_file_rang[e]", ("kprobe",), "unknown", "").counts == (found,)


def test_a_build_is_judged_once_and_again_when_the_tool_changes(store, build):
    root = build(1, ["vfs_read", "gone"])
    outcomes = [add(store, [root], version).added[0].outcome for version in ("1", "1", "2")]
    assert outcomes == ["added", "kept", "again"]
    assert len(store.builds()) == 1
    assert fleet.ask(store, "vfs_read", ("kprobe",), "", "3").old == ("6.1.0",)


def test_a_build_that_is_judged_again_loses_what_it_no_longer_has(store, build):
    add(store, [build(1, ["vfs_read", "gone"])], "1")
    add(store, [build(1, ["vfs_read"])], "2")
    assert fleet.ask(store, "gone", ("kprobe",), "", "").answers[0].state == "absent"


def test_a_broken_snapshot_is_a_row_of_its_own(store, build, tmp_path):
    broken = tmp_path / "broken.tar.xz"
    broken.write_bytes(b"\xfd7zXZ\0 cut off")
    report = add(store, [str(broken), build(1, ["vfs_read"]), str(tmp_path / "none")], "1")
    assert [one.outcome for one in report.added] == ["error", "added", "error"]
    assert all(one.says for one in report.added if one.outcome == "error")


def test_several_processes_keep_the_same(tmp_path, build):
    roots = [build(number, ["vfs_read", f"own_{number}"]) for number in range(1, 4)]
    found = []
    for jobs in (1, 2):
        store = Store(str(tmp_path / f"{jobs}.sqlite"), create=True)
        add(store, roots, "1", jobs)
        found.append({
            one.release: one.answers for name in ("vfs_read", "own_2")
            for one in fleet.ask(store, name, ("kprobe", "fentry"), "", "").answers
        })  # fmt: skip
        store.close()
    assert found[0] == found[1]


def test_nothing_half_is_kept_when_a_writer_fails(store, build):
    add(store, [build(1, ["vfs_read"])], "1")
    before = raw(store), store.builds(), store.verdicts()

    def rows():
        yield "vfs_read", "", "[1]"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put("other", ("7", "b", "a", 1, 0, "1", ""), rows())
    assert (raw(store), store.builds(), store.verdicts()) == before


WRITER = """
import sys, time
from probe_scout.sources.fleet_store import Store
store = Store(sys.argv[1], create=True)
def rows(turn):
    for number in range(2000):
        yield f"f{number}", "", '[{"kprobe":"yes"},{}]'
        if number == 1000:
            print("half", flush=True)
            time.sleep(float(sys.argv[3]))
for turn in range(int(sys.argv[4])):
    key = f"{sys.argv[2]}-{turn}"
    store.put(key, (key, key, "x", 2000, 0, "1", ""), rows(turn))
"""


def writer(path, name, pause="0", turns="5"):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, path, name, pause, turns],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def whole(path, builds):
    store = Store(path)
    assert len(store.builds()) == builds
    rows = raw(store)
    assert len(rows) == (2000 if builds else 0)
    assert {cells for _, cells in rows} == ({bytes([1]) * builds} if builds else set())
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()


def test_two_writers_lose_nothing(tmp_path):
    path = str(tmp_path / "f.sqlite")
    both = [writer(path, name) for name in "ab"]
    assert [(one.communicate(timeout=100), one.returncode)[1] for one in both] == [0, 0]
    whole(path, 10)


def test_a_killed_writer_leaves_nothing_half(tmp_path):
    path = str(tmp_path / "f.sqlite")
    one = writer(path, "a", turns="1")
    one.communicate(timeout=100)
    two = writer(path, "b", pause="60", turns="1")
    assert two.stdout.readline() == b"half\n"
    time.sleep(0.1)
    two.send_signal(signal.SIGKILL)
    two.communicate(timeout=100)
    whole(path, 1)


def test_a_full_disk_loses_nothing(store, build):
    add(store, [build(1, ["vfs_read"])], "1")
    before = raw(store)
    pages = store._base.execute("PRAGMA page_count").fetchone()[0]
    store._base.execute(f"PRAGMA max_page_count = {pages + 4}")
    rows = ((f"f{number}", "", "[{},{}]") for number in range(9999))
    with pytest.raises(Broken, match="full"):
        store.put("big", ("7", "b", "a", 1, 0, "1", ""), rows)
    assert raw(store) == before
    assert len(store.builds()) == 1


def test_more_verdicts_than_a_byte_holds(store):
    rows = [(f"f{number:03}", "", json.dumps([{"kprobe": str(number)}, {}])) for number in range(600)]
    for key in ("a", "b"):
        store.put(key, (key, key, "x", 600, 0, "1", ""), rows)
    store.put("a", ("a", "a", "x", 1, 0, "1", ""), rows[:1])
    for number in (0, 253, 254, 255, 599):
        one, two = fleet.ask(store, f"f{number:03}", ("kprobe",), "", "").answers
        assert two.answers == {"kprobe": str(number)}
        assert one.state == ("absent" if number else "kept")
    assert store._base.execute("SELECT count(*) FROM wide WHERE place = 0").fetchone() == (0,)


def test_differences_of_two_builds(store, build):
    add(store, [build(1, ["vfs_read", "gone"]), build(2, ["vfs_read", "new"])], "1")
    found = fleet.diff(store, "6.1.0", "0202", "*", ("kprobe",))
    assert [(one.target, one.answer_a, one.answer_b) for one in found.changes] == [
        ("gone", "yes", "absent"),
        ("new", "absent", "yes"),
    ]
    for name in ("6.9.0", "02"):
        with pytest.raises(UsageError):
            fleet.diff(store, "6.1.0", name, "*", ())


@pytest.mark.parametrize("content", [b"garbage" * 99, b""])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(Broken, match="not a fleet of probe-scout"):
        Store(str(path))


def test_the_database_of_another_program_is_left_alone(tmp_path):
    path = str(tmp_path / "f")
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE theirs (x)")
    base.commit()
    with pytest.raises(Broken, match="not a fleet"):
        Store(path, create=True)
    with pytest.raises(NotThere):
        Store(path + "x")


# the command


def run(capsys, *words):
    code = main(["fleet", *words])
    done = capsys.readouterr()
    return code, done.out, done.err


def test_the_command_from_adding_to_exporting(tmp_path, build, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "list")[0] == 4
    code, out, _ = run(capsys, "add", build(1, ["vfs_read", "gone"]), build(2, ["vfs_read"]), "--json")
    assert (code, json.loads(out)["schema"]) == (0, "probe-scout/fleet-add/1")
    code, out, _ = run(capsys, "ask", "vfs_read", "--type", "kprobe")
    assert (code, out.count("yes")) == (0, 2)
    assert run(capsys, "ask", "gone", "--type", "kprobe")[0] == 1
    code, out, _ = run(capsys, "ask", "*", "--type", "kprobe", "--json")
    counts = {one["target"]: (one["yes"], one["absent"]) for one in json.loads(out)["counts"]}
    assert (code, counts["gone"]) == (0, (1, 1))
    assert run(capsys, "ask", "nothing*")[0] == 1
    assert run(capsys, "diff", "6.1.0", "6.2.0", "--format", "csv")[0] == 1
    code, out, _ = run(capsys, "export", "--format", "csv", "--type", "kprobe")
    lines = out.splitlines()
    assert lines[0] == "name,module,release,build_id,kprobe"
    assert lines[1:] == sorted(lines[1:], key=lambda line: line.split(",")[0])


@pytest.mark.parametrize(
    "words", [("adds",), ("add",), ("ask",), ("diff", "a"), ("export", "x"), ("ask", "tp:a:b", "--type", "kprobe")]
)
def test_what_cannot_be_asked(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Store("fleet.sqlite", create=True).close()
    code, out, err = run(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
