"""proc/kallsyms: one name, all names, and the narrow part of the file that decides about a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.text import kallsyms
from tests.builders.damage import EXAMPLES, answer, damaged

LINES = """\
ffffffff81000000 T _stext
ffffffff81000100 t __pfx_vfs_read
ffffffff81000110 T vfs_read
ffffffff81000110 T vfs_read_alias
ffffffff81000200 t vfs_readv
ffffffff81000300 t s_next
ffffffff81000400 t vfs_read.cold
ffffffff81000500 t s_next
ffffffff82000000 T _etext
ffffffff82000000 D _sdata
ffffffff82000010 d s_next
ffffffff83000000 T _sinittext
ffffffff83000010 t start_kernel
ffffffff83000100 T _einittext
ffffffffc0200000 t xfs_b\t[xfs]
ffffffffc0200100 t s_next\t[xfs]
ffffffffc0200000 t xfs_a\t[xfs]
ffffffffc0300000 t s_next\t[md_mod]
ffffffffc0400000 t bpf_prog_1\t[bpf]
ffffffffc0400100 t ftrace_trampoline\t[__builtin__ftrace]
ffffffffc0400200 t kprobe_insn_page\t[__builtin__kprobes]
"""
RAW = LINES.encode()
NAMES = sorted({line.split()[2] for line in LINES.splitlines()} | {"vfs_rea", "s_nex", "next", "", "t"})


def places(symbols):
    return [(s.address & 0xFFFFFFFF, s.module) for s in symbols]


def test_one_name_is_compared_whole():
    assert places(kallsyms.find(RAW, "vfs_read")) == [(0x81000110, None)]
    assert kallsyms.find(RAW, "vfs_rea") == ()
    assert kallsyms.find(RAW, "read") == ()


def test_copies_come_vmlinux_first_in_the_order_of_addresses():
    assert places(kallsyms.find(RAW, "s_next")) == [
        (0x81000300, None),
        (0x81000500, None),
        (0x82000010, None),
        (0xC0200100, "xfs"),
        (0xC0300000, "md_mod"),
    ]
    table = kallsyms.table(RAW)
    assert [table.symbol(row) for row in table.rows(b"s_next")] == list(kallsyms.find(RAW, "s_next"))
    assert table.symbol(table.lookup(b"s_next")).address == 0xFFFFFFFF81000300


def test_pseudo_modules_are_left_out_and_counted():
    table = kallsyms.table(RAW)
    assert table.pseudo_count == 3
    assert table.rows(b"bpf_prog_1") == ()
    assert kallsyms.find(RAW, "bpf_prog_1") == ()


def test_ranges_decide_what_is_text_and_not_the_letter():
    table = kallsyms.table(RAW)
    asked = {name: table.addresses[table.lookup(name.encode())] for name in ("vfs_read", "_sdata", "start_kernel")}
    assert [table.is_core_text(a) for a in asked.values()] == [True, False, False]
    assert [table.is_init_text(a) for a in asked.values()] == [False, False, True]


def test_the_first_alias_is_the_name_that_the_kernel_prints():
    table = kallsyms.table(RAW)
    assert table.canonical(table.lookup(b"vfs_read_alias")) == b"vfs_read"
    assert table.canonical(table.lookup(b"xfs_a")) == b"xfs_b"  # first in the file's order, whatever its letters


def test_a_symbol_reaches_to_the_next_address_of_its_owner():
    table = kallsyms.table(RAW)
    extent = {name: table.extent(table.lookup(name)) for name in (b"vfs_read", b"vfs_read_alias", b"xfs_a")}
    assert extent[b"vfs_read"] == extent[b"vfs_read_alias"] == (0xFFFFFFFF81000110, 0xFFFFFFFF81000200)
    assert extent[b"xfs_a"] == (0xFFFFFFFFC0200000, 0xFFFFFFFFC0200100)
    assert table.extent(table.rows(b"s_next")[4]) == (0xFFFFFFFFC0300000, 1 << 64)


def test_vmlinux_out_of_order_is_sorted():
    lines = LINES.splitlines(keepends=True)
    shuffled = "".join([lines[6], lines[0], lines[4], *lines[1:4], lines[5], *lines[7:]])
    table, right = kallsyms.table(shuffled.encode()), kallsyms.table(RAW)
    assert table.addresses == right.addresses
    assert [table.extent(table.lookup(n.encode())) for n in ("vfs_readv", "vfs_read.cold")] == [
        right.extent(right.lookup(n.encode())) for n in ("vfs_readv", "vfs_read.cold")
    ]


def test_hidden_addresses_leave_names_and_letters():
    raw = "".join(f"{'0' * 16}{line[16:]}\n" for line in LINES.splitlines()).encode()
    table = kallsyms.table(raw)
    assert table.hidden
    assert not kallsyms.table(RAW).hidden
    assert len(table.rows(b"s_next")) == 5
    assert table.canonical(table.lookup(b"vfs_read_alias")) == b"vfs_read_alias"
    assert table.letter(table.rows(b"s_next")[2]) == "d"


def test_a_32_bit_kernel_writes_eight_digits():
    raw = "".join(f"{line[8:]}\n" for line in LINES.splitlines()).encode()
    table = kallsyms.table(raw)
    assert table.symbol(table.lookup(b"vfs_read")).address == 0x81000110
    assert places(kallsyms.find(raw, "s_next")) == places(kallsyms.find(RAW, "s_next"))
    narrow = kallsyms.table(kallsyms.narrow(raw, [b"vfs_read"]))
    assert narrow.extent(narrow.lookup(b"vfs_read")) == (0x81000110, 0x81000200)


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (b"ffffffff81000600 t\n", 0),
        (b"ffffffff81000600 t \n", 0),
        (b"ffffffff8100060 t foo\n", 0),
        (b"ffffffff8100g600 t foo\n", 0),
        (b"ffffffff81000600  t foo\n", 0),
        (b"ffffffff81000600 tt foo\n", 0),
        (b"\n", 0),
        (b"ffffffff81000600 t fo", 0),
    ],
)
def test_other_lines_are_malformed_where_they_stand(line, at):
    head = RAW[: RAW.index(b"ffffffffc0200000")]
    with pytest.raises(Malformed) as caught:
        kallsyms.table(head + line)
    assert caught.value.offset_bytes == len(head) + at


@pytest.mark.parametrize("tail", [b"[xfs", b"xfs]", b"xfs", b"", b"[xfs]\t[xfs]"])
def test_a_module_is_written_in_brackets(tail):
    with pytest.raises(Malformed):
        kallsyms.table(RAW + b"ffffffffc0500000 t foo\t" + tail + b"\n")


def test_an_empty_file_has_no_symbols():
    assert kallsyms.table(b"").names == []
    assert kallsyms.find(b"", "vfs_read") == ()
    assert kallsyms.narrow(b"", [b"vfs_read"]) == b""


def test_variants_of_a_name():
    raw = RAW.replace(b"s_next\t[xfs]", b"vfs_read.isra.0\t[xfs]")
    assert kallsyms.prefixed(raw, b"vfs_read.") == (b"vfs_read.cold", b"vfs_read.isra.0")


def view_of(table, name):
    """What is asked of a table about one name."""
    rows = table.rows(name)
    return [
        (
            table.symbol(row),
            table.extent(row),
            table.canonical(row),
            table.is_core_text(table.addresses[row]),
            table.is_init_text(table.addresses[row]),
        )
        for row in rows
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_narrow_part_decides_as_the_whole_file(name):
    narrow = kallsyms.narrow(RAW, [name.encode()])
    assert view_of(kallsyms.table(narrow), name.encode()) == view_of(kallsyms.table(RAW), name.encode())


@pytest.mark.property
@EXAMPLES
@given(st.lists(st.text("ab.\\[)+", max_size=6), min_size=9, max_size=40, unique=True), st.data())
def test_many_names_at_once_are_found_as_each_is(names, data):
    from probe_scout.formats.text import many

    wanted = {name.encode() for name in names}
    text = st.sampled_from([*wanted, b"a", b"", b"x"])
    lines = data.draw(st.lists(st.tuples(text, st.sampled_from([b"\n", b"\t[m]\n", b" "])), max_size=30))
    raw = b"".join(b"1 t " + name + end for name, end in lines)
    found = sorted(match.start() for match in many.pattern(b" ", wanted, b"\n\t").finditer(raw))
    each = []
    for name in wanted:
        for end in (b"\n", b"\t"):
            at = raw.find(b" " + name + end)
            while at >= 0:
                each.append(at)
                at = raw.find(b" " + name + end, at + 1)
    assert found == sorted(each)


def test_names_that_nest_too_deep_are_searched_for_one_by_one():
    from probe_scout.formats.text import many

    deep = [b"a" * n for n in range(1, 129)]
    assert many.pattern(b" ", [], b"\n") is None
    raw = b"".join(b"%016x t %s\n" % (n << 8, name) for n, name in enumerate(deep, 1))
    assert kallsyms.narrow(raw, deep).count(b"\n") == 128
    assert many.pattern(b" ", [*deep, b"a" * 600], b"\n") is None


@pytest.mark.property
@EXAMPLES
@given(st.data())
def test_the_narrow_part_of_many_names_decides_as_the_whole_file(data):
    raw = written(data.draw(SYMBOLS))
    names = {b"a", b"ab", b"b", b"a.cold", b"a.b", b"bpf", b"_stext", b"x", b"y", b"z"}
    table, narrow = kallsyms.table(raw), kallsyms.table(kallsyms.narrow(raw, names))
    for name in names:
        assert view_of(narrow, name) == view_of(table, name)


@pytest.mark.property
@EXAMPLES
@given(st.data(), st.sampled_from((b"a", b"long_word", b"__long_word", b"x_long_word.cold")))
def test_lines_noted_for_a_word_give_the_narrow_part_of_the_whole_file(data, noted):
    longer = [(*one[:2], one[2].replace("a", "long_word"), *one[3:]) for one in data.draw(SYMBOLS)]
    raw = written(longer)
    near = kallsyms.Places(raw)
    near.note(noted)
    for name in (b"long_word", b"long_wordb", b"long_word.cold", b"long_word.b", b"b", b"x", b"_stext"):
        assert kallsyms.narrow(raw, [name], None, near) == kallsyms.narrow(raw, [name])
        assert near.lines_of(name) is None or b"long_word" in name
        assert near.prefixed(name) in (None, kallsyms.prefixed(raw, name))
    assert noted == b"a" or near.lines_of(b"long_word") is not None


def test_a_word_that_many_lines_hold_is_not_noted():
    line = "ffffffff81000110 T vfs_readable_%d\n"
    near = kallsyms.Places("".join(line % number for number in range(1000)).encode())
    near.note(b"vfs_readable")
    assert near.lines_of(b"vfs_readable_7") is None
    assert near.prefixed(b"vfs_readable") is None


def test_the_narrow_part_is_small():
    assert kallsyms.narrow(RAW, [b"vfs_readv"]).count(b"\n") == 6  # the limits, itself, the next
    assert kallsyms.narrow(RAW, [b"nowhere"]).count(b"\n") == 4


LIMITS = ("_stext", "_etext", "_sinittext", "_einittext")
WORDS = st.sampled_from(("a", "ab", "b", "a.cold", "a.b", *LIMITS, "bpf"))
OWNERS = st.sampled_from((None, None, "m", "n", "bpf"))
SYMBOLS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from("tTdDw"), WORDS, OWNERS), max_size=16)


def written(symbols, digits=16):
    """Lines as the kernel orders them: vmlinux by address, then module by module."""
    address, head, tail = 0x1000, [], {}
    for step, letter, name, module in symbols:
        if name in LIMITS and (module or f" {name}\n" in "".join(head)):
            continue  # the linker makes each of them once
        address += step * 16
        line = f"{address:0{digits}x} {letter} {name}"
        if module is None:
            head.append(line + "\n")
        else:
            tail.setdefault(module, []).append(f"{line}\t[{module}]\n")
    return "".join(head + [line for lines in tail.values() for line in lines]).encode()


@pytest.mark.property
@EXAMPLES
@given(SYMBOLS, st.sampled_from((8, 16)))
def test_one_name_the_narrow_part_and_all_names_agree(symbols, digits):
    raw = written(symbols, digits)
    table = kallsyms.table(raw)
    for name in ("a", "ab", "b", "a.cold", "a.b", "bpf", "_stext", "", "x"):
        assert [table.symbol(row) for row in table.rows(name.encode())] == list(kallsyms.find(raw, name))
        narrow = kallsyms.table(kallsyms.narrow(raw, [name.encode()]))
        assert view_of(narrow, name.encode()) == view_of(table, name.encode())


@pytest.mark.property
@EXAMPLES
@given(damaged(RAW))
def test_damaged_files_give_the_same_symbols_or_are_malformed(raw):
    table = answer(kallsyms.table, raw)
    for name in ("vfs_read", "s_next", "_etext", "xfs_a"):
        found = answer(lambda raw, name=name: kallsyms.find(raw, name), raw)
        narrow = answer(lambda raw, name=name: kallsyms.table(kallsyms.narrow(raw, [name.encode()])), raw)
        if table is not None:
            assert found is not None
            assert narrow is not None
            assert sorted(found, key=str) == sorted((table.symbol(row) for row in table.rows(name.encode())), key=str)


EXTENTS = b"""\
ffffffff82000000 d raw_tp_null_args
ffffffff82000000 d an_alias
ffffffff82000400 d bpf_ctx_convert_map
ffffffff82000440 d last
ffffffffc0200000 d raw_tp_null_args_too\t[m]
ffffffffc0200010 d of_module\t[m]
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("raw_tp_null_args", 0x400),
        ("an_alias", 0x400),  # up to the next address, not to the next line
        ("bpf_ctx_convert_map", 0x40),
        ("last", None),  # nothing of vmlinux behind it
        ("of_module", None),
        ("raw_tp_null", None),
        ("none", None),
    ],
)
def test_the_extent_of_an_object(name, expected):
    assert kallsyms.extent_bytes(EXTENTS, name) == expected


def test_an_extent_that_is_hidden_or_out_of_order():
    hidden = b"0000000000000000 d raw_tp_null_args\n0000000000000000 d bpf_ctx_convert_map\n"
    assert kallsyms.extent_bytes(hidden, "raw_tp_null_args") is None
    back = b"ffffffff82000400 d raw_tp_null_args\nffffffff82000000 d bpf_ctx_convert_map\n"
    assert kallsyms.extent_bytes(back, "raw_tp_null_args") is None


def test_an_extent_in_a_file_that_is_cut_off():
    with pytest.raises(Malformed):
        kallsyms.extent_bytes(EXTENTS[:45], "raw_tp_null_args")


def test_the_extent_in_a_recorded_kernel(recorded):
    assert kallsyms.extent_bytes(recorded.read("proc/kallsyms"), "raw_tp_null_args") == 1024
