"""Prints what `lint` costs: CPU time of whole processes, for one object and for a folder of them, on some kernels.

    python bench/lint.py --root KERNEL [--root ...] [--objects FOLDER] [--runs 3]

FOLDER holds objects or executables with embedded ones; without it fixtures/objects is taken. The project's figures are
of libbpf-tools, by `dpkg-deb -x libbpf-tools_*.deb FOLDER`. Each question is asked three ways: with nothing kept, then
with a cache that is empty, then out of that cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENTRY = "import sys; from probe_scout.frontends.cli.run import main; sys.exit(main(sys.argv[1:]))"


def cost(words: list[str], cache: str, runs: int) -> tuple[float, float, str]:
    """Least CPU seconds, peak MiB and the output of a run of the tool; `cache`: its cache folder, or off."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PROBE_SCOUT_CACHE": "off"} if cache == "off" else {"XDG_CACHE_HOME": cache}
    least, peak, out = float("inf"), 0.0, ""
    for _ in range(runs):
        with tempfile.TemporaryFile("w+") as said:
            command = [sys.executable, "-c", ENTRY, *words]
            running = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, cwd=HERE, env=environment)
            _, status, used = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
            if running.returncode not in (0, 1, 3):
                raise SystemExit(f"{' '.join(words)} ended with {running.returncode}")
            least = min(least, used.ru_utime + used.ru_stime)
            said.seek(0)
            peak, out = used.ru_maxrss / 1024, said.read()
    return least, peak, out


def line(what: str, paths: list[str], kernels: list[str], runs: int) -> None:
    """One row: without anything kept, the first run that keeps, the next one."""
    words = ["lint", *paths, *(word for root in kernels for word in ("--root", root)), "--json"]
    with tempfile.TemporaryDirectory() as cache:
        cost(words, "off", 1)  # writes byte code
        off, peak, out = cost(words, "off", runs)
        first, _, _ = cost(words, cache, 1)
        kept, _, again = cost(words, cache, runs)
    if again != out:
        raise SystemExit(f"{what}: the kept answer is another")
    objects = json.loads(out)["objects"]
    programs = sum(len(each["programs"]) for one in objects for each in one["kernels"])
    answers = f"{len(objects)} x {len(kernels)}"
    each = off / max(programs, 1) * 1000
    print(
        f"{what:<14}{answers:>10}{programs:>10}{off:>9.2f}{first:>9.2f}{kept:>9.2f}{each:>9.1f}{peak:>9.0f}", flush=True
    )


def each(files: list[str], kernels: list[str], asked: float, runs: int) -> None:
    """The first run of every file by itself, with an empty cache: how it spreads, and which take longer than asked."""
    taken = []
    for path in files:
        words = ["lint", path, *(word for root in kernels for word in ("--root", root)), "--json"]
        least = float("inf")
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as cache:
                least = min(least, cost(words, cache, 1)[0])
        taken.append((least, os.path.basename(path)))
    taken.sort()
    over = [f"{name} {seconds:.2f}" for seconds, name in taken if seconds > asked]
    middle = taken[len(taken) // 2][0]
    print(
        f"first run of each, s: least {taken[0][0]:.2f}, median {middle:.2f}, most {taken[-1][0]:.2f} ({taken[-1][1]})"
    )
    print(f"longer than {asked} s: {len(over)} of {len(taken)}" + (f": {', '.join(over)}" if over else ""), flush=True)


def main() -> None:
    asked = argparse.ArgumentParser(description="CPU time of probe-scout lint")
    asked.add_argument("--root", action="append", required=True)
    asked.add_argument("--objects", default=os.path.join(HERE, "fixtures", "objects"))
    asked.add_argument("--runs", type=int, default=3)
    asked.add_argument("--most", type=float, default=0.6, help="CPU seconds that a first run of one file may take")
    options = asked.parse_args()
    kernels, folder = [os.path.abspath(root) for root in options.root], os.path.abspath(options.objects)
    files = sorted(
        {os.path.realpath(os.path.join(top, name)) for top, _, names in os.walk(folder) for name in names},
        key=os.path.getsize,
    )
    head = ("objects x kernels", "programs", "off s", "first s", "kept s", "ms each", "MiB")
    print(f"{'':<7}{head[0]:>17}" + "".join(f"{title:>{10 if title == 'programs' else 9}}" for title in head[1:]))
    for what, path in (("smallest", files[0]), ("middle", files[len(files) // 2]), ("largest", files[-1])):
        line(what, [path], kernels, options.runs)
    line("all", [folder], kernels, 1)
    each(files, kernels, options.most, options.runs)


if __name__ == "__main__":
    main()
