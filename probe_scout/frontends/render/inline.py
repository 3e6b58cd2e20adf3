"""`inline` for people and for tables: the class in one sentence, then every copy with its own answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...model.inline import DebugSource, InlinedCopy, InlinedFunction, InlineReport, InlineRow, ParameterPlace
from ...model.verdict import NO, YES, Verdict
from . import plain, table
from .style import Style, printable

_SHOWN_COPIES = 40
_SHOWN_CALLERS = 12

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]
TABLE_HEADS = ("name", "module", "kind", "copies", "missed", "symbols", "source")


def inline_lines(report: InlineReport, style: Style) -> Iterator[str]:
    """The lines of a report, without line ends."""
    yield plain.kernel_line(report.kernel, style)
    if report.debug is not None:
        yield style.paint(f"debug information {printable(report.debug.path)} ({_match(report.debug)})", "dim")
    for one in report.functions:
        yield ""
        yield from _function(one, style, "likely " if report.coverage.is_prediction else "")
    if not report.functions:
        yield ""
        yield style.paint(printable(report.target), "name")
    for note in report.notes:
        yield from plain.labelled("note", note, style)
    for unread in report.unread:
        kind = unread.kind.replace("_", " ")
        yield from plain.labelled("unknown", f"could not read {unread.fact} ({kind}): {unread.why}", style)
    yield from plain.alternative_lines(report.alternatives, style)
    if report.suggestions:
        yield from plain.labelled("similar", " ".join(report.suggestions), style)
    verdicts = [copy.verdict for one in report.functions for copy in one.copies[:_SHOWN_COPIES] if copy.verdict]
    gaps = (*report.unread, *(unread for verdict in verdicts for unread in verdict.unread))
    for cure in dict.fromkeys(unread.cure for unread in gaps if unread.cure):
        yield from plain.labelled("to know", cure, style)


def _match(debug: DebugSource) -> str:
    return {True: "of this build", False: "of another build", None: "build not compared"}[debug.matches]


def _function(one: InlinedFunction, style: Style, likely: str = "") -> Iterator[str]:
    where = f"  {printable(one.file)}:{one.line}" if one.file else ""
    yield f"{style.paint(printable(one.name), 'name')}{where}"
    yield from plain.labelled("inlined", f"{likely}{one.kind}: {one.says}", style)
    if one.symbols and one.symbols != (one.name,):
        yield from plain.labelled("symbols", " ".join(one.symbols), style)
    if one.missed_callers:
        callers = list(one.missed_callers[:_SHOWN_CALLERS])
        if len(one.missed_callers) > _SHOWN_CALLERS:
            callers.append(f"and {len(one.missed_callers) - _SHOWN_CALLERS} more")
        yield from plain.labelled("missed", "by a probe on it, in " + ", ".join(callers), style)
    if one.without_code:
        yield from plain.labelled("gone", f"{one.without_code} copies were optimised away", style)
    ordered = sorted(one.copies, key=lambda copy: (copy.seen, copy.piece))
    for copy in ordered[:_SHOWN_COPIES]:
        yield from _copy(copy, style)
    if len(ordered) > _SHOWN_COPIES:
        yield f"           and {len(ordered) - _SHOWN_COPIES} more copies; --format json or ndjson lists all"


def _copy(copy: InlinedCopy, style: Style) -> Iterator[str]:
    answer = copy.verdict.answer if copy.verdict is not None else ""
    head = copy.target or "an address outside all symbols"
    errno = f" ({copy.verdict.errno})" if copy.verdict is not None and copy.verdict.errno else ""
    note = "   seen by a probe on the function" if copy.seen else ""
    if copy.piece and not copy.seen:
        note = "   a piece of another inlined copy, no call of its own"
    shown = style.paint(answer.ljust(9), answer) if answer else " " * 9
    probe = "kprobe" if copy.file_offset is None else "uprobe"
    if copy.file_offset is not None and copy.symbol:
        head = f"{head} ({copy.symbol}+{copy.offset_bytes:#x})"
    first, *rest = style.wrap(f"{probe} {head}{errno}{note}", 11)
    yield f"  {shown}{first.lstrip()}"
    yield from rest
    if copy.verdict is not None and copy.verdict.answer != YES:
        yield from style.wrap(_why(copy.verdict), 15, 13)
    for wrong in copy.verdict.notes if copy.verdict is not None else ():
        yield from style.wrap(f"but: {wrong.says}   {wrong.rule}", 15, 13)
    through = " into ".join(copy.chain[:-1])
    line = f"called at {copy.file}:{copy.line}" if copy.file else ""
    text = ", ".join(part for part in (f"through {through}" if through else "", line) if part)
    for more in (text, _parameters(copy.parameters)):
        if more:
            for wrapped in style.wrap(more, 15, 13):
                yield style.paint(wrapped, "dim")


def _why(verdict: Verdict) -> str:
    if verdict.answer == NO and verdict.findings:
        return f"{verdict.findings[0].says}   {verdict.findings[0].rule}"
    return "; ".join(f"could not read {unread.fact}: {unread.why}" for unread in verdict.unread)


def _parameters(parameters: Sequence[ParameterPlace]) -> str:
    words = {"entry": "{} at the symbol's entry only", "lost": "lost", "computed": "computed"}
    return ", ".join(
        f"{one.name or '?'} {words.get(one.kind, '{}').format(one.where) or one.kind}" for one in parameters
    )


def inline_rows(report: InlineReport) -> Rows:
    """Heads and rows: one row for each copy."""
    rows: list[tuple[str, ...]] = [
        (
            one.name,
            one.kind,
            copy.target,
            copy.verdict.answer if copy.verdict else "",
            (copy.verdict.errno or "") if copy.verdict else "",
            "yes" if copy.seen else "no",
            " > ".join(copy.chain),
            f"{copy.file}:{copy.line}",
            _parameters(copy.parameters),
        )
        for one in report.functions
        for copy in one.copies
    ]
    return ("name", "kind", "place", "kprobe", "errno", "seen", "inlined into", "call", "parameters"), rows


def table_rows(rows: Iterable[InlineRow]) -> Iterator[tuple[str, ...]]:
    """The cells of `inline --all`, under TABLE_HEADS."""
    for row in rows:
        source = f"{row.file}:{row.line}" if row.file else ""
        symbols = " ".join(row.symbols) if row.symbols != (row.name,) else ""
        numbers = ("" if number is None else str(number) for number in (row.copies, row.missed))
        yield (row.name, row.module or "", row.kind, *numbers, symbols, source)


def table_lines(rows: Iterable[InlineRow], style: Style) -> Iterator[str]:
    """The table of `inline --all` for people."""
    yield from table.plain(TABLE_HEADS, list(table_rows(rows)), style)
