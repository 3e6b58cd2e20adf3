"""The verdicts of one target, for each attach type that is asked for: traits judged, with what was read about them."""

from __future__ import annotations

from ...errors import UsageError
from ...kernel import located
from ...model import facts
from ...model.attach import ATTACH_TYPES, BY_PERF, ITER, LSM, RETURNS, for_kind
from ...model.target import FUNCTION, OFFSET, SYSCALL, TRACEPOINT, Target, parse
from ...model.verdict import UNKNOWN, Finding, Verdict
from ...rules import judge
from . import evidence as verdict_evidence
from . import function_traits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...kernel.kernel import Kernel
    from ...model.traits import EventTraits, Traits


_BY_TRACEPOINT = ("tp",)


def types_for(target: Target, asked: Sequence[str]) -> tuple[str, ...]:
    """The attach types to judge. Raises UsageError for one that does not apply to this kind of target."""
    if asked:
        for attach in asked:
            if target.kind not in ATTACH_TYPES[attach].kinds.split():
                raise UsageError(f"{attach} does not apply to {target}: {_HINTS.get(target.kind, '')}")
        return tuple(asked)
    found = for_kind(target.kind)
    if target.kind in (TRACEPOINT, SYSCALL):  # sleepable ones for those who ask: few places allow them
        found = tuple(a for a in found if not a.endswith(".s"))
    if target.kind == FUNCTION:
        if target.name.startswith("bpf_lsm_"):
            found += ("lsm_cgroup",)
        else:
            found = tuple(a for a in found if a not in LSM)
        if not target.name.startswith("bpf_iter_"):
            found = tuple(a for a in found if a not in ITER)
    return found


_HINTS = {
    FUNCTION: "for a tracepoint write tp:CATEGORY:EVENT, for a system call syscall:NAME",
    OFFSET: "inside a function only kprobe (and kretprobe at its entry) can be placed",
    TRACEPOINT: "a tracepoint takes tp, raw_tp, tp_btf and their sleepable forms",
    SYSCALL: "a system call takes ksyscall, kretsyscall, kprobe, kretprobe, kprobe.multi, fentry, fexit and tp",
}


def answer(k: Kernel, text: str, attach: str) -> str:
    """The bare answer for a target in its written form: what advice asks."""
    target = parse(text)
    if target.kind not in ATTACH_TYPES[attach].kinds.split():
        return UNKNOWN
    return verdicts(k, target, (attach,))[0].answer


def verdicts(k: Kernel, target: Target, types: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts of one target, in the order of the types."""
    if target.kind == TRACEPOINT:
        return event_verdicts(k, target.module, target.name, types)
    if target.kind == OFFSET:
        from . import instruction

        return instruction.verdicts(k, target, types)
    name, module = target.name, target.module
    if target.kind == SYSCALL:
        name = function_traits.wrapper(k, target.name)
    traits = function_traits.function_traits(k, name, module)
    evidence = verdict_evidence.function_evidence(k, name, module)
    found: list[Verdict] = []
    for attach in types:
        if attach in _BY_TRACEPOINT:
            found += event_verdicts(k, "syscalls", f"sys_enter_{target.name}", (attach,))
            continue
        outcome = judge.judge(k, attach, traits)
        found.append(verdict_evidence.verdict(k, attach, outcome, evidence, notes(k, attach, name, traits)))
    return tuple(found)


def notes(k: Kernel, attach: str, name: str, traits: Traits) -> tuple[Finding, ...]:
    """What a yes for a function leaves open."""
    told = verdict_evidence.notes(k, attach, name) + _copy_note(attach, traits) + _return_note(k, attach, traits)
    return told if attach != "lsm_cgroup" else told + _void_note(k, name)


def _void_note(k: Kernel, name: str) -> tuple[Finding, ...]:
    """Programs of lsm_cgroup on a hook without a return value: kernel/bpf/verifier.c return_retval_range."""
    found = located.btf_function(k, name, None)
    if found is None or not found[1].prototype(found[2]).text.startswith("void "):
        return ()
    says = "The hook returns nothing: the kernel refuses a program that returns anything but 1 (EINVAL at load)."
    return (Finding("lsm_cgroup.return_one", says, f"{k.evidence(facts.BTF)}: {name} returns void"),)


def _copy_note(attach: str, traits: Traits) -> tuple[Finding, ...]:
    """Types that silently take one of several copies."""
    if traits.vmlinux + traits.modules < 2 or attach in BY_PERF:
        return ()
    # ftrace_lookup_symbols goes on to the next symbol of the name where one has no site; kallsyms_lookup_name does not.
    which = (
        "the first that ftrace can patch"
        if ATTACH_TYPES[attach].by in ("fprobe", "trampolines")
        else "the symbol with the lowest address"
    )
    return (
        Finding(
            "silent.one_of_several", f"Several symbols carry this name; the kernel takes {which}.", "proc/kallsyms"
        ),
    )


def _return_note(k: Kernel, attach: str, traits: Traits) -> tuple[Finding, ...]:
    """Return probes that attach to a function which never returns."""
    if not traits.noreturn or attach not in RETURNS:
        return ()
    what = "Its return is never seen" if ATTACH_TYPES[attach].at == "both" else "It attaches and never fires"
    return (
        Finding(
            "silent.never_returns",
            f"{what}: the function does not return.",
            verdict_evidence.set_evidence(k, ("noreturn_deny",)),
        ),
    )


def event_verdicts(k: Kernel, category: str | None, name: str, types: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts of one event; of a raw tracepoint by its name alone where `category` is None."""
    traits = function_traits.event_traits(k, category, name)
    evidence = verdict_evidence.event_evidence(k, category, name, traits)
    return tuple(
        verdict_evidence.verdict(
            k,
            attach,
            judge.judge(k, attach, traits),
            evidence,
            verdict_evidence.notes(k, attach) + _sleep_note(k, attach, traits),
        )
        for attach in types
    )


def _sleep_note(k: Kernel, attach: str, traits: EventTraits) -> tuple[Finding, ...]:
    """Kernels that accept a sleepable program on an event which runs where sleeping is not allowed."""
    if attach == "tp.s":
        is_checked = traits.syscall or k.feature("faultable_events") is not False
    else:
        is_checked = attach != "tp_btf.s" or traits.faultable or k.feature("sleepable_types_listed") is not False
    if is_checked:
        return ()
    says = "The kernel does not look whether this event may sleep, and it may not: a helper that sleeps can hang it."
    return (Finding("hazard.cannot_sleep", says, ""),)
