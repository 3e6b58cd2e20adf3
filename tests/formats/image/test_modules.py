"""Modules out of their files. Loaded modules of booted kernels: tests/kernel/test_images_against_booted.py."""

from __future__ import annotations

import gzip

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.image import modules
from probe_scout.formats.image.modules import Module
from tests.builders.image_writer import ModuleSymbol, module

FIRST = 0xFFFF_FFFF_C000_0000  # where the addresses of x86-64's modules begin
ARM64_ABS64 = 257
RAW = module(
    {".text": b"\x90" * 32, ".init.text": b"\x90" * 16, ".modinfo": b"license=GPL\0name=tiny\0depends=one,two\0"},
    [
        ModuleSymbol("second", ".text", 16),
        ModuleSymbol("first", ".text", 0),
        ModuleSymbol("begin", ".init.text", 0),
        ModuleSymbol("number", "none", 7, 1),
    ],
)


@pytest.mark.parametrize("raw", [RAW, gzip.compress(RAW)])
def test_symbols_of_sections_that_stay_in_the_order_of_the_table(raw):
    found = Module(raw, "tiny.ko")
    assert (found.name, found.depends) == ("tiny", ("one", "two"))
    assert found.kallsyms().decode() == f"{FIRST + 16:016x} t second\t[tiny]\n{FIRST:016x} t first\t[tiny]\n"
    assert found.btf() is None
    assert found.filter_functions(True) == b""


@pytest.mark.parametrize("raw", [b"", RAW[:100], RAW[:-300], module({".text": b"\x90"}, []), b"\x7fELF" + bytes(99)])
def test_files_that_are_no_modules_are_malformed(raw):
    with pytest.raises(Malformed):
        Module(raw, "x.ko")


def test_a_line_of_proc_modules_names_who_needs_it():
    assert modules.line("tiny", FIRST, FIRST + 4096, ("two", "one")) == (
        b"tiny 4096 2 two,one, Live 0xffffffffc0000000\n"
    )


def test_what_has_to_be_loaded_first_is_in_modinfo():
    assert modules.depends(RAW, "tiny.ko") == ("one", "two")
    assert modules.depends(module({".text": b"\x90"}, []), "x.ko") == ()


def closed(table: str, sections: dict[str, bytes]) -> Module:
    symbols = [ModuleSymbol("open_one", ".text", 0), ModuleSymbol("listed", ".text", 16)]
    symbols += [ModuleSymbol(f"in{name.replace('.', '_')}", name, 0) for name in sections if name != ".text"]
    everything = {".text": b"\x90" * 32, **sections, ".modinfo": b"name=tiny\0"}
    return Module(module(everything, symbols, {table: [(0, ".text", 16)]}, relocation=1), "tiny.ko")


def test_functions_that_a_module_closes_to_kprobes():
    """By its list, by .kprobes.text and by .noinstr.text; a row ends at the next symbol or at the page."""
    found = closed(".rela_kprobe_blacklist", {".noinstr.text": b"\x90" * 16, ".kprobes.text": b"\x90" * 8})
    rows = [line.split("\t") for line in found.blacklist().decode().splitlines()]
    assert [name for _, name in rows] == ["listed [tiny]", "in_kprobes_text [tiny]", "in_noinstr_text [tiny]"]
    assert rows[0][0] == f"0x{FIRST + 16:016x}-0x{FIRST + 32:016x}"
    assert rows[1][0] == f"0x{FIRST + 48:016x}-0x{FIRST + 4096:016x}"
    assert closed(".rela_other", {}).blacklist() == b""


def test_a_module_of_too_large_sections_is_malformed():
    raw = bytearray(module({".text": b"\x90" * 32, ".modinfo": b"name=tiny\0"}, []))
    table = int.from_bytes(raw[40:48], "little")
    raw[table + 64 + 32 : table + 64 + 40] = (1 << 40).to_bytes(8, "little")
    with pytest.raises(Malformed):
        Module(bytes(raw), "tiny.ko")


def arm64(has_data: bool) -> Module:
    """Two functions, each with eight bytes before it that ftrace keeps a pointer in, and data."""
    sections = {".text": bytes(64), ".data": bytes(16), ".modinfo": b"name=tiny\0"}
    symbols = [
        ModuleSymbol("$x", ".text", 0, 0),
        ModuleSymbol("one", ".text", 8),
        ModuleSymbol("two", ".text", 40),
        ModuleSymbol("state", ".data", 0, 1),
    ]
    sites = {".rela__patchable_function_entries": [(0, ".text", 0), (8, ".text", 32)]}
    raw = module(sections, symbols, sites, ARM64_ABS64, machine=183, data=(".data",))
    return Module(raw, "tiny.ko", has_data=has_data)


def test_modules_of_arm64_have_ftrace_s_place_in_front_of_the_function():
    """As ext4 and others of Debian's 6.1 and 7.3 do (the image lane)."""
    assert arm64(True).filter_functions(False, 8) == b"one [tiny]\ntwo [tiny]\n"
    assert arm64(True).filter_functions(False, 0) == b"$x [tiny]\none [tiny]\n"


@pytest.mark.parametrize(("has_data", "names"), [(True, "$x one two state"), (False, "$x one two")])
def test_a_kernel_without_symbols_of_data_keeps_those_of_code(has_data, names):
    """kernel/module/kallsyms.c, is_core_symbol: without CONFIG_KALLSYMS_ALL only sections of code count."""
    assert " ".join(row.name for row in arm64(has_data).rows()) == names


def test_a_module_of_another_machine_is_named():
    with pytest.raises(Malformed, match=r"a module of x86-64 \(62\) or arm64 \(183\), found 243"):
        Module(module({".text": b"\0" * 4, ".modinfo": b"name=x\0"}, [], machine=243), "x.ko")
