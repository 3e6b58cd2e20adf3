"""The one error of the lab, and programs of this machine that it cannot do without."""

from __future__ import annotations

import importlib.util
import os
import shutil

# Program to Debian package.
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-riscv64": "qemu-system-misc",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "apt-cache": "apt",
    "ldd": "libc-bin",
    "bpftool": "bpftool",
    "bpftrace": "bpftrace",
    "perf": "linux-perf",
}


class LabError(Exception):
    """One sentence for the person at the keyboard; exit status 125."""


def program(name: str) -> str:
    """Where a program is, also in the folders of root. Raises LabError that names the package."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None:
        package = PACKAGES.get(name, name)
        raise LabError(f"{name} is not installed: apt-get install {package} (Debian)")
    return found


def needs(package: str) -> None:
    """Raises LabError that says how to install a Python package which this Python lacks."""
    if importlib.util.find_spec(package) is None:
        raise LabError(f"{package} is not installed for this Python: `./run test tests/vm` once, then .venv/bin/python")
