"""The one-file program: reproducible, and it answers with no package installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RECORDED

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("zipapp_of_probe_scout", ROOT / "docs" / "zipapp.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("zipapp")
    for name in ("a.pyz", "b.pyz"):
        module.write(folder / name)
    return folder


def started(built, home, *words):
    plain = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "PROBE_SCOUT_CACHE": "off"}
    line = [sys.executable, "-S", "-I", str(built / "a.pyz"), *words]
    return subprocess.run(line, capture_output=True, text=True, env=plain, check=False, cwd="/")


def test_the_same_files_give_the_same_bytes(built):
    assert (built / "a.pyz").read_bytes() == (built / "b.pyz").read_bytes()


def test_it_answers_without_any_package(built, tmp_path):
    done = started(built, tmp_path, "check", "do_execve", "--root", str(RECORDED))
    assert (done.returncode, done.stderr) == (1, "")
    assert "do_execve cannot be probed" in done.stdout
    assert started(built, tmp_path, "check", "--help").returncode == 0
    assert started(built, tmp_path, "scan", "vfs_rea*", "--root", str(RECORDED), "--format", "grid").returncode == 0
    (folder,) = (tmp_path / ".cache" / "probe-scout").iterdir()
    folder.chmod(0o777)
    done = started(built, tmp_path, "--version")
    assert (done.returncode, "belongs to someone else" in done.stderr) == (1, True)


def test_it_runs_where_no_cache_folder_can_be_made(built, tmp_path):
    (tmp_path / ".cache").write_text("a file, where a folder would be")
    done = started(built, tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == [".cache"]
