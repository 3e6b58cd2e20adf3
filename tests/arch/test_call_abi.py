"""Where arguments are: compared with what compilers write of the first instruction of optimised code.

The other side is llvm-dwarfdump's reading of gcc's and clang's location lists, never our own readers.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from probe_scout.arch import call_abi
from probe_scout.formats.dwarf.prototypes import prototype
from probe_scout.formats.dwarf.units import DebugFile
from probe_scout.formats.dwarf.walk import walk
from probe_scout.formats.elf.image import ElfImage
from probe_scout.model.user_type import FLOAT, INTEGER, VOID_TYPE, Leaf, UserType
from tests.builders.programs import run, tool

STRUCTS = """
struct two { int a, b; }; struct three { char a; short b; int c; long d; }; struct big { long a[3]; };
struct mix { double a; long b; }; struct pair { double a, b; }; struct floats { float a, b, c; };
struct four { float a, b, c, d; }; struct late { long a; double b; }; struct one { double a; };
struct quad { double a, b, c, d; }; struct bytes { char a[11]; }; struct nested { struct two a; float b; };
struct wide { __int128 a; }; union either { int a; float b; }; struct bits { unsigned a : 3, b : 20; };
struct __attribute__((packed)) tight { char a; long b; };
typedef int (*callback)(int);
"""
TYPES = (
    *("char", "short", "unsigned", "long", "_Bool", "float", "double", "char *", "const void *", "callback"),
    *("__int128", "struct two", "struct three", "struct big", "struct mix", "struct pair", "struct floats"),
    *("struct four", "struct late", "struct one", "struct quad", "struct bytes", "struct nested", "struct wide"),
    *("union either", "struct bits", "struct tight", "float _Complex", "double _Complex"),
)


def source(seed: int, functions: int = 60, types: tuple[str, ...] = TYPES) -> str:
    chance = random.Random(seed)
    lines = [STRUCTS]
    for number in range(functions):
        taken = [chance.choice(types) for _ in range(chance.randint(1, 12))]
        words = ", ".join(f"{kind} p{i}" for i, kind in enumerate(taken))
        lines.append(f"long f{number}({words}) {{ return sizeof p0; }}")
    return "\n".join(lines)


_RANGE = re.compile(r"\[0x([0-9a-f]+), 0x[0-9a-f]+\)(?: \"[^\"]*\")?: (DW_OP.*?)\)?$", re.M)


def said(path: Path) -> dict[tuple[str, str], str]:
    """(function, parameter) to the expression that holds at the function's first address."""
    found: dict[tuple[str, str], str] = {}
    function = frame = ""
    low = 0
    for text in re.split(r"\n(?=0x[0-9a-f]+:)", run(tool("llvm-dwarfdump"), path)):
        name = re.search(r'DW_AT_name\t\("(.*)"\)', text)
        if "DW_TAG_subprogram" in text and (start := re.search(r"DW_AT_low_pc\t\(0x([0-9a-f]+)", text)):
            function, low = name[1] if name else "", int(start[1], 16)
            frame = "cfa" if "call_frame_cfa" in text else "sp"
        if "DW_TAG_formal_parameter" not in text or name is None:
            continue
        plain = re.search(r"DW_AT_location\t\((DW_OP.*)\)", text)
        listed = [one for one in _RANGE.finditer(text) if int(one[1], 16) == low]
        expression = plain[1] if plain else listed[0][2] if listed else ""
        found[function, name[1]] = re.sub(r"DW_OP_fbreg ([+-]\d+)", rf"{frame}\1", expression)
    return found


_REGISTER = re.compile(r"DW_OP_reg(?:x|\d+) (\w+)")


def theirs(expression: str, cfa: int) -> tuple[tuple[str, ...], int | None, bool] | None:
    """(registers, stack offset, behind a pointer) of an expression; None for one that is not compared."""
    if found := re.fullmatch(r"(cfa|sp)([+-]\d+)", expression):
        at = int(found[2])
        return (
            ((), at + (cfa if found[1] == "cfa" else 0), False) if at >= 0 else None
        )  # below: a local of the function
    if found := re.fullmatch(r"DW_OP_breg(?:x|\d+) (\w+)\+(\d+)", expression):
        if found[1] in ("RSP", "WSP", "SP"):
            return (), int(found[2]), False
        return ((spelled(found[1]),), None, True) if found[2] == "0" else None
    parts = [part for part in expression.split(", ") if not part.startswith("DW_OP_piece")]
    names = [_REGISTER.fullmatch(part) for part in parts]
    if not all(names):
        return None
    return tuple(dict.fromkeys(spelled(one[1]) for one in names if one)), None, False


def spelled(name: str) -> str:
    name = name.lower()
    return re.sub(r"^[bhsdq](\d+)$", r"v\1", re.sub(r"^w(\d+)$", r"x\1", name))


COMPILERS = [
    ("gcc", (), "x86_64", 8),
    ("clang", (), "x86_64", 8),
    ("clang", ("--target=aarch64-linux-gnu",), "aarch64", 0),
]


@pytest.mark.parametrize(("compiler", "flags", "machine", "cfa"), COMPILERS, ids=["gcc", "clang", "clang-arm64"])
@pytest.mark.parametrize("seed", [int(os.environ.get("PROBE_SCOUT_SEED", "1"))])
def test_arguments_are_where_the_compiler_says(tmp_path, compiler, flags, machine, cfa, seed):
    code, path = tmp_path / "f.c", tmp_path / "f.o"
    # clang before 18 does not align __int128 on the stack, and splits it: against the psABI and gcc.
    types = (*TYPES, "_Float128") if compiler == "gcc" else tuple(t for t in TYPES if t != "__int128")
    code.write_text(source(seed, types=types))
    run(tool(compiler), *flags, "-O2", "-g", "-c", code, "-o", path)
    words = said(path)
    file = DebugFile(ElfImage(path.read_bytes(), str(path)))
    compared, wrong = 0, []
    for unit in file.units:
        for offset, _, _ in walk(unit).functions:
            found = prototype(file, offset)
            if found is None or not found.name.startswith("f"):
                continue
            convention = call_abi.of_c(machine, [p.type for p in found.parameters], found.result)
            assert convention is not None
            for one, place in zip(found.parameters, convention.arguments, strict=True):
                other = theirs(words.get((found.name, one.name), ""), cfa)
                if other is None or place is None:
                    continue
                compared += 1
                # clang names the first of two registers of some structures, and the stack word of a pointer to one.
                registers = place.registers[: len(other[0])]
                pointed = place.is_pointed if place.registers else other[2]
                if (registers, place.stack, pointed) != other:
                    wrong.append((found.name, [p.type.text for p in found.parameters], one.name, place, other))
    assert not wrong, f"{len(wrong)} of {compared}: {wrong[:3]}"
    assert compared > 120


RESULTS = tuple(dict.fromkeys((*TYPES, "long double", "long double _Complex")))


def results_by_clang(folder: Path, flags: tuple[str, ...]) -> list[str]:
    """The type that clang's intermediate code returns for each of RESULTS; "sret" where it takes a pointer."""
    code = folder / "r.c"
    bodies = "\n".join(f"{kind} r{i}({kind} *x) {{ return *x; }}" for i, kind in enumerate(RESULTS))
    code.write_text(STRUCTS + bodies)
    text = run(tool("clang"), *flags, "-O1", "-g0", "-S", "-emit-llvm", "-o", "-", code)
    found = []
    for i in range(len(RESULTS)):
        line = next(one for one in text.splitlines() if one.startswith("define") and f"@r{i}(" in one)
        kind = line.split(f" @r{i}(")[0].split("dso_local ")[1]
        kind = re.sub(r"^((noundef|zeroext|signext|inreg|noalias|nonnull) )+", "", kind)
        found.append("sret" if "sret(" in line else kind)
    return found


def registers_of(kind: str, leaves: int, is_arm: bool) -> tuple[str, ...]:
    """The registers in which LLVM returns a type of its own."""
    if kind == "x86_fp80":
        return ("st0",)
    if is_arm:
        integers, floats = iter(("x0", "x1")), iter(("v0", "v1", "v2", "v3"))
    else:
        integers, floats = iter(("rax", "rdx")), iter(("xmm0", "xmm1"))
    if kind == "i128" or kind == "[2 x i64]":
        return tuple(integers)
    if is_arm and kind.startswith(("%struct", "{ float", "{ double", "{ fp128")):
        return tuple(next(floats) for _ in range(leaves))
    parts = kind.strip("{} ").split(", ") if kind.startswith("{") else [kind]
    return tuple(next(floats if re.search("float|double|fp128", part) else integers) for part in parts)


@pytest.mark.parametrize(("flags", "machine"), [((), "x86_64"), (("--target=aarch64-linux-gnu",), "aarch64")])
def test_results_are_where_clang_returns_them(tmp_path, flags, machine):
    code, path = tmp_path / "f.c", tmp_path / "f.o"
    code.write_text(STRUCTS + "\n".join(f"{kind} r{i}({kind} *x) {{ return *x; }}" for i, kind in enumerate(RESULTS)))
    run(tool("clang"), *flags, "-O1", "-g", "-c", code, "-o", path)
    file = DebugFile(ElfImage(path.read_bytes(), str(path)))
    names = results_by_clang(tmp_path, flags)
    wrong, seen = [], 0
    for unit in file.units:
        for offset, _, _ in walk(unit).functions:
            found = prototype(file, offset)
            assert found is not None
            number = int(found.name[1:])
            convention = call_abi.of_c(machine, [p.type for p in found.parameters], found.result)
            assert convention is not None
            seen += 1
            place = convention.results[0]
            if names[number] == "sret":
                good = convention.hidden == ("rdi" if machine == "x86_64" else "x8") and place.is_pointed
            elif RESULTS[number] == "long double _Complex" and machine == "x86_64":
                good = place.registers == ("st0", "st1")
            else:
                wanted = registers_of(names[number], len(found.result.leaves), machine == "aarch64")
                good = not convention.hidden and place.registers == wanted
            if not good:
                wrong.append((RESULTS[number], names[number], place, convention.hidden))
    assert not wrong
    assert seen == len(RESULTS)


def test_go_counts_registers_and_gives_a_value_back_whole():
    word = UserType("int", INTEGER, 8, True, (Leaf(0, INTEGER, 8),), 8)
    half = UserType("int32", INTEGER, 4, True, (Leaf(0, INTEGER, 4),), 4)
    string = UserType(
        "string", "struct", 16, False, (Leaf(0, INTEGER, 8), Leaf(8, INTEGER, 8)), 8, members=(word, word)
    )
    floating = UserType("float64", FLOAT, 8, True, (Leaf(0, FLOAT, 8),), 8)
    array = UserType("[2]int", "array", 16, False, (), 8, members=(word,), elements=2)
    got = call_abi.of_go("x86_64", [*[word] * 8, string, floating, word, array, half, word], [string], True)
    assert got.arguments[8].stack == 8, "two words do not fit in the one register that is left"
    assert got.arguments[9].registers == ("xmm0",)
    assert got.arguments[10].registers == ("r11",)
    assert got.arguments[11].stack == 24, "arrays of two go to the stack"
    assert got.arguments[12].stack == 40
    assert got.arguments[13].stack == 48
    assert got.results[0].registers == ("rax", "rbx")
    old = call_abi.of_go("x86_64", [half, word, string], [half, word], False)
    assert [one.stack for one in (*old.arguments, *old.results)] == [8, 16, 24, 40, 48]


def test_what_cannot_be_placed_hides_all_behind_it():
    word = UserType("int", INTEGER, 4, True, (Leaf(0, INTEGER, 4),), 4)
    unknown = UserType("a type", "other", 0)
    for machine in ("x86_64", "aarch64"):
        got = call_abi.of_c(machine, [word, unknown, word], VOID_TYPE)
        assert [one is None for one in got.arguments] == [False, True, True]
    assert call_abi.of_c("x86_64", [word], unknown).arguments == (None,), "a hidden pointer may come first"
    assert call_abi.of_c("i386", [word], VOID_TYPE) is None
