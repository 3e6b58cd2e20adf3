"""A function that has no symbol of its name: renamed by the compiler, folded away, elsewhere, or unknown."""

from __future__ import annotations

from ...model.report import Diagnosis
from . import known_changes
from . import symbol_names as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.report import Coverage
    from ...model.target import Target
    from .protocol import Lookup, SymbolView


def reasons(lookup: Lookup, target: Target, elsewhere: tuple[SymbolView, ...], coverage: Coverage) -> list[Diagnosis]:
    """Why no symbol has this name, most telling first; never empty.

    `elsewhere` holds symbols of the name outside the module that was asked for.
    """
    if target.module is not None and target.module != "vmlinux":
        found = _module(lookup, target.module)
        if found:
            return found
    if elsewhere:
        places = names.listed(sorted({symbol.module or "vmlinux" for symbol in elsewhere}))
        return [Diagnosis("elsewhere", f"{target.module} has no {target.name}; it is in {places}.", "is")]
    name = target.name
    found = inlined(name, coverage)
    found += suffixed(name, lookup.variants(name))
    step = known_changes.known_change(name, lookup.arch)
    # Where the callers are known, that "builds fold it into its callers" is no news.
    told = bool(found) and ((step is not None and step.change == known_changes.SPECIALISED) or _names_callers(coverage))
    if step is not None and not told:
        found.append(Diagnosis(step.change, step.says, "likely"))
    if lookup.has_btf_function(name):
        says = (
            f"BTF describes {name}, but BTF keeps the source's name also for functions that were renamed or folded "
            "away, and fentry needs a symbol of that name."
        )
        found.append(Diagnosis("btf_only", says, "is"))
    found += _unloaded(lookup, name)
    if not found:
        says = (
            f"Nothing in kallsyms is called {name}: it may be folded into every caller, renamed, gone from this "
            "release, not built, or part of a module that is not loaded."
        )
        found.append(Diagnosis("no_symbol", says, "is"))
    return found


def _names_callers(coverage: Coverage) -> bool:
    return coverage.answer == "none" and coverage.is_fact and bool(coverage.inlined_into)


def inlined(name: str, coverage: Coverage) -> list[Diagnosis]:
    """What debug information or a survey says of a function without code of its own."""
    if coverage.answer != "none":
        return []
    callers = list(dict.fromkeys(caller for caller, _ in coverage.inlined_into)) or list(coverage.missed_callers)
    into = f" into {names.listed(callers, 'and')}" if callers else " into all its callers"
    if coverage.is_fact:
        return [Diagnosis("inlined", f"{name} is inlined{into} and has no code of its own.", "is")]
    if coverage.basis != "none":
        return [Diagnosis("inlined", f"{name} is likely inlined{into}, {as_elsewhere(coverage)}.", "likely")]
    return []


def as_elsewhere(coverage: Coverage) -> str:
    """What an inference about inlining rests on, as the end of a sentence."""
    if coverage.is_prediction and coverage.kernels:
        return f"as it is in {names.listed(coverage.kernels, 'and')}"
    return "as it is in another build, whose debug information was read"


def suffixed(name: str, variants: tuple[str, ...]) -> list[Diagnosis]:
    """What each kind of compiler suffix means for a probe."""
    found: list[Diagnosis] = []
    cloned = [v for v in variants if names.is_entry(v) and names.changed_signature(v)]
    parts = [v for v in variants if names.is_entry(v) and "part" in names.suffixes(v) and v not in cloned]
    promoted = [v for v in variants if names.is_entry(v) and {"llvm", "lto_priv"} & set(names.suffixes(v))]
    promoted = [v for v in promoted if v not in cloned and v not in parts]
    cold = [v for v in variants if not names.is_entry(v)]
    if cloned:
        says = (
            f"The compiler changed {name}'s parameters and calls it {names.listed(cloned)}: kprobes take that name, "
            "but the argument registers need not hold what the source says, and fentry finds no such name in BTF."
        )
        found.append(Diagnosis("renamed", says, "is"))
    if parts:
        says = (
            f"{names.listed(parts)} is the outlined rest of {name}: its head is inlined into the callers, so a probe "
            "there sees only calls that pass the head."
        )
        found.append(Diagnosis("partly_inlined", says, "likely"))
    if promoted:
        says = (
            f"Link-time optimisation calls {name} here {names.listed(promoted)}; the suffix changes from build to "
            "build, the parameters do not."
        )
        found.append(Diagnosis("renamed", says, "is"))
    if cold and not (cloned or parts or promoted):
        says = (
            f"Only {names.listed(cold)} is left of {name}, a piece that is jumped into and never called; the function "
            "itself is likely inlined."
        )
        found.append(Diagnosis("inlined", says, "likely"))
    return found


def _module(lookup: Lookup, module: str) -> list[Diagnosis]:
    """Why a module that was named cannot be searched; [] if it is loaded."""
    if module in lookup.modules_loaded():
        return []
    files = lookup.module_files()
    if files is None:
        says = f"No module {module} is loaded, and modules.dep could not be read to see whether one exists."
        return [Diagnosis("module_not_loaded", says, "is")]
    if module in files:
        return [
            Diagnosis(
                "module_not_loaded",
                f"Module {module} exists and is not loaded; modprobe {module} brings its functions.",
                "is",
            )
        ]
    return [Diagnosis("no_such_module", f"Neither a loaded module nor one in modules.dep is called {module}.", "is")]


def _unloaded(lookup: Lookup, name: str) -> list[Diagnosis]:
    """The module that holds the function, where it is not loaded."""
    from . import module_homes

    found = []
    for module, read in module_homes.homes(lookup, name)[:2]:
        if read:
            says = f"{name} is defined in module {module}, which is not loaded; modprobe {module} brings it."
            found.append(Diagnosis("module_not_loaded", says, "is"))
        else:
            says = f"{name} is usually part of module {module}, which is not loaded."
            found.append(Diagnosis("module_not_loaded", says, "likely"))
    return found
