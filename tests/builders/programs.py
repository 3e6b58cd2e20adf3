"""Small programs and libraries, compiled when a test asks for them. A compiler that is missing skips the test."""

from __future__ import annotations

import lzma
import shutil
import subprocess
from pathlib import Path
from struct import pack

import pytest

from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

LIBRARY = r"""
#include <stddef.h>
static int used; int counter = 7;
int old_twice(int x) { return x * 2; }
int new_twice(int x) { used++; return x + x; }
__asm__(".symver old_twice, twice@PS_1.0");
__asm__(".symver new_twice, twice@@PS_2.0");
static int fast(int x) { return x + 1; }
static void *choose(void) { return fast; }
int picked(int) __attribute__((ifunc("choose")));
__attribute__((weak)) int weakly(int x) { return x - 1; }
__attribute__((visibility("hidden"), noinline)) int inside(int x) { return x * x; }
__attribute__((noinline)) static int local_one(int x) { return inside(x) + used; }
int entry(int x) { return local_one(x) + counter; }
"""
VERSIONS = "PS_1.0 { global: twice; picked; weakly; entry; counter; local: *; };\nPS_2.0 { global: twice; } PS_1.0;\n"
PROGRAM = r"""
#include <stdio.h>
__attribute__((noinline)) int work(int x) { return x * 3; }
__attribute__((noinline)) static int helper(int x) { return work(x) + 1; }
int main(int argc, char **argv) { printf("%d\n", helper(argc)); return 0; }
"""
# As <sys/sdt.h> writes them; the package with that file need not be there.
_PROBE = r"""
#define NOTE(provider, name, semaphore, args, ...) __asm__ volatile ( \
  "990: nop\n.pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n.4byte 992f-991f,994f-993f,3\n" \
  "991: .asciz \"stapsdt\"\n" \
  "992: .balign 4\n993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte " semaphore "\n.asciz \"" provider "\"\n" \
  ".asciz \"" name "\"\n.asciz \"" args "\"\n994: .balign 4\n.popsection\n" \
  ".ifndef _.stapsdt.base\n.pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
  ".weak _.stapsdt.base\n" \
  ".hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n.endif\n" :: __VA_ARGS__)
"""
USDT = (
    _PROBE
    + r"""
unsigned short sem __attribute__((section(".probes")));
int table[8];
__attribute__((noinline)) int traced(int x, long y) {
  NOTE("prov", "plain", "0", "-4@%0 8@%1", "r"(x), "r"(y));
  if (__builtin_expect(sem, 0)) NOTE("prov", "guarded", "sem", "-4@%0", "m"(x));
  NOTE("prov", "plain", "0", "-4@%0 8@%1", "r"(x + 1), "i"(5L));
  return x + (int)y;
}
int main(int argc, char **argv) { int n = 0; for (int i = 0; i < 10; i++) n += traced(i, argc); return n & 1; }
"""
)
GO = """package main
import "fmt"
type pair[T any] struct{ a, b T }
func (p *pair[T]) sum(f func(T, T) T) T { return f(p.a, p.b) }
//go:noinline
func add(a, b int) int { return a + b }
func main() { p := &pair[int]{1, 2}; fmt.Println(p.sum(add)) }
"""


def root_for_programs(folder: Path) -> Path:
    """A kernel's files, and app/ for programs."""
    write_tree(folder, tiny_files(symbols=("foo",)))
    (folder / "app").mkdir()
    return folder


def tool(name: str) -> str:
    """The path of a compiler or binutil; skips the test where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(*words: str, cwd: Path | None = None) -> str:
    """The output of a command that must succeed."""
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True, cwd=cwd).stdout


def compiled(folder: Path, name: str, source: str, *flags: str, compiler: str = "gcc") -> Path:
    """A file made from C (or C++, by the compiler) in a folder."""
    path, code = folder / name, folder / f"{name}.{'cc' if compiler.endswith('++') else 'c'}"
    code.write_text(source)
    run(tool(compiler), "-O2", "-g", "-o", path, code, *flags)
    return path


def library(folder: Path, *flags: str) -> Path:
    """libps.so with two versions of one name, an IFUNC, a weak, a hidden and a local function."""
    script = folder / "versions"
    script.write_text(VERSIONS)
    return compiled(folder, "libps.so", LIBRARY, "-shared", "-fPIC", f"-Wl,--version-script={script}", *flags)


def go_program(folder: Path, *flags: str, source: str = GO) -> Path:
    """A Go program; `-ldflags=-s -w` strips it."""
    (folder / "go.go").write_text(source)
    path = folder / "goprogram"
    run(tool("go"), "build", *flags, "-o", path, folder / "go.go", cwd=folder)
    return path


def stripped(path: Path, *flags: str) -> Path:
    """A stripped copy beside the file."""
    out = path.with_name(path.name + ".stripped")
    run(tool("objcopy"), *(flags or ("--strip-all",)), path, out)
    return out


def with_mini_debug(path: Path) -> Path:
    """A stripped copy that carries its symbols in .gnu_debugdata, as Fedora builds programs."""
    symbols, out = path.with_name(path.name + ".mini"), path.with_name(path.name + ".withmini")
    run(tool("objcopy"), "--only-keep-debug", "--strip-debug", path, symbols)
    packed = path.with_name(path.name + ".mini.xz")
    packed.write_bytes(lzma.compress(symbols.read_bytes(), format=lzma.FORMAT_XZ))
    run(tool("objcopy"), "--strip-all", f"--add-section=.gnu_debugdata={packed}", path, out)
    return out


def old_go_table(functions: list[tuple[str, int]], end: int, kind: str) -> bytes:
    """A .gopclntab of Go 1.2 or 1.16, which no Go at hand writes: only what names and addresses need."""
    magic = {"1.2": 0xFFFFFFFB, "1.16": 0xFFFFFFFA}[kind]
    head = pack("<IBBBBQ", magic, 0, 0, 1, 8, len(functions))
    names, name_at = b"", []
    for name, _ in functions:
        name_at.append(len(names))
        names += name.encode() + b"\0"
    width = 16 * len(functions) + 8
    if kind == "1.2":
        records, rows = b"", b""
        first = len(head) + width + 8
        strings = first + 16 * len(functions)
        for (_, pc), at in zip(functions, name_at, strict=True):
            rows += pack("<QQ", pc, first + len(records))
            records += pack("<Qii", pc, strings + at, 0)
        return head + rows + pack("<QQ", end, 0) + records + names
    head_bytes = 8 + 7 * 8
    table_at = head_bytes + len(names)
    records, rows = b"", b""
    for (_, pc), at in zip(functions, name_at, strict=True):
        rows += pack("<QQ", pc, width + len(records))
        records += pack("<Qii", pc, at, 0)
    head = pack("<IBBBB7Q", magic, 0, 0, 1, 8, len(functions), 0, head_bytes, 0, 0, 0, table_at)
    return head + names + rows + pack("<Q", end) + records
