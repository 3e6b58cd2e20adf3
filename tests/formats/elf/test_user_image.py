"""formats/elf/user_image.py: compiled files, with pyelftools and binutils as the other readers; damaged ones."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

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


def test_files_without_section_headers(library: Path):
    bare = programs.stripped(library, "--strip-all", "--strip-section-headers") if _has_new_objcopy() else None
    raw = bytearray(library.read_bytes() if bare is None else bare.read_bytes())
    raw[40:48], raw[60:62], raw[62:64] = bytes(8), bytes(2), bytes(2)  # e_shoff, e_shnum, e_shstrndx
    found = UserImage(bytes(raw), "bare")
    assert found.sections == ()
    there = {(s.name, s.address) for s in image(library).symbols() if s.table == "dynsym"}
    assert {(s.name, s.address) for s in found.symbols()} == there


def _has_new_objcopy() -> bool:
    return "--strip-section-headers" in programs.run(programs.tool("objcopy"), "--help")


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
