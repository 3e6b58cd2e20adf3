"""Colour and width of text for people: ANSI by hand, wrapping by words.

Honours NO_COLOR, FORCE_COLOR, TERM=dumb and COLUMNS. Without a terminal there is no wrapping, so
that pipes see one fact on one line.
"""

from __future__ import annotations

import os

from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

UNLIMITED = 1 << 20
_CODES = {"yes": "32", "no": "31", "unknown": "33", "name": "1", "dim": "2", "hazard": "1;31"}


class Style(NamedTuple):
    """How to draw: `color` on or off, `width` in columns."""

    color: bool = False
    width: int = UNLIMITED

    def paint(self, text: str, role: str) -> str:
        """The text in the colour of a role: yes, no, unknown, name, dim, hazard."""
        return f"\x1b[{_CODES[role]}m{text}\x1b[0m" if self.color and text else text

    def wrap(self, text: str, indent: int, first: int | None = None) -> list[str]:
        """Lines of at most `width` columns, each after `indent` blanks; the first after `first` if given.

        A word longer than a line stays whole.
        """
        lines: list[str] = []
        line = " " * (indent if first is None else first)
        start = True
        for word in printable(text).split(" "):
            if not start and len(line) + 1 + len(word) > self.width:
                lines.append(line.rstrip())
                line, start = " " * indent, True
            if start and not word and lines:
                continue
            line += word if start else " " + word
            start = False
        lines.append(line)
        return lines


def printable(text: str) -> str:
    """The text with control characters escaped: names come from files that others may have written."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def style_for(stream: IO[str], color: str = "auto") -> Style:
    """The style for a stream. `color`: auto, always, never; the environment decides only for auto."""
    try:
        terminal = stream.isatty()
    except ValueError:  # closed
        terminal = False
    if color == "auto":
        if os.environ.get("NO_COLOR"):
            colored = False
        elif os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
            colored = True
        else:
            colored = terminal and os.environ.get("TERM", "") != "dumb"
    else:
        colored = color == "always"
    return Style(colored, _columns(stream, terminal))


def _columns(stream: IO[str], terminal: bool) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return max(int(columns), 40)
    if not terminal:
        return UNLIMITED
    try:
        return max(os.get_terminal_size(stream.fileno()).columns or 80, 40)
    except OSError:
        return 80
