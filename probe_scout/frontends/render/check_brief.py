"""The answer of `check` in a few lines: one sentence for each target, then a line for each group of attach types.

Evidence, rule ids, the ways to write the name and attach types that do not count are in plain.py, for -v.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.attach import ATTACH_TYPES, PREFERRED, counted, is_unknown_here
from ...model.report import CheckReport, Coverage, Limit, TargetReport, UserReport
from ...model.verdict import NO, UNKNOWN, YES, Verdict
from .plain import assumed_lines, coverage_lines, cure_lines, kernel_line, labelled, merged_alternatives, once, whom
from .style import Style, printable

_SHOWN = 3  # callers, alternatives, reasons
_SAID_BY_HEAD = ("inlined", "partly_inlined", "ambiguous", "ambiguous_kprobe", "ambiguous_fentry", "ambiguous_multi")
_ABOUT_FMOD_RET = "build"


def brief_lines(report: CheckReport, style: Style, everything: bool = False) -> Iterator[str]:
    """The lines of the report, without line ends. `everything`: no attach type is left to the last line."""
    kernel = report.kernel._replace(taken="")
    yield kernel_line(kernel, style, after=", as the present caller" if report.caller == "me" else "")
    yield from assumed_lines(kernel, style)
    for target in report.targets:
        yield ""
        yield from _target(target, style, everything)


def _target(target: TargetReport | UserReport, style: Style, everything: bool) -> Iterator[str]:
    name = target.target.rpartition(":")[2]
    shown = target.verdicts if everything else counted(target.kind, name, target.verdicts)
    text, reason = headline(target, shown)
    first, *rest = style.wrap(printable(target.target) + ("" if text[0] == ":" else " ") + text, 2, 0)
    yield style.paint(printable(target.target), "name") + first[len(printable(target.target)) :]
    yield from rest
    for hazard in target.hazards:
        first, *rest = style.wrap(f"{hazard.says}   {hazard.id}", 11)
        yield style.paint("  danger   ", "hazard") + first.strip()
        yield from rest
    if target.prototype:
        yield from style.wrap(target.prototype, 6, 2)
    yield from _groups(shown, reason, style)
    yield from _calls(target, shown, style)
    if len(target.copies) > 1 and target.forms:
        one = target.forms[0]
        yield from labelled("name it", f"{one.loader} {one.form}" + (f": {one.says}" if one.says else ""), style)
    because = [d for d in target.diagnosis if d.says != reason and _counts(d.kind, shown)]
    for label, diagnosis in zip(once("because"), because[:_SHOWN], strict=False):
        likely = "likely: " if diagnosis.certainty == "likely" else ""
        yield from labelled(label, likely + diagnosis.says, style)
    hidden = len(because[_SHOWN:])
    known = {(v.attach, target.target) for v in target.verdicts if v.answer == YES}
    instead = merged_alternatives(tuple(a for a in target.alternatives if (a.attach, a.target) not in known))
    for label, (where, _, says, names) in zip(once("instead"), instead[:_SHOWN], strict=False):
        yield from labelled(label, f"{' '.join(names)} {where}" + (f": {says}" if says else ""), style)
    if target.suggestions:
        yield from labelled("similar", " ".join(target.suggestions), style)
    yield from cure_lines(shown, style)
    yield from _more(target, shown, len(instead[_SHOWN:]), hidden, style)


def _counts(kind: str, shown: Sequence[Verdict]) -> bool:
    """The diagnosis is about attach types that are shown, and not in the first sentence already."""
    if kind == _ABOUT_FMOD_RET:
        return any(_at(v.attach) == "value" and v.answer == NO for v in shown)
    return kind not in _SAID_BY_HEAD


def headline(target: TargetReport | UserReport, shown: Sequence[Verdict]) -> tuple[str, str]:
    """What the whole answer comes to, as the end of a sentence after the target's name; and the reason it repeats."""
    by = {answer: [v for v in shown if v.answer == answer] for answer in (YES, NO, UNKNOWN)}
    if by[YES]:
        return _can(target, by), ""
    if by[UNKNOWN]:
        why = next((u for v in by[UNKNOWN] for u in v.unread), None)
        what = f"; could not read {why.fact} ({why.kind.replace('_', ' ')})" if why else ""
        return f": unknown whether it can be {_verb(target)}{what}.", ""
    if target.diagnosis:
        says = target.diagnosis[0].says
        likely = "likely: " if target.diagnosis[0].certainty == "likely" and "likely" not in says else ""
        return f"cannot be {_verb(target)}: {likely}{_after_name(target, says)}", says
    says = next((f.says for v in shown for f in v.findings[:1]), "")
    verb = _verb(target)
    return f"cannot be {verb}: {_after_name(target, says)}" if says else f"cannot be {verb}.", says


def _verb(target: TargetReport | UserReport) -> str:
    """Helpers and kfuncs are asked for by programs that call them."""
    return "called" if target.kind in ("helper", "kfunc") else "probed"


def _after_name(target: TargetReport | UserReport, says: str) -> str:
    """The sentence as it goes on after the target's name and a colon."""
    if says.startswith(f"{target.target} "):
        return f"it {says[len(target.target) + 1 :]}"
    return says if says[1:2].isupper() else says[:1].lower() + says[1:]


def _can(target: TargetReport | UserReport, by: dict[str, list[Verdict]]) -> str:
    yes, refused = [v.attach for v in by[YES]], [v.attach for v in by[NO]]
    never = next((limit for limit in target.limits if limit.effect == "never" and set(yes) <= set(limit.types)), None)
    if never is not None:
        return f"takes a probe that sees no call: {never.says}"
    best = next((name for name in PREFERRED if name in yes), "")
    entries = _without_returns(yes)
    text = f"can be {_verb(target)}"
    if refused or by[UNKNOWN] or not best or len(entries) == 1:
        text += f" by {_and(entries)}"
        if refused:
            left = [name for name in _without_returns(refused) if name not in entries]
            text += f", not by {_and(left)}" if left else ""
    else:
        text += f", best by {best}"
    past = any(limit.effect == "partial" and best in limit.types for limit in _told(target))
    return f"{text}, but some calls go past it." if past else f"{text}{_missed(target.coverage)}."


def _told(target: TargetReport | UserReport) -> list[Limit]:
    """Limits apart from lost returns, which hold for nearly every return probe."""
    return [limit for limit in target.limits if limit.id != "limit.maxactive"]


def _without_returns(types: list[str]) -> list[str]:
    """A type at the return goes without saying where the one at the entry stands."""
    entries = [name for name in types if _at(name) != "return"]
    return entries or types


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _missed(coverage: Coverage) -> str:
    likely = "" if coverage.is_fact else "likely "
    if coverage.answer == "complete":
        return f"; it is {likely}not inlined"
    if coverage.answer not in ("partial", "none"):
        return ""
    callers = list(dict.fromkeys(name for name, _ in coverage.inlined_into)) or list(coverage.missed_callers)
    callers += [clone for clone in coverage.clones if clone not in callers]
    if not callers:
        return f", but {likely}misses inlined calls"
    more = len(callers) - _SHOWN
    shown = [*callers[:_SHOWN], f"{more} more"] if more > 0 else callers
    return f", but {likely}misses the calls in {_and(shown)}"


def _groups(shown: Sequence[Verdict], reason: str, style: Style) -> Iterator[str]:
    """Attach types with one answer, errno and reason in one line; a reason that the first sentence gave is left out."""
    groups: dict[tuple[str, ...], list[Verdict]] = {}
    for verdict in shown:
        says = "" if reason or verdict.answer == YES else _why(verdict)
        notes = tuple(note.says for note in verdict.notes)
        groups.setdefault((verdict.answer, verdict.errno or "", says, *notes), []).append(verdict)
    before = ""
    for (answer, errno, says, *noted), verdicts in groups.items():
        text = " ".join(v.attach for v in verdicts)
        if answer == NO and errno:
            text += f" ({errno})"
        text += f": {says}" if says else ""
        text += "".join(f"; but: {one}" if answer == YES else f"; note: {one}" for one in noted)
        first, *rest = style.wrap(text, 11)
        label = answer if answer != before else ""
        yield f"  {style.paint(label, answer)}{' ' * (9 - len(label))}{first.strip()}"
        yield from rest
        before = answer


def _why(verdict: Verdict) -> str:
    if verdict.answer == UNKNOWN:
        facts = dict.fromkeys(f"{u.fact} ({u.kind.replace('_', ' ')})" for u in verdict.unread)
        return f"could not read {', '.join(facts)}" if facts else next((f.says for f in verdict.findings), "")
    return next((f.says for f in verdict.findings), "")


def _calls(target: TargetReport | UserReport, shown: Sequence[Verdict], style: Style) -> Iterator[str]:
    """Which calls go past an accepted probe, where the first sentence does not say it."""
    accepted = [v.attach for v in shown if v.answer != NO]
    noted = {note.says for v in shown for note in v.notes}
    texts = [
        f"{limit.effect}{whom(limit.types, accepted)}: {limit.says}"
        for limit in _told(target)
        if limit.says not in noted and set(limit.types) & set(accepted)
    ]
    if target.coverage.answer == "unknown" and accepted:
        texts += coverage_lines(target.coverage, True)
    for label, text in zip(once("calls"), texts, strict=False):
        yield from labelled(label, text, style)


def _at(title: str) -> str:
    """When an attach type runs; "" for a program type, which calls are asked of (check helper:NAME --type xdp)."""
    return ATTACH_TYPES[title].at if title in ATTACH_TYPES else ""


def _more(
    target: TargetReport | UserReport, shown: Sequence[Verdict], alternatives: int, reasons: int, style: Style
) -> Iterator[str]:
    """What -v shows beside this, in one line."""
    others = [v for v in target.verdicts if v not in shown]
    lacking = [v for v in others if is_unknown_here(v)]
    yes = [v.attach for v in others if v.answer == YES]
    no = [v for v in others if v.answer == NO and v not in lacking]
    unknown = [v.attach for v in others if v.answer == UNKNOWN]
    slots = any(limit.id == "limit.maxactive" for limit in target.limits)
    accepted = any(v.answer == YES and _at(v.attach) in ("return", "both") for v in shown)
    parts = (
        f"yes {' '.join(yes)}" if yes else "",
        f"unknown {' '.join(unknown)}" if unknown else "",
        f"no to {len(no)} other type{'s' if len(no) > 1 else ''}" if no else "",
        f"{len(lacking)} unknown to this kernel" if lacking else "",
        "return probes may lose calls" if slots and accepted else "",
        f"{len(target.copies)} symbols of this name" if len(target.copies) > 1 else "",
        f"{alternatives} more alternative{'s' if alternatives > 1 else ''}" if alternatives else "",
        f"{reasons} more reason{'s' if reasons > 1 else ''}" if reasons else "",
    )
    if text := "; ".join(filter(None, parts)):
        yield from (style.paint(line, "dim") for line in labelled("-v", text, style))
