"""Were calls inlined past the symbol: the answer of `check`, from the cheapest evidence that there is.

In this order: a file named by the user; what was kept of an earlier question; the survey of this very build; debug
information in the usual places, if few units know the name; a prediction from surveys of other builds. Nothing is
fetched, and a name that half of the kernel knows (list_add) is left to `inline`.
"""

from __future__ import annotations

from ...errors import ProbeScoutError
from ...kernel import modules
from ...model.report import Coverage, KernelInfo
from ...named_tuple import NamedTuple
from . import debug_files
from .names import KEPT, QUICK, base_name, home_among, homes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...kernel.kernel import Kernel
    from ...model.target import Target
    from .survey import Entry

Point = tuple[str, str, str]
_NOTHING: tuple[Coverage, tuple[Point, ...]] = (Coverage(), ())


def of(k: Kernel, target: Target, symbol: str, named: str = "") -> tuple[Coverage, tuple[Point, ...]]:
    """The coverage of a probe on a symbol, and places near the function's code for advice, not yet judged.

    Raises UsageError or Malformed for the file that the user named; any other file that cannot be read is no evidence.
    """
    found = _of(k, target, symbol, named)
    if found[1]:
        from .nearby import gather

        gather(k, symbol, (point for _, point, _ in found[1]))
    return found


def _of(k: Kernel, target: Target, symbol: str, named: str) -> tuple[Coverage, tuple[Point, ...]]:
    if named:
        return _read(k, target, symbol, named, QUICK)
    has_file = next(_usual(k, target), None) is not None
    found = _read(k, target, symbol, "", KEPT) if has_file else _NOTHING
    if found[0].basis == "none":
        told = surveyed(k, target, symbol)
        if told is not None and told.coverage.basis == "survey":
            return told.coverage, tuple(holders(k, told))
        if has_file:
            found = _read(k, target, symbol, "", QUICK)
        if found[0].basis == "none" and told is not None:
            return told.coverage, ()
    return found


def _read(k: Kernel, target: Target, symbol: str, named: str, effort: str) -> tuple[Coverage, tuple[Point, ...]]:
    from . import debug_facts

    try:
        return debug_facts.coverage(k, target, symbol, named, effort)
    except ProbeScoutError:
        if named:
            raise
        return _NOTHING


class Surveyed(NamedTuple):
    """What surveys say of a function: `entry`, and the coverage of a probe on `symbol` that follows from it.

    `variants`: symbols of the function with the compiler's suffixes that this kernel has.
    """

    symbol: str
    module: str | None
    entry: Entry
    variants: tuple[str, ...]
    coverage: Coverage


def surveyed(k: Kernel, target: Target, symbol: str) -> Surveyed | None:
    """What surveys say: a fact for a surveyed build, a prediction for any other; None where none knows the name."""
    from . import survey

    if not survey.paths() or (k.kallsyms() is None and not k.release()):  # of no kernel at all nothing is foretold
        return None
    owners = homes(k, symbol)
    module = home_among(target, owners)
    name = base_name(symbol)
    if module is None and target.module is None and not owners:
        module = _only_module(k, name)
    build_id = modules.build_id(k, module) if module is not None else ""
    if k.kallsyms() is None:
        has_symbol = None
    elif name == symbol:
        has_symbol = module in owners
    else:
        has_symbol = module in homes(k, name)
    try:
        entry = survey.lookup(build_id or k.build_id(), name, module, has_symbol, k.release(), k.arch())
    except ProbeScoutError:
        return None
    if entry is None:
        if not (has_symbol and module is None and name == symbol and k.image is not None):
            return None
        from . import callers

        guess = callers.of_unknown(k, name)
        nobody = survey.Entry("no", "survey-other", None, ())
        return Surveyed(symbol, module, nobody, (), guess) if guess is not None else None
    if entry.basis == survey.ACROSS and k.kallsyms() is not None:
        entry = entry._replace(places=tuple(one for one in entry.places if homes(k, one[0])))
    variants = _variants(k, name, entry)
    told = _told(symbol, name, entry, variants)
    if symbol == name and has_symbol and module is None and k.image is not None:
        from . import callers

        told = callers.of(k, name, entry, told)
    return Surveyed(symbol, module, entry, variants, told)


def _only_module(k: Kernel, name: str) -> str | None:
    """The module whose function of this name has no symbol here: the only scope of the surveys, and loaded.

    Of a module that is not loaded the missing symbol tells nothing.
    """
    from . import survey

    try:
        found = survey.scopes(name)
    except ProbeScoutError:
        return None
    loaded = {one.replace("-", "_"): one for one in k.btf_modules()}
    return loaded.get(next(iter(found))) if len(found) == 1 else None


def _told(symbol: str, name: str, entry: Entry, variants: tuple[str, ...]) -> Coverage:
    is_fact = entry.basis == "survey"
    answer, clones = entry.sees, variants if entry.suffixes else ()
    missed = entry.missed or len(entry.places)
    if symbol != name:  # "name.isra.0": all calls that were not inlined, if it is the only symbol
        clones = tuple(other for other in variants if other != symbol)
        if symbol not in variants or entry.kind != "transformed" or entry.others or not (clones or missed):
            return Coverage()  # a survey does not tell that a function with another symbol has no copies
        answer = "partial"
    return Coverage(
        answer,
        entry.basis,
        is_fact,
        entry.places if is_fact else (),
        tuple(dict.fromkeys(holder for holder, _ in entry.places)) if answer in ("partial", "none") else (),
        clones,
        *(entry.right, entry.asked, entry.kernels if not is_fact else (), entry.kind, missed),
    )


def _variants(k: Kernel, name: str, entry: Entry) -> tuple[str, ...]:
    """Symbols of this kernel with the suffixes that the survey tells of, cold parts left out."""
    if not entry.suffixes:
        return ()
    from ..explain.kernel_lookup import KernelLookup

    found = KernelLookup(k, lambda _target, _attach: "unknown").variants(name)
    return tuple(one for one in found if not _kinds(one).isdisjoint(entry.suffixes) and "cold" not in _kinds(one))


def _kinds(symbol: str) -> set[str]:
    """The words of a symbol's suffixes, as a survey has them (survey/build.py)."""
    return {word if word.isalpha() else "other" for word in symbol.split(".")[1:] if not word.isdigit()}


def holders(k: Kernel, told: Surveyed) -> Iterator[Point]:
    """(attach type, target, sentence): the functions that hold the copies, where they are few; none was judged yet."""
    from .nearby import held

    by_holder: dict[str, int] = {}
    for holder, _ in told.entry.places if told.coverage.is_fact else ():
        by_holder[holder] = by_holder.get(holder, 0) + 1
    name = base_name(told.symbol)
    for holder, count in sorted(by_holder.items(), key=lambda item: -item[1]):
        yield from held(name, (holder,), told.module, count, len(told.entry.places), len(by_holder), "")


def _usual(k: Kernel, target: Target) -> Iterator[debug_files.Found]:
    module = None if target.module in (None, "vmlinux") else target.module
    description = k.source.describe()
    root = description.where if description.kind == "root" else ""
    return debug_files.usual(debug_files.Build(k.build_id(), k.release(), module, root))


def state(kernel: KernelInfo, root: str) -> str:
    """What the evidence about a kernel hangs on, as one line, for kept answers."""
    from . import survey

    build = debug_files.Build(kernel.build_id, kernel.release, None, root if kernel.source == "root" else "")
    return debug_files.state(build) + "|" + survey.state()
