"""A real library with its debug file: arguments and inlined copies of libc, compared with llvm-dwarfdump's reading."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from probe_scout.formats.dwarf.inline_facts import find
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.probes.inlining.debug_files import read_file
from tests.builders.programs import tool

LIBRARY = Path("/lib/x86_64-linux-gnu/libc.so.6")
DEBUG = Path("/usr/lib/debug/.build-id")
_DIE = re.compile(r"^0x([0-9a-f]+):( +)(\w+)")


def debug_file() -> Path:
    """The debug file of this machine's libc (Debian: libc6-dbg); skips the test without one."""
    if not LIBRARY.exists():
        pytest.skip("no libc of Debian")
    number = UserImage(LIBRARY.read_bytes(), str(LIBRARY)).build_id
    path = DEBUG / number[:2] / f"{number[2:]}.debug"
    if not path.exists():
        pytest.skip("libc6-dbg is not installed")
    return path


def dumped(path: Path) -> tuple[dict[str, set[int]], dict[int, dict[str, str]]]:
    """By llvm-dwarfdump: name to the entries of its inlined copies with code; address to the registers at entry."""
    words = subprocess.Popen([tool("llvm-dwarfdump"), str(path)], stdout=subprocess.PIPE, text=True)
    assert words.stdout is not None
    copies: dict[str, set[int]] = {}
    registers: dict[int, dict[str, str]] = {}
    at, tag, level, low, depth = 0, "", 0, 0, 0
    name = origin = ""
    has_code = False
    first = ""

    def close() -> None:
        nonlocal low, depth
        if tag == "DW_TAG_inlined_subroutine" and has_code and origin:
            copies.setdefault(origin, set()).add(at)
        if tag == "DW_TAG_formal_parameter" and level == depth + 2 and low and (name or origin) and first:
            registers.setdefault(low, {})[name or origin] = first

    for line in words.stdout:
        if head := _DIE.match(line):
            close()
            at, level, tag = int(head[1], 16), len(head[2]), head[3]
            name = origin = first = ""
            has_code = False
            if tag == "DW_TAG_subprogram":
                low, depth = 0, level
            elif level <= depth:
                low = 0
        elif "DW_AT_name" in line and not name:
            name = line.split('"')[1]
        elif "DW_AT_abstract_origin" in line and '"' in line:
            origin = line.split('"')[1]
        elif "DW_AT_low_pc" in line:
            has_code = True
            if tag == "DW_TAG_subprogram":
                low = int(line.split("(")[1].rstrip(")\n"), 16)
        elif "DW_AT_ranges" in line:
            has_code = True
        elif tag == "DW_TAG_formal_parameter" and not first:
            if found := re.search(r"DW_AT_location\t\(DW_OP_reg\d+ (\w+)\)", line):
                first = found[1].lower()
            elif (found := re.match(r"\s+\[0x([0-9a-f]+), 0x[0-9a-f]+\).*: DW_OP_reg\d+ (\w+)\)?$", line)) and int(
                found[1], 16
            ) == low:
                first = found[2].lower()
    close()
    words.stdout.close()
    words.wait()
    return copies, registers


@pytest.mark.machine
def test_libc_by_llvm_dwarfdump():
    path = debug_file()
    copies, registers = dumped(path)
    file = read_file(str(path))
    chance = random.Random(1)
    names = chance.sample(sorted(copies), 60)
    for name in names:
        # llvm-dwarfdump shows the linkage name (__GI_fchmodat) where there is one.
        named = [one for one in find(file, name) if one.linkage_name in ("", name)]
        both = (*named, *find(file, name, by_linkage=True))
        found = {copy.entry for one in both for copy in one.copies}
        assert found == copies[name], name
    from probe_scout.frontends.session import open_kernel

    kernel = open_kernel()
    image = UserImage(LIBRARY.read_bytes(), str(LIBRARY))
    exported = [s for s in image.symbols() if s.is_function and s.address in registers and s.type == 2]
    compared, wrong = 0, []
    for symbol in chance.sample(exported, 80):
        written = f"{LIBRARY}:{symbol.name}@{symbol.version}" if symbol.version else f"{LIBRARY}:{symbol.name}"
        (report,) = kernel.check([written], ["uprobe"]).targets
        (site,) = [one for one in report.place.sites if one.chosen]
        mine = {one.name: one.where for one in site.arguments}
        for parameter, register in registers[symbol.address].items():
            compared += 1
            if mine.get(parameter) != register:
                wrong.append((symbol.name, parameter, register, mine))
    assert not wrong, (len(wrong), compared, wrong[:3])
    assert compared > 100
