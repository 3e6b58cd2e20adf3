"""Names of `check` out of arguments, files and standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ...errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .request import Request

_BYTES_MAX = 64 << 20  # of a list of names


def names_of(request: Request) -> list[str]:
    """Every name asked for: `-` and @FILE stand for a list, a name in each line; # begins a comment.

    Raises UsageError for a list that cannot be read or is none.
    """
    found: list[str] = []
    for name in (*request.names, *(_list_named(request.names_from) if request.names_from else ())):
        if name == "-" or (name[:1] == "@" and len(name) > 1):
            found += _lines(name.removeprefix("@"))
        else:
            found.append(name)
    if not found:
        raise UsageError("the list holds no name")
    return found


def _list_named(path: str) -> tuple[str, ...]:
    return ("-",) if path == "-" else (f"@{path}",)


def _lines(path: str) -> Iterator[str]:
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(_BYTES_MAX + 1)
        else:
            with open(path, "rb") as handle:
                raw = handle.read(_BYTES_MAX + 1)
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"names from {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > _BYTES_MAX or b"\0" in raw:
        raise UsageError(f"names from {path}: not a list of names, a name in each line")
    for line in raw.decode("utf-8", "replace").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            yield text
