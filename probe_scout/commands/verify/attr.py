"""The bytes that bpf(2) and perf_event_open(2) are handed: union bpf_attr and struct perf_event_attr.

Layouts: include/uapi/linux/bpf.h and include/uapi/linux/perf_event.h. Pointers are 64 bits wide on every
architecture, and offsets are the same on all. What a kernel does not know must be zero (__sys_bpf: E2BIG), so each
attribute ends where the oldest kernel's does, or in zeros.
"""

from __future__ import annotations

import struct

# enum bpf_cmd
PROG_LOAD, OBJ_GET_INFO_BY_FD, RAW_TRACEPOINT_OPEN, BTF_GET_FD_BY_ID, BTF_GET_NEXT_ID, LINK_CREATE = (
    5,
    15,
    17,
    19,
    23,
    28,
)

# enum bpf_prog_type, by the name that model/attach.py uses
PROGRAMS = {"KPROBE": 2, "TRACEPOINT": 5, "RAW_TRACEPOINT": 17, "RAW_TRACEPOINT_WRITABLE": 24, "TRACING": 26, "LSM": 29}

# enum bpf_attach_type
ATTACH = {
    "": 0,
    "BPF_TRACE_RAW_TP": 23,
    "BPF_TRACE_FENTRY": 24,
    "BPF_TRACE_FEXIT": 25,
    "BPF_MODIFY_RETURN": 26,
    "BPF_LSM_MAC": 27,
    "BPF_TRACE_ITER": 28,
    "BPF_TRACE_KPROBE_MULTI": 42,
    "BPF_LSM_CGROUP": 43,
    "BPF_TRACE_KPROBE_SESSION": 56,
    "BPF_TRACE_FSESSION": 58,
    "BPF_TRACE_FENTRY_MULTI": 59,
    "BPF_TRACE_FEXIT_MULTI": 60,
    "BPF_TRACE_FSESSION_MULTI": 61,
}

# r0 = 0; exit. Every attach type takes it, and it changes nothing: 0 means "go on" to lsm and fmod_ret as well.
PROGRAM = bytes((0xB7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0))
INSTRUCTIONS = 2
LICENSE = b"GPL\0"
NAME = b"probe_scout"  # what bpftool shows, at most 15 bytes
SLEEPABLE = 1 << 4  # BPF_F_SLEEPABLE
KPROBE_MULTI_RETURN = 1
LOG_BYTES = 1 << 16

LOAD_BYTES = 120  # up to attach_prog_fd: all that 5.10 knows
LINK_BYTES = 48
RAW_BYTES = 16
ID_BYTES = 12
INFO_BYTES = 16
BTF_INFO_BYTES = 32

PERF_BYTES = 72  # PERF_ATTR_SIZE_VER1, the first with config2
PERF_TRACEPOINT = 2  # PERF_TYPE_TRACEPOINT
PERF_DISABLED = 1
PERF_FD_CLOEXEC = 8
KPROBE_RETURN = 1  # PERF_PROBE_CONFIG_IS_RETPROBE
_IOW_USUAL, _IOW_POWERPC = 0x40042408, 0x80042408


def prog_load(
    program: int,
    attach: int,
    *,
    instructions_at: int,
    license_at: int,
    log_at: int,
    is_sleepable: bool = False,
    btf_id: int = 0,
    btf_fd: int = 0,
) -> bytearray:
    """BPF_PROG_LOAD: two instructions, with the verifier's log. `btf_fd` 0 means vmlinux."""
    attr = bytearray(LOAD_BYTES)
    struct.pack_into("=IIQQIIQ", attr, 0, program, INSTRUCTIONS, instructions_at, license_at, 1, LOG_BYTES, log_at)
    struct.pack_into("=I", attr, 44, SLEEPABLE if is_sleepable else 0)
    attr[48 : 48 + len(NAME)] = NAME
    struct.pack_into("=I", attr, 68, attach)
    struct.pack_into("=II", attr, 108, btf_id, btf_fd)
    return attr


def raw_tracepoint_open(prog_fd: int, name_at: int = 0) -> bytearray:
    """BPF_RAW_TRACEPOINT_OPEN. Without a name it attaches to the program's own target: fentry, lsm, tp_btf."""
    return bytearray(struct.pack("=QII", name_at, prog_fd, 0))


def link_iter(prog_fd: int) -> bytearray:
    """BPF_LINK_CREATE of an iterator without parameters."""
    return _link(prog_fd, ATTACH["BPF_TRACE_ITER"])


def link_kprobe_multi(prog_fd: int, attach: int, flags: int, symbols_at: int) -> bytearray:
    """BPF_LINK_CREATE of kprobe.multi or kprobe.session for one symbol; `symbols_at` points to a pointer."""
    attr = _link(prog_fd, attach)
    struct.pack_into("=IIQ", attr, 16, flags, 1, symbols_at)
    return attr


def link_tracing_multi(prog_fd: int, attach: int, ids_at: int) -> bytearray:
    """BPF_LINK_CREATE of fentry.multi and its like for one BTF id."""
    attr = _link(prog_fd, attach)
    struct.pack_into("=Q", attr, 16, ids_at)
    struct.pack_into("=I", attr, 32, 1)
    return attr


def _link(prog_fd: int, attach: int) -> bytearray:
    attr = bytearray(LINK_BYTES)
    struct.pack_into("=III", attr, 0, prog_fd, 0, attach)
    return attr


def by_id(start_id: int) -> bytearray:
    """BPF_BTF_GET_NEXT_ID (the kernel writes next_id at 4) and BPF_BTF_GET_FD_BY_ID."""
    return bytearray(struct.pack("=III", start_id, 0, 0))


def info_by_fd(fd: int, info_at: int) -> bytearray:
    """BPF_OBJ_GET_INFO_BY_FD of a BTF object."""
    return bytearray(struct.pack("=IIQ", fd, BTF_INFO_BYTES, info_at))


def btf_info(name_at: int, name_bytes: int) -> bytes:
    """struct bpf_btf_info that asks for the name alone."""
    return struct.pack("=QIIQII", 0, 0, 0, name_at, name_bytes, 0)


def perf_kprobe(pmu: int, name_at: int, offset_bytes: int, is_return: bool) -> bytes:
    """A kprobe event by symbol. Opening it arms the kprobe; the program runs only once the event is enabled."""
    return _perf(pmu, KPROBE_RETURN if is_return else 0, 0, name_at, offset_bytes)


def perf_tracepoint(event_id: int) -> bytes:
    """A trace event, sampling, as BCC and bpftrace open it: events with a perf_perm callback refuse this form."""
    return _perf(PERF_TRACEPOINT, event_id, 1, 0, 0)


def _perf(kind: int, config: int, sample_period: int, config1: int, config2: int) -> bytes:
    return struct.pack(
        "=IIQQQQQIIQQ", kind, PERF_BYTES, config, sample_period, 0, 0, PERF_DISABLED, 0, 0, config1, config2
    )


def ioctl_set_bpf(machine: str) -> int:
    """PERF_EVENT_IOC_SET_BPF, _IOW('$', 8, __u32); powerpc and mips number the directions differently."""
    return _IOW_POWERPC if machine.startswith(("ppc", "mips")) else _IOW_USUAL
