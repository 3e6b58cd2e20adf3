"""Prints what questions cost, as CPU time of whole processes and as ratios to an empty Python program.

    python bench/run.py --root fixtures/kernels/debian-6.12.107-amd64.tar.xz [--runs 7] [--debug VMLINUX]

CPU time is user + system of the process with its children (wait4), in milliseconds: the minimum is the
figure to compare, the median says how noisy the machine was. `wall` is the least time on the clock, `MB` the greatest
memory that was resident. `--debug` adds what is read from a vmlinux with debug information.

Each program runs once before it is counted. Bytecode is written, the cache lives in a folder of its own, nothing is
kept. Peers are optional. A command that fails has no figure; then the exit code is 1. A table in Markdown ends it: each
question in times of `python -c pass`, and what peers of the same run need in times of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Run(NamedTuple):
    """One process: user + system time, time on the clock, and the most memory that was resident."""

    cpu_ms: float
    wall_ms: float
    peak_mb: float
    code: int


class Timing(NamedTuple):
    """What each run cost; `odd` says why the figure is none: an exit code, what was said; "" if it is one."""

    name: str
    runs: list[Run]
    odd: str


CHECKED = (0, 1, 3)  # exit codes of a check that was answered
SAID = "said"


def spawn(command: list[str], environment: dict[str, str], folder: str) -> Run:
    """What one process cost, and its exit code.

    Its output is thrown away; what it said on stderr is in the file `said` of the folder.
    """
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            said = os.open(os.path.join(folder, SAID), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            for descriptor, target in ((0, nothing), (1, nothing), (2, said)):
                os.dup2(target, descriptor)
            os.chdir(folder)
            os.execvpe(command[0], command, environment)
        finally:
            os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    wall_ms = (time.monotonic() - begun) * 1000
    cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
    return Run(cpu_ms, wall_ms, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))


class Bench:
    """Runs commands and keeps their timings; the first timing is the measure of all others."""

    def __init__(self, runs: int, work: str) -> None:
        self.runs, self.work = runs, work
        self.cache = os.path.join(work, "cache")
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        paths = os.pathsep.join(filter(None, (HERE, os.environ.get("PYTHONPATH"))))
        self.environment |= {"XDG_CACHE_HOME": self.cache, "PYTHONPATH": paths, "NO_COLOR": "1"}
        self.base_ms = 0.0
        self.is_whole = True
        self.least: dict[str, float] = {}

    def forget(self) -> None:
        """Empty the cache folder."""
        shutil.rmtree(self.cache, ignore_errors=True)

    def forget_answers(self) -> None:
        """Leave what is kept of a kernel (archives, names, tables): the next name is asked for the first time.

        Tables are made by a process that nobody waits for: here it is waited for.
        """
        lock = os.path.join(self.cache, "probe-scout", "index.lock")
        until = time.monotonic() + 30
        while os.path.exists(lock) and time.monotonic() < until:
            time.sleep(0.05)
        for folder, _, names in os.walk(self.cache):
            for name in names:
                if name.endswith(".json") and not name.startswith("table-"):
                    os.unlink(os.path.join(folder, name))

    def measure(
        self,
        name: str,
        command: list[str],
        before: Callable[[], None] | None = None,
        runs: int = 0,
        codes: Sequence[int] = (0,),
    ) -> bool:
        """Time one command, print its line, and say whether it is a figure: every exit code is one of `codes`.

        `before` runs before each start and is not counted.
        """
        spent: list[Run] = []
        odd = ""
        for count in range((runs or self.runs) + 1):
            if before:
                before()
            run = spawn(command, self.environment, self.work)
            if count:
                spent.append(run)
            odd = odd or self.oddity(run.code, codes)
        self.report(Timing(name, spent, odd))
        self.is_whole &= not odd
        return not odd

    def oddity(self, code: int, codes: Sequence[int]) -> str:
        """Why the last run does not count; "" if it does."""
        with open(os.path.join(self.work, SAID), errors="replace") as file:
            said = file.read().strip()
        if code in codes and "Traceback" not in said:
            return ""
        return f"exit code {code}: {said.splitlines()[-1][:100] if said else 'nothing was said'}"

    def report(self, timing: Timing) -> None:
        least = min(run.cpu_ms for run in timing.runs)
        self.base_ms = self.base_ms or least
        if not timing.odd:
            self.least[timing.name] = least
        odd = f"   no figure: {timing.odd}" if timing.odd else ""
        median = statistics.median(run.cpu_ms for run in timing.runs)
        wall, peak = min(run.wall_ms for run in timing.runs), max(run.peak_mb for run in timing.runs)
        ratio = least / self.base_ms
        print(f"{timing.name:<44} {least:9.1f} {median:9.1f} {ratio:8.1f} x {wall:9.1f} {peak:6.0f}{odd}", flush=True)

    def peer(self, name: str, command: list[str], lines: int = 1) -> None:
        """Time a program of others, or say that it is not here, or says less than so many lines.

        tplist ends with 0 where it found no file.
        """
        if shutil.which(command[0], path=self.environment.get("PATH")) is None:
            print(f"{name:<44} not installed")
            return
        odd = self.oddity(spawn(command, self.environment, self.work).code, (0,))
        if odd:
            print(f"{name:<44} does not work here ({odd})")
            return
        said = subprocess.run(command, env=self.environment, cwd=self.work, capture_output=True).stdout
        if len(said.splitlines()) < lines:
            print(f"{name:<44} does not work here ({len(said.splitlines())} lines: {said[:100]!r})")
            return
        self.measure(name, command, runs=min(self.runs, 3))


def unpack(root: str, work: str) -> str:
    """A folder with the snapshot: the folder itself, or the archive unpacked (not counted)."""
    if os.path.isdir(root):
        return root
    folder = os.path.join(work, "kernel")
    with tarfile.open(root) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:  # Python before 3.11.4
            archive.extractall(folder)
    return folder


def inlining(bench: Bench, tool: list[str], folder: str, vmlinux: str) -> None:
    """What is read from debug information, here and by others."""
    asked = (0, 1)
    bench.measure("survey of a vmlinux", [*tool, "survey", vmlinux], bench.forget, min(bench.runs, 2))
    bench.forget()
    for name, runs in (("do_execve", 5), ("list_add", 2)):
        line = [*tool, "inline", name, "--root", folder, "--debug", vmlinux]
        bench.measure(f"inline {name}, cold", line, bench.forget, min(bench.runs, runs), asked)
        bench.measure(f"inline {name}, cached", line, None, min(bench.runs, 5), asked)
    line = [*tool, "check", "do_execve", "--root", folder, "--debug", vmlinux]
    bench.measure("check do_execve with debug information, cold", line, bench.forget, min(bench.runs, 3), CHECKED)
    line = [*tool, "inline", "--all", "--root", folder, "--debug", vmlinux, "--format", "ndjson"]
    bench.measure("inline --all, ndjson, cold", line, bench.forget, 1)
    bench.measure("inline --all, ndjson, cached", line, None, min(bench.runs, 3))
    bench.peer("perf probe -D do_execve", ["perf", "probe", "-k", vmlinux, "-D", "do_execve"])
    bench.peer("perf probe -D list_add", ["perf", "probe", "-k", vmlinux, "-D", "list_add"])
    # drgn tells that a function has no code, and no places of copies.
    text = (
        f"import drgn; p = drgn.Program(); m = p.extra_module({vmlinux!r}, create=True);"
        f" m.try_file({vmlinux!r}, force=True); print(p.function('do_execve').absent_)"
    )
    bench.peer("drgn (pip install drgn), do_execve", [sys.executable, "-c", text])
    bench.peer("gdb, break do_execve", ["gdb", "-batch", "-nx", "-ex", "break do_execve", vmlinux])
    bench.peer("pfunct -f do_execve -i", ["pfunct", "-f", "do_execve", "-i", vmlinux])
    dwarfdump = next((name for name in ("llvm-dwarfdump", "llvm-dwarfdump-14") if shutil.which(name)), "llvm-dwarfdump")
    bench.peer("llvm-dwarfdump --name do_execve", [dwarfdump, "--name", "do_execve", vmlinux])


# What a question costs here beside what others need for the nearest one; "" where nobody answers it.
COMPARED = (
    ("check vfs_read, folder, cold", ("bpftrace -l 'kprobe:*' (this machine)", "perf probe -F (this machine)")),
    ("check vfs_read, folder, another name first", ("bpftrace -l 'kprobe:*' (this machine)",)),
    ("check vfs_read, folder, cached", ()),
    ("check of 10,000 names, ndjson", ("bpftrace -l 'kprobe:*' (this machine)",)),
    ("scan, every function and type, ndjson", ("bpftool btf dump file (BTF alone)",)),
    ("scan, every function and type, kept", ("bpftool btf dump file (BTF alone)",)),
    ("tracepoint sched:sched_switch, folder, another event first", ("perf list (this machine)",)),
    (
        "tracepoint, names of all events, folder",
        ("bpftrace -l 'tracepoint:*' (this machine)", "perf list (this machine)"),
    ),
    (
        "tracepoint --fields (this machine)",
        ("bpftrace -lv 'tracepoint:*' (this machine)", "trace-cmd list -e . -F (this machine)"),
    ),
    ("inline cap_capable, by the survey, cold", ()),
    ("audit (this machine), first", ("bpftool perf show (this machine)", "bpftool prog show (this machine)")),
)


def compared(bench: Bench) -> None:
    """A table in Markdown: each question in times of `python -c pass`, and what a peer needs in times of it."""
    print("\n| question | ms | × `python -c pass` | a peer, in times of it |\n|---|---|---|---|")
    for name, peers in COMPARED:
        mine = bench.least.get(name)
        if mine is None:
            continue
        told = ", ".join(
            f"{peer} {bench.least[peer] / mine:.1f}" if peer in bench.least else f"{peer} was not here"
            for peer in peers
        )
        print(f"| {name} | {mine:.0f} | {mine / bench.base_ms:.1f} | {told or '-'} |")


def many_names(folder: str, work: str) -> str:
    """A file of 10,000 names of functions, taken evenly out of kallsyms."""
    with open(os.path.join(folder, "proc/kallsyms"), "rb") as handle:
        rows = (line.split() for line in handle)
        names = list(dict.fromkeys(row[2] for row in rows if row[1] in b"tT" and row[2].replace(b"_", b"").isalnum()))
    path = os.path.join(work, "names")
    with open(path, "wb") as handle:
        handle.write(b"\n".join(names[:: max(len(names) // 10_000, 1)][:10_000]) + b"\n")
    return path


def kept(bench: Bench, tool: list[str], folder: str) -> None:
    """What is asked of a kernel that was asked before, and of many names at once."""
    for name in ("vfs_read", "do_execve", "vfs_reax"):
        line = [*tool, "check", name, "--root", folder]
        bench.measure(f"check {name}, folder, another name first", line, bench.forget_answers, codes=CHECKED)
    line = [*tool, "check", "--from", many_names(folder, bench.work), "--root", folder, "--format", "ndjson"]
    bench.measure("check of 10,000 names, ndjson", line, runs=min(bench.runs, 3), codes=CHECKED)
    line = [*tool, "scan", "--format", "ndjson", "--root", folder]
    bench.measure("scan, every function and type, kept", line, bench.forget_answers, min(bench.runs, 5))
    line = [*tool, "tracepoint", "sched:sched_switch", "--root", folder]
    bench.measure("tracepoint sched:sched_switch, folder, another event first", line, bench.forget_answers)


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU time of whole processes, and ratios to an empty Python program.")
    parser.add_argument("--root", required=True, help="snapshot archive or folder")
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each command (default 7)")
    parser.add_argument("--debug", default="", help="vmlinux with debug information of the same kernel")
    options = parser.parse_args()
    root = os.path.abspath(options.root)
    tool = [sys.executable, "-m", "probe_scout"]
    with tempfile.TemporaryDirectory(prefix="probe-scout-bench-") as work:
        bench = Bench(max(1, options.runs), work)
        folder = unpack(root, work)
        print(
            f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {bench.runs} runs, {os.path.basename(root)}"
        )
        print(
            f"{'CPU time of the whole process, ms':<44} {'min':>9} {'median':>9} {'ratio':>8}   {'wall':>9} {'MB':>6}"
        )
        bench.measure("python -c pass", [sys.executable, "-c", "pass"])
        bench.measure("probe-scout --version (through typer)", [*tool, "--version"])
        for name in ("vfs_read", "do_execve"):
            line = [*tool, "check", name, "--root", folder]
            bench.measure(f"check {name}, folder, cold", line, bench.forget, codes=CHECKED)
            bench.measure(f"check {name}, folder, cached", line, codes=CHECKED)
        for name in ("vfs_read", "do_execve", "cap_capable"):  # where no debug information is there: by the survey
            line = [*tool, "inline", name, "--root", folder]
            bench.measure(f"inline {name}, by the survey, cold", line, bench.forget, codes=CHECKED)
            bench.measure(f"inline {name}, by the survey, cached", line, codes=CHECKED)
        line = [*tool, "inline", "--all", "--format", "ndjson", "--root", folder]
        bench.measure("inline --all, by the survey, ndjson", line, runs=min(bench.runs, 3))
        line = [*tool, "check", "vfs_read", "--type", "kprobe", "--root", folder]
        bench.measure("check vfs_read --type kprobe, folder, cold", line, bench.forget, codes=CHECKED)
        bench.measure("complete vfs_re, folder", [*tool, "__complete", "vfs_re", "--root", folder])
        line = [*tool, "scan", "--format", "ndjson", "--root", folder]
        bench.measure("scan, every function and type, ndjson", line, bench.forget, min(bench.runs, 5))
        kept(bench, tool, folder)
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
            bench.measure("check vfs_read, archive, cold", line, bench.forget, min(bench.runs, 3), CHECKED)
            bench.measure("check vfs_read, archive, cached", line, runs=min(bench.runs, 3), codes=CHECKED)
            bench.measure("check vfs_read, archive, another name first", line, bench.forget_answers, codes=CHECKED)
            line = [*tool, "check", "vfs_reax", "--root", root]
            bench.measure("check vfs_reax (misspelled), archive, cold", line, bench.forget, codes=CHECKED)
            bench.measure("check vfs_reax, archive, another name first", line, bench.forget_answers, codes=CHECKED)
        if options.debug:
            inlining(bench, tool, folder, os.path.abspath(options.debug))
        btf = os.path.join(folder, "sys/kernel/btf/vmlinux")
        bench.peer("bpftool btf dump file (BTF alone)", ["bpftool", "btf", "dump", "file", btf])
        bench.peer("bpftrace -l 'kprobe:*' (this machine)", ["bpftrace", "-l", "kprobe:*"])
        bench.peer("bpftrace -l 'tracepoint:*' (this machine)", ["bpftrace", "-l", "tracepoint:*"])
        bench.measure("tracepoint --fields (this machine)", [*tool, "tracepoint", "--fields"], codes=(0, 3))
        bench.peer("bpftrace -lv 'tracepoint:*' (this machine)", ["bpftrace", "-lv", "tracepoint:*"], 4000)
        bench.peer("trace-cmd list -e . -F (this machine)", ["trace-cmd", "list", "-e", ".", "-F"], 4000)
        bench.peer("tplist-bpfcc -v (this machine)", ["tplist-bpfcc", "-v"], 4000)
        bench.peer("perf list (this machine)", ["perf", "list", "tracepoint"], 1000)
        bench.peer("perf probe -F (this machine)", ["perf", "probe", "-F"], 1000)
        bench.measure(
            "audit (this machine), first", [*tool, "audit"], bench.forget, min(bench.runs, 5), codes=(0, 1, 3)
        )
        bench.measure("audit (this machine), again", [*tool, "audit"], None, min(bench.runs, 5), codes=(0, 1, 3))
        bench.peer("bpftool perf show (this machine)", ["bpftool", "perf", "show"], 0)
        bench.peer("bpftool prog show (this machine)", ["bpftool", "prog", "show"], 0)
        compared(bench)
    return 0 if bench.is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
