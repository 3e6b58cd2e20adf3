"""Completion: what is offered where, and that the scripts are sound for their shells."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from probe_scout.errors import Denied
from probe_scout.frontends.cli import app, complete, run
from probe_scout.frontends.cli.request import SHELLS

from .conftest import StubKernel


def offered(stub, capsys, *line):
    kernel = stub(StubKernel())
    assert run.main(["__complete", *line]) == 0
    return capsys.readouterr().out.splitlines(), kernel


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["vfs_re"], ["vfs_read", "vfs_readv"]),
        (["tp:sched", "--root", "x"], ["tp:sched:sched_switch"]),
        (["--", "ch"], ["check"]),
        (["--", "check", "vfs_re"], ["vfs_read", "vfs_readv"]),
        (["--", "check", "vfs_read", "--type", "fmod"], ["fmod_ret", "fmod_ret.s"]),
        (["--", "check", "--type", "tp,fmod"], ["tp,fmod_ret", "tp,fmod_ret.s"]),
        (["--", "check", "--type=fmod"], ["--type=fmod_ret", "--type=fmod_ret.s"]),
        (["--", "check", "--fo"], ["--format"]),
        (["--", "check", "--format", "js"], ["json"]),
        (["--", "check", "--root", "x"], [":files"]),
        (["--", "tracepoint", "sched:"], ["sched:sched_switch"]),
        (["--", "completion", "z"], ["zsh"]),
        (["--", "doctor", "x"], []),
    ],
)
def test_what_is_offered(stub, capsys, line, found):
    assert offered(stub, capsys, *line)[0] == found


def test_rule_ids_are_offered(stub, capsys):
    assert "symbol_lookup.ambiguous" in offered(stub, capsys, "--", "rules", "symbol_lookup.am")[0]


def test_the_root_on_the_line_is_the_one_that_is_asked(stub, capsys):
    _, kernel = offered(stub, capsys, "--", "check", "--root", "x.tar.xz", "vfs")
    assert kernel.opened == [("x.tar.xz", None)]


def test_an_unreadable_source_offers_nothing_in_silence(monkeypatch, capsys):
    def fail(root, vmlinux=None):
        raise Denied("proc/kallsyms", "Permission denied")

    monkeypatch.setattr(run, "open_kernel", fail)
    assert run.main(["__complete", "vfs"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_options_offered_are_the_options_that_exist():
    import typer

    for name, command in typer.main.get_command(app.app).commands.items():
        exist = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        assert set(complete.OPTIONS[name]) - {"--help"} == exist, name
    assert set(complete.OPTIONS) == set(typer.main.get_command(app.app).commands)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (["--root", "x", "rul"], ["rules"]),
        (["--ro"], ["--root"]),
        (["--root", ""], [":files"]),
        (["--root", "x", "--color", "ne"], ["never"]),
        (["nothing", "x"], []),
        (["--root", "x", "rules", "symbol_lookup.amb"], ["symbol_lookup.ambiguous"]),
    ],
)
def test_options_before_the_command(line, found):
    assert complete.suggestions(["--", *line], lambda root, vmlinux: pytest.fail("a kernel was opened")) == found


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_read_by_their_shell(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n"], input=complete.script(shell), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("probe-scout rul", ["rules"]),
        ("probe-scout check x --type fmod", ["fmod_ret", "fmod_ret.s"]),
        ("probe-scout check x --type=fmod", ["fmod_ret", "fmod_ret.s"]),
        ("probe-scout rules symbol_lookup.amb", ["symbol_lookup.ambiguous"]),
    ],
)
def test_bash_completes(tmp_path, line, found):
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    command = tmp_path / "probe-scout"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m probe_scout "$@"\n')
    command.chmod(0o755)
    words = line.split(" ")
    program = f"""
        PATH="{tmp_path}:$PATH"
        {complete.script("bash")}
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({" ".join(words)}) COMP_CWORD={len(words) - 1}
        _probe_scout && printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", program], text=True, capture_output=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (found, "")
