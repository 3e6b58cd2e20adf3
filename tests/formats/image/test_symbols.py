"""kallsyms of an image, in each layout that kernels have had."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.image import symbols
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
