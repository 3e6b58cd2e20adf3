"""Stubs of a booted arm64 kernel: registers as the macros of libbpf read them with __TARGET_ARCH_arm64."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from probe_scout.commands import stub
from probe_scout.kernel.kernel import Kernel
from probe_scout.sources import open_source
from tests.conftest import ROOT

from .conftest import tool

KERNEL = ROOT / "fixtures" / "arm64" / "kernels" / "debian-6.1.176-arm64.tar.xz"
# include/uapi of arm64, asm/ptrace.h; each register holds its number, and a hundred.
HARNESS = """
#include <stdio.h>
#include <linux/types.h>
struct user_pt_regs { __u64 regs[31]; __u64 sp; __u64 pc; __u64 pstate; };
#include <bpf/bpf_tracing.h>
int main(void)
{
	struct user_pt_regs all;
	for (int n = 0; n < 34; n++)
		((__u64 *)&all)[n] = 100 + n;
	const void *ctx = &all;
	%s
	return 0;
}
"""
SAME = 'if ((__u64)(%s) != (__u64)(%s)) { puts("%s"); return 1; }'
PARAMETERS = ("file", "buf", "count", "pos")


@pytest.fixture(scope="module")
def kernel():
    return Kernel(open_source(str(KERNEL)))


@pytest.fixture
def build(tmp_path):
    """Compiles text with libbpf's headers for arm64; returns the program."""
    if not Path("/usr/include/bpf/bpf_tracing.h").exists():
        pytest.skip("libbpf's headers are not installed")

    def made(text, *words):
        (tmp_path / "one.c").write_text(text)
        out = tmp_path / "one"
        command = [tool("clang"), "-g", "-O2", "-D__TARGET_ARCH_arm64", *words, "-o", str(out), str(tmp_path / "one.c")]
        subprocess.run(command, check=True, capture_output=True)
        return out

    return made


def test_arguments_and_result_are_where_libbpf_reads_them(kernel, build):
    source = stub.report(kernel, ["vfs_read"], "c", "kprobe").text
    source += stub.report(kernel, ["vfs_read"], "c", "kretprobe").text
    checks = [
        SAME % (f"kprobe_vfs_read__{name}(ctx)", f"PT_REGS_PARM{n}((struct user_pt_regs *)ctx)", name)
        for n, name in enumerate(PARAMETERS, 1)
    ]
    checks.append(SAME % ("kretprobe_vfs_read__ret(ctx)", "PT_REGS_RC((struct user_pt_regs *)ctx)", "ret"))
    for ours, theirs in (("pc", "IP"), ("sp", "SP")):
        said = f"((const struct probe_scout_regs_aarch64 *)ctx)->{ours}"
        checks.append(SAME % (said, f"PT_REGS_{theirs}((struct user_pt_regs *)ctx)", ours))
    program = build(source + HARNESS % "\n\t".join(checks))
    assert subprocess.run([program], capture_output=True, text=True, check=False).stdout == ""


@pytest.mark.parametrize("attach", ["kprobe", "kretprobe"])
def test_a_whole_program_compiles_for_arm64(kernel, build, attach):
    source = stub.report(kernel, ["vfs_read"], "c", attach, program=True).text
    assert build(source, "-c", "-target", "bpf").read_bytes()[:4] == b"\x7fELF"
