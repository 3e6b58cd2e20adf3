"""Go on arm64, built here for it: returns as Go's and LLVM's disassemblers have them, arguments as the compiler wrote.

Building Go's own packages for another machine takes a minute, so this runs apart.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from probe_scout.formats.elf.user_image import UserImage
from probe_scout.probes.user import arguments, code, files
from tests.builders import programs

pytestmark = pytest.mark.machine
SOURCE = """package main

import "fmt"

type pair[T any] struct{ a, b T }

//go:noinline
func (p *pair[T]) sum(n int) (T, error) { return p.a, nil }

//go:noinline
func much(a int, b string, c float64, d []byte, e bool, f float32, g uint8, h interface{}) (int, string, error) {
	if a > 3 {
		return a, b, nil
	}
	return a + len(d), b, fmt.Errorf("x %v %v %v", c, e, h)
}

//go:noinline
func grow(n int) int {
	var x [512]int
	x[n%512] = n
	if n == 0 {
		return 0
	}
	return grow(n-1) + x[n%512]
}

func main() {
	p := &pair[int]{1, 2}
	fmt.Println(p.sum(1))
	fmt.Println(much(1, "b", 2, nil, true, 3, 4, 5))
	fmt.Println(grow(10))
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("arm64")
    (folder / "main.go").write_text(SOURCE)
    tool = programs.tool("go")
    environment = {**os.environ, "GOARCH": "arm64", "GOOS": "linux", "CGO_ENABLED": "0"}
    done = subprocess.run((tool, "build", "-o", "app", "main.go"), cwd=folder, env=environment, capture_output=True)
    if done.returncode:
        pytest.skip(f"go build for arm64: {done.stderr.decode()[:80]}")
    return folder / "app"


@pytest.fixture(scope="module")
def image(program) -> UserImage:
    return UserImage(program.read_bytes(), str(program))


def returns(image: UserImage) -> set[int]:
    found: set[int] = set()
    for symbol in {s.address: s for s in image.symbols() if s.size}.values():
        offset = image.file_offset(symbol.address)
        assert offset is not None
        found |= {symbol.address + at for at in code.walk(image, offset, symbol.size).returns}
    return found


def test_returns_as_two_disassemblers_have_them(program, image):
    mine = returns(image)
    assert len(mine) > 1000
    shown = programs.run(programs.tool("go"), "tool", "objdump", program)
    by_go = re.findall(r"^\s+\S*\t+(0x[0-9a-f]+)\t+[0-9a-f]+\t+RET", shown, re.M)
    assert {int(one, 16) for one in by_go} == mine
    shown = programs.run(programs.tool("llvm-objdump"), "-d", "--no-show-raw-insn", program)
    assert {int(one, 16) for one in re.findall(r"^\s+([0-9a-f]+):\s+ret\b", shown, re.M)} == mine


def test_arguments_as_the_compiler_wrote_them(program):
    """Every parameter that its debug information has in registers at the first instruction, of all of Go's runtime."""
    shown = programs.run(programs.tool("llvm-dwarfdump"), "--debug-info", program)
    said = located(shown)
    file = files.UserFile(None, files.Place(str(program), str(program)), files.LIVE)  # type: ignore[arg-type]
    compared, wrong = 0, []
    for symbol in image_symbols(file):
        for name, registers in said.get(symbol.address, {}).items():
            found = arguments.of(file, symbol)
            assert isinstance(found, arguments.Signature)
            (mine,) = [one.where.partition(";")[0].split(", ") for one in found.arguments if one.name == name]
            compared += 1
            # A part that is not used has no register there.
            if [one for one in mine if one in registers] != registers:
                wrong.append((symbol.name, name, registers, mine))
    assert wrong == []
    assert compared > 1000


def image_symbols(file: files.UserFile) -> list:
    assert file.image is not None
    return list({s.address: s for s in file.image.symbols()}.values())


def located(shown: str) -> dict[int, dict[str, list[str]]]:
    """Address of a function to parameter to registers at its first instruction, by llvm-dwarfdump."""
    found: dict[int, dict[str, list[str]]] = {}
    low = level = 0
    for part in re.split(r"\n(?=0x[0-9a-f]+:)", shown):
        head = re.match(r"0x[0-9a-f]+:( +)(\w+)", part)
        if head is None:
            continue
        if head[2] == "DW_TAG_subprogram":
            start = re.search(r"DW_AT_low_pc\t\(0x([0-9a-f]+)", part)
            low, level = int(start[1], 16) if start else 0, len(head[1])
        elif head[2] == "DW_TAG_formal_parameter" and low and len(head[1]) == level + 2:
            name = re.search(r'DW_AT_(?:name\t\(|abstract_origin\t\(0x[0-9a-f]+ )"(.*)"\)', part)
            ranges = re.findall(r"\[0x([0-9a-f]+), 0x[0-9a-f]+\)(?: \"[^\"]*\")?: (DW_OP.*?)\)?$", part, re.M)
            at = next((expression for start, expression in ranges if int(start, 16) == low), "")
            if name and "DW_OP_reg" in at and "breg" not in at:
                words = re.findall(r"DW_OP_reg(?:x|\d+) (\w+)", at)
                found.setdefault(low, {})[name[1]] = [
                    re.sub("^[wW]", "x", re.sub("^[bdqvBDQV]", "v", w)).lower() for w in words
                ]
    return found
