"""Answers of two kernels side by side. Equal pairs of records are judged once."""

from __future__ import annotations

from ...model.attach import ATTACH_TYPES
from ...model.diff import VerdictChange
from ...model.target import FUNCTION
from ...model.traits import TEXT, EventTraits, Proto, Traits
from ...model.verdict import NO, UNKNOWN
from ...rules import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ...kernel.kernel import Kernel

# Targets to which nothing can be said against. A kernel that refuses them refuses every target.
_PLAIN = Proto(0, 0, False, False, False, False, False, False, False, False, False)
_FUNCTION = Traits(
    vmlinux=1,
    place=TEXT,
    site=True,
    any_site=True,
    vmlinux_site=True,
    btf="vmlinux",
    proto=_PLAIN,
    target_place=TEXT,
    target_site=True,
    security=True,
    syscall=True,
    modify_return=True,
    modify_return_sleepable=True,
    injectable=True,
    lsm_hook=True,
    lsm_sleepable=True,
    iterator="plain",
    iterator_resched=True,
)
_PREFIXES = {"lsm": "bpf_lsm_", "iter": "bpf_iter_"}
_EVENT = EventTraits(event=True, raw=True, typed=True, faultable=True, syscall=True)


def refused_types(a: Kernel, b: Kernel, types: Sequence[str]) -> tuple[VerdictChange, ...]:
    """Attach types that one of the kernels refuses whatever the target is, where the other one answers otherwise."""
    found = []
    for attach in types:
        traits = _FUNCTION if FUNCTION in ATTACH_TYPES[attach].kinds.split() else _EVENT
        one, two = judge.judge(a, attach, traits), judge.judge(b, attach, traits)
        if NO in (one.answer, two.answer) and (one.answer, one.errno) != (two.answer, two.errno):
            found.append(VerdictChange(attach, one.answer, one.errno, two.answer, two.errno))
    return tuple(found)


class Answers:
    """What differs between the answers for a record of A and one of B."""

    def __init__(self, a: Kernel, b: Kernel, types: Sequence[str], hooks: bool = True) -> None:
        self._hooks = hooks
        self._a, self._b, self._types = a, b, tuple(types)
        self._one: dict[Any, tuple[tuple[str, str | None], ...]] = {}
        self._two: dict[Any, tuple[tuple[str, str | None], ...]] = {}
        self.known: dict[tuple[int, int], tuple[tuple[VerdictChange, ...], int]] = {}  # by the ids of both records
        self._kept: list[object] = []

    def compare(self, one: Any, two: Any) -> tuple[tuple[VerdictChange, ...], int]:
        """The verdicts that differ, and how many could not be compared since one side is unknown and the other not."""
        key = id(one), id(two)
        found = self.known.get(key)
        if found is None:
            self._kept += (one, two)  # so that no other record gets their ids
            found = self.known[key] = self._compare(one, two)
        return found

    def worth_telling(self, name: str, verdicts: tuple[VerdictChange, ...]) -> tuple[VerdictChange, ...]:
        """Without lsm and iter where the name is no hook's and no iterator's, unless these were asked for."""
        if self._hooks or not verdicts:
            return verdicts
        return tuple(v for v in verdicts if name.startswith(_PREFIXES.get(v.attach.removesuffix(".s"), "")))

    def _compare(self, one: Any, two: Any) -> tuple[tuple[VerdictChange, ...], int]:
        changes, untold = [], 0
        pairs = zip(self._judged(self._a, self._one, one), self._judged(self._b, self._two, two), strict=True)
        for attach, ((answer_a, errno_a), (answer_b, errno_b)) in zip(self._types, pairs, strict=True):
            if (answer_a, errno_a) == (answer_b, errno_b):
                continue
            if UNKNOWN in (answer_a, answer_b):
                untold += 1
            else:
                changes.append(VerdictChange(attach, answer_a, errno_a, answer_b, errno_b))
        return tuple(changes), untold

    def _judged(self, k: Kernel, known: dict[Any, Any], traits: Any) -> tuple[tuple[str, str | None], ...]:
        if traits not in known:
            outcomes = [judge.judge(k, attach, traits) for attach in self._types]
            known[traits] = tuple((outcome.answer, outcome.errno) for outcome in outcomes)
        found: tuple[tuple[str, str | None], ...] = known[traits]
        return found
