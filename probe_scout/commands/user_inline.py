"""`inline FILE:NAME`: where a function of a program or library was inlined, and a uprobe's answer at each copy."""

from __future__ import annotations

from ..errors import Malformed, UsageError
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
from ..model.user_target import USER_FUNCTION, read
from ..model.verdict import YES, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..formats.dwarf.around import Parameter
    from ..formats.dwarf.inline_facts import Copy, SourceFunction
    from ..kernel.kernel import Kernel
    from ..probes.user.inlining import Facts
    from ..probes.user.report import Places

_PARAMETERS_MAX = 1000
_ADVISED_MAX = 8


def report(
    k: Kernel,
    text: str,
    debug: str = "",
    announce: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InlineReport:
    """Everything about one name of one file. Raises UsageError for a target that is no name of a function."""
    from ..probes.user import files, inlining, symbols
    from ..probes.user.report import Places

    target = read(text)
    if target.kind != USER_FUNCTION or not target.name or target.offset:
        raise UsageError(f"{text[:60]!r}: inline takes FILE:NAME, the name of a function")
    file = files.found(k, target)
    if file.image is None:
        raise UsageError(f"{file.path}: {file.why_not}" if file.path not in file.why_not else file.why_not)
    chosen = symbols.find(file, target.name).chosen
    if chosen is not None and target.is_glob and chosen.name != target.name:
        names = dict.fromkeys(s.name for s in symbols.find(file, target.name).symbols)
        if len(names) > 1:
            raise UsageError(f"{target}: {len(names)} functions match, such as {' '.join(list(names)[:3])}; name one")
    found = inlining.facts_of(file, target.name, chosen, debug, False, True, announce, progress)
    if isinstance(found, Unread):
        return InlineReport(k.info(), str(target), None, Coverage(), None, (), unread=(found,))
    return _report(k, str(target), found, Places(k, file))


def table(
    k: Kernel,
    text: str,
    kinds: Sequence[str],
    debug: str = "",
    announce: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> InlineTable:
    """Every function that the debug information of a file describes: `inline --all FILE` and FILE:GLOB.

    Raises UsageError for what is no ELF file.
    """
    from fnmatch import fnmatchcase

    from ..formats.dwarf.inline_facts import table as whole
    from ..probes.user import debug_info, files

    target = read(text if ":" in text.lstrip("/.") else f"{text}:*")
    if target.kind != USER_FUNCTION or not target.name or target.offset:
        raise UsageError(f"{text[:60]!r}: inline --all takes FILE or FILE:GLOB")
    file = files.found(k, target)
    if file.image is None:
        raise UsageError(f"{file.path}: {file.why_not}" if file.path not in file.why_not else file.why_not)
    source = debug_info.of(file, debug, True, announce)
    if isinstance(source, Unread):
        return InlineTable(k.info(), None, (), (source,))
    try:
        rows = sorted(row for rows in whole(source.file, progress).values() for row in rows)
    except Malformed as error:
        return InlineTable(k.info(), None, (), (Unread("debug", "malformed", str(error)),))
    found = [
        InlineRow(row.name, None, row.kind, row.copies, row.missed, row.symbols, row.file, row.line)
        for row in rows
        if fnmatchcase(row.name, target.name) and (not kinds or row.kind in kinds)
    ]
    return InlineTable(k.info(), DebugSource(source.path, source.build_id, source.matches, source.how), found)


def _report(k: Kernel, text: str, found: Facts, places: Places) -> InlineReport:
    from ..formats.dwarf.around import parameters
    from ..probes.inlining.debug_facts import coverage_of

    source = found.source
    shown = DebugSource(source.path, source.build_id, source.matches, source.how)
    notes: list[str] = []
    if source.matches is False:
        notes.append(f"{source.path} is of another build than {places.file.path}: addresses are those of that build.")
    functions: list[InlinedFunction] = []
    alternatives: list[Alternative] = []
    for one in found.functions:
        copies: list[InlinedCopy] = []
        for copy in one.copies:
            known = parameters(source.file, copy.entry, copy.address) if len(copies) < _PARAMETERS_MAX else ()
            copies.append(_copy(one, copy, known, places if source.matches is not False else None))
        functions.append(_function(one, tuple(copies)))
    coverage = coverage_of(found.symbol, found.functions, source.matches) if functions else Coverage()
    every = [copy for function in functions for copy in function.copies]
    for each in every:
        if not each.seen and not each.piece and each.verdict and each.verdict.answer == YES and not each.verdict.notes:
            alternatives.append(Alternative("uprobe", each.target, YES, f"an inlined copy in {each.symbol}"))
    if len(functions) > 1:
        notes.append(f"{len(functions)} functions of the source have this name; file and line tell them apart.")
    if not functions:
        notes.append(f"The debug information does not describe {found.name}: assembly, or compiled without -g.")
    refused = sum(bool(each.verdict and each.verdict.notes) for each in every)
    if refused:
        notes.append(f"{refused} of the copies begin with an instruction that takes no probe, or must not have one.")
    if found.functions and any(one.missed for one in found.functions):
        notes.append("No return probe sees an inlined copy: it has no return.")
    return InlineReport(
        *(
            k.info(),
            text,
            None,
            coverage,
            shown,
            tuple(functions),
            tuple(alternatives[:_ADVISED_MAX]),
            tuple(notes),
            (),
        ),
        () if functions else (Unread("debug", "not_there", f"{source.path} does not describe {found.name}"),),
    )


def _function(one: SourceFunction, copies: tuple[InlinedCopy, ...]) -> InlinedFunction:
    from ..probes.inlining.sentences import says

    symbols = tuple(dict.fromkeys(symbol for body in one.bodies for symbol in body.symbols))
    callers = tuple(dict.fromkeys(copy.symbol for copy in one.missed if copy.symbol))
    return InlinedFunction(
        *(one.name, one.file, one.line, one.kind, says(one), symbols, callers, copies, one.copies_without_code)
    )


def _copy(one: SourceFunction, copy: Copy, known: tuple[Parameter, ...], places: Places | None) -> InlinedCopy:
    from ..formats.dwarf import classes

    offset = places.offset(copy.address) if places is not None else None
    verdict = None
    written = ""
    if places is not None and offset is not None:
        verdict, wrong = places.judged(offset)
        if wrong:
            verdict = verdict._replace(notes=(Finding(wrong[0], wrong[1], f"{places.file.path}+{offset:#x}"),))
        written = f"{places.file.path}:{offset:#x}"
    seen = copy.is_own and one.kind != classes.RECURSIVE
    return InlinedCopy(
        *(written, copy.symbol, copy.offset_bytes, copy.chain, copy.file, copy.line, seen, verdict),
        *(tuple(ParameterPlace(*p) for p in known), copy.is_piece, offset),
    )
