"""Places of copies in a survey: what is written is read, and other bytes are one error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.probes.inlining.survey import places
from tests.builders.damage import EXAMPLES

NAMES = ["a", "ab", "ab.isra.0", "b", "é"]
NUMBERS = {name: number for number, name in enumerate(NAMES)}
place = st.tuples(st.sampled_from(NAMES), st.integers(0, 1 << 33))
row = st.lists(st.lists(place, unique=True, max_size=5).map(sorted).map(tuple), min_size=3, max_size=3).filter(any)
rows = st.dictionaries(st.integers(0, 10_000), row.map(tuple), max_size=6)


@pytest.mark.property
@EXAMPLES
@given(rows)
def test_what_is_written_is_read(made):
    raw = places.write(sorted(made.items()), NUMBERS)
    assert places.read(raw, NAMES, 3) == made


@pytest.mark.property
@EXAMPLES
@given(rows, st.data())
def test_damage_is_an_error_or_other_places(made, data):
    raw = bytearray(places.write(sorted(made.items()), NUMBERS))
    if not raw:
        return
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    try:
        for found in places.read(bytes(raw), NAMES, 3).values():
            assert all(symbol in NUMBERS and offset >= 0 for mine in found for symbol, offset in mine)
    except (ValueError, IndexError):
        pass


def test_the_table_of_callers():
    raw = places.write_names(NAMES)
    assert raw[:4] == bytes((0, 1, 2, 0))
    assert places.read_names(raw, len(NAMES)) == NAMES
    with pytest.raises(ValueError, match="callers"):
        places.read_names(raw[:-1], len(NAMES))


def test_a_number_that_never_ends():
    with pytest.raises(ValueError, match="end"):
        places.read(bytes((0x80,)) * 8, NAMES, 1)
    with pytest.raises(ValueError, match="ten bytes"):
        places.read(bytes((0x80,)) * 12, NAMES, 1)
