"""Why a person sees these verdicts: the entry to diagnosis, for functions, system calls and tracepoints.

The verdicts are taken as they are. "is" is said of what was read in this kernel's files, "likely" of
what follows from a compiler's habits or from other kernels.
"""

from __future__ import annotations

from ...model.report import Coverage, Diagnosis
from ...model.target import FUNCTION, OFFSET, SYSCALL, TRACEPOINT
from . import has_symbol, kernel_config, no_symbol, wrong_target_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup

_NO_COVERAGE = Coverage()


def explain(
    lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...], coverage: Coverage = _NO_COVERAGE
) -> tuple[Diagnosis, ...]:
    """Reasons in the order in which a person needs them; empty where there is nothing to add to the verdicts.

    `coverage` adds what is known of inlining in this build or, marked as likely, in others.
    """
    if target.kind == TRACEPOINT:
        found = wrong_target_kind.tracepoint(lookup, target)
    elif not lookup.has_symbols():
        says = f"Whether this kernel has {target.name} is unknown, because its symbols could not be read."
        found = [Diagnosis("symbols_unread", says, "is")]
    elif target.kind == SYSCALL:
        found = wrong_target_kind.syscall(lookup, target)
    elif target.kind in (FUNCTION, OFFSET):
        found = _function(lookup, target, verdicts, coverage)
    else:
        found = []
    found += kernel_config.switched_off(lookup, target, verdicts)
    return tuple(dict.fromkeys(found))


def _function(lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...], coverage: Coverage) -> list[Diagnosis]:
    """A function or a place in one: what was asked for, then why it is not there or what it is."""
    found = wrong_target_kind.wrong_kind(lookup, target)
    every = lookup.symbols(target.name)
    copies = every
    if target.module is not None:
        wanted = None if target.module == "vmlinux" else target.module
        copies = tuple(symbol for symbol in every if symbol.module == wanted)
    if copies:
        return found + has_symbol.reasons(lookup, target, copies, verdicts, coverage)
    if found and found[0].kind in wrong_target_kind.FINAL:
        return found
    return found + no_symbol.reasons(lookup, target, every, coverage)
