"""The page of a rule, of a finding or of an audit check, as `rules ID` shows it."""

from __future__ import annotations

from ..named_tuple import NamedTuple


class RulePage(NamedTuple):
    """A rule as readers see it. `page` is its whole text; `known` is a sentence, and so is `witness`: what
    shows that a kernel has the feature (rules: `feature`). The names are keys of `rules --json`, so they stay."""

    id: str
    errno: str
    says: str
    page: str
    gate: str
    source: str
    decides: str
    needs: tuple[str, ...]
    witness: str
    known: str
    types: tuple[str, ...]
