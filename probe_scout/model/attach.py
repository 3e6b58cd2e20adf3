"""Attach types: libbpf's section names, and what each is to bpf(2).

The spelling is the one of libbpf's SEC() table (tools/lib/bpf/libbpf.c, section_defs) and of the
enum bpf_attach_type (include/uapi/linux/bpf.h). `.s` marks sleepable programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .verdict import Verdict


class AttachType(NamedTuple):
    """One way to attach. `enumerator` is the bpf_attach_type that a kernel must know, if any."""

    name: str
    program: str
    enumerator: str
    kinds: str  # kinds of target it applies to, blank separated
    says: str


def _table(*rows: tuple[str, str, str, str, str]) -> dict[str, AttachType]:
    return {row[0]: AttachType(*row) for row in rows}


ATTACH_TYPES: dict[str, AttachType] = _table(
    ("kprobe", "KPROBE", "", "function offset syscall", "probe at entry or inside, by perf"),
    ("kretprobe", "KPROBE", "", "function offset syscall", "probe at return, by perf"),
    (
        "kprobe.multi",
        "KPROBE",
        "BPF_TRACE_KPROBE_MULTI",
        "function syscall",
        "many entries by one link, through fprobe",
    ),
    ("kretprobe.multi", "KPROBE", "BPF_TRACE_KPROBE_MULTI", "function", "many returns by one link"),
    ("kprobe.session", "KPROBE", "BPF_TRACE_KPROBE_SESSION", "function", "entry and return by one program"),
    ("ksyscall", "KPROBE", "", "syscall", "kprobe on the syscall's wrapper"),
    ("kretsyscall", "KPROBE", "", "syscall", "kretprobe on the syscall's wrapper"),
    ("fentry", "TRACING", "BPF_TRACE_FENTRY", "function syscall", "entry, typed arguments, by trampoline"),
    ("fentry.s", "TRACING", "BPF_TRACE_FENTRY", "function", "sleepable fentry"),
    ("fexit", "TRACING", "BPF_TRACE_FEXIT", "function syscall", "return, arguments and return value"),
    ("fexit.s", "TRACING", "BPF_TRACE_FEXIT", "function", "sleepable fexit"),
    ("fsession", "TRACING", "BPF_TRACE_FSESSION", "function", "entry and return by one program, by trampoline"),
    ("fentry.multi", "TRACING", "BPF_TRACE_FENTRY_MULTI", "function", "many entries, by trampolines"),
    ("fexit.multi", "TRACING", "BPF_TRACE_FEXIT_MULTI", "function", "many returns, by trampolines"),
    ("fsession.multi", "TRACING", "BPF_TRACE_FSESSION_MULTI", "function", "many entries and returns"),
    ("fmod_ret", "TRACING", "BPF_MODIFY_RETURN", "function", "may replace the return value"),
    ("fmod_ret.s", "TRACING", "BPF_MODIFY_RETURN", "function", "sleepable fmod_ret"),
    ("lsm", "LSM", "BPF_LSM_MAC", "function", "security hook, bpf_lsm_<hook>"),
    ("lsm.s", "LSM", "BPF_LSM_MAC", "function", "sleepable security hook"),
    ("lsm_cgroup", "LSM", "BPF_LSM_CGROUP", "function", "security hook for the processes of one cgroup"),
    ("iter", "TRACING", "BPF_TRACE_ITER", "function", "iterator, bpf_iter_<target>"),
    ("iter.s", "TRACING", "BPF_TRACE_ITER", "function", "sleepable iterator"),
    ("tp", "TRACEPOINT", "", "tracepoint syscall", "trace event by perf, the event's record"),
    ("tp.s", "TRACEPOINT", "", "tracepoint", "sleepable tp, on events of system calls"),
    ("raw_tp", "RAW_TRACEPOINT", "", "tracepoint", "raw tracepoint, untyped arguments"),
    ("raw_tp.s", "RAW_TRACEPOINT", "", "tracepoint", "sleepable raw tracepoint, sys_enter and sys_exit"),
    (
        "raw_tp.w",
        "RAW_TRACEPOINT_WRITABLE",
        "",
        "tracepoint",
        "raw tracepoint that may write where the event allows it",
    ),
    ("tp_btf", "TRACING", "BPF_TRACE_RAW_TP", "tracepoint", "raw tracepoint, typed arguments"),
    ("tp_btf.s", "TRACING", "BPF_TRACE_RAW_TP", "tracepoint", "sleepable tp_btf, sys_enter and sys_exit"),
)

# What most probes are made with: a function that takes these is one that takes probes.
DEFAULT = ("kprobe", "kretprobe", "kprobe.multi", "kretprobe.multi", "fentry", "fexit")
# Rules that say that the kernel lacks an attach type, whatever the target is.
_UNKNOWN_TYPE = ("unknown_type", "unknown_session", "unknown_fsession")

FOR_THOSE_WHO_ASK = ("lsm_cgroup", "raw_tp.w")

NAMES: tuple[str, ...] = tuple(ATTACH_TYPES)


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
        hook = ("lsm",) if name.startswith("bpf_lsm_") else ()
        found = tuple(v for v in verdicts if v.attach in (*DEFAULT, *hook) and not is_unknown_here(v))
    else:
        found = tuple(v for v in verdicts if not is_unknown_here(v))
    return found or tuple(verdicts)
