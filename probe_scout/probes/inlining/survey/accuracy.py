"""How often predictions of a survey come true: each surveyed kernel is predicted from the others.

Counts are over names. Names with the same history share one prediction, so that a survey takes a second.
"""

from __future__ import annotations

from collections import Counter

from ....named_tuple import NamedTuple
from .cell import CLONE, WITH_SYMBOL, WITHOUT_SYMBOL, Cell, effect
from .format import Share
from .predict import is_near, predict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .build import Collected

    Labels = tuple[str, ...]

ABSENT = ""  # a label: the kernel's file does not have the name
PARTIAL = WITH_SYMBOL[0]
FOLDED = ("self only", "self only, recursive")
_STATES = ((True, "yes"), (False, "no"), (None, "unknown"))


class Warned(NamedTuple):
    """Functions with a symbol: those a rule warns of, rightly; and all whose symbol truly misses calls."""

    warned: int
    right: int
    partial: int


class Measured(NamedTuple):
    """One kernel predicted from others. `shares`: by (symbol, label, agreement). `new`: names with a symbol that no
    other kernel has. `rules`: by their names.
    """

    release: str
    shares: dict[tuple[str, str, str], Share]
    new: Warned
    rules: dict[str, Warned]


class History(NamedTuple):
    """What kernels say of one name: labels of those that predict, and the label that came."""

    votes: Labels
    are_near: bool
    truth: str


def histories(collected: Collected, release: str, others: Sequence[str]) -> Counter[History]:
    """How many names have which history, in all scopes of a kernel that another one has as well."""
    found: Counter[History] = Counter()
    kernels = collected.kernels
    for scope, (_, truth) in kernels[release].items():
        having = [other for other in others if scope in kernels[other]]
        near = [other for other in having if is_near(other, release)]
        voters = [kernels[other][scope][1] for other in near or having]
        if not voters:
            continue
        labels = [{name: cell.label for name, cell in one.items()} for one in (truth, *voters)]
        many = Counter(tuple([one.get(name, ABSENT) for one in labels]) for name in set(truth).union(*voters))
        for (now, *votes), names in many.items():
            found[History(tuple(votes), bool(near), now)] += names
    return found


def measure(collected: Collected, release: str, others: Sequence[str]) -> Measured:
    """What the other kernels predict of this one, and what is so."""
    asked: Counter[tuple[str, str, str]] = Counter()
    right: Counter[tuple[str, str, str]] = Counter()
    exact: Counter[tuple[str, str, str]] = Counter()
    new = Warned(0, 0, 0)
    rules = {name: Warned(0, 0, 0) for name in RULES}
    for (votes, are_near, truth), many in histories(collected, release, others).items():
        cells = [_cell(label) for label in votes]
        has_symbol = truth not in (ABSENT, *WITHOUT_SYMBOL)
        for state, _ in _STATES:
            if state not in (None, has_symbol):
                continue
            guess = predict(cells, state, are_near)
            if guess is not None:
                asked[guess] += many
                right[guess] += many * _is_right(guess.label, truth)
                exact[guess] += many * (guess.label == truth)
        if not has_symbol:
            continue
        is_partial = effect(truth) == PARTIAL
        if not any(votes):
            new = Warned(new.warned + many, 0, new.partial + many * is_partial)
        for name, rule in RULES.items():
            old, is_warned = rules[name], rule(votes)
            rules[name] = Warned(
                old.warned + many * is_warned,
                old.right + many * (is_warned and is_partial),
                old.partial + many * is_partial,
            )
    return Measured(release, {key: Share(asked[key], right[key], exact[key]) for key in asked}, new, rules)


def _is_right(label: str, truth: str) -> bool:
    """A probe sees what was predicted; where that cannot be told, the class is the predicted one."""
    return label == truth or (truth != ABSENT and effect(label) == effect(truth) != "unknown")


def _cell(label: str) -> Cell | None:
    kind, clone, _ = label.partition(CLONE)
    return Cell(kind, 0, ("part",) if clone else (), ()) if label else None


def _majority(votes: Labels) -> bool:
    guess = predict([_cell(label) for label in votes], True)
    return guess is not None and effect(guess.label) == PARTIAL


RULES: dict[str, Callable[[Labels], bool]] = {
    "most say partial (this survey)": _majority,
    "any says partial": lambda votes: any(vote and effect(vote) == PARTIAL for vote in votes),
    "any has an inlined copy": lambda votes: any(
        vote in FOLDED or (vote and effect(vote) == PARTIAL) for vote in votes
    ),
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
            before = found.get(key, Share(0, 0, 0))
            found[key] = Share(before.asked + share.asked, before.right + share.right, before.exact + share.exact)
    return found
