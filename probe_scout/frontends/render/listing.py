"""Lists for people and for tables: scan, doctor, and the flat form of a check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...model.report import CheckReport, DoctorReport, Need, ScanRow, UserScanRow
from . import table
from .plain import kernel_line
from .style import Style

Rows = tuple[tuple[str, ...], list[tuple[str, ...]]]


def check_rows(report: CheckReport) -> Rows:
    """Heads and rows of a check report: one row for each target and attach type."""
    rows: list[tuple[str, ...]] = [
        (
            target.target,
            target.module or "",
            verdict.attach,
            verdict.answer,
            verdict.errno or "",
            " ".join(f.rule for f in verdict.findings),
            verdict.findings[0].says if verdict.findings else "",
            " ".join(u.fact for u in verdict.unread),
            " ".join(limit.id for limit in target.limits if verdict.attach in limit.types),
        )
        for target in report.targets
        for verdict in target.verdicts
    ]
    return ("target", "module", "attach", "answer", "errno", "rules", "says", "unread", "limits"), rows


def scan_types(rows: Sequence[ScanRow | UserScanRow]) -> tuple[str, ...]:
    """The attach types that occur, in order of first appearance."""
    types: dict[str, None] = {}
    for row in rows:
        if not row.answers.keys() <= types.keys():
            types.update(dict.fromkeys(row.answers))
    return tuple(types)


def scan_rows(rows: Iterable[ScanRow | UserScanRow], types: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """One row for each function: name, module, then a cell for each attach type."""
    for row in rows:
        answers, errno = row.answers, row.errno
        yield (row.target, row.module or "", *(_cell(answers.get(t, ""), errno.get(t)) for t in types))


def _cell(answer: str, errno: str | None) -> str:
    return f"no {errno}" if errno and answer == "no" else answer


def scan_lines(rows: Sequence[ScanRow | UserScanRow], style: Style) -> Iterator[str]:
    """A table of functions. Attach types with equal answers in every row share a column, named by the first.

    A cell is `yes`, `no` with its errno, `unknown`, `-` where the type does not apply. Where the heads
    make it wider than the lines, columns have letters.
    """
    types = scan_types(rows)
    drawn: dict[tuple[int, int], tuple[str, ...]] = {}  # rows with equal traits share their answers
    for row in rows:
        if (key := (id(row.answers), id(row.errno))) not in drawn:
            drawn[key] = tuple(_cell(row.answers.get(name, ""), row.errno.get(name)) or "-" for name in types)
    cells_of = list(zip(*(drawn[id(row.answers), id(row.errno)] for row in rows), strict=True))
    columns: dict[tuple[str, ...], list[str]] = {}
    for name, cells in zip(types, cells_of, strict=True):
        columns.setdefault(cells, []).append(name)
    body = [(row.target, row.module or "", *cells) for row, *cells in zip(rows, *columns, strict=True)]
    owners = ["function", "module"]
    if not any(row[1] for row in body):
        owners.pop()
        body = [(row[0], *row[2:]) for row in body]
    heads = [names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "") for names in columns.values()]
    columns_of = zip(*body, strict=True)
    widths = [max(len(head), *map(len, set(of))) for head, of in zip((*owners, *heads), columns_of, strict=True)]
    lettered = sum(widths) + 2 * len(widths) - 2 > style.width and len(heads) <= len(_LETTERS)
    if lettered:
        heads = list(_LETTERS[: len(heads)])
    for head, names in zip(heads, columns.values(), strict=True):
        if lettered or len(names) > 1:
            yield from _dim(style, f"{head}: {' '.join(names)}")
    yield from _dim(style, _SCAN_KEY)
    yield from table.plain((*owners, *heads), body, style)


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SCAN_KEY = (
    "A cell is yes, no with its errno, unknown, or - where the type does not apply. "
    "Rows: in the order of the symbol table: the kernel by address, then each module."
)


def _dim(style: Style, text: str) -> Iterator[str]:
    for line in style.wrap(text, 4, 0):
        yield style.paint(line, "dim")


def doctor_rows(report: DoctorReport) -> Rows:
    """Heads and rows: one row for each file looked for, or for each thing that hooks need."""
    if report.needs:
        return ("has", "need", "name", "says", "hooks"), [
            (one.has, one.kind, one.name, one.says, "; ".join(one.hooks)) for one in report.needs
        ]
    rows: list[tuple[str, ...]] = [(s.state.replace("_", " "), s.path, s.fact, s.says, s.cure) for s in report.sources]
    return ("state", "path", "fact", "says", "cure"), rows


def doctor_lines(report: DoctorReport, style: Style) -> Iterator[str]:
    """What can be read here, what not, what would open it."""
    yield kernel_line(report.kernel, style)
    yield ""
    if report.needs:
        yield from _needs(report.needs, style)
        return
    rows = [
        (s.state.replace("_", " "), s.path, s.fact, s.says + (f"; {s.cure}" if s.cure else "")) for s in report.sources
    ]
    yield from table.plain(("state", "path", "fact", ""), rows, style)
    if report.findings:
        yield ""
    for finding in report.findings:
        yield from style.wrap(f"{finding.says}   {finding.rule}", 4, 2)
        if finding.evidence:
            yield from style.wrap(finding.evidence, 6, 4)
    if report.unread:
        yield ""
    for unread in report.unread:
        cure = f"; {unread.cure}" if unread.cure else ""
        yield from style.wrap(f"{unread.fact} ({unread.kind.replace('_', ' ')}): {unread.why}{cure}", 4, 2)


def _needs(needs: tuple[Need, ...], style: Style) -> Iterator[str]:
    """What hooks need, one line each."""
    words = {"yes": "there", "no": "lacking", "unknown": "needed"}
    rows = [(words[one.has], one.kind, one.name, f"{one.says}; for {', '.join(one.hooks)}") for one in needs]
    yield from table.plain(("", "need", "name", ""), rows, style)


def snapshot_lines(result: object, style: Style) -> Iterator[str]:
    """What a snapshot holds: one line for each field of the result, lists below their name."""
    fields: dict[str, object] = getattr(result, "_asdict", dict)()
    for name, value in fields.items():
        label = name.replace("_", " ")
        if isinstance(value, (tuple, list)):
            yield f"{label} {len(value)}"
            for part in value:
                text = ": ".join(str(p) for p in part if p != "") if isinstance(part, tuple) else str(part)
                yield from style.wrap(text, 4, 2)
        elif value not in ("", None):
            yield from style.wrap(f"{label} {value}", 4, 0)
