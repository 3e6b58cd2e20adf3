"""`check`: one target, every attach type that makes sense for it, with evidence, reasons and alternatives."""

from __future__ import annotations

from ..errors import UsageError
from ..model import asked as asked_types
from ..model.report import Coverage, Diagnosis, TargetReport
from ..model.target import FUNCTION, OFFSET, SYSCALL, Target
from ..model.verdict import NO, YES
from ..probes.attach import evidence as verdict_evidence
from ..probes.attach import function_traits, targets, verdicts
from ..probes.inlining import coverage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kernel.kernel import Kernel
    from ..model.report import UserReport
    from ..probes.explain.protocol import Lookup


def reports(
    k: Kernel, text: str, asked: Sequence[str], debug: str = "", pid: int | None = None
) -> Sequence[TargetReport | UserReport]:
    """Everything about one written target; several reports for a pattern of user functions. Raises UsageError."""
    if not asked_types.is_call(text, asked) and (":" in text or "/" in text):
        from ..model import user_target

        if user_target.is_user(text) or (user_target.may_be_user(text) and _is_library(k, text)):
            from ..probes.user import report

            return report.reports(k, text, asked, debug, pid)
    if pid:
        raise UsageError(f"--pid is for functions of programs and libraries, and {text} is none")
    return [target_report(k, text, asked, debug)]


def _is_library(k: Kernel, text: str) -> bool:
    from ..probes.user import files

    return files.is_library(k, text)


def _in_ops_pointer(k: Kernel, target: Target) -> bool:
    if target.kind != OFFSET:
        return False
    from ..probes.attach.instruction import in_ops_pointer

    return in_ops_pointer(k, target)


def target_report(k: Kernel, text: str, asked: Sequence[str], debug: str = "") -> TargetReport:
    """Everything about one target. `debug` names a file with debug information.

    Raises UsageError for a name that cannot be asked, and for a debug file that cannot be read.
    """
    if asked_types.is_call(text, asked):
        from ..probes import call_verdicts

        return call_verdicts.report(k, text, asked)
    target, meant, _ = targets.asked(k, text, asked)
    types = verdicts.types_for(target, asked or ((meant,) if meant else ()))
    found = verdicts.verdicts(k, target, types)
    from ..probes.attach import limits
    from ..probes.explain import alternatives, explain, hazards, name_forms
    from ..probes.explain.kernel_lookup import KernelLookup, last_in_module

    lookup = KernelLookup(k, lambda other, attach: verdicts.answer(k, other, attach))
    seen: Coverage = Coverage()
    points: tuple[coverage.Point, ...] = ()
    name = function_traits.wrapper(k, target.name) if target.kind == SYSCALL else target.name
    is_probe = not targets.ITER_TYPES.issuperset(types)  # an iterator is called when its file is read, by nobody else
    if target.kind in (FUNCTION, SYSCALL) and is_probe:
        seen, points = coverage.of(k, target, name, debug)
    limited = limits.of(k, target, name, found)
    found = limits.noted(found, limited)
    prototype = lookup.prototype_text(name) if target.kind in (FUNCTION, SYSCALL) else None
    missing = not lookup.symbols(name) if target.kind in (FUNCTION, OFFSET) else all(v.answer == NO for v in found)
    unrecorded = (missing or not any(v.answer == YES for v in found)) and bool(k.partial())
    copies = name_forms.copies(lookup, target, found)
    return TargetReport(
        str(target),
        target.kind,
        target.module,
        found,
        seen,
        diagnosis=(
            explain.explain(lookup, target, found, seen)
            if (is_probe or missing) and not (unrecorded and not lookup.symbols(name))
            else ()
        )
        + _beyond(k, target),
        alternatives=alternatives.alternatives(lookup, target, found, nearby=points)
        if points or any(v.answer != YES for v in found)
        else (),
        hazards=hazards.hazards(
            lookup,
            target,
            found,
            last_in_module(k, target),
            verdict_evidence.ftrace_off(k),
            _is_helper(k, target.name),
            _in_ops_pointer(k, target),
        ),
        copies=copies if len(copies) > 1 else (),
        forms=name_forms.forms(lookup, target),
        suggestions=_suggestions(lookup, target) if missing or unrecorded else (),
        prototype=prototype,
        limits=limited,
    )


def _suggestions(lookup: Lookup, target: Target) -> tuple[str, ...]:
    from ..probes.explain import spelling

    return spelling.suggest(lookup, target)


def _beyond(k: Kernel, target: Target) -> tuple[Diagnosis, ...]:
    """Whose code lies at an offset that is none of the function's."""
    if target.kind != OFFSET:
        return ()
    from ..probes.attach import instruction

    says = instruction.beyond(k, target)
    return (Diagnosis("other_function", says, "is"),) if says else ()


def _is_helper(k: Kernel, name: str) -> bool:
    """Programs call the function as a helper: enum bpf_func_id names it (include/uapi/linux/bpf.h)."""
    return name.startswith("bpf_") and k.enumerator(f"BPF_FUNC_{name[4:]}") is True
