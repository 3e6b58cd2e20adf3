"""What libbpf refuses when it opens an object: sources compiled here, and what the installed bpftool says of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.elf import bpf_object

MAPS = """
#define SEC(name) __attribute__((section(name), used))
struct inner {{ int (*type)[2]; int (*max_entries)[1]; int *key; int *value; {inner} }};
struct {{ int (*type)[12]; int (*max_entries)[1]; int *key; struct inner *values[]; }} outer SEC(".maps");
struct {{ int (*type)[1]; int (*max_entries)[1]; int *key; int *value; int (*pinning)[{pinning}]; }} m SEC(".maps");
SEC("tc") int p(void *c) {{ return 0; }}
char LICENSE[] SEC("license") = "GPL";
"""
EXTERN = """
#define SEC(name) __attribute__((section(name), used))
extern int nowhere(int a);
SEC("tc") int p(void *c) { return nowhere(1); }
char LICENSE[] SEC("license") = "GPL";
"""
CASES = [
    (MAPS.format(inner="", pinning=1), True, None),
    (MAPS.format(inner="", pinning=2), True, "EINVAL"),
    (MAPS.format(inner="int (*pinning)[1];", pinning=0), True, "EINVAL"),
    (EXTERN, True, "ENOENT"),
    (EXTERN, False, "ESRCH"),
]


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
@pytest.mark.parametrize(("source", "with_types", "errno"), CASES)
def test_an_object_opens_as_in_libbpf(tmp_path, source, with_types, errno):
    path = tmp_path / "x.o"
    command = ["clang", "-target", "bpf", "-O2", *(["-g"] if with_types else []), "-x", "c", "-", "-c", "-o", path]
    if subprocess.run(command, input=source, text=True, capture_output=True).returncode:
        pytest.skip("this clang does not compile for BPF")
    found = bpf_object.read(path.read_bytes(), "x.o")
    assert (found.refusal.errno if found.refusal else None) == errno
    if shutil.which("bpftool"):
        skeleton = subprocess.run(["bpftool", "gen", "skeleton", path], capture_output=True, text=True)
        assert (skeleton.returncode == 0) == (errno is None), skeleton.stderr


def test_section_headers_beyond_any_file_are_one_sentence():
    raw = bytearray((Path(__file__).parents[3] / "fixtures" / "objects" / "trie.bpf.o").read_bytes())
    raw[40:48] = b"\xff" * 8
    with pytest.raises(Malformed, match="section headers"):
        bpf_object.read(bytes(raw), "x.o")
