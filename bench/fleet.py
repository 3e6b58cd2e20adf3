"""Prints what a fleet costs: 300 synthetic builds of real kernels, and 100,000 hosts; CPU time of whole processes.

    python bench/fleet.py --root fixtures/kernels/debian-6.12.107-amd64.tar.xz [--root ...] [--builds 300] [--runs 3]

Each synthetic build is one of the kernels given with names of its own, names left out and other verdicts for some
(`CHANGED` in a thousand each), so that builds differ as the updates of one distribution do. They are written by the
store's own tables in one go, since only the questions and one more build are measured. With pyarrow, duckdb and polars
installed some are asked of the Parquet file too; that all engines answer alike is tested by the lane `engines`.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, HERE)

from probe_scout.frontends.fleet import judge  # noqa: E402
from probe_scout.sources.fleet_store import Store  # noqa: E402

CHANGED = 3  # of a thousand functions, for each kind of change
Rows = dict[tuple[str, str], str]


def variant(base: Rows, texts: list[str], number: int) -> Rows:
    """A build of the same line: some names are gone, some new, some judged otherwise."""
    chance = random.Random(number)
    rows = dict(base)
    names = chance.sample(sorted(rows), len(rows) * CHANGED * 2 // 1000)
    for place, name in enumerate(names):
        if place % 2:
            rows[name] = chance.choice(texts)
        else:
            del rows[name]
            rows[f"{name[0]}.v{number % 40}", name[1]] = texts[0]
    return rows


def fill(path: str, bases: list[Rows], builds: int) -> None:
    """The store with all builds, by its own tables."""
    texts = sorted({text for base in bases for text in base.values()})
    numbers = {text: number for number, text in enumerate(texts, 1)}
    cells: dict[tuple[str, str], bytearray] = {}
    store = Store(path, create=True)
    base = store._base
    base.execute("BEGIN")
    for place in range(builds):
        rows = variant(bases[place * len(bases) // builds], texts, place)
        for name, text in rows.items():
            row = cells.get(name)
            if row is None:
                row = cells[name] = bytearray(builds)
            row[place] = numbers[text]
        build = (f"6.{place // 50}.{place}", f"{place:040x}", "x86_64", len(rows), 0, "bench", "2026-01-01T00:00:00Z")
        base.execute("INSERT INTO build VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (place, f"{build[1]} x86_64", *build))
    base.executemany("INSERT INTO verdict VALUES (?, ?)", [(number, text) for text, number in numbers.items()])
    done = ((name, module, bytes(row.rstrip(b"\0"))) for (name, module), row in sorted(cells.items()))
    base.executemany("INSERT INTO function VALUES (?, ?, ?)", done)
    base.execute("COMMIT")
    store.close()


def fill_hosts(path: str, builds: int, hosts: int, each: int) -> None:
    """Hosts with attachments of some thousand kinds, by the store's own tables."""
    store = Store(path, create=True)
    base, chance = store._base, random.Random(1)
    names = [name for (name,) in base.execute("SELECT name FROM function WHERE module = '' ORDER BY name LIMIT 3000")]
    kinds = [
        (n + 1, "fentry" if n % 3 else "kprobe", name, "" if n % 50 == 0 else f"agent{n % 7}")
        for n, name in enumerate(names)
    ]
    base.execute("BEGIN")
    base.executemany("INSERT INTO attachment VALUES (?, ?, ?, ?)", kinds)
    rows = ((n, f"host{n:06}", f"{n % builds:040x}", "6.1", "2026-01-01T00:00:00Z") for n in range(hosts))
    base.executemany("INSERT INTO host VALUES (?, ?, ?, ?, ?)", rows)
    pairs = (
        (kind, n) for n in range(hosts) for kind in sorted({chance.randrange(len(kinds)) + 1 for _ in range(each)})
    )
    base.executemany("INSERT INTO attached VALUES (?, ?, 1)", pairs)
    base.execute("COMMIT")
    store.close()


def cost(words: list[str], runs: int) -> tuple[float, float, str]:
    """Least CPU milliseconds, peak MB and the output of a command, of so many runs."""
    least, peak, out = float("inf"), 0.0, ""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(runs + 1):  # the first writes byte code
        with tempfile.TemporaryFile("w+") as said:
            running = subprocess.Popen(words, stdout=said, stderr=subprocess.DEVNULL, cwd=HERE, env=environment)
            _, status, used = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
            if running.returncode not in (0, 1, 3):
                raise SystemExit(f"{' '.join(words)} ended with {running.returncode}")
            least = min(least, (used.ru_utime + used.ru_stime) * 1000)
            said.seek(0)
            peak, out = used.ru_maxrss / 1024, said.read()
    return least, peak, out


PEERS = {
    "duckdb": "import duckdb, sys; base = duckdb.connect(); view = 'CREATE VIEW f AS FROM \\'' + sys.argv[1] + '\\'';"
    " base.execute(view); print(len(base.execute(sys.argv[2]).fetchall()))",
    "polars": "import polars, sys; base = polars.SQLContext(f=polars.scan_parquet(sys.argv[1]));"
    " print(len(base.execute(sys.argv[2], eager=True)))",
}
ASKED = {
    "one name": "SELECT release, kprobe FROM f WHERE name = 'vfs_read'",
    "refused": "SELECT DISTINCT name FROM f WHERE name LIKE 'tcp_%' AND kprobe LIKE 'no%'",
    "diff of two builds": "SELECT a.name FROM f a JOIN f b ON a.name = b.name AND a.module = b.module"
    " WHERE a.build_id = '{}' AND b.build_id = '{}' AND a.fentry <> b.fentry",
}


def print_peers(path: str, folder: str, runs: int) -> None:
    """The same questions by other engines on the Parquet file, where they are installed."""
    file = os.path.join(folder, "fleet.parquet")
    done = subprocess.run(
        [sys.executable, "-m", "probe_scout", "fleet", "export", "--parquet", file, "--store", path],
        capture_output=True,
        text=True,
        cwd=HERE,
    )
    if done.returncode:
        print(f"no Parquet file: {done.stderr.strip()}")
        return
    print(f"Parquet {os.path.getsize(file) / 1e6:.1f} MB")
    for peer, program in PEERS.items():
        for name, text in ASKED.items():
            words = [sys.executable, "-c", program, file, text.format(f"{299:040x}", f"{298:040x}")]
            try:
                milliseconds, peak, out = cost(words, runs)
            except SystemExit:
                print(f"{peer}: not installed, or it failed on {name!r}")
                break
            print(f"{peer + ', ' + name:40} {milliseconds:8.0f} ms CPU {peak:6.0f} MB {out.strip()} rows")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", action="append", required=True, help="a whole snapshot; repeat it")
    parser.add_argument("--builds", type=int, default=300)
    parser.add_argument("--hosts", type=int, default=100_000, help="with 20 attachments each")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", default="", help="a folder for the store, used again if it is there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or scratch
        path = os.path.join(folder, "fleet.sqlite")
        if not os.path.exists(path):
            bases: list[Rows] = []
            for root in given.root:
                found = judge(root)
                if isinstance(found, str):
                    raise SystemExit(found)
                bases.append({(name, module): text for name, module, text in found.rows})
            started = time.process_time()
            fill(path, bases, given.builds)
            print(
                f"filled by hand: {time.process_time() - started:.1f} s, {os.path.getsize(path) / 1e6:.1f} MB of builds"
            )
            started = time.process_time()
            fill_hosts(path, given.builds, given.hosts, 20)
            print(f"hosts by hand: {time.process_time() - started:.1f} s")
        print(f"{given.builds} builds, {os.path.getsize(path) / 1e6:.1f} MB")
        tool = [sys.executable, "-m", "probe_scout", "fleet"]
        last = given.builds - 1
        questions = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "ask vfs_read": [*tool, "ask", "vfs_read", "--store", path],
            "ask vfs_read --json": [*tool, "ask", "vfs_read", "--store", path, "--json"],
            "ask 'tcp_*' --type kprobe --answer no": [
                *(*tool, "ask", "tcp_*", "--type", "kprobe", "--answer", "no", "--store", path)
            ],
            "diff of neighbours": [*tool, "diff", f"{last:040x}", f"{last - 1:040x}", "--store", path],
            "diff of first and last": [*tool, "diff", f"{0:040x}", f"{last:040x}", "--store", path],
            "list": [*tool, "list", "--store", path],
            "unowned": [*tool, "unowned", "--store", path],
            "upgrade of hosts": [*tool, "upgrade", f"{0:040x}", f"{last:040x}", "--store", path],
        }
        for name, words in questions.items():
            milliseconds, peak, out = cost(words, given.runs)
            print(f"{name:40} {milliseconds:8.0f} ms CPU {peak:6.0f} MB {len(out):9} characters")
        print_peers(path, folder, given.runs)
        milliseconds, peak, _ = cost([*tool, "add", given.root[0], "--store", path], 0)
        print(f"{'add one more build':40} {milliseconds:8.0f} ms CPU {peak:6.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
