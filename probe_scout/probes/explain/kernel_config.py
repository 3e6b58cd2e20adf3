"""Kernels built without a kind of probe: said once, instead of per function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.report import Diagnosis
from ...model.target import TRACEPOINT
from ...model.verdict import NO, YES

if TYPE_CHECKING:
    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup

# Some option that every kernel sets, to tell "not set" from "the config was not read".
_ALWAYS = ("CONFIG_KALLSYMS", "CONFIG_PRINTK", "CONFIG_MMU", "CONFIG_BPF", "CONFIG_64BIT", "CONFIG_MODULES")

_KPROBES = ("kprobe", "kretprobe", "ksyscall", "kretsyscall")
_MULTI = ("kprobe.multi", "kretprobe.multi", "kprobe.session")
_TRAMPOLINE = ("fentry", "fentry.s", "fexit", "fexit.s", "fsession", "fmod_ret", "fmod_ret.s")
_SWITCHES = (
    ("CONFIG_KPROBES", _KPROBES, "This kernel was built without CONFIG_KPROBES, so there are no kprobes at all."),
    (
        "CONFIG_KPROBE_EVENTS",
        _KPROBES,
        "This kernel was built without CONFIG_KPROBE_EVENTS, so perf and tracefs offer no kprobes.",
    ),
    (
        "CONFIG_FPROBE",
        _MULTI,
        "This kernel was built without CONFIG_FPROBE, so kprobe.multi links are refused for every function.",
    ),
    (
        "CONFIG_DEBUG_INFO_BTF",
        _TRAMPOLINE,
        "This kernel was built without CONFIG_DEBUG_INFO_BTF, which fentry and its relatives need.",
    ),
    (
        "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
        _TRAMPOLINE,
        (
            "This kernel has no ftrace direct calls (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS), so fentry and fexit "
            "fail at attach with ENOTSUPP (524)."
        ),
    ),
    (
        "CONFIG_BPF_LSM",
        ("lsm", "lsm.s"),
        "This kernel was built without CONFIG_BPF_LSM, so lsm programs have no hooks.",
    ),
)


def config_read(lookup: Lookup) -> bool:
    """Whether this kernel's config is known, so that a missing option means "not set"."""
    return any(lookup.config(option) is not None for option in _ALWAYS)


def is_off(lookup: Lookup, option: str) -> bool:
    """Whether an option is known to be off; false also where the config could not be read."""
    value = lookup.config(option)
    return value == "n" or (value is None and config_read(lookup))


def switched_off(lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...]) -> list[Diagnosis]:
    """Options whose absence refuses an attach type that was asked for, whatever the name."""
    refused = {verdict.attach: verdict for verdict in verdicts if verdict.answer == NO}
    found: list[Diagnosis] = []
    told: set[tuple[str, ...]] = set()
    if target.kind != TRACEPOINT:
        for option, attaches, says in _SWITCHES:
            if attaches not in told and not refused.keys().isdisjoint(attaches) and is_off(lookup, option):
                found.append(Diagnosis("build", says, "is"))
                told.add(attaches)
        others = [v.answer for v in verdicts if not v.attach.startswith("fmod_ret")]
        found += _modify_return(lookup, target, refused, YES in others if others else None)
        found += _no_enotsupp_reason(lookup, refused, _TRAMPOLINE in told)
    return found


_NOT_MODIFIABLE = {"attach_target.not_modifiable", "attach_target.syscall_not_modifiable"}


def _modify_return(
    lookup: Lookup, target: Target, refused: dict[str, Verdict], entered: bool | None
) -> list[Diagnosis]:
    """fmod_ret without the error-injection list is left with security hooks and a few marked functions.

    `entered`: another attach type says yes; None where no other was asked.
    """
    verdict = refused.get("fmod_ret")
    if verdict is None or not {f.rule for f in verdict.findings[:1]} & _NOT_MODIFIABLE:
        return []
    if entered is False:
        return []  # no program at all gets in, so that it may not replace the result is no news
    if not lookup.symbols(target.name) or not is_off(lookup, "CONFIG_FUNCTION_ERROR_INJECTION"):
        return []
    says = (
        "CONFIG_FUNCTION_ERROR_INJECTION is off, so fmod_ret is left with security_ functions and the few that the "
        "kernel marks itself."
    )
    return [Diagnosis("build", says, "is")]


def _no_enotsupp_reason(lookup: Lookup, refused: dict[str, Verdict], told: bool) -> list[Diagnosis]:
    """errno 524, which libc has no name for."""
    if told or not any(v.errno == "ENOTSUPP" and a in _TRAMPOLINE for a, v in refused.items()):
        return []
    says = (
        "ENOTSUPP is errno 524, unknown to libc: the trampoline of this architecture and kernel cannot serve this "
        "function, most often for the number or size of its arguments."
    )
    return [Diagnosis("enotsupp", says, "likely")]
