"""Attributes are laid out as the C headers say: offsets, sizes and numbers by a C program, values by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess

import pytest

from probe_scout.commands.verify import attr
from probe_scout.model.attach import ATTACH_TYPES

LOAD = attr.prog_load(
    26,
    24,
    instructions_at=0x1111,
    license_at=0x2222,
    log_at=0x3333,
    is_sleepable=True,
    btf_id=77,
    btf_fd=9,
)
# C expression of the offset -> (bytes of the attribute, width, value that was put there)
PLACES = {
    "offsetof(union bpf_attr, prog_type)": (LOAD, 4, 26),
    "offsetof(union bpf_attr, insn_cnt)": (LOAD, 4, 2),
    "offsetof(union bpf_attr, insns)": (LOAD, 8, 0x1111),
    "offsetof(union bpf_attr, license)": (LOAD, 8, 0x2222),
    "offsetof(union bpf_attr, log_level)": (LOAD, 4, 1),
    "offsetof(union bpf_attr, log_size)": (LOAD, 4, attr.LOG_BYTES),
    "offsetof(union bpf_attr, log_buf)": (LOAD, 8, 0x3333),
    "offsetof(union bpf_attr, prog_flags)": (LOAD, 4, attr.SLEEPABLE),
    "offsetof(union bpf_attr, expected_attach_type)": (LOAD, 4, 24),
    "offsetof(union bpf_attr, attach_btf_id)": (LOAD, 4, 77),
    "offsetof(union bpf_attr, attach_prog_fd)": (LOAD, 4, 9),
    "offsetof(union bpf_attr, raw_tracepoint.name)": (attr.raw_tracepoint_open(5, 0x44), 8, 0x44),
    "offsetof(union bpf_attr, raw_tracepoint.prog_fd)": (attr.raw_tracepoint_open(5, 0x44), 4, 5),
    "offsetof(union bpf_attr, link_create.prog_fd)": (attr.link_iter(6), 4, 6),
    "offsetof(union bpf_attr, link_create.attach_type)": (attr.link_iter(6), 4, 28),
    "offsetof(union bpf_attr, info.bpf_fd)": (attr.info_by_fd(7, 0x55), 4, 7),
    "offsetof(union bpf_attr, info.info_len)": (attr.info_by_fd(7, 0x55), 4, attr.BTF_INFO_BYTES),
    "offsetof(union bpf_attr, info.info)": (attr.info_by_fd(7, 0x55), 8, 0x55),
    "offsetof(union bpf_attr, start_id)": (attr.by_id(3), 4, 3),
    "offsetof(union bpf_attr, btf_id)": (attr.by_id(3), 4, 3),
    "offsetof(struct bpf_btf_info, name)": (attr.btf_info(0x66, 64), 8, 0x66),
    "offsetof(struct bpf_btf_info, name_len)": (attr.btf_info(0x66, 64), 4, 64),
    "offsetof(struct perf_event_attr, type)": (attr.perf_kprobe(8, 0x77, 16, True), 4, 8),
    "offsetof(struct perf_event_attr, size)": (attr.perf_kprobe(8, 0x77, 16, True), 4, 72),
    "offsetof(struct perf_event_attr, config)": (attr.perf_kprobe(8, 0x77, 16, True), 8, 1),
    "offsetof(struct perf_event_attr, sample_period)": (attr.perf_tracepoint(316), 8, 1),
    "offsetof(struct perf_event_attr, read_format) + 8": (attr.perf_tracepoint(316), 8, 1),  # the bit `disabled`
    "offsetof(struct perf_event_attr, config1)": (attr.perf_kprobe(8, 0x77, 16, True), 8, 0x77),
    "offsetof(struct perf_event_attr, config2)": (attr.perf_kprobe(8, 0x77, 16, True), 8, 16),
}
MULTI = attr.link_kprobe_multi(6, 42, 1, 0x88)
NEWER = {  # only where the compiler's headers know them
    "offsetof(union bpf_attr, link_create.kprobe_multi.flags)": (MULTI, 4, 1),
    "offsetof(union bpf_attr, link_create.kprobe_multi.cnt)": (MULTI, 4, 1),
    "offsetof(union bpf_attr, link_create.kprobe_multi.syms)": (MULTI, 8, 0x88),
}
NUMBERS = {
    "BPF_PROG_LOAD": attr.PROG_LOAD,
    "BPF_OBJ_GET_INFO_BY_FD": attr.OBJ_GET_INFO_BY_FD,
    "BPF_RAW_TRACEPOINT_OPEN": attr.RAW_TRACEPOINT_OPEN,
    "BPF_BTF_GET_FD_BY_ID": attr.BTF_GET_FD_BY_ID,
    "BPF_BTF_GET_NEXT_ID": attr.BTF_GET_NEXT_ID,
    "BPF_LINK_CREATE": attr.LINK_CREATE,
    "BPF_F_SLEEPABLE": attr.SLEEPABLE,
    "PERF_TYPE_TRACEPOINT": attr.PERF_TRACEPOINT,
    "PERF_ATTR_SIZE_VER1": attr.PERF_BYTES,
    "PERF_FLAG_FD_CLOEXEC": attr.PERF_FD_CLOEXEC,
    "PERF_EVENT_IOC_SET_BPF": attr.ioctl_set_bpf("x86_64"),
    "offsetof(struct bpf_btf_info, kernel_btf)": 28,
    "sizeof(struct bpf_btf_info)": attr.BTF_INFO_BYTES,
    "BPF_TRACE_ITER": 28,
    **{f"BPF_PROG_TYPE_{name}": number for name, number in attr.PROGRAMS.items()},
    **{name: attr.ATTACH[name] for name in ("BPF_TRACE_FENTRY", "BPF_TRACE_FEXIT", "BPF_MODIFY_RETURN", "BPF_LSM_MAC")},
}
HEADERS = (
    "#include <stddef.h>\n#include <stdio.h>\n#include <linux/bpf.h>\n#include <linux/perf_event.h>\n"
    "#include <sys/ioctl.h>\n"
)


def compiled(tmp_path, expressions):
    """The value of each C expression on this machine."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here: the C headers cannot be asked for the offsets")
    prints = "".join(f'printf("%llu\\n", (unsigned long long)({text}));\n' for text in expressions)
    source = tmp_path / "offsets.c"
    source.write_text(f"{HEADERS}int main(void)\n{{\n{prints}return 0;\n}}\n")
    done = subprocess.run([compiler, "-o", tmp_path / "offsets", source], capture_output=True, text=True)
    if "linux/bpf.h" in done.stderr and "No such file" in done.stderr:
        pytest.skip("no kernel headers here: linux/bpf.h is not there")
    if done.returncode:
        return None
    out = subprocess.run([tmp_path / "offsets"], capture_output=True, text=True, check=True).stdout
    return dict(zip(expressions, map(int, out.split()), strict=True))


def value(raw, offset, width):
    return struct.unpack_from("=I" if width == 4 else "=Q", raw, offset)[0]


def test_every_value_is_where_the_headers_say(tmp_path):
    offsets = compiled(tmp_path, list(PLACES))
    assert offsets is not None
    found = {text: value(raw, offsets[text], width) for text, (raw, width, _) in PLACES.items()}
    assert found == {text: wanted for text, (_, _, wanted) in PLACES.items()}


def test_values_that_only_newer_headers_know(tmp_path):
    offsets = compiled(tmp_path, list(NEWER))
    if offsets is None:
        pytest.skip("the kernel headers here are older than kprobe.multi")
    found = {text: value(raw, offsets[text], width) for text, (raw, width, _) in NEWER.items()}
    assert found == {text: wanted for text, (_, _, wanted) in NEWER.items()}


def test_numbers_are_those_of_the_headers(tmp_path):
    assert compiled(tmp_path, list(NUMBERS)) == NUMBERS


def test_by_hand_where_no_header_is():
    """The same, without a compiler: offsets from include/uapi/linux/bpf.h."""
    assert (len(LOAD), value(LOAD, 108, 4), value(LOAD, 112, 4), value(LOAD, 68, 4)) == (120, 77, 9, 24)
    assert LOAD[48:64] == b"probe_scout\0\0\0\0\0"
    tracing = attr.link_tracing_multi(6, 59, 0x99)
    assert (value(tracing, 0, 4), value(tracing, 8, 4), value(tracing, 16, 8), value(tracing, 32, 4)) == (
        6,
        59,
        0x99,
        1,
    )
    assert len(attr.perf_tracepoint(1)) == 72


def test_nothing_else_is_set():
    """What a kernel does not know must be zero, or it answers E2BIG or EINVAL."""
    bare = attr.prog_load(2, 0, instructions_at=0, license_at=0, log_at=0)
    used = {0, 4, 24, 28, 28 + 2, *range(48, 48 + 11)}
    assert {place for place, byte in enumerate(bare) if byte} <= used


def test_every_attach_type_has_its_numbers():
    kinds = [kind for kind in ATTACH_TYPES.values() if not kind.by.startswith("uprobe")]  # not asked by verify
    assert {kind.program for kind in kinds} == set(attr.PROGRAMS)
    assert {kind.enumerator for kind in kinds} == set(attr.ATTACH)


def test_the_program_returns_zero():
    assert attr.PROGRAM.hex() == "b700000000000000" + "9500000000000000"
