"""Prints what questions cost, as CPU time of whole processes and as ratios to an empty Python program.

    python bench/run.py --root fixtures/kernels/debian-6.12.107-amd64.tar.xz [--runs 7]

CPU time is user + system of the process with its children (wait4), in milliseconds: the minimum is the
figure to compare, the median says how noisy the machine was. Each program runs once before it is counted.
Bytecode is written, the cache lives in a folder of its own, nothing is kept. Peers are optional.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
from collections.abc import Callable
from typing import NamedTuple

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Timing(NamedTuple):
    """CPU milliseconds of each run, and the exit code of the last."""

    name: str
    milliseconds: list[float]
    code: int


def spawn(command: list[str], environment: dict[str, str], folder: str) -> tuple[float, int]:
    """CPU milliseconds (user + system) and the exit code of one process; its output is thrown away."""
    pid = os.fork()
    if pid == 0:
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    return (usage.ru_utime + usage.ru_stime) * 1000, os.waitstatus_to_exitcode(status)


class Bench:
    """Runs commands and keeps their timings; the first timing is the measure of all others."""

    def __init__(self, runs: int, work: str) -> None:
        self.runs, self.work = runs, work
        self.cache = os.path.join(work, "cache")
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        paths = os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH"))))
        self.environment |= {"XDG_CACHE_HOME": self.cache, "PYTHONPATH": paths, "NO_COLOR": "1"}
        self.base_ms = 0.0

    def forget(self) -> None:
        """Empty the cache folder."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def measure(self, name: str, command: list[str], before: Callable[[], None] | None = None, runs: int = 0) -> None:
        """Time one command and print its line. `before` runs before each start and is not counted."""
        spent: list[float] = []
        code = 0
        for count in range((runs or self.runs) + 1):
            if before:
                before()
            milliseconds, code = spawn(command, self.environment, self.work)
            if count:
                spent.append(milliseconds)
        self.report(Timing(name, spent, code))

    def report(self, timing: Timing) -> None:
        least = min(timing.milliseconds)
        self.base_ms = self.base_ms or least
        odd = "" if timing.code in (0, 1, 3) else f"   exit code {timing.code}: not a valid figure"
        median = statistics.median(timing.milliseconds)
        print(f"{timing.name:<44} {least:9.1f} {median:9.1f} {least / self.base_ms:8.1f} x{odd}", flush=True)

    def peer(self, name: str, command: list[str]) -> None:
        """Time a program of others, or say that it is not here."""
        if shutil.which(command[0], path=self.environment.get("PATH")) is None:
            print(f"{name:<44} not installed")
            return
        _, code = spawn(command, self.environment, self.work)
        if code:
            print(f"{name:<44} does not work here (exit code {code})")
            return
        self.measure(name, command, runs=min(self.runs, 3))


def unpack(root: str, work: str) -> str:
    """A folder with the snapshot: the folder itself, or the archive unpacked (not counted)."""
    if os.path.isdir(root):
        return root
    folder = os.path.join(work, "kernel")
    with tarfile.open(root) as archive:
        archive.extractall(folder, filter="data")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU time of whole processes, and ratios to an empty Python program.")
    parser.add_argument("--root", required=True, help="snapshot archive or folder")
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each command (default 7)")
    options = parser.parse_args()
    root = os.path.abspath(options.root)
    tool = [sys.executable, "-m", "probe_scout"]
    with tempfile.TemporaryDirectory(prefix="probe-scout-bench-") as work:
        bench = Bench(max(1, options.runs), work)
        folder = unpack(root, work)
        print(
            f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {bench.runs} runs, {os.path.basename(root)}"
        )
        print(f"{'CPU time of the whole process, ms':<44} {'min':>9} {'median':>9} {'ratio':>8}")
        bench.measure("python -c pass", [sys.executable, "-c", "pass"])
        bench.measure("probe-scout --version (through typer)", [*tool, "--version"])
        for name in ("vfs_read", "do_execve"):
            line = [*tool, "check", name, "--root", folder]
            bench.measure(f"check {name}, folder, cold", line, bench.forget)
            bench.measure(f"check {name}, folder, cached", line)
        line = [*tool, "check", "vfs_read", "--type", "kprobe", "--root", folder]
        bench.measure("check vfs_read --type kprobe, folder, cold", line, bench.forget)
        bench.measure("complete vfs_re, folder", [*tool, "__complete", "vfs_re", "--root", folder])
        line = [*tool, "scan", "--format", "ndjson", "--root", folder]
        bench.measure("scan, every function and type, ndjson", line, bench.forget, min(bench.runs, 5))
        line = [*tool, "tracepoint", "--root", folder]
        bench.measure("tracepoint, names of all events, folder", line)
        bench.measure("tracepoint --fields, all events, folder", [*line, "--fields"])
        bench.measure("tracepoint, all that is known, ndjson, folder", [*line, "--format", "ndjson"])
        bench.measure(
            "tracepoint sched:sched_switch, folder", [*tool, "tracepoint", "sched:sched_switch", "--root", folder]
        )
        if not os.path.isdir(root):
            line = [*tool, "tracepoint", "--fields", "--root", root]
            bench.measure("tracepoint --fields, all events, archive", line, runs=min(bench.runs, 3))
            line = [*tool, "check", "vfs_read", "--root", root]
            bench.measure("check vfs_read, archive, cold", line, bench.forget, min(bench.runs, 3))
            bench.measure("check vfs_read, archive, cached", line, runs=min(bench.runs, 3))
        btf = os.path.join(folder, "sys/kernel/btf/vmlinux")
        bench.peer("bpftool btf dump file (BTF alone)", ["bpftool", "btf", "dump", "file", btf])
        bench.peer("bpftrace -l 'kprobe:*' (this machine)", ["bpftrace", "-l", "kprobe:*"])
        bench.peer("bpftrace -l 'tracepoint:*' (this machine)", ["bpftrace", "-l", "tracepoint:*"])
        bench.peer("bpftrace -lv 'tracepoint:*' (this machine)", ["bpftrace", "-lv", "tracepoint:*"])
        bench.peer("trace-cmd list -F (this machine)", ["trace-cmd", "list", "-F"])
        bench.peer("tplist-bpfcc -v (this machine)", ["tplist-bpfcc", "-v"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
