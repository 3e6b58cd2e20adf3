"""Sentences: how several names are listed."""

from __future__ import annotations

LISTED_MAX = 6


def listed(items: list[str] | tuple[str, ...], word: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`; after six names the rest is counted."""
    shown = list(items[:LISTED_MAX])
    if len(items) > LISTED_MAX:
        return ", ".join(shown) + f" {word} {len(items) - LISTED_MAX} more"
    if len(shown) < 2:
        return "".join(shown)
    return ", ".join(shown[:-1]) + f" {word} {shown[-1]}"
