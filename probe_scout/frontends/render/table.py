"""Tables: our own plain one, and tabulate's for the formats that other programs define.

The one home of tabulate, imported when a markdown or grid table is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .style import Style, printable


def plain(heads: Sequence[str], rows: Sequence[Sequence[str]], style: Style | None = None) -> Iterator[str]:
    """The lines of a table: columns two blanks apart, left aligned, numbers right aligned, no rules.

    The last column is never padded and, where `style` has a width, is wrapped under itself.
    Every row must have as many cells as there are heads.
    """
    style = style or Style()
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max([len(head), *(len(row[place]) for row in cells)]) for place, head in enumerate(heads)]
    numeric = [
        bool(cells) and all(row[place].lstrip("-").isdecimal() or not row[place] for row in cells)
        for place in range(len(heads))
    ]
    last = len(heads) - 1
    indent = sum(widths[:last]) + 2 * last
    yield style.paint(_line(heads, widths, numeric).rstrip(), "dim")
    for row in cells:
        if last == 0 or indent + 20 > style.width or indent + len(row[last]) <= style.width:
            yield _line(row, widths, numeric).rstrip()
            continue
        head = _line(row[:last], widths, numeric) + "  "
        first, *rest = style.wrap(row[last], indent)
        yield head + first[indent:]
        yield from rest


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(row, widths, numeric, strict=False)
    )
    return "  ".join(padded)


def formatted(kind: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown (`md`) or drawn with lines (`grid`), by tabulate."""
    import tabulate

    cells = [[printable(cell) for cell in row] for row in rows]
    if kind == "md":
        cells = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    form = {"md": "github", "grid": "grid"}[kind]
    text: str = tabulate.tabulate(cells, headers=list(heads), tablefmt=form, disable_numparse=True)
    return text
