"""`doctor`: what can be read here, what not, and what would open it."""

from __future__ import annotations

from ..errors import Malformed, SourceError
from ..kernel.reading import LOCKDOWN
from ..model import facts
from ..model.report import DoctorReport, SourceState
from ..model.verdict import Finding
from ..probes.attach import evidence as verdict_evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from ..model.facts import Unread

_FILES: tuple[tuple[str, str, str], ...] = (
    ("proc/kallsyms", facts.KALLSYMS, "every symbol: names, duplicate symbols, modules"),
    ("sys/kernel/btf/vmlinux", facts.BTF, "prototypes, attach types, kernel structs"),
    ("sys/kernel/tracing/available_filter_functions", facts.FILTER_FUNCTIONS, "functions that ftrace can patch"),
    ("sys/kernel/tracing/available_filter_functions_addrs", facts.FILTER_FUNCTIONS, "the same with addresses"),
    ("sys/kernel/debug/kprobes/blacklist", facts.KPROBE_BLACKLIST, "functions closed to kprobes"),
    ("sys/kernel/debug/error_injection/list", facts.ERROR_INJECTION, "functions whose return may be replaced"),
    ("sys/kernel/tracing/available_events", facts.EVENTS, "trace events"),
    ("sys/kernel/tracing/events/sched/sched_switch/format", facts.EVENTS, "fields of trace events"),
    ("sys/kernel/tracing/enabled_functions", "enabled_functions", "who uses ftrace now"),
    ("proc/modules", facts.MODULES, "loaded modules"),
    ("sys/kernel/security/lockdown", facts.LOCKDOWN, "lockdown"),
    ("sys/kernel/security/lsm", "lsm", "active security modules"),
    ("sys/kernel/notes", "build_id", "the kernel's build-id"),
    ("proc/sys/kernel/kptr_restrict", facts.SYSCTL, "whether addresses are shown"),
    ("proc/sys/kernel/perf_event_paranoid", facts.SYSCTL, "who may open perf events"),
    ("proc/sys/kernel/unprivileged_bpf_disabled", facts.SYSCTL, "who may use bpf(2)"),
    ("proc/sys/kernel/ftrace_enabled", facts.SYSCTL, "whether ftrace patches code"),
)


def report(k: Kernel, hooks: str = "") -> DoctorReport:
    """The state of every file the tool reads, and what the whole of it means; what a list of hooks needs.

    Raises UsageError for a hook that cannot be asked.
    """
    from ..probes.attach import needs

    wanted = needs.of(k, needs.hooks(k, hooks)) if hooks else ()
    states = [_state(k, *row) for row in _FILES]
    config = k.config("CONFIG_BPF_SYSCALL")
    gap = k.unread(facts.CONFIG)
    states.append(
        SourceState(
            "kernel configuration",
            facts.CONFIG,
            "read" if config is not None else gap.kind if gap else "not_there",
            "how the kernel was built",
            gap.cure if gap and config is None else "",
        )
    )
    unread: list[Unread] = []
    for fact in (
        facts.KALLSYMS,
        facts.BTF,
        facts.FILTER_FUNCTIONS,
        facts.KPROBE_BLACKLIST,
        facts.CONFIG,
        facts.LOCKDOWN,
    ):
        found = k.unread(fact)
        if found is not None:
            unread.append(found)
    return DoctorReport(k.info(), tuple(states), tuple(_findings(k)), tuple(unread), wanted)


def _state(k: Kernel, path: str, fact: str, says: str) -> SourceState:
    try:
        raw = k.read(path)
    except SourceError as error:
        return SourceState(path, fact, error.kind, says, error.cure or error.why)
    if fact == facts.LOCKDOWN:
        says = f"{says}: {k.lockdown() or 'unknown'}"
    if not raw and fact in (facts.KALLSYMS, facts.BTF, facts.FILTER_FUNCTIONS):
        return SourceState(path, fact, "empty", says, "")
    return SourceState(path, fact, "read", f"{says}, {len(raw)} bytes", "")


def _locked(k: Kernel) -> list[Finding]:
    """What a lockdown closes: security/security.c lockdown_reasons, in the order of enum lockdown_reason."""
    state = k.lockdown()
    if state == "confidentiality":
        says = (
            "The kernel is locked down for confidentiality: kprobes and tracefs are refused, and helpers read no "
            "kernel memory; fentry, raw tracepoints and kprobe.multi attach."
        )
        return [Finding("doctor.lockdown", says, LOCKDOWN)]
    if state == "integrity":
        says = "The kernel is locked down for integrity: bpf_probe_write_user is refused; probes are not."
        return [Finding("doctor.lockdown", says, LOCKDOWN)]
    return []


def _findings(k: Kernel) -> list[Finding]:
    found = []
    if k.addresses_hidden():
        found.append(
            Finding(
                "doctor.addresses_hidden",
                "Addresses in proc/kallsyms are zero: aliases and duplicates cannot be distinguished.",
                "kernel.kptr_restrict",
            )
        )
    try:
        if not k.ids().visible and k.kallsyms() is not None:
            found.append(
                Finding(
                    "doctor.no_id_sets",
                    "kallsyms shows no data symbols, so the kernel's deny lists and LSM hook lists cannot be read.",
                    "CONFIG_KALLSYMS_ALL",
                )
            )
    except Malformed:
        pass
    if k.feature("kprobe_pmu") is False:
        found.append(
            Finding("doctor.no_kprobes", "This kernel was built without kprobes.", k.feature_evidence("kprobe_pmu"))
        )
    found += _locked(k)
    found += dict.fromkeys(
        (*verdict_evidence.notes(k, "kprobe"), *verdict_evidence.notes(k, "lsm"))
    )  # switches that are off
    if k.source.describe().kind == "live":
        import os

        if os.environ.get("PYTHONDONTWRITEBYTECODE"):
            found.append(
                Finding(
                    "doctor.no_bytecode",
                    "PYTHONDONTWRITEBYTECODE is set: every start compiles the program again and is slower.",
                    "environment",
                )
            )
        if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
            found.append(
                Finding(
                    "doctor.container",
                    "This is a container: what is shown is the host's kernel, as far as the container lets it through.",
                    "/.dockerenv",
                )
            )
    return found
