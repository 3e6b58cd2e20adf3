"""Prints what questions about user functions cost, beside perf, readelf, nm, bpftrace and tplist where installed.

    python bench/uprobes.py [--libc PATH] [--large PATH] [--usdt PATH] [--runs 5]

Figures are CPU time of whole processes, as in run.py; the first line, an empty Python program, is the measure. Kernel
lists are those of this machine. `--large` is a program with many functions (a Go program of 100 MB, node), `--usdt` one
with static probes. Peers print names alone: none says whether the kernel takes the instruction.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from run import Bench  # noqa: E402  (bench is no package)

LIBC = ("/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6", "/usr/lib/aarch64-linux-gnu/libc.so.6")
LISTED = (0, 3)


def found(paths: tuple[str, ...]) -> str:
    """The first of the paths that is there, else the last."""
    return next((path for path in paths if os.path.exists(path)), paths[-1])


def listed(bench: Bench, tool: list[str], path: str) -> None:
    """All functions of a file, here and by others."""
    name = os.path.basename(os.path.realpath(path))
    bench.measure(f"scan {name}", [*tool, "scan", path], codes=LISTED)
    bench.measure(f"scan {name}, ndjson", [*tool, "scan", path, "--format", "ndjson"], codes=LISTED)
    bench.peer(f"readelf -sW {name}", ["readelf", "-sW", path], lines=2)
    bench.peer(f"nm -D {name}", ["nm", "-D", path], lines=0)
    bench.peer(f"perf probe -F -x {name}", ["perf", "probe", "-F", "-x", path], lines=2)
    bench.peer(f"bpftrace -l uprobe:{name}", ["bpftrace", "-l", f"uprobe:{path}:*"], lines=2)


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU time of questions about user functions.")
    parser.add_argument("--libc", default=found(LIBC))
    parser.add_argument("--large", default="")
    parser.add_argument("--usdt", default="")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    tool = [sys.executable, "-m", "probe_scout"]
    print(f"{'':<44} {'least':>9} {'median':>9} {'ratio':>10} {'wall':>9} {'MB':>6}")
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(options.runs, work)
        bench.measure("python -c pass", [sys.executable, "-c", "pass"])
        for name in ("malloc", "memcpy", "no_such_function"):
            bench.measure(f"check libc:{name}", [*tool, "check", f"{options.libc}:{name}"], codes=(0, 1, 3))
        bench.measure("check libc:malloc --type uprobe", [*tool, "check", f"{options.libc}:malloc", "--type", "uprobe"])
        bench.peer("perf probe -x libc -F malloc", ["perf", "probe", "-x", options.libc, "-F", "malloc"])
        for path in filter(None, (options.libc, options.large)):
            listed(bench, tool, path)
        if options.usdt:
            bench.measure("scan usdt:FILE", [*tool, "scan", f"usdt:{options.usdt}:*:*"], codes=LISTED)
            bench.peer("readelf -n FILE", ["readelf", "-n", options.usdt], lines=2)
            bench.peer("tplist -l FILE", ["tplist", "-l", options.usdt], lines=2)
            bench.peer("tplist-bpfcc -l FILE", ["tplist-bpfcc", "-l", options.usdt], lines=2)
            bench.peer("bpftrace -l usdt:FILE", ["bpftrace", "-l", f"usdt:{options.usdt}:*"], lines=2)
    return 0 if bench.is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
