"""What the kernel decides. PATHS is the one table to read first: attach type to gates, in order."""

from __future__ import annotations

from . import attach_target as target
from . import (
    call,
    caller,
    iterator,
    kprobe_multi,
    kprobe_register,
    lsm_hook,
    prototype,
    symbol_lookup,
    tracepoint,
    trampoline,
    uprobe,
)
from .gate import REGISTRY, Gate, KernelFeatures, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PATHS", "REGISTRY", "Gate", "KernelFeatures", "Rule", "all_rules"]

_KPROBE = (caller.BPF, caller.PERF, caller.EVENTS, symbol_lookup.GATE, kprobe_register.KPROBE)
_KRETPROBE = (caller.BPF, caller.PERF, caller.EVENTS, symbol_lookup.GATE, kprobe_register.KRETPROBE)
_ENTRY = (caller.BPF, target.LOAD, caller.EVENTS, target.IMPL, prototype.ENTRY, target.ADDRESS)
_RETURN = (caller.BPF, target.LOAD, caller.EVENTS, target.IMPL, prototype.RETURN, target.ADDRESS)
_LSM = (caller.BPF, target.LOAD, lsm_hook.BUILT, prototype.ENTRY, target.ADDRESS)
# The instruction comes last: prepare_uprobe (kernel/events/uprobes.c) looks at it where a process has the place mapped,
# from register_for_each_vma at once and from uprobe_mmap later, whose failure no caller sees.
_UPROBE = (caller.BPF, caller.PERF_TRACEPOINT, uprobe.PERF, uprobe.PERF_FILE, uprobe.REGISTER, uprobe.INSTRUCTION)
_UPROBE_SLEEPABLE = (caller.BPF, uprobe.PERF_SLEEPABLE, *_UPROBE[1:])
_UPROBE_MULTI = (caller.BPF, uprobe.MULTI, uprobe.REGISTER, uprobe.INSTRUCTION)
_UPROBE_SESSION = (caller.BPF, uprobe.SESSION, *_UPROBE_MULTI[1:])
_BUILT = caller.BPF.part("absent")

PATHS: dict[str, tuple[Gate, ...]] = {
    "kprobe": _KPROBE,
    "kretprobe": _KRETPROBE,
    "kprobe.multi": (caller.BPF, caller.EVENTS, kprobe_multi.MULTI),
    "kretprobe.multi": (caller.BPF, caller.EVENTS, kprobe_multi.MULTI),
    "kprobe.session": (caller.BPF, caller.EVENTS, kprobe_multi.SESSION),
    "ksyscall": _KPROBE,
    "kretsyscall": _KRETPROBE,
    "fentry": (*_ENTRY, target.DENY, trampoline.GATE),
    "fentry.s": (*_ENTRY, target.SLEEPABLE, target.DENY, trampoline.GATE),
    "fexit": (*_RETURN, target.DENY_RETURN, trampoline.GATE),
    "fexit.s": (*_RETURN, target.SLEEPABLE, target.DENY_RETURN, trampoline.GATE),
    "fsession": (
        caller.BPF,
        target.LOAD,
        caller.EVENTS,
        target.SESSION,
        target.IMPL,
        prototype.RETURN,
        target.ADDRESS,
        target.DENY_RETURN,
        trampoline.GATE,
    ),
    "fentry.multi": (caller.BPF, target.MULTI_ENTRY, prototype.ENTRY, trampoline.MULTI_SITE, trampoline.MULTI_SLOTS),
    "fexit.multi": (caller.BPF, target.MULTI_RETURN, prototype.RETURN, trampoline.MULTI_SITE, trampoline.MULTI_SLOTS),
    "fsession.multi": (
        caller.BPF,
        target.MULTI_RETURN,
        prototype.RETURN,
        trampoline.MULTI_SITE,
        trampoline.MULTI_SLOTS,
    ),
    # bpf_check_attach_target (kernel/bpf/verifier.c) asks `if sleepable … else if MODIFY_RETURN`: of a sleepable
    # fmod_ret check_attach_modify_return is never asked.
    "fmod_ret": (*_RETURN, target.MODIFY, target.DENY_RETURN, trampoline.GATE),
    "fmod_ret.s": (*_RETURN, target.SLEEPABLE, target.DENY_RETURN, trampoline.GATE),
    "lsm": (*_LSM, lsm_hook.HOOK, trampoline.GATE),
    "lsm.s": (*_LSM, lsm_hook.SLEEPABLE, lsm_hook.HOOK, trampoline.GATE),
    "lsm_cgroup": (
        *(caller.BPF, target.LOAD, lsm_hook.CGROUP_TYPE, lsm_hook.BUILT, prototype.ENTRY, target.ADDRESS),
        *(lsm_hook.HOOK, lsm_hook.CGROUP, trampoline.GATE),
    ),
    "iter": (caller.BPF, target.LOAD, caller.EVENTS, prototype.ENTRY, iterator.PLAIN),
    "iter.s": (caller.BPF, target.LOAD, caller.EVENTS, prototype.ENTRY, iterator.SLEEPABLE),
    "tp": (caller.BPF, caller.EVENTS, caller.PERF_TRACEPOINT, tracepoint.EVENT),
    # can_be_sleepable is asked at load (kernel/bpf/verifier.c check_attach_btf_id), is_syscall_tp when the program is
    # put on the event (kernel/events/core.c __perf_event_set_bpf_prog): the event is opened between the two.
    "tp.s": (
        caller.BPF,
        caller.EVENTS,
        tracepoint.SLEEP_LOAD,
        caller.PERF_TRACEPOINT,
        tracepoint.EVENT,
        tracepoint.SLEEP_EVENT,
    ),
    "raw_tp": (caller.BPF, caller.EVENTS, tracepoint.RAW),
    "raw_tp.w": (caller.BPF, caller.EVENTS, tracepoint.RAW),
    "raw_tp.s": (caller.BPF, caller.EVENTS, tracepoint.SLEEP_LOAD, tracepoint.RAW, tracepoint.SLEEP_RAW),
    "tp_btf": (caller.BPF, tracepoint.TYPED_LOADER, caller.EVENTS, tracepoint.TYPED_KERNEL),
    "tp_btf.s": (
        caller.BPF,
        tracepoint.TYPED_LOADER,
        caller.EVENTS,
        tracepoint.TYPED_KERNEL,
        tracepoint.SLEEP_TYPED,
    ),
    "uprobe": _UPROBE,
    "uprobe.s": _UPROBE_SLEEPABLE,
    "uretprobe": _UPROBE,
    "uretprobe.s": _UPROBE_SLEEPABLE,
    "uprobe.multi": _UPROBE_MULTI,
    "uprobe.multi.s": _UPROBE_MULTI,
    "uretprobe.multi": _UPROBE_MULTI,
    "uretprobe.multi.s": _UPROBE_MULTI,
    "uprobe.session": _UPROBE_SESSION,
    "uprobe.session.s": _UPROBE_SESSION,
    "usdt": (caller.BPF, uprobe.USDT, *_UPROBE[1:]),
    "usdt.s": (caller.BPF, uprobe.PERF_SLEEPABLE, uprobe.USDT, *_UPROBE[1:]),
    # No attach types: what a program of any type calls.
    "helper": (_BUILT, call.HELPER, call.OVERRIDE),
    "kfunc": (_BUILT, call.KFUNC),
}
for _name, _path in PATHS.items():
    for _rule in dict.fromkeys(rule for gate in _path for rule in gate.rules):
        _rule.types += (_name,)


def all_rules() -> Iterator[Rule]:
    """Every rule, gate by gate in the order of the paths; then those of a record's loads and of instructions."""
    from . import kprobe_instruction, kprobe_instruction_arm64, tracepoint_access

    yield from dict.fromkeys(rule for path in PATHS.values() for gate in path for rule in gate.rules)
    yield from (*tracepoint_access.LOAD.rules, *tracepoint_access.ATTACH.rules)
    found = {rule.id: rule for gate in (kprobe_instruction.NUMBER, kprobe_instruction.GATE) for rule in gate.rules}
    yield from (found | {rule.id: found.get(rule.id, rule) for rule in kprobe_instruction_arm64.GATE.rules}).values()
