"""Ladders as data: what kernels took, in files that the compilers of each language read."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from probe_scout.frontends.render.ladder import LANGUAGES, lines
from probe_scout.model.hooks import Hook
from probe_scout.model.matrix import Cell, Column, MatrixReport
from probe_scout.model.report import KernelInfo

ODD = 'a"b\\c */ \n?? é <script>'
NO = KernelInfo("", "", "", "", "")


@pytest.fixture
def report():
    hooks = (Hook("exec", ("fentry/do_execve", "kprobe/bprm_execve")), Hook(ODD, ("x",)), Hook("Exec", ("y",)))
    cells = (
        Cell(0, 0, "instead", "yes", "kprobe", "bprm_execve", 1),
        Cell(0, 1, "attaches", "yes", "fentry", "do_execve", 0),
        Cell(1, 0, "attaches", "yes", "tp", f"tp:{ODD}", 0),
        Cell(1, 1, "attaches", "yes", "tp", f"tp:{ODD}", 0),
        Cell(2, 0, "instead", "no", "fentry", "proposed", -1),
        Cell(2, 1, "refused", "no"),
    )
    return MatrixReport((Column("a", NO), Column("b", NO)), hooks, cells)


def test_rungs_that_some_kernel_took_in_their_order(report):
    text = "\n".join(lines(report, "c"))
    assert 'hook_exec[] = {{"fentry", "do_execve"}, {"kprobe", "bprm_execve"}, {0, 0}};' in text
    assert "hook_exec_[] = {{0, 0}};" in text
    assert "proposed" not in text


COMPILERS = {
    "c": ("h", ["cc", "-xc", "-std=c11", "-Wall", "-Wno-unused", "-Werror", "-fsyntax-only"]),
    "rust": ("rs", ["rustc", "--crate-type=lib", "--emit=metadata"]),
    "go": ("go", ["gofmt", "-e", "-l"]),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_compilers_take_it(language, report, tmp_path):
    ending, command = COMPILERS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    path = tmp_path / f"hooks.{ending}"
    path.write_text("\n".join(lines(report, language)) + "\n")
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
