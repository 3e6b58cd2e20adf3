"""`inline`: where a function was inlined, from debug information, with a verdict for every place.

Facts about one name are kept between runs under the state of the file they came from (cache.py), and so is the whole
table of a file. A kprobe's verdict at a place is worked out anew: it hangs on the kernel, not on the file.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from ..formats.dwarf import classes
from ..model import facts
from ..model.facts import Unread
from ..model.inline import (
    DebugSource,
    InlinedCopy,
    InlinedFunction,
    InlineReport,
    InlineRow,
    InlineTable,
    ParameterPlace,
)
from ..model.report import Alternative, Coverage
from ..model.target import FUNCTION, OFFSET, Target
from ..probes.attach import function_traits as questions
from ..probes.attach import targets
from ..probes.inlining import debug_files as debugfiles
from ..probes.inlining.coverage import KEPT, QUICK, WHOLE, base_name, home, module_build_id
from ..sources import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..formats.dwarf.around import Around, Parameter
    from ..formats.dwarf.inline_facts import SourceFunction
    from ..kernel.kernel import Kernel
    from ..model.verdict import Verdict
    from ..probes.explain.kernel_lookup import KernelLookup
    from ..probes.inlining.survey import Entry
    from ..probes.inlining.survey.cell import Cell

_PARAMETERS_MAX = 1000  # copies whose parameters are looked up
_POINTS_GATHERED = 16  # of what lies near, the first so many are looked up together
_FULL_VIEW_FROM = 16  # copies from which all symbols are read at once
_AROUND_FORMAT = "inline facts 2"
_TABLE_FORMAT = "inline table 2"
_ROW_FIELDS = 7  # of Row: all but the places
_LANDMARKS = ("_etext", "_sinittext", "_einittext", "do_exit")
_CALLERS_ADVISED = 4
_HOLDERS_TOLD = 8
_CALLEES_ADVISED = 6


class Facts(NamedTuple):
    """What a debug file says of one name. Parallel: one entry of each for every source function."""

    functions: tuple[SourceFunction, ...]
    parameters: tuple[tuple[tuple[Parameter, ...], ...], ...]
    around: tuple[Around, ...]


class Source(NamedTuple):
    """Where facts come from; the file is read only for what is not kept. `key` begins what they are kept under."""

    debug: DebugSource
    opened: debugfiles.Opened
    key: str


def build_of(k: Kernel, module: str | None) -> debugfiles.Build:
    """What identifies the debug information of a kernel or of one of its modules."""
    description = k.source.describe()
    root = description.where if description.kind == "root" else ""
    if module is None:
        return debugfiles.Build(k.build_id(), k.release(), None, root, k.info().arch)
    return debugfiles.Build(module_build_id(k, module), k.release(), module, root, k.info().arch)


def source_of(
    k: Kernel,
    module: str | None,
    named: str = "",
    may_fetch: bool = False,
    announce: Callable[[str], None] | None = None,
) -> Source | Unread:
    """The debug information of the kernel or of a module. Raises UsageError and Malformed for a file of the user."""
    build = build_of(k, module)
    opened = debugfiles.find(build, named, may_fetch, announce)
    if isinstance(opened, Unread):
        return opened
    debug = DebugSource(opened.path, opened.build_id, opened.matches, opened.how)
    return Source(debug, opened, f"{cache.program()}\x00{opened.path}\x00{opened.state}")


def facts_of(
    source: Source, name: str, effort: str = WHOLE, progress: Callable[[int, int], None] | None = None
) -> Facts:
    """What the file says of a name, from the cache where it was asked before. Raises Malformed.

    With less effort than WHOLE raises TooMuch: where it was not kept, or where `find` refuses to be quick.
    """
    question = f"{_AROUND_FORMAT}\x00{source.key}\x00{name}"
    kept = cache.kept(question)
    if kept is not None:
        try:
            return _facts(kept)
        except (TypeError, ValueError, KeyError, IndexError):
            pass
    from ..formats.dwarf.around import around, parameters
    from ..formats.dwarf.inline_facts import TooMuch, find

    if effort == KEPT:
        raise TooMuch(f"{source.debug.path} was not asked about {name} before")

    file = source.opened.file
    functions = find(file, name, effort == QUICK, progress)
    places = tuple(
        tuple(parameters(file, copy.entry, copy.address) for copy in one.copies[:_PARAMETERS_MAX]) for one in functions
    )
    found = Facts(functions, places, tuple(around(file, one) for one in functions))
    cache.keep(question, found)
    return found


def _facts(raw: Any) -> Facts:
    """Facts from what JSON made of them. Raises TypeError, ValueError and the like for anything else."""
    from ..formats.dwarf.around import Around, Neighbour, Parameter
    from ..formats.dwarf.inline_facts import Body, Copy, SourceFunction

    functions, places, neighbourhoods = raw

    def near(one: Any) -> Neighbour:
        name, symbols, kind, file, via, reached, pieces = one
        return Neighbour(name, tuple(symbols), kind, file, tuple(via), reached, pieces)

    def copy(one: Any) -> Copy:
        address, symbol, offset, chain, file, line, own, entry, piece = one
        return Copy(address, symbol, offset, tuple(chain), file, line, own, entry, piece)

    return Facts(
        tuple(
            SourceFunction(*one)._replace(
                bodies=tuple(
                    Body(address, tuple(symbols), nocall, entry) for address, symbols, nocall, entry in one[8]
                ),
                copies=tuple(map(copy, one[9])),
            )
            for one in functions
        ),
        tuple(tuple(tuple(Parameter(*p) for p in place) for place in one) for one in places),
        tuple(
            Around(
                tuple(map(near, callers)),
                tuple(map(near, callees)),
                tuple((event, tuple(via)) for event, via in events),
                whole,
            )
            for callers, callees, events, whole in neighbourhoods
        ),
    )


# coverage


def coverage_of(symbol: str, functions: Sequence[SourceFunction], matches: bool | None) -> Coverage:
    """Whether all calls go to the symbol, of these source functions, which share its name.

    Of "name.isra.0" only the function that this symbol belongs to counts.
    """
    mine = [one for one in functions if any(symbol in body.symbols for body in one.bodies)] or list(functions)
    answers: set[str] = set()
    missed_copies = 0
    into: dict[tuple[str, int], None] = {}
    clones: dict[str, None] = {}
    for one in mine:
        own = {name for body in one.bodies for name in body.symbols}
        others = [body.symbols[0] for body in one.bodies if body.symbols and symbol not in body.symbols]
        clones.update(dict.fromkeys(others))
        calls = [copy for copy in one.copies if not copy.is_piece]
        missed = [copy for copy in calls if copy.symbol.partition(".cold")[0] not in own]
        if one.kind == classes.RECURSIVE:
            missed = calls
        missed_copies += len(missed)
        into.update(dict.fromkeys((copy.symbol, copy.offset_bytes) for copy in missed if copy.symbol))
        if symbol in own:
            answers.add("partial" if missed or others else "complete")
        else:
            answers.add("none" if one.kind == classes.FULL else "unknown")
    answer = answers.pop() if len(answers) == 1 else ("partial" if answers - {"unknown"} else "unknown")
    callers = tuple(dict.fromkeys(caller for caller, _ in into)) if answer in ("partial", "none") else ()
    kinds = {one.kind for one in mine}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return Coverage(answer, "dwarf", matches, tuple(into), callers, tuple(clones), kind=kind, missed=missed_copies)


def coverage(
    k: Kernel, target: Target, symbol: str, named: str, effort: str
) -> tuple[Coverage, tuple[tuple[str, str, str], ...]]:
    """The coverage of a probe on a symbol and places near it, for `check`. Raises as `source_of` and `facts_of`."""
    module = home(k, target._replace(name=symbol))
    source = source_of(k, module, named)
    if isinstance(source, Unread):
        return Coverage(), ()
    found = facts_of(source, base_name(symbol), effort if not named else WHOLE)
    if not found.functions:
        return Coverage(), ()
    matches = source.debug.matches
    if matches is None and module is None:
        matches = _same_layout(k, source, found)
    answer = coverage_of(symbol, found.functions, matches)
    if answer.answer == "complete" or matches is False:
        return answer, ()
    return answer, tuple(nearby(k, found, module))


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
        source = source._replace(debug=source.debug._replace(matches=_same_layout(k, source, found)))
        if source.debug.matches:
            notes.append("No build-id to compare, but the symbols of kernel and debug information lie at equal places.")
    if any(one.copies for one in found.functions):
        _lend_code(k, source, module)
    if source.debug.matches is False:
        notes.append(
            f"{source.debug.path} is of another build ({source.debug.build_id[:12]}) than this kernel "
            f"({k.build_id()[:12] or 'unknown'}): places are those of that build, and no verdict is given for them."
        )
    elif source.debug.matches is None and found.functions:
        notes.append(f"Whether {source.debug.path} is of this kernel's build cannot be told: no build-id to compare.")
    if module is not None and source.debug.matches is not False and not _is_loaded(k, module):
        notes.append(f"Module {module} is not loaded: its places take no probe until it is.")
    points = tuple(nearby(k, found, module)) if source.debug.matches is not False else ()
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
        if questions.function_traits(k, symbol, module).vmlinux or lookup.symbols(symbol):
            notes.append(f"The debug information does not describe {name}: it is assembly, or in another file.")
            unread.append(Unread(facts.DEBUG, "not_there", f"{source.debug.path} does not describe {name}"))
        else:
            from ..probes.explain import spelling

            suggestions = spelling.suggest(lookup, target)
            notes.append(f"Neither the debug information nor kallsyms knows a function {name}.")
            if source.debug.matches is None and named:
                why = f"{source.debug.path} has no build-id, so that it may be of another kernel"
                unread.append(Unread(facts.DEBUG, "not_there", why, debugfiles.CURE))
    advised: tuple[Alternative, ...] = ()
    if coverage.answer in ("partial", "none", "unknown") and functions and source.debug.matches is not False:
        from ..probes.explain import alternatives as advice

        verdicts = _verdicts(k, target, ("kprobe", "fentry"))
        advised = advice.alternatives(lookup, target, verdicts, nearby=points)
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
        return [f"Every call is seen by a probe on {function.name} and one at each of the places above, together."]
    return ["Every call is seen by probes at all of the places above, together."] if places > 1 else []


def _surveyed(k: Kernel, target: Target, debug: Unread) -> InlineReport:
    """As `report`, of a name for which there is no debug information: what a survey says, fact or prediction."""
    from ..probes.explain import alternatives as advice
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
    if is_fact and not coverage.clones and not entry.others:
        notes_found += _together(function)
    if module is not None and not _is_loaded(k, module):
        notes_found.append(f"Module {module} is not loaded: its places take no probe until it is.")
    advised: tuple[Alternative, ...] = ()
    if coverage.answer != "complete":
        verdicts = _verdicts(k, target, ("kprobe", "fentry"))
        advised = advice.alternatives(lookup, target, verdicts, nearby=holders(k, told))
    unread = () if is_fact else (debug,)
    return InlineReport(
        *(k.info(), str(target), module, coverage, None, (function,)),
        *(advised, tuple(notes_found), (), unread),
    )


def _plain_class(kind: str, copies: str, clones: str = "") -> str:
    """The sentence of a class that needs no more than the number of copies; "" for the others."""
    if kind == classes.NO:
        return f"No inlined copy: the code calls this symbol{clones}."
    if kind == classes.SELF_ONLY:
        says = "Inlined only into itself, a piece that the compiler had split off: the code calls this symbol"
        return f"{says}{clones}."
    if kind == classes.RECURSIVE:
        return "Inlined into itself where it calls itself: a probe sees the outer call and misses inner ones."
    if kind == classes.PARTIAL:
        return f"A probe on it misses {copies}{clones}."
    if kind == classes.FULL:
        return f"No code of its own, only {copies}: there is nothing to probe by this name."
    return ""


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
    if said := _plain_class(entry.kind, copies, clones):
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
            lacking = "source lines, parameters" if copies else "the places of the copies, source lines, parameters"
            says += f". Debug information adds {lacking} and what else lies near: {debugfiles.CURE}"
        found.append(says + ".")
    else:
        said = f"A prediction: this build was not surveyed, and {_kernels(entry.kernels)} says so"
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
            found.append(f"In {entry.kernels[-1]} the copies are in {shown}.")
    if entry.others:
        found.append(f"Other functions of this name, in other files: {', '.join(entry.others)}.")
    return found


def _kernels(releases: Sequence[str]) -> str:
    if len(releases) < 2:
        return "".join(releases)
    return f"each of {', '.join(releases[:-1])} and {releases[-1]}"


def _same_layout(k: Kernel, source: Source, found: Facts) -> bool | None:
    """Whether the file's functions lie where the kernel's do, as in the same build; None if that cannot be told."""
    holders = dict.fromkeys(copy.symbol for one in found.functions for copy in one.copies[:16])
    names = ("_stext", *_LANDMARKS, *(name for name in list(holders)[:8] if name))
    view = k.view(name.encode() for name in names)
    theirs = source.opened.file.image.symbols.named_each(names)
    if view is None or view.symbols.hidden or not k.stext() or len(theirs["_stext"]) != 1:
        return None
    compared = 0
    for name in names[1:]:
        rows = view.symbols.rows(name.encode())
        if len(rows) == len(theirs[name]) == 1:
            if view.symbols.addresses[rows[0]] - k.stext() != theirs[name][0] - theirs["_stext"][0]:
                return False
            compared += 1
    return True if compared >= len(_LANDMARKS) else None


def _lend_code(k: Kernel, source: Source, module: str | None) -> None:
    """Give the kernel the code that lies in a vmlinux with debug information of the same build."""
    if module is None and source.debug.matches and k.image is None:
        image = source.opened.file.image
        text = image.section(".text")
        if text is not None and image.region_of(text).size:
            k.image = image.raw  # type: ignore[assignment]


def _is_loaded(k: Kernel, module: str) -> bool:
    return module in _lookup(k).modules_loaded()


def _lookup(k: Kernel) -> KernelLookup:
    from ..probes.explain.kernel_lookup import KernelLookup
    from .check import answer

    return KernelLookup(k, lambda other, attach: answer(k, other, attach))


def _verdicts(k: Kernel, target: Target, types: Sequence[str]) -> tuple[Verdict, ...]:
    from .check import verdicts

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
        *(one.name, one.file, one.line, one.kind, _says(one), symbols, callers, tuple(copies)),
        one.copies_without_code,
    )


def _says(one: SourceFunction) -> str:
    """The class in one sentence."""
    missed = len(one.missed)
    callers = len({copy.symbol for copy in one.missed})
    count = f"{missed} inlined cop{'y' if missed == 1 else 'ies'} in {callers} function{'' if callers == 1 else 's'}"
    symbols = tuple(dict.fromkeys(symbol for body in one.bodies for symbol in body.symbols))
    if said := _plain_class(one.kind, count):
        return said
    if one.kind == classes.TRANSFORMED:
        moved = [suffix for symbol in symbols if (suffix := classes.suffixes(one.name, symbol))]
        changed = any(suffix.arguments != "same" for suffix in moved) or any(body.is_nocall for body in one.bodies)
        said = "the parameters need not be those of the source" if changed else "the parameters are those of the source"
        more = f"; besides, {count}" if missed else ""
        return f"Its code is called {' and '.join(symbols)}: {said}{more}."
    if one.kind == classes.OTHER_SYMBOL:
        more = f"; besides, {count}" if missed else ""
        return f"Its code has another name: {' and '.join(symbols)}{more}."
    if one.copies_without_code:
        return "Inlined and then optimised away: it has no code."
    return "It has no code: unused, or overridden by another function of this name."


# what instead


def gather(k: Kernel, name: str, others: Iterable[str]) -> None:
    """Look once into kallsyms for a function, for others that are judged with it, and for what advice knows of it.

    `others`: names, with or without a module before them; those of events are left out.
    """
    from ..probes.explain import known_changes as ladder

    step = ladder.rung(name)
    known = (one.target for one in (step.candidates if step is not None else ()))
    plain = {one.rpartition(":")[2] for one in (*others, *known) if one and not one.startswith(("tp:", "syscall:"))}
    k.gather([one.encode() for one in sorted({name, *plain})], with_types=False)


def nearby(k: Kernel, found: Facts, module: str | None) -> Iterator[tuple[str, str, str]]:
    """(attach type, target, sentence): places near the code of a function, best first; none was judged yet.

    What every copy calls comes first if it is of the same source file and sees all of its own calls; then the events
    that the code passes; then the functions that hold the copies, which together see every call; then the rest.
    """
    for one, around in zip(found.functions, found.around, strict=True):
        same = [near for near in around.callees if near.reached and near.file == one.file]
        first = [near for near in same if near.kind in (classes.NO, classes.SELF_ONLY, classes.TRANSFORMED)]
        for near in first:
            yield from _points(near.symbols[:1], module, _called(one.name, near, around.is_whole), near.kind)
        for event, via in around.events:
            path = " → ".join((one.name, *via))
            for category in k.events_named(event) or ():
                yield "tp", f"tp:{category}:{event}", f"The event lies on the way: {path} passes it, if it gets so far."
        for near in around.callers:
            yield from held(one.name, near.symbols, module, near.reached, near.pieces, len(around.callers), near.kind)
        onward = [near for near in around.callees if not near.reached and near.kind in (classes.NO, classes.SELF_ONLY)]
        other = [near for near in around.callees if near.reached and near not in first]
        if first or around.events or one.kind != classes.FULL:
            other = []  # what the rest of the kernel calls as well helps little
        for near in onward[:_CALLEES_ADVISED]:
            says = f"Called further on: {' → '.join((one.name, *near.via, near.name))}, on some paths or all."
            yield from _points(near.symbols[:1], module, says, near.kind)
        for near in other[:_CALLEES_ADVISED]:
            yield from _points(near.symbols[:1], module, _called(one.name, near, around.is_whole), near.kind)


def held(
    name: str, symbols: Iterable[str], module: str | None, count: int, total: int, holders: int, kind: str
) -> Iterator[tuple[str, str, str]]:
    """Points of a function that holds so many of all inlined copies; none where too many functions hold them."""
    if holders > _CALLERS_ADVISED:
        return
    says = f"Holds {_of(count, total)} of {name}"
    if count < total:
        says += "; only together these functions see every inlined call"
    yield from _points(symbols, module, says + ".", kind)


def _of(count: int, total: int) -> str:
    if total == 1:
        return "the only inlined copy"
    return f"all {total} inlined copies" if count == total else f"{count} of {total} inlined copies"


def _called(name: str, near: Any, is_whole: bool) -> str:
    where = "every copy" if is_whole else f"all {near.pieces} copies that were looked at"
    text = f"Called from {where} of {name}, and perhaps from elsewhere"
    if near.kind == classes.PARTIAL:
        text += "; it is itself inlined at some places"
    elif near.kind == classes.TRANSFORMED:
        text += "; the compiler may have changed its parameters"
    return text + "."


def _points(symbols: Iterable[str], module: str | None, says: str, kind: str) -> Iterator[tuple[str, str, str]]:
    for symbol in symbols:
        written = f"{module}:{symbol}" if module else symbol
        if "." not in symbol:
            yield "fentry", written, says
        yield "kprobe", written, says


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

        build_id = module_build_id(k, module) if module is not None else ""
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
