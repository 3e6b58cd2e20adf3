"""One function's class in one kernel, and how it is written: "partial", "no|part", "self only||full" and so on.

Kinds are those of dwarf/classes.py. The first field is the class of the functions that own the symbol, the worst of
them first; the second the compiler's suffixes (isra, constprop, part) of further symbols; the third the classes of
other functions of the same name in other files.
"""

from __future__ import annotations

from ....named_tuple import NamedTuple

# From the one that a user must know of to the one that says least; those of the first line have a symbol.
WITH_SYMBOL = ("partial", "self only, recursive", "self only", "no")
WITHOUT_SYMBOL = ("transformed", "other symbol", "full", "gone")
KINDS = WITH_SYMBOL + WITHOUT_SYMBOL
WITH_PLACES = ("partial", "self only, recursive", "transformed", "other symbol", "full")
CLONE = " + clone"  # after a kind, in a label: further symbols with the compiler's suffixes take calls as well
LABELS = tuple(kind + clone for kind in WITH_SYMBOL for clone in ("", CLONE)) + WITHOUT_SYMBOL
MISSED_MAX = 255
PLACES_MAX = 32  # kept of one function; one in fifty partial functions has more

Place = tuple[str, int]


class Cell(NamedTuple):
    """`missed`: inlined copies outside the function's own symbol, at most MISSED_MAX, counted for "partial" only.

    `suffixes`: of further symbols of the function, which a probe on the name does not see. `others`: classes of
    other functions that share the name. `places`: symbol and offset of each copy that a probe on the name does not
    see, in order; empty also where they were too many to keep (PLACES_MAX).
    """

    kind: str
    missed: int
    suffixes: tuple[str, ...]
    others: tuple[str, ...]
    places: tuple[Place, ...] = ()

    @property
    def has_symbol(self) -> bool:
        """A symbol of exactly the name exists."""
        return self.kind in WITH_SYMBOL

    @property
    def label(self) -> str:
        """What predictions are about, one of LABELS: the kind, and whether a clone takes calls."""
        return self.kind + CLONE if self.suffixes and self.has_symbol else self.kind


def effect(label: str) -> str:
    """What a probe on the name sees of the calls: complete, partial, none; unknown where its symbol is another one."""
    if label in ("no", "self only"):
        return "complete"
    if label in WITHOUT_SYMBOL:
        return "none" if label == "full" else "unknown"
    return "partial"


def written(cell: Cell) -> str:
    """The cell without its count, as text; it has no end-of-line."""
    return "|".join((cell.kind, ",".join(cell.suffixes), "/".join(cell.others))).rstrip("|")


def read(text: str, missed: int = 0) -> Cell:
    """The cell that was written. Raises ValueError if it is none."""
    kind, suffixes, others = (*text.split("|"), "", "")[:3]
    cell = Cell(
        kind, missed, tuple(suffixes.split(",")) if suffixes else (), tuple(others.split("/")) if others else ()
    )
    if written(cell) != text or not {kind, *cell.others} <= set(KINDS):
        raise ValueError(text)
    return cell
