"""One file that runs with nothing but Python: python docs/zipapp.py probe-scout.pyz

It holds the package and the packages it needs, as they are installed beside this Python. The same files give the same
bytes: entries are sorted and have one time. At its first run it unpacks itself below the cache folder: no archive can
keep compiled files, and a start without them costs ten times as much. Where that folder cannot be written, each run
unpacks into a temporary folder of its own.
"""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
# rich and pygments, which typer names too, are for what this command line leaves out.
PACKAGES = ("annotated-doc", "pyelftools", "pyroute2", "shellingham", "tabulate", "typer")
_TIME = (1980, 1, 1, 0, 0, 0)
_START = """\
import os, runpy, sys, zipfile

def for_once(archive, spare):
    # No cache folder, or it is full: a folder of this run alone, and no compiled files.
    import shutil, tempfile
    shutil.rmtree(spare, True)
    owner, leave = os.getpid(), os._exit

    def remove_and_leave(code):
        if os.getpid() == owner:
            shutil.rmtree(folder, True)
        leave(code)

    try:
        folder = tempfile.mkdtemp(prefix="probe-scout-")
        os._exit = remove_and_leave  # main() ends by it, and so no atexit function is called
        archive.extractall(folder)
    except OSError as error:
        sys.exit("probe-scout: no folder to unpack to: %s; XDG_CACHE_HOME or TMPDIR names one" % error)
    sys.dont_write_bytecode = True
    return folder

def unpacked():
    me = os.path.abspath(sys.argv[0] if not __file__ else os.path.dirname(__file__))
    with zipfile.ZipFile(me) as archive:
        name = archive.read("NUMBER").decode()
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        folder = os.path.join(base, "probe-scout", "program-" + name)
        if not os.path.isdir(folder):
            import compileall
            spare = "%s.%d" % (folder, os.getpid())
            try:
                os.makedirs(spare, mode=0o700)
                archive.extractall(spare)
            except OSError:
                return for_once(archive, spare)
            compileall.compile_dir(spare, quiet=2)
            try:
                os.rename(spare, folder)
            except OSError:
                pass  # another start was faster
        state = os.lstat(folder)
        if state.st_uid != os.geteuid() or state.st_mode & 0o022:
            sys.exit("probe-scout: %s belongs to someone else" % folder)
    return folder

if sys.version_info < (3, 11):
    sys.exit("probe-scout: Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2])
sys.path.insert(0, unpacked())
from probe_scout.__main__ import main
main()
"""


def files() -> Iterator[tuple[str, bytes]]:
    """Name and content of every file, without the start."""
    package = HERE.parent / "probe_scout"
    for path in package.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(package.parent)), path.read_bytes()
    for name in PACKAGES:
        for file in importlib.metadata.files(name) or ():
            part = str(file)
            if not part.startswith("..") and "__pycache__" not in part and not part.endswith(("RECORD", "INSTALLER")):
                yield part, Path(str(file.locate())).read_bytes()
    yield "probe_scout-LICENSE", (HERE.parent / "LICENSE").read_bytes()


def write(target: Path) -> None:
    """Write the file, to be run by /usr/bin/env python3."""
    import hashlib

    found = sorted(files())
    number = hashlib.sha256(b"".join(name.encode() + b"\0" + content for name, content in found)).hexdigest()[:16]
    with target.open("wb") as stream:
        stream.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, content in [("__main__.py", _START.encode()), ("NUMBER", number.encode()), *found]:
                entry = zipfile.ZipInfo(name, _TIME)
                entry.external_attr = 0o644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
    target.chmod(0o755)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(Path(sys.argv[1]))
