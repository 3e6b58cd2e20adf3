"""Small programs whose inlining is known by construction, from gcc and clang, in every packing that tools write."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess

import pytest

from probe_scout.formats.dwarf import abbrev
from probe_scout.formats.dwarf import classes as c
from probe_scout.formats.dwarf.inline_facts import find, table
from probe_scout.formats.dwarf.search import likeliest_first as first
from probe_scout.formats.dwarf.search import name_offsets
from probe_scout.formats.dwarf.units import DebugFile
from probe_scout.formats.dwarf.walk import walk
from probe_scout.formats.elf.image import ElfImage
from tests.builders import programs

from . import second_road

MAIN = """
#define NOINLINE __attribute__((noinline, noclone))
#define ALWAYS inline __attribute__((always_inline))
#ifdef __clang__
#undef NOINLINE
#define NOINLINE __attribute__((noinline))
#endif
volatile int place;
NOINLINE int sink(int a) { place = a; return place; }             /* never inlined */
static ALWAYS int everywhere(int a) { return sink(a) + 1; }       /* no code of its own */
extern int here_and_there(int a);
ALWAYS int here_and_there(int a) { return sink(a + 2) * 3; }      /* C99: extern, so it has code as well */
static ALWAYS int inner(int a) { return sink(a) - 5; }
static ALWAYS int middle(int a) { return inner(a) * 3; }
NOINLINE int outer(int a) { return middle(a) + 7; }
static NOINLINE int same_name(int a) { return sink(a) + 11; }
int other_file(int a);
NOINLINE int start(int a)
{
	return everywhere(a) + here_and_there(a) + outer(a) + same_name(a) + other_file(a);
}
"""
OTHER = """
int sink(int a);
static __attribute__((noinline)) int same_name(int a) { return sink(a) + 13; }
static inline __attribute__((always_inline)) int second(int a) { return sink(a) - 17; }
int other_file(int a) { return same_name(a) + second(a); }        /* references of a unit that does not start at 0 */
"""
TRUTH = {
    "sink": [c.NO],
    "everywhere": [c.FULL],
    "here_and_there": [c.PARTIAL],
    "inner": [c.FULL],
    "middle": [c.FULL],
    "outer": [c.NO],
    "same_name": [c.NO, c.NO],
    "start": [c.NO],
    "second": [c.FULL],
    "no_such_name": [],
}
LINK = ("-nostdlib", "-static", "-Wl,-e,start", "-Wl,--build-id=sha1")


def compile_with(folder, compiler: str, *options: str, link: bool = True) -> bytes:
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    (folder / "main.c").write_text(MAIN)
    (folder / "other.c").write_text(OTHER)
    how = LINK if link else ("-c",)
    sources = ("main.c", "other.c") if link else ("main.c",)
    done = subprocess.run(
        (compiler, *options, *how, *sources, "-o", "program"), cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"{compiler} {' '.join(options)}: {done.stderr.splitlines()[0]}")
    return (folder / "program").read_bytes()


def opened(raw: bytes, **options) -> DebugFile:
    return DebugFile(ElfImage(raw, "program"), **options)


def assert_truth(raw: bytes, truth: dict[str, list[str]] = TRUTH) -> None:
    """Classes, callers and chain are as the source makes them, and both ways in agree."""
    file = opened(raw)
    rows = table(file)
    for name, kinds in truth.items():
        found = find(file, name)
        assert [one.kind for one in found] == kinds, name
        assert [(r.file, r.line, r.kind, r.copies) for r in rows.get(name, ())] == [
            (one.file, one.line, one.kind, len(one.copies)) for one in found
        ]
    (everywhere,) = find(file, "everywhere")
    assert [(copy.symbol, copy.chain, copy.line) for copy in everywhere.copies] == [("start", ("start",), 20)]
    assert (everywhere.file.endswith("main.c"), everywhere.line) == (True, 10)
    (both,) = find(file, "here_and_there")
    assert [copy.symbol for copy in both.missed] == ["start"]
    assert [body.symbols for body in both.bodies] == [("here_and_there",)]
    (inner,) = find(file, "inner")
    assert [(copy.symbol, copy.chain) for copy in inner.copies] == [("outer", ("middle", "outer"))]
    (start,) = file.image.symbols.named("outer")
    assert [copy.address - copy.offset_bytes for copy in inner.copies] == [start]


def assert_second_road(raw: bytes) -> None:
    """pyelftools' entries hold the same addresses for every name."""
    file = opened(raw)
    expected = second_road.of_file(raw)
    assert {"sink", "inner", "here_and_there"} <= set(expected)
    for name, (bodies, copies) in expected.items():
        found = find(file, name)
        assert sorted(body.address for one in found for body in one.bodies) == bodies, name
        assert sorted(copy.address for one in found for copy in one.copies) == copies, name


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "options", ["-O0 -gdwarf-5", "-O2 -gdwarf-4", "-O2 -gdwarf-5", "-O3 -gdwarf-5", "-Os -gdwarf-4"], ids=str
)
def test_levels_and_versions(tmp_path, compiler, options):
    raw = compile_with(tmp_path, compiler, *options.split())
    assert_truth(raw)
    assert_second_road(raw)


@pytest.mark.parametrize(
    "options",
    [
        "-gz=zlib",
        "-Wl,--compress-debug-sections=zlib-gnu",
        "-gdwarf64",
        "-fno-merge-debug-strings",
        "-fdebug-types-section",
        "-g3",
        "-Wl,-O2",
    ],
    ids=str,
)
def test_packings_of_gcc(tmp_path, options):
    assert_truth(compile_with(tmp_path, "gcc", "-O2", "-g", *options.split()))


def test_code_that_the_linker_threw_away_does_not_count(tmp_path):
    raw = compile_with(tmp_path, "gcc", "-O2", "-g", "-ffunction-sections", "-Wl,--gc-sections")
    (both,) = find(opened(raw), "here_and_there")
    assert (both.kind, both.bodies, [copy.symbol for copy in both.copies]) == (c.FULL, (), ["start"])


def test_zstd_is_read_or_says_what_is_missing(tmp_path):
    from probe_scout.errors import Malformed

    raw = compile_with(tmp_path, "gcc", "-O2", "-g")
    done = subprocess.run(
        ("objcopy", "--compress-debug-sections=zstd", "program", "packed"),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("this objcopy has no zstd")
    packed = (tmp_path / "packed").read_bytes()
    assert packed != raw
    if importlib.util.find_spec("zstandard") or importlib.util.find_spec("compression"):
        assert_truth(packed)
    else:
        with pytest.raises(Malformed, match="zstandard"):
            find(opened(packed), "sink")


def test_link_time_optimisation(tmp_path):
    raw = compile_with(tmp_path, "gcc", "-O2", "-g", "-flto")
    truth = {name: kinds for name, kinds in TRUTH.items() if name not in ("same_name", "other_file", "start")}
    truth["here_and_there"] = [c.FULL]  # the whole program is known, and nothing calls its own code
    file = opened(raw)
    for name, kinds in truth.items():
        assert [one.kind for one in find(file, name)] == kinds, name
    assert [copy.symbol for one in find(file, "inner") for copy in one.copies] == ["outer"]
    rows = table(file)
    for name in rows:
        assert [(r.kind, r.copies) for r in rows[name]] == [(one.kind, len(one.copies)) for one in find(file, name)]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("options", ["-gdwarf-4", "-gdwarf-5", "-gdwarf-5 -ffunction-sections"])
def test_object_file_is_relocated(tmp_path, compiler, options):
    raw = compile_with(tmp_path, compiler, "-O2", *options.split(), link=False)
    file = opened(raw)
    assert file.image.is_relocatable
    truth = TRUTH | {"same_name": [c.NO], "second": []}
    assert_truth(raw, truth)
    (sink,) = find(file, "sink")
    section, offset = file.image.place_of(sink.bodies[0].address)
    assert section == (".text.sink" if "sections" in options else ".text")
    assert offset == 0


def test_debug_file_of_its_own(tmp_path):
    raw = compile_with(tmp_path, "gcc", "-O2", "-g")
    subprocess.run(("objcopy", "--only-keep-debug", "program", "program.debug"), cwd=tmp_path, check=True)
    kept = (tmp_path / "program.debug").read_bytes()
    assert_truth(kept)
    assert opened(kept).image.build_id == opened(raw).image.build_id != ""


def test_dwz_moves_entries_into_partial_units(tmp_path):
    if shutil.which("dwz") is None:
        pytest.skip("there is no dwz")
    raw = compile_with(tmp_path, "gcc", "-O2", "-g")
    subprocess.run(("dwz", "--odr", "program", "-o", "packed"), cwd=tmp_path, check=False)
    assert_truth((tmp_path / "packed").read_bytes() if (tmp_path / "packed").exists() else raw)


def test_changed_arguments_go_with_a_suffix(tmp_path):
    """gcc makes name.constprop.0 or name.isra.0 of a function whose argument is always the same."""
    source = """
volatile int place;
static __attribute__((noinline)) int scaled(int a, int b)
{
	place = a * b;
	for (int i = 0; i < a; i++)
		place += b;
	return place;
}
int start(int a) { return scaled(a, 7) + scaled(a + 1, 7); }
"""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    (tmp_path / "x.c").write_text(source)
    subprocess.run(("gcc", "-O2", "-g", *LINK, "x.c", "-o", "x"), cwd=tmp_path, check=True)
    (scaled,) = find(opened((tmp_path / "x").read_bytes()), "scaled")
    ((symbol,),) = [body.symbols for body in scaled.bodies]
    assert (scaled.kind, symbol) == (c.TRANSFORMED, "scaled.constprop.0")
    assert c.suffixes("scaled", symbol) == c.Suffixes(("constprop",), "maybe")


TAILS = ("", "list_", "a_", "of_", "to_", "in_", "on_", "by_")


@pytest.mark.parametrize("name", ["insert", "of_insert", "list_insert", "sert"])
def test_a_name_that_ends_many_strings_is_found_by_the_one_offset_that_stands_for_it(tmp_path, monkeypatch, name):
    """GNU ld keeps all these names in the longest strings that end with them."""
    bodies = "".join(
        f"static ALWAYS int {head}insert(int a) {{ place = a + {number}; return place; }}\n"
        for number, head in enumerate(TAILS)
    )
    calls = " + ".join(f"{head}insert(a)" for head in TAILS)
    head = "#define ALWAYS inline __attribute__((always_inline))\nvolatile int place;\n"
    text = f"{head}{bodies}int sert(int a) {{ return a; }}\nint start(int a) {{ return {calls} + sert(a); }}\n"
    (tmp_path / "main.c").write_text(text)
    done = subprocess.run(
        ("gcc", "-O2", "-g", *LINK, "main.c", "-o", "program"), cwd=tmp_path, capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("there is no gcc that links")
    file = opened((tmp_path / "program").read_bytes())
    assert file.has_each_string_once
    assert len(name_offsets(file, b"insert").strings) >= len(TAILS) - 1
    (found,) = find(file, name)
    assert [(r.kind, r.copies, r.line) for r in table(file)[name]] == [(found.kind, len(found.copies), found.line)]
    assert found.kind in ((c.NO, c.PARTIAL) if name == "sert" else (c.FULL,))
    monkeypatch.setattr(
        "probe_scout.formats.dwarf.search.likeliest_first", lambda file, offsets: [*first(file, offsets)][::-1]
    )
    assert find(file, name) == (found,)
    file._is_merged = False  # then every offset is looked for
    assert find(file, name) == (found,)


@pytest.mark.parametrize("flags", [("-O2",), ("-O1", "-gdwarf-4"), ("-O2", "-fno-inline")])
def test_entries_are_read_alike_with_and_without_a_made_reader(tmp_path, monkeypatch, flags):
    text = "static inline int f(int a) { return a * 7; }\nint g(int a, int b) { return f(a) + f(b); }\n"
    path = programs.compiled(tmp_path, "two", text + "int main(int c) { return g(c, f(c)); }", *flags)
    found = []
    for least in (0, 1 << 30):
        monkeypatch.setattr(abbrev, "_USES_MIN", least)
        found.append([walk(unit) for unit in DebugFile(ElfImage(path.read_bytes(), str(path))).units])
    assert found[0] == found[1]
    assert any(one.functions for one in found[0])
