"""What several commands write: tables, and sentences on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from . import streams
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.facts import Unread
    from ..render.style import Style


def note(sentence: str) -> None:
    from ..render.style import printable

    streams.say(f"probe-scout: {printable(' '.join(sentence.split()))}\n")


def unread(unread: Sequence[Unread]) -> None:
    for fact in unread:
        note(f"{fact.fact} could not be read: {fact.why}" + (f"; {fact.cure}" if fact.cure else ""))


def style(request: Request) -> Style:
    from ..render.style import style_for

    return style_for(sys.stdout, request.color)


def as_json(request: Request, name: str, report: object, records: Iterable[object]) -> bool:
    """Write the document (json) or its records, a line each (ndjson); false where another format is asked."""
    if request.format not in ("json", "ndjson"):
        return False
    from ..render import json

    streams.write([json.document(name, report)] if request.format == "json" else json.lines(records))
    return True


def table(request: Request, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows in one of the formats csv, md and grid."""
    if request.format == "csv":
        from ..render.csv import csv_lines

        streams.write(csv_lines(heads, rows))
        return
    from ..render.table import formatted

    streams.write([formatted(request.format, heads, list(rows))])
