"""What every source can do: read a path, list a folder, say what it is.

Paths are the kernel's own without the leading slash (`proc/kallsyms`). A live machine, a snapshot
folder, a snapshot archive and a mounted root are the same thing to everything above this room.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object


class Description(NamedTuple):
    """`kind`: live, snapshot, root or image. The manifest's fields are "" where there is no manifest."""

    kind: str
    where: str
    taken: str = ""
    release: str = ""
    tool_version: str = ""
    notes: tuple[str, ...] = ()
    partial: str = ""  # why it holds a part of its kernel only, by its manifest
    basis: str = "booted"  # "image": computed of a kernel that was not booted
    assumed: tuple[str, ...] = ()  # what boot would decide, and was taken to be so
    part: str = ""  # "host" or "build" for one of the two parts that a snapshot can be sent in


class Source(Protocol):
    """A tree of bytes. Methods raise NotThere, Denied or Broken and nothing else."""

    def read(self, path: str) -> bytes:
        """The whole file. A file that exists and is empty is b"", never an error."""

    def names(self, folder: str) -> tuple[str, ...]:
        """The entries of a folder, sorted. Raises NotThere if there is no such folder."""

    def describe(self) -> Description:
        """What this source is, for the head of every report."""
