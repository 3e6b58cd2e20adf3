"""formats/elf/user_image.py: compiled files, with pyelftools and binutils as the other readers; damaged ones."""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from struct import pack

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.elf import gopclntab, usdt
from probe_scout.formats.elf.user_image import STT_FUNC, STT_GNU_IFUNC, UserImage
from tests.builders import programs
from tests.builders.damage import EXAMPLES, answer, damaged


def image(path: Path) -> UserImage:
    return UserImage(path.read_bytes(), path.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("elf")


@pytest.fixture(scope="module")
def library(folder: Path) -> Path:
    return programs.library(folder)


def _other_reader(path: Path) -> set[tuple[str, int, int, str]]:
    """(bare name, address, size, table) of every function, by pyelftools."""
    found = set()
    with path.open("rb") as handle:
        for section in ELFFile(handle).iter_sections():
            if section["sh_type"] not in ("SHT_DYNSYM", "SHT_SYMTAB"):
                continue
            for symbol in section.iter_symbols():
                if symbol["st_shndx"] != "SHN_UNDEF" and symbol["st_info"]["type"] in ("STT_FUNC", "STT_LOOS"):
                    table = "dynsym" if section["sh_type"] == "SHT_DYNSYM" else "symtab"
                    found.add((symbol.name.partition("@")[0], symbol["st_value"], symbol["st_size"], table))
    return found


@pytest.mark.parametrize("flags", [("-no-pie",), ("-pie", "-fPIE"), ("-static",)], ids=["fixed", "pie", "static"])
def test_functions_as_pyelftools_has_them(tmp_path: Path, flags: tuple[str, ...]):
    path = programs.compiled(tmp_path, "program", programs.PROGRAM, *flags)
    found = image(path)
    assert {(s.name, s.address, s.size, s.table) for s in found.symbols()} == _other_reader(path)
    assert found.machine_name == "x86_64"
    assert found.needed == (() if flags == ("-static",) else ("libc.so.6",))
    assert (found.interpreter == "") == (flags == ("-static",))
    work = [s for s in found.named("work") if s.is_function]
    assert len(work) == 1
    with path.open("rb") as handle:
        assert found.file_offset(work[0].address) == next(iter(ELFFile(handle).address_offsets(work[0].address)))


def test_versions_and_kinds(library: Path):
    found = image(library)
    twice = [s for s in found.named("twice") if s.table == "dynsym"]
    assert sorted(s.written for s in twice) == ["twice@@PS_2.0", "twice@PS_1.0"]
    assert len({s.address for s in twice}) == 2
    assert {s.type for s in found.named("picked")} == {STT_GNU_IFUNC}
    assert {s.type for s in found.named("entry")} == {STT_FUNC}
    names = {s.name for s in found.symbols()}
    assert {"inside", "local_one", "choose", "weakly"} <= names
    assert "counter" not in names
    assert found.named("counter")[0].is_function is False
    assert found.soname == ""
    assert found.needed == ()


def test_a_name_inside_a_longer_one_is_another(library: Path):
    assert image(library).named("ntry") == []  # the linker may let it share the tail of `entry`


LINKED = [("bfd", "gnu"), ("bfd", "sysv"), ("bfd", "both"), ("gold", "gnu"), ("gold", "both")]


@pytest.mark.parametrize(("linker", "style"), LINKED)
def test_files_without_section_headers(tmp_path: Path, linker: str, style: str):
    if shutil.which(f"ld.{linker}") is None:
        pytest.skip(f"there is no ld.{linker}")
    path = programs.library(tmp_path, f"-fuse-ld={linker}", f"-Wl,--hash-style={style}")
    found = UserImage(_without_sections(path.read_bytes()), "bare")
    assert found.sections == ()
    there = {(s.name, s.address, s.version, s.is_default) for s in image(path).symbols() if s.table == "dynsym"}
    assert {(s.name, s.address, s.version, s.is_default) for s in found.symbols()} == there
    assert {s.version for s in found.named("twice")} == {"PS_1.0", "PS_2.0"}


def _without_sections(raw: bytes) -> bytes:
    return raw[:40] + bytes(8) + raw[48:60] + bytes(4) + raw[64:]  # e_shoff, e_shnum, e_shstrndx


def test_hash_tables_that_are_damaged(tmp_path: Path):
    """No hang, no exception, no symbol that is not there, and none is missed."""
    path = programs.library(tmp_path, "-Wl,--hash-style=gnu")
    raw = _without_sections(path.read_bytes())
    (section,) = [s for s in image(path).sections if s.name == ".gnu.hash"]
    there = {(s.name, s.address) for s in image(path).symbols() if s.table == "dynsym"}
    for word in range(section.size // 4):
        for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
            at = section.offset + 4 * word
            found = UserImage(raw[:at] + pack("<I", value) + raw[at + 4 :], "hostile")
            assert {(s.name, s.address) for s in found.symbols()} == there
    assert list(UserImage(raw[: section.offset + 10], "cut").symbols()) == []


def test_symbols_are_counted_by_the_hash_table_where_names_lie_elsewhere(tmp_path: Path):
    """ld.lld puts other tables between symbols and names: here the names are moved to the end of the file."""
    for style in ("gnu", "sysv"):
        path = programs.library(tmp_path, f"-Wl,--hash-style={style}")
        whole = image(path)
        (names,) = [s for s in whole.sections if s.name == ".dynstr"]
        (dynamic,) = [s for s in whole.sections if s.name == ".dynamic"]
        raw = bytearray(_without_sections(path.read_bytes()))
        # A place behind the file's end, which the last segment is made to cover.
        load = max((s for s in whole.segments if s.type == 1), key=lambda s: s.address)
        at = whole.segment_headers[0] + whole.segments.index(load) * 56
        raw[at + 32 : at + 40] = pack("<Q", 1 << 20)
        moved = load.address + len(raw) - load.offset
        raw += path.read_bytes()[names.offset : names.offset + names.size]
        for place in range(dynamic.offset, dynamic.offset + dynamic.size, 16):
            if raw[place : place + 8] == pack("<Q", 5):
                raw[place + 8 : place + 16] = pack("<Q", moved)
        found = UserImage(bytes(raw), "moved")
        there = {(s.name, s.address, s.version) for s in whole.symbols() if s.table == "dynsym"}
        assert {(s.name, s.address, s.version) for s in found.symbols()} == there


def test_a_search_for_a_name_is_the_walk_of_all(library: Path):
    whole = image(library)
    every = [*whole.symbols(functions_only=False)]
    for name in {s.name for s in every}:
        assert [s for s in whole.named(name) if s.section] == [s for s in every if s.name == name]
    assert {s.table for s in whole.named("local_one")} == {"symtab"}, "what is not exported is found as well"
    assert whole.named("local_on") == []


def test_stripped_and_its_links(tmp_path: Path):
    path = programs.compiled(tmp_path, "program", programs.PROGRAM, "-Wl,--build-id")
    debug = programs.stripped(path, "--only-keep-debug")
    linked = tmp_path / "linked"
    programs.run(programs.tool("objcopy"), "--strip-all", f"--add-gnu-debuglink={debug}", str(path), str(linked))
    found = image(linked)
    assert not [s for s in found.symbols() if s.name == "work"]
    assert found.debuglink is not None
    assert found.debuglink[0] == debug.name
    import zlib

    assert found.debuglink[1] == zlib.crc32(debug.read_bytes())
    assert found.build_id == image(path).build_id
    assert len(found.build_id) == 40
    assert found.has_debug_info is False
    assert image(path).has_debug_info is True


def test_mini_debug_info(tmp_path: Path):
    path = programs.compiled(tmp_path, "program", programs.PROGRAM)
    found = image(programs.with_mini_debug(path))
    assert not found.named("helper")
    inner = found.mini_debug()
    assert inner is not None
    assert [s.address for s in inner.named("work")] == [s.address for s in image(path).named("work")]


def test_broken_mini_debug_info(tmp_path: Path):
    path = programs.with_mini_debug(programs.compiled(tmp_path, "program", programs.PROGRAM))
    raw = bytearray(path.read_bytes())
    section = UserImage(bytes(raw), "x").section(".gnu_debugdata")
    assert section is not None
    raw[section.offset + 40] ^= 0xFF
    with pytest.raises(Malformed, match="xz stream"):
        UserImage(bytes(raw), "x").mini_debug()


# USDT


def test_sites(tmp_path: Path):
    path = programs.compiled(tmp_path, "traced", programs.USDT)
    found = list(usdt.sites(image(path)))  # the guarded one is moved into a cold part, behind the others
    assert [(s.provider, s.name) for s in found] == [("prov", "plain"), ("prov", "plain"), ("prov", "guarded")]
    listed = programs.run(programs.tool("readelf"), "-n", str(path))
    assert [hex(s.location) for s in found] == [_hex(w) for w in _after(listed, "Location:")]
    assert [hex(s.semaphore) for s in found] == [_hex(w) for w in _after(listed, "Semaphore:")]
    assert found[0].semaphore_offset is None
    assert found[2].semaphore_offset is not None
    raw = path.read_bytes()
    assert all(s.offset is not None and raw[s.offset] == 0x90 for s in found)
    assert [[a.kind for a in s.arguments] for s in found[:2]] == [
        ["register", "register"],
        ["register", "immediate"],
    ]


def _after(text: str, word: str) -> list[str]:
    return [line.partition(word)[2].split()[0].rstrip(",") for line in text.splitlines() if word in line]


def _hex(text: str) -> str:
    return hex(int(text, 16))


ARGUMENTS = [
    ("-4@%edi", "x86_64", ("register", -4, "edi", 0, ""), ""),
    ("8@-16(%rbp)", "x86_64", ("memory", 8, "rbp", -16, ""), ""),
    ("2@(%rax)", "x86_64", ("memory", 2, "rax", 0, ""), ""),
    ("-8@$-5", "x86_64", ("immediate", -8, "", -5, ""), ""),
    ("8@16(%rax,%rcx,4)", "x86_64", ("memory", 8, "rax", 16, ""), ""),
    ("4@mp_+8(%rip)", "x86_64", ("symbol", 4, "rip", 8, "mp_"), "relative to a symbol"),
    ("4@8+mp_(%rip)", "x86_64", ("symbol", 4, "rip", 8, "mp_"), "relative to a symbol"),
    ("8f@%xmm0", "x86_64", ("register", 8, "xmm0", 0, ""), "floating-point"),
    ("-4@[sp, 60]", "aarch64", ("memory", -4, "sp", 60, ""), ""),
    ("8@[x29]", "aarch64", ("memory", 8, "x29", 0, ""), ""),
    ("8@x0", "aarch64", ("register", 8, "x0", 0, ""), ""),
    ("-4@12", "aarch64", ("immediate", -4, "", 12, ""), ""),
    ("3@%eax", "x86_64", ("register", 3, "eax", 0, ""), "sizes"),
    ("8@%xmm0", "x86_64", ("register", 8, "xmm0", 0, ""), "register xmm0"),
    ("1@%ah", "x86_64", ("register", 1, "ah", 0, ""), "register ah"),
    ("8@%r12d", "x86_64", ("register", 8, "r12d", 0, ""), ""),
    ("4@%r8", "i386", ("register", 4, "r8", 0, ""), "register r8"),
    ("8@(,%rax,8)", "x86_64", ("memory", 8, "", 0, ""), "no pattern"),
    ("8@-8(%rbp,%rax)", "x86_64", ("memory", 8, "rbp", -8, ""), ""),
    ("4@4096", "x86_64", ("memory", 4, "", 4096, ""), "no pattern"),
    ("-4@0(%rip)", "x86_64", ("memory", -4, "rip", 0, ""), ""),
    ("-4@w0", "aarch64", ("register", -4, "w0", 0, ""), "register w0"),
    ("8@[x0, x1]", "aarch64", ("memory", 8, "x0", 0, ""), "no pattern"),
    ("8@x31", "aarch64", ("register", 8, "x31", 0, ""), "register x31"),
    ("8@sp", "aarch64", ("register", 8, "sp", 0, ""), ""),
    ("rubbish", "x86_64", ("unknown", 0, "", 0, ""), "sizes"),
    ("8@%", "x86_64", ("unknown", 8, "", 0, ""), "operand"),
]


@pytest.mark.parametrize(("text", "machine", "want", "libbpf"), ARGUMENTS, ids=[row[0] for row in ARGUMENTS])
def test_arguments(text: str, machine: str, want: tuple[str, int, str, int, str], libbpf: str):
    (found,) = usdt.arguments(text, {"x86_64": 62, "aarch64": 183, "i386": 3}[machine])
    size = -found.size if found.is_signed else found.size
    assert (found.kind, size, found.register, found.offset, found.symbol) == want
    assert libbpf in found.libbpf
    assert bool(found.libbpf) == bool(libbpf)


@pytest.mark.parametrize(
    ("text", "loaders"),
    [
        ("4@mp_+8(%rip)", {"bpftrace"}),
        ("8f@%xmm0", {"bcc", "bpftrace"}),
        ("8@16(%rax,%rcx,4)", {"libbpf before 758acb9ccfdb (2025)"}),
        ("8@(,%rax,8)", {"bcc", "bpftrace"}),
        ("8@%xmm1", {"bcc", "bpftrace"}),
        ("-4@-20(%rbp)", set()),
        ("8@%rdi", set()),
        ("8@$5", set()),
    ],
)
def test_other_loaders_that_cannot_read_an_argument_are_named(text: str, loaders: set[str]):
    (found,) = usdt.arguments(text)
    assert {one.partition(":")[0] for one in found.others} == loaders


def test_arguments_are_split_outside_brackets():
    assert len(usdt.arguments("-4@[sp, 60] 8@x1  4@5", 183)) == 3
    assert usdt.arguments("") == ()


# Go


def test_go_names_stripped_and_not(tmp_path: Path):
    path = programs.go_program(tmp_path)
    whole = image(path)
    table = gopclntab.find(whole)
    assert table is not None
    by_table = {(f.name, f.address) for f in gopclntab.functions(whole, table)}
    by_symbols = {(s.name, s.address) for s in whole.symbols()}
    # A shape instance is written with its shape in .symtab and with [...] in the table.
    assert {("main.add", a) for n, a in by_symbols if n == "main.add"} < by_table
    assert len(by_table & by_symbols) > 0.9 * len(by_table)
    small = image(programs.stripped(path))
    assert not small.named("main.add")
    again = gopclntab.find(small)
    assert again is not None
    assert {(f.name, f.address) for f in gopclntab.functions(small, again)} == by_table
    raw = bytearray(programs.stripped(path).read_bytes())
    raw[40:48], raw[60:64] = bytes(8), bytes(4)
    bare = UserImage(bytes(raw), "bare")
    third = gopclntab.find(bare)
    assert third is not None
    assert {(f.name, f.address) for f in gopclntab.functions(bare, third)} == by_table


@pytest.mark.parametrize("kind", ["1.2", "1.16"])
def test_tables_of_old_go(tmp_path: Path, kind: str):
    functions = [("runtime.text", 0x401000), ("main.main", 0x401040), ("main.(*T).Do", 0x401100)]
    table = tmp_path / "table"
    table.write_bytes(programs.old_go_table(functions, 0x401200, kind))
    program = programs.compiled(tmp_path, "program", programs.PROGRAM)
    out = tmp_path / "old"
    programs.run(programs.tool("objcopy"), f"--add-section=.gopclntab={table}", str(program), str(out))
    found = image(out)
    there = gopclntab.find(found)
    assert there is not None
    assert there.format == kind
    assert [(f.name, f.address) for f in gopclntab.functions(found, there)] == functions
    assert [f.size for f in gopclntab.functions(found, there)][:2] == [0x40, 0xC0]


def test_table_that_claims_too_much(tmp_path: Path):
    raw = bytearray(programs.old_go_table([("main.main", 0x1000)], 0x2000, "1.16"))
    raw[8:16] = (1 << 20).to_bytes(8, "little")
    table, out = tmp_path / "table", tmp_path / "old"
    table.write_bytes(raw)
    program = programs.compiled(tmp_path, "program", programs.PROGRAM)
    programs.run(programs.tool("objcopy"), f"--add-section=.gopclntab={table}", str(program), str(out))
    with pytest.raises(Malformed, match="1048576 functions"):
        gopclntab.find(image(out))


# damage


@functools.cache
def _small() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return programs.compiled(Path(folder), "t", programs.USDT, "-Wl,--build-id", "-g0").read_bytes()


def _everything(raw: bytes) -> int:
    found = UserImage(raw, "damaged")
    count = sum(1 for _ in found.symbols()) + len(found.named("traced")) + sum(1 for _ in usdt.sites(found))
    assert isinstance(found.build_id + found.soname + found.interpreter + "".join(found.needed), str)
    assert found.debuglink is None or found.debuglink[0] is not None
    if (inner := found.mini_debug()) is not None:
        count += sum(1 for _ in inner.symbols())
    if (table := gopclntab.find(found)) is not None:
        count += sum(1 for _ in gopclntab.functions(found, table))
    return count


@pytest.mark.property
@EXAMPLES
@given(st.data())
def test_damaged_files(data):
    """PROBE_SCOUT_EXAMPLES=10000 is the long lane."""
    raw = data.draw(damaged(_small()))
    answer(_everything, raw)


@pytest.mark.property
@EXAMPLES
@given(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 1 << 16))
def test_damaged_headers(changes, seed: int):
    """Bytes of the file header, and of one program or section header."""
    raw = bytearray(_small())
    sections_at = int.from_bytes(raw[40:48], "little")
    start = (0, 64 + seed % 10 * 56, sections_at + seed % 30 * 64)[seed % 3]
    for at, value in changes:
        if start + at < len(raw):
            raw[start + at] = value
    answer(_everything, bytes(raw))


@pytest.mark.parametrize("raw", [b"", b"\x7fELF", b"#!/bin/sh\necho", b"\x7fELF\x02\x01\x01" + bytes(20), bytes(5000)])
def test_not_elf(raw: bytes):
    with pytest.raises(Malformed, match="expected an ELF"):
        UserImage(raw, "x")
