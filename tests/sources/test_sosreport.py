"""An unpacked sosreport: what it did not take is not said to be missing, and bpftool's list of programs is read."""

from __future__ import annotations

import json

from probe_scout.frontends.session import open_kernel
from probe_scout.sources import open_source
from tests.builders.tree import write_tree

PROGRAMS = [{"id": 7, "type": "kprobe", "name": "p", "tag": "0011223344556677", "loaded_at": 1, "uid": 0}]
FILES = {
    "etc/hostname": b"h\n",
    "proc/modules": b"xfs 4096 0 - Live 0x0000000000000000\n",
    "proc/sys/kernel/osrelease": b"6.12.0\n",
    "sys/kernel/security/lsm": b"capability,bpf",
    "sos_commands/ebpf/bpftool_-j_prog_list": json.dumps(PROGRAMS).encode(),
}


def test_what_was_not_taken_is_unknown(tmp_path):
    root = str(write_tree(tmp_path / "sosreport", FILES))
    assert open_source(root).describe().kind == "snapshot"
    report = open_kernel(root).check(["vfs_read", "tp:sched:sched_switch"])
    assert {one.answer for target in report.targets for one in target.verdicts} == {"unknown"}


def test_programs_are_those_that_bpftool_listed(tmp_path):
    root = str(write_tree(tmp_path / "sosreport", FILES))
    report = open_kernel(root).audit()
    assert [one.prog.name for one in report.loaded] == ["p"]
    assert {one.fact for one in report.unread} >= {"bpftool_links", "bpftool_perf"}
