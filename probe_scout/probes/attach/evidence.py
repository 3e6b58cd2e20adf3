"""From outcomes to verdicts with words: evidence for each finding, cure for each unread fact, notes beside a yes."""

from __future__ import annotations

from ...errors import ProbeScoutError, SourceError
from ...kernel.located import btf_function, locate, prototype_text
from ...model import facts, never_try
from ...model.attach import BY_PERF, LSM, WITHOUT_FTRACE
from ...model.facts import Unread
from ...model.verdict import YES, Finding, Verdict
from . import function_traits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.kernel import Kernel
    from ...model.traits import EventTraits
    from ...rules import Rule
    from ...rules.judge import Outcome

_PROTOTYPE = ("prototype", "trampoline.argument_slots", "trampoline_multi.argument_slots")


def verdict(
    k: Kernel, attach: str, outcome: Outcome, evidence: dict[str, str], notes: tuple[Finding, ...] = ()
) -> Verdict:
    """The verdict of one outcome. `evidence` maps facts to what was read about this very target."""
    findings = tuple(Finding(rule.id, rule.says, _evidence(k, rule, evidence)) for rule in outcome.fired)
    unread = tuple(dict.fromkeys(explain_gap(k, fact, feature) for fact, feature in outcome.missing))
    return Verdict(
        attach,
        outcome.answer,
        outcome.errno,
        outcome.certain,
        findings,
        unread,
        notes if outcome.answer == YES else (),
    )


def _evidence(k: Kernel, rule: Rule, evidence: dict[str, str]) -> str:
    if rule.id.startswith(_PROTOTYPE) and "prototype" in evidence:
        return f"{k.evidence(facts.BTF)}: {evidence['prototype']}"
    if rule.unless and k.feature_fact(rule.unless) != facts.ARCHITECTURE:
        return f"looked for and not found: {k.feature_evidence(rule.unless)}"
    for fact in reversed(rule.needs):
        if fact in evidence:
            return evidence[fact]
    if rule.feature:
        return k.feature_evidence(rule.feature)
    return "; ".join(k.evidence(fact) for fact in rule.needs) or f"{rule.source}: {rule.decides}"


# Facts of one name, to the file from which a slice left it out.
_CUT = {
    facts.KALLSYMS: facts.KALLSYMS,
    facts.BTF: facts.BTF,
    facts.MODULE_BTF: facts.BTF,
    facts.EVENTS: facts.EVENTS,
}


def explain_gap(k: Kernel, fact: str, feature: str) -> Unread:
    """Why a fact or a feature is not known, and what would open it."""
    if feature == "may_perf":
        return _paranoid(k)
    if fact == facts.ARCHITECTURE:
        return no_rules(k)
    known = k.unread(fact)
    if known is not None:
        return known
    if not feature and fact in _CUT and (cut := k.partial_gap(_CUT[fact])) is not None:
        return cut
    if fact == facts.KALLSYMS and not feature and (cut := k.unproved()) is not None:
        return cut
    if feature == "prefix_understood":
        return Unread(
            fact,
            "not_recorded",
            "whether perf takes MODULE:FUNCTION shows in the code of create_local_trace_kprobe alone, and "
            + (k.code_why() or "no code of this kernel was read"),
            f"{k.code_cure()}; the bare name does where it is the only one, and tracefs takes the module's",
        )
    if feature:
        return Unread(
            fact,
            "not_there",
            f"nothing that was read shows whether this kernel has it ({k.feature_evidence(feature)})",
            _CURES.get(fact, ""),
        )
    if fact == facts.FILTER_FUNCTIONS:
        if k.addresses_hidden():
            return _hidden_addresses()
        return Unread(
            facts.SYMBOL_CHOICE,
            "hidden",
            "several functions share the name and available_filter_functions does not tell which of them it lists",
            "a kernel with available_filter_functions_addrs tells; or ask for MODULE:FUNCTION",
        )
    if fact in (facts.CODE, facts.ENTRY_CODE) and k.addresses_hidden():
        return _hidden_addresses()
    if fact == facts.CODE:
        why = k.code_why() or "no code of this kernel was read"
        return Unread(
            fact,
            "not_recorded",
            f"the answer depends on the function's first instruction, and {why}",
            k.code_cure(),
        )
    if fact == facts.ENTRY_CODE:
        return Unread(
            fact,
            "not_recorded",
            "ftrace has no site here, and boot may have turned the first instruction into the no-op "
            "that a trampoline looks for",
            "ask on the machine itself as root, where proc/kcore shows the running code, or take the snapshot there",
        )
    if fact == facts.MODULE_BTF and k.module_gaps:
        return next(iter(k.module_gaps.values()))
    if fact == facts.BTF_IDS:
        return Unread(
            fact,
            "hidden",
            "kallsyms shows no __BTF_ID__ symbols, so the kernel's own lists cannot be read",
            "a kernel with CONFIG_KALLSYMS_ALL=y; or ask the kernel itself",
        )
    return Unread(fact, "not_there", f"{k.evidence(fact)} does not tell", _CURES.get(fact, ""))


def no_rules(k: Kernel) -> Unread:
    """The one sentence for everything that hangs on an architecture whose rules are not known here."""
    if k.arch() == "unknown":
        why = "nothing that was read tells the kernel's architecture"
        return Unread(facts.ARCHITECTURE, "not_recorded", why, "a snapshot with proc/kallsyms or the configuration")
    why = f"the rules of {k.arch()} are not known here"
    return Unread(facts.ARCHITECTURE, "not_there", why, "attach it on such a kernel: probe-scout verify")


def _hidden_addresses() -> Unread:
    return Unread(
        facts.ADDRESSES,
        "hidden",
        "kernel.kptr_restrict hides the addresses in proc/kallsyms",
        "sysctl kernel.kptr_restrict=1, and read it as root",
    )


def _paranoid(k: Kernel) -> Unread:
    """Why nobody can say whether a caller with CAP_PERFMON may open perf events, and the setting that ends it."""
    value = _setting(k, _PARANOID)
    if not value:
        return Unread(facts.SYSCTL, "not_there", f"{_PARANOID} could not be read", f"read {_PARANOID}")
    return Unread(
        facts.SYSCTL,
        "not_there",
        f"kernel.perf_event_paranoid is {value}: kernels as released treat every value above 2 as 2, kernels of some "
        "distributions demand CAP_SYS_ADMIN then, and nothing that can be read tells which this is",
        "sysctl kernel.perf_event_paranoid=2",
    )


_PARANOID = "proc/sys/kernel/perf_event_paranoid"
_CURES = {
    facts.CONFIG: "the kernel's configuration: CONFIG_IKCONFIG_PROC=y, or /boot/config-<release>",
    facts.BTF: "a kernel with CONFIG_DEBUG_INFO_BTF=y",
    facts.KALLSYMS: "read proc/kallsyms as root",
    facts.LOCKDOWN: "mount -t securityfs none /sys/kernel/security",
    facts.SYSCTL: f"read {_PARANOID}",
}


def notes(k: Kernel, attach: str, name: str = "") -> tuple[Finding, ...]:
    """What lets a probe attach and never fire: switches that were read as off. `name`: the function's, if it is one."""
    found: list[Finding] = []
    if attach not in WITHOUT_FTRACE and ftrace_off(k):
        found.append(
            Finding(
                "silent.ftrace_off",
                "It attaches and never fires while kernel.ftrace_enabled is 0.",
                "proc/sys/kernel/ftrace_enabled: 0",
            )
        )
    if attach in BY_PERF and _setting(k, "sys/kernel/debug/kprobes/enabled") == "0":
        found.append(
            Finding(
                "silent.kprobes_off",
                "It attaches and never fires while kprobes are disarmed.",
                "sys/kernel/debug/kprobes/enabled: 0",
            )
        )
    # The hooks call bpf_lsm_<hook> only if lsm= or CONFIG_LSM names bpf (security/bpf/hooks.c registers them then).
    if attach in LSM or name.startswith("bpf_lsm_"):
        names = _setting(k, "sys/kernel/security/lsm")
        if names and "bpf" not in names.split(","):
            found.append(
                Finding(
                    "silent.bpf_not_in_lsm",
                    "It attaches and is never called: bpf is not among the active security modules.",
                    f"sys/kernel/security/lsm: {names}",
                )
            )
    return tuple(found)


def ftrace_off(k: Kernel) -> bool:
    """kernel.ftrace_enabled was read as 0."""
    return _setting(k, "proc/sys/kernel/ftrace_enabled") == "0"


def _setting(k: Kernel, path: str) -> str:
    try:
        return k.read(path).decode("utf-8", "replace").strip()
    except (SourceError, ProbeScoutError):
        return ""


def set_evidence(k: Kernel, sets: tuple[str, ...]) -> str:
    """Which of these id sets this kernel has, for people."""
    there = [title for title in sets if title in k.ids().sets]
    return f"{k.evidence(facts.BTF_IDS)} of {', '.join(there)}" if there else k.evidence(facts.BTF_IDS)


def event_evidence(k: Kernel, category: str | None, name: str, traits: EventTraits) -> dict[str, str]:
    """What was read about this very event, by fact."""
    written = f"{category}:{name}" if category else name
    return {
        facts.EVENTS: f"{k.evidence(facts.EVENTS)}: {written} {'is there' if traits.event else 'is not there'}",
        facts.BTF: f"{k.evidence(facts.BTF)}: btf_trace_{name} {'is there' if traits.typed else 'is not there'}",
        facts.KALLSYMS: f"proc/kallsyms: __bpf_trace_tp_map_{name} {'is there' if traits.raw else 'is not there'}",
    }


_DECIDING_SETS = (
    *("btf_id_deny", "noreturn_deny", "btf_non_sleepable_error_inject", *function_traits.MODIFY_RETURN_SETS),
    *("bpf_lsm_hooks", "bpf_lsm_disabled_hooks", "sleepable_lsm_hooks", "btf_sleepable_lsm_hooks"),
)


def function_evidence(k: Kernel, name: str, module: str | None) -> dict[str, str]:
    """What was read about this very name, by fact."""
    found: dict[str, str] = {}
    at = locate(k, name)
    if at is not None:
        count = len(at.rows)
        found[facts.KALLSYMS] = f"proc/kallsyms: {count} symbol{'' if count == 1 else 's'} named {name}"
        if at.rows and at.sites is not None:
            sites = sum(1 for site in at.sites if site)
            listed = f"a site in {name}" if sites else f"no site in {name}"
            if count > 1:
                first = "and" if at.sites[0] else "but not"
                some = f"a site in {sites} of the {count} symbols named {name}, {first} in the first"
                listed = some if sites else f"no site in any of the {count} symbols named {name}"
            found[facts.FILTER_FUNCTIONS] = f"{k.evidence(facts.FILTER_FUNCTIONS)}: {listed}"
        if at.covered:
            base = at.symbols.canonical(at.rows[0]).partition(b".")[0]
            covered = name
            if not at.covered[0] and base:
                covered = f"{base.decode('utf-8', 'replace')}, to which {name} belongs"
            found[facts.KPROBE_BLACKLIST] = f"{k.evidence(facts.KPROBE_BLACKLIST)}: a range of it covers {covered}"
    ids = k.ids()
    if ids.visible:
        sets = sorted(title for title in _DECIDING_SETS if ids.holds(title, name))
        found[facts.BTF_IDS] = f"proc/kallsyms: __BTF_ID__ symbols put {name} in " + (
            ", ".join(sets) if sets else "no set that decides about programs"
        )
        if k.feature("error_injection") is False:
            inside = [title for title in function_traits.MODIFY_RETURN_SETS if ids.holds(title, name)]
            found[facts.ERROR_INJECTION] = "error injection is not built, and " + (
                f"{name} is in {', '.join(inside)} without the mark for sleepable programs"
                if inside
                else f"{name} is in none of the kernel's fmod_ret sets"
            )
    elif name.startswith("bpf_lsm_"):
        found[facts.BTF_IDS] = (
            "kallsyms hides the kernel's lists; taken for hooks are the members of union security_list_options in BTF, "
            "and for sleepable the hooks that other kernels list"
        )
    elif name in never_try.DENIED_FIRST:
        found[facts.BTF_IDS] = (
            "kallsyms hides the kernel's lists; btf_id_deny is taken to be there with BPF_PROG_TYPE_SYSCALL in BTF"
        )
    btf = btf_function(k, name, module)
    if btf is None:
        found[facts.BTF] = f"{k.evidence(facts.BTF)}: no FUNC named {name}"
    else:
        where = btf[0] or "vmlinux"
        found[facts.BTF] = f"sys/kernel/btf/{where}: FUNC {name}"
        found["prototype"] = prototype_text(k, name, module) or ""
    return found
