"""The name of a function in the source, and the kernel or module whose debug information describes it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.kernel import Kernel
    from ...model.target import Target

KEPT, QUICK, WHOLE = "kept", "quick", "whole"  # how much an answer may cost: a kept one, few units, anything


def base_name(symbol: str) -> str:
    """The name in the source of a symbol with the compiler's suffixes."""
    return symbol.partition(".")[0] or symbol


def home(k: Kernel, target: Target) -> str | None:
    """The module whose debug information describes a function; None for the kernel itself."""
    return home_among(target, [] if target.module is not None else homes(k, target.name))


def home_among(target: Target, modules: list[str | None]) -> str | None:
    if target.module is not None:
        return None if target.module == "vmlinux" else target.module
    return modules[0] if modules and None not in modules else None


def homes(k: Kernel, symbol: str) -> list[str | None]:
    """The module of each symbol of this name in kallsyms, None for the kernel itself; empty if there is none."""
    from ..explain.kernel_lookup import KernelLookup

    return [one.module for one in KernelLookup(k, lambda _target, _attach: "unknown").symbols(symbol)]
