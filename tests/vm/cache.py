"""Where fetched kernels and built archives are kept: $PROBE_SCOUT_LAB, or probe-scout-lab in the user's cache folder.

kernels/NAME/release     uname -r                kernels/NAME/packages   package and version, one a line
kernels/NAME/vmlinuz     kernels/NAME/config (where a package has one)
kernels/NAME/tree/lib/modules/RELEASE             as unpacked, indexed by depmod
kernels/NAME/ko/         modules without their compression, as they are asked for
archives/                initramfs parts, named by what they were made of
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .kernels import KERNELS
from .problems import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cached(NamedTuple):
    """A fetched kernel. `packages` is name to version; `config` is None where no package brought one."""

    name: str
    release: str
    packages: dict[str, str]
    vmlinuz: Path
    config: Path | None
    modules: Path
    folder: Path


def root() -> Path:
    """The lab's cache folder; it need not be there yet."""
    given = os.environ.get("PROBE_SCOUT_LAB")
    if given:
        return Path(given).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "probe-scout-lab"


@contextmanager
def locked(what: str) -> Iterator[None]:
    """Only one process at a time works on `what`; the others wait. The lock ends with its process."""
    folder = root() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / what, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def known(name: str) -> str:
    """The name itself. Raises LabError for a name that the table does not have."""
    if name not in KERNELS and not name.startswith("built-"):  # built.py compiles those
        raise LabError(f"no kernel {name!r} in the lab's table; known: {', '.join(KERNELS)}")
    return name


def find(name: str) -> Cached | None:
    """A fetched kernel; None if it is not fetched."""
    folder = root() / "kernels" / known(name)
    if not (folder / "release").exists():
        return None
    release = (folder / "release").read_text().strip()
    packages = dict(line.split(" ", 1) for line in (folder / "packages").read_text().splitlines())
    config = folder / "config"
    return Cached(
        name,
        release,
        packages,
        folder / "vmlinuz",
        config if config.exists() else None,
        folder / "tree" / "lib" / "modules" / release,
        folder,
    )


def get(name: str) -> Cached:
    """A fetched kernel. Raises LabError that says how to fetch it."""
    found = find(name)
    if found is None:
        raise LabError(f"kernel {name} is not fetched: python -m tests.vm fetch {name}")
    return found
