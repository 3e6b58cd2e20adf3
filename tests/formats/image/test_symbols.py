"""kallsyms of an image, in each layout that kernels have had."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given

from probe_scout.errors import Malformed
from probe_scout.formats.image import symbols
from tests.builders.damage import EXAMPLES, damaged
from tests.builders.kallsyms_writer import BASE, kallsyms

HERE = 0xFFFF_FFFF_8200_0000
COUNT = 5_000


def rows():
    found = [(0, "A", "fixed_percpu_data"), (0x100, "A", "irq_stack")]
    for number in range(COUNT):
        name = f"function_{number}" if number % 7 else f"a_rather_long_name_of_{'x' * 200}_{number}"
        found.append((BASE + 16 * (number // 2), "tTdD"[number % 4], name))
    return found


@pytest.mark.parametrize("layout", ["before", "seqs", "behind", "plain", "relative"])
def test_every_row_comes_out_in_order(layout):
    found = rows() if layout in ("before", "seqs", "behind") else rows()[2:]
    table = symbols.read(kallsyms(found, HERE, layout), HERE)
    assert list(zip(table.addresses, table.letters, table.names, strict=True)) == [
        (address, letter.encode(), name.encode()) for address, letter, name in found
    ]
    assert table.text().splitlines()[-1] == b"%016x %b %b" % (
        found[-1][0],
        found[-1][1].encode(),
        found[-1][2].encode(),
    )


def test_one_inversion_is_no_table():
    """A layout that is wrong by one word gives right names and addresses out of order."""
    found = rows()[2:]
    found[7], found[9] = found[9], found[7]
    with pytest.raises(Malformed):
        symbols.read(kallsyms(found, HERE, "relative"), HERE)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_cut_off_tables_are_malformed(part):
    raw = kallsyms(rows(), HERE, "behind")
    with pytest.raises(Malformed):
        symbols.read(raw[: int(len(raw) * part)], HERE)


def test_bytes_without_tables_are_malformed():
    with pytest.raises(Malformed):
        symbols.read(bytes(100_000), HERE)


def token_table() -> bytes:
    """A table of 256 tokens with its digits and its index, which belongs to no names."""
    tokens = [bytes([number]) if 48 <= number < 58 else b"a" for number in range(256)]
    text = b"".join(token + b"\0" for token in tokens)
    return text.ljust(512, b"\0") + struct.pack("<256H", *range(0, 512, 2))


def test_an_image_full_of_markers_is_not_searched_for_hours():
    """Each run of words that could be markers costs a search for the names before it."""
    markers = struct.pack("<40I", *range(0, 40 * 300, 300))
    with pytest.raises(Malformed, match="expected one list of kallsyms' markers, found more than 64"):
        symbols.read(markers * 5_000 + token_table(), HERE)


def test_an_image_full_of_token_tables_is_searched_once(monkeypatch):
    """The lists of names are looked for once for an image, not once for a token table: zeros took 0.3 s a megabyte."""
    asked = []
    monkeypatch.setattr(symbols, "_name_lists", lambda raw, path: asked.append(path) or [])
    with pytest.raises(Malformed, match="none in this image"):
        symbols.read(bytes(4096) + token_table() * 50, HERE)
    assert len(asked) == 1


def test_names_that_run_past_their_markers_are_no_table():
    """The lengths in the middle, which no marker near them checks, lead out of the image."""
    raw = bytearray(kallsyms(rows(), HERE, "behind"))
    located = symbols._locate(raw, raw.index(symbols._DIGITS), symbols._name_lists(raw, "vmlinux"))
    middle = located.names + (located.markers - located.names) // 2
    raw[middle : middle + 512] = b"\xff" * 512
    with pytest.raises(Malformed):
        symbols.read(bytes(raw), HERE)


@pytest.mark.property
@EXAMPLES
@given(damaged(kallsyms(rows()[:4_300], HERE, "behind")))
def test_damaged_tables_are_read_or_refused(raw):
    with contextlib.suppress(Malformed):
        symbols.read(raw, HERE)
