"""What a user names on the command line."""

from __future__ import annotations

import pytest

from probe_scout.errors import UsageError
from probe_scout.model.target import FUNCTION, OFFSET, SYSCALL, TRACEPOINT, Target, parse


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("vfs_read", Target(FUNCTION, "vfs_read")),
        ("xfs:xfs_file_open", Target(FUNCTION, "xfs_file_open", "xfs")),
        ("vfs_read+0x10", Target(OFFSET, "vfs_read", None, 16)),
        ("xfs:xfs_file_open+16", Target(OFFSET, "xfs_file_open", "xfs", 16)),
        ("tp:sched:sched_switch", Target(TRACEPOINT, "sched_switch", "sched")),
        ("tp:sched/sched_switch", Target(TRACEPOINT, "sched_switch", "sched")),
        ("raw_tp:sched_switch", Target(TRACEPOINT, "sched_switch")),
        ("syscall:execve", Target(SYSCALL, "execve")),
        ("u", Target(FUNCTION, "u")),
        ("usdt", Target(FUNCTION, "usdt")),
    ],
)
def test_the_written_forms(text, target):
    assert parse(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "/bin/bash:readline",
        "./a.out:main",
        "../lib.so:f+0x4",
        "uprobe:/bin/bash:readline",
        "uretprobe:./a.out:main",
        "uprobe//bin/bash:readline",
        "usdt:/bin/bash:probe",
        "u:a.out:main",
    ],
)
def test_a_place_in_a_program_is_not_taken_for_a_function_of_a_module(text):
    with pytest.raises(UsageError, match="a place in a program or library"):
        parse(text)


@pytest.mark.parametrize("text", ["", "a b", " a", "a\x1b", "a" * 5000, "a+0xzz", "a+", ":f", "a" * 512])
def test_what_is_no_name(text):
    with pytest.raises(UsageError):
        parse(text)
