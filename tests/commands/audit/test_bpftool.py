"""bpftool asked beside bpf(2): differences that last are told, those of one moment are not; an odd one harms nobody."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from probe_scout.commands.audit import printed, record
from probe_scout.sources.bpf import attached, bpftool_run
from probe_scout.sources.bpf.bpftool_run import Said

LINK = {"id": 7, "type": "tracing", "prog_id": 2}
ROW = {"pid": 10, "fd": 3, "prog_id": 1, "fd_type": "kprobe", "func": "vfs_read", "offset": 0}
OURS = {"pid": 10, "fd": 3, "prog_id": 1, "type": "kprobe", "name": "vfs_read", "offset": 0, "address": None}


@pytest.fixture
def between(monkeypatch):
    """between(theirs, ours): what bpftool and bpf(2) say at each call, the last for ever; the answer of `ask`."""
    monkeypatch.setattr(printed, "_PAUSE_S", 0)

    def make(theirs, ours):
        calls = {"perf": 0, "link": 0}

        def run(program, what):
            calls[what] += 1
            said = theirs[min(calls[what], len(theirs)) - 1] if what == "perf" else []
            return said if isinstance(said, Said) else Said(json.dumps(said).encode())

        taken = iter(ours)
        last = []

        def now(_):
            last[:] = [next(taken, last[0] if last else None)]
            return {"links": [], "holders": [], "perf": last[0]}

        monkeypatch.setattr(attached, "links_and_events", now)
        return printed.ask(None, run, "bpftool"), calls["perf"]

    return make


def test_equal_answers_are_asked_for_once(between):
    assert between([[ROW]], [[OURS]]) == ({"findings": [], "gaps": []}, 2)


def test_a_difference_that_lasts(between):
    words = "kprobe vfs_read+0 program 1 of 10/3"
    answer, asked = between([[ROW]], [[]])
    assert answer["findings"] == [["bpftool -j perf show", [words], []]]
    assert asked == 10
    answer, _ = between([[]], [[OURS]])
    assert answer["findings"] == [["bpftool -j perf show", [], [words]]]
    assert [one.evidence for one in printed.live_findings(record.read({"bpftool": answer}))] == [
        f"bpftool -j perf show: bpftool lacks {words}"
    ]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ([[], [ROW]], [[OURS]]),  # attached between
        ([[ROW], []], [[]]),  # let go between
        ([[ROW], [ROW], []], [[], []]),  # gone by the second round
        ([[], [], [ROW]], [[OURS]]),
    ],
)
def test_what_comes_and_goes_is_no_difference(between, theirs, ours):
    assert between(theirs, ours)[0]["findings"] == []


@pytest.mark.parametrize(("listed", "is_told"), [([], False), ([{**LINK, "id": 6}], False), ([LINK], True)])
def test_a_link_that_is_made_again_and_again_is_no_difference(monkeypatch, listed, is_told):
    """The descriptor's link is no longer listed: bpftool has the row of the link before and of the one behind."""
    monkeypatch.setattr(printed, "_PAUSE_S", 0)
    row = {"pid": 10, "fd": 3, "prog_id": 1, "fd_type": "raw_tracepoint", "tracepoint": "sched_switch"}
    now = {"links": listed, "holders": [[10, 3, "link", 7]], "perf": []}
    monkeypatch.setattr(attached, "links_and_events", lambda _: now)
    links = [{"id": one["id"], "type": one["type"], "prog_id": one["prog_id"]} for one in listed]
    said = {"perf": [row], "link": links}
    answer = printed.ask(None, lambda program, what: Said(json.dumps(said[what]).encode()), "bpftool")
    assert bool(answer["findings"]) == is_told


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (Said(b"", "bpftool perf show: no answer in 20 s"), "not_there"),
        (Said(b"<html>"), "malformed"),
        (Said(b"[3]"), "malformed"),
        ({"error": "Operation not permitted"}, "denied"),
        ([{"error": "can't get next link: Operation not permitted"}], "denied"),
    ],
)
def test_what_cannot_be_compared_is_unread(between, said, kind):
    answer, _ = between([said], [[OURS]])
    assert answer["findings"] == []
    assert [(gap["fact"], gap["kind"]) for gap in answer["gaps"]] == [("bpftool_perf", kind)]


def test_without_bpftool(monkeypatch):
    monkeypatch.setattr(bpftool_run, "find", lambda: None)
    (gap,) = printed.ask(None)["gaps"]
    assert (gap["fact"], gap["kind"], gap["cure"]) == ("bpftool", "not_there", "install it")


# ---------------------------------------------------------------- the run itself


@pytest.fixture
def script(tmp_path):
    def make(text):
        path = tmp_path / "bpftool"
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def test_what_it_prints_is_taken_whatever_its_exit_code(script):
    said = bpftool_run.ask(script('echo "[$*]"; exit 3\n'), "perf")
    assert (said.out, said.why) == (b"[-j perf show]\n", "")


def test_nothing_printed_comes_with_its_first_words(script):
    said = bpftool_run.ask(script("echo WARNING: bpftool not found for kernel 6.1 >&2; exit 2\n"), "perf")
    assert said.why == "bpftool perf show: nothing was printed: WARNING: bpftool not found for kernel 6.1"


def test_one_that_hangs_is_ended_with_what_it_started(script, tmp_path):
    begin = time.monotonic()
    said = bpftool_run.ask(script(f"sleep 60 & echo $! >{tmp_path}/pid; echo '['; wait\n"), "perf", 0.5)
    assert said.why == "bpftool perf show: no answer in 0.5 s"
    assert time.monotonic() - begin < 10
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("what it started runs on")


def test_one_that_closes_its_output_and_stays(script):
    assert bpftool_run.ask(script("echo []; exec >&- 2>&-; sleep 60\n"), "perf", 0.5).out == b"[]\n"


def test_one_that_prints_for_ever(script, monkeypatch):
    monkeypatch.setattr(bpftool_run, "BYTES_MAX", 1 << 20)
    assert bpftool_run.ask(script("yes\n"), "perf").why == "bpftool perf show: more than 1 MB were printed"


def test_one_that_cannot_be_started(tmp_path):
    path = tmp_path / "bpftool"
    path.write_text("nothing")
    assert bpftool_run.ask(str(path), "perf").why == f"{path}: Permission denied"


def test_it_is_found_where_users_paths_lack_it(monkeypatch, tmp_path):
    monkeypatch.setattr(bpftool_run, "_FOLDERS", (str(tmp_path),))
    monkeypatch.setenv("PATH", "/nowhere")
    assert bpftool_run.find() is None
    (tmp_path / "bpftool").write_text("")
    os.chmod(tmp_path / "bpftool", 0o755)
    assert bpftool_run.find() == f"{tmp_path}/bpftool"
