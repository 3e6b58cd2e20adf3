"""Make surveys: from debug files to one class a name, from kernels to one survey file."""

from __future__ import annotations

import os
import re

from ....arch import ELF_MACHINES
from ....errors import UsageError
from ....named_tuple import NamedTuple
from .cell import KINDS, MISSED_MAX, PLACES_MAX, WITH_SYMBOL, Cell
from .format import VMLINUX, Table, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ....formats.dwarf.inline_facts import Row
    from ....formats.elf.image import ElfImage
    from .format import Share

    Progress = Callable[[int, int], None]

_NOT_C = (".rs",)  # names of Rust are no symbols, and its symbols change with every build


class Read(NamedTuple):
    """One debug file: the kernel's release, the module or "vmlinux", its build-id, and a cell for each name.

    `machine`: the machine word of the file; "" for one that ELF_MACHINES does not have. `shares`: those of the survey
    that it was taken from.
    """

    release: str
    scope: str
    build_id: str
    cells: dict[str, Cell]
    machine: str = ""
    shares: Mapping[tuple[str, str, str], Share] = {}


def read_file(path: str, progress: Progress | None = None) -> Read:
    """What a vmlinux or module with debug information says. Raises UsageError and Malformed.

    `progress` is told how many bytes of it were read, of how many.
    """
    from ....formats.dwarf.inline_facts import table
    from ..debug_files import read_file as opened

    file = opened(path)
    image = file.image
    if not image.build_id:
        raise UsageError(f"{path} has no build-id: its contents could not be distinguished from other builds")
    scope = module_name(image, path) if image.is_relocatable else VMLINUX
    cells = cells_of(table(file, progress, PLACES_MAX))
    return Read(release_of(image, path, scope), scope, image.build_id, cells, ELF_MACHINES.get(image.machine, ""))


def cells_of(rows: Mapping[str, Iterable[Row]]) -> dict[str, Cell]:
    """One cell for each name that a symbol has or could have. Functions not written in C or C++ are left out."""
    found: dict[str, list[Row]] = {}
    for name, mine in rows.items():
        for row in mine:
            if row.file.endswith(_NOT_C) or not _is_name(name):
                continue
            if row.kind in WITH_SYMBOL and name not in row.symbols:  # the source says one name, the symbols another
                for symbol in row.symbols:
                    if "." not in symbol and _is_name(symbol):
                        found.setdefault(symbol, []).append(row)
            else:
                found.setdefault(name, []).append(row)
    return {name: _cell(name, mine) for name, mine in found.items()}


def _is_name(name: str) -> bool:
    return bool(name) and len(name) < 512 and name.isprintable()


def _cell(name: str, rows: list[Row]) -> Cell:
    from ....formats.dwarf.classes import suffixes

    kind = min((row.kind for row in rows), key=KINDS.index)
    mine = [row for row in rows if row.kind in (WITH_SYMBOL if kind in WITH_SYMBOL else (kind,))]
    kinds: set[str] = set()
    for row in mine:
        for symbol in row.symbols:
            clone = suffixes(name, symbol)
            if clone is not None:
                kinds.update(word for word in clone.kinds if word != "cold")
    others = {row.kind for row in rows} - {kind, "gone"}
    missed = max(row.missed for row in mine) if kind == WITH_SYMBOL[0] else 0
    known = tuple(sorted(word if word.isalpha() else "other" for word in kinds))
    places = sorted({place for row in mine for place in row.places})
    if len(places) > PLACES_MAX or any(row.missed and not row.places for row in mine):
        places = []  # all of them or none
    return Cell(kind, min(missed, MISSED_MAX), known, tuple(sorted(others, key=KINDS.index)), tuple(places))


def module_name(image: ElfImage, path: str) -> str:
    """The module's name as the kernel has it: from its .modinfo, else from the file's name."""
    found = re.search(rb"(?:^|\0)name=([\w-]+)\0", _bytes(image, ".modinfo"))
    stem = os.path.basename(path).partition(".ko")[0]
    return (found[1].decode() if found else stem).replace("-", "_")


def release_of(image: ElfImage, path: str, scope: str) -> str:
    """The kernel's release, from the file itself, else from its path, else the start of its build-id."""
    if scope == VMLINUX:
        found = re.search(rb"Linux version ([!-~]+) ", _bytes(image, ".rodata"))
    else:
        found = re.search(rb"(?:^|\0)vermagic=([!-~]+) ", _bytes(image, ".modinfo"))
    if found is not None:
        return found[1].decode()
    named = re.search(r"/modules/([^/\s]+)/", path) or re.search(r"vmlinux-([^/\s]+?)(?:\.debug)?$", path)
    return named[1] if named is not None else image.build_id[:12]


def _bytes(image: ElfImage, name: str) -> bytes:
    """A section's bytes; none where the file has only its header."""
    region = image.region(name)
    return bytes(region.raw[region.start : region.end])


class Collected:
    """Kernels on their way into one survey file. Names are few hundred thousand: cells are shared."""

    def __init__(self) -> None:
        self.kernels: dict[str, dict[str, tuple[str, dict[str, Cell]]]] = {}
        self.machines: dict[str, str] = {}
        self.shares: dict[tuple[str, str, str], Share] = {}

    def add(self, read: Read) -> None:
        """Take a file in place of an older one of its scope. Modules of another build of the kernel are let go."""
        mine = self.kernels.setdefault(read.release, {})
        if read.machine:
            self.machines[read.release] = read.machine
        self.shares.update(read.shares)
        before = mine.get(VMLINUX)
        if read.scope == VMLINUX and before is not None and before[0] != read.build_id:
            mine.clear()
        mine[read.scope] = (read.build_id, read.cells)

    def take(self, table: Table) -> None:
        """Take everything that a survey has, each file in place of an older one of its scope. Raises Malformed."""
        files: dict[tuple[int, str], dict[str, Cell]] = {}
        self.machines.update(zip(table.kernels, table.machines, strict=True))
        self.shares.update(table.shares)
        for file in table.files:
            scope = table.scopes[file.scope]
            cells = files[file.kernel, scope] = {}
            self.kernels.setdefault(table.kernels[file.kernel], {})[scope] = (file.build_id, cells)
        for name, found in table.all_names():
            for one in found:
                for number, cell in enumerate(one.cells):
                    if cell is not None:
                        files[number, one.scope][name] = cell

    def without(self, release: str) -> Collected:
        """A copy that lacks one kernel."""
        other = Collected()
        other.kernels = {name: files for name, files in self.kernels.items() if name != release}
        other.machines = self.machines
        return other

    def encoded(self, shares: Mapping[tuple[str, str, str], Share] | None = None) -> bytes:
        """The bytes of the survey file, kernels ordered by release. Raises ValueError where there are too many."""
        releases = sorted(self.kernels, key=_ordered)
        names: dict[str, dict[str, list[Cell | None]]] = {}
        files = []
        for number, release in enumerate(releases):
            for scope, (build_id, cells) in sorted(self.kernels[release].items()):
                files.append((number, scope, build_id))
                for name, cell in cells.items():
                    row = names.setdefault(name, {}).setdefault(scope, [None] * len(releases))
                    row[number] = cell
        return encode(
            releases,
            files,
            names,
            self.shares if shares is None else shares,
            [self.machines.get(one, "") for one in releases],
        )


def _ordered(release: str) -> list[tuple[int, str]]:
    """A key that puts 6.1 before 6.12."""
    return [(int(word) if word.isdigit() else -1, word) for word in re.split(r"(\d+)", release)]
