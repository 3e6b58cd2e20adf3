"""What is worked out once for an object on a kernel: steps that its programs share, refusals included."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any, TypeVar

    Answer = TypeVar("Answer")


class Memo:
    """Results by key. A step that raised raises the same again; `refusals` are the errors that count as results."""

    def __init__(self, refusals: tuple[type[Exception], ...]) -> None:
        self._refusals = refusals
        self._held: dict[Hashable, tuple[Any, Exception | None]] = {}

    def once(self, key: Hashable, ask: Callable[[], Answer]) -> Answer:
        """The result of `ask` when it was first called for this key."""
        held = self._held.get(key)
        if held is None:
            try:
                held = ask(), None
            except self._refusals as refusal:
                held = None, refusal
            self._held[key] = held
        if held[1] is not None:
            raise held[1].with_traceback(None)
        answer: Answer = held[0]
        return answer
