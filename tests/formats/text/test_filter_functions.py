"""available_filter_functions, with addresses and without: which symbols hold an ftrace site."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.text import filter_functions
from probe_scout.formats.text.kallsyms import SymbolTable
from tests.builders.damage import EXAMPLES, answer, damaged

BASE = 0xFFFFFFFF81000000
XFS = 0xFFFFFFFFC0200000
INVALID = "__ftrace_invalid_address__"


def symbols(*lines, hidden=False):
    """A table from (offset, name) or (offset, name, module), in vmlinux 0x100 apart."""
    text = f"{0 if hidden else BASE:016x} T _stext\n{0 if hidden else BASE + 0x100000:016x} T _etext\n"
    rows = [(BASE, "_stext", None), (BASE + 0x100000, "_etext", None)]
    for offset, name, *module in lines:
        rows.append(((XFS if module else BASE) + offset, name, module[0] if module else None))
    vmlinux = sorted((row for row in rows if row[2] is None), key=lambda row: row[0])
    text = "".join(f"{0 if hidden else a:016x} t {n}\n" for a, n, _ in vmlinux)
    text += "".join(f"{0 if hidden else a:016x} t {n}\t[{m}]\n" for a, n, m in rows if m)
    return SymbolTable(text.encode())


def with_addresses(*lines):
    text = ""
    for offset, name, *module in lines:
        address = (XFS if module else BASE) + offset
        text += f"{address:016x} {name}" + (f" [{module[0]}]\n" if module else "\n")
    return text.encode()


def names(*lines):
    return "".join(f"{line}\n" for line in lines).encode()


def traced(sites, table):
    """Symbol to True, False or None, by name and module and order of copies."""
    return [(s.name, sites.known(table, row)) for row in range(len(table.names)) if (s := table.symbol(row))]


def test_a_site_counts_for_the_symbol_around_it():
    table = symbols((0x100, "a"), (0x200, "b"), (0x300, "c"), (0, "m1", "xfs"), (0x100, "m2", "xfs"))
    sites = filter_functions.table_addrs(with_addresses((0x104, "a"), (0x310, "c"), (0x104, "m2", "xfs")))
    expected = {"a": True, "b": False, "c": True, "m1": False, "m2": True, "_stext": False, "_etext": False}
    assert dict(traced(sites, table)) == expected
    assert sites.site(table, table.lookup(b"a")) == 4
    assert sites.site(table, table.lookup(b"c")) == 0x10
    assert sites.site(table, table.lookup(b"b")) is None
    sites.settle(table)
    assert dict(traced(sites, table)) == expected
    assert sites.starts_of(b"xfs") == {XFS + 0x100}


def test_aliases_share_their_site():
    table = symbols((0x100, "a"), (0x100, "alias"), (0x200, "b"))
    sites = filter_functions.table_addrs(with_addresses((0x104, "a")))
    assert [sites.known(table, table.lookup(n)) for n in (b"a", b"alias", b"b")] == [True, True, False]


def test_lines_out_of_order_are_sorted():
    table = symbols((0x100, "a"), (0x200, "b"))
    sites = filter_functions.table_addrs(with_addresses((0x204, "b"), (0x104, "a")))
    assert [sites.known(table, table.lookup(n)) for n in (b"a", b"b")] == [True, True]


def test_the_file_tells_which_names_are_listed():
    raw = with_addresses((0x104, "vfs_read"), (0x204, "vfs_read"), (0x4, "vfs_read", "xfs"), (0x304, "vfs_readv"))
    assert filter_functions.find(raw, "vfs_read") == (None, None, "xfs")
    assert filter_functions.find(raw, "vfs_rea") == ()
    assert filter_functions.find(names("vfs_read", "vfs_readv", "vfs_read [xfs]"), "vfs_read") == (None, "xfs")


def test_hidden_addresses_leave_the_names():
    raw = b"0000000000000000 a\n0000000000000000 s\n0000000000000000 m [xfs]\n"
    table = symbols((1, "a"), (2, "s"), (3, "s"), (4, "b"), (0, "m", "xfs"), hidden=True)
    sites = filter_functions.table_addrs(raw)
    assert sites.addresses is None
    told = [(s, sites.known(table, table.rows(s)[0])) for s in (b"a", b"m", b"s", b"b")]
    # One line for two copies, and no line (it could be listed under an alias): not told.
    assert told == [(b"a", True), (b"m", True), (b"s", None), (b"b", None)]


def test_an_invalid_address_is_no_name_and_counts_where_it_lies():
    """print_rec: the site of a weak function that was replaced, an offset behind the symbol before it."""
    table = symbols((0x100, "a"), (0x200, "b"), (0x300, "c"))
    invalid = f"{INVALID}_{0x14}"
    sites = filter_functions.table_addrs(with_addresses((0x104, "a"), (0x214, invalid), (0x304, "c")))
    assert sites.known(table, table.lookup(b"b")) is True
    assert filter_functions.narrow(with_addresses((0x104, "a"), (0x214, invalid)), [b"x"]).count(b"\n") == 1


def test_without_addresses_a_unique_name_is_placed():
    table = symbols((0x100, "a"), (0x200, "b"), (0, "m", "xfs"))
    sites = filter_functions.table_names(names("a", "m [xfs]"), table)
    assert dict(traced(sites, table)) == {"_stext": False, "a": True, "b": False, "_etext": False, "m": True}


def test_without_addresses_copies_are_told_apart_by_their_neighbours():
    table = symbols((0x100, "s"), (0x200, "a"), (0x300, "s"), (0x400, "b"), (0x500, "s"))
    sites = filter_functions.table_names(names("a", "s", "b"), table)
    assert [sites.known(table, row) for row in table.rows(b"s")] == [False, True, False]


def test_without_addresses_copies_side_by_side_are_not_told_apart():
    table = symbols((0x100, "a"), (0x200, "s"), (0x300, "s"), (0x400, "b"), (0x500, "s"))
    sites = filter_functions.table_names(names("a", "s", "b"), table)
    assert [sites.known(table, row) for row in table.rows(b"s")] == [None, None, False]
    assert filter_functions.names_only(names("a", "s", "b"), table, [b"s"]) is None
    both = filter_functions.table_names(names("a", "s", "s", "b"), table)
    assert [both.known(table, row) for row in table.rows(b"s")] == [True, True, False]


def test_without_addresses_an_invalid_address_is_sought_between_its_neighbours():
    table = symbols((0x100, "a"), (0x200, "small"), (0x210, "big"), (0x300, "b"))
    sites = filter_functions.table_names(names("a", f"{INVALID}_{0x20}", "b"), table)
    # 0x20 behind its start the site can lie in a or in big only; a already has one.
    assert sites.known(table, table.lookup(b"small")) is False
    assert sites.known(table, table.lookup(b"big")) is not False


def test_a_few_names_need_no_table():
    table = symbols((0x100, "a"), (0x200, "b"), (0x200, "b2"), (0, "m", "xfs"))
    raw = names("a", "b", "m [xfs]")
    sites = filter_functions.names_only(raw, table, [b"b2", b"m"])
    assert [sites.known(table, table.lookup(n)) for n in (b"b", b"b2", b"m")] == [True, True, True]


def test_empty_files():
    table = symbols((0x100, "a"))
    assert filter_functions.table_addrs(b"").known(table, table.lookup(b"a")) is False
    assert filter_functions.table_names(b"", table).known(table, table.lookup(b"a")) is False
    assert filter_functions.find(b"", "a") == ()


@pytest.mark.parametrize("line", [b"a\n", b"xyz a\n", b"\n", b"ffffffff81000104 a"])
def test_other_lines_are_malformed_where_they_stand(line):
    head = with_addresses((0x104, "a"), (0x204, "b"))
    with pytest.raises(Malformed) as caught:
        filter_functions.table_addrs(head + line)
    assert caught.value.offset_bytes == len(head)


@pytest.mark.parametrize("raw", [b"a b c\n", b"\n", b"a"])
def test_other_names_are_malformed(raw):
    with pytest.raises(Malformed):
        filter_functions.table_names(raw, symbols())


WORDS = st.sampled_from(("a", "b", "s", "a.cold"))
DRAWN = st.lists(st.tuples(WORDS, st.booleans(), st.sampled_from((None, None, "m"))), max_size=10)


def drawn_kernel(drawn):
    """A table, the list with addresses, the list without, and the truth by row."""
    table = symbols(
        *((0x100 * (i + 1), name, *([module] if module else [])) for i, (name, _, module) in enumerate(drawn))
    )
    truth = {
        (name, module, (XFS if module else BASE) + 0x100 * (i + 1)): site
        for i, (name, site, module) in enumerate(drawn)
    }
    listed = sorted((key for key, site in truth.items() if site), key=lambda key: (key[1] or "", key[2]))
    addrs = "".join(f"{a + 4:016x} {n}" + (f" [{m}]\n" if m else "\n") for n, m, a in listed).encode()
    plain = "".join(n + (f" [{m}]\n" if m else "\n") for n, m, _ in listed).encode()
    right = [truth.get((s.name, s.module, s.address), False) for s in map(table.symbol, range(len(table.names)))]
    return table, addrs, plain, right


@pytest.mark.property
@EXAMPLES
@given(DRAWN)
def test_addresses_tell_the_truth_and_order_tells_nothing_else(drawn):
    table, addrs, plain, right = drawn_kernel(drawn)
    rows = range(len(table.names))
    if addrs:
        exact = filter_functions.table_addrs(addrs)
        assert [exact.known(table, row) for row in rows] == right
        exact.settle(table)
        assert [exact.known(table, row) for row in rows] == right
    by_name = filter_functions.table_names(plain, table)
    told = [by_name.known(table, row) for row in rows]
    assert [answer is None or answer == truth for answer, truth in zip(told, right, strict=True)] == [True] * len(rows)
    for name in ("a", "b", "s", "a.cold", "x"):
        needed = name.encode()
        few = filter_functions.names_only(plain, table, [needed])
        for row in table.rows(needed):
            if few is not None:
                assert few.known(table, row) == right[row]
            if addrs:
                narrow = filter_functions.table_addrs(filter_functions.narrow(addrs, [needed]))
                assert narrow.known(table, row) == right[row]
            if addrs:
                others = [needed, *(f"q{number}".encode() for number in range(9))]
                assert filter_functions.narrow(addrs, others) == filter_functions.narrow(addrs, [needed])
        owners = [m for n, site, m in drawn if n == name and site]
        assert sorted(map(str, filter_functions.find(plain, name))) == sorted(map(str, owners))
        assert sorted(map(str, filter_functions.find(addrs, name))) == sorted(map(str, owners))


TABLE = symbols((0x100, "a"), (0x200, "s"), (0x300, "s"), (0x400, "b"), (0, "m", "xfs"))
ADDRS = with_addresses((0x104, "a"), (0x214, f"{INVALID}_20"), (0x304, "s"), (0x404, "b"), (0x4, "m", "xfs"))
PLAIN = names("a", f"{INVALID}_20", "s", "b", "m [xfs]")


@pytest.mark.property
@EXAMPLES
@given(damaged(ADDRS), damaged(PLAIN))
def test_damaged_lists_are_read_or_malformed(addrs, plain):
    for scan, raw in (
        (filter_functions.table_addrs, addrs),
        (lambda raw: filter_functions.table_addrs(filter_functions.narrow(raw, [b"s", b"m"])), addrs),
        (lambda raw: filter_functions.table_names(raw, TABLE), plain),
        (lambda raw: filter_functions.names_only(raw, TABLE, [b"s", b"a", b"b"]), plain),
    ):
        sites = answer(scan, raw)
        if sites is not None:
            sites.settle(TABLE)
            assert {sites.known(TABLE, row) for row in range(len(TABLE.names))} <= {True, False, None}


def test_a_site_without_a_name_that_lies_elsewhere_needs_no_whole_list():
    lines = [(0x80, "z"), (0x100, "a"), (0x140, "big"), (0x300, "b"), (0x400, "c"), (0x440, "large"), (0x600, "d")]
    whole = "".join(f"{BASE + at:016x} t {name}\n" for at, name in lines).encode()
    table = symbols(*lines)
    raw = names("z", "a", "b", "c", f"{INVALID}_{0x20}", "d")
    assert filter_functions.names_only(raw, table, [b"big"]) is None
    few = filter_functions.names_only(raw, table, [b"big"], None, whole)
    assert few is not None
    assert few.known(table, table.lookup(b"big")) is False
    assert filter_functions.names_only(raw, table, [b"large"], None, whole) is None  # the site lies beside it
    assert filter_functions.table_names(raw, table).known(table, table.lookup(b"big")) is False
