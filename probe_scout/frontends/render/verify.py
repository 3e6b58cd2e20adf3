"""The report of `verify` for people: what was equal in few lines, every difference with its bug report."""

from __future__ import annotations

from collections.abc import Iterator

from ...model import trial
from ...model.trial import Trial, VerifyReport
from .plain import kernel_line
from .style import Style, printable

_OUTCOME = 11
_WORDS = {trial.OTHER_ERRNO: "errno"}
_ROLES = {
    trial.EQUAL: "yes",
    trial.SETTLED: "yes",
    trial.DIFFERENT: "no",
    trial.OTHER_ERRNO: "no",
    trial.REFUSED: "unknown",
    trial.UNASKED: "unknown",
    trial.PLANNED: "dim",
}
_NO_MESSAGE = (trial.EQUAL, trial.PLANNED)


def verify_lines(report: VerifyReport, style: Style) -> Iterator[str]:
    """The lines of the whole report, without line ends."""
    yield kernel_line(report.kernel, style, after=", as the present caller" if report.caller == "me" else "")
    if report.dry:
        yield "dry run: nothing was loaded or attached"
    target = ""
    for group in _grouped(report.trials):
        if group[0].target != target:
            target = group[0].target
            yield ""
            yield style.paint(printable(target), "name")
        yield from _group(group, style)
    yield ""
    yield _summary(report.trials)
    for bug in report.reports:
        yield ""
        yield style.paint(f"bug report: {printable(bug.title)}", "hazard")
        for line in bug.body.split("\n"):
            yield f"  {printable(line)}"


def _grouped(trials: tuple[Trial, ...]) -> list[list[Trial]]:
    """Trials of a target with the same outcome for the same reason, together, in order of first appearance."""
    groups: dict[tuple[str, ...], list[Trial]] = {}
    for one in trials:
        key: tuple[str, ...] = (one.target, one.outcome, one.says)
        if one.outcome not in (trial.REFUSED, trial.UNASKED):
            says = "" if one.outcome in _NO_MESSAGE else one.says
            key = (one.target, one.outcome, one.verdict.answer, one.verdict.errno or "", one.errno, one.stage, says)
        groups.setdefault(key, []).append(one)
    order = {target: place for place, target in enumerate(dict.fromkeys(one.target for one in trials))}
    return sorted(groups.values(), key=lambda group: order[group[0].target])


def _group(group: list[Trial], style: Style) -> Iterator[str]:
    one = group[0]
    word = _WORDS.get(one.outcome, one.outcome)
    names = " ".join(t.attach for t in group)
    lines = style.wrap(f"{names}   {_sentence(one)}".rstrip(), 2 + _OUTCOME)
    yield f"  {style.paint(word.ljust(_OUTCOME), _ROLES[one.outcome])}{lines[0].lstrip()}"
    yield from lines[1:]


def _sentence(one: Trial) -> str:
    kernel = f"{one.answer}{f' ({one.errno})' if one.errno else ''}{f' at {one.stage}' if one.stage else ''}"
    verdict = f"{one.verdict.answer}{f' ({one.verdict.errno})' if one.verdict.errno else ''}"
    says = f": {one.says}" if one.says else ""
    if one.outcome == trial.EQUAL:
        return kernel
    if one.outcome == trial.SETTLED:
        return f"the kernel says {kernel}{says}"
    if one.outcome in (trial.DIFFERENT, trial.OTHER_ERRNO):
        return f"the verdict is {verdict}, the kernel says {kernel}{says}"
    return f"would be asked; the verdict is {verdict}{says}" if one.outcome == trial.PLANNED else one.says


def _summary(trials: tuple[Trial, ...]) -> str:
    counts = dict.fromkeys(_ROLES, 0)
    for one in trials:
        counts[one.outcome] += 1
    parts = [f"{count} {_WORDS.get(word, word)}" for word, count in counts.items() if count]
    return f"{len(trials)} attach type{'' if len(trials) == 1 else 's'} on targets: {', '.join(parts)}"


def verify_rows(report: VerifyReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows for csv, Markdown and grid."""
    heads = ("target", "attach", "outcome", "verdict", "verdict_errno", "kernel", "errno", "stage", "says")
    rows: list[tuple[str, ...]] = [
        (
            *(one.target, one.attach, one.outcome, one.verdict.answer, one.verdict.errno or ""),
            *(one.answer, one.errno, one.stage, one.says),
        )
        for one in report.trials
    ]
    return heads, rows
