"""Moving addresses: one kernel booted at two places gives the same snapshot, and nothing but addresses changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.commands.snapshot.relocate import KALLSYMS, LINES_FILES, MIXED_FILES, Move
from probe_scout.errors import NotThere
from probe_scout.sources import open_source
from tests.builders.damage import EXAMPLES

ADDRS = "sys/kernel/tracing/available_filter_functions_addrs"
BLACKLIST = "sys/kernel/debug/kprobes/blacklist"
KPROBES = "sys/kernel/debug/kprobes/list"
ENABLED = "sys/kernel/tracing/enabled_functions"
EVENTS = "sys/kernel/tracing/kprobe_events"
KERNELS = Path(__file__).parents[4] / "shared/kernels"


def booted(slide: int = 0, modules: int = 0, memory: int = 0) -> dict[str, bytes]:
    """The files of one small x86_64 kernel whose image, modules and memory were moved by KASLR."""

    def image(offset: int) -> str:
        return f"{0xFFFFFFFF81000000 + slide + offset:016x}"

    def module(offset: int) -> str:
        return f"{0xFFFFFFFFC0201000 + modules + offset:016x}"

    def direct(offset: int) -> str:
        return f"{0xFFFF888000000000 + memory + offset:016x}"

    files = {
        KALLSYMS: (
            "0000000000000000 A fixed_percpu_data\n0000000000039000 A __per_cpu_end\n"
            f"{image(0)} T _stext\n{image(0)} T _text\n{image(0x1230)} T vfs_read\n{image(0x1200)} t deadbeefdeadbeef\n"
            f"{image(0x2C30000)} B _end\n0000000000039000 d late_percpu\t[xfs]\n"
            f"{module(0x10)} t xfs_read\t[xfs]\n{module(0x9000)} t ftrace_trampoline\t[__builtin__ftrace]\n"
        ),
        ADDRS: f"{image(0x1234)} vfs_read\n{module(0x14)} xfs_read [xfs]\n",
        "proc/modules": f"xfs 2600960 0 - Live 0x{module(0)}\n",
        BLACKLIST: f"0x{image(0x1200)}-0x{image(0x1230)}\tdeadbeefdeadbeef\n",
        KPROBES: f"{image(0x1234)}  k  vfs_read+0x4    [DISABLED][FTRACE]\n",
        ENABLED: f"vfs_read (1) R\ttramp: 0x{module(0xA000)} (f+0x0/0x10) ->0x{direct(0x7040)} ->0x{direct(0x8040)}\n",
        EVENTS: f"p:kprobes/p1 0x{image(0x1234)} a=@0x{direct(0x9000)}:u64 b=$arg1:x32\n",
    }
    return {path: text.encode() for path, text in files.items()}


def moved(files: dict[str, bytes], arch: str = "x86_64") -> dict[str, bytes]:
    move = Move(files, arch)
    return {path: move.apply(path, raw) for path, raw in files.items()}


def test_the_kernel_lands_at_fixed_places():
    found = moved(booted(0x1A600000, 0x1F3000, 0x123400000000))
    assert found[KALLSYMS].decode().splitlines() == [
        "0000000000000000 A fixed_percpu_data",
        "0000000000039000 A __per_cpu_end",
        "ffffffff81000000 T _stext",
        "ffffffff81000000 T _text",
        "ffffffff81001230 T vfs_read",
        "ffffffff81001200 t deadbeefdeadbeef",
        "ffffffff83c30000 B _end",
        "0000000000039000 d late_percpu\t[xfs]",
        "ffffffffc0000010 t xfs_read\t[xfs]",
        "ffffffffc0009000 t ftrace_trampoline\t[__builtin__ftrace]",
    ]
    assert found[ADDRS] == b"ffffffff81001234 vfs_read\nffffffffc0000014 xfs_read [xfs]\n"
    assert found["proc/modules"] == b"xfs 2600960 0 - Live 0xffffffffc0000000\n"
    assert found[BLACKLIST] == b"0xffffffff81001200-0xffffffff81001230\tdeadbeefdeadbeef\n"
    assert found[KPROBES] == b"ffffffff81001234  k  vfs_read+0x4    [DISABLED][FTRACE]\n"
    assert found[ENABLED].startswith(b"vfs_read (1) R\ttramp: 0xffffffffc000a000 (f+0x0/0x10) ->0xffff88000000")
    assert found[EVENTS].startswith(b"p:kprobes/p1 0xffffffff81001234 a=@0xffff88000000")


# 470 steps of 2 MiB: the image stays below KERNEL_IMAGE_SIZE (arch/x86/boot/compressed/kaslr.c, find_random_virt_addr).
@pytest.mark.property
@EXAMPLES
@given(st.integers(0, 470), st.integers(0, 0x3000), st.integers(0, 1 << 16))
def test_where_kaslr_put_the_kernel_cannot_be_seen(slide, modules, memory):
    assert moved(booted(slide << 21, modules << 12, memory << 30)) == moved(booted())


def test_moving_again_changes_nothing():
    once = moved(booted(0x200000, 0x5000, 1 << 40))
    assert moved(once) == once


def test_hidden_addresses_stay_hidden():
    zeros = {KALLSYMS: re.sub(rb"^\w{16}", b"0" * 16, booted()[KALLSYMS], flags=re.M)}
    assert Move(zeros, "x86_64").is_hidden
    assert moved(zeros) == zeros
    assert not Move(booted(), "x86_64").is_hidden
    assert not Move({}, "x86_64").is_hidden


def test_addresses_of_ftrace_sites_are_moved_though_kallsyms_hides_its_own():
    zeros = re.sub(rb"^\w{16}", b"0" * 16, booted()[KALLSYMS], flags=re.M)
    results = [moved({KALLSYMS: zeros, ADDRS: booted(s << 21, m << 12)[ADDRS]})[ADDRS] for s, m in ((0, 0), (77, 99))]
    assert results[0] == results[1] == b"ffffffff81001234 vfs_read\nffffffffc0000014 xfs_read [xfs]\n"


def test_a_page_offset_of_stext_is_kept():
    symbols = b"ffffffff92a00198 T _stext\nffffffff92a00200 T f\n"
    assert moved({KALLSYMS: symbols})[KALLSYMS] == b"ffffffff81000198 T _stext\nffffffff81000200 T f\n"


def test_modules_below_the_kernel_stay_below_it():
    symbols = (
        b"ffffa30e7c010008 t m1\t[m]\nffffa30e7c020008 t m2\t[m]\nffffa30e80010000 T _stext\nffffa30e80020000 T f\n"
    )
    assert moved({KALLSYMS: symbols}, "aarch64")[KALLSYMS].decode().splitlines() == [
        "ffff800000000008 t m1\t[m]",
        "ffff800000010008 t m2\t[m]",
        "ffff800080010000 T _stext",
        "ffff800080020000 T f",
    ]


def test_a_32_bit_kernel_is_told_apart():
    move = Move({KALLSYMS: b"c0100000 T _stext\n"}, "i686")
    assert move.is_narrow


@pytest.mark.parametrize(
    "raw", [b"", b"\n", b"garbage", b"ffffffff81000000", b"\xff" * 99, b"ffffffffffffffff T _stext\n"]
)
def test_what_is_no_list_of_symbols_does_no_harm(raw):
    files = {KALLSYMS: raw, "proc/modules": b"x 0xffffffffffffffff 0x8000000000000000\n"}
    found = moved(files)
    assert len(found["proc/modules"]) == len(files["proc/modules"])


@pytest.mark.parametrize("version", ["5.10", "7.3"])
def test_a_real_kernel_keeps_its_order_and_distances(version):
    archive = KERNELS / f"debian-{version}.tar.xz"
    if not archive.exists():
        pytest.skip(f"{archive.name} is not here")
    source = open_source(str(archive))
    files = {}
    for path in (*LINES_FILES, *MIXED_FILES):
        try:
            files[path] = source.read(path)
        except NotThere:
            continue
    assert {KALLSYMS, "proc/modules", BLACKLIST} <= files.keys()
    found = moved(files)
    before, after = ([int(line[:16], 16) for line in f[KALLSYMS].splitlines()] for f in (files, found))
    assert [line[16:] for line in files[KALLSYMS].splitlines()] == [line[16:] for line in found[KALLSYMS].splitlines()]
    steps = {new - old for old, new in zip(before, after, strict=True)}
    assert len(steps) == 2, "the image is at its place already, the modules move by one constant"
    assert sorted(range(len(before)), key=before.__getitem__) == sorted(range(len(after)), key=after.__getitem__)
