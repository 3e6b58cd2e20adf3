"""What a guest of another architecture is made of: Debian's packages, unpacked, never installed on this machine.

`tree` has busybox, Python and the C library's headers; the prober is compiled against it by clang and ld.lld
($PROBE_SCOUT_LLD, or the one of the PATH).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from . import cache, fetch
from .problems import LabError, program

if TYPE_CHECKING:
    from .machines import Machine

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("code", "zstd")
# busybox and the prober need no library; the tool needs Python with what its modules are linked to.
GUEST = ("busybox-static", "libc6", "zlib1g")
PYTHON = ("python{0}-minimal", "libpython{0}-minimal", "libpython{0}-stdlib")
GUEST_LIBRARIES = ("libexpat1", "libssl3", "libffi8", "libsqlite3-0", "liblzma5", "libbz2-1.0", "libuuid1")
# What loads programs there; kept beside the tree, as only the lane of stubs needs it.
LOADER = ("libbpf1", "libelf1", "libzstd1", "zlib1g")
COMPILER = ("libc6-dev", "linux-libc-dev", "libgcc-{0}-dev")


def tree(machine: Machine) -> Path:
    """The folder with the unpacked packages; fetched once."""
    folder = cache.root() / "foreign" / machine.debian
    with cache.locked(f"foreign-{machine.debian}"):
        if (folder / "done").exists():
            return folder
        with cache.locked(f"suite-{machine.suite}-{machine.debian}"):
            options = fetch.suite_options(machine.suite, machine.debian)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".foreign-", dir=folder.parent) as scratch:
            wanted = [*GUEST, *(name.format(machine.gcc) for name in COMPILER)]
            if machine.python:
                wanted += [*(name.format(machine.python) for name in PYTHON), *GUEST_LIBRARIES]
            fetch.run("apt-get", *options, "download", "-q", *wanted, folder=Path(scratch))
            made = Path(scratch) / "made"
            made.mkdir()
            for place in ("bin", "sbin", "lib"):  # as a merged system has them
                (made / "usr" / place).mkdir(parents=True)
                (made / place).symlink_to(f"usr/{place}")
            for deb in sorted(Path(scratch).glob("*.deb")):
                _unpack(deb, made)
            (made / "done").touch()
            made.rename(folder)
    return folder


def wheels(machine: Machine) -> Path:
    """The folder with what the tool depends on, from wheels of the architecture and of the guest's Python.

    Raises LabError for an architecture whose guests have no Python.
    """
    if not machine.python:
        raise LabError(f"the tool is not taken to guests of {machine.debian}: Debian's wheels of it were not tried")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(line for name in EXTRAS for line in project["optional-dependencies"][name])]
    folder = cache.root() / "foreign" / f"{machine.debian}-wheels"
    stamp = folder / "wanted"
    with cache.locked(f"wheels-{machine.debian}"):
        if stamp.exists() and stamp.read_text().splitlines() == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        words = [
            "--target",
            str(folder),
            "--only-binary=:all:",
            "--python-version",
            machine.python,
            "--quiet",
            "--no-compile",
        ]
        words += ["--platform", f"manylinux2014_{machine.uname}", "--platform", f"manylinux_2_28_{machine.uname}"]
        fetch.run(sys.executable, "-m", "pip", "install", *words, *wanted)
        stamp.write_text("".join(f"{line}\n" for line in wanted))
    return folder


def loader(machine: Machine) -> Path:
    """The folder with libbpf and what it is linked to, fetched once."""
    folder = cache.root() / "foreign" / f"{machine.debian}-libbpf"
    with cache.locked(f"loader-{machine.debian}"):
        if not folder.exists():
            with cache.locked(f"suite-{machine.suite}-{machine.debian}"):
                options = fetch.suite_options(machine.suite, machine.debian)
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".loader-", dir=folder.parent) as scratch:
                fetch.run("apt-get", *options, "download", "-q", *LOADER, folder=Path(scratch))
                made = Path(scratch) / "made"
                (made / "usr" / "lib").mkdir(parents=True)
                (made / "lib").symlink_to("usr/lib")
                for deb in sorted(Path(scratch).glob("*.deb")):
                    _unpack(deb, made)
                made.rename(folder)
    return folder / "usr" / "lib" / machine.triple


def _unpack(deb: Path, folder: Path) -> None:
    """Like dpkg-deb -x, and a package's /lib goes through the link to usr/lib."""
    packed = subprocess.run([program("dpkg-deb"), "--fsys-tarfile", str(deb)], check=True, capture_output=True).stdout
    words = [program("tar"), "-x", "--keep-directory-symlink", "-C", str(folder)]
    subprocess.run(words, input=packed, check=True)


def busybox(machine: Machine) -> Path:
    """The static busybox."""
    return tree(machine) / "bin" / "busybox"


def compile_static(machine: Machine, source: Path, target: Path) -> None:
    """A static program. Raises LabError with the compiler's words."""
    root = tree(machine)
    linker = os.environ.get("PROBE_SCOUT_LLD") or shutil.which("ld.lld") or ""
    if not linker:
        raise LabError(f"ld.lld is not installed; a prober of {machine.debian} needs it (package lld)")
    runtime = root / "usr/lib/gcc" / machine.triple / machine.gcc
    words = [
        *(program("clang"), f"--target={machine.triple}", f"--sysroot={root}", "-O2", "-static", f"-fuse-ld={linker}"),
        *(f"-B{runtime}", f"-L{runtime}", "-isystem", f"{root}/usr/include/{machine.triple}"),
        *("-o", str(target), str(source)),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"clang could not build {source.name} for {machine.debian}: {done.stderr.strip()[:600]}")
