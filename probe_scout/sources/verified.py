"""Which files of a snapshot folder had the sha256 that its manifest records, so that it is taken once for each state.

Kept as kept_index.py keeps tables; a file is known by device, inode, size and times, and so is the manifest. Events'
files are left out: there are thousands, and each is small.
"""

from __future__ import annotations

import os

from . import cache, kept_index, manifest
from .mapped import state_of

_PART = "verified"
_LEFT_OUT = "sys/kernel/tracing/events/"


class Verified:
    """Those of one folder."""

    __slots__ = ("_known", "_question", "_root", "is_new")

    def __init__(self, root: str) -> None:
        self._root = root
        self._known: dict[str, str] = {}
        self._question: str | None = None  # "" where the manifest has no state that holds
        self.is_new = False

    def has(self, path: str, found: os.stat_result) -> bool:
        """The file in this state had it."""
        return self._is_told() and path in self._known and self._known[path] == state_of(found)

    def add(self, path: str, found: os.stat_result) -> None:
        """The file in this state, which was taken before it was read, has it."""
        if self._is_told() and not path.startswith(_LEFT_OUT) and (state := state_of(found)):
            self._known[path] = state
            self.is_new = True

    def keep(self) -> None:
        """Keep what was added."""
        if self.is_new and self._question == self._asked():
            lines = (f"{path}\0{state}" for path, state in self._known.items() if "\n" not in path)
            kept_index.store(self._question, {_PART: "\n".join(lines).encode("utf-8", "surrogateescape")})
        self.is_new = False

    def _is_told(self) -> bool:
        if self._question is None:
            self._question = self._asked()
            parts = kept_index.load(self._question) if self._question else None
            kept = parts.whole(_PART) if parts is not None else None
            if kept:
                lines = bytes(kept).decode("utf-8", "surrogateescape").split("\n")
                self._known = dict(line.split("\0", 1) for line in lines)
        return bool(self._question)

    def _asked(self) -> str:
        try:
            state = state_of(os.stat(os.path.join(self._root, manifest.NAME), follow_symlinks=False))
        except OSError:
            return ""
        if not state or not cache.is_on():
            return ""
        return f"{kept_index.FORMAT}\0{cache.this_program()}\0{_PART}\0{self._root}\0{state}"
