"""Many names at once: the same answers as one by one, out of lists and patterns."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from probe_scout.commands import check_many as many
from probe_scout.errors import UsageError
from probe_scout.frontends.cli.run import main
from probe_scout.frontends.session import open_kernel
from tests.conftest import RECORDED


@pytest.fixture(scope="module")
def names():
    rows = open_kernel(str(RECORDED)).scan("*", ["kprobe"]).rows
    every = [row.target for row in rows]
    return [*every[:: max(1, len(every) // 60)], "no_such_function", "tp:sched:sched_switch", "syscall:openat"]


@pytest.mark.parametrize("types", [(), ("kprobe", "fentry", "fmod_ret")])
def test_verdicts_of_many_names_are_those_of_single_checks(names, monkeypatch, types):
    monkeypatch.setattr(many, "WHOLE_MAX", 1)
    names = [name for name in names if not types or ":" not in name]
    kernel = open_kernel(str(RECORDED))
    _, reports = kernel.check_many(names, types, all_types=True)
    for name, report in zip(names, reports, strict=True):
        (single,) = kernel.check([name], types).targets
        assert (report.target, report.verdicts, report.hazards, report.limits) == (
            single.target,
            single.verdicts,
            single.hazards,
            single.limits,
        )


def test_some_names_have_the_whole_report(names):
    kernel = open_kernel(str(RECORDED))
    _, reports = kernel.check_many(names[:20])
    assert list(reports) == list(open_kernel(str(RECORDED)).check(names[:20]).targets)


def test_a_pattern_is_the_names_that_scan_finds():
    kernel = open_kernel(str(RECORDED))
    _, reports = kernel.check_many(["kprobe.multi/vfs_*"])
    assert [(r.target, r.verdicts[0].attach) for r in reports] == [
        (row.target, "kprobe.multi") for row in open_kernel(str(RECORDED)).scan("vfs_*").rows
    ]
    _, reports = kernel.check_many(["tp:sched:sched_sw*"])
    events = kernel.tracepoint("sched:sched_sw*", names_only=True).events
    assert [report.target for report in reports] == [f"tp:{event.event}" for event in events] != []


def test_a_pattern_reads_no_whole_table():
    kernel = open_kernel(str(RECORDED))
    list(kernel.check_many(["vfs_rea*"])[1])
    assert kernel._kernel._full is None


def run(capsys, *args):
    code = main(["check", *args, "--root", str(RECORDED)])
    return code, capsys.readouterr()


def test_lists_of_names(tmp_path, capsys, monkeypatch):
    path = tmp_path / "names"
    path.write_text("# two\nvfs_read\n\n  vfs_write  # and a comment\n")
    for args in ([f"@{path}"], ["--from", str(path)]):
        code, out = run(capsys, *args, "--type", "kprobe", "--format", "ndjson")
        assert (code, [json.loads(line)["target"] for line in out.out.splitlines()]) == (0, ["vfs_read", "vfs_write"])
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"vfs_read\nno_such_function\n")))
    code, out = run(capsys, "-", "--type", "kprobe", "--format", "csv")
    assert (code, len(out.out.splitlines())) == (1, 3)


@pytest.mark.parametrize("text", [b"", b"# nothing\n", b"a\0b"])
def test_what_is_no_list_of_names(tmp_path, capsys, text):
    path = tmp_path / "names"
    path.write_bytes(text)
    assert run(capsys, f"@{path}")[0] == 2
    assert run(capsys, f"@{tmp_path}/none")[0] == 2


def test_a_pattern_without_a_match(capsys):
    code, out = run(capsys, "no_such_*")
    assert (code, "nothing matches" in out.err) == (1, True)


def test_an_ordinary_function_ends_with_0_without_a_type(capsys, monkeypatch):
    kernel = open_kernel(str(RECORDED))
    monkeypatch.setattr("probe_scout.frontends.cli.run.open_kernel", lambda *_, **__: kernel)
    code, out = run(capsys, "vfs_read")
    assert code == 0
    assert "4 unknown to this kernel" in out.out
    code, out = run(capsys, "vfs_read", "-v")
    assert code == 0
    assert "lacking" in out.out
    assert "others" in out.out
    code, out = run(capsys, "vfs_read", "--quiet")
    assert (code, out.out) == (0, "")
    assert run(capsys, "no_such_function", "--quiet")[0] == 1
    assert run(capsys, "vfs_read", "--all-types")[0] == 1
    assert run(capsys, "vfs_read", "--type", "kprobe,fmod_ret")[0] == 1
    assert run(capsys, "vfs_read", "--type", "kprobe,fmod_ret", "--any")[0] == 0
    assert run(capsys, "no_such_function", "--any")[0] == 1
    assert run(capsys, "vfs_read", "no_such_function", "--any")[0] == 1
    assert run(capsys, "iter:task")[0] == 0
    assert run(capsys, "bpf_iter_task")[0] == 0


def test_no_name_is_a_usage_error(capsys):
    assert run(capsys)[0] == 2


def test_a_pattern_that_cannot_be_read(tiny_kernel):
    with pytest.raises(UsageError, match="cannot be read"):
        list(tiny_kernel(["f"], denied=("proc/kallsyms",)).check_many(["f*"])[1])
