"""Reports of `check` and `inline` kept between runs: to and from what the cache can hold."""

from __future__ import annotations

from ..model.facts import Unread
from ..model.report import (
    Alternative,
    CheckReport,
    Copy,
    Coverage,
    Diagnosis,
    Form,
    Hazard,
    KernelInfo,
    Limit,
    TargetReport,
)
from ..model.verdict import Finding, Verdict
from ..sources import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..model.inline import InlinedCopy, InlinedFunction, InlineReport


def load(question: str, still: Callable[[CheckReport], str] | None = None) -> CheckReport | None:
    """The kept report of exactly this key; None if there is none that can be trusted.

    `still` says the state of what else the report hangs on, which must be the one it was kept with.
    """
    try:
        kept = cache.kept(question)
        if kept is None:
            return None
        report, state = _report(kept[0]), kept[1]
        return report if still is None or still(report) == state else None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def store(question: str, report: CheckReport, state: str = "") -> None:
    """Keep a report. Failing to is no error: the next run works it out again."""
    cache.keep(question, [report, state])


def _kernel(raw: Any) -> KernelInfo:
    found = KernelInfo(*raw)
    return found._replace(assumed=tuple(found.assumed))


def _report(raw: Any) -> CheckReport:
    kernel, targets, caller = raw
    return CheckReport(_kernel(kernel), tuple(map(_target, targets)), caller)


def _target(raw: Any) -> TargetReport:
    target = TargetReport(*raw)
    return target._replace(
        verdicts=tuple(map(_verdict, target.verdicts)),
        coverage=_coverage(target.coverage),
        diagnosis=tuple(Diagnosis(*d) for d in target.diagnosis),
        alternatives=tuple(Alternative(*a) for a in target.alternatives),
        hazards=tuple(Hazard(*h) for h in target.hazards),
        limits=tuple(Limit(*one)._replace(types=tuple(one[4])) for one in target.limits),
        copies=tuple(Copy(m, a, letter, t, tuple(by)) for m, a, letter, t, by in target.copies),
        forms=tuple(Form(*f) for f in target.forms),
        suggestions=tuple(target.suggestions),
    )


def _verdict(raw: Any) -> Verdict:
    attach, answer, errno, certain, findings, unread, notes = raw
    return Verdict(
        attach,
        answer,
        errno,
        certain,
        tuple(Finding(*f) for f in findings),
        tuple(Unread(*u) for u in unread),
        tuple(Finding(*n) for n in notes),
    )


def _coverage(raw: Any) -> Coverage:
    found = Coverage(*raw)
    return found._replace(
        inlined_into=tuple((caller, offset) for caller, offset in found.inlined_into),
        missed_callers=tuple(found.missed_callers),
        clones=tuple(found.clones),
        kernels=tuple(found.kernels),
        called_by=tuple(found.called_by),
    )


def inline_report(raw: Any) -> InlineReport:
    """A report of `inline` from what JSON made of it. Raises TypeError, ValueError, IndexError for anything else."""
    from ..model.inline import DebugSource, InlinedCopy, InlinedFunction, InlineReport, ParameterPlace

    def copy(one: Any) -> InlinedCopy:
        found = InlinedCopy(*one)
        return found._replace(
            chain=tuple(found.chain),
            verdict=_verdict(found.verdict) if found.verdict is not None else None,
            parameters=tuple(ParameterPlace(*place) for place in found.parameters),
        )

    def function(one: Any) -> InlinedFunction:
        found = InlinedFunction(*one)
        return found._replace(
            symbols=tuple(found.symbols),
            missed_callers=tuple(found.missed_callers),
            copies=tuple(map(copy, found.copies)),
        )

    report = InlineReport(*raw)
    return report._replace(
        kernel=_kernel(report.kernel),
        coverage=_coverage(report.coverage),
        debug=DebugSource(*report.debug) if report.debug is not None else None,
        functions=tuple(map(function, report.functions)),
        alternatives=tuple(Alternative(*a) for a in report.alternatives),
        notes=tuple(report.notes),
        suggestions=tuple(report.suggestions),
        unread=tuple(Unread(*u) for u in report.unread),
    )
