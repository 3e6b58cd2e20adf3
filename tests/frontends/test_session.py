"""The front door for programs: what it takes, what it refuses, what its reports turn into."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import probe_scout
from probe_scout.frontends.cli.run import main
from tests.conftest import RECORDED


@pytest.fixture(scope="module")
def kernel():
    return probe_scout.open_kernel(RECORDED)  # a Path


def test_everything_public_is_listed_and_found():
    assert dir(probe_scout) == sorted(probe_scout.__all__)
    for name in probe_scout.__all__:
        assert getattr(probe_scout, name) is not None
    assert {"open_kernel", "UsageError", "CheckReport", "Verdict", "to_dict"} <= set(dir(probe_scout))
    with pytest.raises(AttributeError, match="no attribute 'open_kernels'"):
        _ = probe_scout.open_kernels


def test_errors_are_the_same_objects_as_those_raised(kernel):
    with pytest.raises(probe_scout.UsageError) as raised:
        kernel.check("vfs_read", types=["bogus"])
    assert raised.value.exit_code == 2
    assert issubclass(probe_scout.NotThere, probe_scout.SourceError)


def test_a_string_is_one_name(kernel):
    one = kernel.check("vfs_read", types="kprobe,fentry")
    assert one == kernel.check(["vfs_read"], types=("kprobe", "fentry"))
    assert [target.target for target in one.targets] == ["vfs_read"]
    assert [target.target for target in kernel.check_many("vfs_read", "kprobe")[1]] == ["vfs_read"]
    assert next(iter(kernel.scan("vfs_read", "fentry").rows)).answers == {"fentry": "yes"}
    assert kernel.stub("sched:sched_switch") == kernel.stub(["sched:sched_switch"])


@pytest.mark.parametrize(
    "ask",
    [
        lambda k: k.check("vfs_read", types=["bogus"]),
        lambda k: k.check("vfs_r*"),
        lambda k: k.check(3),
        lambda k: k.check([b"vfs_read"]),
        lambda k: k.check(b"vfs_read"),
        lambda k: k.check_many("vfs_read", types="bogus"),
        lambda k: k.scan("vfs_read", types=["bogus"]),
        lambda k: k.scan("vfs_read", answer="maybe"),
        lambda k: k.scan_ndjson("vfs_read", types=["bogus"]),
        lambda k: k.tracepoint("sched:sched_switch", reads=[(8,)]),
        lambda k: k.tracepoint("sched:sched_switch", reads=[(8, 3)]),
        lambda k: k.diff(k, "vfs_r*", types="bogus"),
        lambda k: k.diff(k, "vfs_r*", kinds="bogus"),
        lambda k: k.stub("sched:sched_switch", lang="cobol"),
        lambda k: k.stub("sched:sched_switch", attach="bogus"),
        lambda k: k.inline_all("vfs_*", kinds=["bogus"]),
        lambda k: k.audit(net="maybe"),
        lambda k: k.verify("vfs_read", types=["bogus"]),
        lambda k: k.lint(3),
        lambda _: probe_scout.open_kernel(None),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(kernel, ask):
    with pytest.raises(probe_scout.UsageError):
        ask(kernel)


def test_a_kernel_says_which_it_is_without_reading():
    kernel = probe_scout.open_kernel("/no/such/path")
    assert repr(kernel) == "<OpenKernel '/no/such/path'>"
    assert repr(probe_scout.open_kernel()) == "<OpenKernel this machine>"


def test_the_kernel_is_that_of_its_reports(kernel):
    assert kernel.kernel == kernel.info() == kernel.check("vfs_read", "kprobe").kernel
    assert kernel.kernel.release in repr(kernel)


@pytest.mark.parametrize(
    ("line", "ask"),
    [
        (["check", "vfs_read", "--type", "fentry"], lambda k: k.check("vfs_read", "fentry")),
        (["check", "vfs_fsync_range"], lambda k: k.check("vfs_fsync_range")),
        (["scan", "vfs_rea*"], lambda k: k.scan("vfs_rea*")),
        (["tracepoint", "sched:sched_sw*"], lambda k: k.tracepoint("sched:sched_sw*")),
        (["tracepoint", "sched:sched_switch"], lambda k: k.tracepoint("sched:sched_switch")),
        (["stub", "sched:sched_switch"], lambda k: k.stub("sched:sched_switch")),
        (["inline", "vfs_fsync_range"], lambda k: k.inline("vfs_fsync_range")),
        (["doctor"], lambda k: k.doctor()),
    ],
)
def test_documents_are_those_of_the_command_line(kernel, line, ask):
    page = io.StringIO()
    with redirect_stdout(page):
        main([*line, "--json", "--root", str(RECORDED)])
    printed = json.loads(page.getvalue())
    assert ask(kernel).to_dict() == printed
    assert json.loads(ask(kernel).to_json(indent=2)) == printed


def test_reports_say_in_one_line_what_they_are(kernel):
    texts = [repr(kernel.check(["vfs_read"] * 5)), repr(kernel.doctor()), repr(kernel.tracepoint("sched:sched_switch"))]
    for text in texts:
        assert kernel.kernel.release in text
        assert len(text) < 500
    assert texts[0].endswith("; 2 more>")


def test_a_part_of_a_report_turns_into_a_dict(kernel):
    row = next(iter(kernel.scan("vfs_read", "fentry").rows))
    assert probe_scout.to_dict(row) == {"target": "vfs_read", "module": None, "answers": {"fentry": "yes"}, "errno": {}}


def test_the_page_names_every_error():
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for name in probe_scout.__all__:
        if isinstance(getattr(probe_scout, name), type) and issubclass(getattr(probe_scout, name), Exception):
            assert f"`{name}`" in page
