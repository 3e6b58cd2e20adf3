"""The packed form of answers: there and back, and files that are none of ours."""

from __future__ import annotations

import lzma

import pytest

from tests.oracle import recorded
from tests.oracle.recorded import Answer

ROWS = [
    ("vfs_read", Answer("kprobe", "", "0", "-")),
    ("vfs_read", Answer("fentry_load", "", "0", "-")),
    ("vfs_write", Answer("kprobe", "", "0", "-")),
    ("vfs_write", Answer("fentry_load", "", "0", "-")),
    ("xfs:xfs_open", Answer("fentry", "", "EBUSY", "attach")),
    ("sched:sched_switch", Answer("tp_field", "8:4", "EACCES", "load")),
    ("m.cold", Answer("kprobe", "", "crash", "crash")),
]


def test_answers_come_back_by_target_and_in_any_order():
    found = dict(recorded.unpack(recorded.pack(ROWS)))
    assert {(target, answer) for target, answers in found.items() for answer in answers} == set(ROWS)
    assert recorded.pack(reversed(ROWS)) == recorded.pack(ROWS)


def test_targets_with_the_same_answers_stand_together():
    lines = lzma.decompress(recorded.pack(ROWS)).decode().splitlines()
    at = lines.index("=fentry_load - 0 -\tkprobe - 0 -")
    assert lines[at + 1 : at + 3] == ["vfs_read", "vfs_write"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("something else\n", "line 1 is not"),
        ("probe-scout answers 1\nvfs_read\n", "line 2 has no answers"),
        ("probe-scout answers 1\n=kprobe 0\nvfs_read\n", "line 2: not an answer"),
        ("probe-scout answers 1\n=kprobe - 0 -\n\n", "line 3 has no answers"),
    ],
)
def test_a_file_that_is_none_of_ours_gets_a_sentence(text, said):
    with pytest.raises(ValueError, match=said):
        list(recorded.unpack(lzma.compress(text.encode())))
