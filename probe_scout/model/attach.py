"""Attach types: libbpf's section names, and what each is to bpf(2).

The spelling is the one of libbpf's SEC() table (tools/lib/bpf/libbpf.c, section_defs) and of the
enum bpf_attach_type (include/uapi/linux/bpf.h). `.s` marks sleepable programs.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .verdict import Verdict


class AttachType(NamedTuple):
    """One way to attach. `enumerator` is the bpf_attach_type that a kernel must know, if any.

    `by` is what carries it: perf (perf_event_open, a kprobe event), fprobe (a kprobe_multi link), trampoline (one BPF
    trampoline), trampolines (a tracing_multi link), event (perf, a trace event), tracepoint (a raw tracepoint),
    iterator, uprobe (perf, a uprobe event), uprobe_link (a uprobe_multi link). `at` is when it runs: entry, return,
    both, value (in place of the return value), hook, event, write (an event whose arguments may be written), read.
    """

    name: str
    program: str
    enumerator: str
    by: str
    at: str
    kinds: str  # kinds of target it applies to, blank separated
    says: str


def _table(*rows: tuple[str, str, str, str, str, str, str]) -> dict[str, AttachType]:
    return {row[0]: AttachType(*row) for row in rows}


ATTACH_TYPES: dict[str, AttachType] = _table(
    ("kprobe", "KPROBE", "", "perf", "entry", "function offset syscall", "probe at entry or inside, by perf"),
    ("kretprobe", "KPROBE", "", "perf", "return", "function offset syscall", "probe at return, by perf"),
    (
        "kprobe.multi",
        "KPROBE",
        "BPF_TRACE_KPROBE_MULTI",
        "fprobe",
        "entry",
        "function syscall",
        "many entries by one link, through fprobe",
    ),
    ("kretprobe.multi", "KPROBE", "BPF_TRACE_KPROBE_MULTI", "fprobe", "return", "function", "many returns by one link"),
    (
        "kprobe.session",
        "KPROBE",
        "BPF_TRACE_KPROBE_SESSION",
        "fprobe",
        "both",
        "function",
        "entry and return by one program",
    ),
    ("ksyscall", "KPROBE", "", "perf", "entry", "syscall", "kprobe on the syscall's wrapper"),
    ("kretsyscall", "KPROBE", "", "perf", "return", "syscall", "kretprobe on the syscall's wrapper"),
    (
        "fentry",
        "TRACING",
        "BPF_TRACE_FENTRY",
        "trampoline",
        "entry",
        "function syscall",
        "entry, typed arguments, by trampoline",
    ),
    ("fentry.s", "TRACING", "BPF_TRACE_FENTRY", "trampoline", "entry", "function", "sleepable fentry"),
    (
        "fexit",
        "TRACING",
        "BPF_TRACE_FEXIT",
        "trampoline",
        "return",
        "function syscall",
        "return, arguments and return value",
    ),
    ("fexit.s", "TRACING", "BPF_TRACE_FEXIT", "trampoline", "return", "function", "sleepable fexit"),
    (
        "fsession",
        "TRACING",
        "BPF_TRACE_FSESSION",
        "trampoline",
        "both",
        "function",
        "entry and return by one program, by trampoline",
    ),
    (
        "fentry.multi",
        "TRACING",
        "BPF_TRACE_FENTRY_MULTI",
        "trampolines",
        "entry",
        "function",
        "many entries, by trampolines",
    ),
    (
        "fexit.multi",
        "TRACING",
        "BPF_TRACE_FEXIT_MULTI",
        "trampolines",
        "return",
        "function",
        "many returns, by trampolines",
    ),
    (
        "fsession.multi",
        "TRACING",
        "BPF_TRACE_FSESSION_MULTI",
        "trampolines",
        "both",
        "function",
        "many entries and returns",
    ),
    ("fmod_ret", "TRACING", "BPF_MODIFY_RETURN", "trampoline", "value", "function", "may replace the return value"),
    ("fmod_ret.s", "TRACING", "BPF_MODIFY_RETURN", "trampoline", "value", "function", "sleepable fmod_ret"),
    ("lsm", "LSM", "BPF_LSM_MAC", "trampoline", "hook", "function", "security hook, bpf_lsm_<hook>"),
    ("lsm.s", "LSM", "BPF_LSM_MAC", "trampoline", "hook", "function", "sleepable security hook"),
    (
        "lsm_cgroup",
        "LSM",
        "BPF_LSM_CGROUP",
        "trampoline",
        "hook",
        "function",
        "security hook for the processes of one cgroup",
    ),
    ("iter", "TRACING", "BPF_TRACE_ITER", "iterator", "read", "function", "iterator, bpf_iter_<target>"),
    ("iter.s", "TRACING", "BPF_TRACE_ITER", "iterator", "read", "function", "sleepable iterator"),
    ("tp", "TRACEPOINT", "", "event", "event", "tracepoint syscall", "trace event by perf, the event's record"),
    ("tp.s", "TRACEPOINT", "", "event", "event", "tracepoint", "sleepable tp, on events of system calls"),
    ("raw_tp", "RAW_TRACEPOINT", "", "tracepoint", "event", "tracepoint", "raw tracepoint, untyped arguments"),
    (
        "raw_tp.s",
        "RAW_TRACEPOINT",
        "",
        "tracepoint",
        "event",
        "tracepoint",
        "sleepable raw tracepoint, sys_enter and sys_exit",
    ),
    (
        "raw_tp.w",
        "RAW_TRACEPOINT_WRITABLE",
        "",
        "tracepoint",
        "write",
        "tracepoint",
        "raw tracepoint that may write where the event allows it",
    ),
    ("tp_btf", "TRACING", "BPF_TRACE_RAW_TP", "tracepoint", "event", "tracepoint", "raw tracepoint, typed arguments"),
    (
        "tp_btf.s",
        "TRACING",
        "BPF_TRACE_RAW_TP",
        "tracepoint",
        "event",
        "tracepoint",
        "sleepable tp_btf, sys_enter and sys_exit",
    ),
    ("uprobe", "KPROBE", "", "uprobe", "entry", "user_function", "probe of a user function at entry or inside"),
    ("uprobe.s", "KPROBE", "", "uprobe", "entry", "user_function", "sleepable uprobe"),
    ("uretprobe", "KPROBE", "", "uprobe", "return", "user_function", "probe at return of a user function"),
    ("uretprobe.s", "KPROBE", "", "uprobe", "return", "user_function", "sleepable uretprobe"),
    (
        "uprobe.multi",
        "KPROBE",
        "BPF_TRACE_UPROBE_MULTI",
        "uprobe_link",
        "entry",
        "user_function",
        "many locations of one file",
    ),
    (
        "uprobe.multi.s",
        "KPROBE",
        "BPF_TRACE_UPROBE_MULTI",
        "uprobe_link",
        "entry",
        "user_function",
        "sleepable uprobe.multi",
    ),
    (
        "uretprobe.multi",
        "KPROBE",
        "BPF_TRACE_UPROBE_MULTI",
        "uprobe_link",
        "return",
        "user_function",
        "many returns of one file",
    ),
    (
        "uretprobe.multi.s",
        "KPROBE",
        "BPF_TRACE_UPROBE_MULTI",
        "uprobe_link",
        "return",
        "user_function",
        "sleepable uretprobe.multi",
    ),
    (
        "uprobe.session",
        "KPROBE",
        "BPF_TRACE_UPROBE_SESSION",
        "uprobe_link",
        "both",
        "user_function",
        "entry and return by one program",
    ),
    (
        "uprobe.session.s",
        "KPROBE",
        "BPF_TRACE_UPROBE_SESSION",
        "uprobe_link",
        "both",
        "user_function",
        "sleepable uprobe.session",
    ),
    ("usdt", "KPROBE", "", "uprobe", "entry", "usdt", "static probe, by libbpf"),
    ("usdt.s", "KPROBE", "", "uprobe", "entry", "usdt", "sleepable usdt"),
)

NAMES: tuple[str, ...] = tuple(ATTACH_TYPES)


def family(by: str = "", at: str = "", sleepable: bool | None = None) -> tuple[str, ...]:
    """Names of the attach types by these `by` and `at` (words; "" is any), in the table's order."""
    return tuple(
        one.name
        for one in ATTACH_TYPES.values()
        if (not by or one.by in by.split())
        and (not at or one.at in at.split())
        and sleepable in (None, one.name.endswith(".s"))
    )


BY_PERF = family("perf")
BY_FPROBE = family("fprobe")
BY_TRAMPOLINE = family("trampoline", "entry return both value")  # without lsm, whose hooks are decided apart
BY_TRAMPOLINES = family("trampolines")
KPROBES = tuple(name for name in BY_PERF if "function" in ATTACH_TYPES[name].kinds.split())
RETURNS = family("perf fprobe trampoline trampolines", "return both")
LSM, ITER = family(at="hook"), family("iterator")
BY_EVENT = family("event tracepoint", "event", sleepable=False)
USER_RETURNS = family("uprobe uprobe_link", "return both")
WITHOUT_FTRACE = family("event tracepoint iterator uprobe uprobe_link")  # what kernel.ftrace_enabled does not touch


# What most probes are made with: a function that takes these is one that takes probes.
DEFAULT = (*KPROBES, *family("fprobe", "entry return"), *family("trampoline", "entry return", sleepable=False))
# Which accepted type to take where none is asked for. Typed arguments and cheap calls first.
PREFERRED = ("lsm", "iter", "ksyscall", "tp_btf", "fentry", "raw_tp", "kprobe", "tp", "kprobe.multi")
# Types of few users: judged for those who ask.
FOR_THOSE_WHO_ASK = tuple(a.name for a in ATTACH_TYPES.values() if a.enumerator == "BPF_LSM_CGROUP") + tuple(
    a.name for a in ATTACH_TYPES.values() if a.program == "RAW_TRACEPOINT_WRITABLE"
)
# Kinds of the error-injection list (include/asm-generic/error-injection.h) to the values that callers expect.
INJECTED = {
    "NULL": "NULL",
    "ERRNO": "a negative errno, -4095 to -1",
    "ERRNO_NULL": "a negative errno as a pointer, -4095 to -1, or NULL",
    "TRUE": "true",
}
# Rules that say that the kernel lacks an attach type, whatever the target is.
_UNKNOWN_TYPE = ("unknown_type", "unknown_session", "unknown_fsession")


def for_kind(kind: str) -> tuple[str, ...]:
    """The attach types that make sense for a kind of target: function, offset, syscall, tracepoint.

    iter and lsm are left to functions whose name says so (`bpf_iter_`, `bpf_lsm_`) unless asked for. Types of few
    users (FOR_THOSE_WHO_ASK) are left out.
    """
    return tuple(a.name for a in ATTACH_TYPES.values() if kind in a.kinds.split() and a.name not in FOR_THOSE_WHO_ASK)


def is_unknown_here(verdict: Verdict) -> bool:
    """The kernel does not know the verdict's attach type at all."""
    return any(finding.rule.rpartition(".")[2] in _UNKNOWN_TYPE for finding in verdict.findings)


def counted(kind: str, name: str, verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts that decide about `check` without --type: of a function those of DEFAULT, and of its own kind.

    Attach types that this kernel does not know are left out. All, where none would be left: a spelling such as
    fsession/vfs_read asked for that one type.
    """
    if kind == "offset":
        found = tuple(v for v in verdicts if v.attach == "kprobe")
    elif kind == "function" and name.startswith("bpf_iter_"):
        found = tuple(v for v in verdicts if v.attach == "iter")
    elif kind == "function":
        wanted = (*DEFAULT, "lsm") if name.startswith("bpf_lsm_") else DEFAULT
        found = tuple(v for v in verdicts if v.attach in wanted and not is_unknown_here(v))
    else:
        found = tuple(v for v in verdicts if not is_unknown_here(v))
    return found or tuple(verdicts)
