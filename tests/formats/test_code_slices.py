"""code/slices of a snapshot."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats import code_slices
from probe_scout.formats.code_slices import Slice
from tests.builders.damage import EXAMPLES, answer, damaged

SLICES = (
    Slice(None, "__getblk_slow.cold", 0x22E09E, b"\x0f\x0b", ("bug",)),
    Slice(None, "pgd_none", 0x843000, b"\xe9", ("alternative",)),
    Slice(None, "pgd_none", 0x4B3000, b"\xe9", ("alternative",)),
    Slice("sch_fq", "fq_change.cold", 0, b"\x48\x8b"),
    Slice("dm_mod", "__getblk_slow.cold", 7, b"\x66\x90", ("jump_label", "unread")),
)
RAW = code_slices.write_slices(SLICES)


def body(text: bytes) -> bytes:
    return code_slices.HEAD + zlib.compress(text)


def test_one_name_is_found_in_its_own_module():
    assert code_slices.find(RAW, None, "__getblk_slow.cold") == (SLICES[0],)
    assert code_slices.find(RAW, "dm_mod", "__getblk_slow.cold") == (SLICES[4],)
    assert code_slices.find(RAW, "sch_fq", "__getblk_slow.cold") == ()


def test_the_word_stale_is_seen_among_the_sites_alone():
    assert not code_slices.says_stale(code_slices.unpacked(code_slices.write_slices([Slice("tun", "stale", 0, b"")])))
    for sites in (("stale",), ("bug", "stale"), ("stale", "running")):
        one = Slice("tun", "wake", 0, b"", sites)
        assert code_slices.says_stale(code_slices.unpacked(code_slices.write_slices([one, SLICES[0]])))


def test_names_are_compared_whole():
    assert code_slices.find(RAW, None, "getblk_slow.cold") == ()
    assert code_slices.find(RAW, None, "__getblk_slow") == ()


def test_copies_of_a_name_come_by_offset():
    assert [one.offset for one in code_slices.find(RAW, None, "pgd_none")] == [0x4B3000, 0x843000]


def test_order_and_repeats_do_not_change_the_file():
    assert code_slices.write_slices(reversed(SLICES)) == RAW
    assert code_slices.write_slices((*SLICES, *SLICES)) == RAW


def test_a_file_without_slices_is_whole():
    assert code_slices.table(code_slices.write_slices(())) == {}


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ((), ""),
        (("bug",), "bug"),
        (("alternative",), ""),
        (("alternative", "static_call"), "static_call"),
        (("unread",), None),
    ],
)
def test_the_reserved_site_is_one_that_kprobes_ask_about(sites, expected):
    assert code_slices.reserved_site(Slice(None, "f", 0, b"\xe9", sites)) == expected


@pytest.mark.parametrize(
    "one",
    [
        Slice(None, "", 0, b""),
        Slice(None, "a b", 0, b""),
        Slice(None, "a\tb", 0, b""),
        Slice("m\n", "a", 0, b""),
        Slice(None, "a", -1, b""),
        Slice(None, "a", 0, b"", ("BUG",)),
    ],
)
def test_what_kallsyms_could_not_hold_is_not_written(one):
    with pytest.raises(ValueError, match=r"not a symbol|unknown site"):
        code_slices.write_slices((one,))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "probe-scout code slices 1"),
        (b"probe-scout code slices 2\n" + RAW[26:], "probe-scout code slices 1"),
        (code_slices.HEAD + b"not zlib", "a zlib stream"),
        (RAW[:-5], "the end of a zlib stream"),
        (body(b"-\tname\t0\t90\t"), "a line end"),
        (body(b"-\tname\t0\t90\n"), "MODULE NAME OFFSET CODE SITES"),
        (body(b"-\tname\t0x0\t90\t\n"), "MODULE NAME OFFSET CODE SITES"),
        (body(b"-\tname\t0\t9\t\n"), "MODULE NAME OFFSET CODE SITES"),
        (body(b"-\tname\t0\t90\tBUG\n"), "MODULE NAME OFFSET CODE SITES"),
        (body(b"\n"), "MODULE NAME OFFSET CODE SITES"),
    ],
)
def test_what_is_no_slices_file_is_malformed(raw, says):
    with pytest.raises(Malformed, match=says):
        code_slices.table(raw)


NAMES = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=12).filter(
    lambda n: n != "-"
)
ANY_SLICE = st.builds(
    Slice,
    st.none() | NAMES,
    NAMES,
    st.integers(0, 1 << 40),
    st.binary(max_size=16),
    st.lists(st.sampled_from(code_slices.SITE_WORDS), max_size=2).map(tuple),
)


@pytest.mark.property
@EXAMPLES
@given(st.lists(ANY_SLICE, max_size=8))
def test_the_find_and_table_ways_agree_and_keep_everything(slices):
    raw = code_slices.write_slices(slices)
    table = code_slices.table(raw)
    assert {one for found in table.values() for one in found} == set(slices)
    for (module, name), found in table.items():
        assert set(code_slices.find(raw, module, name)) == set(found)
        assert [one.offset for one in found] == sorted(one.offset for one in found) or max(
            one.offset for one in found
        ) >> 32


@pytest.mark.property
@EXAMPLES
@given(damaged(RAW))
def test_a_damaged_file_is_read_or_malformed(raw):
    table = answer(code_slices.table, raw)
    found = answer(lambda r: code_slices.find(r, None, "pgd_none"), raw)
    assert table is None or found == table.get((None, "pgd_none"), ())


@pytest.mark.property
@EXAMPLES
@given(damaged(zlib.decompress(RAW[len(code_slices.HEAD) :])))
def test_damaged_lines_are_read_or_malformed(text):
    table = answer(code_slices.table, body(text))
    if table is not None:
        for module, name in table:
            assert code_slices.find(body(text), module, name) == table[module, name]


def test_running_bytes_are_no_site_of_a_table():
    raw = code_slices.write_slices([Slice(None, "cet_disable", 0x10, b"\xeb", ("alternative", "running"))])
    (one,) = code_slices.find(raw, None, "cet_disable")
    assert code_slices.is_running(one)
    assert code_slices.reserved_site(one) == ""
    assert not code_slices.is_running(one._replace(sites=("alternative",)))
