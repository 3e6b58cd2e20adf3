"""`check`: one target, every attach type that makes sense for it, with evidence, reasons and alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..model import facts
from ..model.attach import ATTACH_TYPES, for_kind
from ..model.report import Coverage, Diagnosis, TargetReport
from ..model.target import FUNCTION, OFFSET, SYSCALL, TRACEPOINT, Target, parse
from ..model.verdict import NO, UNKNOWN, YES, Finding, Verdict
from ..probes.attach import evidence as words
from ..probes.attach import function_traits as questions
from ..probes.attach import targets
from ..probes.inlining import coverage
from ..rules import judge as engine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kernel.kernel import Kernel
    from ..model.traits import EventTraits, Traits

_LSM, _ITER = ("lsm", "lsm.s", "lsm_cgroup"), ("iter", "iter.s")
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
            found = tuple(a for a in found if a not in _LSM)
        if not target.name.startswith("bpf_iter_"):
            found = tuple(a for a in found if a not in _ITER)
    return found


_HINTS = {
    FUNCTION: "for a tracepoint write tp:CATEGORY:EVENT, for a system call syscall:NAME",
    OFFSET: "inside a function only kprobe (and kretprobe at its entry) can be placed",
    TRACEPOINT: "a tracepoint takes tp, raw_tp, tp_btf and their sleepable forms",
    SYSCALL: "a system call takes ksyscall, kretsyscall, kprobe, kretprobe, kprobe.multi, fentry, fexit and tp",
}


def wrapper(k: Kernel, call: str) -> str:
    """The function that a system call enters on this kernel: the architecture's wrapper, else __se_sys_, else sys_.

    tools/lib/bpf/libbpf.c attach_ksyscall; the first that exists, the architecture's own where none does.
    """
    head = k.syscall_prefix() + "sys_"
    for prefix in (head, "__se_sys_", "sys_"):
        if k.has_function(prefix + call):
            return prefix + call
    return head + call


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
        from ..probes.attach import instruction as offsets

        return offsets.verdicts(k, target, types)
    name, module = target.name, target.module
    if target.kind == SYSCALL:
        name = wrapper(k, target.name)
    traits = questions.function_traits(k, name, module)
    evidence = function_evidence(k, name, module)
    found: list[Verdict] = []
    for attach in types:
        if attach in _BY_TRACEPOINT:
            found += event_verdicts(k, "syscalls", f"sys_enter_{target.name}", (attach,))
            continue
        outcome = engine.judge(k, attach, traits)
        found.append(words.verdict(k, attach, outcome, evidence, notes(k, attach, name, traits)))
    return tuple(found)


def notes(k: Kernel, attach: str, name: str, traits: Traits) -> tuple[Finding, ...]:
    """What a yes for a function leaves open."""
    told = words.notes(k, attach, name) + _copy_note(attach, traits) + _return_note(k, attach, traits)
    return told if attach != "lsm_cgroup" else told + _void_note(k, name)


def _void_note(k: Kernel, name: str) -> tuple[Finding, ...]:
    """Programs of lsm_cgroup on a hook without a return value: kernel/bpf/verifier.c return_retval_range."""
    found = questions.btf_function(k, name, None)
    if found is None or not found[1].prototype(found[2]).text.startswith("void "):
        return ()
    says = "The hook returns nothing: the kernel refuses a program that returns anything but 1 (EINVAL at load)."
    return (Finding("lsm_cgroup.return_one", says, f"{k.evidence(facts.BTF)}: {name} returns void"),)


def _copy_note(attach: str, traits: Traits) -> tuple[Finding, ...]:
    """Types that silently take one of several copies."""
    if traits.vmlinux + traits.modules < 2 or attach in words.KPROBES:
        return ()
    which = (
        "the first that ftrace can patch"
        if ".multi" in attach or attach == "kprobe.session"
        else "the one with the lowest address"
    )
    return (
        Finding(
            "silent.one_of_several", f"Several symbols carry this name; the kernel takes {which}.", "proc/kallsyms"
        ),
    )


def _return_note(k: Kernel, attach: str, traits: Traits) -> tuple[Finding, ...]:
    """Return probes that attach to a function which never returns."""
    if not traits.noreturn or not attach.startswith(
        ("kretprobe", "kretsyscall", "kprobe.session", "fexit", "fsession")
    ):
        return ()
    what = "Its return is never seen" if "session" in attach else "It attaches and never fires"
    return (
        Finding("silent.never_returns", f"{what}: the function does not return.", _set_evidence(k, ("noreturn_deny",))),
    )


def _set_evidence(k: Kernel, sets: tuple[str, ...]) -> str:
    """Which of these id sets this kernel has, for people."""
    there = [title for title in sets if title in k.ids().sets]
    return f"{k.evidence(facts.BTF_IDS)} of {', '.join(there)}" if there else k.evidence(facts.BTF_IDS)


def event_verdicts(k: Kernel, category: str | None, name: str, types: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts of one event; of a raw tracepoint by its name alone where `category` is None."""
    traits = questions.event_traits(k, category, name)
    evidence = event_evidence(k, category, name, traits)
    return tuple(
        words.verdict(
            k,
            attach,
            engine.judge(k, attach, traits),
            evidence,
            words.notes(k, attach) + _sleep_note(k, attach, traits),
        )
        for attach in types
    )


def _sleep_note(k: Kernel, attach: str, traits: EventTraits) -> tuple[Finding, ...]:
    """Kernels that accept a sleepable program on an event which runs where sleeping is not allowed."""
    if attach == "tp.s":
        is_checked = traits.syscall or k.flag("faultable_events") is not False
    else:
        is_checked = attach != "tp_btf.s" or traits.faultable or k.flag("sleepable_types_listed") is not False
    if is_checked:
        return ()
    says = "The kernel does not look whether this event may sleep, and it may not: a helper that sleeps can hang it."
    return (Finding("hazard.cannot_sleep", says, ""),)


def event_evidence(k: Kernel, category: str | None, name: str, traits: EventTraits) -> dict[str, str]:
    """What was read about this very event, by fact."""
    written = f"{category}:{name}" if category else name
    return {
        facts.EVENTS: f"{k.evidence(facts.EVENTS)}: {written} {'is there' if traits.event else 'is not there'}",
        facts.BTF: f"{k.evidence(facts.BTF)}: btf_trace_{name} {'is there' if traits.typed else 'is not there'}",
        facts.KALLSYMS: f"proc/kallsyms: __bpf_trace_tp_map_{name} {'is there' if traits.raw else 'is not there'}",
    }


_DECIDING_SETS = (
    *("btf_id_deny", "noreturn_deny", "btf_non_sleepable_error_inject", *questions.MODIFY_RETURN_SETS),
    *("bpf_lsm_hooks", "bpf_lsm_disabled_hooks", "sleepable_lsm_hooks", "btf_sleepable_lsm_hooks"),
)


def function_evidence(k: Kernel, name: str, module: str | None) -> dict[str, str]:
    """What was read about this very name, by fact."""
    found: dict[str, str] = {}
    view = k.view((name.encode(),))
    if view is not None:
        symbols = view.symbols
        rows = symbols.rows(name.encode())
        count = len(rows)
        found[facts.KALLSYMS] = f"proc/kallsyms: {count} symbol{'' if count == 1 else 's'} named {name}"
        if rows and view.sites is not None:
            sites = sum(1 for row in rows if view.sites.known(symbols, row))
            listed = f"a site in {name}" if sites else f"no site in {name}"
            if count > 1:
                first = "and" if view.sites.known(symbols, rows[0]) else "but not"
                some = f"a site in {sites} of the {count} symbols named {name}, {first} in the first"
                listed = some if sites else f"no site in any of the {count} symbols named {name}"
            found[facts.FILTER_FUNCTIONS] = f"{k.evidence(facts.FILTER_FUNCTIONS)}: {listed}"
        blacklist = k.blacklist() if rows else None
        if blacklist is not None:
            base = symbols.canonical(rows[0]).partition(b".")[0]
            covered = name
            if not questions._blacklisted(blacklist, symbols, rows[0]) and base:
                covered = f"{base.decode('utf-8', 'replace')}, to which {name} belongs"
            found[facts.KPROBE_BLACKLIST] = f"{k.evidence(facts.KPROBE_BLACKLIST)}: a range of it covers {covered}"
    ids = k.ids()
    if ids.visible:
        sets = sorted(title for title in _DECIDING_SETS if ids.holds(title, name))
        found[facts.BTF_IDS] = f"proc/kallsyms: __BTF_ID__ symbols put {name} in " + (
            ", ".join(sets) if sets else "no set that decides about programs"
        )
        if k.flag("error_injection") is False:
            inside = [title for title in questions.MODIFY_RETURN_SETS if ids.holds(title, name)]
            found[facts.ERROR_INJECTION] = "error injection is not built, and " + (
                f"{name} is in {', '.join(inside)} without the mark for sleepable programs"
                if inside
                else f"{name} is in none of the kernel's fmod_ret sets"
            )
    btf = questions.btf_function(k, name, module)
    if btf is None:
        found[facts.BTF] = f"{k.evidence(facts.BTF)}: no FUNC named {name}"
    else:
        where = btf[0] or "vmlinux"
        found[facts.BTF] = f"sys/kernel/btf/{where}: FUNC {name}"
        found["prototype"] = btf[1].prototype(btf[2]).text
    return found


def target_report(k: Kernel, text: str, asked: Sequence[str], debug: str = "") -> TargetReport:
    """Everything about one target. `debug` names a file with debug information.

    Raises UsageError for a name that cannot be asked, and for a debug file that cannot be read.
    """
    target, meant, _ = targets.asked(k, text, asked)
    types = types_for(target, asked or ((meant,) if meant else ()))
    found = verdicts(k, target, types)
    from ..probes.attach import limits
    from ..probes.explain import alternatives as advice
    from ..probes.explain import explain, hazards, spelling
    from ..probes.explain import name_forms as forms
    from ..probes.explain.kernel_lookup import KernelLookup

    lookup = KernelLookup(k, lambda other, attach: answer(k, other, attach))
    seen: Coverage = Coverage()
    points: tuple[coverage.Point, ...] = ()
    name = wrapper(k, target.name) if target.kind == SYSCALL else target.name
    is_probe = not targets.ITER_TYPES.issuperset(types)  # an iterator is called when its file is read, by nobody else
    if target.kind in (FUNCTION, SYSCALL) and is_probe:
        seen, points = coverage.of(k, target, name, debug)
    limited = limits.of(k, target, name, found)
    found = limits.noted(found, limited)
    prototype = lookup.prototype_text(name) if target.kind in (FUNCTION, SYSCALL) else None
    missing = not lookup.symbols(name) if target.kind in (FUNCTION, OFFSET) else all(v.answer == NO for v in found)
    unrecorded = (missing or not any(v.answer == YES for v in found)) and bool(k.partial())
    copies = forms.copies(lookup, target, found)
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
        alternatives=advice.alternatives(lookup, target, found, nearby=points)
        if points or any(v.answer != YES for v in found)
        else (),
        hazards=hazards.hazards(
            lookup, target, found, _last_in_module(k, target), words.ftrace_off(k), _is_helper(k, target.name)
        ),
        copies=copies if len(copies) > 1 else (),
        forms=forms.forms(lookup, target),
        suggestions=spelling.suggest(lookup, target) if missing or unrecorded else (),
        prototype=prototype,
        limits=limited,
    )


def _beyond(k: Kernel, target: Target) -> tuple[Diagnosis, ...]:
    """Whose code lies at an offset that is none of the function's."""
    if target.kind != OFFSET:
        return ()
    from ..probes.attach import instruction as offsets

    says = offsets.beyond(k, target)
    return (Diagnosis("other_function", says, "is"),) if says else ()


def _is_helper(k: Kernel, name: str) -> bool:
    """Programs call the function as a helper: enum bpf_func_id names it (include/uapi/linux/bpf.h)."""
    return name.startswith("bpf_") and k.enumerator(f"BPF_FUNC_{name[4:]}") is True


def _last_in_module(k: Kernel, target: Target) -> bool | None:
    """Whether the target is the last text symbol of its module; None if it is in none or that is not told."""
    if "." not in target.name:
        return None
    view = k.view((target.name.encode(),))
    if view is None or view.symbols.hidden:
        return None
    symbols = view.symbols
    for row in symbols.rows(target.name.encode()):
        module = symbols.modules[row]
        if module is not None and target.module in (None, module.decode()):
            text = [
                symbols.addresses[i]
                for i in range(symbols.vmlinux_count, len(symbols.names))
                if symbols.modules[i] == module and symbols.letter(i) in "tTwW"
            ]
            return symbols.addresses[row] >= max(text)
    return None
