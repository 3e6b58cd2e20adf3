"""Files of uprobes, compiled here: the function at an offset, between functions, and without symbols."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from probe_scout.commands.audit import files
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.session import open_kernel
from probe_scout.probes.user import symbols
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

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


GO = """package main
import "os"
//go:noinline
func add(a, b int) int { return a + b }
func main() { os.Exit(add(len(os.Args), -1)) }
"""


def test_names_and_instructions_by_the_reader_of_check(tmp_path, monkeypatch):
    """A stripped Go program names its functions in .gopclntab; a refused instruction is told."""
    monkeypatch.setattr("probe_scout.sources.user_files.file_system", lambda device: "")
    path = programs.go_program(tmp_path, "-ldflags=-s -w", source=GO)
    kernel = open_kernel(str(tmp_path / "root"))
    write_tree(tmp_path / "root", tiny_files(symbols=("foo",)))
    image = UserImage(path.read_bytes(), str(path))
    by_name = {s.name: s for s in symbols.go_symbols(image)}
    add = image.file_offset(by_name["main.add"].address)
    found = files._file(str(path), [add, add + 1], kernel._kernel)["places"]
    assert (found[str(add)]["symbol"], found[str(add)]["offset"], found[str(add)]["is_start"]) == ("main.add", 0, True)
    assert (found[str(add)]["refused"], found[str(add)]["misread"]) == ("", "")
    assert found[str(add + 1)]["is_start"] is False


def test_a_refused_and_a_misread_instruction(made, tmp_path):
    (tmp_path / "y.s").write_text(
        ".globl f\n.type f,@function\nf: lock incl (%rdi)\n vmovdqu %ymm0,(%rdi)\n ret\n.size f,.-f\n"
    )
    subprocess.run(["cc", "-shared", "-nostdlib", "-o", tmp_path / "y.so", tmp_path / "y.s"], check=True)
    write_tree(tmp_path / "root", tiny_files(symbols=("foo",)))
    kernel = open_kernel(str(tmp_path / "root"))._kernel
    image = UserImage((tmp_path / "y.so").read_bytes(), "y.so")
    at = image.file_offset(image.named("f")[0].address)
    found = files._file(str(tmp_path / "y.so"), [at, at + 3, at + 7], kernel)["places"]
    assert [found[str(at + n)]["refused"] for n in (0, 3, 7)] == ["prefix", "", ""]
    assert [found[str(at + n)]["misread"] for n in (0, 3, 7)] == ["", "jump", ""]


def test_outside_the_code(made):
    folder, _ = made
    assert place(folder, "x.so", 0) == {"is_code": False, "symbol": None, "offset": None, "is_start": None}
