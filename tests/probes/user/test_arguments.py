"""Arguments of user functions by debug information: C, C++, Go and Rust, and why they are not known.

Registers of Go and Rust are compared with what their compilers write of the first instruction, read by llvm-dwarfdump.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from probe_scout.frontends.session import open_kernel
from tests.builders import programs

CXX = r"""
struct P { int x, y; }; struct D { double a; long b; }; struct E {};
struct NT { int v; NT(const NT &o); ~NT(); };
NT::NT(const NT &o) : v(o.v) {} NT::~NT() {}
struct Has { NT inner; }; struct Base { virtual ~Base(); int b; }; Base::~Base() {}
struct Kept { Kept(const Kept &) = default; int a; };
namespace ns { struct Box { int put(int x, const P &p) const; static int fixed(int y); }; }
__attribute__((noinline)) int ns::Box::put(int x, const P &p) const { return x + p.x; }
__attribute__((noinline)) int ns::Box::fixed(int y) { return y; }
__attribute__((noinline)) NT take(NT n, P p, D d, E e, float f, __int128 q) { return NT(n); }
__attribute__((noinline)) int more(Has h, Kept k, const char *const *names, int (*call)(int, P *)) { return 1; }
extern "C" __attribute__((noinline)) int vary(const char *form, ...) { return form[0]; }
int main() { return 0; }
"""
GO = """package main
type T struct { a int; b string; c float32 }
type I interface { x() }
//go:noinline
func (t *T) m(x int, f float64, s []byte, e error) (int, error) { return x + int(f) + len(s), e }
//go:noinline
func value(t T, i I, m map[string]int, c chan int, y int8, z [1]uint16) (T, bool) { return t, y > 0 && c != nil }
//go:noinline
func much(a, b, c, d string, e [2]int, f uint8) (g [2]int) { g = e; return }
func main() { t := &T{}; println(t.m(1, 2, nil, nil)); value(*t, nil, nil, nil, 1, [1]uint16{})
much("", "", "", "", [2]int{}, 1) }
"""
RUST = """
pub struct Pair { a: u64, b: u64 } pub struct Large { a: [u64; 5] }
#[no_mangle] #[inline(never)]
pub fn work(a: u32, s: &str, p: Pair, l: Large, f: f64, b: &mut [u8]) -> u64 {
  b[0] = a as u8; p.a + l.a[0] + s.len() as u64 + f as u64 }
#[no_mangle] #[inline(never)]
pub fn large(a: u32) -> Large { Large { a: [a as u64; 5] } }
fn main() { let n = std::env::args().count() as u32;
  println!("{}", work(n, "x", Pair { a: 1, b: 2 }, large(n), 1.0, &mut [0u8; 4])); }
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return programs.root_for_programs(tmp_path_factory.mktemp("root"))


def ask(root: Path, target: str, debug: str = ""):
    (report,) = open_kernel(str(root)).check([target], ["uprobe"], debug=debug).targets
    return report


def places(report) -> dict[str, str]:
    (site,) = [one for one in report.place.sites if one.chosen]
    return {one.name: one.where or one.kind for one in site.arguments}


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_a_cxx_function_has_this_and_classes_by_value_or_by_reference(root, compiler):
    programs.compiled(root / "app", "cxx", CXX, compiler=compiler)
    report = ask(root, "/app/cxx:take")
    assert report.prototype == "NT take(NT n, P p, D d, E e, float f, __int128 q)"
    assert places(report) == {
        "n": "[rsi]", "p": "rdx", "d": "xmm0, rcx", "e": "none", "f": "xmm1", "q": "r8, r9",
    }  # fmt: skip
    assert [one.where for one in report.place.results] == ["[rax]"]
    assert report.place.convention == "System V AMD64"
    put = ask(root, "/app/cxx:ns::Box::put")
    assert places(put) == {"this": "rdi", "x": "rsi", "p": "rdx"}
    assert put.prototype == "int ns::Box::put(int x, const P &p)"
    assert places(ask(root, "/app/cxx:ns::Box::fixed")) == {"y": "rdi"}
    more = ask(root, "/app/cxx:more")
    assert places(more) == {"h": "[rdi]", "k": "rsi", "names": "rdx", "call": "rcx"}
    assert more.prototype == "int more(Has h, Kept k, const char * const *names, int (*call)(int, P *))"
    assert ask(root, "/app/cxx:vary").prototype == "int vary(const char *form, ...)"
    xmm = next(one for one in report.place.sites[0].arguments if one.name == "f")
    assert xmm.refused_by == ("BPF: struct pt_regs has no vector registers",)


ISRA = r"""
static __attribute__((noinline)) int helper(int used, int unused, const int *p) { return used * 3 + *p; }
int first(int a, int *b) { return helper(a, 1, b); } int second(int a, int *b) { return helper(a + 1, 2, b); }
int main(int argc, char **argv) { return first(argc, &argc) + second(argc, &argc); }
"""


def test_a_clone_takes_what_the_debug_information_says_and_not_the_abi(root):
    programs.compiled(root / "app", "isra", ISRA, compiler="gcc")
    report = ask(root, "/app/isra:helper.*")
    assert report.place.convention == "as the debug information says"
    found = places(report)
    assert found["used"] == "rdi"
    assert found["unused"] == "unknown", "the compiler took it out"
    assert report.place.results[0].kind == "unknown"


def located(path: Path, function: str) -> dict[str, tuple[str, ...]]:
    """Parameter to registers at the first instruction, as llvm-dwarfdump has them."""
    text = programs.run(programs.tool("llvm-dwarfdump"), f"--name={function}", "-c", path)
    low = int(re.search(r"DW_AT_low_pc\t\(0x([0-9a-f]+)", text)[1], 16)
    found = {}
    for part in re.split(r"\n(?=0x[0-9a-f]+:)", text):
        name = re.search(r'DW_AT_name\t\("(.*)"\)', part)
        if "DW_TAG_formal_parameter" not in part or name is None:
            continue
        plain = re.search(r"DW_AT_location\t\((DW_OP.*)\)", part)
        ranges = re.findall(r"\[0x([0-9a-f]+), 0x[0-9a-f]+\)(?: \"[^\"]*\")?: (DW_OP.*?)\)?$", part, re.M)
        listed = [expression for start, expression in ranges if int(start, 16) == low]
        expression = plain[1] if plain else listed[0] if listed else ""
        if "DW_OP_reg" in expression and "DW_OP_breg" not in expression:
            found[name[1]] = tuple(one.lower() for one in re.findall(r"DW_OP_reg(?:x|\d+) (\w+)", expression))
    return found


@pytest.fixture(scope="module")
def go(root) -> Path:
    programs.go_program(root / "app", source=GO)
    return root / "app/goprogram"


@pytest.mark.parametrize("name", ["main.(*T).m", "main.value", "main.much"])
def test_go_arguments_are_where_its_compiler_says(root, go, name):
    report = ask(root, f"/app/goprogram:{name}")
    assert report.place.convention.startswith("Go ABIInternal (go1.")
    said = located(go, name)
    assert len(said) >= 4
    found = places(report)
    for parameter, registers in said.items():
        assert tuple(found[parameter].split(", "))[: len(registers)] == registers, parameter
    assert report.place.build_version == programs.run(programs.tool("go"), "env", "GOVERSION").strip()


def test_go_results_are_in_registers_and_named(root, go):
    report = ask(root, "/app/goprogram:main.(*T).m")
    assert report.prototype == "func main.(*T).m(t *main.T, x int, f float64, s []uint8, e error) (int, error)"
    assert [one.where for one in report.place.results] == ["rax", "rbx, rcx"]
    much = ask(root, "/app/goprogram:main.much")
    assert [(one.name, one.where) for one in much.place.results] == [("g", "[rsp+0x18]")]
    assert places(much)["e"].startswith("[rsp+")


def test_rust_arguments_are_where_its_compiler_says_and_the_abi_is_named_as_not_fixed(root):
    (root / "app/r.rs").write_text(RUST)
    path = root / "app/rust"
    programs.run(programs.tool("rustc"), "-O", "-g", "-o", path, root / "app/r.rs")
    report = ask(root, "/app/rust:work")
    said = located(path, "work")
    found = places(report)
    assert report.place.convention.startswith("Rust")
    assert {"a", "s", "f"} <= set(said)
    for parameter, registers in said.items():  # a part that the function does not use is left out there
        mine = tuple(found[parameter].split(", "))
        assert mine[len(mine) - len(registers) :] == registers, parameter
    assert found["l"].startswith("[r")
    assert ask(root, "/app/rust:large").place.results[0].where == "[rax]"


def test_a_stripped_file_says_why_and_what_helps(root):
    path = programs.compiled(root / "app", "plain", programs.PROGRAM, "-rdynamic")
    programs.stripped(path)
    report = ask(root, "/app/plain.stripped:work")
    gap = report.place.arguments_unread
    assert (gap.fact, gap.kind) == ("debug", "not_recorded")
    assert "--debug" in gap.cure
    assert places(report) == {}
    with_debug = ask(root, "/app/plain.stripped:work", debug=str(path))
    assert places(with_debug) == {"x": "rdi"}
    assert with_debug.place.debug_file == str(path)


def test_the_debug_file_beside_it_is_used_and_that_of_another_build_is_not(root):
    path = programs.compiled(root / "app", "linked", programs.PROGRAM, "-rdynamic", "-Wl,--build-id=0x1111")
    debug = path.with_name("linked.debug")
    programs.run(programs.tool("objcopy"), "--only-keep-debug", path, debug)
    programs.run(programs.tool("objcopy"), "--strip-all", f"--add-gnu-debuglink={debug}", path)
    report = ask(root, "/app/linked:work")
    assert places(report) == {"x": "rdi"}
    assert report.place.debug_file == "/app/linked.debug"
    other = programs.compiled(root / "app", "other", programs.PROGRAM, "-rdynamic", "-Wl,--build-id=0x2222")
    gap = ask(root, "/app/linked:work", debug=str(other)).place.arguments_unread
    assert "another build" in gap.why


def test_an_assembly_function_has_no_arguments_and_says_so(root):
    source = '__asm__(".globl bare\\n.type bare,@function\\nbare: ret\\n.size bare,1"); int main(void) { return 0; }'
    programs.compiled(root / "app", "bare", source)
    assert "has no parameters of bare" in ask(root, "/app/bare:bare").place.arguments_unread.why


def test_what_an_assembler_describes_has_no_arguments_either(root):
    """as writes an entry without parameters for each function of a file that is assembled with -g."""
    code = root / "app/as.s"
    code.write_text(".text\n.globl sums\n.type sums,@function\nsums: lea (%rdi,%rsi),%rax\n ret\n.size sums,.-sums\n")
    programs.compiled(root / "app", "assembled", "int main(void) { return 0; }", str(code), "-Wa,-g")
    report = ask(root, "/app/assembled:sums")
    assert "has no parameters of sums" in report.place.arguments_unread.why
    assert report.prototype is None


def test_compressed_and_moved_debug_information_is_read(root):
    path = programs.compiled(root / "app", "packed", programs.PROGRAM, "-gz=zlib")
    assert places(ask(root, "/app/packed:work")) == {"x": "rdi"}
    if shutil.which("dwz"):
        twin = shutil.copy(path, root / "app/packed2")
        programs.run("objcopy", "--decompress-debug-sections", twin)
        shutil.copy(twin, root / "app/packed3")
        programs.run("dwz", "-m", root / "app/moved.dwz", "-M", "moved.dwz", twin, root / "app/packed3")
        assert places(ask(root, "/app/packed2:work")) == {"x": "rdi"}
