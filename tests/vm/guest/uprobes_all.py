"""In a guest (or as root on a machine): probes each function of the situations' program and counts what is seen.

    uprobes_all.py PROGRAM PLACE...

Prints one JSON line for each place and type (by perf_event_open, or by a link of a BPF program): the tool's report, the
kernel's errno with the program running, its errno with nobody running it, hits, exit code and signal of a run without
and with the probe. Needs probe_scout.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import struct
import subprocess
import sys
import time
from typing import Protocol

from probe_scout.frontends.session import open_kernel

UNIT = "/sys/bus/event_source/devices/uprobe/type"
NR = {"x86_64": 298, "aarch64": 241}[platform.machine()]
NR_BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
TYPES = ("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe.session")
CALL = ctypes.CDLL(None, use_errno=True).syscall
RUN_S = 10.0


class Probe(Protocol):
    """One attached probe; `error` is the errno, 0 where it is attached."""

    error: int

    def hits(self) -> int: ...

    def close(self) -> None: ...


class Uprobe:
    """One uprobe on every CPU by perf_event_open, for one process or (-1) all of them."""

    def __init__(self, path: str, offset: int, is_return: bool, pid: int = -1) -> None:
        self.path = ctypes.create_string_buffer(os.fsencode(path))
        self.fds: list[int] = []
        self.error = 0
        with open(UNIT) as handle:
            unit = int(handle.read())
        for cpu in range(os.cpu_count() or 1):
            attr = (ctypes.c_uint64 * 16)()
            attr[0], attr[1] = unit | 128 << 32, int(is_return)  # type, size; config
            attr[7], attr[8] = ctypes.addressof(self.path), ctypes.c_uint64(offset).value  # uprobe_path, probe_offset
            fd = CALL(NR, ctypes.byref(attr), pid, cpu, -1, 8)
            if fd < 0:
                self.error = ctypes.get_errno()
                break
            self.fds.append(fd)

    def hits(self) -> int:
        return sum(int.from_bytes(os.read(fd, 8), "little") for fd in self.fds)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


# enum bpf_cmd, bpf_map_type, bpf_prog_type and bpf_attach_type of include/uapi/linux/bpf.h
_MAP_CREATE, _MAP_LOOKUP, _PROG_LOAD, _LINK_CREATE = 0, 1, 5, 28
_ARRAY, _KPROBE, _UPROBE_MULTI, _UPROBE_SESSION = 2, 2, 48, 57


def bpf(command: int, attr: bytes) -> tuple[int, int]:
    """(result, errno) of one bpf(2)."""
    room = ctypes.create_string_buffer(attr, max(len(attr), 128))
    result = CALL(NR_BPF, command, room, len(room))
    return result, ctypes.get_errno() if result < 0 else 0


class Multi:
    """A BPF program that counts, on one place by BPF_LINK_CREATE, for one process or (0) all of them."""

    def __init__(self, path: str, offset: int, attach: str, pid: int = 0) -> None:
        self.kept = [ctypes.create_string_buffer(os.fsencode(path)), (ctypes.c_uint64 * 1)(offset)]
        self.fds: list[int] = []
        kind = _UPROBE_SESSION if attach.endswith(".session") else _UPROBE_MULTI
        self.map, self.error = bpf(_MAP_CREATE, struct.pack("<IIII", _ARRAY, 4, 8, 1))
        if self.error:
            return
        self.fds.append(self.map)
        code = (
            struct.pack("<BBhiBBhi", 0x18, 0x21, 0, self.map, 0, 0, 0, 0)
            + struct.pack("<BBhi", 0xB7, 0x02, 0, 1)
            + struct.pack("<BBhi", 0xDB, 0x21, 0, 0)
            + struct.pack("<BBhi", 0xB7, 0x00, 0, 0)
            + struct.pack("<BBhi", 0x95, 0x00, 0, 0)
        )
        program, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
        head = struct.pack("<IIQQ", _KPROBE, len(code) // 8, ctypes.addressof(program), ctypes.addressof(licence))
        fd, self.error = bpf(_PROG_LOAD, head.ljust(68, b"\0") + struct.pack("<I", kind))
        if self.error:
            return
        self.fds.append(fd)
        place = struct.pack("<QQQQIIII", *map(ctypes.addressof, self.kept), 0, 0, 1, attach.startswith("uret"), pid, 0)
        link, self.error = bpf(_LINK_CREATE, struct.pack("<IIII", fd, 0, kind, 0) + place)
        if not self.error:
            self.fds.append(link)

    def hits(self) -> int:
        if self.error:
            return 0
        key, value = ctypes.c_uint32(0), ctypes.c_uint64(0)
        bpf(_MAP_LOOKUP, struct.pack("<IIQQQ", self.map, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
        return value.value

    def close(self) -> None:
        for fd in reversed(self.fds):
            os.close(fd)


def attached(path: str, offset: int, attach: str, pid: int = 0) -> Probe:
    """A probe of this type on one place, for one process or (0) all of them; or its errno."""
    if "." in attach:
        return Multi(path, offset, attach, pid)
    return Uprobe(path, offset, attach == "uretprobe", pid or -1)


def run(program: str, workload: str) -> tuple[int, int]:
    """(exit code, signal) of one run; (-1, -1) for one that does not end."""
    child = subprocess.Popen([program, workload], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        code = child.wait(RUN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return -1, -1
    return (code, 0) if code >= 0 else (-1, -code)


def main() -> int:
    program = os.path.abspath(sys.argv[1])
    kernel = open_kernel("")
    for place in sys.argv[2:]:
        workload = place.partition("+")[0]
        for suffix in ("_in", "_inside"):
            workload = workload.removesuffix(suffix)
        workload = "a_fallthrough" if place == "a_fellinto" else workload
        base = run(program, workload)
        waiting = subprocess.Popen([program, "wait"], stdout=subprocess.PIPE)
        assert waiting.stdout is not None
        waiting.stdout.readline()
        mapped: dict[str, int] = {}
        try:
            (report,) = kernel.check([f"{program}:{place}"], list(TYPES)).targets
            offset = next(site.offset for site in report.place.sites if site.chosen)
            for attach in TYPES:
                probe = attached(program, offset, attach)
                mapped[attach] = probe.error
                probe.close()
        finally:
            waiting.kill()
            waiting.wait()
        time.sleep(0.01)
        for verdict in report.verdicts:
            probe = attached(program, offset, verdict.attach)
            with_it = run(program, workload) if not probe.error else (0, 0)
            row = {
                "place": place,
                "type": verdict.attach,
                "errno_mapped": mapped[verdict.attach],
                "errno": probe.error,
                "hits": probe.hits(),
                "base": base,
                "run": with_it,
                "offset": offset,
                "answer": verdict.answer,
                "told_errno": verdict.errno,
                "limits": [[limit.id, limit.effect, list(limit.types)] for limit in report.limits],
                "hazards": [hazard.id for hazard in report.hazards],
            }
            probe.close()
            print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
