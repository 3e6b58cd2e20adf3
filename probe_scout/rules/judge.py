"""Judging: the only caller of rules.

All rules of a path run in the kernel's order. One finding makes *no*, and the first finding's errno is
the kernel's; a rule that could not be asked before it makes the errno uncertain. Without a finding an
unread fact makes *unknown*.
"""

from __future__ import annotations

from ..model.verdict import NO, UNKNOWN, YES
from . import PATHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from . import Rule

    class Asked(Protocol):
        """The kernel as `judge` sees it."""

        def feature(self, name: str) -> bool | None: ...
        def feature_fact(self, name: str) -> str: ...
        def unread(self, fact: str) -> object | None: ...


class Outcome:
    """An answer without words: which rules fired, which facts were missing before the first of them."""

    __slots__ = ("answer", "certain", "errno", "fired", "missing")

    def __init__(
        self,
        answer: str,
        errno: str | None,
        certain: bool,
        fired: tuple[Rule, ...],
        missing: tuple[tuple[str, str], ...],
    ) -> None:
        self.answer, self.errno, self.certain, self.fired, self.missing = answer, errno, certain, fired, missing


def judge(k: Asked, attach: str, traits: Any) -> Outcome:
    """The outcome of one attach type for one record of traits.

    `missing` holds (fact, feature) pairs: the name of a feature that is not known, or "" where the fact itself is.
    """
    fired: list[Rule] = []
    missing: list[tuple[str, str]] = []
    certain = True
    for gate in PATHS[attach]:
        for rule in gate.rules:
            unread = [fact for fact in rule.needs if fact in traits.unread or k.unread(fact) is not None]
            if not unread and not rule.fires(traits, k):
                continue  # whether or not the kernel has its feature
            gaps: list[tuple[str, str]] = []
            if rule.feature:
                seen = k.feature(rule.feature)
                if seen is False:
                    continue
                if seen is None:
                    gaps.append((k.feature_fact(rule.feature), rule.feature))
            if rule.unless:
                seen = k.feature(rule.unless)
                if seen is True:
                    continue
                if seen is None:
                    gaps.append((k.feature_fact(rule.unless), rule.unless))
            gaps += [(fact, "") for fact in unread]
            if gaps:
                if not fired:
                    missing += [gap for gap in gaps if gap not in missing]
                continue
            if not fired:
                certain = not missing
            fired.append(rule)
        if gate.known_by and not fired and k.feature(gate.known_by) is not True:
            gap = k.feature_fact(gate.known_by), gate.known_by
            missing += [gap] if gap not in missing else []
    if fired:
        return Outcome(NO, fired[0].errno, certain, tuple(fired), tuple(missing))
    return Outcome(UNKNOWN if missing else YES, None, True, (), tuple(missing))
