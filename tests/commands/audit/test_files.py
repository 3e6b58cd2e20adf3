"""Files of uprobes, compiled here: the function at an offset, between functions, and without symbols."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from probe_scout.commands.audit import files

SOURCE = """
.text
.globl first, second, label
.type first, @function
.type second, @function
first: nop; nop; ret
.size first, .-first
.balign 64
second: nop; ret
.size second, .-second
.balign 64
label: nop
nop
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(file, offset of .text) of a shared object with first at 0, second at 64 and a label without a size at 128."""
    if shutil.which("cc") is None or shutil.which("strip") is None:
        pytest.skip("no C compiler is installed")
    folder = tmp_path_factory.mktemp("files")
    (folder / "x.s").write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-nostdlib", "-o", folder / "x.so", folder / "x.s"], check=True)
    subprocess.run(["strip", "-o", folder / "stripped.so", folder / "x.so"], check=True)
    from probe_scout.formats.elf.image import ElfImage

    path = str(folder / "x.so")
    section = ElfImage((folder / "x.so").read_bytes(), path).section(".text")
    return folder, section.offset


def place(folder, name, offset):
    return files._file(str(folder / name), [offset])["places"][str(offset)]


@pytest.mark.parametrize("name", ["x.so", "stripped.so"])
@pytest.mark.parametrize(
    ("at", "symbol", "offset"), [(0, "first", 0), (2, "first", 2), (65, "second", 1), (128, "label", 0)]
)
def test_the_function_that_covers_an_offset(made, name, at, symbol, offset):
    folder, text = made
    found = place(folder, name, text + at)
    assert (found["symbol"], found["offset"], found["is_code"]) == (symbol, offset, True)
    assert "is_outside" not in found


@pytest.mark.parametrize(("at", "is_told"), [(3, True), (40, True), (66, True), (129, False)])
def test_between_functions(made, at, is_told):
    """Behind a label without a size nobody knows where it ends; a stripped file does not tell its other functions."""
    folder, text = made
    found = place(folder, "x.so", text + at)
    assert (found["symbol"], found.get("is_outside", False)) == (None, is_told)
    found = place(folder, "stripped.so", text + at)
    assert (found["symbol"], found.get("is_outside", False)) == (None, False)


def test_outside_the_code(made):
    folder, _ = made
    assert place(folder, "x.so", 0) == {"is_code": False, "symbol": None, "offset": None, "is_start": None}
