"""The matrix: hooks on kernels, and in each cell the best way to attach, or why there is none."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .facts import Unread
from .hooks import MUST, Hook
from .report import Coverage, KernelInfo

ATTACHES, MISSES, INSTEAD, REFUSED, UNTOLD = "attaches", "misses", "instead", "refused", "unknown"
# State to its sign: told apart without colour.
SIGNS = {ATTACHES: "✓", MISSES: "◐", INSTEAD: "→", REFUSED: "✕", UNTOLD: "?"}
SAYS = {
    ATTACHES: "attaches, and no missed call is known",
    MISSES: "attaches, and misses calls",
    INSTEAD: "refused, this works instead",
    REFUSED: "refused",
    UNTOLD: "unknown",
}


class RungVerdict(NamedTuple):
    """The verdict of `check` for one rung and one attach type. `rule` and `says` are the first finding's.

    `sees`: which calls it sees, in the words of Coverage.answer, with what is known beside inlining; "" for a no.
    """

    rung: int
    target: str
    attach: str
    answer: str
    errno: str | None = None
    errno_certain: bool = True
    rule: str = ""
    says: str = ""
    sees: str = ""
    limits: tuple[str, ...] = ()


class Other(NamedTuple):
    """An attach point that is on no rung and whose own verdict is yes."""

    attach: str
    target: str
    says: str


class Cell(NamedTuple):
    """One hook on one kernel; `hook` and `kernel` are places in the lists of the report.

    `state`: attaches, misses, instead, refused, unknown. `attach` and `target`: the best way to attach, "" where
    none is known. `rung`: its place in the ladder, -1 where the ladder has none; then `target` is a proposal that the
    hook's own loader does not try. `answer`: what counts for the exit code, yes, no or unknown, with the coverage that
    the hook asks for. `sees`: complete, partial, none, unknown. `missed`: inlined copies that are known to be missed.
    `errno`, `rule`, `says`: why the first rung is refused, or why nothing can be told. `because`: reasons for people.
    """

    hook: int
    kernel: int
    state: str
    answer: str
    attach: str = ""
    target: str = ""
    rung: int = -1
    sees: str = ""
    basis: str = ""
    missed: int = 0
    errno: str | None = None
    rule: str = ""
    says: str = ""
    because: tuple[str, ...] = ()
    rungs: tuple[RungVerdict, ...] = ()
    others: tuple[Other, ...] = ()
    coverage: Coverage = Coverage()
    prototype: str = ""


class Column(NamedTuple):
    """One kernel. `root` as it was asked for ("" is this machine).

    `partial` says what shows that a snapshot is a part of its kernel. `error`: why the kernel could not be asked.
    `unread`: each file that leaves some verdict open.
    """

    root: str
    kernel: KernelInfo
    partial: str = ""
    error: str = ""
    unread: tuple[Unread, ...] = ()


class MatrixReport(NamedTuple):
    """`probe-scout matrix`. Cells are in the order of hooks, then kernels."""

    kernels: tuple[Column, ...]
    hooks: tuple[Hook, ...]
    cells: tuple[Cell, ...]

    def cell(self, hook: int, kernel: int) -> Cell:
        """The cell of a hook and a kernel, by their places."""
        return self.cells[hook * len(self.kernels) + kernel]

    def needed(self) -> tuple[Cell, ...]:
        """The cells that decide: of hooks that must attach."""
        return tuple(cell for cell in self.cells if self.hooks[cell.hook].need == MUST)


class FieldPlace(NamedTuple):
    """Where a field of an event's record lies on one kernel: bytes, and how a program reads it (FieldAccess.access)."""

    offset: int
    size: int
    access: str


class Timeline(NamedTuple):
    """The fields of one event over the kernels of a report; a place is None where the kernel has no such field.

    `told`: for each kernel, whether it has the event: yes, no, or unknown where that could not be read.
    """

    event: str
    told: tuple[str, ...]
    fields: tuple[tuple[str, tuple[FieldPlace | None, ...]], ...]


def titles(columns: tuple[Column, ...]) -> tuple[str, ...]:
    """A short name for each kernel that no other has: its release; with the build or the path where releases repeat."""
    names = [column.kernel.release or _base(column.root) or "this machine" for column in columns]
    found = []
    for name, column in zip(names, columns, strict=True):
        same = [other for other, one in zip(columns, names, strict=True) if one == name]
        if len(same) > 1:
            builds = [one.kernel.build_id for one in same]
            own = column.kernel.build_id
            name = f"{name} {own[:10]}" if own and builds.count(own) == 1 else f"{name} {_base(column.root)}"
        found.append(name)
    return tuple(found)


def _base(root: str) -> str:
    return root.rstrip("/").rpartition("/")[2]
