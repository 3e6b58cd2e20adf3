"""Packing a recording, and comparing one with another lab's."""

from __future__ import annotations

import json
import tomllib

from tests.oracle import recorded
from tests.vm import asking, cache, compare_shared, fetch, pack
from tests.vm.cache import Cached
from tests.vm.plan import Question

EVENT = "sys/kernel/tracing/events/sched/sched_switch/format"
MEMBERS = {"proc/version": b"Linux version 1.2.3\n", "proc/kallsyms": b"ffffffff81000000 T _stext\n", EVENT: b"ID: 7\n"}


def recording(folder):
    """A recording as `record` leaves it."""
    folder.mkdir(parents=True)
    entries = {path: {"size": len(raw), "sha256": ""} for path, raw in MEMBERS.items()}
    manifest = {"schema": "x", "release": "1.2.3+deb13-amd64", "tool_version": "0.1.0", "files": entries}
    members = {**MEMBERS, "manifest.json": json.dumps(manifest).encode()}
    (folder / "snapshot.tar.xz").write_bytes(pack.archive(members))
    (folder / "guest.toml").write_text(
        'taken = "2026-11-24"\ncmdline = "a \\"b\\""\nversion = "Linux"\nmodules = ["xfs"]\n'
    )
    (folder / "prober.sha256").write_text("abc\n")
    (folder / "plan.tsv").write_text("kprobe listed\t2\tall 2: names\n")
    kept = asking.Record(folder / "answers.tsv")
    kept.add({Question("kprobe", "vfs_read"): asking.Answer("0", "-", 5, "")})
    kept.add({Question("kfunc", "bpf_x", "tp"): asking.Answer("EACCES", "load", 5, "calling bpf_x is not allowed")})


def test_a_recording_is_packed_with_where_it_came_from(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE_SCOUT_LAB", str(tmp_path / "lab"))
    recording(tmp_path / "lab" / "recorded" / "6.12-cloud")
    there = Cached("6.12-cloud", "r", {"linux-image-r": "1.2.3-1"}, tmp_path, None, tmp_path, tmp_path)
    monkeypatch.setattr(cache, "get", lambda kernel: there)
    assert pack.main(["6.12-cloud", "--into", str(tmp_path / "fixtures")]) == 0
    name = "debian-1.2.3-cloud-amd64"
    told = tomllib.loads((tmp_path / "fixtures" / "kernels" / f"{name}.kernel.toml").read_text())
    assert told["packages"] == {"linux-image-r": "1.2.3-1"}
    assert told["plan"] == {"kprobe listed": {"questions": 2, "how": "all 2: names"}}
    assert (told["command_line"], told["prober_sha256"], told["answers"]) == ('a "b"', "abc", 2)
    found = pack.read_members(tmp_path / "fixtures" / "kernels" / f"{name}.tar.xz")
    assert {path: raw for path, raw in found.items() if path != pack.MANIFEST} == MEMBERS
    assert set(json.loads(found[pack.MANIFEST])["files"]) == {"proc/version", "proc/kallsyms"}
    answers = dict(recorded.read(tmp_path / "fixtures" / "answers" / f"{name}.tsv.xz"))
    assert answers["bpf_x"] == (recorded.Answer("kfunc", "tp", "EACCES", "load:not_allowed"),)


def test_only_a_bundled_slice_of_this_build_is_cut_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch, "fetch", lambda kernel: None)
    there = Cached("7.2", "r", {"linux-image-r": "7.2.99-1"}, tmp_path, None, tmp_path, tmp_path)
    monkeypatch.setattr(cache, "get", lambda kernel: there)
    assert pack.main(["--anew", "7.2", "--into", str(tmp_path)]) == 2
    assert "debian-7.2.99-amd64 is not bundled: 7.2 is fetched as 7.2.99-1" in capsys.readouterr().err


def test_what_is_not_recorded_gets_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PROBE_SCOUT_LAB", str(tmp_path))
    assert pack.main(["6.12"]) == 2
    assert "6.12 is not recorded: python -m tests.vm record -k 6.12" in capsys.readouterr().err


def test_differences_between_two_recordings_are_named():
    theirs = {"proc/kallsyms": b"ffffffff81000000 T a\nffffffff81000010 T b\n", "uname": b"x", EVENT: b"ID: 9\n"}
    ours = {"proc/kallsyms": b"ffffffff82000000 T a\nffffffff82000010 T c\n", "proc/version": b"y", EVENT: b"ID: 7\n"}
    said = "\n".join(compare_shared.files(theirs, ours, 3))
    assert "only theirs: uname" in said
    assert "only ours: proc/version" in said
    assert "proc/kallsyms: -1 +1 lines: -· T b | +· T c" in said
    assert "format" not in said  # the id alone differs
    answers = [("a", recorded.Answer("kprobe", "", "0", "-")), ("b", recorded.Answer("kprobe", "", "EINVAL", "open"))]
    told = list(compare_shared.answers(answers, {("kprobe", "a", ""): "EINVAL", ("kprobe", "c", ""): "0"}, 3))
    assert told == ["kprobe             different 1, ours alone 1, theirs alone 1", "  a : theirs 0, ours EINVAL"]
