"""Which copy of a name the kernel takes when it is asked by name.

fentry and the kprobe of kernels without the uniqueness check resolve with kallsyms_lookup_name
(kernel/kallsyms.c): vmlinux first, lowest address, data symbols too; then modules in their order.
kprobe.multi takes the first match that has an ftrace record (kernel/trace/ftrace.c, kallsyms_callback).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .protocol import SymbolView


def in_search_order(copies: tuple[SymbolView, ...]) -> tuple[SymbolView, ...]:
    """The copies as the kernel meets them: vmlinux by address, then modules in the order given."""
    core = [symbol for symbol in copies if symbol.module is None]
    core.sort(key=lambda symbol: symbol.address)  # a stable sort: hidden addresses keep the file's order
    return tuple(core) + tuple(symbol for symbol in copies if symbol.module is not None)


def named_copy(copies: tuple[SymbolView, ...]) -> SymbolView:
    """The copy which kallsyms_lookup_name returns. `copies` must not be empty."""
    return in_search_order(copies)[0]


def kprobe_multi_copy(copies: tuple[SymbolView, ...]) -> SymbolView | None:
    """The copy which kprobe.multi takes by name; None if none is traced or an earlier one is unknown."""
    for symbol in in_search_order(copies):
        if symbol.traced:
            return symbol
        if symbol.traced is None:
            return None
    return None
