"""A survey file: what is written is read, one name costs one block, and damage is one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.probes.inlining.survey import cell as cells
from probe_scout.probes.inlining.survey import format as survey_format
from probe_scout.probes.inlining.survey.cell import Cell
from probe_scout.probes.inlining.survey.format import Found, Share, encode
from tests.builders.damage import EXAMPLES, answer, damaged

from .conftest import cell, table

FILES = [(0, "vmlinux", "aa"), (1, "vmlinux", "bb"), (1, "xfs", "cc")]
NAMES = {
    "a": {"vmlinux": [cell("no"), None]},
    "ab": {"vmlinux": [cell("partial", 7), cell("partial|part", 255)], "xfs": [None, cell("partial", 1)]},
    "abc": {"xfs": [None, cell("full")]},
    "b": {"vmlinux": [cell("no||full"), cell("transformed|constprop,isra")]},
}
SHARES = {("yes", "no", "all"): Share(200, 199, 198)}
RAW = encode(["6.1-x", "6.12-x"], FILES, NAMES, SHARES)

PLACES = (("caller", 4), ("caller", 260), ("other.isra.0", 1 << 20))
CELLS = [
    *(Cell(kind, 0, (), ()) for kind in cells.KINDS if kind != "partial"),
    *(cell("partial", missed) for missed in (0, 1, 254, 255)),
    *(cell(kind)._replace(places=PLACES[:many]) for kind in cells.WITH_PLACES for many in (1, 2, 3)),
    *(cell("partial|isra,part|no/full", 9), cell("no|other"), cell("transformed|constprop|full")),
]
row = st.sampled_from([(a, b) for a in (None, *CELLS) for b in (None, *CELLS) if a or b])
names = st.dictionaries(
    st.text("abc_.é0", min_size=1, max_size=9),
    st.dictionaries(st.sampled_from(("vmlinux", "xfs", "kvm")), row, min_size=1),
    max_size=12,
)


def test_what_is_written_is_read():
    read = table(RAW)
    assert (read.kernels, read.scopes, read.shares) == (["6.1-x", "6.12-x"], ["vmlinux", "xfs"], SHARES)
    assert [tuple(one) for one in read.files] == [(0, 0, "aa"), (1, 0, "bb"), (1, 1, "cc")]
    assert read.find("ab") == (
        Found("vmlinux", (cell("partial", 7), cell("partial|part", 255))),
        Found("xfs", (None, cell("partial", 1))),
    )
    assert read.find("b")[0].cells[1].suffixes == ("constprop", "isra")
    assert read.find("b")[0].cells[0].others == ("full",)


def test_places_are_read_for_each_kernel_and_only_where_a_class_can_have_them():
    mine = [cell("partial", 3)._replace(places=PLACES), cell("full")._replace(places=PLACES[1:2])]
    read = table(encode(["a", "b"], FILES[:2], {"f": {"vmlinux": mine}, "g": {"vmlinux": [cell("no"), None]}}, {}))
    assert [one.places for one in read.find("f")[0].cells] == [PLACES, PLACES[1:2]]
    assert read.find("g")[0].cells == (cell("no"), None)
    wrong = table(encode(["a"], FILES[:1], {"f": {"vmlinux": [cell("no")._replace(places=PLACES)]}}, {}))
    assert wrong.find("f")[0].cells == (cell("no"),)


def test_a_survey_of_the_form_without_places_is_read():
    old = encode(["a", "b"], FILES[:2], {"f": {"vmlinux": [cell("partial", 3), cell("full")]}}, {})
    assert b"places" not in old
    raw = old.replace(survey_format.MAGIC, b"probe-scout survey 1\n")
    assert table(raw).find("f")[0].cells == (cell("partial", 3), cell("full"))


@pytest.mark.parametrize("name", ["", "A", "aa", "abcd", "ac", "c", "a\nab", "\udc80", "é"])
def test_a_name_that_is_not_there(name):
    assert table(RAW).find(name) == ()


@pytest.mark.property
@EXAMPLES
@given(names, st.integers(1, 4))
def test_one_name_and_all_names_agree(made, per_block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_format, "NAMES_PER_BLOCK", per_block)
        files = [(number, scope, "") for number in (0, 1) for scope in ("vmlinux", "xfs", "kvm")]
        read = table(encode(["a", "b"], files, made, {}))
    found = dict(read.all_names())
    assert list(found) == sorted(made, key=str.encode)
    for name, scopes in made.items():
        assert {one.scope: one.cells for one in found[name]} == {s: tuple(c) for s, c in scopes.items()}
        before = read.blocks_read
        assert read.find(name) == found[name]
        assert read.blocks_read <= before + 1


def test_more_missed_copies_than_fit_are_that_many_or_more():
    raw = encode(["a"], [(0, "vmlinux", "")], {"f": {"vmlinux": [Cell("partial", 4000, (), ())]}}, {})
    assert table(raw).find("f")[0].cells[0].missed == cells.MISSED_MAX == 255


def test_too_many_kinds_of_cells_are_refused():
    made = {f"f{n}": {"vmlinux": [Cell("no", 0, (f"s{n}",), ())]} for n in range(256)}
    with pytest.raises(ValueError, match="more than 255 cells"):
        encode(["a"], [(0, "vmlinux", "")], made, {})


def test_cut_off_anywhere_is_one_sentence():
    for end in range(len(RAW)):
        with pytest.raises(Malformed) as caught:
            list(table(RAW[:end]).all_names())
        assert str(caught.value).startswith("x.survey: not readable at byte ")


def test_every_changed_byte_is_noticed():
    for at in range(len(RAW)):
        raw = bytearray(RAW)
        raw[at] ^= 0x40
        with pytest.raises(Malformed):
            list(table(bytes(raw)).all_names())


@pytest.mark.property
@EXAMPLES
@given(damaged(RAW))
def test_damaged_bytes_give_an_answer_or_one_sentence(raw):
    answer(lambda bad: list(table(bad).all_names()), raw)


@pytest.mark.property
@EXAMPLES
@given(st.data())
def test_a_head_with_a_right_checksum_and_wrong_words(data):
    """What a checksum cannot notice: a file that was made so."""
    start = len(survey_format.MAGIC)
    size = int.from_bytes(RAW[start : start + 4], "little")
    head = table(RAW)._unpacked(
        start + 12, *(int.from_bytes(RAW[start + at :][:4], "little") for at in (0, 4, 8)), 9999
    )
    bad = data.draw(damaged(head))
    packed = survey_format._packed(bad)
    numbers = (len(packed), len(bad), survey_format.zlib.crc32(packed))
    raw = RAW[:start] + b"".join(n.to_bytes(4, "little") for n in numbers) + packed + RAW[start + 12 + size :]
    answer(lambda one: list(table(one).all_names()), raw)
    answer(lambda one: table(one).find("ab"), raw)


def test_many_names_of_a_block_are_found_as_the_first_are():
    """From the third on tables of the block answer."""
    made = {
        f"name_{number:03}": {"vmlinux": [CELLS[number % len(CELLS)], None], "xfs": [None, cell("partial", number)]}
        for number in range(200)
    }
    raw = encode(["a", "b"], FILES, made, {})
    whole, again = dict(table(raw).all_names()), table(raw)
    for name in (*made, "name_0", "name_200", "", "zz", *reversed(made)):
        assert again.find(name) == whole.get(name, ())
    assert again.blocks_read == 1
