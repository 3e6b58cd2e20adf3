"""Attempts that can harm the running kernel, whatever the verdict says; and what `verify` must never try."""

from __future__ import annotations

from ...model.attach import ITER, KPROBES, family
from ...model.never_try import DENIED, LOCKS, NEVER_TRY, NORETURN, SYSTEM_EXITS
from ...model.report import Hazard
from . import symbol_names as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup

_TRAMPOLINE = family("trampoline trampolines", "entry return both")
_RETURNING = family("trampoline trampolines", "return both value")
_BY_FTRACE = family("perf fprobe trampoline trampolines")
# A tracer's own path through the kernel: a probe here fires while a program runs. Helpers are told by their enumerator,
# BPF_FUNC_<name>; of the other bpf_ functions (hooks, iterators, the system call's own) few run inside a program.
_MACHINERY = (
    *("htab_", "__htab_", "array_map_", "percpu_array_map_", "pcpu_freelist_", "__pcpu_freelist_", "trace_call_bpf"),
    *("__bpf_prog_enter", "__bpf_prog_exit", "___bpf_prog_run", "__bpf_prog_run", "bpf_lru_", "__bpf_lru_"),
    *("bpf_ringbuf_", "__bpf_ringbuf_", "bpf_local_storage_", "bpf_mem_cache_", "bpf_perf_event_output"),
    *("bpf_probe_read_", "bpf_trace_run", "__bpf_trace_run"),
)
_NOT_RUN = ("bpf_ringbuf_alloc", "bpf_ringbuf_free", "bpf_local_storage_map_", "bpf_mem_cache_init")


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
    is_helper: bool = False,
    ops_pointer: bool = False,
) -> tuple[Hazard, ...]:
    """What may go wrong when a probe that the kernel accepts is put on this function.

    Only attach types whose verdict is not *no* count: what the kernel refuses harms nobody.
    `last_in_module` says whether the symbol is the last text symbol of its module; None is unknown. `ftrace_off`:
    kernel.ftrace_enabled is 0. `is_helper`: programs call it as a helper. `ops_pointer`: the
    address lies in the pointer of ftrace in front of a traced function.
    """
    name = target.name
    allowed = {v.attach for v in verdicts if v.answer != "no" and v.attach not in ITER}
    found: list[Hazard] = []
    if name in DENIED and not allowed.isdisjoint(_TRAMPOLINE):
        found.append(Hazard("hazard.trampoline_recursion", f"Do not attach fentry or fexit to {name}: {DENIED[name]}."))
    no_return = NORETURN.get(name) or SYSTEM_EXITS.get(name)
    if no_return and not allowed.isdisjoint(_RETURNING):
        found.append(Hazard("hazard.noreturn", f"Do not attach fexit or fmod_ret to {name}: {no_return}."))
    if ops_pointer and not allowed.isdisjoint(KPROBES):
        says = (
            f"Do not arm a kprobe on {target}: eight bytes in front of a traced function are a pointer of ftrace: the "
            "kernel takes the probe, and its breakpoint overwrites half of the pointer."
        )
        found.append(Hazard("hazard.ops_pointer", says))
    if name in LOCKS and not allowed.isdisjoint((*_TRAMPOLINE, *family("perf fprobe", "return"))):
        found.append(Hazard("hazard.lock", f"A probe on {name} can deadlock: {LOCKS[name]}."))
    elif allowed and (is_helper or (name.startswith(_MACHINERY) and not name.startswith(_NOT_RUN))):
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
    if names.is_entry(target.name) or last is False or allowed.isdisjoint(KPROBES):
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
