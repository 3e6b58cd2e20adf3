"""What `check` loads: counts of modules, not milliseconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .tree import ROOT

FORBIDDEN = {
    "typer", "rich", "click", "pydantic", "tabulate", "elftools", "pyroute2", "capstone", "dataclasses", "pathlib",
    "inspect", "importlib.metadata", "subprocess", "argparse", "asyncio", "difflib", "urllib", "email", "unittest",
    "typing",
}  # fmt: skip
MODULES_MAX = 103

PROGRAM = """
import sys
before = set(sys.modules)
from probe_scout.__main__ import main
code = main(sys.argv[1:])
print(code, *sorted(set(sys.modules) - before), file=sys.stderr)
"""


@pytest.fixture
def small_root(tmp_path):
    """A root with a few symbols and nothing else: every other fact is unread."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "kallsyms").write_text(
        "ffffffff81000000 T _stext\nffffffff81001000 T vfs_read\nffffffff81002000 T _etext\n"
        "ffffffff81003000 T _sinittext\nffffffff81004000 T _einittext\n"
    )
    return tmp_path


def loaded(tmp_path, *line):
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *line],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        cwd=tmp_path,
    )
    code, *names = done.stderr.splitlines()[-1].split()
    return int(code), names, done.stdout


@pytest.mark.parametrize(
    "line", [["check", "vfs_read"], ["check", "vfs_read", "--type", "kprobe"], ["__complete", "--", "check", "vfs"]]
)
def test_the_fast_road_loads_no_heavy_module(small_root, line):
    code, names, out = loaded(small_root, *line, "--root", str(small_root))
    if line[0] == "check":
        assert code in (1, 3), out
    assert FORBIDDEN.intersection(names) == set()


@pytest.mark.parametrize("line", [["kfunc", "vfs_read"], ["context", "vfs_read"], ["context", "xdp"], ["features"]])
def test_calls_and_contexts_load_no_heavy_module(small_root, line):
    code, names, out = loaded(small_root, *line, "--root", str(small_root))
    assert code == 3, out
    assert FORBIDDEN.intersection(names) == set()


def test_the_fast_road_loads_few_modules(small_root):
    _, names, _ = loaded(small_root, "check", "vfs_read", "--root", str(small_root))
    assert len([name for name in names if name.startswith("probe_scout")]) <= MODULES_MAX


def test_a_user_function_loads_what_user_functions_need(small_root, tmp_path):
    """What only kernel functions need stays out."""
    (tmp_path / "true").write_bytes(Path("/bin/true").read_bytes())
    code, names, out = loaded(small_root, "check", "/true:0x0", "--root", str(small_root))
    assert code in (1, 3), out
    assert FORBIDDEN.intersection(names) == set()
    kept_out = (
        "commands.check",
        "probes.attach.verdicts",
        "probes.inlining.coverage",
        "sources.cache",
        "formats.elf.usdt",
    )
    assert not {f"probe_scout.{name}" for name in kept_out}.intersection(names)
    assert len([name for name in names if name.startswith("probe_scout")]) <= MODULES_MAX


def test_a_broken_pin_of_typer_would_show(small_root):
    """Other commands load typer, and none loads pydantic: the reason for the upper bound in pyproject.toml."""
    _, names, _ = loaded(small_root, "rules")
    assert "typer" in names
    assert "pydantic" not in names
