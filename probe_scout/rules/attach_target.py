"""Loading a program with an attach_btf_id: fentry, fexit, fsession, fmod_ret and the multi forms.

kernel/bpf/verifier.c check_attach_btf_id, bpf_check_attach_target, bpf_check_attach_btf_id_multi.
"""

from __future__ import annotations

from ..model.facts import BTF, BTF_IDS, ERROR_INJECTION, KALLSYMS, MODULE_BTF
from ..model.traits import NONE, Traits
from .gate import Gate, KernelFeatures

GATE = Gate("attach_target", source="kernel/bpf/verifier.c", entry="bpf_check_attach_target")
MULTI = Gate("attach_target_multi", source="kernel/bpf/verifier.c", entry="bpf_check_attach_btf_id_multi")


@GATE.rule("no_btf", errno="ENOENT", decides="/sys/kernel/btf/vmlinux; Kconfig DEBUG_INFO_BTF", unless="btf")
def no_btf(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel has no BTF, so no typed program can name its target.

    Needs CONFIG_DEBUG_INFO_BTF=y.
    """
    return True


@GATE.rule("not_in_btf", errno="ESRCH", decides="the loader: libbpf find_kernel_btf_id", needs=(BTF, MODULE_BTF))
def not_in_btf(t: Traits, _k: KernelFeatures) -> bool:
    """BTF holds no function of this name, so the loader cannot name the target and the kernel is not asked.

    libbpf says "failed to find kernel BTF type ID of '…': -3". pahole leaves out functions that the
    compiler changed, with unnamed parameters (argument-less system calls), or with several prototypes.
    """
    return t.btf == NONE


@GATE.rule(
    "module_btf_unknown",
    errno="EINVAL",
    decides="bpf_prog_load: attach_btf_obj_fd",
    needs=(MODULE_BTF,),
    unless="module_btf",
    known="until 5.10",
)
def module_btf_unknown(t: Traits, _k: KernelFeatures) -> bool:
    """This kernel cannot take a target from a module's BTF."""
    return t.btf == "module"


@GATE.rule(
    "module_btf_closed",
    errno="ESRCH",
    decides="kernel/bpf/syscall.c bpf_btf_get_fd_by_id; the loader: libbpf load_module_btfs",
    needs=(MODULE_BTF,),
    unless="may_admin",
)
def module_btf_closed(t: Traits, _k: KernelFeatures) -> bool:
    """A module's BTF is handed out to CAP_SYS_ADMIN only, so this caller's loader does not find the function.

    CAP_BPF and CAP_PERFMON are enough for functions of vmlinux. The loader takes the EPERM for modules
    without BTF and reports that no such function is there. A BPF token may open it; that is not looked at.
    """
    return t.btf == "module"


@GATE.rule(
    "unknown_fsession",
    errno="EINVAL",
    decides="bpf_check_attach_target: expected_attach_type",
    needs=(BTF,),
    unless="type_fsession",
    known="since 7.0",
)
def unknown_fsession(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel does not know the attach type BPF_TRACE_FSESSION."""
    return True


@GATE.rule("fsession_jit", errno="EOPNOTSUPP", decides="bpf_jit_supports_fsession", unless="fsession_jit")
def fsession_jit(_t: Traits, _k: KernelFeatures) -> bool:
    """The JIT of this architecture does not support fsession."""
    return True


@GATE.rule(
    "no_impl",
    errno="EINVAL",
    decides="btf_attach_func_proto: find_kfunc_impl_proto",
    needs=(BTF,),
    known="7.2; no probe but the arguments themselves, which only kernels with KF_IMPLICIT_ARGS have",
)
def no_impl(t: Traits, _k: KernelFeatures) -> bool:
    """The kernel looks for the prototype of this kfunc under the name with _impl, and BTF has none.

    The verifier adds the last argument (struct bpf_prog_aux *) of such kfuncs itself. The kernel's build gives them
    two entries in BTF; where it forgot, no typed program can name them.
    """
    return t.implicit_args


@GATE.rule(
    "no_kallsyms",
    errno="ENOENT",
    decides="bpf_check_attach_target: kallsyms_lookup_name; Kconfig KALLSYMS",
    unless="kallsyms",
)
def no_kallsyms(t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without kallsyms, so it finds the address of no function.

    Needs CONFIG_KALLSYMS=y. kallsyms_lookup_name gives 0 for every name. tp and raw_tp go on working.
    """
    return t.btf != NONE


@GATE.rule("no_address", errno="ENOENT", decides="bpf_check_attach_target: kallsyms_lookup_name", needs=(BTF, KALLSYMS))
def no_address(t: Traits, _k: KernelFeatures) -> bool:
    """BTF knows the function, but no symbol carries exactly this name.

    The compiler renamed it (`.isra.0`, `.constprop.0`) or inlined every copy; pahole recorded it under its base name.
    """
    return t.btf != NONE and t.target_place == NONE


@GATE.rule(
    "not_sleepable",
    errno="EINVAL",
    decides="btf_id_allow_sleepable, check_attach_sleepable",
    needs=(BTF_IDS, ERROR_INJECTION),
)
def not_sleepable(t: Traits, k: KernelFeatures) -> bool:
    """Sleepable programs may only be attached to functions marked for it, and this one is not.

    They must be in the error-injection list and not in btf_non_sleepable_error_inject, or in a fmod_ret
    set with KF_SLEEPABLE. Kernels from 7.1 on built without error injection allow system calls (`__x64_sys_*`).
    """
    if t.btf == NONE or t.modify_return_sleepable:
        return False  # btf_id_allow_sleepable falls back to the fmod_ret sets where check_attach_sleepable says no
    # check_attach_sleepable stands twice in kernel/bpf/verifier.c: under CONFIG_FUNCTION_ERROR_INJECTION it looks into
    # the error-injection list, else at the prefix of system calls (has_arch_syscall_prefix). Older kernels lack the
    # second form and refuse all: syscall_not_sleepable below.
    if k.feature("error_injection"):
        return not t.injectable or t.never_sleeps
    return not t.syscall


@GATE.rule(
    "syscall_not_sleepable",
    errno="EINVAL",
    decides="check_attach_sleepable",
    needs=(ERROR_INJECTION,),
    unless="syscalls_sleepable",
    known="until 7.0; from 7.1 on a kernel without error injection takes system calls instead",
)
def syscall_not_sleepable(t: Traits, k: KernelFeatures) -> bool:
    """This kernel was built without error injection, and takes sleepable programs on no system call."""
    return t.syscall and t.btf != NONE and not t.modify_return_sleepable and not k.feature("error_injection")


@GATE.rule(
    "not_modifiable",
    errno="EINVAL",
    decides="check_attach_modify_return, btf_kfunc_is_modify_return",
    needs=(BTF_IDS, ERROR_INJECTION),
)
def not_modifiable(t: Traits, k: KernelFeatures) -> bool:
    """The return value of this function may not be replaced.

    Allowed are names that begin with security_, functions in the error-injection list, the fmod_ret id
    sets, and from 7.1 on system calls where error injection is not built.
    """
    if t.btf == NONE or t.security or t.modify_return:
        return False
    # check_attach_modify_return has the same two forms as check_attach_sleepable.
    if k.feature("error_injection"):
        return not t.injectable
    return not t.syscall


@GATE.rule(
    "syscall_not_modifiable",
    errno="EINVAL",
    decides="check_attach_modify_return",
    needs=(ERROR_INJECTION,),
    unless="syscalls_sleepable",
    known="until 7.0; from 7.1 on a kernel without error injection takes system calls instead",
)
def syscall_not_modifiable(t: Traits, k: KernelFeatures) -> bool:
    """This kernel was built without error injection, and lets no program replace what a system call returns."""
    return t.syscall and t.btf != NONE and not t.modify_return and not k.feature("error_injection")


@GATE.rule(
    "denied",
    errno="EINVAL",
    decides="check_attach_btf_id: btf_id_deny",
    needs=(BTF_IDS,),
    known="6.1 and later; absent in 5.10",
)
def denied(t: Traits, _k: KernelFeatures) -> bool:
    """The kernel keeps tracing programs away from this function, because its own trampoline calls it.

    The list btf_id_deny: migrate_disable, migrate_enable, __rcu_read_lock and their like. On kernels without
    an entry an attempt can hang the machine.
    """
    return t.denied


@GATE.rule(
    "noreturn",
    errno="EINVAL",
    decides="check_attach_btf_id: noreturn_deny",
    needs=(BTF_IDS,),
    known="6.15 and stable 6.12; absent in 5.10 and 6.1",
)
def noreturn(t: Traits, _k: KernelFeatures) -> bool:
    """The function never returns, so a program at its return is refused.

    Kernels without the list accept it; the trampoline is then never given back.
    """
    return t.noreturn


@MULTI.rule("no_btf", errno="ENOENT", decides="/sys/kernel/btf/vmlinux; Kconfig DEBUG_INFO_BTF", unless="btf")
def multi_no_btf(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel has no BTF, so no typed program can name its target."""
    return True


@MULTI.rule(
    "unknown_type",
    errno="EINVAL",
    decides="bpf_prog_load: is_tracing_multi",
    needs=(BTF,),
    unless="type_tracing_multi",
    known="since 7.2",
)
def multi_unknown_type(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel does not know the attach types for many functions (BPF_TRACE_FENTRY_MULTI and its like)."""
    return True


@MULTI.rule(
    "unsupported",
    errno="EOPNOTSUPP",
    decides="bpf_tracing_multi_attach: HAVE_SINGLE_FTRACE_DIRECT_OPS",
    unless="multi_direct",
)
def multi_unsupported(_t: Traits, k: KernelFeatures) -> bool:
    """This kernel was built without direct calls by one ftrace_ops, on which the multi link stands (x86-64 only)."""
    # kernel/trace/bpf_trace.c has two forms of bpf_tracing_multi_attach; the one without direct calls says EOPNOTSUPP.
    # A kernel that does not know the attach type refuses before, at load, with EINVAL (multi_unknown_type).
    return k.feature("type_tracing_multi") is True


@MULTI.rule("not_in_btf", errno="ESRCH", decides="the loader: libbpf", needs=(BTF, MODULE_BTF))
def multi_not_in_btf(t: Traits, _k: KernelFeatures) -> bool:
    """BTF holds no function of this name, so the loader cannot name the target and the kernel is not asked."""
    return t.btf == NONE


@MULTI.rule("noreturn", errno="EINVAL", decides="noreturn_deny", needs=(BTF_IDS,))
def multi_noreturn(t: Traits, _k: KernelFeatures) -> bool:
    """The function never returns, so a program at its return is refused."""
    return t.noreturn


@MULTI.rule("denied", errno="EINVAL", decides="btf_id_deny", needs=(BTF_IDS,))
def multi_denied(t: Traits, _k: KernelFeatures) -> bool:
    """The kernel keeps tracing programs away from this function, because its own trampoline calls it."""
    return t.denied


# Parts, for bpf_check_attach_target asks in this order: session, kfunc with implicit arguments (btf_attach_func_proto),
# prototype (btf_distill_func_proto: prototype.py), address, sleepable or modifiable. check_attach_btf_id goes on with
# the deny lists, and bpf_trampoline_get comes last. The order decides the errno.
LOAD = GATE.part("no_btf", "not_in_btf", "module_btf_unknown", "module_btf_closed")
SESSION = GATE.part("unknown_fsession", "fsession_jit")
ADDRESS = GATE.part("no_kallsyms", "no_address")
IMPL = GATE.part("no_impl")
SLEEPABLE = GATE.part("not_sleepable", "syscall_not_sleepable")
MODIFY = GATE.part("not_modifiable", "syscall_not_modifiable")
DENY = GATE.part("denied")
DENY_RETURN = GATE.part("denied", "noreturn")
# bpf_check_attach_btf_id_multi asks both deny lists ahead of the prototype, and noreturn_deny for returns alone.
MULTI_ENTRY = MULTI.part("no_btf", "unknown_type", "unsupported", "not_in_btf", "denied")
MULTI_RETURN = MULTI
