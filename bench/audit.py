"""Prints what `audit` costs where much is attached, beside bpftool, in one boot of a guest.

    python bench/audit.py [-k 7.3] [--runs 2] [--programs 200] [--processes 500] [--keep FOLDER]

The holder (bpf/audit) attaches so many programs, each with a link (fentry, fexit, raw tracepoint, kprobe, tracepoint),
and starts so many processes with 20 descriptors each. Figures are CPU time of whole processes, as in run.py. Without
KVM the guest's clock counts instructions, a million is a millisecond, so that figures do not hang on what else the
machine does; the ratio to `python -c pass`, which is timed on this machine as well, makes milliseconds of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

from run import Bench  # noqa: E402  (the guest has no package of that name)

BPFTOOL = "bpftool -j perf show; bpftool -j link show; bpftool -j net show"


def inside(options: argparse.Namespace) -> int:
    """In the guest: plant, measure, take away."""
    words = [options.holder, "--crowd", str(options.programs), str(options.processes)]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdin is not None
    if holder.stdout.readline() != "ready\n":
        print(f"the holder ended with {holder.wait()}")
        return 1
    tool = [sys.executable, "-m", "probe_scout", "audit"]
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(options.runs, work)
        bench.environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        bench.measure("python -c pass", [sys.executable, "-c", "pass"])
        line = [*tool, "--no-net", "--json"]
        codes = (0, 3)
        bench.measure("audit --no-net, the first", line, bench.forget, 1, codes)
        bench.measure("audit --no-net", line, codes=codes)
        bench.measure("bpftool perf, link and net show", ["sh", "-c", BPFTOOL])
        bench.measure("audit --no-net, a table", [*tool, "--no-net"], codes=codes)
        bench.measure("audit --net", [*tool, "--net", "--json"], codes=codes)
        for name in ("perf", "link", "net", "prog"):
            bench.measure(f"bpftool -j {name} show", ["bpftool", "-j", name, "show"])
        if options.keep:
            subprocess.run([*tool[:3], "snapshot", "--out", options.keep], env=bench.environment, check=True)
    holder.stdin.close()
    holder.wait()
    return 0 if bench.is_whole else 1


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU time of audit in a guest where much is attached.")
    parser.add_argument("-k", "--kernel", default="7.3", help="a kernel of the lab (default 7.3)")
    parser.add_argument("--runs", type=int, default=2, help="counted runs of each command (default 2)")
    parser.add_argument("--programs", type=int, default=200, help="programs, each with a link (default 200)")
    parser.add_argument("--processes", type=int, default=500, help="processes that hold nothing (default 500)")
    parser.add_argument("--keep", default="", help="folder for a snapshot of what was measured")
    parser.add_argument("--inside", dest="holder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.holder:
        return inside(options)
    from tests.vm import boot

    holder = HERE.parent / "bpf" / "audit"
    subprocess.run(["make", "-s", "-C", str(holder)], check=True)
    words = ["--runs", str(options.runs), "--programs", str(options.programs), "--processes", str(options.processes)]
    if options.keep:
        words += ["--keep", "/out/crowd.tar.xz"]
    os.environ.setdefault("PROBE_SCOUT_ICOUNT", "1")
    print("python -c pass on this machine:", end=" ", flush=True)
    with tempfile.TemporaryDirectory() as work:
        Bench(7, work).measure("", [sys.executable, "-c", "pass"])
    ended = boot.run(
        options.kernel,
        ["python3", "/host/audit.py", "--inside", "/holder", *words],
        share={"/host/audit.py": HERE / "audit.py", "/host/run.py": HERE / "run.py", "/holder": holder / "holder"},
        env=["PYTHONPATH=/usr/lib/probe-scout"],
        programs=("bpftool",),
        out=Path(options.keep) if options.keep else None,
        memory_mb=4096,
        timeout_s=1800,
        tool=True,
        echo=True,
    )
    if ended.status:
        print(ended.stderr[-2000:] + ended.console[-500:], file=sys.stderr)
    return ended.status


if __name__ == "__main__":
    sys.exit(main())
