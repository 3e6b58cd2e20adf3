"""Where the files of a kernel's modules are when it was not booted: a folder lib/modules/RELEASE, or its packages.

Paths are those of modules.dep: below lib/modules/RELEASE (`kernel/fs/xfs/xfs.ko.xz`).
"""

from __future__ import annotations

import os
import re

from ..errors import Broken, NotThere
from . import package
from .reading import printable, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Protocol
else:
    Protocol = object

_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
_FILES_MAX = 200_000
_MODULE_BYTES_MAX = 1 << 28
_MEMBER = re.compile(r"(?:^|/)lib/modules/([^/]+)/(.+)$")
_LISTS = ("modules.builtin", "modules.dep")


class ModuleFiles(Protocol):
    """Files of modules."""

    def paths(self) -> tuple[str, ...]:
        """Every module's path, sorted. Raises Broken."""

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """These files in any order, packed as they are. Raises Broken."""

    def text(self, name: str) -> bytes | None:
        """modules.builtin or modules.dep; None where it is not there."""


class InFolder:
    """A folder lib/modules/RELEASE."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._paths: tuple[str, ...] | None = None

    def paths(self) -> tuple[str, ...]:
        """As ModuleFiles."""
        if self._paths is None:
            found = []
            for here, _, names in os.walk(self.folder):
                below = os.path.relpath(here, self.folder)
                found += [os.path.join(below, name) for name in names if name.endswith(_SUFFIXES)]
                if len(found) > _FILES_MAX:
                    raise Broken(printable(self.folder), f"more than {_FILES_MAX} modules")
            self._paths = tuple(sorted(found))
        return self._paths

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """As ModuleFiles."""
        for path in paths:
            yield path, self.bytes_of(path)

    def bytes_of(self, path: str) -> bytes:
        """The file at a path below the folder. Raises NotThere, Denied or Broken."""
        where = os.path.join(self.folder, path)
        try:
            with open(where, "rb") as handle:
                if os.fstat(handle.fileno()).st_size > _MODULE_BYTES_MAX:
                    raise Broken(printable(where), f"larger than {_MODULE_BYTES_MAX >> 20} MiB")
                return handle.read()
        except OSError as error:
            raise refusal(printable(where), error) from None

    def text(self, name: str) -> bytes | None:
        """As ModuleFiles."""
        try:
            return self.bytes_of(name)
        except (NotThere, Broken):
            return None


class InPackages:
    """The packages of one kernel. Each question reads them through, as they are streams; nothing is kept but lists."""

    def __init__(self, packages: Collection[str], release: str) -> None:
        self._packages, self._release = tuple(packages), release
        self._paths: tuple[str, ...] | None = None
        self._texts: dict[str, bytes] = {}

    def paths(self) -> tuple[str, ...]:
        """As ModuleFiles."""
        if self._paths is None:
            found: list[str] = []
            for path, raw in self._members(found, ()):
                self._texts[path] = raw
            self._paths = tuple(sorted(found))
        return self._paths

    def read(self, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """As ModuleFiles."""
        return self._members([], frozenset(paths))

    def text(self, name: str) -> bytes | None:
        """As ModuleFiles."""
        self.paths()
        return self._texts.get(name)

    def _members(self, found: list[str], wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
        def keep(name: str) -> bool:
            match = _MEMBER.search(name)
            if match is None or match[1] != self._release:
                return False
            if match[2].endswith(_SUFFIXES):
                found.append(match[2])
                return match[2] in wanted
            return not wanted and match[2] in _LISTS

        left = len(wanted)
        for path in self._packages:
            with open(path, "rb") as handle:
                raw = handle.read()
            for name, data in package.members(raw, path, keep):
                match = _MEMBER.search(name)
                assert match is not None
                yield match[2], data
                left -= 1
                if not left:
                    return


def beside(image: str, release: str) -> InFolder | None:
    """The folder of modules that belongs to an image's place: boot/vmlinuz-RELEASE, lib/modules/RELEASE/vmlinuz, or
    lib/modules/RELEASE beside it. None if there is none."""
    if not release or "/" in release:
        return None
    for path in dict.fromkeys((os.path.abspath(image), os.path.realpath(image))):
        folder = os.path.dirname(path)
        tried = [folder] if os.path.basename(folder) == release else []
        tried += [
            os.path.join(top, below, release)
            for top in (folder, os.path.dirname(folder))
            for below in ("lib/modules", "usr/lib/modules", "modules")
        ]
        for each in tried:
            if os.path.isdir(os.path.join(each, "kernel")):
                return InFolder(each)
    return None
