"""Every command in every format, run as a process in conditions that scripts, cron and full disks make.

`cells` lists them; `run_cell` runs one and says what is wrong with it, "" for nothing. Run as a program it runs all:
python -m tests.frontends.cli.matrix.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
# The whole lane asks a whole kernel; in the default lane a slice, which opens in a third of the time.
WHOLE = os.environ.get("PROBE_SCOUT_STREAMS") == "whole"
WHOLE_KERNEL = str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz")
RECORDED = WHOLE_KERNEL if WHOLE else str(ROOT / "fixtures" / "kernels" / "debian-7.3.4-amd64.tar.xz")
OTHER = str(ROOT / "fixtures" / "kernels" / "debian-6.18.15-amd64.tar.xz")
FORMATS = ("table", "json", "ndjson", "csv", "md", "grid")
STREAMS = ("stdout closed", "stderr closed", "full disk", "closed pipe", "TERM=dumb")
ROOTS = ("ordinary user", "empty root", "unreadable root", "no root")
STEP = 41
CODES = frozenset((0, 1, 2, 3, 4))

# A command line; whether it takes --root; whether it takes --format.
LINES: dict[str, tuple[tuple[str, ...], bool, bool]] = {
    "check": (("check", "vfs_read"), True, True),
    "check nothing": (("check", "no_such_function"), True, True),
    "inline": (("inline", "do_execve"), True, True),
    "inline --all": (("inline", "--all", "vfs_re*"), True, True),
    "survey": (("survey",), False, True),
    "matrix": (("matrix", str(ROOT / "fixtures/hooks.txt")), True, True),
    "report": (("report", str(ROOT / "fixtures/hooks.txt"), "-o", "-"), True, False),
    "fleet": (("fleet", "list", "--store", "no_such_fleet"), False, True),
    "lint": (("lint", str(ROOT / "fixtures/objects/strong.bpf.o")), True, True),
    "features": (("features",), True, True),
    "kfunc": (("kfunc", "bpf_task_acquire"), True, True),
    "context": (("context", "vfs_read"), True, True),
    "scan": (("scan", "vfs_re*"), True, True),
    "scan nothing": (("scan", "no_such_function*"), True, True),
    "tracepoint": (("tracepoint", "sched:sched_switch"), True, True),
    "tracepoint nothing": (("tracepoint", "no:such_event"), True, True),
    "audit": (("audit",), True, True),
    "verify": (("verify", "vfs_read", "--dry"), True, True),
    "diff": (("diff", RECORDED, OTHER, "vfs_re*"), False, True),
    "stub": (("stub", "sched:sched_switch"), True, True),
    "stub nothing": (("stub", "no:such_event"), True, True),
    "rules": (("rules",), False, True),
    "rules ID": (("rules", "symbol_lookup.no_symbol"), False, True),
    "doctor": (("doctor",), True, True),
    "completion": (("completion", "bash"), False, False),
    "names": (("__complete", "vfs_re"), True, False),
    "--help": (("--help",), False, False),
    "check --help": (("check", "--help"), False, False),
    "--version": (("--version",), False, False),
    "no arguments": ((), False, False),
    "no such command": (("chek", "x"), False, False),
}
# Documents that a command prints under another name than its own.
SCHEMAS = {"inline --all": "inline_all"}


class Cell(NamedTuple):
    name: str
    format: str
    condition: str


def cells() -> list[Cell]:
    """Every cell: formats only for commands that have them, roots only for commands that read one."""
    found = []
    for name, (_, has_root, has_format) in LINES.items():
        for condition in (*STREAMS, *(ROOTS if has_root else ())):
            found += [Cell(name, one, condition) for one in (FORMATS if has_format else ("",))]
    return found


def quick(every: list[Cell]) -> list[Cell]:
    """A share of the cells that takes seconds: no cell that asks this machine, and each condition several times."""
    return [cell for cell in every if cell.condition != "ordinary user"][::STEP]


class Ran(NamedTuple):
    code: int
    out: bytes
    err: bytes


def line_of(cell: Cell, root: str) -> list[str]:
    words, has_root, _ = LINES[cell.name]
    line = [*words, *(["--format", cell.format] if cell.format else [])]
    return [*line, f"--root={root}"] if has_root and root else line


def run(line: list[str], redirect: str = "", before: tuple[str, ...] = (), **environment: str) -> Ran:
    """One process; `redirect` as a shell writes it, `before` a program that runs it. A minute is the limit."""
    command = [*before, sys.executable, "-m", "probe_scout", *line]
    shell = ["sh", "-c", f'exec "$@" {redirect}', "sh", *command]
    done = subprocess.run(shell, capture_output=True, check=False, timeout=60, env=_env(**environment))
    return Ran(done.returncode, done.stdout, done.stderr)


@functools.cache
def ordinary_user() -> tuple[str, ...]:
    """What makes a process one without rights: another user, or where Python is closed to others, no capability."""
    if os.geteuid() != 0:
        return ()
    other = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    if subprocess.run([*other, sys.executable, "-c", ""], capture_output=True, check=False).returncode == 0:
        return other
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


_plain: dict[tuple[str, str], Ran] = {}


def plain(cell: Cell) -> Ran:
    """The same line where nothing is in the way."""
    key = (cell.name, cell.format)
    if key not in _plain:
        _plain[key] = run(line_of(cell, RECORDED))
    return _plain[key]


def run_cell(cell: Cell, folder: Path) -> str:
    """What is wrong with this cell; "" for nothing."""
    if cell.condition in ROOTS:
        return _root(cell, folder)
    usual = plain(cell)
    line = line_of(cell, RECORDED)
    if cell.condition == "TERM=dumb":
        return _same(usual, run(line, TERM="dumb"))
    if cell.condition == "stderr closed":
        silent = usual._replace(err=b"")
        return _same(silent, run(line, "2>&-")) or _same(silent, run(line, "2>/dev/full"))
    if cell.condition == "closed pipe":
        return _broken(usual, run_into_closed_pipe(line), 141, "")
    done = run(line, ">&-" if cell.condition == "stdout closed" else ">/dev/full")
    return _broken(usual, done, 4, "probe-scout: standard output cannot be written: ")


def run_into_closed_pipe(line: list[str]) -> Ran:
    """One process whose standard output is a pipe without a reader."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "probe_scout", *line]
    try:
        done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False, timeout=60, env=_env())
    finally:
        os.close(write_end)
    return Ran(done.returncode, b"", done.stderr)


def _env(**more: str) -> dict[str, str]:
    env = {**os.environ, "PROBE_SCOUT_CACHE": "off", "PROBE_SCOUT_DEBUG": "off", "PYTHONPATH": str(ROOT), **more}
    env.pop("COLUMNS", None)
    return env


def _same(usual: Ran, done: Ran) -> str:
    if b"Traceback" in done.err + done.out:
        return "a traceback"
    if usual.code != done.code:
        return f"exit code {done.code}, and {usual.code} where nothing is in the way"
    return "" if (usual.out, usual.err) == (done.out, done.err) else "other words than where nothing is in the way"


def _broken(usual: Ran, done: Ran, code: int, sentence: str) -> str:
    if not usual.out:  # nothing to write, so nothing that could not be written
        return _same(usual, done)
    if b"Traceback" in done.err or done.out:
        return "a traceback, or output where none can be"
    if done.code != code:
        return f"exit code {done.code} and not {code}"
    said = done.err.decode().splitlines()[-1:]
    return "" if not sentence or said[0].startswith(sentence) else f"it says {said}"


def _root(cell: Cell, folder: Path) -> str:
    root, before = "", ordinary_user()
    if cell.condition == "empty root":
        root, before = str(folder / "empty"), ()
        os.makedirs(root, exist_ok=True)
    elif cell.condition == "unreadable root":
        root = str(folder / "closed")
        os.makedirs(root, exist_ok=True)
        os.chmod(root, 0)
    elif cell.condition == "no root":
        root, before = str(folder / "missing"), ()
    done = run(line_of(cell, root), before=before)
    if b"Traceback" in done.err + done.out or b"defect" in done.err:
        return f"a traceback or a defect: {done.err.decode()[-200:]}"
    if done.code not in CODES:
        return f"exit code {done.code}"
    if (
        cell.condition != "ordinary user"
        and done.code in (0, 1)
        and LINES[cell.name][0][0] not in ("doctor", "__complete")
    ):
        return f"exit code {done.code}, an answer, where nothing could be read"
    return _document(cell, done) if cell.format == "json" and done.code != 2 else ""


def _document(cell: Cell, done: Ran) -> str:
    try:
        document = json.loads(done.out)
    except ValueError:
        return f"no document: {done.out[:80]!r} {done.err[:160]!r}"
    schema = SCHEMAS.get(cell.name, cell.name.split()[0])
    if document.get("schema") != f"probe-scout/{schema}/1":
        return f"schema {document.get('schema')}"
    if done.code in (3, 4) and '"unread"' not in done.out.decode():
        return "no list of what could not be read"
    return ""


def main() -> int:
    """Run every cell and tell those that are wrong."""
    wrong = 0
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        every = [cell for cell in cells() if not sys.argv[1:] or sys.argv[1] in " ".join(cell)]
        for cell in every:
            if says := run_cell(cell, Path(made)):
                wrong += 1
                print(f"{cell.name} --format {cell.format}, {cell.condition}: {says}", flush=True)
    print(f"{len(every)} cells, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
