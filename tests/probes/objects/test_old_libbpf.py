"""Objects that older libbpf refuses to open; what Debian's 1.1.2 and 1.5.0 said of like objects."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from probe_scout.formats.elf import bpf_object
from probe_scout.probes.objects import old_libbpf

HEAD = """
#define SEC(name) __attribute__((section(name), used))
char LICENSE[] SEC("license") = "GPL";
"""
ENUMERATOR = """
struct { int (*type)[33]; int (*map_flags)[1024]; int (*max_entries)[4]; enum { here = 1ull << 44 } map_extra; }
    arena SEC(".maps");
SEC("tc") int one(void *c) { return 0; }
"""
GLOBAL = """
int held SEC(".addr_space.1") = 1;
SEC("tc") int one(void *c) { return held++; }
"""
OPS = """
struct dummy_ops { int (*first)(void); int (*second)(void); };
SEC("struct_ops/first") int first(void *c) { return 0; }
SEC("%s") int second(void *c) { return 0; }
SEC(".struct_ops%s") struct dummy_ops ops = { (void *)first, (void *)second };
"""

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")


@pytest.mark.parametrize(
    ("source", "release", "errno"),
    [
        (ENUMERATOR, (1, 1), "EINVAL"),
        (ENUMERATOR, (1, 5), None),
        (GLOBAL, (1, 1), "RELOC"),
        (GLOBAL, (1, 5), None),
        (OPS % ("struct_ops.s/second", ""), (1, 1), "EINVAL"),
        (OPS % ("struct_ops.s/second", ""), (1, 5), None),
        # 1.1 has no .struct_ops.link, and so does not look at what it refers to.
        (OPS % ("struct_ops.s/second", ".link"), (1, 1), None),
        (OPS % ("tc", ""), (1, 8), "EINVAL"),
    ],
)
def test_what_a_release_refuses_at_open(tmp_path, source, release, errno):
    path = tmp_path / "x.bpf.o"
    command = ["clang", "-target", "bpf", "-O2", "-g", "-x", "c", "-", "-c", "-o", str(path)]
    subprocess.run(command, input=HEAD + source, text=True, check=True, capture_output=True)
    found = bpf_object.read(path.read_bytes())
    assert found.refusal is None
    refusal = old_libbpf.refusal(found, release)
    assert (refusal.errno if refusal else None) == errno
