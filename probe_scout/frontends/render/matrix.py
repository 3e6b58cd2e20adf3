"""`matrix` for people and for tables: hooks down, kernels across, a sign and the way to attach in each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.matrix import INSTEAD, SAYS, SIGNS, UNTOLD, Cell, MatrixReport, titles
from ...model.verdict import YES
from . import json, table
from .plain import labelled
from .style import Style, printable

HEADS = (
    *("hook", "need", "kernel", "build_id", "state", "answer", "attach", "target", "rung", "sees", "missed"),
    *("errno", "rule", "says"),
)


def short(cell: Cell) -> str:
    """What a cell says beside its sign: the way to attach, or the errno; never empty."""
    if not cell.attach:
        return cell.errno or ("unknown" if cell.state == UNTOLD else "refused")
    text = cell.target.removeprefix("tp:") if cell.state == INSTEAD else cell.attach
    if cell.state == INSTEAD and cell.rungs and cell.target == cell.rungs[0].target:
        text = cell.attach  # the same function, by another attach type
    if cell.sees in ("partial", "none"):
        text += f" · misses {cell.missed or 'calls'}" if cell.sees == "partial" else " · sees none"
    return text


def signed(cell: Cell) -> str:
    """Sign and short words of a cell."""
    return f"{SIGNS[cell.state]} {short(cell)}"


def why(cell: Cell) -> str:
    """One sentence: why this is not simply yes; "" where it is."""
    instead = ""
    if cell.state == INSTEAD:
        proposal = "" if cell.rung >= 0 else ", which the hook does not list"
        instead = f"{cell.attach} on {cell.target} works{proposal}"
    errno = f"{cell.errno}: " if cell.errno else ""
    said = errno + cell.says.rstrip(".") if cell.says else cell.errno or ""
    return "; ".join(part for part in (said, instead) if part)


def matrix_lines(report: MatrixReport, style: Style) -> Iterator[str]:
    """The matrix, then the reasons of every cell that does not decide for yes, without line ends."""
    names = titles(report.kernels)
    rows = [
        [hook.name, *(signed(report.cell(number, place)) for place in range(len(names)))]
        for number, hook in enumerate(report.hooks)
    ]
    heads = ["hook", *names]
    widths = (max(len(row[place]) for row in [heads, *rows]) + 2 for place in range(len(heads)))
    if sum(widths) > style.width:
        heads = ["hook", *(f"[{number}]" for number in range(1, len(names) + 1))]
        yield from (f"[{number}] {printable(name)}" for number, name in enumerate(names, 1))
        yield ""
    yield from table.plain(heads, rows, style._replace(width=1 << 20))
    used = dict.fromkeys(cell.state for cell in report.cells)
    yield ""
    yield style.paint("; ".join(f"{SIGNS[state]} {SAYS[state]}" for state in SAYS if state in used), "dim")
    yield from _reasons(report, names, style)


def _reasons(report: MatrixReport, names: Sequence[str], style: Style) -> Iterator[str]:
    for column, name in zip(report.kernels, names, strict=True):
        if column.error:
            yield from labelled("not asked", f"{name}: {column.error}", style)
    for number, hook in enumerate(report.hooks):
        grouped: dict[tuple[str, str], list[str]] = {}
        for place, name in enumerate(names):
            cell = report.cell(number, place)
            if cell.answer != YES and not report.kernels[place].error:
                grouped.setdefault((cell.answer, why(cell)), []).append(name)
        if not grouped:
            continue
        yield ""
        yield style.paint(printable(hook.name), "name") + ("  may" if hook.need == "may" else "")
        for (answer, says), where in grouped.items():
            yield from labelled(answer, f"{', '.join(where)}: {says}", style)


def long_rows(report: MatrixReport) -> tuple[Sequence[str], list[list[str]]]:
    """A row for each cell, for csv."""
    rows = []
    for cell in report.cells:
        hook, kernel = report.hooks[cell.hook], report.kernels[cell.kernel]
        rung = str(cell.rung) if cell.rung >= 0 else ""
        texts = (hook.name, hook.need, kernel.kernel.release or kernel.root, kernel.kernel.build_id, cell.state)
        rest = (cell.answer, cell.attach, cell.target, rung, cell.sees, str(cell.missed) if cell.sees else "")
        rows.append([*texts, *rest, cell.errno or "", cell.rule, cell.says])
    return HEADS, rows


def wide_rows(report: MatrixReport) -> tuple[Sequence[str], list[list[str]]]:
    """The matrix as a table, for md and grid."""
    names = titles(report.kernels)
    rows = [
        [hook.name, *(signed(report.cell(number, place)) for place in range(len(names)))]
        for number, hook in enumerate(report.hooks)
    ]
    return ("hook", *names), rows


def ndjson(report: MatrixReport) -> Iterator[str]:
    """A line for each cell, with the hook's name and the kernel in place of their numbers."""
    for cell in report.cells:
        column = report.kernels[cell.kernel]
        body = json.plain(cell)
        assert isinstance(body, dict)
        head = {"hook": report.hooks[cell.hook].name, "root": column.root, "kernel": json.plain(column.kernel)}
        yield json.line({**body, **head})
