"""What surveyed kernels let one expect of another: a rule for votes. Its accuracy is measured by accuracy.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .cell import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cell import Cell

ALL, KNOWN, DIVIDED = "all", "known", "divided"


class Guess(NamedTuple):
    """`symbol`: what was known of the symbol: yes, no, unknown. `label`: one of cell.LABELS. `agreement`: of the
    surveyed kernels "all" say so, all that know the name ("known"), or most ("divided").
    """

    symbol: str
    label: str
    agreement: str


def predict(votes: Sequence[Cell | None], has_symbol: bool | None) -> Guess | None:
    """The label to expect; None if no vote is possible for a function with, or without, a symbol.

    A vote is what one surveyed kernel says, None where it does not know the name. Most votes win; of equally many
    the label that a user must know of more: `partial` before `no`.
    """
    labels = [vote.label for vote in votes if vote is not None and has_symbol in (None, vote.has_symbol)]
    if not labels:
        return None
    label = min(set(labels), key=lambda label: (-labels.count(label), LABELS.index(label)))
    agreement = DIVIDED if len(set(labels)) > 1 else ALL if len(labels) == len(votes) else KNOWN
    return Guess({True: "yes", False: "no", None: "unknown"}[has_symbol], label, agreement)
