"""What attach types and what is loaded together decide; the answers are those of libbpf 1.8 on booted kernels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import probe_scout

ROOT = Path(__file__).resolve().parents[3]
SOURCE = """
#define SEC(name) __attribute__((section(name), used))
static int (*get_retval)(void) = (void *)186;
static long (*getsockopt)(void *c, int l, int n, void *v, int s) = (void *)57;
static long (*setsockopt)(void *c, int l, int n, void *v, int s) = (void *)49;
SEC("cgroup/dev") int retval_dev(void *c) { return get_retval() == 0; }
SEC("cgroup/recvmsg4") int retval_recvmsg(void *c) { return get_retval() == 0; }
SEC("cgroup/setsockopt") int option_in_set(void *c) { int v = 0; getsockopt(c, 1, 2, &v, 4); return 1; }
SEC("cgroup/getsockopt") int option_in_get(void *c) { int v = 0; getsockopt(c, 1, 2, &v, 4); return 1; }
SEC("cgroup/bind4") int option_in_bind(void *c) { int v = 0; setsockopt(c, 1, 2, &v, 4); return 1; }
SEC("sk_reuseport") int reuseport(void *c) { return 1; }
SEC("kprobe.multi/") int nothing_named(void *c) { return 0; }
__attribute__((noinline)) int pointed(int *p) { return p ? *p : 0; }
SEC("socket") int with_pointer(void *c) { int v = 1; return pointed(&v); }
SEC("iter/bpf_map_elem") int of_one_map(void *c) { return 0; }
char LICENSE[] SEC("license") = "GPL";
"""
SLOTS = """
#define SEC(name) __attribute__((section(name), used))
SEC("tc") int target(void *c) { return 0; }
SEC("tc") int other(void *c) { return 1; }
struct { int (*type)[3]; int (*max_entries)[1]; int *key; int (*values[])(void *); } table SEC(".maps") = {
    .values = { [0] = (void *)&target } };
char LICENSE[] SEC("license") = "GPL";
"""
ANSWERS = {
    "6.12.107": {
        "retval_dev": "yes",
        "retval_recvmsg": "load EINVAL",
        "option_in_set": "yes",
        "option_in_get": "load EINVAL",
        "option_in_bind": "yes",
        "reuseport": "yes",
        "with_pointer": "yes",
        "nothing_named": "attach EINVAL",
        "of_one_map": "attach EBADF",
    },
    "5.10.223": {"option_in_bind": "load EINVAL", "reuseport": "yes", "with_pointer": "load EINVAL"},
}

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")


def compiled(folder: Path, source: str) -> str:
    path = folder / "x.bpf.o"
    command = ["clang", "-target", "bpf", "-O2", "-g", "-x", "c", "-", "-c", "-o", str(path)]
    if subprocess.run(command, input=source, text=True, capture_output=True).returncode:
        pytest.skip("this clang does not compile for BPF")
    return str(path)


def said(program) -> str:
    return program.answer if program.answer == "yes" else f"{program.stage} {program.errno}"


@pytest.mark.parametrize("kernel", ANSWERS)
def test_helpers_and_attach_types(tmp_path, kernel):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / f"debian-{kernel}-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, SOURCE)).objects
    answers = {program.name: said(program) for program in found.kernels[0].programs}
    assert {name: answers[name] for name in ANSWERS[kernel]} == ANSWERS[kernel]


def test_a_program_array_needs_the_programs_it_names(tmp_path):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"))
    (found,) = opened.lint(compiled(tmp_path, SLOTS)).objects
    answers = {program.name: said(program) for program in found.kernels[0].programs}
    assert answers == {"target": "yes", "other": "load EBADF"}
    assert found.kernels[0].object.answer == "yes"
