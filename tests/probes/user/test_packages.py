"""Real files of Debian packages: functions and static probes as readelf tells them. `pytest -m machine`.

The packages are fetched by apt-get and unpacked below a folder that the lane makes; a package that the machine's
sources do not have is skipped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from probe_scout.formats.elf import usdt
from probe_scout.formats.elf.user_image import UserImage
from probe_scout.frontends.session import open_kernel
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

pytestmark = pytest.mark.machine
PACKAGES = (
    ("bash", "bin/bash"),
    ("libc6", "libc.so.6"),
    ("libssl3", "libssl.so.3"),
    ("python3.11-minimal", "usr/bin/python3.11"),
    ("libstdc++6", "libstdc++.so.6.*"),
    ("gh", "usr/bin/gh"),
    ("ripgrep", "usr/bin/rg"),
    ("postgresql-15", "bin/postgres"),
)


@pytest.fixture(scope="module", params=PACKAGES, ids=[name for name, _ in PACKAGES])
def unpacked(request, tmp_path_factory) -> Path:
    """The wanted file of one package."""
    name, pattern = request.param
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("needs apt-get and dpkg-deb")
    folder = tmp_path_factory.mktemp(name.replace("+", "_"))
    done = subprocess.run(["apt-get", "download", name], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{name} was not fetched: {done.stderr.strip().splitlines()[-1:]}")
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "tree"], check=True)
    files = (path for path in (folder / "tree").rglob(Path(pattern).name) if path.is_file() and not path.is_symlink())
    return next(path for path in files if path.read_bytes()[:4] == b"\x7fELF")


def test_functions_are_those_of_nm(unpacked, tmp_path):
    write_tree(tmp_path, tiny_files(symbols=("foo",)))
    (tmp_path / "etc").mkdir(exist_ok=True)
    shutil.copy(unpacked, tmp_path / "file")
    rows = {row.target.partition(":")[2]: row for row in open_kernel(str(tmp_path)).scan("/file", ["uprobe"]).rows}
    text = programs.run(programs.tool("readelf"), "-W", "--dyn-syms", str(unpacked))
    wanted = re.findall(r"\s(?:FUNC|IFUNC)\s+\w+\s+\w+\s+(?!UND)\S+ (\S+)$", text, re.M)
    names = {name.partition("@")[0] for name in wanted}
    assert names <= {name.partition("@")[0] for name in rows}
    image = UserImage(unpacked.read_bytes(), "file")
    is_named = bool(names) or image.section(".gopclntab") is not None  # a stripped Rust program names none
    assert bool(rows) == is_named
    assert {row.answers["uprobe"] for row in rows.values()} <= {"yes", "no", "unknown"}


def test_static_probes_are_those_of_readelf(unpacked):
    text = programs.run(programs.tool("readelf"), "-W", "--notes", str(unpacked))
    wanted = sorted(zip(re.findall(r"Provider: (\S+)", text), re.findall(r"Name: (\S+)", text), strict=True))
    assert sorted((site.provider, site.name) for site in usdt.sites(UserImage(unpacked.read_bytes(), "file"))) == wanted
