"""Attempts that can harm the running kernel, whatever the verdict says; and what `verify` must never try.

The deny lists are the kernel's own (kernel/bpf/verifier.c, btf_id_deny and noreturn_deny). Kernels that
lack an entry accept the attach, so the union of all kernels is kept here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...model.report import Hazard
from . import symbol_names as names

if TYPE_CHECKING:
    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup

_RCU = "a BPF trampoline itself calls it, so attaching there recurses; fentry froze a 6.1 kernel, newer ones refuse it"
_PREEMPT = "a BPF trampoline changes the preemption count itself, so attaching there recurses; newer kernels refuse it"
_MIGRATE = "a BPF trampoline itself calls it around every program, so attaching there recurses; newer kernels refuse it"
_NORETURN = "it never returns, so the trampoline is never released; newer kernels refuse it"
_LOCK = "BPF maps and the perf buffer take locks through it, and programs on several CPUs have deadlocked each other"

DENIED = {
    "__rcu_read_lock": _RCU,
    "__rcu_read_unlock": _RCU,
    "rcu_read_unlock_strict": _RCU,
    "preempt_count_add": _PREEMPT,
    "preempt_count_sub": _PREEMPT,
    "migrate_disable": _MIGRATE,
    "migrate_enable": _MIGRATE,
    "___migrate_enable": _MIGRATE,
}
NORETURN = dict.fromkeys(
    (
        "do_exit",
        "do_group_exit",
        "make_task_dead",
        "kthread_exit",
        "kthread_complete_and_exit",
        "__module_put_and_kthread_exit",
        "__x64_sys_exit",
        "__x64_sys_exit_group",
        "__ia32_sys_exit",
        "__ia32_sys_exit_group",
        "__kunit_abort",
        "kunit_try_catch_throw",
    ),
    _NORETURN,
)
# iovisor/bcc#2300, bpftrace#534 and bpftrace#3144: kretprobe, fentry and fexit with a map or a perf buffer.
LOCKS = dict.fromkeys(
    (
        "_raw_spin_lock",
        "_raw_spin_lock_irqsave",
        "_raw_spin_unlock_irqrestore",
        "queued_spin_lock_slowpath",
        "native_queued_spin_lock_slowpath",
        "__pv_queued_spin_lock_slowpath",
    ),
    _LOCK,
)

# Name -> reason. No live attempt of any attach type may be made on these.
NEVER_TRY: dict[str, str] = {**DENIED, **NORETURN, **LOCKS}

_TRAMPOLINE = ("fentry", "fentry.s", "fexit", "fexit.s", "fsession", "fentry.multi", "fexit.multi", "fsession.multi")
_RETURNING = ("fexit", "fexit.s", "fsession", "fexit.multi", "fsession.multi", "fmod_ret", "fmod_ret.s")
_KPROBES = ("kprobe", "kretprobe")
_BY_FTRACE = (
    *(*_TRAMPOLINE, *_RETURNING, *_KPROBES, "ksyscall", "kretsyscall"),
    *("kprobe.multi", "kretprobe.multi", "kprobe.session", "lsm", "lsm.s"),
)
# A tracer's own path through the kernel: a probe here fires while a program runs.
_MACHINERY = ("bpf_", "__bpf_", "htab_", "__htab_", "pcpu_freelist_", "__pcpu_freelist_", "trace_call_bpf")


def never_try(name: str, module: str | None = None) -> str | None:
    """Why no live attempt may be made on a function; None if nothing is known against it.

    Covers NEVER_TRY and the cold parts of modules, whose kprobe can panic.
    """
    reason = NEVER_TRY.get(name)
    if reason is not None:
        return f"{name}: {reason}"
    if module not in (None, "vmlinux") and not names.is_entry(name):
        return f"{name}: a kprobe on the last cold part of a module can run the instruction decoder off the mapped page"
    return None


def hazards(
    lookup: Lookup,
    target: Target,
    verdicts: tuple[Verdict, ...],
    last_in_module: bool | None = None,
    ftrace_off: bool = False,
) -> tuple[Hazard, ...]:
    """What may go wrong when a probe that the kernel accepts is put on this function.

    Only attach types whose verdict is not *no* count: what the kernel refuses harms nobody.
    `last_in_module` says whether the symbol is the last text symbol of its module; None is unknown. `ftrace_off`:
    kernel.ftrace_enabled is 0.
    """
    name = target.name
    allowed = {v.attach for v in verdicts if v.answer != "no" and v.attach not in ("iter", "iter.s")}
    found: list[Hazard] = []
    if name in DENIED and not allowed.isdisjoint(_TRAMPOLINE):
        found.append(Hazard("hazard.trampoline_recursion", f"Do not attach fentry or fexit to {name}: {DENIED[name]}."))
    if name in NORETURN and not allowed.isdisjoint(_RETURNING):
        found.append(Hazard("hazard.noreturn", f"Do not attach fexit or fmod_ret to {name}: {NORETURN[name]}."))
    if name in LOCKS and not allowed.isdisjoint((*_TRAMPOLINE, "kretprobe", "kretprobe.multi")):
        found.append(Hazard("hazard.lock", f"A probe on {name} can deadlock: {LOCKS[name]}."))
    elif name.startswith(_MACHINERY) and allowed:
        says = f"{name} may run while a BPF program runs: events are then skipped, and a return probe may recurse."
        found.append(Hazard("hazard.recursion", says))
    if ftrace_off and not allowed.isdisjoint(_BY_FTRACE):
        says = (
            "kernel.ftrace_enabled is 0: attach nothing until it is 1 again. Writing 1 while something is attached "
            "made ftrace shut itself down until the next boot (seen on 6.12)."
        )
        found.append(Hazard("hazard.ftrace_off", says))
    found += _module_end(lookup, target, allowed, last_in_module)
    return tuple(found)


def _module_end(lookup: Lookup, target: Target, allowed: set[str], last: bool | None) -> list[Hazard]:
    """The cold part at the end of a module: seen to panic 6.12, and nothing else that was tried."""
    if names.is_entry(target.name) or last is False or allowed.isdisjoint(_KPROBES):
        return []
    wanted = target.module
    copies = [s for s in lookup.symbols(target.name) if s.module is not None and wanted in (None, s.module)]
    if not copies:
        return []
    place = "is the last text symbol of" if last else "is a cold part of"
    condition = "" if last else ", if it is the last text symbol there"
    says = (
        f"{target.name} {place} module {copies[0].module}: a kprobe on it can panic the kernel{condition}, because the "
        "instruction decoder runs past the mapped page (seen on 6.12)."
    )
    return [Hazard("hazard.module_end", says)]
