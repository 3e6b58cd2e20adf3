"""What a debug file says of one name: read, kept between runs, and the coverage of a probe that follows from it.

Facts are kept under the state of the file they came from (sources/cache.py), so that the file is opened only for what
was not asked before.
"""

from __future__ import annotations

from ...formats.dwarf import classes
from ...kernel import modules
from ...model.facts import Unread
from ...model.inline import DebugSource
from ...model.report import Coverage
from ...named_tuple import NamedTuple
from ...sources import cache
from . import debug_files
from .names import KEPT, QUICK, WHOLE, base_name, home
from .nearby import nearby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ...formats.dwarf.around import Around, Parameter
    from ...formats.dwarf.inline_facts import SourceFunction
    from ...kernel.kernel import Kernel
    from ...model.target import Target

_PARAMETERS_MAX = 1000  # copies whose parameters are looked up


_AROUND_FORMAT = "inline facts 2"


_LANDMARKS = ("_etext", "_sinittext", "_einittext", "do_exit")


class Facts(NamedTuple):
    """What a debug file says of one name. Parallel: one entry of each for every source function."""

    functions: tuple[SourceFunction, ...]
    parameters: tuple[tuple[tuple[Parameter, ...], ...], ...]
    around: tuple[Around, ...]


class Source(NamedTuple):
    """Where facts come from; the file is read only for what is not kept. `key` begins what they are kept under."""

    debug: DebugSource
    opened: debug_files.Opened
    key: str


def build_of(k: Kernel, module: str | None) -> debug_files.Build:
    """What identifies the debug information of a kernel or of one of its modules."""
    description = k.source.describe()
    root = description.where if description.kind == "root" else ""
    if module is None:
        return debug_files.Build(k.build_id(), k.release(), None, root, k.info().arch)
    return debug_files.Build(modules.build_id(k, module), k.release(), module, root, k.info().arch)


def source_of(
    k: Kernel,
    module: str | None,
    named: str = "",
    may_fetch: bool = False,
    announce: Callable[[str], None] | None = None,
) -> Source | Unread:
    """The debug information of the kernel or of a module. Raises UsageError and Malformed for a file of the user."""
    build = build_of(k, module)
    opened = debug_files.find(build, named, may_fetch, announce)
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
    from ...formats.dwarf.around import around, parameters
    from ...formats.dwarf.inline_facts import TooMuch, find

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
    from ...formats.dwarf.around import Around, Neighbour, Parameter
    from ...formats.dwarf.inline_facts import Body, Copy, SourceFunction

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
        matches = same_layout(k, source, found)
    answer = coverage_of(symbol, found.functions, matches)
    if answer.answer == "complete" or matches is False:
        return answer, ()
    return answer, tuple(nearby(k, found.functions, found.around, module))


def same_layout(k: Kernel, source: Source, found: Facts) -> bool | None:
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
