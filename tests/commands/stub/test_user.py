"""Stubs of user functions and USDT probes: they compile in every language and read the right registers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from probe_scout.errors import NoStub, UsageError
from probe_scout.frontends.session import open_kernel
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

from .conftest import tool

C = r"""
struct P { int x, y; }; struct L { long a[4]; };
__attribute__((noinline)) int plain(int a, const char *name, unsigned long n) { return a + name[0] + (int)n; }
__attribute__((noinline)) struct P mixed(double d, struct P p, float f, struct L l, short s,
 long g, long h, long i, long j)
{ p.x += (int)d + s; return p; }
__attribute__((noinline)) double gives(int type) { return type; }
__attribute__((noinline)) struct L large(int a) { struct L l = {{a}}; return l; }
__attribute__((noinline)) void nothing(void) { __asm__ volatile(""); }
__attribute__((naked)) void stores(void) { __asm__("vmovdqu %ymm0,(%rsp)\n ret"); }
int main(void) { return 0; }
"""
GO = """package main
type T struct { a int; b string }
//go:noinline
func (t *T) m(x int, s []byte) (int, error) { if x > 3 { return x, nil }; return x + len(s), nil }
func main() { t := &T{}; println(t.m(1, nil)) }
"""
# What a program needs of the kernel's types, with the kernel's names of registers.
VMLINUX = """#ifndef __VMLINUX_H__
#define __VMLINUX_H__
#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>
struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags,
 sp, ss; };
#endif
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    write_tree(folder, tiny_files(symbols=("foo",)))
    (folder / "app").mkdir()
    programs.compiled(folder / "app", "c", C)
    programs.compiled(folder / "app", "traced", programs.USDT)
    programs.go_program(folder / "app", source=GO)
    (folder / "vmlinux.h").write_text(VMLINUX)
    return folder


@pytest.fixture
def kernel(root):
    return open_kernel(str(root))


def compiled(root: Path, source: str) -> str:
    """The assembly of a program for libbpf, by clang for BPF; fails where it does not compile."""
    if not Path("/usr/include/bpf/usdt.bpf.h").exists():
        pytest.skip("needs the headers of libbpf")
    path = root / "stub.bpf.c"
    path.write_text(source)
    words = ("-target", "bpf", "-D__TARGET_ARCH_x86", "-I", str(root), "-I/usr/include/x86_64-linux-gnu")
    programs.run(tool("clang"), "-g", "-O2", "-Wall", "-Werror", *words, "-c", path, "-o", root / "stub.bpf.o")
    return programs.run("readelf", "-SW", root / "stub.bpf.o")


NAMES = ("/app/c:plain", "/app/c:mixed", "/app/c:gives", "/app/c:nothing", "/app/goprogram:main.(*T).m")


@pytest.mark.parametrize("attach", ["uprobe", "uretprobe"])
def test_c_for_libbpf_compiles_with_the_section_of_each_place(root, kernel, attach):
    names = NAMES if attach == "uprobe" else (*NAMES, "/app/c:large")
    report = kernel.stub(names, attach=attach)
    sections = compiled(root, report.text)
    assert f"{attach}//app/c:plain" in sections
    assert re.search(r"uprobe//app/goprogram:main\.\(\*T\)\.m" + (r"\+0x" if attach == "uretprobe" else ""), sections)


def test_arguments_in_order_use_the_macro_and_others_are_read_by_register(kernel):
    text = kernel.stub("/app/c:plain").text
    assert "BPF_UPROBE(on_uprobe_plain, int a, char *name, unsigned long n)" in text
    mixed = kernel.stub("/app/c:mixed").text
    assert "int BPF_UPROBE" not in mixed
    assert "/* double d: in xmm0: struct pt_regs has no vector registers */" in mixed
    assert "__u64 p[1] = { PT_REGS_PARM1(ctx) };" in mixed
    assert "bpf_probe_read_user(l, 32, (const void *)(PT_REGS_SP(ctx) + 8))" in mixed
    assert "short s = (short)PT_REGS_PARM2(ctx);" in mixed


def test_returns_of_every_kind(kernel):
    assert "BPF_URETPROBE(on_uretprobe_plain, int ret)" in kernel.stub("/app/c:plain", attach="uretprobe").text
    gives = kernel.stub("/app/c:gives", attach="uretprobe").text
    assert "xmm0: struct pt_regs has no vector registers" in gives
    assert "void *ret" in kernel.stub("/app/c:large", attach="uretprobe").text


def test_go_gets_no_return_probe_but_its_ret_instructions(kernel):
    report = kernel.stub("/app/goprogram:main.(*T).m", attach="uretprobe")
    (report_of,) = kernel.check(["/app/goprogram:main.(*T).m"], ["uretprobe"]).targets
    offsets = report_of.place.return_offsets
    assert len(offsets) >= 2
    start = report_of.place.sites[0].offset
    assert report.stubs[0].attach == "uprobe"
    assert [section.rpartition("+")[2] for section in report.stubs[0].sites] == [f"{at - start:#x}" for at in offsets]
    assert 'SEC("uretprobe' not in report.text
    assert "ctx->ax" in report.text


@pytest.mark.parametrize("language", ["rust", "go", "python"])
def test_the_other_languages_compile(kernel, compilers, language):
    for attach, names in (
        ("uprobe", ("/app/c:plain", "/app/c:mixed", "/app/goprogram:main.(*T).m")),
        ("uretprobe", ("/app/c:plain", "/app/c:gives", "/app/goprogram:main.(*T).m")),
        ("usdt", ("usdt:/app/traced:prov:*",)),
    ):
        text = kernel.stub(names, lang=language, attach=attach).text
        assert compilers.said(language, text) == ""
    assert "/app/traced:prov:plain" in text


def test_a_whole_program_without_headers_compiles_and_reads_user_memory(kernel, compilers):
    text = kernel.stub(("/app/c:plain", "/app/c:mixed"), program=True).text
    assert compilers.said("c", text) == ""
    assert "probe_scout_read_user(" in text
    assert "probe_scout_read_kernel(&word" not in text


def test_usdt_arguments_by_libbpf_and_by_register(root, kernel):
    report = kernel.stub("usdt:/app/traced:prov:*")
    assert "usdt//app/traced:prov:plain" in compiled(root, report.text)
    assert "bpf_usdt_arg(ctx, 1, &arg1_word);" in report.text
    assert "ref_ctr_offset 0x" in report.text, "the guarded probe has a semaphore"
    plain = [stub for stub in report.stubs if ":plain" in stub.target]
    assert len(plain) == 2, "two sites with their arguments in different places"
    assert any(place.says == "the constant 5" for stub in plain for place in stub.where)


def test_bpftrace_names_registers_where_the_convention_is_another(kernel):
    text = kernel.stub(("/app/c:plain", "/app/goprogram:main.(*T).m"), lang="bpftrace").text
    assert "uprobe:/app/c:plain" in text
    assert "(int32)arg0" in text
    assert 'reg("ax")' in text
    assert 'uprobe:/app/goprogram:"main.(*T).m"' in text


def test_what_has_no_right_stub_says_why(kernel):
    with pytest.raises(NoStub, match="misreads the AVX"):
        kernel.stub("/app/c:stores")
    with pytest.raises(NoStub, match="no function plane"):
        kernel.stub("/app/c:plane")
    with pytest.raises(UsageError, match="kernel apart"):
        kernel.stub(("/app/c:plain", "vfs_read"))
    with pytest.raises(UsageError, match="--attach uprobe"):
        kernel.stub("/app/c:plain", attach="fentry")
    with pytest.raises(UsageError, match="name of a function"):
        kernel.stub("/app/c:0x1000")


def test_without_debug_information_the_registers_are_left_and_it_is_said(root, kernel):
    path = programs.compiled(root / "app", "bare", programs.PROGRAM, "-rdynamic")
    programs.stripped(path)
    report = kernel.stub("/app/bare.stripped:work")
    assert report.stubs[0].arguments == ()
    assert any("not known" in note for note in report.notes)
    compiled(root, report.text)
