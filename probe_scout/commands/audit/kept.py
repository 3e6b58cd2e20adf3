"""What an audit found out about functions and types, kept between runs: it stays true until modules or rules change.

Names of BTF ids, how many symbols a name has, verdicts and coverage. The key is that of answers of `check` (cache.py):
build, boot, modules, switches, rights and this program's files. No address is kept.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Kept:
    """Sections of named values. Without a `question` nothing is read or written, and values live as long as this."""

    def __init__(self, question: str | None = None) -> None:
        self._question = question
        self._is_changed = False
        self._found: dict[str, dict[str, Any]] = {}
        if question:
            from ...sources import cache

            found = cache.kept(question)
            if isinstance(found, dict) and all(isinstance(one, dict) for one in found.values()):
                self._found = found

    def section(self, section: str) -> dict[str, Any]:
        """What is known of one kind; to look at, not to change."""
        return self._found.get(section, {})

    def ask(self, section: str, name: str, find: Callable[[], Any]) -> Any:
        """The kept value, else what `find` returns, which is then kept. Values are what JSON holds."""
        known = self._found.setdefault(section, {})
        if name not in known:
            known[name] = find()
            self._is_changed = True
        return known[name]

    def add(self, section: str, values: dict[str, Any]) -> None:
        """Keep several values."""
        self._found.setdefault(section, {}).update(values)
        self._is_changed = True

    def save(self) -> None:
        """Write what is new."""
        if self._question and self._is_changed:
            from ...sources import cache

            cache.keep(self._question, self._found)
            self._is_changed = False
