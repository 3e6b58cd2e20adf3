"""Closed streams, full disks, closed pipes and roots that cannot be read, for every command and format (matrix.py)."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from . import matrix

CELLS = matrix.cells() if matrix.WHOLE else matrix.quick(matrix.cells())


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(cell).replace(" ", "_"))
def test_a_cell_of_the_matrix(cell, tmp_path):
    assert matrix.run_cell(cell, tmp_path) == ""


def test_the_quick_share_has_every_condition_that_asks_no_machine():
    found = {cell.condition for cell in matrix.quick(matrix.cells())}
    assert found == {*matrix.STREAMS, *matrix.ROOTS} - {"ordinary user"}


def test_every_command_is_in_the_matrix():
    from probe_scout.frontends.cli.app import app

    commands = {command.callback.__name__ for command in app.registered_commands}
    # A snapshot writes a file (test_snapshot_command.py), mcp answers what it is sent (tests/frontends/test_mcp.py).
    assert commands - {words[0] for words, _, _ in matrix.LINES.values() if words} == {"snapshot", "mcp"}


@pytest.mark.parametrize("line", [["rules"], ["--help"], ["--version"], ["check", "--help"], ["scan", "vfs_re*"]])
@pytest.mark.parametrize(("redirect", "code"), [(">&-", 4), (">/dev/full", 4)])
def test_an_answer_that_cannot_be_written_is_never_a_no(line, redirect, code):
    line = [*line, f"--root={matrix.WHOLE_KERNEL}"] if line[0] == "scan" else line
    done = matrix.run(line, redirect)
    assert (done.code, done.out) == (code, b"")
    assert done.err.startswith(b"probe-scout: standard output cannot be written: ")
    assert done.err.count(b"\n") == 1


def test_help_into_a_closed_pipe_is_quiet():
    assert matrix.run_into_closed_pipe(["--help"]) == (141, b"", b"")


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full"])
def test_diagnostics_never_move_into_the_answer(redirect, tmp_path):
    done = matrix.run(["check", "vfs_read", f"--root={tmp_path}/missing", "--format", "csv"], redirect)
    assert done == (4, b"", b"")


def test_both_streams_closed_change_no_file(tmp_path):
    """Descriptors 1 and 2 of a file that is read: nothing may be written into it."""
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    kallsyms = root / "proc" / "kallsyms"
    kallsyms.write_bytes(b"ffffffff81000000 T _stext\n")
    done = matrix.run(["check", "vfs_read", f"--root={root}"], ">&- 2>&- <&-")
    assert done.code not in (0, 1)
    assert kallsyms.read_bytes() == b"ffffffff81000000 T _stext\n"


def test_a_package_that_is_missing_is_named_with_what_installs_it():
    program = "import sys\nsys.modules['typer'] = None\nfrom probe_scout.frontends.cli import run\n"
    program += "sys.exit(run.main(['rules', '-h']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"-m pip install typer" in done.stderr
    assert b"defect" not in done.stderr


def test_an_interrupt_while_modules_are_imported_is_quiet():
    """The signal comes with the first import of the command line."""
    program = (
        "import builtins, os, signal, sys\n"
        "from probe_scout import __main__\n"
        "old = builtins.__import__\n"
        "def late(name, *rest):\n"
        "    if 'cli' in name or rest and rest[2] and 'run' in rest[2]: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return old(name, *rest)\n"
        "builtins.__import__ = late\n"
        "sys.argv = ['probe-scout', 'rules']\n"
        "__main__.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, b"", b"")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (["mcp"], 0, b""),
        (["check", "-"], 2, b"probe-scout: the list holds no name\n"),
        (["lint", "-"], 4, b"no BPF object"),
        (["matrix", "-"], 2, b"standard input"),
    ],
)
def test_a_closed_standard_input_is_an_empty_one(line, code, says):
    done = matrix.run(line, "<&-")
    assert done.code == code
    assert says in done.out + done.err
    assert b"NoneType" not in done.err
