"""Parameters at a place, and what lies around a function: hand-made entries, and a compiled program."""

from __future__ import annotations

import struct

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.dwarf import classes as c
from probe_scout.formats.dwarf import names as n
from probe_scout.formats.dwarf.around import around, parameters
from probe_scout.formats.dwarf.inline_facts import TooMuch, find
from probe_scout.formats.dwarf.locations import Place
from tests.builders.dwarf_writer import TEXT, DwarfWriter, Entry, sleb, uleb

from .test_compiled import compile_with, opened
from .test_odd_forms import SYMBOLS, root

ABSTRACT = [Entry(n.TAG_FORMAL_PARAMETER, {n.AT_NAME: (n.FORM_STRING, "first")}, None, label="first")]


def with_parameter(form, value, writer=None, version=5, unit_attributes=None) -> list:
    """The parameters of a copy of `inlined` whose one parameter has this location."""
    w = writer or DwarfWriter(version)
    location = {n.AT_LOCATION: (form, value)} if form is not None else {}
    parameter = Entry(n.TAG_FORMAL_PARAMETER, {n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, "first"), **location})
    attributes = {n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, "inlined"), n.AT_LOW_PC: (n.FORM_ADDR, TEXT + 0x10)}
    copy = Entry(n.TAG_INLINED_SUBROUTINE, attributes, [parameter])
    abstract = Entry(
        n.TAG_SUBPROGRAM, {n.AT_NAME: (n.FORM_STRP, "inlined"), n.AT_INLINE: (n.FORM_DATA1, 1)}, ABSTRACT, "inlined"
    )
    caller = Entry(
        n.TAG_SUBPROGRAM, {n.AT_NAME: (n.FORM_STRP, "caller"), n.AT_LOW_PC: (n.FORM_ADDR, TEXT)}, [copy], "caller"
    )
    w.unit(root([abstract, caller], attributes=unit_attributes or {}))
    file = opened(w.elf(SYMBOLS))
    (one,) = find(file, "inlined")
    return list(parameters(file, one.copies[0].entry, one.copies[0].address))


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        (bytes((0x55,)), Place("register", "di")),
        (bytes((0x90, 12)), Place("register", "r12")),
        (bytes((0x90, 40)), Place("register", "register 40")),
        (bytes((0x77,)) + sleb(8), Place("memory", "[sp+0x8]")),
        (bytes((0x91,)) + sleb(-24), Place("memory", "[frame-0x18]")),
        (bytes((0x74,)) + sleb(16) + b"\x9f", Place("value", "si+0x10")),
        (bytes((0x74,)) + sleb(0) + b"\x75" + sleb(0) + b"\x22\x9f", Place("value", "si + di")),
        (bytes((0x74,)) + sleb(0) + b"\x08\xff\x1a\x23\x01\x9f", Place("value", "(si & 0xff)+0x1")),
        (b"\x32\x9f", Place("constant", "0x2")),
        (b"\x0a\x34\x12\x9f", Place("constant", "0x1234")),
        (b"\x0d\xff\xff\xff\xff\x9f", Place("constant", "-0x1")),
        (b"\x9e\x02\x34\x12", Place("constant", "0x1234")),
        (b"\x03" + struct.pack("<Q", 0x1000) + b"\x9f", Place("constant", "0x1000")),
        (b"\x03" + struct.pack("<Q", 0x1000), Place("memory", "[0x1000]")),
        (b"\xa3\x01\x55\x9f", Place("entry", "di")),
        (b"\xf3\x01\x55\x9f", Place("entry", "di")),
        (b"\x50\x93\x08\x93\x08", Place("pieces", "ax (8 bytes), lost (8 bytes)")),
        (b"\xf2" + bytes(5), Place("computed", "")),
        (b"", Place("lost", "")),
    ],
)
def test_expressions_in_words(expression, place):
    assert with_parameter(n.FORM_EXPRLOC, expression) == [("first", *place)]


@pytest.mark.parametrize("expression", [b"\x0c\x01", b"\x90", b"\x22", b"\x9f", b"\xa3\x7f\x55\x9f", b"\x03\0"])
def test_an_expression_that_is_cut_off_is_malformed(expression):
    with pytest.raises(Malformed, match="a whole expression"):
        with_parameter(n.FORM_EXPRLOC, expression)


def test_a_parameter_without_a_place_is_lost():
    assert with_parameter(None, None) == [("first", "lost", "")]


def test_a_constant_value():
    w = DwarfWriter()
    parameter = Entry(n.TAG_FORMAL_PARAMETER, {n.AT_NAME: (n.FORM_STRING, "x"), n.AT_CONST_VALUE: (n.FORM_SDATA, -3)})
    function = {n.AT_NAME: (n.FORM_STRP, "own"), n.AT_LOW_PC: (n.FORM_ADDR, TEXT + 0x40)}
    w.unit(root([Entry(n.TAG_SUBPROGRAM, function, [parameter])]))
    file = opened(w.elf(SYMBOLS))
    (one,) = find(file, "own")
    assert list(parameters(file, one.bodies[0].entry, one.bodies[0].address)) == [("x", "constant", "-0x3")]


def lle(kind: int, *rest: bytes) -> bytes:
    return bytes((kind,)) + b"".join(rest)


def counted(expression: bytes) -> bytes:
    return uleb(len(expression)) + expression


@pytest.mark.parametrize(
    "entries",
    [
        lle(4, uleb(0x10), uleb(0x14), counted(b"\x55")),
        lle(9, uleb(1), uleb(2))
        + lle(4, uleb(0x10), uleb(0x10), counted(b"\x51"))
        + lle(4, uleb(0x10), uleb(0x11), counted(b"\x55")),
        lle(6, struct.pack("<Q", TEXT + 8)) + lle(4, uleb(8), uleb(12), counted(b"\x55")),
        lle(7, struct.pack("<QQ", TEXT + 0x10, TEXT + 0x20), counted(b"\x55")),
        lle(8, struct.pack("<Q", TEXT), uleb(0x20), counted(b"\x55")),
        lle(5, counted(b"\x55")) + lle(4, uleb(0x40), uleb(0x44), counted(b"\x51")),
    ],
    ids=["offsets", "views", "base", "addresses", "length", "default"],
)
@pytest.mark.parametrize("form", [n.FORM_SEC_OFFSET, n.FORM_LOCLISTX])
def test_location_lists_of_version_5(entries, form):
    w = DwarfWriter()
    lists = entries + b"\0"
    w.extra[".debug_loclists"] = bytes(12) + struct.pack("<I", 4) + lists
    attributes = {n.AT_LOW_PC: (n.FORM_ADDR, TEXT), n.AT_LOCLISTS_BASE: (n.FORM_SEC_OFFSET, 12)}
    value = 16 if form == n.FORM_SEC_OFFSET else 0
    assert with_parameter(form, value, w, unit_attributes=attributes) == [("first", "register", "di")]


def test_a_list_that_does_not_cover_the_place():
    w = DwarfWriter()
    w.extra[".debug_loclists"] = bytes(12) + lle(4, uleb(0), uleb(0x10), counted(b"\x55")) + b"\0"
    attributes = {n.AT_LOW_PC: (n.FORM_ADDR, TEXT)}
    assert with_parameter(n.FORM_SEC_OFFSET, 12, w, unit_attributes=attributes) == [("first", "lost", "")]


@pytest.mark.parametrize("selects", [False, True])
def test_location_lists_of_version_4(selects):
    w = DwarfWriter(4)
    base = struct.pack("<QQ", (1 << 64) - 1, TEXT + 8) if selects else b""
    first = 8 if selects else 0x10
    entry = struct.pack("<QQH", first, first + 4, 1) + b"\x55"
    w.extra[".debug_loc"] = base + struct.pack("<QQH", 0, 1, 1) + b"\x51" + entry + bytes(16)
    attributes = {n.AT_LOW_PC: (n.FORM_ADDR, TEXT)}
    assert with_parameter(n.FORM_SEC_OFFSET, 0, w, unit_attributes=attributes) == [("first", "register", "di")]


@pytest.mark.parametrize("content", [lle(4, uleb(0)), lle(77), b"", lle(4, uleb(0), uleb(0x20), uleb(100))])
def test_a_broken_location_list_is_malformed(content):
    w = DwarfWriter()
    w.extra[".debug_loclists"] = bytes(12) + content
    with pytest.raises(Malformed, match="loclists"):
        with_parameter(n.FORM_SEC_OFFSET, 12, w)


# what lies around


def test_callers_callees_and_parameters_of_a_compiled_program(tmp_path):
    file = opened(compile_with(tmp_path, "gcc", "-O2", "-g"))
    (everywhere,) = find(file, "everywhere")
    found = around(file, everywhere)
    assert [(one.name, one.symbols, one.kind, one.reached, one.pieces) for one in found.callers] == [
        ("start", ("start",), c.NO, 1, 1)
    ]
    assert [(one.name, one.symbols, one.reached) for one in found.callees] == [("sink", ("sink",), 1)]
    assert found.callees[0].kind == c.NO
    assert found.is_whole
    (copy,) = everywhere.copies
    assert [(one.name, one.kind) for one in parameters(file, copy.entry, copy.address)] == [("a", "register")]


def test_an_event_on_the_way_and_a_call_further_on(tmp_path):
    source = """
static inline __attribute__((always_inline)) void trace_thing_done(int a) { __asm__ volatile("nop" :: "r"(a)); }
int place;
static __attribute__((noinline)) void deep(int a) { place = a; trace_thing_done(a); __asm__ volatile(""); }
static __attribute__((noinline)) void near(int a) { deep(a + 1); __asm__ volatile(""); place++; }
static inline __attribute__((always_inline)) void asked(int a) { near(a); place += a; }
void start(int a) { asked(a); }
void other(int a) { asked(a + 2); }
"""
    file = opened(compile_source(tmp_path, source))
    (one,) = find(file, "asked")
    found = around(file, one)
    assert found.events == (("thing_done", ("near", "deep")),)
    assert [(near.name, near.via, near.reached) for near in found.callees] == [("near", (), 2), ("deep", ("near",), 0)]
    assert [near.name for near in found.callers] == ["start", "other"]


def compile_source(folder, source: str) -> bytes:
    import shutil
    import subprocess

    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    (folder / "x.c").write_text(source)
    subprocess.run(
        (
            "gcc",
            "-O2",
            "-g",
            "-fno-ipa-sra",
            "-fno-ipa-cp",
            "-fno-ipa-icf",
            "-nostdlib",
            "-static",
            "-Wl,-e,start",
            "x.c",
            "-o",
            "x",
        ),
        cwd=folder,
        check=True,
    )
    return (folder / "x").read_bytes()


def test_a_quick_question_is_refused_where_many_units_know_the_name():
    w = DwarfWriter()
    for _ in range(6):
        w.unit(root([Entry(n.TAG_SUBPROGRAM, {n.AT_NAME: (n.FORM_STRP, "own")}, None)]))
    for number in range(6):
        w.string(f"{number}own")
    with pytest.raises(TooMuch):
        find(opened(w.elf(SYMBOLS)), "own", quickly=True)
    assert find(opened(w.elf(SYMBOLS)), "own") != ()
