"""Scans by more than one pattern: what is left out, by types, by coverage, sorted and limited."""

from __future__ import annotations

import re

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.cli.run import main
from probe_scout.frontends.session import open_kernel
from tests.conftest import RECORDED


@pytest.fixture(scope="module")
def kernel():
    return open_kernel(str(RECORDED))


def names(report):
    return [row.target for row in report.rows]


def test_several_patterns_are_those_of_each(kernel):
    both = names(kernel.scan(["tcp_v4_*", "udp_v4_*"], ["kprobe"]))
    assert sorted(both) == sorted(
        names(kernel.scan("tcp_v4_*", ["kprobe"])) + names(kernel.scan("udp_v4_*", ["kprobe"]))
    )


def test_what_is_left_out(kernel):
    found = names(kernel.scan("tcp_v4_*", ["kprobe"], without=["*_init*", "vmlinux:*connect"]))
    every = names(kernel.scan("tcp_v4_*", ["kprobe"]))
    assert set(every) - set(found) == {one for one in every if "_init" in one or one.endswith("connect")}
    assert len(found) < len(every)


def test_types_are_those_of_the_prototypes_that_check_shows(kernel):
    """Two roads: BTF's whole table, and the prototype of one name."""
    found = set(names(kernel.scan("tcp_v4_*", ["kprobe"], args=["struct  sk_buff*"], returns="int")))
    for one in kernel.check_many(names(kernel.scan("tcp_v4_*", ["kprobe"])))[1]:
        text = one.prototype or ""
        fits = text.startswith("int ") and re.search(r"[(,] ?(const )?struct sk_buff \*\w+", text) is not None
        assert (one.target in found) == fits, text
    assert "tcp_v4_rcv" in found


def test_functions_without_types_are_counted(tiny_kernel):
    kernel = tiny_kernel(["vfs_read", "bare nobtf", "vfs_write"])
    rows = names(kernel.scan("*", ["kprobe"], args=["no such type"]))
    assert (rows, kernel.untyped() > 0) == ([], True)


def test_a_pattern_with_a_type_beside_one_without_is_refused(kernel):
    with pytest.raises(UsageError, match="--type"):
        kernel.scan(["fentry:tcp_*", "udp_*"])


def test_coverage_is_that_of_each_function(capsys, tiny_folder):
    root = str(tiny_folder(["vfs_read", "vfs_write"]))
    assert main(["scan", "vfs_*", "--coverage", "unknown", "--root", root, "--format", "csv", "--type", "kprobe"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["vfs_read,,yes", "vfs_write,,yes"]
    assert main(["scan", "vfs_*", "--coverage", "partial", "--root", root]) == 1
    assert main(["scan", "--coverage", "partial", "--root", str(RECORDED)]) == 2


def test_sorted_and_limited(capsys, tiny_folder):
    root = str(tiny_folder(["z_last", "a_first", "m_middle"]))
    words = [
        "scan",
        "[zam]_*",
        "--not",
        "[!zam]*",
        "--root",
        root,
        "--type",
        "kprobe",
        "--format",
        "csv",
        "--sort",
        "name",
        "--limit",
        "2",
    ]
    assert main(words) == 0
    done = capsys.readouterr()
    assert done.out.splitlines()[1:] == ["a_first,,yes", "m_middle,,yes"]
    assert "2 of 3 functions" in done.err


@pytest.mark.parametrize(
    "words", [["--sort", "size"], ["--coverage", "all"], ["--limit", "0"], ["/bin/x", "y", "--not", "z"]]
)
def test_what_cannot_be_asked(words, capsys):
    assert main(["scan", *words, "--root", str(RECORDED)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
