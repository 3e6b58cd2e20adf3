"""Names in a program or library that begin with a prefix: `/PATH:SYM`, `libssl:SS`, `usdt:/PATH:PROV:PR`."""

from __future__ import annotations

from heapq import nsmallest

from ...errors import ProbeScoutError
from ...model.user_target import USDT, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...kernel.kernel import Kernel
    from .files import UserFile

_UNTYPED = frozenset(" \t'\"`$\\;&|<>(){}*?!~#")  # a shell takes these for its own


def starting(k: Kernel, prefix: str, limit: int) -> list[str]:
    """Up to `limit` whole targets, sorted; empty where the file cannot be read or is not named yet."""
    from . import files

    head, colon, begun = _split(prefix)
    if not colon:
        return []
    is_usdt = head.startswith("usdt:") or ":usdt" in head
    try:
        target = read(f"{head}:x:x" if is_usdt else f"{head}:x")
        file = files.found(k, target)
    except ProbeScoutError:
        return []
    if file.image is None:
        return []
    names = _probes(file) if target.kind == USDT else _functions(file)
    return [f"{head}:{name}" for name in nsmallest(limit, {n for n in names if n.startswith(begun)})]


def _split(prefix: str) -> tuple[str, str, str]:
    """What names the file, a colon, and what is typed of the name. A path ends at its first colon."""
    at = 0
    words = ("usdt:", "uprobe:", "uretprobe:")
    for word in words:
        if prefix.startswith(word):
            at = len(word)
    if prefix.startswith("pid:", at):
        end = prefix.find(":", at + 4)
        if end < 0:
            return prefix, "", ""
        at = end + 1
        if prefix.startswith("usdt:", at):
            at += 5
        rest = prefix[at:]
        if not rest.startswith("/") and not (rest.startswith("lib") and ":" in rest):
            return prefix[: at - 1], ":", rest
    end = prefix.find(":", at)
    return (prefix, "", "") if end < 0 else (prefix[:end], ":", prefix[end + 1 :])


def _functions(file: UserFile) -> Iterator[str]:
    from . import symbols

    for symbol in symbols.everything(file):
        if symbol.is_function and _UNTYPED.isdisjoint(symbol.name):
            yield symbol.name


def _probes(file: UserFile) -> Iterator[str]:
    from ...formats.elf import usdt

    assert file.image is not None
    for site in usdt.sites(file.image):
        yield f"{site.provider}:{site.name}"
