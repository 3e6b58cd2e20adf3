"""Files of the tool and of the Python packages it depends on, as the interpreter that runs the lab has them."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from .problems import LabError

ROOT = Path(__file__).resolve().parents[2]


def own_files() -> dict[str, Path]:
    """The package probe_scout of this checkout."""
    return {str(path.relative_to(ROOT)): path for path in (ROOT / "probe_scout").rglob("*") if _is_wanted(str(path))}


def files_with(folder: Path) -> list[tuple[str, Path]]:
    """Path below the guest's package folder to file, sorted: this checkout's and those of a folder of packages."""
    found = own_files()
    found |= {str(path.relative_to(folder)): path for path in folder.rglob("*") if _is_wanted(str(path))}
    return sorted((guest, host) for guest, host in found.items() if host.is_file())


def tool_files() -> list[tuple[str, Path]]:
    """Path below the guest's package folder to file, sorted."""
    found = own_files()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    for distribution in distributions(project["dependencies"], extras):
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file)))
            if not file.is_absolute() and ".." not in file.parts and _is_wanted(str(file)):
                found[str(file)] = path
    return sorted((guest, host) for guest, host in found.items() if host.is_file())


def _is_wanted(path: str) -> bool:
    return "__pycache__" not in path and not path.endswith((".pyc", ".pyi", ".a", ".h"))


def distributions(needed: list[str], wanted: list[str]) -> list[metadata.Distribution]:
    """Installed packages for requirements, and theirs. Raises LabError if a needed one is not installed.

    A requirement with a marker, and a wanted one, may be missing: markers tell other machines and Pythons.
    """
    found: dict[str, metadata.Distribution] = {}

    def add(line: str, is_needed: bool) -> None:
        requirement, _, marker = line.partition(";")
        if "extra" in marker:
            return
        match = re.match(r"[\w.-]+", requirement)
        name = match[0].lower() if match else line
        if name in found:
            return
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if is_needed and not marker:
                raise LabError(f"{requirement.strip()} is not installed for the Python that runs the lab") from None
            return
        for other in found[name].requires or ():
            add(other, is_needed)

    for line in needed:
        add(line, True)
    for line in wanted:
        add(line, False)
    return list(found.values())
