"""Where the debug information of a program or library is, opened once: the file itself, its debug file, one fetched.

MiniDebugInfo holds symbols and no debug information. A server is asked only by `inline`, and only where the user has
set DEBUGINFOD_URLS; what it sent once is used from then on.
"""

from __future__ import annotations

import os

from ...errors import Malformed, ProbeScoutError
from ...model import facts
from ...model.facts import Unread
from ...named_tuple import NamedTuple
from ...sources import user_files
from . import kept_sections, symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...formats.dwarf.units import DebugFile
    from .files import UserFile

_UNITS_LOOKED_AT = 4
_CURE = (
    "install its debug symbols (a -dbgsym or -debuginfo package, or compile with -g), name a file with --debug, or "
    "let probe-scout inline fetch it from the servers of DEBUGINFOD_URLS"
)
_CURE_ELSEWHERE = (
    "ask on the machine itself, name a file with --debug, or let probe-scout inline fetch it from the servers of "
    "DEBUGINFOD_URLS"
)
LIVE, SNAPSHOT = "live", "snapshot"  # as files.LIVE


class DebugInfo(NamedTuple):
    """The file that was read. `how`: own, debug, named, fetched. `matches`: of the same build; None if unknown."""

    path: str
    how: str
    build_id: str
    matches: bool | None
    file: DebugFile


def of(
    file: UserFile, named: str = "", may_fetch: bool = False, announce: Callable[[str], None] | None = None
) -> DebugInfo | Unread:
    """The debug information of a file, or why there is none. Raises UsageError for a named file that cannot be read."""
    key = (named, may_fetch)
    if key not in file.debug:
        file.debug[key] = _found(file, named, may_fetch, announce)
    found = file.debug[key]
    assert isinstance(found, (DebugInfo, Unread))
    return found


def _found(file: UserFile, named: str, may_fetch: bool, announce: Callable[[str], None] | None) -> DebugInfo | Unread:
    from ..inlining import debug_files

    image = file.image
    assert image is not None
    if named:
        other = debug_files.read_file(named)
        theirs = other.image.build_id
        matches = theirs == image.build_id if theirs and image.build_id else None
        return DebugInfo(named, "named", theirs, matches, other)
    raw = file.raw
    try:
        if image.has_debug_info and raw is not None:
            return DebugInfo(file.path, "own", image.build_id, True, _opened(file, raw, file.place.path))
        debug = symbols.debug_file(file)
        if debug is not None and debug[1].has_debug_info:
            whole = _opened(file, debug[1].raw, debug[0])  # type: ignore[arg-type]
            return DebugInfo(debug[0], "debug", debug[1].build_id, bool(image.build_id) or None, whole)
    except Malformed as error:
        return Unread(facts.DEBUG, "malformed", str(error), _CURE)
    return _fetched(file, image.build_id, may_fetch, announce)


def keep(file: UserFile) -> None:
    """Keep the unpacked sections of a debug file for other questions about the file."""
    for found in file.debug.values():
        if isinstance(found, DebugInfo) and found.how in ("own", "debug"):
            kept_sections.keep(found.file.image, found.path if found.how == "debug" else file.place.path)


def _fetched(
    file: UserFile, build_id: str, may_fetch: bool, announce: Callable[[str], None] | None
) -> DebugInfo | Unread:
    from ..inlining import debug_files

    why = f"{file.path} has no debug information, and no debug file of it was found"
    path = debug_files.fetched_path(build_id) if build_id else ""
    if path:
        file.looked_at[path] = user_files.stamp(path)
    if path and not os.path.isfile(path) and may_fetch and os.environ.get("DEBUGINFOD_URLS", "").split():
        got = debug_files.fetched(debug_files.Build(build_id, ""), announce)
        why += f"; {got}" if isinstance(got, str) else ""
    if path and os.path.isfile(path):
        try:
            other = debug_files.read_file(path)
            if other.image.build_id == build_id:
                return DebugInfo(path, "fetched", build_id, True, other)
        except ProbeScoutError as error:
            why += f"; {error}"
    if file.kind == SNAPSHOT:
        why = f"{file.path}: a snapshot carries no debug information of programs"
        return Unread(facts.DEBUG, "not_recorded", why, _CURE_ELSEWHERE)
    return Unread(facts.DEBUG, "not_there", why, _CURE)


def _opened(file: UserFile, raw: bytes, path: str) -> DebugFile:
    """The debug information in the bytes of a file, with the part that dwz moved out of it. Raises Malformed."""
    from ...formats.dwarf.units import DebugFile
    from ...formats.elf.image import ElfImage
    from ..inlining.debug_files import is_split

    image = ElfImage(raw, path)
    if file.kind == LIVE:
        kept_sections.give(image, path)
    moved = image.supplement
    supplement = None
    if moved is not None:
        supplement = _supplement(file, path, *moved)
        if supplement is None:
            raise Malformed(path, 0, f"the file {moved[0][-80:]}, to which dwz moved a part", "no such file")
    whole = DebugFile(image, supplement)
    if any(is_split(unit) for unit in whole.first_units(_UNITS_LOOKED_AT)):
        raise Malformed(path, 0, "debug information in one file", "units that refer to .dwo files (-gsplit-dwarf)")
    return whole


def _supplement(file: UserFile, path: str, name: str, build_id: str) -> DebugFile | None:
    from ...formats.dwarf.units import DebugFile
    from ...formats.elf.image import ElfImage
    from ..inlining.debug_files import folders

    tried = [os.path.normpath(os.path.join(os.path.dirname(path), name))]
    for folder in folders(""):
        tried.append(os.path.join(folder, ".dwz", os.path.basename(name)))
        if len(build_id) > 2:
            tried.append(os.path.join(folder, ".build-id", build_id[:2], build_id[2:] + ".debug"))
    for one in tried:
        raw = file.opened(one)
        if raw is not None:
            image = ElfImage(raw, one)
            if not build_id or image.build_id in ("", build_id):
                return DebugFile(image)
    return None
