"""The report of `check` for people: answer first, reason second, evidence third, alternative last.

Attach types with the same answer for the same reason share one block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.attach import counted, is_unknown_here
from ...model.report import Alternative, CheckReport, Coverage, KernelInfo, TargetReport
from ...model.verdict import NO, UNKNOWN, YES, Finding, Verdict
from .style import Style, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.report import UserReport

_ANSWER = 9  # columns of the answer, with its gap
_SHOWN_CALLERS = 6
_SHOWN_COPIES = 8


def check_lines(report: CheckReport, style: Style, all_types: bool = True) -> Iterator[str]:
    """The lines of the whole report, without line ends. Without `all_types` what does not count is told in short."""
    yield kernel_line(report.kernel, style, after=", as the present caller" if report.caller == "me" else "")
    yield from assumed_lines(report.kernel, style)
    for target in report.targets:
        yield ""
        yield from _target(target, style, all_types)


def assumed_lines(kernel: KernelInfo, style: Style) -> Iterator[str]:
    """What was assumed of a kernel that was not booted; nothing for others."""
    if kernel.assumed:
        yield from style.wrap("not booted; assumed: " + "; ".join(kernel.assumed), 2)


def kernel_line(kernel: KernelInfo, style: Style, before: str = "", after: str = "") -> str:
    """Which kernel answered, in one line, or more where lines are short; `before` and `after` are said with it."""
    taken = f", taken {kernel.taken}" if kernel.taken else ""
    build = f", build {kernel.build_id[:12]}" if kernel.build_id else ""
    text = f"kernel {kernel.release or 'of unknown release'} {kernel.arch} ({kernel.source}{taken}{build})"
    text = f"{before}{' '.join(text.split())}{after}"
    return "\n".join(style.paint(line, "dim") for line in style.wrap(text, 2, 0))


def _target(target: TargetReport | UserReport, style: Style, all_types: bool = True) -> Iterator[str]:
    head = style.paint(printable(target.target), "name")
    where = f"  in {printable(target.module)}" if target.module and target.kind != "tracepoint" else ""
    yield f"{head}  {target.kind}{where}"
    if target.prototype:
        yield from style.wrap(target.prototype, 6, 2)
    for hazard in target.hazards:
        yield style.paint("  danger   ", "hazard") + style.wrap(f"{hazard.says}   {hazard.id}", 11)[0].strip()
        yield from style.wrap(f"{hazard.says}   {hazard.id}", 11)[1:]
    shown = target.verdicts if all_types else counted(target.kind, target.target.rpartition(":")[2], target.verdicts)
    groups = grouped(shown)
    told = {finding.says for group in groups for finding in group[0].findings[:1]}
    for group in groups:
        yield from _group(group, style, told)
    yield from _others(tuple(v for v in target.verdicts if v not in shown), style)
    yield from _calls(target, style)
    if len(target.copies) > 1:
        yield from _copies(target, style)
    if (place := getattr(target, "place", None)) is not None:
        from .user import place_lines

        yield from place_lines(place, style, labelled)
    yield from _forms(target, style)
    for label, diagnosis in zip(once("because"), target.diagnosis, strict=False):
        likely = "likely: " if diagnosis.certainty == "likely" else ""
        yield from labelled(label, likely + diagnosis.says, style)
    known = {(v.attach, target.target) for v in target.verdicts if v.answer == YES}
    yield from alternative_lines(tuple(a for a in target.alternatives if (a.attach, a.target) not in known), style)
    if target.suggestions:
        yield from labelled("similar", " ".join(target.suggestions), style)
    yield from cure_lines(target.verdicts, style)


def _others(verdicts: tuple[Verdict, ...], style: Style) -> Iterator[str]:
    """Attach types that do not count: their answers in short, and those that this kernel lacks in one line."""
    lacking = [v.attach for v in verdicts if is_unknown_here(v)]
    by_answer: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.attach not in lacking:
            by_answer.setdefault(verdict.answer, []).append(verdict.attach)
    parts = [f"{answer} {' '.join(by_answer[answer])}" for answer in (YES, NO, UNKNOWN) if answer in by_answer]
    if parts:
        yield from labelled("others", f"{'; '.join(parts)} (--all-types tells why)", style)
    if lacking:
        yield from labelled("lacking", f"this kernel does not know {' '.join(lacking)}", style)


def grouped(verdicts: tuple[Verdict, ...]) -> list[tuple[Verdict, ...]]:
    """Verdicts with the same answer for the same first reason, together; groups in order of first appearance."""
    groups: dict[tuple[object, ...], list[Verdict]] = {}
    for verdict in verdicts:
        key = (
            verdict.answer,
            verdict.errno,
            verdict.errno_certain,
            tuple((f.rule, f.says) for f in verdict.findings[:1]),
            () if _is_settled(verdict) else tuple((u.fact, u.kind) for u in verdict.unread),
            tuple((n.rule, n.says) for n in verdict.notes),
        )
        groups.setdefault(key, []).append(verdict)
    return [tuple(group) for group in groups.values()]


def _is_settled(verdict: Verdict) -> bool:
    """What could not be read does not matter: neither to the answer nor to the errno."""
    return verdict.answer == YES or (verdict.answer == NO and verdict.errno_certain)


def _group(group: tuple[Verdict, ...], style: Style, told: set[str]) -> Iterator[str]:
    """One answer with its reason. Further reasons are left out where some group of the target tells them already."""
    verdict = group[0]
    names = " ".join(v.attach for v in group)
    if verdict.answer == NO and verdict.errno:
        names += f"   ({verdict.errno})"
    lines = style.wrap(names, 2 + _ANSWER)
    yield f"  {style.paint(verdict.answer.ljust(_ANSWER), verdict.answer)}{lines[0].lstrip()}"
    yield from lines[1:]
    for finding in verdict.findings[:1]:
        yield from _finding(finding, style, "", with_evidence=True)
    further: dict[tuple[str, str], list[str]] = {}
    for one in group:
        for finding in one.findings[1:]:
            if finding.says in told:
                continue
            further.setdefault((finding.rule, finding.says), []).append(one.attach)
    for (rule, says), names_of in further.items():
        told.add(says)
        whom = "" if len(names_of) == len(group) else f" {' '.join(names_of)}"
        yield from _finding(Finding(rule, says, ""), style, f"also{whom}: ", with_evidence=False)
    if verdict.answer == UNKNOWN:
        for unread in verdict.unread:
            yield from style.wrap(f"could not read {unread.fact} ({_kind(unread.kind)}): {unread.why}", 15, 13)
    elif verdict.answer == NO and not verdict.errno_certain and verdict.unread:
        facts = ", ".join(u.fact for u in verdict.unread)
        yield from style.wrap(f"another error is possible: could not read {facts}", 15, 13)
    for note in verdict.notes:
        yield from _finding(note, style, "but: " if verdict.answer == YES else "note: ", with_evidence=False)


def _finding(finding: Finding, style: Style, prefix: str, with_evidence: bool) -> Iterator[str]:
    *head, last = style.wrap(f"{prefix}{finding.says}   {finding.rule}", 15, 13)
    yield from head
    yield last if not last.endswith(finding.rule) else last[: -len(finding.rule)] + style.paint(finding.rule, "dim")
    if with_evidence and finding.evidence:
        for line in style.wrap(finding.evidence, 17, 15):
            yield style.paint(line, "dim")


def _kind(kind: str) -> str:
    return kind.replace("_", " ")


def _calls(target: TargetReport | UserReport, style: Style) -> Iterator[str]:
    """Which calls go past an accepted probe: what no type sees first, then inlining, then the rest."""
    noted = {note.says for verdict in target.verdicts for note in verdict.notes}
    accepted = [verdict.attach for verdict in target.verdicts if verdict.answer != NO]
    first: list[str] = []
    last: list[str] = []
    for limit in target.limits:
        if limit.says not in noted:
            head = f"{limit.effect}{whom(limit.types, accepted)}: "
            says = limit.says if limit.says[1:2].isupper() else limit.says[:1].lower() + limit.says[1:]
            likely = "likely " if limit.certainty == "likely" else ""
            (last if limit.id == "limit.maxactive" else first).append(f"{likely}{head}{says}   {limit.id}")
    for label, text in zip(
        once("calls"), [*first, *coverage_lines(target.coverage, bool(accepted)), *last], strict=False
    ):
        yield from labelled(label, text, style)


def whom(types: tuple[str, ...], accepted: list[str]) -> str:
    """For which of the accepted types something holds; "" where for all."""
    others = [attach for attach in accepted if attach not in types]
    if not others:
        return ""
    return f" for all but {others[0]}" if len(others) == 1 and len(types) > 2 else f" for {' '.join(types)}"


def coverage_lines(coverage: Coverage, attaches: bool) -> Iterator[str]:
    """What is known about inlining. `attaches`: some type of those asked is not refused."""
    basis = {
        "dwarf": "debug information of this build",
        "survey": "survey of this build",
        "survey-other": "a prediction from other builds",
        "survey-across": "a prediction from builds of another architecture",
    }.get(coverage.basis, "")
    if coverage.build_id_match is False and coverage.basis == "dwarf":
        basis = "debug information of another build"
    if coverage.is_prediction and coverage.asked:
        basis += " and this kernel's calls" if coverage.grade else ""
        basis += f"; {coverage.right:,} of {coverage.asked:,} such predictions came true"
    callers = [f"{name}+{offset:#x}" for name, offset in coverage.inlined_into[:_SHOWN_CALLERS]]
    if len(coverage.inlined_into) > _SHOWN_CALLERS:
        callers.append(f"and {len(coverage.inlined_into) - _SHOWN_CALLERS} more")
    if not callers and coverage.missed_callers and not coverage.is_fact:
        callers = list(coverage.missed_callers[:_SHOWN_CALLERS])
    into = f" into {', '.join(callers)}" if callers else ""
    clones = f"calls go to {' and '.join(coverage.clones[:_SHOWN_CALLERS])}" if coverage.clones else ""
    number = str(coverage.missed) if coverage.missed and not callers else ""
    many = {"": "copies were", "1": "1 copy was"}.get(number, f"{number} copies were")
    copies = f"{'a copy was' if into and coverage.missed == 1 else many} inlined{into}"
    missed = " and ".join(filter(None, (copies if into or number or not clones else "", clones)))
    if coverage.kind == "self only, recursive":
        missed = "it calls itself, and inner calls were inlined"
    one = coverage.missed == 1 and not coverage.clones
    closed = "" if attaches else "; no type of those asked attaches, so no probe sees its calls"
    text = {
        "complete": "not inlined: the code calls this symbol" + closed,
        "partial": f"partial: {missed}" + (closed or f"; a probe misses {'it' if one else 'them'}"),
        "none": f"none: only inlined copies exist{', ' + into.strip() if into else ''}",
    }.get(coverage.answer)
    if text is None:
        if coverage.basis == "none":
            return  # no evidence either way is the usual case; JSON says so
        text = "unknown: inlined copies may exist"
        if coverage.clones:
            text = f"unknown: its code is called {' and '.join(coverage.clones[:_SHOWN_CALLERS])}"
        elif coverage.kind == "transformed":
            text = "unknown: its code has a name with a suffix, such as .isra.0"
        elif coverage.basis == "dwarf" or coverage.kind in ("gone", "other symbol"):
            text = "unknown: no code is known by this name"
    elif coverage.is_prediction:
        text = f"likely {text}"
    yield f"{text} ({basis})" if basis else text


def _copies(target: TargetReport | UserReport, style: Style) -> Iterator[str]:
    yield from labelled("copies", f"{len(target.copies)} symbols carry this name", style)
    for copy in target.copies[:_SHOWN_COPIES]:
        traced = {True: "ftrace lists it", False: "ftrace does not list it", None: ""}[copy.traced]
        taken = f"taken by {' '.join(copy.taken_by)}" if copy.taken_by else ""
        rest = ", ".join(part for part in (traced, taken) if part)
        line = f"{copy.address} {copy.letter} {copy.module or 'vmlinux'}" + (f": {rest}" if rest else "")
        yield from style.wrap(line, 15, 13)
    if len(target.copies) > _SHOWN_COPIES:
        yield f"             and {len(target.copies) - _SHOWN_COPIES} more"


def _forms(target: TargetReport | UserReport, style: Style) -> Iterator[str]:
    for label, form in zip(once("name it"), target.forms, strict=False):
        yield from labelled(label, f"{form.loader} {form.form}" + (f": {form.says}" if form.says else ""), style)


def alternative_lines(alternatives: tuple[Alternative, ...], style: Style) -> Iterator[str]:
    """What to take instead, with the reason for each; attach types of one place together."""
    for label, (where, answer, says, names) in zip(once("instead"), merged_alternatives(alternatives), strict=False):
        yield from labelled(label, f"{' '.join(names)} {where} ({answer})" + (f": {says}" if says else ""), style)


def merged_alternatives(alternatives: tuple[Alternative, ...]) -> list[tuple[str, str, str, list[str]]]:
    """(target, answer, says, attach types) of each place."""
    merged: dict[tuple[str, str, str], list[str]] = {}
    for one in alternatives:
        merged.setdefault((one.target, one.answer, one.says), []).append(one.attach)
    return [
        (target.removeprefix("tp:") if any("tp" in name for name in names) else target, answer, says, names)
        for (target, answer, says), names in merged.items()
    ]


def cure_lines(verdicts: Sequence[Verdict], style: Style) -> Iterator[str]:
    """What would open the files that an unsettled answer needs."""
    cures = dict.fromkeys(u.cure for v in verdicts if not _is_settled(v) for u in v.unread if u.cure)
    for label, cure in zip(once("to know"), cures, strict=False):
        yield from labelled(label, cure, style)


def labelled(label: str, text: str, style: Style) -> Iterator[str]:
    """Text after a label, wrapped under itself."""
    first, *rest = style.wrap(text, 2 + _ANSWER)
    yield f"  {label.ljust(_ANSWER)}{first.lstrip()}"
    yield from rest


def once(label: str) -> Iterator[str]:
    """The label, and then nothing: for the lines below it."""
    yield label
    while True:
        yield ""
