"""`check` of many names: the whole tables are read once, and records of equal traits are judged once.

Up to WHOLE_MAX names have the full report of `check`. Of more, each has its verdicts with their evidence, what a probe
does not see, and what may harm; for reasons and other points one asks about that name. The verdicts are those of a
single check: tests/test_many.py holds samples of both against each other.
"""

from __future__ import annotations

from ..model.attach import DEFAULT
from ..model.report import Coverage, TargetReport
from ..model.target import FUNCTION, SYSCALL, TRACEPOINT, Target
from ..model.verdict import YES, Finding, Verdict
from ..named_tuple import NamedTuple
from ..probes.attach import evidence as verdict_evidence
from ..probes.attach import function_traits, limits, targets, verdicts
from ..probes.explain import hazards
from ..probes.explain.kernel_lookup import KernelLookup, last_in_module
from ..rules import judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..kernel.kernel import Kernel
    from ..model.traits import Traits
    from ..rules.judge import Outcome

MANY = 16  # from here on the whole tables are cheaper than a search for each name
WHOLE_MAX = 256  # names that have the full report


def reports(
    k: Kernel,
    names: Sequence[str],
    types: Sequence[str] = (),
    debug: str = "",
    all_types: bool = False,
    progress: Callable[[int, int], None] | None = None,
    *,
    whole: Callable[[Kernel, str, Sequence[str], str], TargetReport],
) -> Iterator[TargetReport]:
    """The reports of these names, one after the other, patterns expanded. Raises UsageError for what is no name.

    `whole` makes the report of one target, as check does. More than WHOLE_MAX functions are judged for the usual
    attach types alone, unless some or all are asked for.
    """
    asked = [one for name in names for one in expanded(k, name, types)]
    if len(asked) > MANY:
        k.full()
        k.blacklist()
    short = _Short(k) if len(asked) > WHOLE_MAX else None
    for done, one in enumerate(asked):
        if progress is not None:
            progress(done, len(asked))
        wanted = types or ((one.attach,) if one.attach else ())
        if short is None:
            yield whole(k, one.text, types, debug)
            continue
        usual = not wanted and not all_types and one.target.kind == FUNCTION
        hook = one.target.name.startswith(("bpf_lsm_", "bpf_iter_"))
        yield short.report(one.target, verdicts.types_for(one.target, DEFAULT if usual and not hook else wanted))
    if progress is not None:
        progress(len(asked), len(asked))


class One(NamedTuple):
    """A target, the attach type that its spelling asks for, and a written form that means both."""

    target: Target
    attach: str
    text: str


def expanded(k: Kernel, name: str, types: Sequence[str]) -> Iterator[One]:
    """What a name means, and each target that a pattern means. Raises UsageError where the list cannot be read."""
    found = targets.asked(k, name, types)
    if not found.target.is_glob:
        yield One(found.target, found.attach, name)
        return
    for target in targets.matching(k, found.target):
        bare = str(target).removeprefix("tp:") if target.kind == TRACEPOINT else str(target)
        yield One(
            target, found.attach, f"{found.attach}/{bare}" if found.attach and target.kind != SYSCALL else str(target)
        )


class _Short:
    """Reports without reasons: verdicts, limits and hazards."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._lookup = KernelLookup(k, lambda _target, _attach: "unknown")
        self._outcomes: dict[tuple[str, Traits], Outcome] = {}
        self._ftrace_off = verdict_evidence.ftrace_off(k)

    def report(self, target: Target, types: Sequence[str]) -> TargetReport:
        k = self._k
        name = function_traits.wrapper(k, target.name) if target.kind == SYSCALL else target.name
        found = self._function(target, types) if target.kind == FUNCTION else verdicts.verdicts(k, target, types)
        limited = limits.of(k, target, name, found)
        return TargetReport(
            str(target),
            target.kind,
            target.module,
            limits.noted(found, limited),
            Coverage(),
            hazards=hazards.hazards(self._lookup, target, found, last_in_module(k, target), self._ftrace_off),
            limits=limited,
        )

    def _function(self, target: Target, types: Sequence[str]) -> tuple[Verdict, ...]:
        """The same as verdicts.verdicts; what was read about the name is told where a rule fired."""
        k, name = self._k, target.name
        traits = function_traits.function_traits(k, name, target.module)
        evidence: dict[str, str] = {}
        told = []
        for attach in types:
            outcome = self._outcomes.get((attach, traits))
            if outcome is None:
                outcome = self._outcomes[attach, traits] = judge.judge(k, attach, traits)
            if outcome.fired and not evidence:
                evidence = verdict_evidence.function_evidence(k, name, target.module)
            notes: tuple[Finding, ...] = ()
            if outcome.answer == YES:
                notes = verdicts.notes(k, attach, name, traits)
            told.append(verdict_evidence.verdict(k, attach, outcome, evidence, notes))
        return tuple(told)
