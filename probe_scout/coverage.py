"""Will a probe see every call: the answer of `check`, from the cheapest evidence that there is.

In this order: a file named by the user; what was kept of an earlier question; the survey of this very build; debug
information in the usual places, if few units know the name; a prediction from surveys of other builds. Nothing is
fetched, and a name that half of the kernel knows (list_add) is left to `inline`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import debugfiles
from .errors import ProbeScoutError
from .model.report import Coverage, KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .kernel import Kernel
    from .model.target import Target

Point = tuple[str, str, str]
KEPT, QUICK, WHOLE = "kept", "quick", "whole"  # how much an answer may cost: a kept one, few units, anything
_NOTHING: tuple[Coverage, tuple[Point, ...]] = (Coverage(), ())


def of(k: Kernel, target: Target, symbol: str, named: str = "") -> tuple[Coverage, tuple[Point, ...]]:
    """The coverage of a probe on a symbol, and places near the function's code for advice, not yet judged.

    Raises UsageError or Malformed for the file that the user named; any other file that cannot be read is no evidence.
    """
    if named:
        return _read(k, target, symbol, named, QUICK)
    has_file = next(_usual(k, target), None) is not None
    found = _read(k, target, symbol, "", KEPT) if has_file else _NOTHING
    if found[0].basis == "none":
        surveyed = _surveyed(k, target, symbol)
        if surveyed.basis == "survey":
            return surveyed, ()
        if has_file:
            found = _read(k, target, symbol, "", QUICK)
        if found[0].basis == "none":
            return surveyed, ()
    return found


def _read(k: Kernel, target: Target, symbol: str, named: str, effort: str) -> tuple[Coverage, tuple[Point, ...]]:
    from . import inline

    try:
        return inline.coverage(k, target, symbol, named, effort)
    except ProbeScoutError:
        if named:
            raise
        return _NOTHING


def _surveyed(k: Kernel, target: Target, symbol: str) -> Coverage:
    """What surveys say: a fact for a surveyed build, a prediction for any other; nothing where none knows the name."""
    from . import survey

    if not survey.paths():
        return Coverage()
    from .inline import base_name, home, homes, module_build_id

    module = home(k, target._replace(name=symbol))
    build_id = module_build_id(k, module) if module is not None else ""
    has_symbol = None if k.kallsyms() is None else module in homes(k, symbol)
    try:
        entry = survey.lookup(build_id or k.build_id(), base_name(symbol), module, has_symbol, k.release())
    except ProbeScoutError:
        return Coverage()
    if entry is None or "." in symbol:
        return Coverage()
    is_this = entry.basis == "survey"
    return Coverage(
        entry.sees,
        entry.basis,
        is_this,
        right=entry.right,
        asked=entry.asked,
        kernels=entry.kernels if not is_this else (),
    )


def _usual(k: Kernel, target: Target) -> Iterator[debugfiles.Found]:
    module = None if target.module in (None, "vmlinux") else target.module
    description = k.source.describe()
    root = description.where if description.kind == "root" else ""
    return debugfiles.usual(debugfiles.Build(k.build_id(), k.release(), module, root))


def state(kernel: KernelInfo, root: str) -> str:
    """What the evidence about a kernel hangs on, as one line, for kept answers."""
    from . import survey

    build = debugfiles.Build(kernel.build_id, kernel.release, None, root if kernel.source == "root" else "")
    return debugfiles.state(build) + "|" + survey.state()
