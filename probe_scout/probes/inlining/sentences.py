"""What inlining did to a function, in one sentence."""

from __future__ import annotations

from ...formats.dwarf import classes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...formats.dwarf.inline_facts import SourceFunction


def plain_class(kind: str, copies: str, clones: str = "") -> str:
    """The sentence of a class that needs no more than the number of copies; "" for the others."""
    if kind == classes.NO:
        return f"No inlined copy: the code calls this symbol{clones}."
    if kind == classes.SELF_ONLY:
        says = "Inlined only into itself, a piece that the compiler had split off: the code calls this symbol"
        return f"{says}{clones}."
    if kind == classes.RECURSIVE:
        return "Inlined into itself where it calls itself: a probe sees the outer call and misses inner calls."
    if kind == classes.PARTIAL:
        return f"A probe on it misses {copies}{clones}."
    if kind == classes.FULL:
        return f"No code of its own, only {copies}: there is nothing to probe by this name."
    return ""


def says(one: SourceFunction) -> str:
    """The class in one sentence."""
    missed = len(one.missed)
    callers = len({copy.symbol for copy in one.missed})
    count = f"{missed} inlined cop{'y' if missed == 1 else 'ies'} in {callers} function{'' if callers == 1 else 's'}"
    symbols = tuple(dict.fromkeys(symbol for body in one.bodies for symbol in body.symbols))
    if said := plain_class(one.kind, count):
        return said
    if one.kind == classes.TRANSFORMED:
        moved = [suffix for symbol in symbols if (suffix := classes.suffixes(one.name, symbol))]
        changed = any(suffix.arguments != "same" for suffix in moved) or any(body.is_nocall for body in one.bodies)
        said = "the parameters need not be those of the source" if changed else "the parameters are those of the source"
        more = f"; besides, {count}" if missed else ""
        return f"Its code is called {' and '.join(symbols)}: {said}{more}."
    if one.kind == classes.OTHER_SYMBOL:
        more = f"; besides, {count}" if missed else ""
        return f"Its code has another name: {' and '.join(symbols)}{more}."
    if one.copies_without_code:
        return "Inlined and then optimised away: it has no code."
    return "It has no code: unused, or overridden by another function of this name."
