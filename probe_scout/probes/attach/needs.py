"""What a list of hooks needs of a kernel and of who attaches: capabilities, sysctls, mounts, configuration options.

Capabilities: kernel/bpf/syscall.c bpf_prog_load, kernel/trace/trace_event_perf.c perf_kprobe_init, perf_uprobe_init,
kernel/events/core.c. Options: the Kconfig files of kernel/bpf, kernel/trace, security.
"""

from __future__ import annotations

from ...errors import SourceError, UsageError
from ...model.attach import ATTACH_TYPES, PREFERRED
from ...model.report import Need
from ...model.verdict import NO, UNKNOWN, YES
from ...named_tuple import NamedTuple
from ...rules.call import rights_to_load
from . import targets, verdicts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...kernel.kernel import Kernel

_CAPABILITY = {"may_bpf": "CAP_BPF", "may_perfmon": "CAP_PERFMON", "may_net": "CAP_NET_ADMIN"}
_BPF = ("CONFIG_BPF_SYSCALL", "CONFIG_BPF_EVENTS")
_BTF = ("CONFIG_BPF_JIT", "CONFIG_DEBUG_INFO_BTF")
_TRAMPOLINE = (*_BTF, "CONFIG_FUNCTION_TRACER", "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS")
# How an attach type is carried (model/attach.py, `by`) to the options that it needs besides those of BPF.
_OPTIONS = {
    "perf": ("CONFIG_KPROBES", "CONFIG_KPROBE_EVENTS"),
    "fprobe": ("CONFIG_FPROBE",),
    "trampoline": _TRAMPOLINE,
    "trampolines": _TRAMPOLINE,
    "event": ("CONFIG_EVENT_TRACING",),
    "tracepoint": ("CONFIG_TRACEPOINTS",),
    "iterator": _BTF,
    "uprobe": ("CONFIG_UPROBES", "CONFIG_UPROBE_EVENTS"),
    "uprobe_link": ("CONFIG_UPROBES", "CONFIG_UPROBE_EVENTS"),
}
_PARANOID = "proc/sys/kernel/perf_event_paranoid"
_OPENED_BY_PERF = ("perf", "event", "uprobe")
_EVENT_WORDS = ("tracepoint", "tp", "t")
_TRACEFS = "sys/kernel/tracing"


class Hook(NamedTuple):
    """One hook as it was written, and the attach type that it is asked for."""

    text: str
    attach: str


def hooks(k: Kernel, text: str) -> tuple[Hook, ...]:
    """Hooks out of a list with commas: fentry/vfs_read, tp:sched:sched_switch, kprobe:do_exit. Raises UsageError."""
    found = []
    for word in filter(None, (one.strip() for one in text.split(","))):
        target, meant, written = targets.asked(k, word)
        meant = meant or ("tp" if written in _EVENT_WORDS else "")
        usual = verdicts.types_for(target, ())
        attach = meant or next((one for one in PREFERRED if one in usual), usual[0] if usual else "")
        if not attach:
            raise UsageError(f"--for {word!r}: no attach type takes it")
        found.append(Hook(word, attach))
    if not found:
        raise UsageError("--for names no hook: fentry/vfs_read,tp:sched:sched_switch")
    return tuple(found)


def of(k: Kernel, asked: Sequence[Hook]) -> tuple[Need, ...]:
    """Each thing that some hook needs, once, with whether this kernel has it and for which hooks."""
    found: dict[tuple[str, str], Need] = {}
    for hook in asked:
        for need in _of_hook(k, hook):
            key = need.kind, need.name
            before = found.get(key)
            found[key] = need if before is None else before._replace(hooks=(*before.hooks, *need.hooks))
    return tuple(found.values())


def _of_hook(k: Kernel, hook: Hook) -> list[Need]:
    row = ATTACH_TYPES[hook.attach]
    by = row.by.split()
    text = (f"{hook.attach} {hook.text}",)
    needs = [
        Need("capability", _CAPABILITY[privilege], UNKNOWN, "to load the program; CAP_SYS_ADMIN does as well", text)
        for privilege in rights_to_load(row.program)
    ]
    if set(by) & set(_OPENED_BY_PERF):
        needs += _perf(k, hook.attach, text)
    for option in (*_BPF, *(one for word in by for one in _OPTIONS.get(word, ())), *_lsm(row.program)):
        needs.append(
            Need(
                "config",
                option,
                _option(k, option),
                f"is {k.config(option) or 'not set'}"
                if k.config(option) is not None
                else "the configuration cannot be read",
                text,
            )
        )
    if row.program == "LSM":
        needs.append(_active(k, text))
    if "event" in by:
        needs.append(_mounted(k, text))
    return needs


def _lsm(program: str) -> tuple[str, ...]:
    return ("CONFIG_BPF_LSM",) if program == "LSM" else ()


def _option(k: Kernel, option: str) -> str:
    value = k.config(option)
    return UNKNOWN if value is None else YES if value not in ("", "n") else NO


def _perf(k: Kernel, attach: str, text: tuple[str, ...]) -> list[Need]:
    """perf_event_open: CAP_PERFMON, and what the distribution's patch of perf_event_paranoid wants."""
    try:
        value = int(k.read(_PARANOID))
    except (SourceError, ValueError):
        return [
            Need("sysctl", "kernel.perf_event_paranoid", UNKNOWN, "above 2 Debian and Ubuntu want CAP_SYS_ADMIN", text)
        ]
    says = (
        f"is {value}: CAP_PERFMON is enough"
        if value <= 2
        else f"is {value}: Debian and Ubuntu want CAP_SYS_ADMIN above 2"
    )
    found = [Need("sysctl", "kernel.perf_event_paranoid", YES if value <= 2 else UNKNOWN, says, text)]
    if "uprobe" in ATTACH_TYPES[attach].by.split() and k.enumerator("BPF_TRACE_UPROBE_MULTI") is False:
        found.append(Need("capability", "CAP_SYS_ADMIN", UNKNOWN, "perf uprobes want it on this kernel", text))
    return found


def _active(k: Kernel, text: tuple[str, ...]) -> Need:
    try:
        active = k.read("sys/kernel/security/lsm").decode("ascii", "replace").strip()
    except SourceError as error:
        return Need("boot", "lsm=…,bpf", UNKNOWN, f"sys/kernel/security/lsm: {error.why}", text)
    return Need("boot", "lsm=…,bpf", YES if "bpf" in active.split(",") else NO, f"active: {active}", text)


def _mounted(k: Kernel, text: tuple[str, ...]) -> Need:
    """The event's id is read out of tracefs."""
    try:
        k.read(f"{_TRACEFS}/available_events")
    except SourceError as error:
        return Need("mount", _TRACEFS, NO if error.kind == "not_there" else UNKNOWN, f"tracefs: {error.why}", text)
    return Need("mount", _TRACEFS, YES, "tracefs is there", text)
