"""Forms and layouts that the compilers at hand do not write, from hand-made DWARF; and bytes that are none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given

from probe_scout.errors import Malformed
from probe_scout.formats.dwarf import classes as c
from probe_scout.formats.dwarf import names as n
from probe_scout.formats.dwarf.inline_facts import find, table
from probe_scout.formats.dwarf.units import DebugFile
from probe_scout.formats.elf.image import ElfImage
from tests.builders.damage import EXAMPLES, answer, damaged
from tests.builders.dwarf_writer import TEXT, DwarfWriter, Entry, elf_file, uleb

SYMBOLS = {"caller": (TEXT, 0x40), "own": (TEXT + 0x40, 0x20), "own.cold": (TEXT + 0x80, 0x10)}


def functions(
    name=(n.FORM_STRP, "inlined"), reference=n.FORM_REF4, address=n.FORM_ADDR, line=(n.FORM_DATA1, 7), copy_extra=None
) -> list[Entry]:
    """`caller` with a copy of `inlined` at +0x10, before the abstract instance that the copy refers to."""
    copy = Entry(
        n.TAG_INLINED_SUBROUTINE,
        {
            n.AT_ABSTRACT_ORIGIN: (reference, "inlined"),
            n.AT_LOW_PC: (address, TEXT + 0x10),
            n.AT_CALL_LINE: (n.FORM_DATA1, 30),
            **(copy_extra or {}),
        },
        [],
    )
    caller = Entry(
        n.TAG_SUBPROGRAM, {n.AT_NAME: (n.FORM_STRP, "caller"), n.AT_LOW_PC: (address, TEXT)}, [copy], label="caller"
    )
    abstract = Entry(
        n.TAG_SUBPROGRAM, {n.AT_NAME: name, n.AT_DECL_LINE: line, n.AT_INLINE: (n.FORM_DATA1, 1)}, None, label="inlined"
    )
    return [abstract, caller] if reference == n.FORM_REF_UDATA else [caller, abstract]


def root(children: list[Entry], **extra) -> Entry:
    attributes = {n.AT_NAME: (n.FORM_STRING, "a.c"), n.AT_LANGUAGE: (n.FORM_DATA1, 12)}
    return Entry(n.TAG_COMPILE_UNIT, attributes | extra.get("attributes", {}), children)


def opened(raw: bytes, supplement: DebugFile | None = None) -> DebugFile:
    return DebugFile(ElfImage(raw, "odd"), supplement)


def assert_one_copy(raw: bytes, supplement: DebugFile | None = None) -> None:
    file = opened(raw, supplement)
    (one,) = find(file, "inlined")
    assert (one.kind, one.line) == (c.FULL, 7)
    assert [(copy.symbol, copy.offset_bytes, copy.chain, copy.line) for copy in one.copies] == [
        ("caller", 0x10, ("caller",), 30)
    ]
    (row,) = table(file)["inlined"]
    assert (row.kind, row.line, row.copies, row.missed) == (c.FULL, 7, 1, 1)


@pytest.mark.parametrize("version", [2, 3, 4, 5])
@pytest.mark.parametrize("is_64", [False, True])
@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_versions_and_layouts(version, is_64, byteorder):
    if version == 2 and is_64:
        version = 3  # 64-bit DWARF came with version 3
    w = DwarfWriter(version, is_64, byteorder)
    w.unit(root(functions()))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize(
    "reference", [n.FORM_REF1, n.FORM_REF2, n.FORM_REF8, n.FORM_REF_UDATA, n.FORM_REF_ADDR], ids=hex
)
def test_forms_of_references(reference):
    w = DwarfWriter()
    w.unit(root(functions(reference=reference)))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize("form", [n.FORM_STRX, n.FORM_STRX1, n.FORM_STRX2, n.FORM_STRX3, n.FORM_STRX4], ids=hex)
@pytest.mark.parametrize("is_64", [False, True])
def test_names_and_addresses_by_index(form, is_64):
    w = DwarfWriter(is_64=is_64)
    bases = {
        n.AT_STR_OFFSETS_BASE: (n.FORM_SEC_OFFSET, w.index_base),
        n.AT_ADDR_BASE: (n.FORM_SEC_OFFSET, w.index_base),
    }
    w.unit(root(functions(name=(form, "inlined"), address=n.FORM_ADDRX), attributes=bases))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize(
    "form",
    [
        (n.FORM_STRING, "inlined"),
        (n.FORM_LINE_STRP, "inlined"),
        (n.FORM_INDIRECT, (n.FORM_STRP, "inlined")),
        (n.FORM_INDIRECT, (n.FORM_STRING, "inlined")),
    ],
)
def test_forms_of_names(form):
    w = DwarfWriter()
    w.unit(root(functions(name=form)))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize(
    "line",
    [
        (n.FORM_UDATA, 7),
        (n.FORM_SDATA, 7),
        (n.FORM_IMPLICIT_CONST, 7),
        (n.FORM_INDIRECT, (n.FORM_UDATA, 7)),
        (n.FORM_DATA8, 7),
    ],
)
def test_forms_of_numbers(line):
    w = DwarfWriter()
    w.unit(root(functions(line=line)))
    assert_one_copy(w.elf(SYMBOLS))


def test_blocks_are_passed_over():
    blocks = {
        n.AT_LOCATION: (n.FORM_EXPRLOC, bytes(200)),
        n.AT_FRAME_BASE: (n.FORM_BLOCK1, b"12"),
        n.AT_CONST_VALUE: (n.FORM_BLOCK2, b"123"),
        n.AT_HIGH_PC: (n.FORM_BLOCK4, b"1"),
    }
    w = DwarfWriter()
    leaf = Entry(0x34, blocks)
    w.unit(root([leaf, *functions(copy_extra=blocks), leaf]))
    assert_one_copy(w.elf(SYMBOLS))


def test_numbers_of_abbreviations_of_two_bytes():
    w = DwarfWriter(codes_from=126)
    w.unit(root([Entry(0x34, {}), *functions(), Entry(0x0B, {}, [Entry(0x34, {n.AT_DECL_LINE: (n.FORM_UDATA, 1)})])]))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize("compress", ["zlib", "zdebug"])
def test_compressed_sections(compress):
    w = DwarfWriter()
    w.unit(root(functions()))
    assert_one_copy(w.elf(SYMBOLS, compress))


def test_name_that_is_the_end_of_another():
    w = DwarfWriter()
    w.string("not_inlined")
    w.unit(root(functions()))
    assert b"\0inlined\0" not in w.strings
    assert_one_copy(w.elf(SYMBOLS))


def test_reference_into_another_unit():
    w = DwarfWriter()
    caller, abstract = functions(reference=n.FORM_REF_ADDR)
    w.unit(root([caller]))
    w.unit(root([]))
    w.unit(root([abstract]), kind=n.UT_PARTIAL)
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize("reference", [n.FORM_GNU_REF_ALT, n.FORM_REF_SUP4], ids=hex)
def test_reference_into_the_supplementary_file(reference):
    other = DwarfWriter()
    other.unit(root(functions()[1:]), kind=n.UT_PARTIAL)
    w = DwarfWriter()
    w.alt = other
    caller, _ = functions(reference=reference)
    copy = caller.children[0]
    copy.attributes[n.AT_ABSTRACT_ORIGIN] = (reference, "alt:inlined")
    w.unit(root([caller]))
    w.extra[".gnu_debugaltlink"] = b"/usr/lib/debug/.dwz/x\0" + bytes(range(20))
    raw = w.elf(SYMBOLS)
    assert_one_copy(raw, opened(other.elf()))
    file = opened(raw)
    assert file.image.supplement == ("/usr/lib/debug/.dwz/x", bytes(range(20)).hex())
    assert find(file, "inlined") == ()


def test_name_in_the_supplementary_file():
    other, w = DwarfWriter(), DwarfWriter()
    w.alt = other
    other.unit(root([]))
    w.unit(root(functions(name=(n.FORM_GNU_STRP_ALT, "inlined"))))
    assert_one_copy(w.elf(SYMBOLS), opened(other.elf()))


def specified() -> list[Entry]:
    """A definition that refers to a declaration: name from the one, line from the other."""
    declared = Entry(
        n.TAG_SUBPROGRAM,
        {
            n.AT_NAME: (n.FORM_STRP, "own"),
            n.AT_DECL_LINE: (n.FORM_DATA1, 3),
            n.AT_DECLARATION: (n.FORM_FLAG_PRESENT, 1),
        },
        label="declared",
    )
    defined = Entry(
        n.TAG_SUBPROGRAM,
        {
            n.AT_SPECIFICATION: (n.FORM_REF4, "declared"),
            n.AT_DECL_LINE: (n.FORM_DATA1, 9),
            n.AT_INLINE: (n.FORM_DATA1, 1),
        },
        label="defined",
    )
    body = Entry(
        n.TAG_SUBPROGRAM, {n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, "defined"), n.AT_LOW_PC: (n.FORM_ADDR, TEXT + 0x40)}
    )
    return [declared, defined, body]


def test_declaration_gives_the_name_and_the_definition_the_line():
    w = DwarfWriter()
    w.unit(root(specified()))
    (own,) = find(opened(w.elf(SYMBOLS)), "own")
    assert (own.kind, own.line, [body.symbols for body in own.bodies]) == (c.NO, 9, [("own",)])


@pytest.mark.parametrize(
    ("place", "line", "kind"),
    [
        (0x50, 9, c.SELF_ONLY),
        (0x84, 9, c.SELF_ONLY),  # in own.cold
        (0x50, 12, c.RECURSIVE),
        (0x10, 9, c.PARTIAL),
    ],
)
def test_where_a_copy_lies_decides(place, line, kind):
    w = DwarfWriter()
    copy = Entry(
        n.TAG_INLINED_SUBROUTINE,
        {
            n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, "defined"),
            n.AT_LOW_PC: (n.FORM_ADDR, TEXT + place),
            n.AT_CALL_LINE: (n.FORM_DATA1, line),
        },
    )
    declared, defined, body = specified()
    w.unit(root([declared, defined, body._replace(children=[copy])]))
    file = opened(w.elf(SYMBOLS))
    (own,) = find(file, "own")
    assert (own.kind, len(own.missed)) == (kind, int(kind == c.PARTIAL))
    assert [row.kind for row in table(file)["own"]] == [kind]


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [("own.isra.0", c.TRANSFORMED), ("own.llvm.123", c.TRANSFORMED), ("alias", c.OTHER_SYMBOL), ("own.cold", c.GONE)],
)
def test_other_symbols_of_the_code(symbol, kind):
    w = DwarfWriter()
    w.unit(root(specified()))
    (own,) = find(opened(w.elf({symbol: (TEXT + 0x40, 0x20)})), "own")
    assert own.kind == kind


def test_overridden_weak_function_has_code_without_a_symbol():
    w = DwarfWriter()
    w.unit(root(specified()))
    (own,) = find(opened(w.elf({"before": (TEXT, 0x10)})), "own")
    assert (own.kind, own.bodies[0].symbols) == (c.GONE, ())


def rle(*entries: tuple[int, bytes]) -> bytes:
    return b"".join(bytes((kind,)) + rest for kind, rest in entries) + b"\0"


@pytest.mark.parametrize(
    "ranges",
    [
        rle((7, struct.pack("<Q", TEXT + 0x10) + uleb(4))),
        rle((6, struct.pack("<QQ", TEXT + 0x10, TEXT + 0x14))),
        rle((5, struct.pack("<Q", TEXT)), (4, uleb(8) + uleb(8)), (4, uleb(0x10) + uleb(0x14))),
        rle((4, uleb(0x10) + uleb(0x14))),  # from the unit's low_pc
        rle((3, uleb(0) + uleb(4))),
        rle((2, uleb(0) + uleb(1))),
        rle((1, uleb(2)), (4, uleb(0) + uleb(4))),
    ],
)
@pytest.mark.parametrize("by_index", [False, True])
def test_ranges_of_version_5(ranges, by_index):
    w = DwarfWriter()
    w.addresses = [TEXT + 0x10, TEXT + 0x14, TEXT + 0x10]
    head = struct.pack("<IHBBI", 8 + 4 + len(ranges), 5, 8, 0, 1)
    w.extra[".debug_rnglists"] = head + struct.pack("<I", 4) + ranges
    form = (n.FORM_RNGLISTX, 0) if by_index else (n.FORM_SEC_OFFSET, len(head) + 4)
    entries = functions(copy_extra={n.AT_RANGES: form})
    del entries[0].children[0].attributes[n.AT_LOW_PC]
    bases = {
        n.AT_LOW_PC: (n.FORM_ADDR, TEXT),
        n.AT_ADDR_BASE: (n.FORM_SEC_OFFSET, 8),
        n.AT_RNGLISTS_BASE: (n.FORM_SEC_OFFSET, len(head)),
    }
    w.unit(root(entries, attributes=bases))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize("selects", [False, True])
def test_ranges_of_version_4(selects):
    w = DwarfWriter(4)
    base = struct.pack("<QQ", (1 << 64) - 1, TEXT + 8) if selects else b""
    first = 8 if selects else 0x10
    w.extra[".debug_ranges"] = base + struct.pack("<QQQQQQ", 2, 2, first, first + 4, 0, 0)
    entries = functions(copy_extra={n.AT_RANGES: (n.FORM_SEC_OFFSET, 0)})
    del entries[0].children[0].attributes[n.AT_LOW_PC]
    w.unit(root(entries, attributes={n.AT_LOW_PC: (n.FORM_ADDR, TEXT)}))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize("form", [(n.FORM_ADDR, TEXT + 0x10), (n.FORM_DATA1, 0x0C)])
def test_entry_address_is_absolute_or_relative(form):
    w = DwarfWriter()
    entries = functions(copy_extra={n.AT_ENTRY_PC: form})
    entries[0].children[0].attributes[n.AT_LOW_PC] = (n.FORM_ADDR, TEXT + 4)
    w.unit(root(entries))
    assert_one_copy(w.elf(SYMBOLS))


def test_copy_without_code_is_counted_and_no_more():
    w = DwarfWriter()
    entries = functions()
    del entries[0].children[0].attributes[n.AT_LOW_PC]
    w.unit(root(entries))
    (one,) = find(opened(w.elf(SYMBOLS)), "inlined")
    assert (one.kind, one.copies, one.copies_without_code) == (c.GONE, (), 1)


def test_siblings_are_followed_and_must_go_forward():
    w = DwarfWriter()
    struct_type = Entry(
        n.TAG_STRUCTURE_TYPE, {n.AT_SIBLING: (n.FORM_REF4, "caller")}, [Entry(0x0D, {n.AT_NAME: (n.FORM_STRP, "x")})]
    )
    w.unit(root([struct_type, *functions()]))
    assert_one_copy(w.elf(SYMBOLS))
    w = DwarfWriter()
    w.unit(root([struct_type._replace(attributes={n.AT_SIBLING: (n.FORM_REF4, 12)}), *functions()]))
    with pytest.raises(Malformed, match="a sibling behind its entry"):
        table(opened(w.elf(SYMBOLS)))


def test_references_in_a_circle_end():
    w = DwarfWriter()
    circle = [
        Entry(n.TAG_SUBPROGRAM, {n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, other)}, None, label=mine)
        for mine, other in (("a", "b"), ("b", "a"))
    ]
    w.unit(root([*circle, *functions()]))
    assert_one_copy(w.elf(SYMBOLS))


@pytest.mark.parametrize("size", [1 << 40, 1 << 20])
def test_size_of_a_compressed_section_is_not_believed(size):
    w = DwarfWriter()
    w.unit(root(functions()))
    raw = w.elf(SYMBOLS, "zdebug")
    at = raw.index(b"ZLIB")
    with pytest.raises(Malformed, match="bytes"):
        opened(raw[: at + 4] + struct.pack(">Q", size) + raw[at + 12 :])


def test_no_debug_information_is_no_answer_and_no_error():
    file = opened(DwarfWriter().elf(SYMBOLS))
    assert (find(file, "inlined"), table(file)) == ((), {})


def sample(version: int) -> bytes:
    w = DwarfWriter(version)
    w.extra[".debug_rnglists"] = bytes(12) + rle((5, struct.pack("<Q", TEXT)), (4, uleb(8) + uleb(8)))
    w.extra[".debug_ranges"] = struct.pack("<QQQQ", TEXT, TEXT + 1, 0, 0)
    ranged = functions(copy_extra={n.AT_RANGES: (n.FORM_SEC_OFFSET, 12 if version == 5 else 0)})
    del ranged[0].children[0].attributes[n.AT_LOW_PC]
    w.unit(root([*functions(name=(n.FORM_STRING, "inlined"), reference=n.FORM_REF_ADDR), *specified()]))
    w.unit(root(ranged))
    return w.elf(SYMBOLS)


@pytest.mark.property
@pytest.mark.parametrize("version", [4, 5])
def test_damaged_files_give_an_answer_or_malformed(version):
    raw = sample(version)

    @EXAMPLES
    @given(damaged(raw))
    def every(broken):
        answer(lambda data: table(opened(data)), broken)
        answer(lambda data: [find(opened(data), name) for name in ("inlined", "own")], broken)

    every()


@pytest.mark.property
@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("name", [".debug_info", ".debug_abbrev", ".debug_rnglists", ".debug_ranges"])
def test_damaged_debug_sections_give_an_answer_or_malformed(version, name):
    """Damage inside the sections of a whole file, so that the ELF's own headers do not catch it first."""
    image = ElfImage(sample(version), "odd")
    whole = {s.name: image.region_of(s) for s in image.sections if s.name.startswith(".debug_")}
    content = {one: region.raw[region.start : region.end] for one, region in whole.items()}

    @EXAMPLES
    @given(damaged(content[name]))
    def every(broken):
        raw = elf_file(content | {name: broken}, SYMBOLS)
        answer(lambda data: table(opened(data)), raw)
        answer(lambda data: [find(opened(data), one) for one in ("inlined", "own")], raw)

    every()


@pytest.mark.parametrize(("machine", "symbols"), [(183, ("own",)), (62, ())])
@pytest.mark.parametrize("extra", [(), ((TEXT + 0x20, 8),)])
def test_code_behind_the_no_ops_of_a_patchable_entry_is_the_symbols(machine, symbols, extra):
    """GCC 12 for arm64: DW_AT_low_pc lies two instructions behind the symbol. Farther in it is another function's."""
    entries = [
        Entry(n.TAG_SUBPROGRAM, {n.AT_NAME: (n.FORM_STRING, name), n.AT_LOW_PC: (n.FORM_ADDR, at)}, [])
        for name, at in (("own", TEXT + 0x48), ("far", TEXT + 0x54), ("begins", TEXT))
    ]
    w = DwarfWriter(5)
    w.unit(root(entries))
    table_of = {"begins": (TEXT, 0x40), "own": (TEXT + 0x40, 0x20), **{f"other{at}": (at, size) for at, size in extra}}
    raw = bytearray(w.elf(table_of))
    raw[18:20] = machine.to_bytes(2, "little")
    file = opened(bytes(raw))
    (own,), (far,), (begins,) = (find(file, name) for name in ("own", "far", "begins"))
    assert own.bodies[0].symbols == symbols
    assert far.bodies[0].symbols == ()
    assert begins.bodies[0].symbols == ("begins",)
    assert table(file)["own"][0].symbols == symbols
