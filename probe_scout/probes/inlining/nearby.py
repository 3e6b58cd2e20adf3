"""What lies near the code of a function that no single probe sees: callers, callees, events; none judged yet."""

from __future__ import annotations

from ...formats.dwarf import classes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from ...formats.dwarf.around import Around
    from ...formats.dwarf.inline_facts import SourceFunction
    from ...kernel.kernel import Kernel

_CALLERS_ADVISED = 4


_CALLEES_ADVISED = 6


def gather(k: Kernel, name: str, others: Iterable[str]) -> None:
    """Look once into kallsyms for a function, for others that are judged with it, and for what advice knows of it.

    `others`: names, with or without a module before them; those of events are left out.
    """
    from ..explain import known_changes

    step = known_changes.known_change(name, k.arch())
    known = (one.target for one in (step.candidates if step is not None else ()))
    plain = {one.rpartition(":")[2] for one in (*others, *known) if one and not one.startswith(("tp:", "syscall:"))}
    k.gather([one.encode() for one in sorted({name, *plain})], with_types=False)


def nearby(
    k: Kernel, functions: Sequence[SourceFunction], arounds: Sequence[Around], module: str | None
) -> Iterator[tuple[str, str, str]]:
    """(attach type, target, sentence): places near the code of a function, best first; none was judged yet.

    What every copy calls comes first if it is of the same source file and sees all of its own calls; then the events
    that the code passes; then the functions that hold the copies, which together see every call; then the rest.
    """
    for one, around in zip(functions, arounds, strict=True):
        same = [near for near in around.callees if near.reached and near.file == one.file]
        first = [near for near in same if near.kind in (classes.NO, classes.SELF_ONLY, classes.TRANSFORMED)]
        for near in first:
            yield from _points(near.symbols[:1], module, _called(one.name, near, around.is_whole), near.kind)
        for event, via in around.events:
            path = " → ".join((one.name, *via))
            for category in k.events_named(event) or ():
                yield "tp", f"tp:{category}:{event}", f"{path} reaches the event, on some paths or all."
        for near in around.callers:
            yield from held(one.name, near.symbols, module, near.reached, near.pieces, len(around.callers), near.kind)
        onward = [near for near in around.callees if not near.reached and near.kind in (classes.NO, classes.SELF_ONLY)]
        other = [near for near in around.callees if near.reached and near not in first]
        if first or around.events or one.kind != classes.FULL:
            other = []  # what the rest of the kernel calls as well helps little
        for near in onward[:_CALLEES_ADVISED]:
            says = f"Called further on: {' → '.join((one.name, *near.via, near.name))}, on some paths or all."
            yield from _points(near.symbols[:1], module, says, near.kind)
        for near in other[:_CALLEES_ADVISED]:
            yield from _points(near.symbols[:1], module, _called(one.name, near, around.is_whole), near.kind)


def held(
    name: str, symbols: Iterable[str], module: str | None, count: int, total: int, holders: int, kind: str
) -> Iterator[tuple[str, str, str]]:
    """Points of a function that holds so many of all inlined copies; none where too many functions hold them."""
    if holders > _CALLERS_ADVISED:
        return
    says = f"Holds {_of(count, total)} of {name}"
    if count < total:
        says += "; only together these functions see every inlined call"
    yield from _points(symbols, module, says + ".", kind)


def _of(count: int, total: int) -> str:
    if total == 1:
        return "the only inlined copy"
    return f"all {total} inlined copies" if count == total else f"{count} of {total} inlined copies"


def _called(name: str, near: Any, is_whole: bool) -> str:
    where = "every inlined copy" if is_whole else f"all {near.pieces} inlined copies that were checked"
    text = f"Called from {where} of {name}, and perhaps from elsewhere"
    if near.kind == classes.PARTIAL:
        text += "; it is itself inlined in some callers"
    elif near.kind == classes.TRANSFORMED:
        text += "; the compiler may have changed its parameters"
    return text + "."


def _points(symbols: Iterable[str], module: str | None, says: str, kind: str) -> Iterator[tuple[str, str, str]]:
    for symbol in symbols:
        written = f"{module}:{symbol}" if module else symbol
        if "." not in symbol:
            yield "fentry", written, says
        yield "kprobe", written, says
