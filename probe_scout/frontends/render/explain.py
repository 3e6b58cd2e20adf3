"""Rules for people: the list, and the page of one rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.page import RulePage
from ...named_tuple import NamedTuple
from .style import Style


def rule_rows(rules: Sequence[RulePage]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows: one row for each rule."""
    return ("id", "errno", "says"), [(rule.id, rule.errno, rule.says) for rule in rules]


def rule_lines(rule: RulePage, style: Style) -> Iterator[str]:
    """The page of one rule: what it says, who decides it, what it reads, since when, for which attach types."""
    yield f"{style.paint(rule.id, 'name')}  {rule.errno}".rstrip()
    yield ""
    for paragraph in rule.page.strip().split("\n\n"):
        if any(line.startswith(("    ", "\t", "* ", "- ")) for line in paragraph.splitlines()):
            yield from ("  " + line for line in paragraph.splitlines())
        else:
            yield from style.wrap(" ".join(paragraph.split()), 2)
        yield ""
    for label, text in (
        ("decided by", f"{rule.decides} ({rule.source})" if rule.source else rule.decides),
        ("needs", " ".join(rule.needs)),
        ("seen by", rule.witness),
        ("known", rule.known),
        ("for", " ".join(rule.types)),
    ):
        if text:
            first, *rest = style.wrap(text, 14)
            yield f"  {label.ljust(12)}{first.lstrip()}"
            yield from rest


class RuleList(NamedTuple):
    """`probe-scout rules`."""

    rules: tuple[RulePage, ...]
