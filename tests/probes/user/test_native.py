"""The running kernel beside `check`: places of a compiled program are probed for real. `pytest -m machine`, as root.

Only a program made here is touched, by perf_event_open of the uprobe unit, and each probe is closed at once.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import time
from pathlib import Path

import pytest

from probe_scout.frontends.session import open_kernel
from tests.builders import programs
from tests.probes.user.test_check import PLACES

pytestmark = pytest.mark.machine
UNIT = Path("/sys/bus/event_source/devices/uprobe/type")
NR_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
ERRNO = {524: "ENOTSUPP"}
WAITS = PLACES.replace("int main(void) { return 0; }", "#include <unistd.h>\nint main(void) { pause(); return 0; }")
STORE = r"""
#include <stdio.h>
#include <string.h>
#include <unistd.h>
__attribute__((naked, noinline)) void store(void *to, const void *from) {
  __asm__("vmovdqu (%rsi),%ymm0\n.globl store_here\n.type store_here,@function\nstore_here: vmovdqu %ymm0,(%rdi)\n"
          ".size store_here,.-store_here\nvzeroupper\nret"); }
int main(void) { char from[32], to[32] = {0}, go; memset(from, 7, 32); if (read(0, &go, 1) != 1) return 2;
  store(to, from); puts(memcmp(from, to, 32) ? "different" : "same"); return 0; }
"""


class Uprobe:
    """One uprobe by perf_event_open; `error` is its errno, 0 where it is attached."""

    def __init__(self, path: Path, offset: int) -> None:
        self._path = ctypes.create_string_buffer(os.fsencode(path))
        attr = (ctypes.c_uint64 * 16)()
        attr[0] = int(UNIT.read_text()) | 128 << 32  # type, size
        attr[2] = 1  # sample_period
        attr[7], attr[8] = ctypes.addressof(self._path), offset  # config1 uprobe_path, config2 probe_offset
        call = ctypes.CDLL(None, use_errno=True).syscall
        number = NR_PERF_EVENT_OPEN[platform.machine()]
        self.fd = call(number, ctypes.byref(attr), -1, 0, -1, 8)
        self.error = ctypes.get_errno() if self.fd < 0 else 0

    def __enter__(self) -> Uprobe:
        return self

    def __exit__(self, *_: object) -> None:
        if self.fd >= 0:
            os.close(self.fd)


@pytest.fixture(scope="module")
def able() -> None:
    if os.geteuid() or not UNIT.is_file() or platform.machine() != "x86_64":
        pytest.skip("needs root, x86-64 and a kernel with uprobes")


PLACED = ("locked", "stores", "clears", "copies", "loops", "calls", "asks", "tail", "trap", "calls+1", "main", "_start")


def test_every_place_as_the_kernel_says(able, tmp_path):
    path = programs.compiled(tmp_path, "places", WAITS, "-fno-pie", "-no-pie")
    kernel = open_kernel("")
    wrong = []
    with subprocess.Popen([path]) as child:
        try:
            time.sleep(0.2)
            for name in PLACED:
                (report,) = kernel.check([f"{path}:{name}"], ["uprobe"]).targets
                offset = next(site.offset for site in report.place.sites if site.chosen)
                with Uprobe(path, offset) as probe:
                    said = ERRNO.get(probe.error) or errno.errorcode.get(probe.error)
                verdict = report.verdicts[0]
                if (verdict.answer, verdict.errno) != (("no", said) if said else ("yes", None)):
                    wrong.append(f"{name}: {said}, here {verdict.answer} {verdict.errno}")
        finally:
            child.kill()
    assert not wrong


def test_a_probe_on_an_avx_store_changes_the_result(able, tmp_path):
    """docs/uprobes.md reports it. When a kernel is mended this fails, and the rule needs a feature probe."""
    if " avx2 " not in Path("/proc/cpuinfo").read_text():
        pytest.skip("needs a processor with AVX2")
    path = programs.compiled(tmp_path, "store", STORE, "-mavx2")
    (report,) = open_kernel("").check([f"{path}:store_here"], ["uprobe"]).targets
    assert {hazard.id for hazard in report.hazards} == {"hazard.uprobe_vex"}
    assert subprocess.run([path], input=b"x", capture_output=True, check=True).stdout == b"same\n"
    with Uprobe(path, report.place.sites[0].offset) as probe:
        assert probe.error == 0
        assert subprocess.run([path], input=b"x", capture_output=True, check=True).stdout == b"different\n"
