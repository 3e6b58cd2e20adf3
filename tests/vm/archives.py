"""The parts of a guest's initramfs: the base (busybox, Python, init), the tool, and the job of one boot.

A guest needs no file system driver and no network: cloud kernels, which have no 9p, boot as well. Prepared parts
are kept in the cache, named by a digest of what they were made of; they are archives that follow each other.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import re
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import cache, foreign, modules, packages
from .cpio import Writer
from .machines import NATIVE
from .problems import LabError, program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .machines import Machine

GUEST = Path(__file__).resolve().parent / "guest"
FOLDERS = (
    "proc", "sys", "dev", "tmp", "run", "out", "root", "etc", "job", "home/user",
    "usr/bin", "usr/sbin", "usr/lib", "usr/lib64",
)  # fmt: skip
ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    "etc/group": b"root:x:0:\nuser:x:1000:\n",
}
# Parts of the standard library that no guest needs: tests, windows, installers; and prefixes of file names. pyroute2
# imports sqlite3.
LEFT_OUT = frozenset(
    ("test", "tests", "idlelib", "idle_test", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3", "venv",
     "pydoc_data", "distutils", "site-packages", "dist-packages", "__pycache__", "dbm", "curses")
)  # fmt: skip
LEFT_OUT_PREFIXES = ("_test", "_tkinter", "_gdbm", "_dbm", "_curses", "_codecs_", "xxlimited", "config-")
# The ports' drivers; modules in 5.10 and 6.1.
TRANSPORT = ("virtio_pci", "virtio_console")
TOOL_FOLDER = "usr/lib/probe-scout"
# Long enough for a boot that is about to read one; a checkout that is worked on makes many.
KEPT_SECONDS = 3600
READ_BYTES = 1 << 20


class Job(NamedTuple):
    """What one boot does beyond the base. `share` is guest path to path of this machine."""

    command: Sequence[str]
    share: Mapping[str, Path]
    modules: Sequence[str]
    env: Sequence[str]
    cwd: str
    programs: Sequence[str]
    without: Sequence[str]


def base(on: Machine = NATIVE) -> Path:
    """busybox, Python and init: the same for every kernel. Python is this interpreter's, or the packages' (foreign)."""
    made_of = [_state(GUEST / name) for name in ("init", "as_user.py")] + [_state(__file__)]
    if on is not NATIVE:
        made_of.append(_state(foreign.tree(on) / "done"))
        return _kept(f"{on.debian}-base", made_of, lambda out: _write_foreign(out, on))
    busybox = program("busybox")
    made_of += [sys.version, sys.base_prefix, *map(_state, (busybox, os.path.realpath(sys.executable)))]
    return _kept("base", made_of, _write_base)


def tool(on: Machine = NATIVE) -> Path:
    """The package probe_scout of this checkout and what it depends on, as `probe-scout` and for python3 -m."""
    files = packages.tool_files() if on is NATIVE else packages.files_with(foreign.wheels(on))
    kind = "tool" if on is NATIVE else f"{on.debian}-tool"
    made_of = [f"{guest} {_state(host)}" for guest, host in files]
    return _kept(kind, made_of, lambda out: _write_tool(out, files, on))


def _write_frame(out: Writer, busybox: Path) -> None:
    """Folders, links, accounts, init and busybox with its applets, which Debian builds alike everywhere."""
    for folder in FOLDERS:
        out.folder(folder)
    for name in ("bin", "sbin", "lib", "lib64"):
        out.link(name, f"usr/{name}")
    out.data("init", (GUEST / "init").read_bytes(), 0o755)
    out.data("usr/bin/as_user", b"#!/usr/bin/python3\n" + (GUEST / "as_user.py").read_bytes(), 0o755)
    for path, text in ACCOUNTS.items():
        out.data(path, text)
    out.file("usr/bin/busybox", busybox)
    applets = subprocess.run([program("busybox"), "--list"], check=True, capture_output=True, text=True).stdout
    for applet in applets.split():
        out.link(f"usr/bin/{applet}", "busybox")


def _write_foreign(out: Writer, on: Machine) -> None:
    root = foreign.tree(on)
    _write_frame(out, foreign.busybox(on))
    if on.python:
        python = f"python{on.python}"
        out.file(f"usr/bin/{python}", root / f"usr/bin/{python}")
        for name in ("python3", "python"):
            out.link(f"usr/bin/{name}", python)
        _python_tree(out, f"usr/lib/{python}", root / f"usr/lib/{python}")
    libraries = root / "usr/lib" / on.triple
    for path in sorted(libraries.glob("*.so*")):
        if path.resolve().is_file() and path.read_bytes()[:4] == b"\x7fELF":
            out.file(f"usr/lib/{on.triple}/{path.name}", path.resolve())
    for loader in sorted((root / "usr/lib").glob("ld-linux-*")):
        out.file(f"usr/lib/{loader.name}", loader.resolve())


def _write_base(out: Writer) -> None:
    busybox = Path(program("busybox"))
    _libraries(out, busybox)
    _write_frame(out, busybox)
    python = f"python3.{sys.version_info[1]}"
    _program(out, f"usr/bin/{python}", Path(sys.executable).resolve())
    for name in ("python3", "python"):
        out.link(f"usr/bin/{name}", python)
    library = Path(sysconfig.get_path("stdlib"))
    _python_tree(out, f"usr/{sys.platlibdir}/{python}", library)
    for compiled in sorted((library / "lib-dynload").glob("*.so")):
        if not _is_left_out(compiled.name):
            _libraries(out, compiled)


def _write_tool(out: Writer, files: list[tuple[str, Path]], on: Machine) -> None:
    for guest, host in files:
        _python_file(out, f"{TOOL_FOLDER}/{guest}", host)
        if host.suffix == ".so" and on is NATIVE:
            _libraries(out, host)
    start = f"#!/usr/bin/python3\nimport sys\nsys.path.insert(0, '/{TOOL_FOLDER}')\n"
    out.data(
        "usr/bin/probe-scout", (start + "from probe_scout.__main__ import main\nsys.exit(main())\n").encode(), 0o755
    )


def write_job(path: Path, kernel: cache.Cached, job: Job) -> tuple[str, ...]:
    """The archive of one boot; modules that the kernel does not have come back."""
    found = modules.index(kernel.modules)
    early = modules.order(found, TRANSPORT)
    asked = modules.order(found, job.modules)
    with open(path, "wb") as file:
        out = Writer(file)
        for name in dict.fromkeys((*early.modules, *asked.modules)):
            out.data(f"job/modules/{name}.ko", modules.module_bytes(kernel, found, name))
        out.data("job/early", _lines(early.modules))
        out.data("job/load", _lines(tuple(name for name in asked.modules if name not in early.modules)))
        out.data("job/without", _lines(job.without))
        out.data("job/command", command_text(job).encode())
        if kernel.config is not None:
            out.file(f"boot/config-{kernel.release}", kernel.config)
        for name in job.programs:
            _program(out, f"usr/sbin/{name}", Path(program(name)).resolve())
        for guest, host in job.share.items():
            if not host.exists():
                raise LabError(f"{host} is to be {guest} in the guest and is not there")
            out.tree(guest, host) if host.is_dir() else out.file(guest, host)
        out.close()
    return asked.missing


def command_text(job: Job) -> str:
    """The shell text of /job/command: variables, folder, command. Raises LabError for a variable without a value."""
    lines = [f"export PYTHONPATH=/{TOOL_FOLDER}"]
    for setting in job.env:
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            raise LabError(f"{setting!r} is no NAME=VALUE")
        lines.append(f"export {name}={shlex.quote(value)}")
    return "\n".join([*lines, f"cd {shlex.quote(job.cwd)}", f"exec {shlex.join(job.command)}", ""])


def _lines(words: Sequence[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _kept(kind: str, made_of: Sequence[str], write: Callable[[Writer], None]) -> Path:
    """The prepared part made of exactly this; written if it is not there. Old parts of the kind are removed."""
    digest = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
    folder = cache.root() / "archives"
    path = folder / f"{kind}-{digest}.cpio"
    with cache.locked(f"archive-{kind}"):
        if path.exists():
            os.utime(path)
            return path
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{kind}-*"):
            if time.time() - old.stat().st_mtime > KEPT_SECONDS or not old.name.endswith(".cpio"):
                old.unlink()
        scratch = path.with_suffix(".part")
        with open(scratch, "wb") as file:
            out = Writer(file)
            write(out)
            out.close()
        scratch.rename(path)
    return path


def _state(path: str | Path) -> str:
    now = os.stat(path)
    return f"{path} {now.st_size} {now.st_mtime_ns}"


def _python_tree(out: Writer, guest: str, host: Path) -> None:
    for folder, folders, files in os.walk(host):
        folders[:] = sorted(name for name in folders if not _is_left_out(name))
        for name in sorted(files):
            if not _is_left_out(name):
                path = Path(folder) / name
                _python_file(out, f"{guest}/{path.relative_to(host)}", path)


def _is_left_out(name: str) -> bool:
    return name in LEFT_OUT or name.startswith(LEFT_OUT_PREFIXES) or name.endswith((".pyc", ".a", ".exe"))


def _python_file(out: Writer, guest: str, host: Path) -> None:
    """A file; Python also compiled, so that no guest compiles (it would be most of its start)."""
    out.file(guest, host)
    if host.suffix == ".py":
        with tempfile.NamedTemporaryFile(suffix=".pyc") as compiled:
            unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
            try:
                py_compile.compile(str(host), compiled.name, f"/{guest}", doraise=True, invalidation_mode=unchecked)
            except py_compile.PyCompileError:
                return  # a file of another Python's syntax
            raw = Path(compiled.name).read_bytes()
        folder, _, name = guest.rpartition("/")
        out.data(f"{folder}/__pycache__/{name.removesuffix('.py')}.{sys.implementation.cache_tag}.pyc", raw)


def _program(out: Writer, guest: str, host: Path) -> None:
    if host.read_bytes()[:4] != b"\x7fELF":
        raise LabError(f"{host} is a script and not the program itself; the guest needs the program")
    out.file(guest, host)
    _libraries(out, host)


def _libraries(out: Writer, binary: Path) -> None:
    """What the dynamic loader needs for a binary, at the places where it looks on this machine."""
    listed = subprocess.run([program("ldd"), str(binary)], capture_output=True, text=True).stdout
    for place in re.findall(r"(/\S+) \(0x", listed):
        guest = place if not re.match(r"/lib(64)?/", place) else f"/usr{place}"
        out.file(guest, Path(place).resolve())
