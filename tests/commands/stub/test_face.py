"""What a stub's text and exit code owe: what was left out counts, Go is as gofmt sets it, bpftrace does not flood."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.cli.run import main
from probe_scout.frontends.session import open_kernel
from tests.conftest import RECORDED


@pytest.fixture(scope="module")
def kernel():
    return open_kernel(str(RECORDED))


def text(kernel, *names, **options):
    return kernel.stub(names, **options).text


def test_events_that_were_left_out_count_and_can_be_seen(capsys):
    line = ["stub", "syscalls:*", "--attach", "raw_tp", "sched:sched_switch", "--root", str(RECORDED)]
    assert main(line) == 1
    err = capsys.readouterr().err
    assert "more; --format json names all of them under skipped" in err
    assert main([*line, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["skipped"]) > 100
    assert found["skipped_unread"] == 0
    assert [stub["target"] for stub in found["stubs"]] == ["sched_switch"]


def test_nothing_left_out_is_a_success(capsys):
    assert main(["stub", "sched:sched_sw*", "--root", str(RECORDED)]) == 0
    assert "left out" not in capsys.readouterr().err


def test_go_is_as_gofmt_sets_it(kernel):
    gofmt = shutil.which("gofmt")
    if gofmt is None:
        pytest.skip("gofmt is not installed")
    texts = [text(kernel, name, lang="go") for name in ("sched:*", "syscalls:sys_enter_*", "net:*", "vfs_read")]
    texts += [text(kernel, "vfs_read", lang="go", attach=attach) for attach in ("fexit", "kprobe", "kretprobe")]
    for one in texts:
        assert subprocess.run([gofmt], input=one, capture_output=True, text=True, check=True).stdout == one


def test_comments_of_fields_share_a_column_where_they_follow_each_other(kernel):
    lines = text(kernel, "syscalls:sys_enter_openat", lang="go").splitlines()
    assert "\tSyscallNr int32   // int" in lines
    assert "\tPad12     [4]byte" in lines
    assert "\tDfd       uint64 // int" in lines


def test_go_takes_the_names_of_the_package_and_of_the_struct(kernel):
    found = text(kernel, "sched:sched_switch", lang="go", package="trace", type_name="Switch")
    assert "\npackage trace\n" in found
    assert "\ntype Switch struct {\n" in found
    assert 'const SwitchSection = "tp/sched/sched_switch"' in found


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lang": "c", "package": "x"}, "--package is for --lang go"),
        ({"lang": "rust", "type_name": "X"}, "--name is for --lang go"),
        ({"lang": "go", "package": "type"}, "no name in Go"),
        ({"lang": "go", "type_name": "a b"}, "no name in Go"),
        ({"lang": "go", "type_name": "Ä"}, "no name in Go"),
    ],
)
def test_names_that_go_would_not_take_are_refused(kernel, options, says):
    with pytest.raises(UsageError, match=says):
        kernel.stub("sched:sched_switch", **options)


def test_one_name_is_not_given_to_several_structs(kernel):
    with pytest.raises(UsageError, match="one struct, and these are 2"):
        kernel.stub(["sched:sched_switch", "sched:sched_waking"], lang="go", type_name="Switch")


@pytest.mark.parametrize(
    ("name", "attach", "counts"),
    [
        ("sched:sched_switch", "tp", True),
        ("sched:sched_process_exec", "tp", False),
        ("syscalls:sys_enter_write", "tp", True),
        ("syscalls:sys_enter_execve", "tp", False),
        ("kmem:kmalloc", "tp", True),
        ("sched:sched_switch", "raw_tp", True),
        ("vfs_read", "fentry", True),
        ("vfs_unlink", "kprobe", False),
    ],
)
def test_bpftrace_counts_what_would_flood(kernel, name, attach, counts):
    lines = text(kernel, name, lang="bpftrace", attach=attach).splitlines()
    printing = [line for line in lines if line.startswith("    printf(")]
    assert ("    @[comm] = count();" in lines) is counts
    assert bool(printing) is not counts
