"""A whole kernel, asked here and with other readers of debug information: `-m debug`, with a file to read.

PROBE_SCOUT_DEBUG_VMLINUX names a vmlinux with DWARF; PROBE_SCOUT_FUNCTIONS says how many functions are drawn
(default 300), PROBE_SCOUT_SEED which. pfunct is of the package dwarves and takes some gigabytes of memory.
"""

from __future__ import annotations

import mmap
import os
import random
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from elftools.elf.elffile import ELFFile

from probe_scout.formats.dwarf.inline_facts import Reader, find, table
from probe_scout.formats.dwarf.units import DebugFile
from probe_scout.formats.dwarf.walk import walk
from probe_scout.formats.elf.image import ElfImage

from . import second_road

PATH = os.environ.get("PROBE_SCOUT_DEBUG_VMLINUX", "")
COUNT = int(os.environ.get("PROBE_SCOUT_FUNCTIONS", "300"))
SEED = int(os.environ.get("PROBE_SCOUT_SEED", "5"))
COPIES_MAX = 40
UNITS, UNIT_BYTES = 100, (10_000, 600_000)  # units that pyelftools walks, some six a second
SHF_EXECINSTR = 4
AT_LANGUAGE, LANG_RUST = 0x13, 0x1C

pytestmark = [pytest.mark.debug, pytest.mark.skipif(not PATH, reason="PROBE_SCOUT_DEBUG_VMLINUX names no file")]


@pytest.fixture(scope="module")
def file():
    with open(PATH, "rb") as handle:
        raw = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    return DebugFile(ElfImage(raw, PATH))


@pytest.fixture(scope="module")
def rows(file):
    return table(file)


@pytest.fixture(scope="module")
def drawn(rows):
    """Names of functions with code or copies, the same for the same seed; half of them have copies."""
    inlined = sorted(name for name, some in rows.items() if 0 < sum(row.copies for row in some) <= COPIES_MAX)
    plain = sorted(name for name, some in rows.items() if not sum(row.copies for row in some) and some[0].symbols)
    chosen = random.Random(SEED)
    return chosen.sample(inlined, COUNT // 2) + chosen.sample(plain, COUNT - COUNT // 2)


def test_one_name_and_all_names_agree(file, rows, drawn):
    for name in drawn:
        found = find(file, name)
        assert [(one.file, one.line, one.kind, len(one.copies), len(one.missed)) for one in found] == [
            (row.file, row.line, row.kind, row.copies, row.missed) for row in rows[name]
        ], name


def test_whole_units_are_those_of_pyelftools(file):
    """Code and inlined copies of every name in some compile units, by pyelftools' own walk of their entries."""
    known = [unit for unit in file.units if UNIT_BYTES[0] <= unit.end - unit.start <= UNIT_BYTES[1]]
    chosen = sorted(random.Random(SEED).sample(known, UNITS), key=lambda unit: unit.start)
    names = places = 0
    with open(PATH, "rb") as handle:
        dwarf = ELFFile(handle).get_dwarf_info(relocate_dwarf_sections=False)
        for unit in chosen:
            expected = second_road.of_unit(dwarf.get_CU_at(unit.start), dwarf)
            reader = Reader(file, None, with_chains=False)
            reader.read(unit, walk(unit))
            unit.forget()
            ours: dict[str, tuple[set[int], set[int]]] = {}
            for key, mine in reader.found.items():
                bodies, copies = ours.setdefault(key[0].decode(), (set(), set()))
                bodies |= {body[0] for body in mine.bodies}
                copies |= {copy[0] for copy in mine.copies}
            found = {name: both for name, both in ours.items() if any(both)}
            assert found == {name: (set(bodies), set(copies)) for name, (bodies, copies) in expected.items()}
            names += len(found)
            places += sum(len(bodies) + len(copies) for bodies, copies in found.values())
    print(f"pyelftools: {len(chosen)} units, {names} names, {places} places")
    assert names > UNITS


def test_functions_inlined_without_being_declared_so_are_those_of_pfunct(file):
    """pfunct -H lists names of functions with DW_AT_inline of 1. It leaves some of Rust out."""
    if shutil.which("pfunct") is None:
        pytest.skip("there is no pfunct")
    done = subprocess.run(("pfunct", "-H", PATH), capture_output=True, text=True, check=True)
    theirs = {line.split()[0] for line in done.stdout.splitlines() if line.strip()}
    ours, rust = set(), set()
    reader = Reader(file, None, with_chains=False)
    for unit in file.units:
        reader.found = {}
        reader.read(unit, walk(unit))
        unit.forget()
        names = {key[0].decode() for key, mine in reader.found.items() if mine.inline == 1}
        if unit.root.get(AT_LANGUAGE) == LANG_RUST:
            rust |= {name.split()[0] for name in names}  # pfunct's lines are cut there as well
        else:
            ours |= names
    print(f"pfunct -H: {len(theirs)} names, here {len(ours)}, in both {len(ours & theirs)}; {len(rust)} names of Rust")
    assert (ours - theirs, theirs - ours - rust) == (set(), set())


def test_places_are_those_of_perf_probe(file, drawn):
    """`perf probe --definition` lists where a function is entered: its code and its inlined copies.

    It leaves out copies inside a copy of the same function, and some where it stops early. It has a place more only
    where that is wrong: it counts functions of .exit.text from a symbol of data, two megabytes off, so that its place
    lies in no code at all.
    """
    if shutil.which("perf") is None:
        pytest.skip("there is no perf")
    equal, fewer, more, silent, no_code = 0, [], [], [], []
    code = [(one.address, one.address + one.size) for one in file.image.sections if one.flags & SHF_EXECINSTR]
    symbols = addresses_of_nm()
    with ThreadPoolExecutor(os.cpu_count()) as several:
        theirs = dict(zip(drawn, several.map(lambda name: perf_places(name, symbols), drawn), strict=True))
    for name, listed in theirs.items():
        functions = find(file, name)
        ours = {body.address for one in functions for body in one.bodies if body.symbols}
        copies = {copy.address: copy for one in functions for copy in one.copies if copy.symbol}
        ours |= set(copies)
        unknown = [place for place in listed if not place & ours]
        if unknown and not any(start <= at < end for place in unknown for at in place for start, end in code):
            no_code.append(name)
            unknown = []
            listed = [place for place in listed if place & ours]
        left = {address for address in ours if not any(address in place for place in listed)}
        nested = {address for address in left if address in copies and name in copies[address].chain}
        if name in no_code:
            continue
        if not listed:
            silent.append(name)
        elif unknown:
            more.append((name, unknown, sorted(left)))
        elif left - nested:
            fewer.append((name, len(ours), len(left - nested)))
        else:
            equal += 1
    counts = f"{len(fewer)} where perf lists fewer, {len(no_code)} in no code, {len(more)} others, {len(silent)} none"
    print(f"perf probe: {equal} equal, {counts}\nfewer: {fewer}\nothers: {more}\nnone: {silent}\nno code: {no_code}")
    assert more == []
    assert len(fewer) + len(no_code) <= len(drawn) // 10


def addresses_of_nm() -> dict[str, set[int]]:
    """Every symbol's addresses, by nm: data too, since perf counts code of .exit.text from data before it."""
    found: dict[str, set[int]] = {}
    for line in subprocess.run(("nm", PATH), capture_output=True, text=True, check=True).stdout.splitlines():
        words = line.split()
        if len(words) == 3:
            found.setdefault(words[2], set()).add(int(words[0], 16))
    return found


def perf_places(name: str, symbols: dict[str, set[int]]) -> list[set[int]]:
    """The places that perf lists for a name, each as the addresses that its SYMBOL+OFFSET can mean."""
    done = subprocess.run(("perf", "probe", "-k", PATH, "-D", name), capture_output=True, text=True, check=False)
    lines = re.findall(r"^p:probe/\S+ (\S+?)\+(\d+)", done.stdout, re.MULTILINE)
    return [{address + int(offset) for address in symbols.get(symbol, ())} for symbol, offset in lines]
