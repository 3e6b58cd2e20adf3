"""How often predictions of a survey come true: each surveyed kernel is predicted from the others.

Counts are over names. Names with the same history share one prediction, so that a survey takes a second.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .cell import WITH_SYMBOL, Cell
from .format import Share
from .predict import predict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .build import Collected

    Kinds = tuple[str, ...]

ABSENT = ""  # a kind: the kernel's file does not have the name
PARTIAL, FOLDED = WITH_SYMBOL[0], ("self only", "self only, recursive")
_STATES = ((True, "yes"), (False, "no"), (None, "unknown"))


class Warned(NamedTuple):
    """A rule that warns of missed calls, for functions with a symbol: names it warned of, rightly; truly partial."""

    warned: int
    right: int
    partial: int


class Measured(NamedTuple):
    """One kernel predicted from others. `shares`: by (symbol, kind, agreement). `new`: names with a symbol that no
    other kernel has, and how many of these are partial. `rules`: by their names.
    """

    release: str
    shares: dict[tuple[str, str, str], Share]
    new: Share
    rules: dict[str, Warned]


class History(NamedTuple):
    """What kernels say of one name: kinds of those that predict, and the kind that came."""

    votes: Kinds
    truth: str


def histories(collected: Collected, release: str, others: Sequence[str]) -> Counter[History]:
    """How many names have which history, in all scopes of a kernel that another one has as well."""
    found: Counter[History] = Counter()
    kernels = collected.kernels
    for scope, (_, truth) in kernels[release].items():
        voters = [kernels[other][scope][1] for other in others if scope in kernels[other]]
        if not voters:
            continue
        for name in set(truth).union(*voters):
            votes = tuple(voter[name].kind if name in voter else ABSENT for voter in voters)
            found[History(votes, truth[name].kind if name in truth else ABSENT)] += 1
    return found


def measure(collected: Collected, release: str, others: Sequence[str]) -> Measured:
    """What the other kernels predict of this one, and what is so."""
    asked: Counter[tuple[str, str, str]] = Counter()
    right: Counter[tuple[str, str, str]] = Counter()
    new = Share(0, 0)
    rules = {name: Warned(0, 0, 0) for name in RULES}
    for (votes, truth), many in histories(collected, release, others).items():
        cells = [Cell(kind, 0, (), ()) if kind else None for kind in votes]
        has_symbol = truth in WITH_SYMBOL
        for state, _ in _STATES:
            if state not in (None, has_symbol):
                continue
            guess = predict(cells, state)
            if guess is not None:
                asked[guess] += many
                right[guess] += many * (guess.kind == truth)
        if not has_symbol:
            continue
        if not any(votes):
            new = Share(new.asked + many, new.right + many * (truth == PARTIAL))
        for name, rule in RULES.items():
            old, is_warned = rules[name], rule(votes)
            rules[name] = Warned(
                old.warned + many * is_warned,
                old.right + many * (is_warned and truth == PARTIAL),
                old.partial + many * (truth == PARTIAL),
            )
    return Measured(release, {key: Share(asked[key], right[key]) for key in asked}, new, rules)


def _majority(votes: Kinds) -> bool:
    guess = predict([Cell(kind, 0, (), ()) if kind else None for kind in votes], True)
    return guess is not None and guess.kind == PARTIAL


RULES: dict[str, Callable[[Kinds], bool]] = {
    "most say partial (this survey)": _majority,
    "any says partial": lambda votes: PARTIAL in votes,
    "any has an inlined copy": lambda votes: any(vote == PARTIAL or vote in FOLDED for vote in votes),
}


def leave_one_out(collected: Collected) -> list[Measured]:
    """Each kernel predicted from all others."""
    releases = list(collected.kernels)
    return [measure(collected, one, [other for other in releases if other != one]) for one in releases]


def summed(many: Iterable[Measured]) -> dict[tuple[str, str, str], Share]:
    """The shares of several kernels together."""
    found: dict[tuple[str, str, str], Share] = {}
    for one in many:
        for key, share in one.shares.items():
            before = found.get(key, Share(0, 0))
            found[key] = Share(before.asked + share.asked, before.right + share.right)
    return found
