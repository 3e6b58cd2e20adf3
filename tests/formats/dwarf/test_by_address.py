"""From an address to the function's entry, with pyelftools as the other reader; with and without .debug_aranges."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from probe_scout.formats.dwarf.by_address import function_at
from probe_scout.formats.dwarf.units import DebugFile
from probe_scout.formats.elf.image import ElfImage
from tests.builders import programs

FIRST = (
    "int other(int); __attribute__((noinline)) int one(int x) { return x; } int main(void) { return other(one(2)); }"
)
SECOND = "static int two(int x) { return x * 2; } int (*kept)(int) = two; int other(int x) { return kept(x); }"


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [("gcc", ()), ("gcc", ("-gdwarf-4",)), ("clang", ()), ("clang", ("-gdwarf-4", "-ffunction-sections")), ("g++", ())],
)
def test_every_function_is_found_by_its_address(tmp_path, compiler, flags):
    from elftools.elf.elffile import ELFFile

    second = tmp_path / "second.c"
    second.write_text(SECOND)
    path = programs.compiled(tmp_path, "program", FIRST, second, *flags, compiler=compiler)
    raw = Path(path).read_bytes()
    wanted = {}
    for unit in ELFFile(BytesIO(raw)).get_dwarf_info().iter_CUs():
        for entry in unit.iter_DIEs():
            if entry.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in entry.attributes:
                wanted[entry.attributes["DW_AT_low_pc"].value] = entry.offset
    assert len(wanted) >= 4
    file = DebugFile(ElfImage(raw, str(path)))
    assert {address: function_at(file, address) for address in wanted} == wanted
    assert function_at(file, 1) is None
    assert function_at(file, max(wanted) + 1) is None
