"""One table for all rules: a kernel on which the rule fires, one on which it just does not, one where it cannot tell.

`fires` is a question whose first finding is the rule; `passes` one that comes as near and is answered yes; `unread` one
that is answered unknown, with the fact that was missing. NAME_ALONE marks a rule that reads nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from probe_scout.model import facts
from probe_scout.model.traits import CallTraits, UserTraits
from tests.builders.tiny_kernel import BLACKLIST, BTF, FILTER, FILTER_ADDRS, INJECTION, LOCKDOWN, SYMBOL_BYTES, TRACING

KALLSYMS, CONFIG = "proc/kallsyms", "boot/config"
EVENTS = f"{TRACING}/available_events"
NAME_ALONE = None


class Ask(NamedTuple):
    """One question: attach type, target (a name may be longer than the command line takes), the kernel."""

    attach: str
    target: str
    kernel: dict[str, Any]


class Case(NamedTuple):
    fires: Ask
    passes: Ask
    unread: tuple[Ask, str] | None


def ask(attach: str, target: str, *symbols: str, **kernel: Any) -> Ask:
    return Ask(attach, target, {"symbols": symbols or (target,), **kernel})


def event(attach: str, target: str, **kernel: Any) -> Ask:
    return Ask(attach, f"tp:{target}", kernel)


ARM64, X86, I686 = ("__arm64_sys_bpf",), ("__x64_sys_bpf",), ("__ia32_sys_bpf",)
SILENT = (KALLSYMS, BTF, CONFIG)  # nothing that could tell how the kernel was built
FILTERS = (FILTER, FILTER_ADDRS)
ON_NOTRACE = {"without": ("within_notrace_func",), "config": {"CONFIG_KPROBE_EVENTS_ON_NOTRACE": "y"}}
NO_BTF = {"absent": (BTF,), "config": {"CONFIG_DEBUG_INFO_BTF": None}}
COLD = ("foo", "foo.cold notrace")
PROBED = ("kprobes:p_0 noraw notyped", "sched:sched_switch")
SYSCALLS = ("raw_syscalls:sys_enter", "syscalls:sys_enter_open noraw notyped")
ME = {"may_bpf": True, "may_perfmon": True, "may_perf": True, "may_admin": True}


def proto(returns: str, *arguments: str) -> dict[str, Any]:
    return {"prototypes": {"foo": (returns, list(arguments))}}


def foo(attach: str, **kernel: Any) -> Ask:
    return ask(attach, "foo", **kernel)


UNCHECKED = ("validate_probe_symbol",)
LOCAL_PROBE = {"create_local_trace_kprobe": ("90" * SYMBOL_BYTES, ())}  # a whole function
# mov $':', %esi: what strchr is asked for
LOCAL_PROBE_WITH_COLON = {"create_local_trace_kprobe": ("be3a000000" + "90" * (SYMBOL_BYTES - 5), ())}


def user(attach: str, without: tuple[str, ...] = (), config: Any = None, caller: Any = None, **traits: Any) -> Ask:
    """A place in a program, by its traits."""
    kernel: dict[str, Any] = {"user": UserTraits(**traits), "symbols": ("foo",), "without": without}
    if config is not None:
        kernel["config"] = config
    if caller is not None:
        kernel["caller"] = caller
    return Ask(attach, "/bin/program:foo", kernel)


def call(kind: str, **traits: Any) -> Ask:
    """What a program calls, by its traits."""
    return Ask(kind, "helper:foo", {"call": CallTraits(**traits), "symbols": ("foo",)})


def unread(attach: str, fact: str, **traits: Any) -> tuple[Ask, str]:
    return user(attach, unread=frozenset((fact,)), **traits), fact


def _user_path_cases(gate: str, attach: str) -> dict[str, Case]:
    """kern_path's refusals, by perf and by a link for many."""
    gap = unread(attach, facts.USER_FILE)
    problems = {"no_file": "missing", "link_loop": "loop", "name_too_long": "long_name"}
    problems |= {"not_a_folder": "not_directory", "path_denied": "denied"}
    return {
        **{f"{gate}.{name}": Case(user(attach, path=path), user(attach), gap) for name, path in problems.items()},
        f"{gate}.not_a_file": Case(user(attach, regular=False), user(attach), gap),
    }


_REFUSALS = ("breakpoint", "undecodable", "prefix", "masking", "opcode", "word", "branch_prefix")
USER_CASES: dict[str, Case] = {
    "perf_uprobe.absent": Case(
        user("uprobe", without=("perf_uprobe_init",)),
        user("uprobe.multi", without=("perf_uprobe_init",)),
        (
            Ask("uprobe", "/x:y", {"user": UserTraits(), "symbols": ("foo",), "denied": (KALLSYMS, BTF, CONFIG)}),
            "config",
        ),
    ),
    "perf_uprobe.no_process": Case(user("uprobe", no_process=True), user("uprobe"), NAME_ALONE),
    "uprobe_multi.no_process": Case(
        user("uprobe.multi", no_process=True), user("uprobe.multi"), unread("uprobe.multi", facts.USER_FILE)
    ),
    "perf_uprobe.not_admin": Case(
        user("uprobe", caller={**ME, "may_admin": False}),
        user("uprobe.multi", caller={**ME, "may_admin": False}),
        (user("uprobe", without=("BPF_TRACE_UPROBE_MULTI",), caller={**ME, "may_admin": False}), "btf"),
    ),
    "perf_uprobe_sleepable.not_sleepable": Case(
        user("uprobe.s", without=("BPF_LSM_CGROUP", "BPF_TRACE_UPROBE_MULTI")),
        user("uprobe", without=("BPF_LSM_CGROUP", "BPF_TRACE_UPROBE_MULTI")),
        (Ask("uprobe.s", "/x:y", {"user": UserTraits(), "symbols": ("foo",), "denied": (BTF,)}), "btf"),
    ),
    **_user_path_cases("perf_uprobe_file", "uprobe"),
    "perf_uprobe_file.path_too_long": Case(
        user("uprobe", path_too_long=True), user("uprobe"), unread("uprobe", facts.USER_FILE)
    ),
    "uprobe_multi.unknown_type": Case(
        user("uprobe.multi", without=("BPF_TRACE_UPROBE_MULTI",)),
        user("uprobe", without=("BPF_TRACE_UPROBE_MULTI",)),
        (Ask("uprobe.multi", "/x:y", {"user": UserTraits(), "symbols": ("foo",), "denied": (BTF,)}), "btf"),
    ),
    "uprobe_multi.is_32bit": Case(
        Ask("uprobe.multi", "/x:y", {"user": UserTraits(), "symbols": ("foo", *I686), "without": X86}),
        user("uprobe.multi"),
        (Ask("uprobe.multi", "/x:y", {"user": UserTraits(), "symbols": ("foo",), "without": X86}), "architecture"),
    ),
    "uprobe_session.unknown_session": Case(
        user("uprobe.session", without=("BPF_TRACE_UPROBE_SESSION",)),
        user("uprobe.multi", without=("BPF_TRACE_UPROBE_SESSION",)),
        (Ask("uprobe.session", "/x:y", {"user": UserTraits(), "symbols": ("foo",), "denied": (BTF,)}), "btf"),
    ),
    **_user_path_cases("uprobe_multi", "uprobe.multi"),
    "uprobe_multi.path_too_long": Case(
        user("uprobe.multi", without=("BPF_TRACE_FENTRY_MULTI", "insn_is_nop"), path_too_long=True),
        user("uprobe.multi", without=("BPF_TRACE_FENTRY_MULTI", "insn_is_nop")),
        (user("uprobe.multi", without=("BPF_TRACE_FENTRY_MULTI",), path_too_long=True), "btf"),
    ),
    "uprobe_multi.path_far_too_long": Case(
        user("uprobe.multi", path_too_long=True),
        user("uprobe.multi"),
        (user("uprobe.multi", without=("BPF_TRACE_FENTRY_MULTI",), path_too_long=True), "btf"),
    ),
    "uprobe_multi.negative_offset": Case(
        user("uprobe.multi", negative=True), user("uprobe", negative=True), unread("uprobe.multi", facts.USER_FILE)
    ),
    "uprobe_register.no_page_cache": Case(
        user("uprobe", no_page_cache=True), user("uprobe"), unread("uprobe", facts.USER_FILE)
    ),
    "uprobe_register.past_end": Case(user("uprobe", past_end=True), user("uprobe"), unread("uprobe", facts.USER_FILE)),
    "uprobe_register.unaligned": Case(
        user("uprobe", unaligned=True), user("uprobe"), unread("uprobe", facts.USER_FILE)
    ),
    "uprobe_register.counter_unaligned": Case(user("usdt", counter_odd=True), user("usdt"), NAME_ALONE),
    "uprobe_instruction.at_end": Case(
        user("uprobe", mapped=True, at_end=True),
        user("uprobe", at_end=True),
        unread("uprobe", facts.MAPPED, at_end=True),
    ),
    **{
        f"uprobe_instruction.{word}": Case(
            user("uprobe", mapped=True, refused=word),
            user("uprobe", refused=word),
            unread("uprobe.multi", facts.DECODER, refused=word, mapped=True),
        )
        for word in _REFUSALS
    },
    "usdt_spec.too_many_arguments": Case(
        user("usdt", arguments_too_many=True), user("uprobe"), unread("usdt", facts.USER_FILE)
    ),
    "usdt_spec.argument": Case(user("usdt", argument_unknown=True), user("usdt"), unread("usdt", facts.USER_FILE)),
}
UNINJECTED = ("within_error_injection_list", "BPF_TRACE_FENTRY_MULTI")
LIST_GONE = (*UNINJECTED, "btf_non_sleepable_error_inject")


def syscall(attach: str, without: tuple[str, ...] = UNINJECTED, **kernel: Any) -> Ask:
    """A system call of a kernel without error injection."""
    return ask(attach, "__x64_sys_close", without=without, config={"CONFIG_FUNCTION_ERROR_INJECTION": None}, **kernel)


def hidden_hook(attach: str, hook: str) -> Ask:
    """A hook of which kernels' lists differ, on one that hides them and has the functions of later lists."""
    later = "bpf_lsm_is_sleepable_hook", "bpf_lsm_get_retval_range"
    return ask(attach, f"bpf_lsm_{hook}", f"bpf_lsm_{hook}", *later, hide_ids=True)


CASES: dict[str, Case] = {
    # kernel/bpf/syscall.c
    "bpf_syscall.absent": Case(
        foo("fentry", without=("bpf_prog_load",)), foo("fentry"), (foo("kprobe.multi", denied=SILENT), "config")
    ),
    "bpf_syscall.unprivileged": Case(
        foo("fentry", caller={**ME, "may_bpf": False}),
        foo("fentry", caller=ME),
        (foo("fentry", caller={**ME, "may_bpf": None}), "capabilities"),
    ),
    "bpf_syscall.no_perfmon": Case(
        foo("fentry", caller={**ME, "may_perfmon": False}),
        foo("fentry", caller=ME),
        (foo("fentry", caller={**ME, "may_perfmon": None}), "capabilities"),
    ),
    "bpf_events.absent": Case(
        foo("kprobe", without=("perf_event_attach_bpf_prog",), config={"CONFIG_BPF_EVENTS": None}),
        foo("kprobe", config={"CONFIG_BPF_EVENTS": None}),  # a configuration of another build: the function is there
        (foo("kprobe.multi", denied=SILENT), "config"),
    ),
    # kernel/events/core.c
    "perf_open.paranoid": Case(
        foo("kprobe", caller={**ME, "may_perf": False}),
        foo("fentry", caller={**ME, "may_perf": False}),
        (foo("kprobe", caller={**ME, "may_perf": None}), "sysctl"),
    ),
    "perf_open.no_kprobes": Case(
        foo("kprobe", without=("perf_kprobe_init",)),
        foo("fentry", without=("perf_kprobe_init",)),
        (foo("kprobe", denied=SILENT), "config"),
    ),
    # kernel/trace/trace_kprobe.c
    "symbol_lookup.name_too_long": Case(
        ask("kprobe", "f" * 512, "foo"), ask("kprobe", "f" * 511, "f" * 511), NAME_ALONE
    ),
    "symbol_lookup.name_over_127": Case(
        ask("kprobe", "f" * 128, "foo", short_names=True),
        ask("kprobe", "f" * 127, "f" * 127, short_names=True),
        (ask("kprobe", "f" * 128, "f" * 128, denied=(BTF,)), "btf"),
    ),
    "symbol_lookup.no_symbol": Case(
        ask("kprobe", "foo", "foo.cold", "food"), foo("kprobe"), (foo("kprobe", denied=(KALLSYMS,)), "kallsyms")
    ),
    "symbol_lookup.module_not_counted": Case(
        ask("kprobe", "foo", "foo [xfs]", without=(*UNCHECKED, "count_mod_symbols")),
        ask("kprobe", "foo", "foo [xfs]", without=UNCHECKED),
        (ask("kprobe", "foo", "foo [xfs]", **NO_BTF, without=(*UNCHECKED, "count_mod_symbols")), "kallsyms"),
    ),
    "symbol_lookup.prefix_counted": Case(
        ask("kprobe", "xfs:foo", "foo [xfs]", without=UNCHECKED, code=LOCAL_PROBE),
        ask("kprobe", "xfs:foo", "foo [xfs]", without=UNCHECKED, code=LOCAL_PROBE_WITH_COLON),
        (ask("kprobe", "xfs:foo", "foo [xfs]", without=UNCHECKED), "code"),
    ),
    "symbol_lookup.ambiguous": Case(
        ask("kprobe", "foo", "foo", "foo data"),
        ask("kprobe", "a:foo", "foo [a]", "foo [b]"),
        (foo("kprobe", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "symbol_lookup.module_has_it_too": Case(
        ask(
            "kprobe",
            "foo",
            "foo",
            "foo [xfs]",
            without=(
                "BPF_TRACE_FENTRY_MULTI",
                "btf_layout",
            ),
        ),
        ask("kprobe", "foo", "foo", "foo [xfs]"),
        (ask("kprobe", "foo", "foo", "foo [xfs]", denied=(BTF,)), "btf"),
    ),
    # kernel/kprobes.c
    "kprobe_register.locked_down": Case(
        foo("kprobe", lockdown="confidentiality"),
        foo("kprobe", lockdown="integrity"),
        (foo("kprobe", denied=(LOCKDOWN,)), "lockdown"),
    ),
    "kprobe_register.notrace": Case(
        ask("kprobe", "foo.isra.0.cold", "foo.isra.0", "foo.isra.0.cold notrace"),
        ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("55", ())}),
        (foo("kprobe", denied=FILTERS), "filter_functions"),
    ),
    "kprobe_register.kretprobe_blacklist": Case(
        ask("kretprobe", "__switch_to"),
        ask("kprobe", "__switch_to"),
        (ask("kretprobe", "__switch_to", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "kprobe_register.no_place": Case(
        ask("kprobe", "sme_workarea", "sme_workarea behind nobtf"),
        ask("kprobe", "foo", "irq_regs percpu nobtf", "sme_workarea behind nobtf", "foo"),
        (ask("kprobe", "irq_regs", "irq_regs percpu nobtf", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "kprobe_register.not_text": Case(
        ask("kprobe", "foo", "foo init", **ON_NOTRACE),
        ask("kprobe", "foo", "foo notrace", **ON_NOTRACE),
        (foo("kprobe", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "kprobe_register.blacklisted": Case(
        ask("kprobe", "foo", "foo blacklisted"),
        ask("kprobe", "foo", "food blacklisted", "foo"),
        (foo("kprobe", denied=(BLACKLIST,)), "kprobe_blacklist"),
    ),
    "kprobe_register.padding": Case(
        ask("kprobe", "__pfx_foo", "__pfx_foo", **ON_NOTRACE),
        ask(
            "kprobe",
            "__pfx_foo",
            without=(*ON_NOTRACE["without"], "arch_adjust_kprobe_addr"),
            config=ON_NOTRACE["config"],
        ),
        (ask("kprobe", "__pfx_foo", denied=(KALLSYMS, BTF)), "kallsyms"),
    ),
    "kprobe_register.bug_or_patch_site": Case(
        ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("0f0b", ())}),
        ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("0f05", ())}),
        (ask("kprobe", "foo.cold", *COLD), "code"),
    ),
    "kprobe_register.stale_bug": Case(
        ask("kprobe", "tun:foo", "foo [tun]", code={"foo": ("", ("stale",))}),
        ask("kprobe", "tun:foo", "foo [tun]", "bar [tun]", code={"bar": ("", ("stale",))}),
        (ask("kprobe", "tun:foo", "foo [tun]", code={"foo": ("", ("stale",))}, denied=(KALLSYMS,)), "kallsyms"),
    ),
    "kprobe_register.trap_instruction": Case(
        ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("cc", ())}),
        ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("90", ("alternative",))}),
        (ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("6690", ("unread",))}), "code"),
    ),
    "kprobe_register.not_emulated": Case(
        ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("cf", ())}),
        ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("c3", ())}),
        (ask("kprobe", "foo.cold", *COLD, code={"foo.cold": ("ff1500000000", ())}), "code"),
    ),
    # arch/arm64/kernel/probes/decode-insn.c: autiasp, paciasp, and an instruction that stands for another
    "kprobe_register.rejected": Case(
        ask("kprobe", "foo.cold", *COLD, *ARM64, without=X86, code={"foo.cold": ("bf2303d5", ("running",))}),
        ask("kprobe", "foo.cold", *COLD, *ARM64, without=X86, code={"foo.cold": ("3f2303d5", ("running",))}),
        (ask("kprobe", "foo.cold", *COLD, *ARM64, without=X86, code={"foo.cold": ("800020d4", ("running",))}), "code"),
    ),
    # kernel/trace/bpf_trace.c
    "kprobe_multi.unknown_type": Case(
        foo("kprobe.multi", without=("BPF_TRACE_KPROBE_MULTI",)),
        foo("kprobe", without=("BPF_TRACE_KPROBE_MULTI",)),
        (foo("kprobe.multi", denied=(BTF,)), "btf"),
    ),
    "kprobe_multi.is_32bit": Case(
        ask("kprobe.multi", "foo", "foo", *I686, without=X86),
        ask("kprobe.multi", "foo", "foo", "__riscv_sys_bpf", without=X86),
        (ask("kprobe.multi", "foo", "foo", without=X86), "architecture"),
    ),
    "kprobe_multi.unknown_session": Case(
        foo("kprobe.session", without=("BPF_TRACE_KPROBE_SESSION",)),
        foo("kprobe.multi", without=("BPF_TRACE_KPROBE_SESSION",)),
        (foo("kprobe.session", denied=(BTF,)), "btf"),
    ),
    "kprobe_multi.no_fprobe": Case(
        foo("kprobe.multi", without=("register_fprobe",)),
        foo("kprobe", without=("register_fprobe",)),
        (foo("kprobe.multi", denied=SILENT), "config"),
    ),
    "kprobe_multi.no_site": Case(
        ask("kprobe.multi", "foo", "foo notrace", "foo notrace"),
        ask("kprobe.multi", "foo", "foo notrace", "foo"),
        (foo("kprobe.multi", denied=FILTERS), "filter_functions"),
    ),
    # kernel/bpf/verifier.c
    "attach_target.no_btf": Case(
        foo("fentry", **NO_BTF), foo("kprobe", **NO_BTF), (foo("fentry", denied=(BTF,)), "btf")
    ),
    "attach_target.not_in_btf": Case(
        ask("fentry", "foo", "foo nobtf", "food"),
        ask("kprobe", "foo", "foo nobtf", "food"),
        (ask("fentry", "foo", "foo nobtf", denied=(BTF,)), "btf"),
    ),
    "attach_target.module_btf_closed": Case(
        ask("fentry", "foo", "foo [xfs]", caller={**ME, "may_admin": False}),
        foo("fentry", caller={**ME, "may_admin": False}),
        (ask("fentry", "foo", "foo [xfs]", caller={**ME, "may_admin": None}), "capabilities"),
    ),
    "attach_target.module_btf_unknown": Case(
        ask("fentry", "foo", "foo [xfs]", without=("bpf_prog_aux.attach_btf",)),
        ask("fentry", "foo", "foo [xfs]"),
        (ask("fentry", "foo", "foo [xfs]", denied=(BTF,)), "btf"),
    ),
    "attach_target.unknown_fsession": Case(
        foo("fsession", without=("BPF_TRACE_FSESSION",)),
        foo("fexit", without=("BPF_TRACE_FSESSION",)),
        (foo("fsession", denied=(BTF,)), "btf"),
    ),
    "attach_target.fsession_jit": Case(
        ask("fsession", "foo", "foo", "__ia32_sys_bpf", without=("__x64_sys_bpf",)),
        ask("fsession", "foo", "foo", "__ia32_sys_bpf"),
        (foo("fsession", without=("__x64_sys_bpf",)), "kallsyms"),
    ),
    "attach_target.no_kallsyms": Case(
        foo("fentry", absent=(KALLSYMS,), config={"CONFIG_KALLSYMS": None}),
        foo("fentry", config={"CONFIG_KALLSYMS": None}),
        (foo("fentry", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "attach_target.no_address": Case(
        ask("fentry", "foo", "foo.isra.0", typed=("foo",)),
        ask("fentry", "foo", "foo.isra.0", "foo"),
        (foo("fentry", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "attach_target.not_sleepable": Case(
        ask("fentry.s", "should_failslab", "should_failslab injectable"),
        ask("fentry.s", "foo", "foo injectable"),
        (ask("fentry.s", "foo", "foo injectable", denied=(INJECTION,)), "error_injection"),
    ),
    "attach_target.not_modifiable": Case(
        ask("fmod_ret", "foo", "foo", "food injectable"),
        ask("fmod_ret", "foo", "foo injectable"),
        (foo("fmod_ret", denied=(INJECTION,)), "error_injection"),
    ),
    "attach_target.syscall_not_sleepable": Case(
        syscall("fentry.s", UNINJECTED), syscall("fentry.s", LIST_GONE), (syscall("fentry.s", hide_ids=True), "btf_ids")
    ),
    "attach_target.syscall_not_modifiable": Case(
        syscall("fmod_ret", UNINJECTED), syscall("fmod_ret", LIST_GONE), (syscall("fmod_ret", hide_ids=True), "btf_ids")
    ),
    "attach_target.no_impl": Case(
        foo("fentry", **proto("void", "u64", "prog_aux"), ids={"scx_kfunc_ids": ("foo",)}),
        foo("fentry", **proto("void", "u64", "prog_aux"), typed=("foo_impl",), ids={"scx_kfunc_ids": ("foo",)}),
        (foo("fentry", denied=(BTF,)), "btf"),
    ),
    "attach_target.denied": Case(
        ask("fentry", "migrate_disable"),
        ask("fentry", "migrate_disable", ids={"btf_id_deny": ("rcu_read_unlock_strict",)}),
        (ask("fentry", "migrate_disable", hide_ids=True), "btf_ids"),
    ),
    "attach_target.noreturn": Case(
        ask("fexit", "do_exit"), ask("fentry", "do_exit"), (ask("fexit", "do_exit", hide_ids=True), "btf_ids")
    ),
    "attach_target_multi.no_btf": Case(
        foo("fentry.multi", **NO_BTF), foo("fentry.multi"), (foo("fentry.multi", denied=(BTF,)), "btf")
    ),
    "attach_target_multi.unknown_type": Case(
        foo("fentry.multi", without=("BPF_TRACE_FENTRY_MULTI",)),
        foo("fentry", without=("BPF_TRACE_FENTRY_MULTI",)),
        (foo("fentry.multi", denied=(BTF,)), "btf"),
    ),
    "attach_target_multi.unsupported": Case(
        foo("fentry.multi", without=("bpf_trampoline_multi_attach",)),
        foo("fentry", without=("bpf_trampoline_multi_attach",)),
        (foo("fentry.multi", without=("bpf_trampoline_multi_attach",), denied=(KALLSYMS,)), "kallsyms"),
    ),
    "attach_target_multi.not_in_btf": Case(
        ask("fentry.multi", "foo", "foo nobtf", "food"),
        foo("fentry.multi"),
        (ask("fentry.multi", "foo", "foo nobtf", denied=(BTF,)), "btf"),
    ),
    "attach_target_multi.noreturn": Case(
        ask("fexit.multi", "do_exit"),
        ask("fentry.multi", "do_exit"),
        (ask("fexit.multi", "do_exit", hide_ids=True), "btf_ids"),
    ),
    "attach_target_multi.denied": Case(
        ask("fentry.multi", "migrate_disable"),
        ask("fentry.multi", "migrate_enable", "migrate_enable"),
        (ask("fentry.multi", "migrate_disable", hide_ids=True), "btf_ids"),
    ),
    # kernel/bpf/btf.c
    "prototype.too_many_arguments": Case(
        foo("fentry", **proto("int", *["int"] * 13)),
        foo("fentry", **proto("int", *["int"] * 12)),
        (foo("fentry", denied=(BTF,)), "btf"),
    ),
    "prototype.return_type": Case(
        foo("fentry", **proto("struct8", "int")),
        foo("fentry", **proto("u64", "struct8")),
        (foo("fentry", denied=(BTF,)), "btf"),
    ),
    "prototype.variadic": Case(
        foo("fentry", **proto("int", "ptr", "...")),
        foo("fentry", **proto("int", "ptr")),
        (foo("fentry", denied=(BTF,)), "btf"),
    ),
    "prototype.argument_type": Case(
        foo("fentry", **proto("int", "struct24")),
        foo("fentry", **proto("int", "struct16")),
        (foo("fentry", denied=(BTF,)), "btf"),
    ),
    "prototype.empty_argument": Case(
        foo("fentry", **proto("int", "empty")),
        foo("fentry", **proto("int", "struct8")),
        (foo("fentry", denied=(BTF,)), "btf"),
    ),
    "prototype.wide_return": Case(
        foo("fexit", **proto("u128", "int")),
        foo("fentry", **proto("u128", "int")),
        (foo("fexit", denied=(BTF,)), "btf"),
    ),
    # kernel/bpf/trampoline.c
    "trampoline.no_jit": Case(
        foo("fentry", without=("bpf_trampoline_get",), config={"CONFIG_BPF_JIT": None}),
        foo("kprobe.multi", without=("bpf_trampoline_get",), config={"CONFIG_BPF_JIT": None}),
        (foo("fentry", denied=(CONFIG,), without=("bpf_trampoline_get",)), "config"),
    ),
    "trampoline.no_trampoline": Case(
        foo("fentry", without=("register_ftrace_direct",)),
        foo("kprobe", without=("register_ftrace_direct",)),
        (foo("fentry", denied=SILENT), "config"),
    ),
    "trampoline.argument_slots": Case(
        foo("fentry", **proto("int", *["struct16"] * 7)),
        foo("fentry", **proto("int", *["struct16"] * 6)),
        (foo("fentry", denied=(BTF,)), "btf"),
    ),
    "trampoline.not_text": Case(
        ask("fentry", "foo", "foo [xfs] notrace"),
        ask("fentry", "foo", "foo [xfs]"),
        (foo("fentry", denied=FILTERS), "filter_functions"),
    ),
    "trampoline.not_traced": Case(
        ask(
            "fentry", "foo", "foo notrace", "bar", code={"bar": ("55", ())}
        ),  # a slice for each entry that may be a NOP
        ask("fentry", "foo", "foo", "foo notrace"),
        (ask("fentry", "foo", "foo notrace"), "entry_code"),
    ),
    "trampoline.not_patched": Case(
        ask("fentry", "foo", "foo notrace", *ARM64, without=X86),
        ask("fentry", "foo", "foo", *ARM64, without=X86),
        (ask("fentry", "foo", "foo", *ARM64, without=X86, denied=FILTERS), "filter_functions"),
    ),
    "trampoline_multi.no_site": Case(
        ask("fentry.multi", "foo", "foo notrace"),
        foo("fentry.multi"),
        (foo("fentry.multi", denied=FILTERS), "filter_functions"),
    ),
    "trampoline_multi.argument_slots": Case(
        foo("fentry.multi", **proto("int", *["struct16"] * 7)),
        foo("fentry.multi", **proto("int", *["struct16"] * 6)),
        (foo("fentry.multi", denied=(BTF,)), "btf"),
    ),
    # kernel/bpf/bpf_lsm.c
    "lsm_hook.no_bpf_lsm": Case(
        ask("lsm", "bpf_lsm_file_open", without=("bpf_lsm_verify_prog",)),
        ask("lsm", "bpf_lsm_file_open"),
        (ask("lsm", "bpf_lsm_file_open", denied=(BTF,)), "btf"),
    ),
    "lsm_hook.unknown_type": Case(
        ask("lsm_cgroup", "bpf_lsm_file_open", without=("BPF_LSM_CGROUP",)),
        ask("lsm_cgroup", "bpf_lsm_file_open"),
        (ask("lsm_cgroup", "bpf_lsm_file_open", denied=(BTF,)), "btf"),
    ),
    "lsm_hook.no_cgroup_bpf": Case(
        ask("lsm_cgroup", "bpf_lsm_file_open", without=("__cgroup_bpf_run_filter_skb",)),
        ask("lsm_cgroup", "bpf_lsm_file_open"),
        (ask("lsm_cgroup", "bpf_lsm_file_open", denied=(BTF,)), "btf"),
    ),
    "lsm_hook.not_sleepable": Case(
        ask("lsm.s", "bpf_lsm_task_free"),
        ask("lsm.s", "bpf_lsm_file_open"),
        (hidden_hook("lsm.s", "path_chmod"), "btf_ids"),
    ),
    "lsm_hook.disabled": Case(
        ask("lsm", "bpf_lsm_vm_enough_memory"),
        ask("lsm", "bpf_lsm_file_open"),
        (hidden_hook("lsm", "vm_enough_memory"), "btf_ids"),
    ),
    "lsm_hook.not_a_hook": Case(
        ask("lsm", "bpf_lsm_func_proto"),
        ask("lsm", "bpf_lsm_task_free"),
        (hidden_hook("lsm", "path_chmod"), "btf_ids"),
    ),
    # kernel/bpf/bpf_iter.c
    "iterator.not_a_target": Case(
        ask("iter", "bpf_iter_prog_supported", "foo"),
        ask("iter", "bpf_iter_task", "foo", iterators=("task",)),
        (ask("iter", "bpf_iter_task", "foo", iterators=("task",), denied=(BTF,)), "btf"),
    ),
    "iterator.sleepable_unknown": Case(
        ask("iter.s", "bpf_iter_task", "foo", iterators=("task",), without=("bpf_iter_prog_supported",)),
        ask("iter.s", "bpf_iter_task", "foo", iterators=("task",)),
        (ask("iter.s", "bpf_iter_task", "foo", iterators=("task",), denied=(BTF, KALLSYMS)), "btf"),
    ),
    "iterator.cannot_sleep": Case(
        ask("iter.s", "bpf_iter_bpf_map", "foo", iterators=("bpf_map",)),
        ask("iter", "bpf_iter_bpf_map", "foo", iterators=("bpf_map",)),
        (ask("iter.s", "bpf_iter_bpf_map", "foo", iterators=("bpf_map",), denied=(BTF,)), "btf"),
    ),
    "iterator.wants_map": Case(
        ask("iter", "bpf_iter_bpf_map_elem", "foo", iterators=("bpf_map_elem",)),
        ask("iter", "bpf_iter_bpf_map", "foo", iterators=("bpf_map",)),
        (ask("iter", "bpf_iter_bpf_map_elem", "foo", iterators=("bpf_map_elem",), denied=(BTF,)), "btf"),
    ),
    "iterator.wants_cgroup": Case(
        ask("iter", "bpf_iter_cgroup", "foo", iterators=("cgroup",)),
        ask("iter", "bpf_iter_task", "foo", iterators=("task",)),
        (ask("iter", "bpf_iter_cgroup", "foo", iterators=("cgroup",), denied=(BTF,)), "btf"),
    ),
    # tracepoints
    "trace_event.no_events": Case(
        event("tp", "sched:sched_switch", without=("perf_trace_init", "bpf_get_raw_tracepoint")),
        event("raw_tp", "sched:sched_switch", without=("perf_trace_init", "bpf_get_raw_tracepoint")),
        (event("tp", "sched:sched_switch", denied=SILENT), "config"),
    ),
    "trace_event.locked_down": Case(
        event("tp", "sched:sched_switch", lockdown="confidentiality", tracefs_empty=True),
        event("tp", "sched:sched_switch", lockdown="confidentiality"),
        (event("tp", "sched:sched_switch", tracefs_empty=True, denied=(LOCKDOWN,)), "events"),
    ),
    "trace_event.no_event": Case(
        event("tp", "sched:sched_waking"),
        event("tp", "sched:sched_switch"),
        (event("tp", "sched:sched_waking", denied=(EVENTS,)), "events"),
    ),
    "trace_event.ring_buffer_format": Case(
        event("tp", "ftrace:function", events=("ftrace:function noraw notyped",)),
        event("tp", "sched:function", events=("sched:function",)),
        (event("tp", "ftrace:function", events=("ftrace:function noraw notyped",), denied=(EVENTS,)), "events"),
    ),
    "trace_event.perf_perm": Case(
        event("tp", "irq_vectors:irq_work_exit", events=("irq_vectors:irq_work_exit perf_perm",)),
        event("tp", "irq_vectors:irq_work_entry", events=("irq_vectors:irq_work_entry",)),
        (
            event("tp", "irq_vectors:irq_work_exit", events=("irq_vectors:irq_work_exit",), denied=(KALLSYMS,)),
            "kallsyms",
        ),
    ),
    "trace_event.wrong_program": Case(
        event("tp", "kprobes:p_0", events=PROBED, dynamic_events=("kprobes/p_0",)),
        event("tp", "kprobes:p_0", events=PROBED, dynamic_events=("kprobes/p_00",)),
        (event("tp", "kprobes:p_0", dynamic_events=("kprobes/p_0",), denied=(EVENTS,)), "events"),
    ),
    "raw_tracepoint.no_tracepoint": Case(
        event(
            "raw_tp", "syscalls:sys_enter_open", events=("syscalls:sys_enter_open noraw notyped", "sched:sched_switch")
        ),
        event("raw_tp", "pelt_cfs_tp", bare=("pelt_cfs_tp",)),
        (event("raw_tp", "sched:sched_switch", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "typed_tracepoint.no_btf": Case(
        event("tp_btf", "sched:sched_switch", **NO_BTF),
        event("raw_tp", "sched:sched_switch", **NO_BTF),
        (event("tp_btf", "sched:sched_switch", denied=(BTF,)), "btf"),
    ),
    "typed_tracepoint.not_in_btf": Case(
        event("tp_btf", "sched:sched_switch", events=("sched:sched_switch notyped",)),
        event("raw_tp", "sched:sched_switch", events=("sched:sched_switch notyped",)),
        (event("tp_btf", "sched:sched_switch", denied=(BTF,)), "btf"),
    ),
    "typed_tracepoint.module_btf_closed": Case(
        event("tp_btf", "xfs:xfs_read", events=("xfs:xfs_read [xfs]",), caller={**ME, "may_admin": False}),
        event("tp_btf", "xfs:xfs_read", events=("xfs:xfs_read",), caller={**ME, "may_admin": False}),
        (
            event("tp_btf", "xfs:xfs_read", events=("xfs:xfs_read [xfs]",), caller={**ME, "may_admin": None}),
            "capabilities",
        ),
    ),
    "typed_tracepoint.not_registered": Case(
        event("tp_btf", "sched:sched_switch", events=("sched:sched_switch noraw", "sched:sched_waking")),
        event("tp_btf", "sched:sched_waking", events=("sched:sched_switch noraw", "sched:sched_waking")),
        (event("tp_btf", "sched:sched_switch", denied=(KALLSYMS,)), "kallsyms"),
    ),
    "tracepoint_sleep.unknown": Case(
        event(
            "raw_tp.s",
            "raw_syscalls:sys_enter",
            events=SYSCALLS,
            without=("trace_call_bpf_faultable", "BPF_TRACE_FENTRY_MULTI"),
        ),
        event(
            "raw_tp",
            "raw_syscalls:sys_enter",
            events=SYSCALLS,
            without=("trace_call_bpf_faultable", "BPF_TRACE_FENTRY_MULTI"),
        ),
        (event("raw_tp.s", "raw_syscalls:sys_enter", events=SYSCALLS, denied=(BTF,)), "btf"),
    ),
    "tracepoint_sleep.typed_unknown": Case(
        event("tp_btf.s", "sched:sched_switch", without=("trace_call_bpf_faultable", "BPF_TRACE_FENTRY_MULTI")),
        event(
            "tp_btf.s",
            "sched:sched_switch",
            without=("trace_call_bpf_faultable", "BPF_TRACE_FENTRY_MULTI", "bpf_dummy_ops_check_member"),
        ),
        (event("tp_btf.s", "sched:sched_switch", denied=(BTF,)), "btf"),
    ),
    "tracepoint_sleep.not_a_syscall_event": Case(
        event("tp.s", "raw_syscalls:sys_enter", events=SYSCALLS),
        event("tp.s", "syscalls:sys_enter_open", events=SYSCALLS),
        (event("tp.s", "syscalls:sys_enter_open", events=SYSCALLS, denied=(EVENTS,)), "events"),
    ),
    "tracepoint_sleep.not_faultable": Case(
        event("raw_tp.s", "sched:sched_switch"),
        event("raw_tp.s", "raw_syscalls:sys_enter", events=SYSCALLS),
        (event("tp_btf.s", "raw_syscalls:sys_enter", events=SYSCALLS, denied=(BTF,)), "btf"),
    ),
}
CASES |= USER_CASES

_CALLS = (call("helper", unread=frozenset((facts.CALLS,))), facts.CALLS)
_KFUNCS = (call("kfunc", unread=frozenset((facts.CALLS,))), facts.CALLS)
_ME = (call("helper", unread=frozenset((facts.CAPABILITIES,))), facts.CAPABILITIES)
CASES |= {
    "helper_call.may_not_load": Case(call("helper", may_not_load=True), call("helper"), _ME),
    "kfunc_call.may_not_load": Case(
        call("kfunc", may_not_load=True),
        call("kfunc"),
        (call("kfunc", unread=frozenset((facts.CAPABILITIES,))), facts.CAPABILITIES),
    ),
    "helper_call.unknown_program": Case(call("helper", no_program=True), call("helper"), _CALLS),
    "helper_call.unknown_helper": Case(call("helper", absent=True), call("helper"), _CALLS),
    "helper_call.locked_down": Case(call("helper", refused="lockdown"), call("helper"), _CALLS),
    "helper_call.no_rights": Case(call("helper", refused="rights"), call("helper"), _CALLS),
    "helper_call.not_for_type": Case(call("helper", refused="type"), call("helper"), _CALLS),
    "helper_call.not_at_this_place": Case(call("helper", refused="place"), call("helper"), _CALLS),
    "helper_call.must_sleep": Case(call("helper", sleeps=True), call("helper"), _CALLS),
    "override_return.not_injectable": Case(
        call("helper", overrides=True),
        call("helper", overrides=True, injectable=True),
        (
            call("helper", overrides=True, unread=frozenset((facts.ERROR_INJECTION,))),
            facts.ERROR_INJECTION,
        ),
    ),
    "kfunc_call.no_kfuncs": Case(call("kfunc", no_calls=True), call("kfunc"), _KFUNCS),
    "kfunc_call.unknown_program": Case(call("kfunc", no_program=True), call("kfunc"), _KFUNCS),
    "kfunc_call.unknown_kfunc": Case(call("kfunc", absent=True), call("kfunc"), _KFUNCS),
    "kfunc_call.no_set": Case(call("kfunc", refused="set"), call("kfunc"), _KFUNCS),
    "kfunc_call.not_for_type": Case(call("kfunc", refused="type"), call("kfunc"), _KFUNCS),
    "kfunc_call.must_sleep": Case(call("kfunc", sleeps=True), call("kfunc"), _KFUNCS),
    "kfunc_call.destructive": Case(call("kfunc", destructive=True), call("kfunc"), _KFUNCS),
    "kfunc_call.not_bound": Case(call("kfunc", not_bound=True), call("kfunc"), _KFUNCS),
    "kfunc_call.no_perfmon": Case(call("kfunc", no_perfmon=True), call("kfunc"), _KFUNCS),
    "kfunc_call.css_task_iter": Case(call("kfunc", walks_css=True), call("kfunc"), _KFUNCS),
}
