"""Feature probes: what shows that a kernel has a change. Never a release number, for distributions backport.

A rule names a feature that must be there (`feature`) or must not (`unless`); it is probed here, once for each kernel.
Where a change left nothing of its own to see, something that came with it stands in: a `contemporary`. A kernel
with one of the two and not the other would be misjudged; docs/scoreboard.md names the rules that depend on them.
"""

from __future__ import annotations

from .. import arch as machines
from ..model import facts
from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .code_store import Code

_EMPTY = "is mounted but empty"  # what sources say of a tracefs without entries


def _holds_colon(k: Code, name: str) -> bool | None:
    """The code of a function of vmlinux compares with or hands on a colon; None where it cannot be read."""
    from . import text

    return text.holds_byte(k, name, ord(":"))


class Feature(NamedTuple):
    """`settle` gives True, False, or None where it is not known; then `fact` is what would have to be read."""

    settle: Callable[[Code], bool | None]
    says: str
    fact: str
    contemporary: bool = False


def _has_btf(k: Code) -> bool | None:
    if k.btf() is not None:
        return True
    unread = k.unread(facts.BTF)
    if unread is not None and unread.kind == "not_there" and k.option("CONFIG_DEBUG_INFO_BTF") is False:
        return False
    return None


def _notrace(k: Code) -> bool | None:
    # kernel/trace/trace_kprobe.c builds the check under CONFIG_DYNAMIC_FTRACE and without
    # CONFIG_KPROBE_EVENTS_ON_NOTRACE; else within_notrace_func is a macro, and neither kallsyms nor BTF has the name.
    if k.has_function("within_notrace_func"):
        return True
    if k.config("CONFIG_DYNAMIC_FTRACE") != "" and k.has_symbol("within_notrace_func"):
        return True  # inlined, and pahole knows it all the same
    on_notrace = k.config("CONFIG_KPROBE_EVENTS_ON_NOTRACE")
    dynamic = k.config("CONFIG_DYNAMIC_FTRACE")
    if on_notrace is None or dynamic is None:
        return None
    return dynamic == "y" and on_notrace != "y"


def _locked_down(k: Code) -> bool | None:
    # LOCKDOWN_KPROBES stands behind LOCKDOWN_INTEGRITY_MAX (include/linux/security.h): integrity alone closes nothing.
    state = k.lockdown()
    return None if state is None else state == "confidentiality"


def _tracing_locked(k: Code) -> bool | None:
    """Booted in lockdown=confidentiality: tracefs is there and empty."""
    if k.available_events() is not None:
        return False
    gap = k.unread(facts.EVENTS)
    if gap is None or _EMPTY not in gap.why:
        return None if _locked_down(k) else False
    return _locked_down(k)


def _error_injection(k: Code) -> bool | None:
    # Global where it is built (lib/error-inject.c), else a stub of include/linux/error-injection.h: its symbol tells.
    return k.built(("within_error_injection_list",), "CONFIG_FUNCTION_ERROR_INJECTION")


def _multi_sees_modules(k: Code) -> bool | None:
    btf = k.btf()
    if btf is None:
        return None
    # kernel/trace/ftrace.c ftrace_lookup_symbols hands kallsyms_callback(data, name, addr) to kallsyms_on_each_symbol
    # and to module_kallsyms_on_each_symbol. Kernels that walk vmlinux alone have a struct module * among its arguments.
    found = btf.find_functions("kallsyms_callback")
    return None if not found else btf.shape(found[0].proto_id).nargs == 3


def _refuses_traps(k: Code) -> bool | None:
    """can_boost returns bool since the series that made can_probe refuse traps (arch/x86/kernel/kprobes/core.c)."""
    btf = k.btf()
    if btf is None:
        return None
    found = btf.find_functions("can_boost")
    return None if not found else btf.prototype(found[0]).return_type in ("bool", "_Bool")


def _sleepable_types_listed(k: Code) -> bool | None:
    """can_be_sleepable names the attach types; it came with sleepable struct_ops, as did the dummy one's check."""
    # net/bpf/bpf_dummy_struct_ops.c: a kernel with bpf_dummy_init and without the check is older than sleepable
    # struct_ops, and so is one without BPF_TRACE_KPROBE_MULTI. Where neither function was built, nothing shows it.
    if k.has_symbol("bpf_dummy_ops_check_member"):
        return True
    if k.has_symbol("bpf_dummy_init") or k.enumerator("BPF_TRACE_KPROBE_MULTI") is False:
        return False
    return None


def _counts_modules(k: Code) -> bool | None:
    """number_of_same_symbols walks the modules too (926fe783c8a6): count_mod_symbols is handed on, so never inlined.

    Where it is missing, a count_symbols of two arguments cannot serve both walks: it is not handed the name. Older
    kernels' takes the name, and one function might do for both. Kallsyms has static functions that BTF may lack.
    """
    if k.has_symbol("validate_probe_symbol", "validate_module_probe_symbol"):
        return True
    if k.kallsyms() is None:
        return None
    if k.has_function("count_mod_symbols"):
        return True
    btf = k.btf()
    found = btf.find_functions("count_symbols") if btf is not None else ()
    return False if btf is not None and found and btf.shape(found[0].proto_id).nargs == 2 else None


def _prefix_understood(k: Code) -> bool | None:
    """create_local_trace_kprobe looks for the colon of MODULE:FUNCTION before it counts: its code tells.

    Without code: the stable fix is later than the counting of modules' symbols, so a kernel without that lacks it.
    """
    if k.has_symbol("validate_probe_symbol", "validate_module_probe_symbol"):
        return True
    by_code = _holds_colon(k, "create_local_trace_kprobe")
    return False if by_code is None and _counts_modules(k) is False else by_code


def _vmlinux_wins(k: Code) -> bool | None:
    """A symbol of vmlinux is counted without those of modules (kernel/trace/trace_kprobe.c number_of_same_symbols).

    Either modules are not counted at all, or counting stops at vmlinux. That change left nothing to see.

    7.2 has it from the start, stable 7.1.13 too, and 7.0 and older not: of a 7.1, told by struct btf_layout, nothing
    tells from which build on.
    """
    counts = _counts_modules(k)
    is_later = k.enumerator("BPF_TRACE_FENTRY_MULTI")
    if is_later is True or counts is False:
        return True
    if is_later is None or counts is None:
        return None
    return None if k.has_struct("btf_layout") else False


def _syscalls_sleepable(k: Code) -> bool | None:
    """Without error injection, system calls may sleep and be replaced: check_attach_sleepable, kernel/bpf/verifier.c.

    The change put the list of functions that never sleep under the same option, so the list is gone then.
    """
    ids = k.ids()
    if ids.visible:
        return "btf_non_sleepable_error_inject" not in ids.sets
    # Hidden lists: what is later than the change, and what is older by a release or more.
    if k.enumerator("BPF_TRACE_FENTRY_MULTI"):
        return True
    return False if k.enumerator("BPF_TRACE_FSESSION") is False else None


def _refuses_mops(k: Code) -> bool | None:
    """arm64's kprobes refuse memory copy and set; kernels that do not know these instructions take them for plain."""
    if k.has_symbol("aarch64_insn_gen_load_acq_store_rel"):
        return True
    return False if k.has_symbol("do_el0_mops") is False else None


def _stack_arguments(k: Code) -> bool | None:
    """The JIT's trampoline passes arguments on that lie on the stack.

    x86: 473e3150e30a. arm64: calc_arg_aux counts them; arch_bpf_trampoline_size is older there.
    """
    if k.arch() == "aarch64":
        return None if k.btf() is None else k.has_struct("arg_aux") or bool(k.has_symbol("calc_arg_aux"))
    return k.has_symbol("arch_bpf_trampoline_size", "save_args")


def _sleepable_tracepoints(k: Code) -> bool | None:
    """can_be_sleepable takes programs on tracepoints: kernel/bpf/verifier.c.

    7.2 brought it with trace_call_bpf_faultable. Stable 7.1 took the verifier's half alone, between 7.1.3 and 7.1.7,
    and nothing of that half can be seen: two things stand in that came by the same way, one before and one with it.
    """
    whole = _faultable_events(k)
    if whole is not False:
        return whole
    return k.has_struct("btf_layout") and k.has_symbol("bpf_lsm_hook_returns_errno")


def _faultable_events(k: Code) -> bool | None:
    """trace_call_bpf_faultable runs programs of system calls' events; kernels that know many-function links have it."""
    return k.enumerator("BPF_TRACE_FENTRY_MULTI") or k.has_symbol("trace_call_bpf_faultable")


def _compiled(k: Code, symbols: tuple[str, ...], option: str, *, without: bool | None = None) -> bool | None:
    """A part of the kernel was compiled: by a global function of it in kallsyms, else by the configuration.

    A part of kallsyms, as small snapshots hold it, lacks a name without meaning anything by it; so a *no* is the
    configuration's word, or `without` where there is no configuration. BTF is not asked: its strings are names of
    all kinds of things.
    """
    if any(k.has_function(name) for name in symbols):
        return True
    built = k.option(option)
    return without if built is None else built


def _short_names(k: Code) -> bool | None:
    """struct bpf_ksym: char name[KSYM_NAME_LEN] beside some words, 216 bytes in 5.10 and 600 in 6.12."""
    btf = k.btf()
    size = btf.struct_size("bpf_ksym") if btf is not None else None
    return None if size is None else size < 512


def _fprobe(k: Code) -> bool | None:
    # bpf_kprobe_multi_link_attach (kernel/trace/bpf_trace.c) is a stub that says EOPNOTSUPP without CONFIG_FPROBE.
    if k.has_function("register_fprobe"):
        return True
    return False if k.option("CONFIG_FPROBE") is False else k.built(("register_fprobe",), "CONFIG_FPROBE")


def _kallsyms(k: Code) -> bool | None:
    if k.kallsyms() is not None:
        return True
    return False if k.option("CONFIG_KALLSYMS") is False else None


def _trace_events(k: Code) -> bool | None:
    # One of each option: kernel/trace/trace_event_perf.c, and bpf_get_raw_tracepoint of kernel/trace/bpf_trace.c.
    return k.built(("perf_trace_init", "bpf_get_raw_tracepoint"), "CONFIG_EVENT_TRACING", "CONFIG_BPF_EVENTS")


def _sleepable_uprobes(k: Code) -> bool | None:
    """perf takes sleepable programs on uprobes. The change left nothing to see; cgroup LSM programs came with it."""
    # can_be_sleepable (kernel/bpf/verifier.c) lets the type KPROBE load, and __perf_event_set_bpf_prog
    # (kernel/events/core.c) keeps such programs to uprobes.
    return k.enumerator("BPF_LSM_CGROUP") or k.enumerator("BPF_TRACE_UPROBE_MULTI")


def _uprobe_needs_admin(k: Code) -> bool | None:
    """perf_uprobe_event_init asks for CAP_SYS_ADMIN; before 6.1 CAP_PERFMON was enough. Links for many came later."""
    # A kernel without these links may have been changed by a stable tree, so what is not there says nothing: unknown.
    return k.enumerator("BPF_TRACE_UPROBE_MULTI") or None


def _user_path_by_name(k: Code) -> bool | None:
    """uprobe.multi reads the path by getname. 6.18 does not, 7.3 does; nothing between them was asked."""
    # kernel/trace/bpf_trace.c bpf_uprobe_multi_get_path asks user_path_at (7.3), which says ENAMETOOLONG to a path that
    # is too long; strndup_user, in its place in 6.18, says EINVAL. A kernel without insn_is_nop is of the kind of 6.18;
    # one with it and without the contemporary may be of either.
    if k.enumerator("BPF_TRACE_FENTRY_MULTI"):
        return True
    return None if k.has_symbol("insn_is_nop") is not False else False


def _apx(k: Code) -> bool | None:
    """The decoder knows APX. Nothing of it can be seen; the system call uretprobe came in the same release."""
    return k.has_symbol("__x64_sys_uretprobe", "inat_get_xop_attribute")


def _seen(k: Code, name: str) -> bool | None:
    """A function is there; None where it is not and the snapshot is a slice, which may have been cut without it."""
    found = k.has_symbol(name)
    return None if found is False and k.is_cut() else found


def _invalid64(k: Code) -> bool | None:
    """The decoder stops at opcodes that 64-bit code has not; between the system call uretprobe and XOP."""
    # inat_is_invalid64 (arch/x86/lib/insn.c insn_get_opcode) is inline. Later than it are XOP and the optimized
    # uprobes.
    if k.has_symbol("inat_get_xop_attribute", "arch_uprobe_optimize"):
        return True
    return False if _apx(k) is False else None


def _nop10(k: Code) -> bool | None:
    """The 10-byte nop is replaced by a call; before, the 5-byte nop was. insn_is_nop came in between."""
    # arch/x86/kernel/uprobes.c is_optimizable_nop10 calls insn_is_nop: a kernel without one of the two has the older
    # form, one with both may have either.
    if _seen(k, "arch_uprobe_optimize") is False or _seen(k, "insn_is_nop") is False:
        return False
    return k.enumerator("BPF_TRACE_FENTRY_MULTI") or None


FEATURES = {
    "uprobe_pmu": Feature(
        # The configuration first: it is a small file, the list of symbols a large one.
        lambda k: (
            k.option("CONFIG_UPROBES", "CONFIG_UPROBE_EVENTS")
            or k.built(("perf_uprobe_init",), "CONFIG_UPROBES", "CONFIG_UPROBE_EVENTS")
        ),
        "perf_uprobe_init in kallsyms; CONFIG_UPROBES, CONFIG_UPROBE_EVENTS",
        facts.CONFIG,
    ),
    "uprobe_needs_admin": Feature(
        _uprobe_needs_admin,
        "enum bpf_attach_type in BTF: BPF_TRACE_UPROBE_MULTI, which is later than the change",
        facts.BTF,
    ),
    "sleepable_uprobes": Feature(
        _sleepable_uprobes,
        "enum bpf_attach_type in BTF: BPF_LSM_CGROUP, a contemporary",
        facts.BTF,
        contemporary=True,
    ),
    "type_uprobe_multi": Feature(
        lambda k: k.enumerator("BPF_TRACE_UPROBE_MULTI"),
        "enum bpf_attach_type in BTF: BPF_TRACE_UPROBE_MULTI",
        facts.BTF,
    ),
    "type_uprobe_session": Feature(
        lambda k: k.enumerator("BPF_TRACE_UPROBE_SESSION"),
        "enum bpf_attach_type in BTF: BPF_TRACE_UPROBE_SESSION",
        facts.BTF,
    ),
    "user_path_by_name": Feature(
        _user_path_by_name,
        "enum bpf_attach_type in BTF: BPF_TRACE_FENTRY_MULTI, a contemporary",
        facts.BTF,
        contemporary=True,
    ),
    "decoder_apx": Feature(_apx, "__x64_sys_uretprobe in kallsyms, a contemporary", facts.KALLSYMS, contemporary=True),
    "decoder_invalid64": Feature(
        _invalid64, "inat_get_xop_attribute or arch_uprobe_optimize in kallsyms, which are later", facts.KALLSYMS
    ),
    "decoder_xop": Feature(
        lambda k: _seen(k, "inat_get_xop_attribute"), "inat_get_xop_attribute in kallsyms", facts.KALLSYMS
    ),
    "uprobe_nop10": Feature(
        _nop10, "arch_uprobe_optimize and insn_is_nop in kallsyms", facts.KALLSYMS, contemporary=True
    ),
    "uprobe_nops": Feature(lambda k: _seen(k, "insn_is_nop"), "insn_is_nop in kallsyms", facts.KALLSYMS),
    "bpf_syscall": Feature(
        lambda k: k.built(("bpf_prog_load", "__sys_bpf"), "CONFIG_BPF_SYSCALL"),
        "bpf_prog_load in kallsyms; CONFIG_BPF_SYSCALL",
        facts.CONFIG,
    ),
    "bpf_events": Feature(
        lambda k: _compiled(k, ("perf_event_attach_bpf_prog", "trace_call_bpf"), "CONFIG_BPF_EVENTS"),
        "perf_event_attach_bpf_prog in kallsyms; CONFIG_BPF_EVENTS",
        facts.CONFIG,
    ),
    "bpf_jit": Feature(
        lambda k: _compiled(k, ("bpf_trampoline_get", "bpf_jit_alloc_exec"), "CONFIG_BPF_JIT"),
        "bpf_trampoline_get in kallsyms; CONFIG_BPF_JIT",
        facts.CONFIG,
    ),
    "dynamic_ftrace": Feature(
        lambda k: _compiled(k, ("ftrace_location", "ftrace_location_range"), "CONFIG_DYNAMIC_FTRACE"),
        "ftrace_location in kallsyms; CONFIG_DYNAMIC_FTRACE, which needs CONFIG_FUNCTION_TRACER",
        facts.CONFIG,
    ),
    "kallsyms": Feature(
        _kallsyms,
        "proc/kallsyms; CONFIG_KALLSYMS",
        facts.KALLSYMS,
    ),
    "kprobe_pmu": Feature(
        lambda k: k.built(("perf_kprobe_init",), "CONFIG_KPROBES", "CONFIG_KPROBE_EVENTS"),
        "perf_kprobe_init in kallsyms; CONFIG_KPROBES, CONFIG_KPROBE_EVENTS",
        facts.CONFIG,
    ),
    "notrace_check": Feature(
        _notrace,
        "within_notrace_func in kallsyms; CONFIG_KPROBE_EVENTS_ON_NOTRACE",
        facts.CONFIG,
    ),
    "short_names": Feature(
        _short_names,
        "the size of struct bpf_ksym in BTF, which holds a name of KSYM_NAME_LEN bytes",
        facts.BTF,
    ),
    "unique_check": Feature(
        lambda k: k.has_symbol("count_symbols"),
        "count_symbols in kallsyms",
        facts.KALLSYMS,
    ),
    "unique_check_in_module": Feature(
        lambda k: k.has_symbol("validate_probe_symbol", "validate_module_probe_symbol"),
        "validate_probe_symbol in kallsyms",
        facts.KALLSYMS,
    ),
    "counts_modules": Feature(
        _counts_modules,
        "count_mod_symbols in kallsyms; the arguments of count_symbols in BTF",
        facts.KALLSYMS,
    ),
    "prefix_understood": Feature(
        _prefix_understood,
        "validate_probe_symbol in kallsyms; the code of create_local_trace_kprobe; count_mod_symbols, which is older",
        facts.CODE,
        contemporary=True,
    ),
    "vmlinux_wins": Feature(
        _vmlinux_wins,
        "enum bpf_attach_type in BTF: BPF_TRACE_FENTRY_MULTI, a contemporary of the change",
        facts.BTF,
        contemporary=True,
    ),
    "padding_check": Feature(
        lambda k: k.has_symbol("arch_adjust_kprobe_addr"),
        "arch_adjust_kprobe_addr in kallsyms, a contemporary of the check",
        facts.KALLSYMS,
        contemporary=True,
    ),
    "locked_down": Feature(
        _locked_down,
        "sys/kernel/security/lockdown",
        facts.LOCKDOWN,
    ),
    "tracing_locked": Feature(
        _tracing_locked,
        "sys/kernel/security/lockdown, and a tracefs that is mounted and empty",
        facts.EVENTS,
    ),
    "refuses_traps": Feature(
        _refuses_traps,
        "can_boost in BTF returns bool",
        facts.BTF,
    ),
    "type_kprobe_multi": Feature(
        lambda k: k.enumerator("BPF_TRACE_KPROBE_MULTI"),
        "enum bpf_attach_type in BTF: BPF_TRACE_KPROBE_MULTI",
        facts.BTF,
    ),
    "type_kprobe_session": Feature(
        lambda k: k.enumerator("BPF_TRACE_KPROBE_SESSION"),
        "enum bpf_attach_type in BTF: BPF_TRACE_KPROBE_SESSION",
        facts.BTF,
    ),
    "type_fsession": Feature(
        lambda k: k.enumerator("BPF_TRACE_FSESSION"),
        "enum bpf_attach_type in BTF: BPF_TRACE_FSESSION",
        facts.BTF,
    ),
    "type_tracing_multi": Feature(
        lambda k: k.enumerator("BPF_TRACE_FENTRY_MULTI"),
        "enum bpf_attach_type in BTF: BPF_TRACE_FENTRY_MULTI",
        facts.BTF,
    ),
    "fprobe": Feature(
        _fprobe,
        "register_fprobe in kallsyms; CONFIG_FPROBE",
        facts.CONFIG,
    ),
    "multi_sees_modules": Feature(
        _multi_sees_modules,
        "kallsyms_callback in BTF takes three arguments",
        facts.BTF,
    ),
    "btf": Feature(
        _has_btf,
        "sys/kernel/btf/vmlinux; CONFIG_DEBUG_INFO_BTF",
        facts.BTF,
    ),
    # kernel/bpf/syscall.c bpf_prog_load takes attach_btf_obj_fd since programs keep the BTF of their target.
    "module_btf": Feature(
        lambda k: k.member("bpf_prog_aux", "attach_btf"),
        "struct bpf_prog_aux in BTF: attach_btf",
        facts.BTF,
    ),
    # bpf_check_attach_target holds the module and asks its own symbols alone (find_kallsyms_symbol_value); before, the
    # first symbol of the name anywhere (kallsyms_lookup_name).
    "module_scoped": Feature(
        lambda k: k.member("bpf_attach_target_info", "tgt_mod"),
        "struct bpf_attach_target_info in BTF: tgt_mod",
        facts.BTF,
    ),
    "fsession_jit": Feature(
        lambda k: None if k.arch() == "unknown" else machines.row(k.arch()).has_fsession,
        "the architecture",
        facts.KALLSYMS,
    ),
    "error_injection": Feature(
        _error_injection,
        "within_error_injection_list in kallsyms; CONFIG_FUNCTION_ERROR_INJECTION",
        facts.CONFIG,
    ),
    "syscalls_sleepable": Feature(
        _syscalls_sleepable,
        "the id set btf_non_sleepable_error_inject in kallsyms is gone; where kallsyms hides the sets, enum "
        "bpf_attach_type in BTF: BPF_TRACE_FSESSION, which is older",
        facts.BTF_IDS,
    ),
    "struct_arguments": Feature(
        lambda k: k.member("btf_func_model", "arg_flags"),
        "struct btf_func_model in BTF: arg_flags",
        facts.BTF,
    ),
    "union_arguments": Feature(
        lambda k: k.member("bpf_prog_aux", "kprobe_write_ctx"),
        "struct bpf_prog_aux in BTF: kprobe_write_ctx, a contemporary of the change",
        facts.BTF,
        contemporary=True,
    ),
    "stack_arguments": Feature(
        _stack_arguments,
        "arch_bpf_trampoline_size or save_args in kallsyms; on arm64 calc_arg_aux or struct arg_aux in BTF",
        facts.KALLSYMS,
    ),
    "is_64bit": Feature(
        lambda k: None if k.arch() == "unknown" else machines.row(k.arch()).pointer_bytes == 8,
        "the architecture",
        facts.ARCHITECTURE,
    ),
    # The trampolines of x86 refuse more than MAX_BPF_FUNC_ARGS words, that of arm64 none (calc_arg_aux).
    "stack_words_limited": Feature(
        lambda k: machines.row(k.arch()).argument_words_max is not None,
        "the architecture",
        facts.ARCHITECTURE,
    ),
    "eight_argument_registers": Feature(
        lambda k: machines.row(k.arch()).argument_registers == 8,
        "the architecture",
        facts.ARCHITECTURE,
    ),
    "pokes_bpf_only": Feature(
        lambda k: machines.row(k.arch()).pokes_bpf_only,
        "the architecture",
        facts.ARCHITECTURE,
    ),
    "exact_exclusive_masks": Feature(
        lambda k: k.has_symbol("aarch64_insn_gen_load_acq_store_rel"),
        "aarch64_insn_gen_load_acq_store_rel in BTF or kallsyms, a contemporary of the change",
        facts.BTF,
        contemporary=True,
    ),
    "refuses_mops": Feature(
        _refuses_mops,
        "aarch64_insn_gen_load_acq_store_rel in BTF or kallsyms, which is later; do_el0_mops is not there",
        facts.BTF,
        contemporary=True,
    ),
    "kprobe_rules": Feature(
        lambda k: machines.row(k.arch()).kprobes or None,
        "the architecture",
        facts.ARCHITECTURE,
    ),
    "trampoline_rules": Feature(
        lambda k: machines.row(k.arch()).trampolines or None,
        "the architecture",
        facts.ARCHITECTURE,
    ),
    # register_ftrace_direct_multi existed for some releases and then took the shorter name: either shows the option.
    "direct_calls": Feature(
        lambda k: k.built(
            ("register_ftrace_direct", "register_ftrace_direct_multi"), "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
        ),
        "register_ftrace_direct in kallsyms; CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
        facts.CONFIG,
    ),
    "sleepable_tracepoints": Feature(
        _sleepable_tracepoints,
        "trace_call_bpf_faultable in kallsyms; or bpf_lsm_hook_returns_errno and struct btf_layout, contemporaries",
        facts.BTF,
        contemporary=True,
    ),
    "faultable_events": Feature(
        _faultable_events,
        "trace_call_bpf_faultable in kallsyms, or BPF_TRACE_FENTRY_MULTI in BTF, which is later",
        facts.KALLSYMS,
    ),
    "sleepable_types_listed": Feature(
        _sleepable_types_listed,
        "bpf_dummy_ops_check_member in kallsyms, a contemporary; not bpf_dummy_init alone",
        facts.BTF,
        contemporary=True,
    ),
    "wide_return_check": Feature(
        lambda k: k.enumerator("BPF_TRACE_FENTRY_MULTI"),
        "enum bpf_attach_type in BTF: BPF_TRACE_FENTRY_MULTI, a contemporary of the check",
        facts.BTF,
        contemporary=True,
    ),
    "multi_direct": Feature(
        lambda k: k.has_symbol("bpf_trampoline_multi_attach"),
        "bpf_trampoline_multi_attach in kallsyms",
        facts.KALLSYMS,
    ),
    "type_lsm_cgroup": Feature(
        lambda k: k.enumerator("BPF_LSM_CGROUP"),
        "enum bpf_attach_type in BTF: BPF_LSM_CGROUP",
        facts.BTF,
    ),
    "cgroup_bpf": Feature(
        lambda k: k.built(("__cgroup_bpf_run_filter_skb",), "CONFIG_CGROUP_BPF"),
        "__cgroup_bpf_run_filter_skb in kallsyms; CONFIG_CGROUP_BPF",
        facts.CONFIG,
    ),
    "bpf_lsm": Feature(
        lambda k: k.built(("bpf_lsm_verify_prog",), "CONFIG_BPF_LSM"),
        "bpf_lsm_verify_prog in kallsyms; CONFIG_BPF_LSM",
        facts.CONFIG,
    ),
    "sleepable_iterators": Feature(
        lambda k: k.has_symbol("bpf_iter_prog_supported"),
        "bpf_iter_prog_supported in kallsyms",
        facts.BTF,
    ),
    "iterators_must_resched": Feature(
        lambda k: k.member("bpf_iter__cgroup", "cgroup"),
        "struct bpf_iter__cgroup in BTF, a contemporary of the check",
        facts.BTF,
        contemporary=True,
    ),
    "trace_events": Feature(
        _trace_events,
        "perf_trace_init in kallsyms; CONFIG_EVENT_TRACING, CONFIG_BPF_EVENTS",
        facts.CONFIG,
    ),
}
# Privileges of the caller: probes/attach/privileges.py says which it has, rules/caller.py what is refused without them.
_RIGHTS = {
    "may_bpf": ("proc/self/status: CapEff", facts.CAPABILITIES),
    "may_perfmon": ("proc/self/status: CapEff", facts.CAPABILITIES),
    "may_net": ("proc/self/status: CapEff", facts.CAPABILITIES),
    "may_boot": ("proc/self/status: CapEff", facts.CAPABILITIES),
    "may_admin": ("proc/self/status: CapEff", facts.CAPABILITIES),
    "may_perf": ("proc/self/status: CapEff; kernel.perf_event_paranoid", facts.SYSCTL),
}


def says(feature: str) -> str:
    """What is looked at to probe a feature, for people."""
    return _RIGHTS[feature][0] if feature in _RIGHTS else FEATURES[feature].says


def fact(feature: str) -> str:
    """The fact that would have to be read for a feature that is not known."""
    return _RIGHTS[feature][1] if feature in _RIGHTS else FEATURES[feature].fact
