"""What several commands write: tables, and sentences on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

from . import streams
from .request import Request

# Exit codes: every asked answer is yes; a no; usage; cannot tell; a source is broken; interrupted; the pipe was closed.
YES, NO, USAGE, CANNOT_TELL, BROKEN, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 3, 4, 130, 141

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


def announce(line: str) -> None:
    """What is about to be touched, on standard error and written out before it happens."""
    from ..render.style import printable

    streams.say(f"probe-scout: {printable(line)}\n")


def progress(what: str = "reading debug information") -> Callable[[int, int], None] | None:
    """What draws how far a long reading is, on a terminal, from half a second on; None where there is no terminal."""
    import time

    if not streams.is_terminal():
        return None
    begun = shown = time.monotonic()

    def draw(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if done >= total:
            if shown > begun:
                streams.say("\r\x1b[K")
        elif now - begun > 0.5 and now - shown > 0.1:
            shown = now
            streams.say(f"\r{what}: {100 * done // total} %\x1b[K")

    return draw
