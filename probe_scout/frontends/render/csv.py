"""Tables as CSV (RFC 4180 quoting, line feed at the end of a line)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def csv_lines(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, heads first, without line ends."""
    yield ",".join(map(_cell, heads))
    for row in rows:
        yield ",".join(map(_cell, row))


def _cell(text: str) -> str:
    if any(sign in text for sign in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
