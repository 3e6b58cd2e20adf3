"""Big-endian objects: clang's two outputs of one source read alike."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

import probe_scout
from probe_scout.errors import Malformed
from probe_scout.formats.elf import bpf_object, byte_order, embedded

ROOT = Path(__file__).resolve().parents[3]
SOURCE = """
#define SEC(name) __attribute__((section(name), used))
static void *(*lookup)(void *m, const void *k) = (void *)1;
struct { int (*type)[1]; int (*max_entries)[7]; unsigned *key; long long *value; } table SEC(".maps");
extern int LINUX_KERNEL_VERSION SEC(".kconfig");
struct task_struct { int pid; char *stack; } __attribute__((preserve_access_index));
static __attribute__((noinline)) long looked(long k) { unsigned key = k; return lookup(&table, &key) ? 2 : 1; }
SEC("kprobe/vfs_read") int one(void *c) { return looked(LINUX_KERNEL_VERSION + 4); }
SEC("tp_btf/sched_switch") int two(unsigned long long *c) { return ((struct task_struct *)c[1])->pid; }
char LICENSE[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[bytes, bytes]:
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    found = []
    for target in ("bpfel", "bpfeb"):
        path = tmp_path_factory.mktemp(target) / "x.bpf.o"
        command = ["clang", "-target", target, "-O2", "-g", "-x", "c", "-", "-c", "-o", str(path)]
        subprocess.run(command, input=SOURCE, text=True, check=True, capture_output=True)
        found.append(path.read_bytes())
    return found[0], found[1]


def test_one_source_reads_alike_in_both_orders(both):
    little, big = (bpf_object.read(raw) for raw in both)
    assert (little.is_big_endian, big.is_big_endian) == (False, True)
    for name in ("license", "programs", "maps", "externs", "references", "core", "func_infos", "functions", "refusal"):
        assert getattr(little, name) == getattr(big, name), name
    code = [index for index, section in enumerate(little.sections) if section.flags & 4]
    assert code
    for index in code:
        assert little.sections[index].data == big.sections[index].data


def test_no_machine_loads_an_object_of_the_other_order(both, tmp_path):
    path = tmp_path / "x.bpf.o"
    path.write_bytes(both[1])
    kernel = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"))
    for release, stage in (("1.8", "load"), ("1.5", "load"), ("1.1", "open")):
        (row,) = kernel.lint(str(path), libbpf=release).objects[0].kernels
        assert {(p.answer, p.stage, p.errno) for p in (row.object, *row.programs)} == {("no", stage, "ENDIAN")}
        assert [p.name for p in row.programs] == ["one", "two"]


def test_cut_off_and_overlapping_big_endian_objects_are_one_sentence(both):
    for end in range(0, len(both[1]), 97):
        with pytest.raises(Malformed):
            bpf_object.read(both[1][:end])
    raw = bytearray(both[1])
    (table,) = struct.unpack_from(">Q", raw, 40)
    (count,) = struct.unpack_from(">H", raw, 60)
    for number in range(1, count):
        struct.pack_into(">QQ", raw, table + number * 64 + 24, 0, len(raw))
    with pytest.raises(Malformed):
        bpf_object.read(bytes(raw))
    byte_order.as_little(bytes(raw))


def test_sections_that_share_their_bytes_cost_no_memory():
    """A file of 65,000 section headers, each as large as the whole file."""
    count = 65_000
    size = 64 + count * 64
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 1, 247, 1, 0, 0, 64, 0, 64, 0, 0, 64, count, 1)
    )
    with pytest.raises(Malformed, match="share their bytes"):
        bpf_object.read(head + struct.pack("<IIQQQQIIQQ", 0, 1, 0, 0, 0, size, 0, 0, 1, 0) * count)


def test_both_are_found_inside_other_bytes(both):
    little, big = both
    inside = list(embedded.find(b"some text" + big + b"\x7fELF\x02\x03" + little + big))
    assert [found.raw for found in inside] == [big, little]
    assert embedded.is_object(big)
    assert not list(embedded.find(big[:-1]))
    assert not list(embedded.find(big[:6]))
