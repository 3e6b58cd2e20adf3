"""What documents promise: the API's examples give what they show, and every command they print can be typed."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from probe_scout.frontends import session
from probe_scout.frontends.cli import app, run

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = "fixtures/kernels/debian-6.12.107-amd64.tar.xz"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HEADS = ("./run ", "sudo ./run ", "probe-scout ", "python3 -m probe_scout ", "python -m probe_scout ")
# Asked on their own: they pass or start something else, wait for input, or write where the document says.
NOT_RUN = ("test", "snapshot", "__complete", "mcp")
INPUTS = b'{"schema": "probe-scout/audit-inputs/1"}'  # of a machine on which nothing is attached
PLACEHOLDERS = ("FILE", "FOLDER", "PATH", "NAME", "GLOB", "ARGUMENTS", "ROOT", "[", "…")


@pytest.fixture
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_examples_of_the_api(at_root):
    failed, tried = doctest.testmod(session, verbose=False)
    assert (failed, tried) == (0, tried)
    assert tried >= 6


def test_the_examples_of_the_page_on_python(at_root):
    failed, tried = doctest.testfile(str(ROOT / "docs" / "api.md"), module_relative=False)
    assert failed == 0
    assert tried >= 18


def commands():
    """Every command line inside a code block or in back-quotes, without its comment, once."""
    found = {}
    for path in DOCUMENTS:
        text = path.read_text()
        lines = [line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", text)
        for line in lines:
            head = next((head for head in HEADS if line.startswith(head)), None)
            if head is None:
                continue
            words = shlex.split(line.removeprefix(head).partition(" | ")[0], comments=True)
            if words and words[0] not in NOT_RUN and not any(p in word for word in words for p in PLACEHOLDERS):
                found[" ".join(words)] = words
    return found


def examples():
    """Command and output of each console example of the README."""
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^```console\n\$ \./run ([^\n]*)\n(.*?)^```", text, re.M | re.S)


def test_the_readme_has_three_examples():
    assert len(examples()) == 3


@pytest.mark.parametrize(("line", "shown"), examples(), ids=lambda text: text.split()[0])
def test_an_example_of_the_readme_is_what_comes(line, shown):
    command, _, cut = line.partition(" | ")
    done = subprocess.run(
        [sys.executable, "-m", "probe_scout", *shlex.split(command)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert shown in done.stdout if cut else shown == done.stdout


def test_documents_hold_commands():
    assert len(commands()) >= 8


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_documents_runs(line, at_root, capsys, tiny_folder):
    words = commands()[line]
    if words[0] == "verify":  # attaches to the machine it runs on
        assert app.read(words).command == "verify"
        return
    if words[0] == "audit" and "--root" not in words:
        words = [*words, "--root", str(tiny_folder(["vfs_read"], files={"tool/audit.json": INPUTS}))]
    if words[0] in ("check", "scan", "tracepoint", "stub", "doctor") and "--root" not in words:
        words = [*words, "--root", SNAPSHOT]  # a recorded kernel answers the same everywhere
    code = run.main(words)
    out, err = capsys.readouterr()
    assert code in (0, 1, 3), err
    assert out
    assert "defect" not in err
