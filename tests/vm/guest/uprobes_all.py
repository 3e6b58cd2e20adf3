"""In a guest (or as root on a machine): probes each function of the situations' program and counts what is seen.

    uprobes_all.py PROGRAM PLACE...

Prints one JSON line for each place and type: the tool's report, and the kernel's errno with the program running, its
errno with nobody running it, hits, exit code and signal of a run without and with the probe. Needs probe_scout.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
import time

from probe_scout.frontends.session import open_kernel

UNIT = "/sys/bus/event_source/devices/uprobe/type"
NR = {"x86_64": 298, "aarch64": 241}[platform.machine()]
CALL = ctypes.CDLL(None, use_errno=True).syscall
RUN_S = 10.0


class Uprobe:
    """One uprobe on every CPU by perf_event_open; `error` is the errno, 0 where it is attached."""

    def __init__(self, path: str, offset: int, is_return: bool) -> None:
        self.path = ctypes.create_string_buffer(os.fsencode(path))
        self.fds: list[int] = []
        self.error = 0
        with open(UNIT) as handle:
            unit = int(handle.read())
        for cpu in range(os.cpu_count() or 1):
            attr = (ctypes.c_uint64 * 16)()
            attr[0], attr[1] = unit | 128 << 32, int(is_return)  # type, size; config
            attr[7], attr[8] = ctypes.addressof(self.path), ctypes.c_uint64(offset).value  # uprobe_path, probe_offset
            fd = CALL(NR, ctypes.byref(attr), -1, cpu, -1, 8)
            if fd < 0:
                self.error = ctypes.get_errno()
                break
            self.fds.append(fd)

    def hits(self) -> int:
        return sum(int.from_bytes(os.read(fd, 8), "little") for fd in self.fds)

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)


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
        for attach in ("uprobe", "uretprobe"):
            is_return = attach == "uretprobe"
            waiting = subprocess.Popen([program, "wait"], stdout=subprocess.PIPE)
            assert waiting.stdout is not None
            waiting.stdout.readline()
            try:
                (report,) = kernel.check([f"{program}:{place}"], [attach]).targets
                offset = next(site.offset for site in report.place.sites if site.chosen)
                probe = Uprobe(program, offset, is_return)
                mapped = probe.error
                probe.close()
            finally:
                waiting.kill()
                waiting.wait()
            time.sleep(0.01)
            probe = Uprobe(program, offset, is_return)
            with_it = run(program, workload) if not probe.error else (0, 0)
            row = {
                "place": place,
                "type": attach,
                "errno_mapped": mapped,
                "errno": probe.error,
                "hits": probe.hits(),
                "base": base,
                "run": with_it,
                "offset": offset,
                "answer": report.verdicts[0].answer,
                "told_errno": report.verdicts[0].errno,
                "limits": [[limit.id, limit.effect, list(limit.types)] for limit in report.limits],
                "hazards": [hazard.id for hazard in report.hazards],
            }
            probe.close()
            print(json.dumps(row), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
