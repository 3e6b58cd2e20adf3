"""Files that were computed, under the kernel's own paths: a source without a disk behind it."""

from __future__ import annotations

from ..errors import NotThere, SourceError
from .reading import plain_parts
from .source import Description

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class MemorySource:
    """A tree of bytes. `make` computes a file when it is first read; `missing` says why a path is not there."""

    def __init__(
        self,
        files: Mapping[str, Callable[[], bytes]],
        description: Description,
        missing: Callable[[str], SourceError],
    ) -> None:
        self._files, self._description, self._missing = dict(files), description, missing
        self._kept: dict[str, bytes] = {}
        self._children: dict[str, set[str]] = {"": set()}
        for path in self._files:
            while path:
                above, _, name = path.rpartition("/")
                self._children.setdefault(above, set()).add(name)
                path = above

    def read(self, path: str) -> bytes:
        """The file's bytes. Raises what `missing` gives."""
        plain_parts(path)
        if path not in self._kept:
            make = self._files.get(path)
            if make is None:
                raise self._missing(path)
            self._kept[path] = make()
        return self._kept[path]

    def names(self, folder: str) -> tuple[str, ...]:
        """The entries of a folder, sorted."""
        if folder:
            plain_parts(folder)
        found = self._children.get(folder)
        if found is None:
            raise NotThere(folder, "a file, not a folder") if folder in self._files else self._missing(folder)
        return tuple(sorted(found))

    def describe(self) -> Description:
        """What was handed over."""
        return self._description
