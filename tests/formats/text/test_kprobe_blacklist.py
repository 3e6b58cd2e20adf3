"""kprobes/blacklist: ranges, names, hidden addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.text import kprobe_blacklist
from probe_scout.formats.text.kprobe_blacklist import Blacklist
from tests.builders.damage import EXAMPLES, damaged
from tests.builders.small_files import blacklist

ENTRIES = [
    (0xFFFFFFFF81E01030, 0xFFFFFFFF81E01050, "asm_exc_divide_error", None),
    (0xFFFFFFFF810081A0, 0xFFFFFFFF810081D0, "warn_thunk_thunk", None),
    (0xFFFFFFFF81E01030, 0xFFFFFFFF81E01050, "asm_exc_divide_error", None),
    (0xFFFFFFFFC0396C20, 0xFFFFFFFFC0396C48, "kvm_spurious_fault", "kvm"),
]


def test_an_address_is_covered_up_to_the_end_of_the_range():
    listed = kprobe_blacklist.table(blacklist(ENTRIES))
    assert listed.covers(0xFFFFFFFF810081A0) is True
    assert listed.covers(0xFFFFFFFF810081CF) is True
    assert listed.covers(0xFFFFFFFF810081D0) is False
    assert listed.covers(0xFFFFFFFF8100819F) is False
    assert listed.covers(0) is False


def test_names_of_the_kernel_and_of_modules_are_apart():
    raw = blacklist(ENTRIES)
    listed = kprobe_blacklist.table(raw)
    assert listed.names == {b"asm_exc_divide_error", b"warn_thunk_thunk"}
    assert listed.in_modules == {(b"kvm_spurious_fault", b"kvm")}
    assert kprobe_blacklist.find_name(raw, "warn_thunk_thunk")
    assert not kprobe_blacklist.find_name(raw, "kvm_spurious_fault")
    assert kprobe_blacklist.find_name(raw, "kvm_spurious_fault", "kvm")


@pytest.mark.parametrize("hidden", ["0x0000000000000000", "0x(ptrval)", "(____ptrval____)"])
def test_hidden_addresses_leave_the_names(hidden):
    raw = f"{hidden}-{hidden}\tdo_int3\n".encode()
    listed = kprobe_blacklist.table(raw)
    assert listed.hidden
    assert listed.covers(0xFFFFFFFF810081A0) is None
    assert kprobe_blacklist.find(raw, 0xFFFFFFFF810081A0) is None
    assert listed.names == {b"do_int3"}


def test_nested_and_touching_ranges_are_merged():
    listed = kprobe_blacklist.table(blacklist([(16, 64, "a", None), (20, 24, "b", None), (64, 80, "c", None)]))
    assert (listed.starts, listed.ends) == ([16], [80])


def test_an_empty_list_covers_nothing():
    assert kprobe_blacklist.table(b"").covers(16) is False


@pytest.mark.parametrize(
    "line",
    [
        b"x",
        b"0x10-0x20",
        b"0x10-0x20\t",
        b"0x20-0x10\tf",
        b"0x10-0x10\tf",
        b"10-20\tf",
        b"0x1g-0x20\tf",
        b"0x10-0x20\tf [",
        b"0x1_0-0x20\tf",
    ],
)
def test_other_lines_are_malformed(line):
    raw = blacklist(ENTRIES[:1])
    with pytest.raises(Malformed) as caught:
        kprobe_blacklist.table(raw + line + b"\n")
    assert caught.value.offset_bytes == len(raw)


RANGES = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 20), st.sampled_from(("f", "g", "ff")), st.sampled_from((None, "m"))),
    max_size=9,
)


@pytest.mark.property
@EXAMPLES
@given(RANGES, st.booleans())
def test_one_name_and_all_names_agree(drawn, hidden):
    entries = [(start, start + length, name, module) for start, length, name, module in drawn]
    raw = blacklist(entries, hidden)
    listed = kprobe_blacklist.table(raw)
    for address in range(90):
        inside = any(start <= address < end for start, end, _, _ in entries)
        assert listed.covers(address) is kprobe_blacklist.find(raw, address)
        assert listed.covers(address) is (None if hidden and entries else inside)
    for name in ("f", "g", "ff", "fff"):
        assert kprobe_blacklist.find_name(raw, name) == (name.encode() in listed.names)
        assert kprobe_blacklist.find_name(raw, name, "m") == ((name.encode(), b"m") in listed.in_modules)


@pytest.mark.property
@EXAMPLES
@given(damaged(blacklist(ENTRIES)))
def test_damaged_lists_agree_or_are_malformed(raw):
    try:
        listed = kprobe_blacklist.table(raw)
    except Malformed:
        with pytest.raises(Malformed):
            kprobe_blacklist.find(raw, 1)
    else:
        for address in (0xFFFFFFFF81E01030, 0xFFFFFFFF810081D0, 1):
            assert kprobe_blacklist.find(raw, address) is listed.covers(address)


LINES = st.lists(
    st.one_of(
        st.builds(
            "0x{:016x}-0x{:016x}\t{}{}\n".format,
            st.integers(0, 40),
            st.integers(0, 60),
            st.sampled_from(["a", "b.c", "a\tb", "", " a"]),
            st.sampled_from(["", " [m]", " []", " [m", " [a b]", " [m]x"]),
        ),
        st.sampled_from(["0x10-0x20\tf\n", "\n", "0x(ptrval)-0x(ptrval)\tf\n", "0X0000000000000010", "x"]),
    ),
    max_size=6,
)


@given(LINES)
def test_the_list_at_once_is_the_list_line_by_line(lines):
    raw = "".join(lines).encode()
    at_once = kprobe_blacklist._plain_table(raw)
    if at_once is None:
        return
    by_line = kprobe_blacklist._table_by_line(raw)
    for name in Blacklist.__slots__:
        assert getattr(at_once, name) == getattr(by_line, name)


def test_what_the_kernel_writes_is_read_at_once():
    assert kprobe_blacklist._plain_table(blacklist(ENTRIES)) is not None
