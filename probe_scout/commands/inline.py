"""`inline`: where a function was inlined, from debug information, with a verdict for every place.

Facts about one name are kept between runs under the state of the file they came from (cache.py), and so is the whole
table of a file. A kprobe's verdict at a place is worked out anew: it hangs on the kernel, not on the file.
"""

from __future__ import annotations

import fnmatch

from ..errors import UsageError
from ..formats.dwarf import classes
from ..kernel import modules
from ..model import facts
from ..model.facts import Unread
from ..model.inline import (
    InlinedCopy,
    InlinedFunction,
    InlineReport,
    InlineRow,
    InlineTable,
    ParameterPlace,
)
from ..model.report import Alternative, Coverage
from ..model.target import FUNCTION, OFFSET, Target
from ..probes.attach import function_traits, targets
from ..probes.inlining import debug_files
from ..probes.inlining.debug_facts import Source, coverage_of, facts_of, same_layout, source_of
from ..probes.inlining.names import base_name, home
from ..probes.inlining.nearby import gather, nearby
from ..probes.inlining.sentences import plain_class, says
from ..sources import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ..formats.dwarf.around import Parameter
    from ..formats.dwarf.inline_facts import SourceFunction
    from ..kernel.kernel import Kernel
    from ..model.verdict import Verdict
    from ..probes.explain.kernel_lookup import KernelLookup
    from ..probes.inlining.survey import Entry
    from ..probes.inlining.survey.cell import Cell

_POINTS_GATHERED = 16  # of what lies near, the first so many are looked up together
_FULL_VIEW_FROM = 16  # copies from which all symbols are read at once
_TABLE_FORMAT = "inline table 2"
_ROW_FIELDS = 7  # of Row: all but the places
_HOLDERS_TOLD = 8


# coverage


# one name


def report(
    k: Kernel,
    text: str,
    named: str = "",
    announce: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InlineReport:
    """Everything about one name. Raises UsageError for one that cannot be asked, Malformed for a broken file."""
    target = targets.as_function(k, targets.asked(k, text).target)
    if target.kind != FUNCTION:
        raise UsageError(f"{text[:60]!r} is no function: inline takes a name as the source has it, or MODULE:NAME")
    name, symbol = base_name(target.name), target.name
    module = home(k, target)
    source = source_of(k, module, named, True, announce)
    if isinstance(source, Unread):
        return _surveyed(k, target, source)
    found = facts_of(source, name, progress=progress)
    notes: list[str] = []
    unread: list[Unread] = []
    if source.debug.matches is None and module is None:
        source = source._replace(debug=source.debug._replace(matches=same_layout(k, source, found)))
        if source.debug.matches:
            notes.append(
                "No build-id to compare, but the symbols of kernel and debug information have equal addresses."
            )
    if any(one.copies for one in found.functions):
        _symbols_with_code(k, source, module)
    if source.debug.matches is False:
        notes.append(
            f"{source.debug.path} is of another build ({source.debug.build_id[:12]}) than this kernel "
            f"({k.build_id()[:12] or 'unknown'}): addresses are those of that build, and no verdict is given for them."
        )
    elif source.debug.matches is None and found.functions:
        notes.append(f"Whether {source.debug.path} is of this kernel's build is unknown: no build-id to compare.")
    if module is not None and source.debug.matches is not False and not _is_loaded(k, module):
        notes.append(f"Module {module} is not loaded: it takes no probe until it is.")
    points = tuple(nearby(k, found.functions, found.around, module)) if source.debug.matches is not False else ()
    if source.debug.matches is not False:
        places = {copy.symbol for one in found.functions for copy in one.copies[:_FULL_VIEW_FROM]}
        gather(k, name, {symbol, *places, *(point for _, point, _ in points[:_POINTS_GATHERED])})
    judge = _judge(k, module, sum(len(one.copies) for one in found.functions), source.debug.matches)
    functions = tuple(
        _function(one, places, module, judge) for one, places in zip(found.functions, found.parameters, strict=True)
    )
    coverage = coverage_of(symbol, found.functions, source.debug.matches) if functions else Coverage()
    suggestions: tuple[str, ...] = ()
    if len(functions) == 1 and source.debug.matches is not False and not coverage.clones:
        notes += _together(functions[0])
    lookup = _lookup(k)
    if not functions:
        if function_traits.function_traits(k, symbol, module).vmlinux or lookup.symbols(symbol):
            notes.append(f"The debug information does not describe {name}: it is assembly, or in another file.")
            unread.append(Unread(facts.DEBUG, "not_there", f"{source.debug.path} does not describe {name}"))
        else:
            from ..probes.explain import spelling

            suggestions = spelling.suggest(lookup, target)
            notes.append(f"Neither the debug information nor kallsyms knows a function {name}.")
            if source.debug.matches is None and named:
                why = f"{source.debug.path} has no build-id, so that it may be of another kernel"
                unread.append(Unread(facts.DEBUG, "not_there", why, debug_files.CURE))
    advised: tuple[Alternative, ...] = ()
    if coverage.answer in ("partial", "none", "unknown") and functions and source.debug.matches is not False:
        from ..probes.explain import alternatives

        verdicts = _verdicts(k, target, ("kprobe", "fentry"))
        advised = alternatives.alternatives(lookup, target, verdicts, nearby=points)
    return InlineReport(
        *(k.info(), str(target), module, coverage, source.debug, functions, advised, tuple(notes), suggestions),
        tuple(unread),
    )


def _together(function: InlinedFunction) -> list[str]:
    """What sees every call, where no single probe does."""
    places = sum(bool(copy.target) and not copy.seen and not copy.piece for copy in function.copies)
    if not places or function.kind not in (classes.PARTIAL, classes.FULL):
        return []
    if function.kind == classes.PARTIAL:
        return [
            f"Every call is seen by a probe on {function.name} together with a probe at each of the addresses above."
        ]
    return ["Every call is seen by probes at all addresses above together."] if places > 1 else []


def _surveyed(k: Kernel, target: Target, debug: Unread) -> InlineReport:
    """As `report`, of a name for which there is no debug information: what a survey says, fact or prediction."""
    from ..probes.explain import alternatives
    from ..probes.inlining.coverage import holders, surveyed

    symbol = target.name
    told = surveyed(k, target, symbol)
    lookup = _lookup(k)
    if told is None:
        suggestions: tuple[str, ...] = ()
        notes: tuple[str, ...] = ()
        if not lookup.symbols(symbol):
            from ..probes.explain import spelling

            suggestions = spelling.suggest(lookup, target)
            notes = (f"Neither a survey nor kallsyms knows a function {base_name(symbol)}.",)
        return InlineReport(
            *(k.info(), str(target), home(k, target), Coverage(), None, ()),
            *((), notes, suggestions, (debug,)),
        )
    coverage, entry, name, module = told.coverage, told.entry, base_name(symbol), told.module
    is_fact = entry.basis == "survey"
    # One look into kallsyms for all that is judged and advised below.
    gather(k, name, {symbol, *(holder for holder, _ in entry.places), *told.variants})
    judge = _judge(k, module, len(coverage.inlined_into), is_fact)
    copies = tuple(
        InlinedCopy(
            *(str(Target(OFFSET, holder, module, offset)), holder, offset, (), "", 0, False, judge(holder, offset)),
            (),
        )
        for holder, offset in coverage.inlined_into
    )
    symbols = ((name,) if lookup.symbols(name) else ()) + told.variants
    function = InlinedFunction(
        *(name, "", 0, entry.kind, _surveyed_says(entry, name, told.variants), symbols),
        *(coverage.missed_callers if is_fact else (), copies, 0),
    )
    notes_found = _survey_notes(entry, name, copies)
    if coverage.grade:
        said = f"By this kernel's own calls: {coverage.answer}, as {coverage.right:,} of {coverage.asked:,} such were"
        calling = f"; {' and '.join(coverage.called_by[:_HOLDERS_TOLD])} call it here" if coverage.called_by else ""
        notes_found.append(f"{said}{calling}.")
    if is_fact and not coverage.clones and not entry.others:
        notes_found += _together(function)
    if module is not None and not _is_loaded(k, module):
        notes_found.append(f"Module {module} is not loaded: it takes no probe until it is.")
    advised: tuple[Alternative, ...] = ()
    if coverage.answer != "complete":
        verdicts = _verdicts(k, target, ("kprobe", "fentry"))
        advised = alternatives.alternatives(lookup, target, verdicts, nearby=holders(k, told))
    unread = () if is_fact else (debug,)
    return InlineReport(
        *(k.info(), str(target), module, coverage, None, (function,)),
        *(advised, tuple(notes_found), (), unread),
    )


def _surveyed_says(entry: Entry, name: str, variants: tuple[str, ...]) -> str:
    """The class in one sentence. Numbers are those of a surveyed build, so that a prediction has none."""
    from ..probes.inlining.survey.cell import MISSED_MAX

    holders = tuple(dict.fromkeys(holder for holder, _ in entry.places))
    count = (entry.missed or len(entry.places)) if entry.basis == "survey" else 0
    more = "or more " if count == MISSED_MAX else ""
    copies = f"{count} {more}inlined cop{'y' if count == 1 else 'ies'}" if count else "inlined copies"
    if holders and count:
        copies += f" in {len(holders)} function{'' if len(holders) == 1 else 's'}"
    besides = f"; besides, {copies}" if count else ""
    clones = f"; {' and '.join(variants)} takes calls as well" if variants else ""
    if said := plain_class(entry.kind, copies, clones):
        return said
    if entry.kind == classes.TRANSFORMED:
        symbols = " and ".join(variants) or "by a name with a suffix, such as .isra.0"
        return f"Its code is called {symbols}: the parameters need not be those of the source{besides}."
    if entry.kind == classes.OTHER_SYMBOL:
        return f"Its code has another name{besides}."
    return "It has no code: unused, or overridden by another function of this name."


def _survey_notes(entry: Entry, name: str, copies: Sequence[InlinedCopy]) -> list[str]:
    found = []
    if entry.basis == "survey":
        says = "This is from the survey of this build"
        if entry.kind not in (classes.NO, classes.SELF_ONLY):
            lacking = (
                "source lines, parameters"
                if copies
                else "the addresses of the inlined copies, source lines, parameters"
            )
            says += f". Debug information adds {lacking} and other attach points nearby: {debug_files.CURE}"
        found.append(says + ".")
    elif not entry.kernels:
        found.append(
            "A prediction: no surveyed build knows this function with a symbol, so that only the share counts."
        )
    else:
        why = "only builds of another architecture were" if entry.basis == "survey-across" else "this build was not"
        said = f"A prediction: {why} surveyed, and {_kernels(entry.kernels)} says so"
        if entry.known < entry.surveyed:
            said += f" ({entry.known} of {entry.surveyed} surveyed kernels know the name)"
        if entry.asked:
            said += f"; {entry.right:,} of {entry.asked:,} such predictions came true"
        found.append(said + ".")
        holders = tuple(dict.fromkeys(holder for holder, _ in entry.places))
        if holders:
            shown = ", ".join(holders[:_HOLDERS_TOLD]) + (
                f" and {len(holders) - _HOLDERS_TOLD} more" if len(holders) > _HOLDERS_TOLD else ""
            )
            found.append(f"In {entry.kernels[-1]} the inlined copies are in {shown}.")
    if entry.others:
        found.append(f"Other functions of this name, in other files: {', '.join(entry.others)}.")
    return found


def _kernels(releases: Sequence[str]) -> str:
    if len(releases) < 2:
        return "".join(releases)
    return f"each of {', '.join(releases[:-1])} and {releases[-1]}"


def _symbols_with_code(k: Kernel, source: Source, module: str | None) -> None:
    """Give the kernel the code that lies in a vmlinux with debug information of the same build."""
    if module is None and source.debug.matches and k.image is None:
        image = source.opened.file.image
        text = image.section(".text")
        if text is not None and image.region_of(text).size:
            k.image = image.raw  # type: ignore[assignment]


def _is_loaded(k: Kernel, module: str) -> bool:
    return module in _lookup(k).modules_loaded()


def _lookup(k: Kernel) -> KernelLookup:
    from ..probes.attach.verdicts import answer
    from ..probes.explain.kernel_lookup import KernelLookup

    return KernelLookup(k, lambda other, attach: answer(k, other, attach))


def _verdicts(k: Kernel, target: Target, types: Sequence[str]) -> tuple[Verdict, ...]:
    from ..probes.attach.verdicts import verdicts

    return verdicts(k, target, types)


def _judge(k: Kernel, module: str | None, copies: int, matches: bool | None) -> Callable[[str, int], Verdict | None]:
    """A function from symbol and offset to the verdict of a kprobe there; None for places of another build."""
    if copies >= _FULL_VIEW_FROM and matches is not False:
        k.full()

    def judge(symbol: str, offset_bytes: int) -> Verdict | None:
        if matches is False or not symbol:
            return None
        return _verdicts(k, Target(OFFSET, symbol, module, offset_bytes), ("kprobe",))[0]

    return judge


def _function(
    one: SourceFunction,
    places: Sequence[Sequence[Parameter]],
    module: str | None,
    judge: Callable[[str, int], Verdict | None],
) -> InlinedFunction:
    judged: dict[tuple[str, int], Verdict | None] = {}
    copies = []
    for number, copy in enumerate(one.copies):
        key = (copy.symbol, copy.offset_bytes)
        if key not in judged:
            judged[key] = judge(*key)
        seen = copy.is_own and one.kind != classes.RECURSIVE
        written = str(Target(OFFSET, copy.symbol, module, copy.offset_bytes)) if copy.symbol else ""
        known = tuple(ParameterPlace(*p) for p in places[number]) if number < len(places) else ()
        copies.append(
            InlinedCopy(
                *(written, copy.symbol, copy.offset_bytes, copy.chain, copy.file, copy.line, seen, judged[key]),
                *(known, copy.is_piece),
            )
        )
    symbols = tuple(dict.fromkeys(symbol for body in one.bodies for symbol in body.symbols))
    callers = tuple(dict.fromkeys(copy.symbol for copy in one.missed if copy.symbol))
    return InlinedFunction(
        *(one.name, one.file, one.line, one.kind, says(one), symbols, callers, tuple(copies)),
        one.copies_without_code,
    )


# what instead


# the whole file


def table(
    k: Kernel,
    glob: str,
    kinds: Sequence[str],
    module: str | None,
    named: str = "",
    announce: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InlineTable:
    """Every function of a file that matches, by name. The whole table is kept. Raises UsageError and Malformed."""
    module = None if module == "vmlinux" else module
    source = source_of(k, module, named, True, announce)
    has_glob = glob not in ("", "*")
    if isinstance(source, Unread):
        from ..probes.inlining import survey

        build_id = modules.build_id(k, module) if module is not None else ""
        surveyed = survey.functions(build_id or k.build_id(), module)
        if surveyed is None:
            return InlineTable(k.info(), None, (), (source,))
        told = [
            _row(name, module, cell)
            for name, cell in surveyed
            if (not has_glob or fnmatch.fnmatchcase(name, glob)) and (not kinds or cell.kind in kinds)
        ]
        return InlineTable(k.info(), None, told, basis="survey")
    rows = _rows(source, progress)
    found = [
        InlineRow(name, module, kind, copies, missed, tuple(symbols), file, line)
        for name, file, line, kind, symbols, copies, missed in rows
        if (not has_glob or fnmatch.fnmatchcase(name, glob)) and (not kinds or kind in kinds)
    ]
    return InlineTable(k.info(), source.debug, found)


def _row(name: str, module: str | None, cell: Cell) -> InlineRow:
    """A function as a survey has it."""
    missed: int | None = len(cell.places) or None
    if cell.kind == classes.PARTIAL:
        missed = cell.missed
    elif cell.kind in (classes.NO, classes.SELF_ONLY, classes.GONE):
        missed = 0
    copies = 0 if cell.kind in (classes.NO, classes.GONE) else None
    return InlineRow(name, module, cell.kind, copies, missed, (name,) if cell.has_symbol else (), "", 0)


def _rows(source: Source, progress: Callable[[int, int], None] | None) -> Iterable[Sequence[Any]]:
    question = f"{_TABLE_FORMAT}\x00{source.key}"
    kept = cache.kept(question, large=True)
    if isinstance(kept, list) and all(isinstance(row, list) and len(row) == _ROW_FIELDS for row in kept):
        return kept
    from ..formats.dwarf.inline_facts import table as whole

    rows = [row[:_ROW_FIELDS] for rows in whole(source.opened.file, progress).values() for row in rows]
    cache.keep(question, rows, large=True)
    return rows
