"""Kernels built without a kind of probe: said once, instead of per function."""

from __future__ import annotations

from ...model.attach import BY_FPROBE, BY_PERF, BY_TRAMPOLINE, LSM
from ...model.report import Diagnosis
from ...model.target import TRACEPOINT
from ...model.verdict import NO, YES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup

# Some option that every kernel sets, to tell "not set" from "the config was not read".
_ALWAYS = ("CONFIG_KALLSYMS", "CONFIG_PRINTK", "CONFIG_MMU", "CONFIG_BPF", "CONFIG_64BIT", "CONFIG_MODULES")

_SWITCHES = (
    ("CONFIG_KPROBES", BY_PERF, "This kernel was built without CONFIG_KPROBES, so there are no kprobes at all."),
    (
        "CONFIG_KPROBE_EVENTS",
        BY_PERF,
        "This kernel was built without CONFIG_KPROBE_EVENTS, so perf and tracefs offer no kprobes.",
    ),
    (
        "CONFIG_FPROBE",
        BY_FPROBE,
        "This kernel was built without CONFIG_FPROBE, so kprobe.multi links are refused for every function.",
    ),
    (
        "CONFIG_DEBUG_INFO_BTF",
        BY_TRAMPOLINE,
        "This kernel was built without CONFIG_DEBUG_INFO_BTF, which fentry and its relatives need.",
    ),
    (
        "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
        BY_TRAMPOLINE,
        (
            "This kernel has no ftrace direct calls (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS), so fentry and fexit "
            "fail at attach with ENOTSUPP (524)."
        ),
    ),
    (
        "CONFIG_BPF_LSM",
        LSM,
        "This kernel was built without CONFIG_BPF_LSM, so lsm programs have no hooks.",
    ),
)
# Option, the rules that refuse because of it, what it means.
_BY_RULE = (
    (
        "CONFIG_BPF_EVENTS",
        ("bpf_events.absent",),
        "This kernel was built without CONFIG_BPF_EVENTS, so it knows no program type for tracing: loading is refused.",
    ),
    (
        "CONFIG_BPF_JIT",
        ("trampoline.no_jit",),
        (
            "This kernel was built without CONFIG_BPF_JIT, so it has no trampolines: loading fentry, fexit and "
            "fmod_ret fails with ENOMEM."
        ),
    ),
    (
        "CONFIG_KALLSYMS",
        ("attach_target.no_kallsyms",),
        "This kernel was built without CONFIG_KALLSYMS, so it finds no function by its name.",
    ),
    (
        "CONFIG_FUNCTION_TRACER",
        ("trampoline.not_traced", "trampoline.not_text", "kprobe_multi.no_fprobe"),
        (
            "This kernel was built without CONFIG_FUNCTION_TRACER, so ftrace can patch no function: fentry, fexit and "
            "lsm fail at attach with EBUSY, kprobe.multi with EOPNOTSUPP. kprobe and kretprobe do not need it."
        ),
    ),
    (
        "CONFIG_DYNAMIC_FTRACE",
        ("trampoline.not_traced", "trampoline.not_text", "kprobe_multi.no_fprobe"),
        (
            "This kernel was built without CONFIG_DYNAMIC_FTRACE, so ftrace can patch no function: fentry, fexit and "
            "lsm fail at attach with EBUSY, kprobe.multi with EOPNOTSUPP. kprobe and kretprobe do not need it."
        ),
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
    told: set[str] = set()
    for option, rules, says in _BY_RULE:
        because = {attach for attach, verdict in refused.items() if {f.rule for f in verdict.findings[:1]} & set(rules)}
        if because - told and is_off(lookup, option):
            found.append(Diagnosis("build", says, "is"))
            told |= because | (set(BY_TRAMPOLINE) if because & set(BY_TRAMPOLINE) else set())
    if target.kind != TRACEPOINT:
        for option, attaches, says in _SWITCHES:
            if (refused.keys() & set(attaches)) - told and is_off(lookup, option):
                found.append(Diagnosis("build", says, "is"))
                told.update(attaches)
        others = [v.answer for v in verdicts if not v.attach.startswith("fmod_ret")]
        found += _modify_return(lookup, target, refused, YES in others if others else None)
        found += _no_enotsupp_reason(lookup, refused, not told.isdisjoint(BY_TRAMPOLINE))
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
    if told or not any(v.errno == "ENOTSUPP" and a in BY_TRAMPOLINE for a, v in refused.items()):
        return []
    says = (
        "ENOTSUPP is errno 524, unknown to libc: the trampoline of this architecture and kernel cannot serve this "
        "function, most often for the number or size of its arguments."
    )
    return [Diagnosis("enotsupp", says, "likely")]
