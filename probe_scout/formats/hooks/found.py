"""What every reader of hooks shares: attach points into hooks, and what is none by its name."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import UsageError
from ...model.hooks import MAY, MUST, Hook, HookSet
from ...model.target import read
from ...named_tuple import NamedTuple


class Found(NamedTuple):
    """One attach point as written: `ladder` the ways to it, the best first; `name` of the program, `line` from 1.

    `why_not`: why it is none, where the reader knows that.
    """

    name: str
    ladder: tuple[str, ...]
    line: int = 0
    may: bool = False
    why_not: str = ""


def hooks(found: Iterable[Found], where: str) -> HookSet:
    """The hooks, and in `skipped` a sentence for each attach point that is none. Raises UsageError where none is."""
    made: dict[tuple[str, ...], Hook] = {}
    skipped = []
    for one in found:
        ladder, why = [], one.why_not
        for rung in one.ladder if not why else ():
            why = why or _why_not(rung)
            if not _why_not(rung):
                ladder.append(rung)
        if not ladder:
            skipped.append(f"{_line(one.name)}: {_line(why)}")
            continue
        known = made.get(tuple(ladder))
        if known is not None and (known.need == MUST or one.may):
            continue  # two programs on one attach point are one question
        source = f"{where}:{one.line}" if one.line else where
        names = {hook.name for ladder_of, hook in made.items() if ladder_of != tuple(ladder)}
        name = _line(one.name) if _line(one.name) not in names else f"{_line(one.name)} {ladder[0]}"
        made[tuple(ladder)] = Hook(name, tuple(ladder), source, MAY if one.may else MUST)
    if not made:
        raise UsageError(f"{where}: no hook in it" + (f": {skipped[0]}" if skipped else ""))
    return HookSet(tuple(made.values()), (), where, tuple(skipped))


def _line(text: str) -> str:
    return text[:300] if text.isprintable() else ascii(text[:300])


def _why_not(rung: str) -> str:
    try:
        asked = read(rung)
    except UsageError as error:
        return str(error)
    return f"{rung[:60]!r} is a pattern, and a hook is one attach point" if asked.target.is_glob else ""
