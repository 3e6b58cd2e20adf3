"""What surveyed kernels let one expect of another: a rule for votes. Its accuracy is measured by accuracy.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .cell import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .cell import Cell

ALL, KNOWN, DIVIDED = "all", "known", "divided"


class Guess(NamedTuple):
    """`symbol`: what was known of the symbol: yes, no, unknown. `agreement`: of the surveyed kernels "all" say so,
    all that know the name ("known"), or most ("divided").
    """

    symbol: str
    kind: str
    agreement: str


def predict(votes: Sequence[Cell | None], has_symbol: bool | None) -> Guess | None:
    """The class to expect; None if no vote is possible for a function with, or without, a symbol.

    A vote is what one surveyed kernel says, None where it does not know the name. Most votes win; of equally many
    the class that a user must know of more: `partial` before `no`.
    """
    possible = [vote for vote in votes if vote is not None and has_symbol in (None, vote.has_symbol)]
    if not possible:
        return None
    kinds = [vote.kind for vote in possible]
    kind = min(set(kinds), key=lambda kind: (-kinds.count(kind), KINDS.index(kind)))
    agreement = DIVIDED if len(set(kinds)) > 1 else ALL if len(kinds) == len(votes) else KNOWN
    return Guess({True: "yes", False: "no", None: "unknown"}[has_symbol], kind, agreement)
