"""What `check` says of a function from debug information: its declaration, and whether calls go into inlined copies.

Reading that costs more than all the rest of the answer, so it is kept between runs. It hangs on this program, the
file, the symbol, and every path where debug information was sought: one that changed, came or went makes it anew.
"""

from __future__ import annotations

from ...formats.elf.user_image import STT_GNU_IFUNC
from ...model.facts import Unread
from ...model.report import Coverage
from ...model.user_report import UserArgument
from ...named_tuple import NamedTuple
from ...sources import cache, user_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...formats.elf.user_image import Symbol
    from .files import UserFile

_FORMAT = "probe-scout user debug facts 1"


class Declared(NamedTuple):
    """A function's declaration as text, parameters, results, how they are passed, and the file that says so."""

    text: str
    arguments: tuple[UserArgument, ...]
    results: tuple[UserArgument, ...]
    convention: str
    debug_file: str


class Answer(NamedTuple):
    """`declared` says why where it is not known."""

    declared: Declared | Unread
    coverage: Coverage


def of(file: UserFile, symbol: Symbol, debug: str = "") -> Answer:
    """The answer for the function that a symbol names. Raises UsageError for a named debug file that cannot be read."""
    question = _question(file, symbol) if not debug else ""
    if question and (kept := _kept(question)) is not None:
        return kept
    from . import arguments, debug_info, inlining

    found = arguments.of(file, symbol, debug)
    declared: Declared | Unread = found if isinstance(found, Unread) else Declared(*found[:5])
    calls_go_there = symbol.type != STT_GNU_IFUNC
    answer = Answer(declared, inlining.coverage(file, symbol, debug) if calls_go_there else Coverage())
    if question:
        cache.keep(question, [file.looked_at, isinstance(declared, Unread), *answer])
        debug_info.keep(file)
    return answer


def _question(file: UserFile, symbol: Symbol) -> str:
    """What the answer hangs on, as text; "" where it is not kept: files of snapshots and roots."""
    from ..inlining import debug_files

    image = file.image
    if file.kind != "live" or image is None or not image.build_id:
        return ""
    stamp = user_files.stamp(file.place.path)
    where = (file.path, file.place.path, debug_files.folders(""), debug_files.fetched_path(image.build_id))
    return "\0".join(map(str, (_FORMAT, cache.program(), *where, image.build_id, stamp, *symbol)))


def _kept(question: str) -> Answer | None:
    """The kept answer, if nothing changed where debug information was sought."""
    found = cache.kept(question)
    try:
        looked_at, is_unread, declared, coverage = found
        if any(user_files.stamp(path) != state for path, state in looked_at.items()):
            return None
        return Answer(Unread(*declared) if is_unread else _declared(declared), _coverage(coverage))
    except (ValueError, TypeError, AttributeError):
        return None


def _declared(raw: Any) -> Declared:
    found = Declared(*raw)
    return found._replace(arguments=tuple(map(_argument, found[1])), results=tuple(map(_argument, found[2])))


def _argument(raw: Any) -> UserArgument:
    found = UserArgument(*raw)
    return found._replace(refused_by=tuple(found.refused_by))


def _coverage(raw: Any) -> Coverage:
    found = Coverage(*raw)
    return found._replace(
        inlined_into=tuple((caller, offset) for caller, offset in found.inlined_into),
        missed_callers=tuple(found.missed_callers),
        clones=tuple(found.clones),
        kernels=tuple(found.kernels),
        called_by=tuple(found.called_by),
    )
