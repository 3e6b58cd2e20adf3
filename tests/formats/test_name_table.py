"""Tables of names: what is there is found, what is not is not, and a changed byte is never believed."""

from __future__ import annotations

import random
import zlib

import pytest

from probe_scout.formats.name_table import Damaged, NameTable, made, of_names

NAMES = [b"name_%d" % number for number in range(3000)]
PLACES = [7 * number for number in range(3000)]


def table(data: bytes) -> NameTable:
    return NameTable(memoryview(data))


def test_every_name_is_at_its_place_and_no_other_name_is_there():
    whole = table(of_names(NAMES, PLACES))
    assert len(whole) == 3000
    for name, place in zip(NAMES, PLACES, strict=True):
        assert whole.at(name) == [place]
    assert not any(place in whole.at(b"other_%d" % place) for place in PLACES)


def test_a_name_with_more_places_than_a_block_holds_has_all_of_them():
    places = [3, *range(1000, 3000), 9]
    for others in (0, 100, 511, 512, 513):
        names = [b"many"] * len(places) + NAMES[:others]
        whole = table(of_names(names, [*places, *PLACES[:others]]))
        assert whole.at(b"many") == sorted(places)


def test_the_same_with_numbers_that_are_no_hashes():
    pairs = [(high, low) for high in range(0, 4000, 2) for low in range(high % 3 + 1)]
    whole = table(made([high << 32 | low for high, low in pairs]))
    for high in range(4001):
        assert whole.under(high) == [low for known, low in pairs if known == high]
    assert whole.under(0xFFFFFFFF) == []


def test_an_empty_table_holds_nothing():
    assert table(made([])).at(b"any") == []


def test_no_changed_byte_gives_another_answer():
    data = of_names(NAMES[:1200], PLACES[:1200])
    asked = [*NAMES[:1200:29], b"absent", b"also_absent"]
    good = {name: table(data).at(name) for name in asked}
    rng = random.Random(5)
    refused = 0
    for at in [*range(64), *(rng.randrange(len(data)) for _ in range(300))]:
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        try:
            whole = table(bytes(changed))
        except Damaged:
            refused += 1
            continue
        for name in asked:
            try:
                assert whole.at(name) == good[name]
            except Damaged:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize("size", [0, 1, 8, 16, 23])
def test_what_is_too_short_is_refused(size):
    with pytest.raises(Damaged):
        table(bytes(size))


def test_what_is_cut_off_is_refused():
    data = of_names(NAMES, PLACES)
    for size in (len(data) - 8, len(data) - 1, len(data) // 2 // 8 * 8):
        with pytest.raises(Damaged):
            table(data[:size])


def test_the_hash_is_that_of_zlib():
    assert table(made([zlib.crc32(b"vfs_read") << 32 | 5])).at(b"vfs_read") == [5]
