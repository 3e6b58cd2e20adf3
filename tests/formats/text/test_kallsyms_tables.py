"""Kept tables of kallsyms and of ftrace's lists: what they tell is what a search finds, in every way of asking."""

from __future__ import annotations

import random

import pytest

from probe_scout import arch
from probe_scout.errors import Malformed
from probe_scout.formats.name_table import Damaged
from probe_scout.formats.text import btf_ids, filter_functions, ftrace_tables, kallsyms, kallsyms_tables
from probe_scout.formats.text.ftrace_tables import Lines
from probe_scout.formats.text.kallsyms_tables import HEADS, KnownPlaces
from tests.builders.tiny_kernel import FILTER, FILTER_ADDRS, tiny_files
from tests.formats.btf.test_tables import Given

SYMBOLS = [
    *("vfs_read", "vfs_read.cold", "vfs_read.isra.0", "vfs_readv", "_vfs_read", "twice", "twice [one]", "twice [two]"),
    *("only [one]", "only.cold [one]", "data data", "init init", "tcp_close = tcp_close_alias"),
]
ODD = b"""0000000000000000 A percpu
ffffffff81000000 T _stext
ffffffff81000000 T first
ffffffff81000010 t same
ffffffff81000010 t same
ffffffff81000020 t .Lodd
ffffffff81000030 t vfs_read.part.0.cold
ffffffff81000040 T vfs_read
ffffffff82000000 T _etext
ffffffff83000000 T _sinittext
ffffffff83000010 T _einittext
ffffffff84000000 D __bpf_trace_tp_map_one
ffffffff84000000 D __BTF_ID__set__deny
ffffffff84000004 D __BTF_ID__func__first__1
ffffffffc0000000 t same\t[one]
ffffffffc0000010 t vfs_read.cold\t[one]
ffffffffc0000000 t __traceiter_x\t[bpf]
"""


def tiny(path: str = "proc/kallsyms") -> bytes:
    return tiny_files(SYMBOLS)[path]


def known(raw: bytes, parts=None) -> KnownPlaces:
    return KnownPlaces(raw, Given(kallsyms_tables.made(raw, "x86_64") if parts is None else parts))


def names_of(raw: bytes) -> list[bytes]:
    names = [line.split(b" ")[2].partition(b"\t")[0] for line in raw.splitlines()]
    bases = [name.partition(b".")[0] for name in names]
    return [
        *dict.fromkeys([*names, *bases, *(name[1:] for name in names), *(name + b"x" for name in names)]),
        b"absent",
    ]


def told(places: KnownPlaces, raw: bytes) -> list[object]:
    names = names_of(raw)
    return [
        [places.lines_of(name) for name in names],
        [places.prefixed(name + b".") for name in names],
        [places.prefixed(head) for head in HEADS],
        [kallsyms.SymbolTable(kallsyms.narrow(raw, {name}, places.limits, places)).where for name in names],
        places.split,
        places.limits,
        places.ids(),
        places.arch,
    ]


def searched(raw: bytes) -> list[object]:
    names = names_of(raw)
    split = kallsyms.modules_begin(raw)
    return [
        [kallsyms._lines_of(raw, name, split) for name in names],
        [kallsyms.prefixed(raw, name + b".") for name in names],
        [kallsyms.prefixed(raw, head) for head in HEADS],
        [kallsyms.SymbolTable(kallsyms.narrow(raw, {name})).where for name in names],
        split,
        kallsyms.limits_of(raw),
        btf_ids.table(raw),
        "x86_64",
    ]


@pytest.mark.parametrize("raw", [ODD, tiny(), ODD[: ODD.index(b"ffffffffc")]], ids=["odd", "tiny", "no module"])
def test_tables_tell_what_a_search_finds(raw):
    assert told(known(raw), raw) == searched(raw)


def test_a_beginning_that_nobody_asked_for_is_searched_for():
    assert known(ODD).prefixed(b"vfs") is None
    places = known(ODD)
    places.note(b"vfs_read")
    assert places.prefixed(b"vfs") is None  # noting is for searches


def test_damaged_tables_tell_nothing_wrong():
    raw = tiny()
    good = told(known(raw), raw)
    made = kallsyms_tables.made(raw, "x86_64")
    rng = random.Random(4)
    lost = 0
    for _ in range(80):
        changed = bytearray(made["kallsyms names"])
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        try:
            found = told(known(raw, {**made, "kallsyms names": bytes(changed)}), raw)
        except Damaged:
            lost += 1
            continue
        for one, other in zip(found[0] + found[1], good[0] + good[1], strict=True):
            assert one is None or one == other  # None: it is searched for
            lost += one is None
        assert found[3:] == good[3:]
    assert lost > 50


def test_tables_of_another_file_place_no_name_wrongly():
    raw, other = tiny(), ODD
    places = KnownPlaces(raw, Given(kallsyms_tables.made(other, "")))
    for name in names_of(raw):
        for line in places.lines_of(name) or ():
            assert raw[line:].split(b"\n")[0].split(b" ")[2].partition(b"\t")[0] == name


@pytest.mark.parametrize("lost", ["kallsyms names", "kallsyms facts"])
def test_without_its_parts_there_are_no_known_places(lost):
    made = kallsyms_tables.made(ODD, "")
    del made[lost]
    with pytest.raises(Damaged):
        known(ODD, made)


def test_what_is_no_kallsyms_has_no_tables():
    for raw in (ODD[:-1], ODD.replace(b" t same\n", b" same\n", 1), b"nothing of that\n"):
        with pytest.raises(Malformed):
            kallsyms_tables.made(raw, "")


@pytest.mark.parametrize("step", [211, pytest.param(1, marks=pytest.mark.image)])  # all names: by that lane
def test_a_recorded_kernel(recorded, step):
    raw = recorded.read("proc/kallsyms")
    parts = kallsyms_tables.made(raw, arch.of_symbols(raw))
    places = known(raw, parts)
    split = kallsyms.modules_begin(raw)
    where: dict[bytes, list[int]] = {}
    at = 0
    for line in raw.split(b"\n")[:-1]:
        where.setdefault(line.split(b" ")[2].partition(b"\t")[0], []).append(at)
        at += len(line) + 1
    assert (places.split, places.limits, places.arch) == (split, kallsyms.limits_of(raw), "x86_64")
    assert places.ids() == btf_ids.table(raw)
    for name in list(where)[::step]:
        assert places.lines_of(name) == where[name]
        assert places.lines_of(name + b"_") == where.get(name + b"_", [])


FTRACE = b"""vfs_read
twice
__ftrace_invalid_address___40
twice [one]
__ftrace_invalid_address___8 [one]
only [one]
twice
"""


@pytest.mark.parametrize("raw", [FTRACE, tiny(FILTER), b""], ids=["odd", "tiny", "empty"])
def test_the_list_of_names(raw):
    lines = Lines(raw, Given(ftrace_tables.made(raw)))
    for name in (b"vfs_read", b"twice", b"only", b"absent", b"one"):
        assert filter_functions._found_in(raw, name, lines) == list(filter_functions.find(raw, name.decode()))
    for module in (b"one", b"two", b"absent"):
        assert filter_functions.of_module(raw, module, lines) == filter_functions.of_module(raw, module)


@pytest.mark.parametrize("raw", [tiny(FILTER_ADDRS), b""], ids=["tiny", "empty"])
def test_the_list_with_addresses(raw):
    odd = raw and raw + b"ffffffff81000f00 __ftrace_invalid_address___40\nffffffffc0300000 vfs_read [two]\n"
    for text in (raw, odd):
        lines = Lines(text, Given(ftrace_tables.made(text)))
        for names in ({b"vfs_read"}, {b"twice", b"only"}, {b"absent"}, set()):
            assert filter_functions.narrow(text, names, lines) == filter_functions.narrow(text, names)
        for module in (b"one", b"two", b"absent"):
            assert filter_functions.of_module(text, module, lines) == filter_functions.of_module(text, module)


def test_a_list_cut_off_is_refused_with_tables_as_without():
    raw = tiny(FILTER_ADDRS)
    with pytest.raises(Malformed):
        filter_functions.narrow(raw[:-1], {b"vfs_read"}, Lines(raw[:-1], Given(ftrace_tables.made(raw))))


def test_damaged_lines_are_refused():
    raw = tiny(FILTER_ADDRS)
    made = ftrace_tables.made(raw)["ftrace names"]
    refused = 0
    for at in range(0, len(made), 7):
        changed = bytearray(made)
        changed[at] ^= 4
        try:
            lines = Lines(raw, Given({"ftrace names": bytes(changed)}))
            assert filter_functions.narrow(raw, {b"vfs_read"}, lines) == filter_functions.narrow(raw, {b"vfs_read"})
        except Damaged:
            refused += 1
    assert refused > 3
    with pytest.raises(Damaged):
        Lines(raw, Given({}))
