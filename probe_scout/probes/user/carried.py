"""What a snapshot carries of programs and libraries: enough to answer about their functions elsewhere (--user-file)."""

from __future__ import annotations

import os

from ...errors import Malformed, UsageError
from ...formats.elf import ld_cache
from ...formats.elf.reduced import reduced
from ...sources import user_files
from . import symbols
from .files import ALIASES, CARRIED, LIVE, Place, UserFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...kernel.kernel import Kernel


def carried(k: Kernel, paths: Sequence[str]) -> dict[str, bytes]:
    """What a snapshot carries of programs of this machine, and the symbols of their debug files: members by path.

    Raises UsageError for what is no program or cannot be read.
    """
    import json

    members: dict[str, bytes] = {}
    named: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)
        try:
            raw = user_files.content(real)
            members[f"{CARRIED}{real}"] = reduced(raw, path)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            raise UsageError(f"--user-file {path}: {getattr(error, 'strerror', '') or error}") from None
        except Malformed as error:
            raise UsageError(f"--user-file {path}: {error}") from None
        if (debug := symbols.debug_file(UserFile(k, Place(path, real), LIVE))) is not None:
            members[f"{CARRIED}{debug[0]}"] = reduced(debug[1].raw, debug[0])
        for way in (os.path.abspath(path), *_linked_ways(real)):
            if way != real:
                named[way.lstrip("/")] = real.lstrip("/")
    if members:
        members[ALIASES] = json.dumps(named, sort_keys=True, indent=1).encode() + b"\n"
        try:
            with open(f"/{ld_cache.PATH}", "rb") as cache:
                members[f"{CARRIED}/{ld_cache.PATH}"] = cache.read()
        except OSError:
            pass
    return members


def _linked_ways(real: str) -> list[str]:
    """Names of the same file in the loader's cache and folders: libc.so.6 may be a link, /lib one to usr/lib."""
    found = (
        [real.removeprefix("/usr")] if real.startswith("/usr/") and _is_same(real.removeprefix("/usr"), real) else []
    )
    try:
        folder = os.path.dirname(real)
        stem = os.path.basename(real).partition(".so")[0]
        found += [f"{folder}/{n}" for n in os.listdir(folder) if n.startswith(stem) and _is_same(f"{folder}/{n}", real)]
    except OSError:
        pass
    return [*found, *(one.removeprefix("/usr") for one in found if one.startswith("/usr/") and _is_same(one[4:], real))]


def _is_same(path: str, real: str) -> bool:
    return os.path.realpath(path) == real
