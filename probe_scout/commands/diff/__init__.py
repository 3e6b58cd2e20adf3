"""`diff`: what of the functions and events of one kernel is still there, and still the same, on another."""

from __future__ import annotations

from ...model import facts
from ...model.attach import ATTACH_TYPES, BY_EVENT, for_kind
from ...model.diff import APPEARED, EVENTS, FUNCTIONS, GONE, KINDS, Count, DiffReport, Gap, ModuleChange, Totals
from ...model.facts import Unread
from ...model.target import EVENT_WORDS, FUNCTION, SYSCALL_WORDS, TRACEPOINT, bare_section, split
from ...probes.attach import targets
from ...probes.tracepoints import listing as every_event
from . import events, functions
from .judged import Answers, refused_types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...kernel.kernel import Kernel
    from ...model.diff import EventChange, FunctionChange

EXAMPLES = 3
_FACTS = {
    FUNCTIONS: (facts.KALLSYMS, facts.BTF, facts.FILTER_FUNCTIONS, facts.KPROBE_BLACKLIST, facts.CONFIG),
    EVENTS: (facts.EVENTS, facts.KALLSYMS, facts.BTF, facts.CONFIG),
}


def report(a: Kernel, b: Kernel, glob: str, kinds: Sequence[str], types: Sequence[str], whole: bool) -> DiffReport:
    """Everything that differs between two kernels among what matches `glob` ("" for all).

    `kinds` and `types` are both empty for all; attach types that do not apply to a kind leave it out unless the
    kind was asked for. `whole` false leaves the rows out and keeps what is told of all of them. Raises Malformed.
    """
    pattern, attach, kind = _pattern(a, glob)
    types = types or ((attach,) if attach else ())
    match = matcher(pattern)
    chosen = {FUNCTIONS: types_of(FUNCTION, types), EVENTS: types_of(TRACEPOINT, types)}
    asked = tuple(kinds) or tuple(kind for kind in KINDS if chosen[kind]) or KINDS
    if kind:
        asked = (kind,)
    used = tuple(dict.fromkeys(attach for kind in asked for attach in chosen[kind]))
    refused = refused_types(a, b, used)
    skipped = {change.attach for change in refused}
    totals: list[Totals] = []
    counts: list[Count] = []
    found = functions.Found()
    cut = {side: said for side, k in (("a", a), ("b", b)) if (said := k.partial())}
    slices = "".join(cut)
    if FUNCTIONS in asked:
        answers = Answers(a, b, tuple(t for t in chosen[FUNCTIONS] if t not in skipped), hooks=bool(types))
        found = functions.compare(a, b, match, answers, slices)
        totals.append(Totals(FUNCTIONS, found.in_a, found.in_b, found.same, found.untold))
        counts += _counts(FUNCTIONS, found.changes)
    seen = events.Found()
    if EVENTS in asked:
        answers = Answers(a, b, tuple(t for t in chosen[EVENTS] if t not in skipped))
        seen = events.compare(a, b, match, answers, slices)
        totals.append(Totals(EVENTS, seen.in_a, seen.in_b, seen.same, seen.untold))
        counts += _counts(EVENTS, seen.changes)
    there = {attach for total in totals if total.in_a or total.in_b for attach in chosen[total.kind]}
    return DiffReport(
        a.info(),
        b.info(),
        glob,
        tuple(totals),
        tuple(change for change in refused if change.attach in there),
        seen.common,
        _modules(found.alone, seen.alone),
        tuple(counts),
        whole,
        tuple(found.changes) if whole else (),
        tuple(seen.changes) if whole else (),
        (*gaps(a, b, asked), *seen.gaps, *_slices(cut, found.left_out, seen.left_out)),
    )


def types_of(kind: str, asked: Sequence[str]) -> tuple[str, ...]:
    """The attach types to judge for functions or tracepoints: those asked for, else the usual ones."""
    if asked:
        return tuple(attach for attach in asked if kind in ATTACH_TYPES[attach].kinds.split())
    return BY_EVENT if kind == TRACEPOINT else for_kind(kind)


def gaps(a: Kernel, b: Kernel, kinds: Sequence[str]) -> tuple[Gap, ...]:
    """What could not be read of either kernel, as far as it was needed; so the rest may differ unseen."""
    wanted = dict.fromkeys(fact for kind in kinds for fact in _FACTS[kind])
    found = [Gap(side, gap) for side, k in (("a", a), ("b", b)) for fact in wanted if (gap := k.unread(fact))]
    for side, k in (("a", a), ("b", b)):
        found += [Gap(side, gap) for gap in k.module_gaps.values()]
    return tuple(found)


def _slices(cut: Mapping[str, str], functions: int, events: int) -> list[Gap]:
    """Of each kernel that is a slice, that names which the other alone has are not called gone."""
    left = f"{functions} functions and {events} events that only one side has are not compared"
    why = "this snapshot is a slice of a kernel ({}): {}, and a verdict may differ for what it lacks"
    cure = "compare snapshots of whole kernels"
    return [Gap(side, Unread(facts.EVENTS, "not_recorded", why.format(at, left), cure)) for side, at in cut.items()]


def _pattern(k: Kernel, glob: str) -> tuple[str, str, str]:
    """The pattern without the word before it; the attach type and the kind that the word asks for, "" if none."""
    if glob == "tp:":
        return "", "", EVENTS
    word, _ = split(bare_section(glob))
    if not word:
        return glob, "", ""
    if word in EVENT_WORDS or word in SYSCALL_WORDS:
        attach = EVENT_WORDS.get(word, "")
        return every_event.bare_name(glob), attach, EVENTS
    return *targets.pattern(k, glob), FUNCTIONS


def matcher(glob: str) -> Callable[[str, str], bool] | None:
    """Says whether owner (module or category) and name match; None if all do.

    A pattern without a colon is held against the name alone.
    """
    glob = glob.replace("/", ":")
    if glob in ("", "*"):
        return None
    import fnmatch
    import re

    match = re.compile(fnmatch.translate(glob)).match
    if ":" in glob:
        return lambda owner, name: match(f"{owner}:{name}") is not None
    return lambda owner, name: match(name) is not None


def _modules(
    functions: Mapping[tuple[str, str], int], events: Mapping[tuple[str, str], int]
) -> tuple[ModuleChange, ...]:
    keys = sorted({*functions, *events})
    return tuple(
        ModuleChange(name, side, functions.get((side, name), 0), events.get((side, name), 0)) for side, name in keys
    )


def _counts(kind: str, changes: Sequence[FunctionChange] | Sequence[EventChange]) -> list[Count]:
    """How often each thing differs, in the order: changes, arguments, fields, verdicts."""
    names: dict[tuple[int, str, str], list[str]] = {}
    for one in changes:
        name = f"{one.module}:{one.target}" if one.module and kind == FUNCTIONS else one.target
        keys: dict[tuple[int, str, str], None] = {(0, one.change, ""): None}
        if one.change in (GONE, APPEARED) and kind == FUNCTIONS and "." in one.target:
            keys[0, f"{one.change}, of these split off or renamed by the compiler", ""] = None
        for argument in one.arguments:
            where = "return" if argument.place is None else "argument"
            keys[1, f"{where} {argument.what}", ""] = None
        for field in getattr(one, "fields", ()):
            keys.update({(2, f"field {what}", ""): None for what in field.what})
        if one.change in ("changed", "renamed", "moved") and getattr(one, "copies_a", 0) != getattr(one, "copies_b", 0):
            keys[3, "copies", ""] = None
        for verdict in one.verdicts:
            before, after = _said(verdict.answer_a, verdict.errno_a), _said(verdict.answer_b, verdict.errno_b)
            keys[4, f"{before} to {after}", verdict.attach] = None
        for key in keys:
            names.setdefault(key, []).append(name)
    order = {attach: place for place, attach in enumerate(ATTACH_TYPES)}
    rows = sorted(names.items(), key=lambda item: (item[0][0], order.get(item[0][2], 0), -len(item[1])))
    return [Count(kind, what, attach, len(found), tuple(found[:EXAMPLES])) for (_, what, attach), found in rows]


def _said(answer: str, errno: str | None) -> str:
    return f"{answer} {errno}" if errno else answer
