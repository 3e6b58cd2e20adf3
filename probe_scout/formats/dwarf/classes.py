"""What inlining did to a function, as one word, from its symbols and its inlined copies.

A probe on a function sees the calls that reach its symbol. A copy inlined into another function is not called, so a
probe does not see it; a copy inlined into the function itself is a piece of it that the compiler had split off, or
an inner call of a recursion.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NO = "no"  # a symbol and no inlined copy: all calls go to it
SELF_ONLY = "self only"  # a symbol; copies only inside itself, at its own line: a split function, folded back
RECURSIVE = "self only, recursive"  # a symbol; copies inside itself called from another line: inner calls are missed
PARTIAL = "partial"  # a symbol and copies in other functions: a probe misses those
FULL = "full"  # copies and no symbol: nothing to probe by name
TRANSFORMED = "transformed"  # only symbols such as name.isra.0
OTHER_SYMBOL = "other symbol"  # code under another name (an alias, an asm label, a linkage name)
GONE = "gone"  # neither code nor copies, or code that no symbol names (an overridden weak function)

CLASSES = (NO, SELF_ONLY, RECURSIVE, PARTIAL, FULL, TRANSFORMED, OTHER_SYMBOL, GONE)


class Suffixes(NamedTuple):
    """What the part of a symbol after the name says: `kinds` such as ("isra",); does it change the arguments.

    `arguments`: "same" (moved or renamed only), "changed" or "maybe" (gcc removes, splits or fixes parameters of
    isra, constprop and part, but need not).
    """

    kinds: tuple[str, ...]
    arguments: str


_RENAMED_ONLY = ("llvm", "lto_priv", "cold", "__uniq", "localalias")
_CHANGED = ("isra", "constprop", "part")


def suffixes(name: str, symbol: str) -> Suffixes | None:
    """The suffixes of `symbol` after `name`; None if it is not `name` with a suffix.

    `name.cold` alone is no function of its own and gives None as well.
    """
    if not symbol.startswith(name + "."):
        return None
    kinds = tuple(part for part in symbol[len(name) + 1 :].split(".") if part and not part.isdigit())
    if kinds == ("cold",):
        return None
    if any(kind in _CHANGED for kind in kinds):
        return Suffixes(kinds, "maybe")
    return Suffixes(kinds, "same" if all(kind in _RENAMED_ONLY for kind in kinds) else "maybe")


def is_own(name: str, symbols: Iterable[str]) -> bool:
    """One of the symbols is the function itself or its cold part: code there runs only after its entry."""
    return any(symbol == name or symbol.startswith(name + ".cold") for symbol in symbols)


def class_of(name: str, bodies: Iterable[Iterable[str]], copies: Iterable[tuple[bool, bool]]) -> str:
    """One of CLASSES.

    `name`: the name in the source, or the linkage name where symbols carry that. `bodies`: for each piece of code
    of its own, the names of the symbols that start there. `copies`: for each inlined copy that has code, whether it
    lies in the function's own symbol (`is_own`) and whether it is called from the line the function is declared in.
    """
    has_symbol = has_suffix = has_other = False
    for symbols in bodies:
        for symbol in symbols:
            if symbol == name:
                has_symbol = True
            elif suffixes(name, symbol) is not None:
                has_suffix = True
            elif not symbol.startswith(name + ".cold"):
                has_other = True
    places = list(copies)
    if has_symbol:
        if not places:
            return NO
        if not all(own for own, _ in places):
            return PARTIAL
        return SELF_ONLY if all(folded for _, folded in places) else RECURSIVE
    if has_suffix:
        return TRANSFORMED
    if has_other:
        return OTHER_SYMBOL
    return FULL if places else GONE
