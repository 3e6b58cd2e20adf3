"""What surveyed kernels let one expect of another: a rule for votes. Its accuracy is measured by accuracy.py."""

from __future__ import annotations

from ....named_tuple import NamedTuple
from .cell import LABELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cell import Cell

ALL, MOST, FEW, DIVIDED, NEAR = "all", "most", "few", "divided", "near"


class Guess(NamedTuple):
    """`symbol`: what was known of the symbol: yes, no, unknown. `label`: one of cell.LABELS. `agreement`: all
    surveyed kernels say so ("all"); all that know the name, which are half of them or more ("most"), or fewer ("few");
    kernels disagree ("divided"); or a near kernel says so, and no other was asked ("near").
    """

    symbol: str
    label: str
    agreement: str


def is_near(release: str, other: str) -> bool:
    """Two releases are of one series (6.12) and of one name at the end (amd64): builds that differ by fixes alone.

    This decides which surveyed kernels are asked, never what a kernel accepts.
    """
    return release != "" and _series(release) == _series(other)


def _series(release: str) -> tuple[str, str, str]:
    major, _, rest = release.partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return major, minor, release.rpartition("-")[2]


def predict(votes: Sequence[Cell | None], has_symbol: bool | None, are_near: bool = False) -> Guess | None:
    """The label to expect; None if no vote is possible for a function with, or without, a symbol.

    A vote is what one surveyed kernel says, None where it does not know the name. Most votes win; of equally many
    the label that a user must know of more: `partial` before `no`.
    """
    labels = [vote.label for vote in votes if vote is not None and has_symbol in (None, vote.has_symbol)]
    if not labels:
        return None
    label = min(set(labels), key=lambda label: (-labels.count(label), LABELS.index(label)))
    if are_near:
        agreement = NEAR
    elif len(set(labels)) > 1:
        agreement = DIVIDED
    else:
        agreement = ALL if len(labels) == len(votes) else MOST if len(labels) * 2 >= len(votes) else FEW
    return Guess({True: "yes", False: "no", None: "unknown"}[has_symbol], label, agreement)
