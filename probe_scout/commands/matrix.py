"""`matrix`: from the reports of `check` for each rung of a hook's ladder to the best way to attach.

Nothing is judged here: each verdict is the one that `check` gives for the same target on the same kernel.
"""

from __future__ import annotations

from ..model.attach import ITER, PREFERRED, counted
from ..model.matrix import ATTACHES, INSTEAD, MISSES, REFUSED, UNTOLD, Cell, Other, RungVerdict
from ..model.report import Coverage
from ..model.target import FUNCTION, SYSCALL
from ..model.verdict import NO, UNKNOWN, YES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model.hooks import Hook
    from ..model.report import TargetReport
    from ..model.verdict import Verdict

# As a section of libbpf and a probe of bpftrace these are tracepoint programs; `check` judges every type of an event.
_TP = ("tp/", "tracepoint/", "tracepoint:", "t:")
_ORDER = ("none", "partial", "unknown", "complete")  # of several words about calls, the first one holds


def cell(hook: Hook, place: int, kernel: int, reports: Sequence[TargetReport]) -> Cell:
    """The cell of one hook on one kernel. `reports`: what `check` says about each rung, in order."""
    every = tuple(told for number, report in enumerate(reports) for told in rung_verdicts(number, report))
    best = [_best(number, report, every, hook.ladder[number]) for number, report in enumerate(reports)]
    first = best[0]
    blank = Cell(
        place,
        kernel,
        UNTOLD,
        UNKNOWN,
        errno=first.errno,
        rule=first.rule if first.answer != YES else "",
        says=first.says if first.answer != YES else "",
        because=_because(reports[0]),
        rungs=every,
        others=_others(reports),
        coverage=reports[0].coverage,
        prototype=reports[0].prototype or "",
    )
    taken = _taken(hook, best, reports)
    if taken is not None:
        return _attached(hook, blank, taken, best, reports)
    if any(one.answer == UNKNOWN for one in best):
        untold = next(one for one in best if one.answer == UNKNOWN)
        return blank._replace(errno=None, rule=untold.rule, says=untold.says)
    if blank.others:
        other = blank.others[0]
        return blank._replace(state=INSTEAD, answer=NO, attach=other.attach, target=other.target)
    return blank._replace(state=REFUSED, answer=NO)


def untold(place: int, kernel: int, why: str) -> Cell:
    """The cell of a kernel that could not be asked."""
    return Cell(place, kernel, UNTOLD, UNKNOWN, says=why)


def rung_verdicts(number: int, report: TargetReport) -> list[RungVerdict]:
    """Each verdict of a report, with which calls a probe of this type sees."""
    found = []
    for verdict in report.verdicts:
        rule, says = _reason(verdict)
        sees, limits = _sees(report, verdict) if verdict.answer == YES else ("", ())
        errno, certain = verdict.errno, verdict.errno_certain
        told = (number, report.target, verdict.attach, verdict.answer, errno, certain, rule, says, sees, limits)
        found.append(RungVerdict(*told))
    return found


def _reason(verdict: Verdict) -> tuple[str, str]:
    """Rule and sentence of a verdict: why it is no, what a yes leaves open, what could not be read."""
    if verdict.answer == UNKNOWN and verdict.unread:
        gap = verdict.unread[0]
        return "", f"{gap.fact}: {gap.why}" + (f"; {gap.cure}" if gap.cure else "")
    findings = verdict.notes if verdict.answer == YES else verdict.findings
    return (findings[0].rule, findings[0].says) if findings else ("", "")


def _sees(report: TargetReport, verdict: Verdict) -> tuple[str, tuple[str, ...]]:
    """Which calls go past an accepted probe, inlining and all else together; and the ids of what is not inlining."""
    words = ["complete"]
    if report.kind in (FUNCTION, SYSCALL) and verdict.attach not in ITER:  # who reads an iterator's file calls it
        words.append(report.coverage.answer)
    limits = [one for one in report.limits if verdict.attach in one.types and one.effect != "reads"]
    words += ["none" if one.effect == "never" else one.effect for one in limits]
    return min(words, key=_ORDER.index), tuple(one.id for one in limits)


def _best(number: int, report: TargetReport, every: Sequence[RungVerdict], written: str) -> RungVerdict:
    """The verdict that stands for a rung: the best accepted type, else one that cannot be told, else the first."""
    mine = {one.attach: one for one in every if one.rung == number}
    if written.startswith(_TP) and "tp" in mine:
        return mine["tp"]
    kept = [v.attach for v in counted(report.kind, report.target.rpartition(":")[2], report.verdicts)]
    order = [attach for attach in PREFERRED if attach in kept] or kept
    for answer in (YES, UNKNOWN):
        for attach in order:
            if mine[attach].answer == answer:
                return mine[attach]
    return mine[order[0]]


def _met(hook: Hook, one: RungVerdict, coverage: Coverage) -> str:
    """Whether a rung sees what the hook asks for: yes, no, unknown. A prediction of coverage proves nothing."""
    if hook.coverage == "any":
        return YES
    if one.sees == "none" or (one.sees == "partial" and hook.coverage == "complete"):
        return NO
    is_proven = coverage.is_fact or coverage.basis == "none"
    return YES if one.sees in ("complete", "partial") and is_proven else UNKNOWN


def _taken(hook: Hook, best: Sequence[RungVerdict], reports: Sequence[TargetReport]) -> tuple[int, str] | None:
    """The rung that a loader should take, and whether it sees what the hook asks for; None where none is accepted."""
    accepted = [(n, _met(hook, one, reports[n].coverage)) for n, one in enumerate(best) if one.answer == YES]
    for wanted in (YES, UNKNOWN, NO):
        for number, met in accepted:
            if met == wanted:
                return number, met
    return None


def _attached(
    hook: Hook, blank: Cell, taken: tuple[int, str], best: Sequence[RungVerdict], reports: Sequence[TargetReport]
) -> Cell:
    number, met = taken
    one, coverage = best[number], reports[number].coverage
    answer = UNKNOWN if met == NO and any(other.answer == UNKNOWN for other in best) else met
    says = blank.says
    if met != YES and not says:
        says = f"sees {_SEES[one.sees]}; the hook asks for coverage {hook.coverage}"
    state = INSTEAD if number else MISSES if one.sees in ("partial", "none") else ATTACHES
    applies = reports[number].kind in (FUNCTION, SYSCALL)
    return blank._replace(
        state=state,
        answer=answer,
        attach=one.attach,
        target=one.target,
        rung=number,
        sees=one.sees,
        basis=coverage.basis if applies else "",
        missed=max(coverage.missed, len(coverage.inlined_into)) if applies and one.sees == "partial" else 0,
        says=says,
        coverage=coverage,
    )


_SEES = {
    "none": "no call",
    "partial": "some calls",
    "unknown": "an unknown share of the calls",
    "complete": "every call only by a prediction",
}


def _because(report: TargetReport) -> tuple[str, ...]:
    return tuple(("likely: " if one.certainty == "likely" else "") + one.says for one in report.diagnosis)


def _others(reports: Sequence[TargetReport]) -> tuple[Other, ...]:
    """Accepted attach points that are on no rung, in the order of the rungs that propose them."""
    own = {report.target for report in reports}
    found = {
        (one.attach, one.target): Other(one.attach, one.target, one.says)
        for report in reports
        for one in report.alternatives
        if one.answer == YES and one.target not in own
    }
    return tuple(found.values())
