"""Tables: our own plain one, and tabulate's for the formats that other programs define.

The one home of tabulate, imported when a markdown or grid table is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .style import Style, printable


def plain(heads: Sequence[str], rows: Sequence[Sequence[str]], style: Style | None = None) -> Iterator[str]:
    """The lines of a table: columns two blanks apart, left aligned, numbers right aligned, no rules.

    Where the table is wider than `style` allows, a last column of text is wrapped under itself, or stands below the
    others; in a table of short cells a long first one has a line of its own. The last column is never padded. Every row
    must have as many cells as there are heads.
    """
    style = style or Style()
    cells = [row if "".join(row).isprintable() else [printable(cell) for cell in row] for row in rows]
    columns = [set(column) for column in zip(*cells, strict=True)] or [set[str]()] * len(heads)  # most cells are alike
    widths = [max([len(head), *map(len, column)]) for head, column in zip(heads, columns, strict=True)]
    numeric = [bool(cells) and all(cell.lstrip("-").isdecimal() or not cell for cell in column) for column in columns]
    last = len(heads) - 1
    indent = sum(widths[:last]) + 2 * last
    draw = _in_line
    if last and indent + widths[last] > style.width:
        if widths[last] <= _SHORT:
            draw = _first_apart
            widths[0] = max(min(widths[0], style.width - sum(widths[1:]) - 2 * last), len(heads[0]))
        else:
            draw = _last_wrapped if indent + _LEAST <= style.width else _last_below
    for line in draw(heads, widths, [False, *numeric[1:]] if draw is _first_apart else numeric, style):
        yield style.paint(line, "dim")
    if draw is _in_line:  # a scan has 75,000 rows of a dozen cells
        whole = _form(widths, numeric).format
        for row in cells:
            yield whole(*row).rstrip()
        return
    for row in cells:
        yield from draw(row, widths, numeric, style)


_SHORT = 16  # columns of a cell that is no text
_LEAST = 20  # columns that text is wrapped in, at least


def _in_line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], style: Style) -> list[str]:
    return [_line(row, widths, numeric).rstrip()]


def _last_wrapped(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], style: Style) -> list[str]:
    head = _line(row[:-1], widths, numeric) + "  "
    first, *rest = style.wrap(row[-1], len(head))
    return [(head + first[len(head) :]).rstrip(), *rest]


def _last_below(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], style: Style) -> list[str]:
    head = _line(row[:-1], widths, numeric).rstrip()
    if len(head) > style.width:
        head = "  ".join(filter(None, row[:-1]))
    return [*style.wrap(head, 4, 0), *(style.wrap(row[-1], 4) if row[-1] else [])]


def _first_apart(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool], style: Style) -> list[str]:
    if len(row[0]) <= widths[0]:
        return _in_line(row, widths, numeric, style)
    return [row[0], *_in_line(["", *row[1:]], widths, numeric, style)]


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    return _form(widths[: len(row)], numeric).format(*row)


def _form(widths: Sequence[int], numeric: Sequence[bool]) -> str:
    """The form of a line: each cell padded to the width of its column."""
    return "  ".join(
        f"{{:{'>' if right else '<'}{width}}}" if width else "{}" for width, right in zip(widths, numeric, strict=False)
    )


def formatted(kind: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown (`md`) or drawn with lines (`grid`), by tabulate."""
    import tabulate

    cells = [[printable(cell) for cell in row] for row in rows]
    if kind == "md":
        cells = [[cell.replace("|", "\\|") for cell in row] for row in cells]
    form = {"md": "github", "grid": "grid"}[kind]
    text: str = tabulate.tabulate(cells, headers=list(heads), tablefmt=form, disable_numparse=True)
    return text
