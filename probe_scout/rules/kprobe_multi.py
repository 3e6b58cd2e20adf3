"""kprobe.multi, kretprobe.multi and kprobe.session by name.

kernel/trace/bpf_trace.c bpf_kprobe_multi_link_attach, kernel/trace/ftrace.c ftrace_lookup_symbols. The
kprobe blacklist and lockdown are not consulted, and duplicates are no obstacle: the first copy that
ftrace can patch is taken.
"""

from __future__ import annotations

from ..model.facts import BTF, FILTER_FUNCTIONS, KALLSYMS
from ..model.traits import Traits
from .gate import Gate, KernelFeatures

GATE = Gate("kprobe_multi", source="kernel/trace/bpf_trace.c", entry="bpf_kprobe_multi_link_attach")


@GATE.rule(
    "unknown_type",
    errno="EINVAL",
    decides="kernel/bpf/syscall.c link_create",
    needs=(BTF,),
    unless="type_kprobe_multi",
    known="since 5.18",
)
def unknown_type(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel does not know the attach type BPF_TRACE_KPROBE_MULTI."""
    return True


@GATE.rule("is_32bit", errno="EOPNOTSUPP", decides="bpf_kprobe_multi_link_attach: sizeof(void *)", unless="is_64bit")
def is_32bit(_t: Traits, _k: KernelFeatures) -> bool:
    """The kernel is a 32-bit one, and links of many functions are for 64-bit kernels alone."""
    return True


@GATE.rule(
    "unknown_session",
    errno="EINVAL",
    decides="bpf_kprobe_multi_link_attach: is_kprobe_multi",
    needs=(BTF,),
    unless="type_kprobe_session",
    known="since 6.10",
)
def unknown_session(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel does not know the attach type BPF_TRACE_KPROBE_SESSION.

    The program loads all the same: the kernel does not check a KPROBE program's expected attach type at load.
    """
    return True


@GATE.rule("no_fprobe", errno="EOPNOTSUPP", decides="Kconfig FPROBE", unless="fprobe")
def no_fprobe(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without fprobe, on which kprobe.multi stands.

    Needs CONFIG_FPROBE=y (Debian's 6.1 has it off).
    """
    return True


@GATE.rule(
    "no_site", errno="ESRCH", decides="kernel/trace/ftrace.c ftrace_lookup_symbols", needs=(KALLSYMS, FILTER_FUNCTIONS)
)
def no_site(t: Traits, k: KernelFeatures) -> bool:
    """No function of this name can be patched by ftrace.

    One such name makes the kernel refuse the whole set. By address the errno is EINVAL, or ENOENT where
    fprobe stands on the function graph tracer.
    """
    # ftrace_lookup_symbols walks vmlinux, then the modules (module_kallsyms_on_each_symbol); first kernels walked
    # vmlinux alone. Both go on to the next symbol of the name where ftrace_location is 0 (kallsyms_callback).
    if k.feature("multi_sees_modules") is False:
        return not t.vmlinux_site
    return not t.any_site


MULTI = GATE.part("unknown_type", "is_32bit", "no_fprobe", "no_site")
SESSION = GATE
