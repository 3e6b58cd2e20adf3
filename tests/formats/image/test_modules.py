"""Modules out of their files. Loaded modules of booted kernels: tests/kernel/test_images_against_booted.py."""

from __future__ import annotations

import gzip

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.image.modules import FIRST, Module
from tests.builders.image_writer import ModuleSymbol, module

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
    assert found.line().startswith(b"tiny 4096 0 - Live 0xffffffffc0000000")
    assert found.btf() is None
    assert found.filter_functions(True) == b""


@pytest.mark.parametrize("raw", [b"", RAW[:100], RAW[:-300], module({".text": b"\x90"}, []), b"\x7fELF" + bytes(99)])
def test_files_that_are_no_modules_are_malformed(raw):
    with pytest.raises(Malformed):
        Module(raw, "x.ko")
