"""Fetch kernels: Debian packages, through apt, into the lab's cache.

The mirror is the one that this machine's own apt configuration names, or $PROBE_SCOUT_MIRROR. Signatures are
checked by apt with Debian's keyring. Nothing of the machine's own package lists or packages is touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import cache
from .kernels import KERNELS
from .problems import LabError, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .kernels import Kernel

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LISTS_SECONDS_MAX = 24 * 3600
# Since 6.19 Debian splits an image: binary holds vmlinuz, modules the modules, base the config and the lists
# of built-in modules. Before, image holds everything.
IMAGE = "linux-image-"
PARTS = ("binary", "modules", "base")


def fetch(name: str, force: bool = False, say: Callable[[str], None] = print) -> cache.Cached:
    """The kernel, fetched if it is not there yet (or anew with `force`). `say` hears what was taken."""
    if cache.known(name) not in KERNELS:
        return cache.get(name)  # compiled here
    kernel = KERNELS[name]
    with cache.locked(f"kernel-{name}"):
        found = cache.find(name)
        if found is None or force:
            _fetch(kernel, say)
    return cache.get(name)


def _fetch(kernel: Kernel, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    program("depmod")
    with cache.locked(f"suite-{_lists(kernel.suite, kernel.arch.debian)}"):
        options = suite_options(kernel.suite, kernel.arch.debian)
        available = parse_packages(run("apt-cache", *options, "dumpavail"))
    release = choose(kernel, available)
    if release != kernel.pinned:
        say(f"{kernel.name}: {kernel.pinned} has left {kernel.suite}; {release} is the newest there")
    wanted, lost = parts(release, available)
    if lost:
        say(f"{kernel.name}: not in the archive: {', '.join(lost)}")
    packages = {package: available[package][0] for package in wanted}
    kernels = cache.root() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=kernels) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        asked = [f"{package}={version}" for package, version in packages.items()]
        run("apt-get", *options, "download", "-q", *asked, folder=Path(scratch))
        for deb in sorted(Path(scratch).glob("*.deb")):
            run("dpkg-deb", "-x", str(deb), str(made / "tree"))
        _arrange(made, release)
        (made / "packages").write_text("".join(f"{package} {version}\n" for package, version in packages.items()))
        (made / "release").write_text(release + "\n")
        shutil.rmtree(kernels / kernel.name, ignore_errors=True)
        made.rename(kernels / kernel.name)
    say(f"{kernel.name}: {release} from {kernel.suite} in {time.monotonic() - started:.0f} s")


def _arrange(made: Path, release: str) -> None:
    """vmlinuz and config by their lab names, modules indexed."""
    tree = made / "tree"
    if not (tree / "lib").exists():
        (tree / "lib").symlink_to("usr/lib")
    modules = tree / "lib" / "modules" / release
    for name, places in {
        # riscv64's image is called vmlinux, and is an Image with an EFI stub like the others.
        "vmlinuz": (*(tree / "boot" / f"{name}-{release}" for name in ("vmlinuz", "vmlinux")), modules / "vmlinuz"),
        "config": (tree / "boot" / f"config-{release}", modules / "config"),
    }.items():
        there = [place for place in places if place.is_file()]
        if there:
            (made / name).symlink_to(os.path.relpath(there[0], made))
    if not (made / "vmlinuz").exists():
        raise LabError(f"the packages of {release} hold no vmlinuz")
    if (modules / "kernel").is_dir():
        run("depmod", "-b", str(tree), release)


def choose(kernel: Kernel, available: Iterable[str]) -> str:
    """The release to take: the pinned one, else the newest that matches. Raises LabError if there is none."""
    pattern = re.compile(f"{re.escape(IMAGE)}({kernel.release})")
    releases = [match[1] for package in available if (match := pattern.fullmatch(package))]
    if kernel.pinned in releases:
        return kernel.pinned
    if not releases:
        raise LabError(f"{kernel.suite} has no package {IMAGE}{kernel.release}")
    return max(releases, key=lambda release: [int(number) for number in re.findall(r"\d+", release)])


def parts(release: str, available: dict[str, tuple[str, tuple[str, ...]]]) -> tuple[list[str], list[str]]:
    """The packages that make up a release, and those of them that the archive lacks."""
    image = IMAGE + release
    wanted = [f"linux-{part}-{release}" for part in PARTS if f"linux-{part}-{release}" in available[image][1]]
    return [image, *(name for name in wanted if name in available)], [name for name in wanted if name not in available]


def parse_packages(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Kernel packages in the output of `apt-cache dumpavail`: name to version and names it depends on."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for block in text.split("\n\n"):
        if not block.startswith("Package: linux-"):
            continue
        fields = dict(line.split(": ", 1) for line in block.splitlines() if re.match(r"[\w-]+: ", line))
        depends = tuple(re.findall(r"(?:^|[,|] )([^ ,|(]+)", fields.get("Depends", "")))
        found[fields["Package"]] = (fields["Version"], depends)
    return found


def mirror() -> str:
    """Address of Debian's archive: $PROBE_SCOUT_MIRROR, or the first of apt's that ends in /debian."""
    given = os.environ.get("PROBE_SCOUT_MIRROR")
    if given:
        return given.rstrip("/")
    for line in run("apt-get", "indextargets", "--format", "$(REPO_URI)").splitlines():
        if line.rstrip("/").endswith("/debian"):
            return line.rstrip("/")
    raise LabError("apt on this machine names no Debian archive: set PROBE_SCOUT_MIRROR to the address of one")


def _lists(suite: str, arch: str) -> str:
    """The folder of one suite's lists; amd64's has the plain name."""
    return suite if arch == "amd64" else f"{suite}-{arch}"


def suite_options(suite: str, arch: str) -> list[str]:
    """Options that make apt read one suite's lists of one architecture in the lab's own folder.

    The lists are renewed once a day. This machine's own architecture and installed packages play no part.
    """
    if not KEYRING.exists():
        raise LabError("Debian's keyring is not installed: apt-get install debian-archive-keyring")
    folder = cache.root() / "apt" / _lists(suite, arch)
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State::lists": folder / "lists",
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Cache": folder / "cache",
        "Dir::State::status": "/dev/null",
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    stamp = folder / "updated"
    if not stamp.exists() or time.time() - stamp.stat().st_mtime > LISTS_SECONDS_MAX:
        line = f"deb [arch={arch} signed-by={KEYRING}] {mirror()} {suite} main\n"
        (folder / "sources.list").write_text(line)
        run("apt-get", *options, "update", "-q", "-o", "APT::Update::Error-Mode=any")
        stamp.touch()
    return options


def run(name: str, *args: str, folder: Path | None = None) -> str:
    """What a program printed. Raises LabError with its last words."""
    done = subprocess.run([program(name), *args], cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise LabError(f"{name} ended with {done.returncode}: {' '.join(words)}")
    return done.stdout
