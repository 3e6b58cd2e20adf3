"""The probes of bpftrace scripts, by their text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import UsageError
from probe_scout.formats.hooks.bpftrace_script import read
from tests.builders.damage import EXAMPLES

SCRIPT = """#!/usr/bin/env bpftrace
#include <linux/sched.h>
// kprobe:commented { }
BEGIN { printf("kprobe:in_string { %d }", 1); }
kprobe:vfs_read,
kretprobe:vfs_read /@start[tid] && "k:x" != comm/ { @x = hist(1); if (1) { @["}"] = 2; } }
tracepoint:sched:sched_switch { } t:syscalls:sys_enter_openat { } /* kprobe:also { */
kprobe:vfs_* { } interval:s:1 { } END { }
uprobe:/bin/bash:readline { }
fentry:xfs:xfs_file_open { }
kprobe:vfs_write+4 { }
rawtracepoint:sched_wakeup { }
"""


def test_probes_with_their_lines():
    found = read(SCRIPT, "x.bt")
    assert {hook.ladder[0]: hook.source for hook in found.hooks} == {
        "kprobe:vfs_read": "x.bt:5",
        "kretprobe:vfs_read": "x.bt:6",
        "tracepoint:sched:sched_switch": "x.bt:7",
        "t:syscalls:sys_enter_openat": "x.bt:7",
        "fentry:xfs:xfs_file_open": "x.bt:10",
        "kprobe:vfs_write+4": "x.bt:11",
        "rawtracepoint:sched_wakeup": "x.bt:12",
    }
    assert [one.partition(": ")[0] for one in found.skipped] == ["kprobe:vfs_*", "uprobe:/bin/bash:readline"]


def test_a_script_without_probes_of_the_kernel():
    with pytest.raises(UsageError, match="no hook in it"):
        read('BEGIN { print("x"); }', "x.bt")


@pytest.mark.property
@EXAMPLES
@given(st.text('kprobe:,{}/"*\\ \n#a', max_size=200))
def test_any_text_gives_hooks_or_one_sentence(text):
    try:
        assert read(text, "x.bt").hooks
    except UsageError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
