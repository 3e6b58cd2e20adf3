"""`inline FILE:NAME`: copies of functions of compiled programs, with pyelftools as the other reader."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest

from probe_scout.errors import UsageError
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.cli import run
from probe_scout.frontends.session import open_kernel
from tests.builders import programs

C = r"""
static inline __attribute__((always_inline)) int inner(int x) { return x * 17 ^ (x >> 3); }
static int helper(int x) { int s = 0; for (int i = 0; i < x; i++) s ^= inner(i); return s; }
static int gone(int x) { return 3; }
int only(int x) { return inner(x) + gone(x); }
int recursive(int x) { return x < 2 ? 1 : x * recursive(x - 1); }
int (*kept)(int) = helper;
int main(int argc, char **argv) { return helper(argc) + only(argc + 1) + helper(argc * 3) + recursive(argc) + kept(2); }
"""
CXX = r"""
#include <cstdio>
namespace ns { struct Box { int v; Box(int x) : v(x * 3) { if (v > 100) puts("large"); }
 inline int get(int k) const { int s = 0; for (int i = 0; i < k; i++) s ^= v * i; return s; } }; }
template <class T> static inline T twice(T x) { return x + x; }
static inline int helper(int x) { return x * 17 ^ (x >> 3); }
__attribute__((noinline)) int a(int x) { ns::Box b(x); return helper(b.get(x)) + twice(x); }
__attribute__((noinline)) int b(int x) { ns::Box q(x + 1);
 return helper(q.get(x + 1)) + q.get(3) + (int)twice(2.5 * x); }
int (*keep)(int) = helper;
int main(int argc, char **argv) { return a(argc) + b(argc) + keep(argc); }
"""
GO = """package main
func inner(x int) int { return x*17 ^ x>>3 }
//go:noinline
func a(x int) int { return inner(x) + inner(x+1) }
func main() { println(a(len("x")), inner(len(env))) ; println(f(2)) }
var env = "x"
var f = inner
"""
RUST = """
#[inline(always)] fn inner(x: u32) -> u32 { x.wrapping_mul(17) ^ (x >> 3) }
struct Box2 { v: u32 } impl Box2 { #[inline(always)] fn get(&self) -> u32 { inner(self.v) } }
#[inline(never)] fn a(x: u32) -> u32 { inner(x) + Box2 { v: x }.get() }
fn main() { let n = std::env::args().count() as u32; std::process::exit((a(n) + Box2 { v: n + 1 }.get()) as i32); }
"""
LANGUAGES = {
    "gcc": ("gcc", C, ("inner", "helper", "gone", "only", "recursive")),
    "clang": ("clang", C, ("inner", "helper", "gone", "only", "recursive")),
    "g++": ("g++", CXX, ("helper", "ns::Box::get", "ns::Box::Box", "a")),
    "clang++": ("clang++", CXX, ("helper", "ns::Box::get", "ns::Box::Box", "a")),
    "go": ("go", GO, ("main.inner", "main.a")),
    "rustc": ("rustc", RUST, ("rust::inner", "rust::Box2::get", "rust::a")),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return programs.root_for_programs(tmp_path_factory.mktemp("root"))


def build(root: Path, language: str) -> Path:
    compiler, source, _ = LANGUAGES[language]
    if language == "go":
        return programs.go_program(root / "app", source=source)
    if language == "rustc":
        (root / "app/rust.rs").write_text(source)
        programs.run(programs.tool("rustc"), "-O", "-g", "-o", root / "app/rust", root / "app/rust.rs")
        return root / "app/rust"
    return programs.compiled(root / "app", language.replace("+", "x"), source, compiler=compiler)


def copies_by_pyelftools(path: Path) -> dict[str, set[int]]:
    """Name of the source to the entry addresses of its inlined copies with code, in the units of the test's source."""
    from elftools.elf.elffile import ELFFile

    dwarf = ELFFile(BytesIO(path.read_bytes())).get_dwarf_info()
    lists = dwarf.range_lists()
    found: dict[str, set[int]] = {}
    for unit in dwarf.iter_CUs():
        top = unit.get_top_DIE()
        name = top.attributes["DW_AT_name"].value.decode()
        if f"{path.name}." not in name and name != "main":
            continue
        base = top.attributes["DW_AT_low_pc"].value if "DW_AT_low_pc" in top.attributes else 0
        for entry in unit.iter_DIEs():
            if entry.tag != "DW_TAG_inlined_subroutine":
                continue
            held = entry.attributes
            origin = entry.get_DIE_from_attribute("DW_AT_abstract_origin")
            while "DW_AT_name" not in origin.attributes:
                origin = origin.get_DIE_from_attribute("DW_AT_specification")
            low = None
            if "DW_AT_ranges" in held:
                value = held["DW_AT_ranges"].value
                rows = lists.get_range_list_at_offset(value, unit)
                start = base
                for row in rows:
                    if type(row).__name__ == "BaseAddressEntry":
                        start = row.base_address
                    elif row.end_offset > row.begin_offset:
                        low = row.begin_offset + (0 if getattr(row, "is_absolute", False) else start)
                        break
            elif "DW_AT_low_pc" in held:
                low = held["DW_AT_low_pc"].value
            if "DW_AT_entry_pc" in held:
                one = held["DW_AT_entry_pc"]
                low = one.value if one.form == "DW_FORM_addr" else (low or 0) + one.value
            if low:
                found.setdefault(origin.attributes["DW_AT_name"].value.decode(), set()).add(low)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_copy_is_found_with_its_file_offset_and_its_answer(root, language):
    path = build(root, language)
    wanted = copies_by_pyelftools(path)
    image = UserImage(path.read_bytes(), str(path))
    kernel = open_kernel(str(root))
    total = 0
    for name in LANGUAGES[language][2]:
        report = kernel.inline(f"/app/{path.name}:{name}")
        bare = name if language == "go" else name.rpartition("::")[2]
        copies = [copy for one in report.functions for copy in one.copies]
        assert {image.address(copy.file_offset) for copy in copies} == wanted.get(bare, set()), name
        for copy in copies:
            assert copy.verdict.attach == "uprobe"
            assert copy.verdict.answer == "yes"
            assert copy.target == f"/app/{path.name}:{copy.file_offset:#x}"
            assert kernel.check([copy.target], ["uprobe"]).targets[0].verdicts[0].answer == "yes"
        total += len(copies)
    assert total >= 2


def test_a_mangled_name_and_a_symbol_lead_to_the_same_copies(root):
    path = build(root, "g++")
    kernel = open_kernel(str(root))
    asked = [f"/app/{path.name}:{name}" for name in ("ns::Box::get", "_ZNK2ns3Box3getEi")]
    first, second = ([c.file_offset for c in kernel.inline(name).functions[0].copies] for name in asked)
    assert first == second != []


def test_check_says_which_calls_go_past_the_symbol(root):
    path = build(root, "gcc")
    (report,) = open_kernel(str(root)).check([f"/app/{path.name}:helper"], ["uprobe"]).targets
    assert (report.coverage.answer, report.coverage.basis) == ("partial", "dwarf")
    assert "main" in report.coverage.missed_callers
    (whole,) = open_kernel(str(root)).check([f"/app/{path.name}:main"], ["uprobe"]).targets
    assert whole.coverage.answer == "complete"


def test_a_name_with_a_version_is_the_code_that_has_it(root):
    """.symtab has entry@@PS_1.0 where .dynsym has entry and its version beside."""
    programs.library(root / "app")
    (report,) = open_kernel(str(root)).check(["/app/libps.so:twice@PS_2.0"], ["uprobe"]).targets
    assert report.coverage.answer == "complete"
    assert open_kernel(str(root)).inline("/app/libps.so:twice@PS_2.0").coverage.answer == "complete"


AVX = r"""
static inline __attribute__((always_inline)) void store(void *to) { __asm__("vmovdqu %%ymm0,(%0)" :: "r"(to)); }
static inline __attribute__((always_inline)) void add(int *to) { __asm__ volatile("lock incl (%0)" :: "r"(to)); }
__attribute__((noinline)) void one(char *p) { store(p); } __attribute__((noinline)) void two(int *p) { add(p); }
int main(int argc, char **argv) { char room[64]; one(room); two(&argc); return argc; }
"""


def test_a_copy_on_an_instruction_that_takes_no_probe_is_no_plain_yes(root):
    programs.compiled(root / "app", "avx", AVX)
    kernel = open_kernel(str(root))
    for name, wanted in (("store", "hazard.uprobe_vex"), ("add", "limit.uprobe_refused")):
        report = kernel.inline(f"/app/avx:{name}")
        (copy,) = report.functions[0].copies
        notes = [note.rule for note in copy.verdict.notes]
        assert notes == [wanted] or (wanted == "limit.uprobe_refused" and copy.verdict.answer == "unknown")
        assert report.alternatives == ()


def test_functions_of_one_name_are_told_apart_by_their_files(root):
    second = root / "app/second.c"
    second.write_text(
        "static __attribute__((noinline)) int same(int x) { return x * 3; } int far(int x) { return same(x); }"
    )
    first = "int far(int); static __attribute__((noinline)) int same(int x) { return x * 5; } "
    programs.compiled(root / "app", "both", first + "int main(int c, char **v) { return same(c) + far(c); }", second)
    kernel = open_kernel(str(root))
    (report,) = kernel.check(["/app/both:same"], ["uprobe"]).targets
    assert "limit.uprobe_copies" in {limit.id for limit in report.limits}
    assert len([site for site in report.place.sites if site.symbol == "same"]) == 2


def test_all_functions_of_a_file_have_the_answers_of_each(root):
    path = build(root, "gcc")
    kernel = open_kernel(str(root))
    rows = list(kernel.inline_all(f"/app/{path.name}").rows)
    assert {"main", "helper"} <= {row.name for row in rows}
    for row in rows:
        found = [one for one in kernel.inline(f"/app/{path.name}:{row.name}").functions if one.line == row.line]
        assert [(one.kind, len(one.copies)) for one in found] == [(row.kind, row.copies)]
    assert {row.name for row in kernel.inline_all(f"/app/{path.name}:help*").rows} == {
        row.name for row in rows if row.name.startswith("help")
    }
    assert {row.kind for row in kernel.inline_all(f"/app/{path.name}", ["full"]).rows} <= {"full"}
    (gap,) = kernel.inline_all(f"/app/{programs.stripped(path).name}").unread
    assert (gap.fact, gap.kind) == ("debug", "not_recorded")
    with pytest.raises(UsageError, match="FILE:GLOB"):
        kernel.inline_all(f"usdt:/app/{path.name}:a:b")


def test_without_debug_information_the_answer_is_unknown_with_a_cure(root, capsys):
    path = programs.stripped(build(root, "gcc"))
    code = run.main(["inline", f"/app/{path.name}:main", "--root", str(root), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == 3
    assert told["unread"][0]["fact"] == "debug"
    assert "--debug" in told["unread"][0]["cure"]


def test_what_is_no_name_of_a_function_is_a_usage_error(root):
    build(root, "gcc")
    for text in ("/app/gcc:0x10", "/app/gcc:main+4", "usdt:/app/gcc:a:b"):
        with pytest.raises(UsageError):
            open_kernel(str(root)).inline(text)


def test_the_text_names_the_place_and_the_symbol(root, capsys):
    path = build(root, "gcc")
    code = run.main(["inline", f"/app/{path.name}:inner", "--root", str(root)])
    text = capsys.readouterr().out
    assert code == 1
    assert f"uprobe /app/{path.name}:0x" in text
    assert "No return probe sees an inlined copy" in text
