"""Installing the trampoline, at attach.

kernel/bpf/trampoline.c bpf_trampoline_link_prog, register_fentry; arch/x86/net/bpf_jit_comp.c
arch_prepare_bpf_trampoline, bpf_arch_text_poke. A program that loaded can still fail here.
"""

from __future__ import annotations

from ..model.facts import BTF, ENTRY_CODE, FILTER_FUNCTIONS, KALLSYMS
from ..model.traits import NONE, TEXT, Traits
from .gate import Gate, KernelFeatures

GATE = Gate(
    "trampoline", source="kernel/bpf/trampoline.c", entry="bpf_trampoline_link_prog", known_by="trampoline_rules"
)
MULTI = Gate(
    "trampoline_multi",
    source="kernel/bpf/verifier.c",
    entry="bpf_check_attach_btf_id_multi",
    known_by="trampoline_rules",
)


@GATE.rule(
    "no_jit", errno="ENOMEM", decides="check_attach_btf_id: bpf_trampoline_get; Kconfig BPF_JIT", unless="bpf_jit"
)
def no_jit(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without the BPF JIT, which makes trampolines.

    Needs CONFIG_BPF_JIT=y. kernel/bpf/trampoline.c is not built then, and bpf_trampoline_get of include/linux/bpf.h
    gives NULL, which the load takes for lack of memory. kprobe, kprobe.multi, tp, raw_tp, tp_btf and iter work on.
    """
    return True


@GATE.rule(
    "no_trampoline",
    errno="ENOTSUPP",
    decides="register_fentry: tr->fops; Kconfig DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    needs=(KALLSYMS, FILTER_FUNCTIONS),
    unless="direct_calls",
)
def no_trampoline(t: Traits, _k: KernelFeatures) -> bool:
    """This kernel has no direct calls from ftrace sites, so no trampoline can be entered.

    Needs CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y. ENOTSUPP is 524, which has no name in the C library. A function
    without an ftrace site goes another way, to bpf_arch_text_poke: see trampoline.not_traced.
    """
    # register_fentry asks ftrace_location first: ENOTSUPP is for a function with a site and a trampoline without
    # `fops`.
    return t.target_site


def _too_many(t: Traits, k: KernelFeatures) -> bool:
    if t.proto is None:
        return False
    # x86-64 (arch/x86/net/bpf_jit_comp.c): nr_regs > MAX_BPF_FUNC_ARGS since 473e3150e30a, more than 6 before. arm64
    # (calc_arg_aux in arch/arm64/net/bpf_jit_comp.c) spills what the 8 registers do not hold and has no limit.
    if k.feature("stack_arguments"):
        return t.proto.slots > 12 and k.feature("stack_words_limited") is not False
    return t.proto.slots > (8 if k.feature("eight_argument_registers") else 6)


@GATE.rule(
    "argument_slots",
    errno="ENOTSUPP",
    decides="arch_prepare_bpf_trampoline: nr_args, nr_regs",
    needs=(BTF,),
    feature="trampoline_rules",
)
def argument_slots(t: Traits, k: KernelFeatures) -> bool:
    """The arguments need more 8-byte slots than this kernel's trampoline can pass.

    A struct by value counts with each of its words. x86-64: 6 until the JIT learned stack arguments (473e3150e30a,
    6.6), 12 since. arm64: 8 until then, and no limit of its own since (calc_arg_aux of its JIT).
    """
    return _too_many(t, k)


@GATE.rule(
    "not_patched",
    errno="ENOTSUPP",
    decides="bpf_arch_text_poke (arch/arm64/net/bpf_jit_comp.c): bpf_address_lookup",
    needs=(KALLSYMS, FILTER_FUNCTIONS),
    feature="pokes_bpf_only",
    known="arm64",
)
def not_patched(t: Traits, _k: KernelFeatures) -> bool:
    """ftrace has no site in this function, and this architecture lets ftrace alone patch the kernel's functions.

    Wherever the function lies, in text, init text or a module: the kernel does not look at its first bytes.
    """
    return t.target_place != NONE and not t.target_site


@GATE.rule(
    "not_text",
    errno="EINVAL",
    decides="bpf_arch_text_poke: is_kernel_text",
    needs=(KALLSYMS, FILTER_FUNCTIONS),
    unless="pokes_bpf_only",
)
def not_text(t: Traits, _k: KernelFeatures) -> bool:
    """ftrace cannot patch this address, and it lies outside the kernel's own text: init code, data or a module.

    Init functions stay in kallsyms and in BTF after their memory was given back.
    """
    # arch/x86/net/bpf_jit_comp.c bpf_arch_text_poke asks is_kernel_text before __bpf_arch_text_poke compares the bytes
    # at the entry: EINVAL comes ahead of the EBUSY of not_traced. With a site ftrace does the patching
    # (direct_ops_add).
    return t.target_place not in (NONE, TEXT) and not t.target_site


@GATE.rule(
    "not_traced",
    errno="EBUSY",
    decides="bpf_arch_text_poke: the five bytes at the entry are not a NOP",
    needs=(KALLSYMS, FILTER_FUNCTIONS, ENTRY_CODE),
    unless="pokes_bpf_only",
)
def not_traced(t: Traits, _k: KernelFeatures) -> bool:
    """ftrace has no site in this function (notrace, noinstr, assembler), so there is nothing to patch.

    EBUSY, because the kernel then compares the entry with a five-byte NOP and finds code. A function
    whose entry happens to be such a NOP is accepted; that shows only in the code. So is every function of a kernel
    built without CONFIG_FUNCTION_TRACER or CONFIG_DYNAMIC_FTRACE: ftrace_location() is 0 for all of them.
    """
    return not t.target_site and not t.target_nop and t.target_place == TEXT


@MULTI.rule(
    "no_site",
    errno="ENOENT",
    decides="bpf_check_attach_btf_id_multi: ftrace_location",
    needs=(KALLSYMS, FILTER_FUNCTIONS),
)
def multi_no_site(t: Traits, _k: KernelFeatures) -> bool:
    """No symbol carries the name, or ftrace has no site in it."""
    return t.btf != NONE and not t.target_site


@MULTI.rule(
    "argument_slots",
    errno="ENOTSUPP",
    decides="arch_prepare_bpf_trampoline",
    needs=(BTF,),
    feature="trampoline_rules",
)
def multi_argument_slots(t: Traits, k: KernelFeatures) -> bool:
    """The arguments need more 8-byte slots than this kernel's trampoline can pass."""
    return _too_many(t, k)


MULTI_SITE = MULTI.part("no_site")
MULTI_SLOTS = MULTI.part("argument_slots")
