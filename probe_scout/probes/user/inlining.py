"""Inlined copies of a user function by debug information: which function a name means, and what a probe misses."""

from __future__ import annotations

from ...errors import Malformed
from ...formats.elf import demangle
from ...model.facts import DEBUG, Unread
from ...model.report import Coverage
from ...named_tuple import NamedTuple
from . import debug_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...formats.dwarf.inline_facts import SourceFunction
    from ...formats.elf.user_image import Symbol
    from .debug_info import DebugInfo
    from .files import UserFile

_SUFFIXES = (".isra.", ".constprop.", ".part.", ".cold", ".llvm.", ".lto_priv.", ".localalias")


class Facts(NamedTuple):
    """What debug information says of one name. `name`: as the source has it; `symbol`: that of a probe by this name."""

    source: DebugInfo
    functions: tuple[SourceFunction, ...]
    name: str
    symbol: str


def facts_of(
    file: UserFile,
    name: str,
    symbol: Symbol | None,
    debug: str = "",
    quickly: bool = False,
    may_fetch: bool = False,
    announce: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Facts | Unread:
    """The source functions behind a symbol, or of a name that no symbol has. Raises TooMuch where `quickly` is asked.

    A symbol leads by its address to an entry, and that to the name of the source and its linkage name: a linkage name
    is sought where there is one, for names of C++ and Rust such as `size` and `new` belong to thousands of functions.
    """
    from ...formats.dwarf import by_address
    from ...formats.dwarf.inline_facts import Reader, find

    source = debug_info.of(file, debug, may_fetch, announce)
    if isinstance(source, Unread):
        return source
    try:
        if symbol is not None:
            entry = by_address.function_at(source.file, symbol.address)
            root = Reader(source.file, None, with_chains=False).root_of(entry) if entry is not None else None
            if root is None:
                why = f"the debug information in {source.path} does not describe {symbol.name}"
                return Unread(DEBUG, "not_there", why)
            linkage = (root.origin_linkage or root.linkage).decode("utf-8", "replace")
            title = root.key[0].decode("utf-8", "replace")
            found = find(source.file, linkage or title, quickly, progress, bool(linkage))
            found = tuple(one for one in found if (one.file, one.line) == root.key[1:])
            return Facts(source, found, title, _as_written(symbol, found))
        return _by_name(source, name, quickly, progress)
    except Malformed as error:
        return Unread(DEBUG, "malformed", str(error))


def _by_name(source: DebugInfo, name: str, quickly: bool, progress: Callable[[int, int], None] | None) -> Facts:
    """Of a name that no symbol has: mangled, or as a person writes it, with namespaces."""
    from ...formats.dwarf.inline_facts import find

    if demangle.is_mangled(name):
        found = find(source.file, name, quickly, progress, True)
        return Facts(source, found, found[0].name if found else name, name)
    for sign in _SUFFIXES:
        name = name.partition(sign)[0]
    found = find(source.file, name, quickly, progress)
    if not found and "::" in name:
        bare = demangle.without_arguments(name)
        last = bare.rpartition("::")[2]
        found = tuple(
            one
            for one in find(source.file, last, quickly, progress)
            if demangle.without_arguments(demangle.demangle(one.linkage_name)).endswith(bare)
        )
        return Facts(source, found, last, found[0].linkage_name if found else name)
    return Facts(source, found, name, name)


def coverage(file: UserFile, symbol: Symbol, debug: str = "") -> Coverage:
    """Whether calls go past the symbol, for `check`: where finding that out is quick, else the empty answer."""
    from ...formats.dwarf.inline_facts import TooMuch
    from ..inlining.debug_facts import coverage_of

    try:
        found = facts_of(file, symbol.name, symbol, debug, quickly=True)
    except TooMuch:
        return Coverage()
    if isinstance(found, Unread) or not found.functions:
        return Coverage()
    return coverage_of(_as_written(symbol, found.functions), found.functions, found.source.matches)


def _as_written(symbol: Symbol, functions: tuple[SourceFunction, ...]) -> str:
    """The name of the symbol's code in .symtab, where it carries a version (`fopen@@GLIBC_2.2.5`) or is an alias."""
    for one in functions:
        for body in one.bodies:
            if body.address == symbol.address and body.symbols and symbol.name not in body.symbols:
                return body.symbols[0]
    return symbol.name
