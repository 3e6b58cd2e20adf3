"""Nearest names: distance, order, and what is no typing mistake."""

from __future__ import annotations

import os
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_scout.model.target import parse
from probe_scout.probes.explain.spelling import distance, nearest, suggest

from .conftest import FakeLookup

EXAMPLES = int(os.environ.get("PROBE_SCOUT_EXAMPLES", "50"))


def whole_table(left, right):
    """Optimal string alignment by the book, every cell."""
    rows = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) + 1):
        for j in range(len(right) + 1):
            if not i or not j:
                rows[i][j] = i + j
                continue
            cost = left[i - 1] != right[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and left[i - 1] == right[j - 2] and left[i - 2] == right[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@pytest.mark.parametrize(
    ("left", "right", "steps"),
    [
        ("vfs_raed", "vfs_read", 1),  # two neighbours swapped
        ("vfs_red", "vfs_read", 1),
        ("vfs_reaad", "vfs_read", 1),
        ("tnet_csk_accept", "inet_csk_accept", 1),
        ("vfs_read", "vfs_read", 0),
        ("", "ab", 2),
        ("ca", "abc", 3),  # optimal string alignment edits no part twice
    ],
)
def test_distance(left, right, steps):
    assert distance(left, right, 3) == distance(right, left, 3) == steps


def test_distance_stops_beyond_its_reach():
    assert distance("vfs_read", "do_nanosleep", 3) == 4
    assert distance("abcd", "wxyz", 2) == 3


@pytest.mark.property
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text("ab_c", max_size=9), st.text("ab_c", max_size=9), st.integers(1, 4))
def test_distance_agrees_with_the_whole_table(left, right, reach):
    assert distance(left, right, reach) == min(whole_table(left, right), reach + 1)


@pytest.mark.property
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text("ab_cd", min_size=3, max_size=9), st.lists(st.text("ab_cd", min_size=1, max_size=9), max_size=60))
def test_nearest_finds_what_a_full_search_finds(name, population):
    far = 1 if len(name) <= 5 else 2 if len(name) <= 8 else 3
    steps = sorted(whole_table(name, other) for other in set(population) - {name})
    found = nearest(name, population, 3)
    assert [whole_table(name, other) for other in found] == [s for s in steps if s <= far][:3]


def test_ties_go_to_the_longer_common_prefix_then_the_closer_length():
    assert nearest("vfs_rea", ["ufs_rea", "vfs_re", "vfs_reb"]) == ("vfs_reb", "vfs_re", "ufs_rea")


def test_a_population_of_75000_takes_little_time():
    words = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz_"
    population = ["".join(words.choices(letters, k=words.randint(6, 30))) for _ in range(75_000)] + ["vfs_read"]
    start = time.process_time()
    found = nearest("vfs_raed", population)
    assert found[0] == "vfs_read"
    assert time.process_time() - start < 1.0  # about 0.05 s; generous for a loaded machine


def test_suggest_for_a_mistyped_function():  # user problem 12
    lookup = FakeLookup(["T inet_csk_accept", "T inet_csk_get_port", "T vfs_read"])
    assert suggest(lookup, parse("tnet_csk_accept")) == ("inet_csk_accept",)


@pytest.mark.parametrize("name", ["vfs_read", "do_execve", "finish_task_switch", "nothing_like_it"])
def test_suggest_is_silent_where_the_name_is_not_mistyped(name):
    lookup = FakeLookup(["T vfs_read", "t finish_task_switch.isra.0", "T do_execv"])
    assert suggest(lookup, parse(name)) == ()


def test_suggest_takes_stray_characters_off():
    assert suggest(FakeLookup(["T vfs_read"]), parse("vfs_read()")) == ("vfs_read",)


def test_suggest_for_events_looks_into_the_category_first():
    lookup = FakeLookup(events=["sched:sched_switch", "other:sched_swich", "syscalls:sys_enter_openat"])
    assert suggest(lookup, parse("tp:sched:sched_swtch"))[0] == "tp:sched:sched_switch"
    assert suggest(lookup, parse("tp:block:sched_switch")) == ("tp:sched:sched_switch",)
    assert suggest(lookup, parse("tp:sched:sched_switch")) == ()
    assert suggest(lookup, parse("syscall:opentat")) == ("syscall:openat",)


def test_suggest_keeps_the_module_that_was_asked_for():
    lookup = FakeLookup(["t xfs_file_open [xfs]", "t xfs_file_opens"])
    assert suggest(lookup, parse("xfs:xfs_file_opn")) == ("xfs:xfs_file_open",)


def test_another_letter_case_comes_first():
    lookup = FakeLookup(["T vfs_read", "T vfs_readv"], events=["sched:sched_switch", "syscalls:sys_enter_openat"])
    assert suggest(lookup, parse("VFS_READ")) == ("vfs_read",)
    assert suggest(lookup, parse("tp:sched:Sched_Switch")) == ("tp:sched:sched_switch",)
    assert suggest(lookup, parse("syscall:OpenAt")) == ("syscall:openat",)
