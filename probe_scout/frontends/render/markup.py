"""HTML that escapes by itself: text becomes markup only through `el`, and every other text is escaped.

There is no way to put text into a page unescaped but `Markup(...)`, which only literals of this package are given.
"""

from __future__ import annotations

import html

from .style import printable

_VOID = frozenset(("meta", "input", "br"))


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Text of others as HTML: markup signs and control characters written out, what is no text (surrogates) too."""
    return text if isinstance(text, Markup) else Markup(html.escape(printable(text)))


def join(parts: list[Markup]) -> Markup:
    """Markup one after the other."""
    return Markup("".join(parts))


def el(tag: str, *children: str, **attributes: str | bool | None) -> Markup:
    """An element. `class_` is class, aria_label is aria-label.

    True is an attribute without a value, False and None are none.
    """
    head = tag
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        head += f" {name}" if value is True else f' {name}="{escape(str(value))}"'
    if tag in _VOID:
        return Markup(f"<{head}>")
    return Markup(f"<{head}>{''.join(map(escape, children))}</{tag}>")
