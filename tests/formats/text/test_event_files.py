"""available_events, id and btf_ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.text import available_events, event_ids
from probe_scout.model.trace import BtfIds
from tests.builders.damage import EXAMPLES

EVENTS = b"sched:sched_switch\nxfs:xfs_read\nraw_syscalls:sys_enter\next4:sched_switch\n"


def test_an_event_is_found_by_its_whole_name():
    assert available_events.find(EVENTS, "sched", "sched_switch")
    assert available_events.find(EVENTS, "ext4", "sched_switch")
    assert not available_events.find(EVENTS, "sched", "sched_swi")
    assert not available_events.find(EVENTS, "syscalls", "sys_enter")


def test_categories_of_a_name_in_file_order():
    assert available_events.find_by_name(EVENTS, "sched_switch") == ("sched", "ext4")
    assert available_events.find_by_name(EVENTS, "switch") == ()


def test_every_event_in_file_order():
    assert available_events.table(EVENTS)[2:] == (("raw_syscalls", "sys_enter"), ("ext4", "sched_switch"))
    assert available_events.table(b"") == ()


@pytest.mark.parametrize(
    "raw", [b"sched:sched_switch\nsched", b"a:b\nsched\n", b"a:b\n:c\n", b"a:b\nc:\n", b"a:b\nc:d:e\n"]
)
def test_other_lines_are_malformed(raw):
    with pytest.raises(Malformed) as caught:
        available_events.table(raw)
    assert caught.value.offset_bytes == raw.rstrip(b"\n").rfind(b"\n") + 1


def test_a_cut_off_list_is_not_searched():
    with pytest.raises(Malformed, match="cut off"):
        available_events.find(EVENTS[:-3], "sched", "sched_switch")
    with pytest.raises(Malformed, match="cut off"):
        available_events.find_by_name(EVENTS[:-3], "sched_switch")


@pytest.mark.property
@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(("x", "xx", "a", "ax", "ab")))))
def test_one_name_and_all_names_agree(events):
    raw = "".join(f"{category}:{name}\n" for category, name in events).encode()
    assert available_events.table(raw) == tuple(events)
    for name in ("x", "xx", "a", "ax", "b"):
        assert available_events.find_by_name(raw, name) == tuple(c for c, n in events if n == name)
        for category in "ab":
            assert available_events.find(raw, category, name) == ((category, name) in events)


def test_an_id_is_one_number():
    assert event_ids.event_id(b"310\n") == 310
    for raw in (b"", b"310", b"x\n", b"0\n", b"1\n2\n", b"99999999999\n"):
        with pytest.raises(Malformed):
            event_ids.event_id(raw)


def test_the_three_btf_ids():
    raw = b"btf_obj_id: 1\nraw_btf_id: 96128\ntp_btf_id: 4711\n"
    assert event_ids.btf_ids(raw) == BtfIds(object_id=1, raw_id=96128, record_id=4711)


@pytest.mark.parametrize(
    "raw", [b"", b"btf_obj_id: 1\n", b"btf_obj_id: 1\ntp_btf_id: 2\nraw_btf_id: 3\n", b"btf_obj_id: x\n"]
)
def test_other_btf_ids_are_malformed(raw):
    with pytest.raises(Malformed):
        event_ids.btf_ids(raw)


@given(st.lists(st.sampled_from(["a", "b", ":", "\n", "sched:x\n", "ü", "sys_enter_a:"]), max_size=9))
def test_plain_lines_are_those_that_need_no_look(parts):
    raw = "".join(parts).encode()
    lines = raw.split(b"\n")
    good = all(line.count(b":") == 1 and line.isascii() and line[:1] != b":" != line[-1:] for line in lines[:-1])
    assert available_events.is_plain(raw) == (good and raw.endswith(b"\n"))
    if available_events.is_plain(raw):
        pairs = tuple(tuple(line.decode().split(":")) for line in lines[:-1])
        assert available_events.table(raw) == pairs
        for category in ("sched", "a"):
            assert available_events.names_in(raw, category) == {name for owner, name in pairs if owner == category}


def test_names_of_a_category_of_a_file_that_is_cut_off_are_refused():
    with pytest.raises(Malformed):
        available_events.names_in(EVENTS[:-1], "sched")
    assert available_events.names_in(EVENTS, "absent") == frozenset()
