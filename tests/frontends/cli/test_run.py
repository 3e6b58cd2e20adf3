"""Commands from line to exit code, with a kernel that answers from memory."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from probe_scout.errors import Broken, Malformed
from probe_scout.frontends.cli import run

from .conftest import NO_LIST, StubKernel


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"kprobe": "yes", "fentry": "yes"}, 0),
        ({"kprobe": "yes", "fentry": "no"}, 1),
        ({"kprobe": "unknown", "fentry": "no"}, 1),
        ({"kprobe": "yes", "fentry": "unknown"}, 3),
    ],
)
def test_exit_code_of_check_is_the_worst_answer(stub, capsys, answers, code):
    stub(StubKernel(answers))
    assert run.main(["check", "vfs_read"]) == code
    assert capsys.readouterr().err == ""


def test_check_hands_over_names_types_root_and_rights(stub, capsys):
    kernel = stub(StubKernel())
    line = [
        "check",
        "a",
        "--type",
        "kprobe,fentry",
        "b",
        "--root=/x.tar.xz",
        "--as-me",
        "--type",
        "fexit",
        "--vmlinux",
        "v",
    ]
    run.main(line)
    assert kernel.calls == [("check", ("a", "b"), ("kprobe", "fentry", "fexit"), True)]
    assert kernel.opened == [("/x.tar.xz", "v")]
    assert "as the present caller" in capsys.readouterr().out


def test_check_json_holds_the_promised_keys(stub, capsys):
    stub(StubKernel({"kprobe": "no", "fentry": "unknown"}))
    assert run.main(["check", "do_execve", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "probe-scout/check/1"
    assert set(document["kernel"]) >= {"release", "build_id", "arch", "source", "taken"}
    (target,) = document["targets"]
    assert (target["target"], target["kind"], target["module"]) == ("do_execve", "function", None)
    kprobe, fentry = target["verdicts"]
    assert (kprobe["attach"], kprobe["answer"], kprobe["errno"], kprobe["errno_certain"]) == (
        "kprobe",
        "no",
        "ENOENT",
        True,
    )
    assert set(kprobe["findings"][0]) == {"rule", "says", "evidence"}
    assert set(fentry["unread"][0]) == {"fact", "kind", "why", "cure"}
    assert target["coverage"] == {
        "answer": "none",
        "basis": "dwarf",
        "build_id_match": True,
        "inlined_into": [{"caller": "__x64_sys_execve", "offset": 41}],
        "missed_callers": ["__x64_sys_execve"],
        "clones": [],
        "right": 0,
        "asked": 0,
        "kernels": [],
        "kind": "",
        "missed": 0,
        "grade": "",
        "called_by": [],
    }
    assert set(target["diagnosis"][0]) == {"kind", "says", "certainty"}
    assert set(target["alternatives"][0]) == {"attach", "target", "answer", "says"}


def test_check_in_every_format_says_the_same_answers(stub, capsys):
    stub(StubKernel({"kprobe": "no", "fentry": "yes"}))
    run.main(["check", "f", "--format", "ndjson"])
    from_ndjson = [(d["attach"], d["answer"]) for d in map(json.loads, capsys.readouterr().out.splitlines())]
    run.main(["check", "f", "--format", "csv"])
    from_csv = [(d["attach"], d["answer"]) for d in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    run.main(["check", "f", "--format", "md"])
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]]
    assert from_ndjson == from_csv == [(row[2], row[3]) for row in rows] == [("kprobe", "no"), ("fentry", "yes")]


def test_scan_ndjson_has_a_line_for_each_function(stub, capfdbinary):
    stub(StubKernel())
    assert run.main(["scan", "vfs_r*", "--format", "ndjson"]) == 0
    lines = capfdbinary.readouterr().out.splitlines()
    assert json.loads(lines[0]) == {
        "target": "vfs_read",
        "module": None,
        "answers": {"kprobe": "yes", "kretprobe": "yes", "fentry": "no"},
        "errno": {"fentry": "EBUSY"},
    }
    assert len(lines) == 2


def test_scan_table_merges_attach_types_with_equal_answers(stub, capsys):
    stub(StubKernel())
    assert run.main(["scan", "vfs_*"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "kprobe +1: kprobe kretprobe" in lines
    assert lines[-3].split() == ["vfs_read", "yes", "no", "EBUSY"]


@pytest.mark.parametrize("format", ["table", "json", "ndjson", "csv", "md"])
def test_scan_without_a_match_is_a_no_with_suggestions(stub, capsys, format):
    stub(StubKernel())
    assert run.main(["scan", "vfs_reed*", "--format", format]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == [] if format == "json" else out == ""
    assert err == "probe-scout: no function matches 'vfs_reed*'; similar: vfs_read vfs_readv\n"


@pytest.mark.parametrize("format", ["table", "json", "ndjson", "csv"])
def test_scan_without_a_readable_list_cannot_tell(stub, capsys, format):
    stub(StubKernel(unread=[NO_LIST]))
    assert run.main(["scan", "--format", format]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["unread"][0]["fact"] == "kallsyms" if format == "json" else out == ""
    assert err == "probe-scout: kallsyms could not be read: Permission denied; run as root\n"


def test_tracepoint_without_a_readable_list_cannot_tell(stub, capsys):
    stub(StubKernel(events=None))
    assert run.main(["tracepoint"]) == 3
    assert capsys.readouterr().err == "probe-scout: sys/kernel/tracing/events: Permission denied; run as root\n"


def test_tracepoint_without_a_match_is_a_no(stub, capsys):
    stub(StubKernel())
    assert run.main(["tracepoint", "sched:sched_swap"]) == 1
    assert "similar: sched:sched_switch" in capsys.readouterr().err


def test_tracepoint_json_holds_the_promised_keys(stub, capsys):
    stub(StubKernel())
    assert run.main(["tracepoint", "sched:sched_switch", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "probe-scout/tracepoint/1"
    (event,) = document["events"]
    assert (event["event"], event["id"]) == ("sched:sched_switch", 314)
    assert set(event) >= {"event", "id", "fields", "verdicts", "raw_args"}
    assert set(event["fields"][0]) >= {"name", "type", "offset", "size", "signed", "access", "rule", "says"}


def test_snapshot_hands_over_its_options(stub, capsys):
    kernel = stub(StubKernel())
    assert run.main(["snapshot", "-o", "host.tar.xz", "--with-code"]) == 0
    assert kernel.calls == [("snapshot", "host.tar.xz", False, True)]
    assert "host.tar.xz" in capsys.readouterr().out


def test_doctor_says_what_would_open_a_source(stub, capsys):
    stub(StubKernel())
    assert run.main(["doctor"]) == 0
    assert "kprobe_blacklist (denied): Operation not permitted; run as root" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["chek", "x"], "probe-scout: no such command 'chek': did you mean 'check'; see probe-scout --help\n"),
        (["check", "x", "--rot", "y"], "probe-scout: check has no option --rot: did you mean --root?\n"),
        (["--rot", "y", "check", "x"], "probe-scout: no such option: --rot: did you mean --root?\n"),
        (["check", "x", "--zzz"], "probe-scout: check has no option --zzz; see probe-scout check --help\n"),
        (["check"], "probe-scout: missing argument 'NAME...'; see probe-scout check --help\n"),
        (["check", "x", "--type", "fentri"], None),
        (["check", "x", "--format", "yaml"], None),
        (["check", "x", "--json", "--format", "csv"], "probe-scout: --json and --format csv exclude each other\n"),
        (["check", "x", "--color", "pink"], None),
        (["check", "x", "--root"], None),
        (["scan", "--answer", "maybe"], None),
        (["snapshot"], None),
        (["check", "x", "--root", ""], None),
        (["check", "x", "--root="], None),
        (["check", "x", "--vmlinux", ""], None),
        (["audit", "--fail-on", ""], None),
        (["audit", "--diff="], None),
        (["scan", "--answer", ""], None),
        (["diff", "", "live"], None),
        (["diff", "live", ""], None),
        (["completion", "tcsh"], None),
        (["rules", "symbol_lookup.ambigous"], None),
    ],
)
def test_a_usage_error_is_one_sentence_and_code_2(stub, capsys, line, sentence):
    stub(StubKernel())
    assert run.main(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("probe-scout: ")
    assert err.count("\n") == 1
    if sentence:
        assert err == sentence


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Malformed("proc/kallsyms", 7, "an address"), 4),
        (Broken("host.tar.xz", "cut off"), 4),
        (FileNotFoundError(2, "No such file or directory", "x"), 4),
        (KeyError("x"), 4),
        (RecursionError(), 4),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_failures_are_a_code_and_at_most_one_sentence(monkeypatch, capfd, error, code):
    def fail(root, vmlinux=None):
        raise error

    monkeypatch.delenv("PROBE_SCOUT_TRACEBACK", raising=False)
    monkeypatch.setattr(run, "open_kernel", fail)
    monkeypatch.setattr(run.streams, "forget", lambda: None)
    assert run.main(["check", "x"]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == (1 if code == 4 else 0)
    assert "Traceback" not in err


def test_no_arguments_print_help_and_are_a_usage_error(capsys):
    assert run.main([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet():
    line = [sys.executable, "-m", "probe_scout", "rules"]
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(line, stdout=write_end, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, b"")


def test_output_that_the_encoding_lacks_is_escaped():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    program = "from probe_scout.frontends.cli import streams; streams.write(['na\\xefve']); streams.flush()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=True)
    assert done.stdout == b"na\\xefve\n"


RECORDED = "fixtures/kernels/debian-6.12.107-amd64.tar.xz"


@pytest.mark.parametrize(
    ("loads", "code"),
    [(["24:4"], 0), (["24:4", "4:4"], 1), (["0x38:8"], 0), (["64:4"], 1)],
)
def test_reads_of_a_recorded_event(loads, code, capsys):
    line = ["tracepoint", "sched:sched_switch", "--root", RECORDED, *[f"--reads={load}" for load in loads], "--json"]
    assert run.main(line) == code
    (event,) = json.loads(capsys.readouterr().out)["events"]
    assert len(event["reads"]) == len(loads)
    assert ("no" in {read["answer"] for read in event["reads"]}) == (code == 1)


@pytest.mark.parametrize("load", ["8", "8:3", "8:16", "x:4", "-8:4", "0x:4", "99999999999:4"])
def test_what_is_no_load_is_a_usage_error(load, capsys):
    assert run.main(["tracepoint", "a:b", f"--reads={load}"]) == 2
    assert "--reads" in capsys.readouterr().err


def test_a_list_of_events_is_the_same_in_every_machine_format(capsys):
    documents = []
    for form in ("json", "ndjson"):
        assert run.main(["tracepoint", "sched:*", "--root", RECORDED, "--format", form]) == 0
        out = capsys.readouterr().out
        documents.append(
            json.loads(out)["events"] if form == "json" else [json.loads(line) for line in out.splitlines()]
        )
    assert documents[0] == documents[1]
    assert len(documents[0]) > 20


def test_a_list_shows_fields_on_demand(capsys):
    assert run.main(["tracepoint", "sched:sched_w*", "--root", RECORDED, "--fields"]) == 0
    out = capsys.readouterr().out
    assert "sched:sched_waking\n" in out
    assert "value       pid_t pid" in out
    assert run.main(["tracepoint", "sched:sched_w*", "--root", RECORDED]) == 0
    assert "pid_t pid" not in capsys.readouterr().out
