"""Will a probe see every call: the answer of `check`, from the cheapest evidence that there is.

In this order: a file named by the user; what was kept of an earlier question; the survey of this very build; debug
information in the usual places, if few units know the name; a prediction from surveys of other builds. Nothing is
fetched, and a name that half of the kernel knows (list_add) is left to `inline`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import debugfiles
from .errors import ProbeScoutError, SourceError
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
    modules = _homes(k, symbol)
    module = _home(target, modules)
    build_id = module_build_id(k, module) if module is not None else ""
    has_symbol = None if k.kallsyms() is None else module in modules
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


def base_name(symbol: str) -> str:
    """The name in the source of a symbol with the compiler's suffixes."""
    return symbol.partition(".")[0] or symbol


def home(k: Kernel, target: Target) -> str | None:
    """The module whose debug information describes a function; None for the kernel itself."""
    return _home(target, [] if target.module is not None else _homes(k, target.name))


def _home(target: Target, modules: list[str | None]) -> str | None:
    if target.module is not None:
        return None if target.module == "vmlinux" else target.module
    return modules[0] if modules and None not in modules else None


def _homes(k: Kernel, symbol: str) -> list[str | None]:
    """The module of each symbol of this name in kallsyms, None for the kernel itself; empty if there is none."""
    from .lookup import KernelLookup

    return [one.module for one in KernelLookup(k, lambda _target, _attach: "unknown").symbols(symbol)]


def module_build_id(k: Kernel, module: str) -> str:
    """The build-id of a loaded module in hexadecimal; "" if it is not told."""
    from .scanners import elf_notes

    try:
        raw = k.read(f"sys/module/{module}/notes/.note.gnu.build-id")
        return elf_notes.build_id(raw) or ""
    except SourceError:
        return ""
