"""Registering the kprobe once its address is known.

kernel/trace/trace_kprobe.c __register_trace_kprobe, then kernel/kprobes.c register_kprobe
(check_kprobe_address_safe) and arch/x86/kernel/kprobes/core.c arch_prepare_kprobe.
"""

from __future__ import annotations

from ..model.facts import CODE, FILTER_FUNCTIONS, KALLSYMS, KPROBE_BLACKLIST, LOCKDOWN
from ..model.traits import MODULE, NONE, OUTSIDE, TEXT, Traits
from .gate import Gate, KernelFeatures

GATE = Gate(
    "kprobe_register",
    source="kernel/trace/trace_kprobe.c, kernel/kprobes.c",
    entry="__register_trace_kprobe",
    known_by="kprobe_rules",
)


@GATE.rule(
    "locked_down",
    errno="EPERM",
    decides="security_locked_down(LOCKDOWN_KPROBES)",
    needs=(LOCKDOWN,),
    feature="locked_down",
)
def locked_down(_t: Traits, _k: KernelFeatures) -> bool:
    """The kernel is locked down (confidentiality), which forbids kprobes through perf and tracefs.

    kprobe.multi, fentry and uprobes are not asked and go on working.
    """
    return True


@GATE.rule(
    "notrace",
    errno="EINVAL",
    decides="within_notrace_func",
    needs=(KALLSYMS, FILTER_FUNCTIONS),
    feature="notrace_check",
)
def notrace(t: Traits, _k: KernelFeatures) -> bool:
    """ftrace cannot patch this function, and such functions are refused to kprobe events.

    The kernel looks for an ftrace site anywhere in the function's body; a name with a suffix is
    forgiven if the name up to its first dot is a function that has one. Not built with
    CONFIG_KPROBE_EVENTS_ON_NOTRACE=y or without CONFIG_DYNAMIC_FTRACE.
    """
    # __within_notrace_func takes an address of which kallsyms knows no size for traceable: no_place refuses it later.
    # within_notrace_func cuts the name at its first dot and asks again (`base_site`).
    return t.place not in (NONE, OUTSIDE) and not (t.site or t.base_site)


@GATE.rule(
    "no_place",
    errno="ENOENT",
    decides="_kprobe_addr: kallsyms_lookup_size_offset",
    needs=(KALLSYMS,),
    feature="padding_check",
    known="since 5.18 (cc66bb914578), which added arch_adjust_kprobe_addr beside it",
)
def no_place(t: Traits, _k: KernelFeatures) -> bool:
    """The symbol lies outside the kernel's image: kallsyms knows nothing at this place.

    Such are offsets into the per-CPU area (the letter A and a small number) and what lies behind _end (sme_workarea).
    """
    return t.place == OUTSIDE


@GATE.rule("kretprobe_blacklist", errno="EINVAL", decides="register_kretprobe: kretprobe_blacklist")
def kretprobe_blacklist(t: Traits, _k: KernelFeatures) -> bool:
    """The architecture keeps kretprobes away from this function (x86: __switch_to)."""
    return t.switch_to


@GATE.rule(
    "not_text",
    errno="EINVAL",
    decides="check_kprobe_address_safe: core_kernel_text, __module_text_address",
    needs=(KALLSYMS,),
)
def not_text(t: Traits, _k: KernelFeatures) -> bool:
    """The address is not kernel or module text: data, or init code that was given back after boot.

    Init functions stay in kallsyms for ever; they lie between _sinittext and _einittext.
    """
    return t.place not in (TEXT, MODULE, NONE)


@GATE.rule("blacklisted", errno="EINVAL", decides="within_kprobe_blacklist", needs=(KPROBE_BLACKLIST,))
def blacklisted(t: Traits, _k: KernelFeatures) -> bool:
    """The function is in the kprobe blacklist (NOKPROBE_SYMBOL, noinstr and entry code).

    A name with a suffix is refused for its base name, too. fentry and kprobe.multi do not read the list.
    """
    return t.blacklisted


@GATE.rule(
    "padding",
    errno="EINVAL",
    decides="is_cfi_preamble_symbol",
    feature="padding_check",
    known="6.1 and later; in 5.10.223 the test has its arguments swapped",
)
def padding(t: Traits, _k: KernelFeatures) -> bool:
    """The symbol names padding in front of a function (__pfx_, __cfi_), not a function."""
    return t.padding


@GATE.rule(
    "bug_or_patch_site",
    errno="EINVAL",
    decides="check_kprobe_address_safe: find_bug, static_call_text_reserved, jump_label_text_reserved",
    needs=(CODE,),
)
def bug_or_patch_site(t: Traits, _k: KernelFeatures) -> bool:
    """The first instruction is a BUG or WARN trap (ud2), or a static call's, which the kernel reserves.

    Seen where a `.cold` part begins with ud2.
    """
    return t.first == "bug"


@GATE.rule(
    "stale_bug",
    errno="EINVAL",
    decides="check_kprobe_address_safe: find_bug; lib/bug.c module_find_bug",
    needs=(KALLSYMS,),
    known="measured on 7.3: __tun_wake_queue lay where kvm_amd's init text had been",
)
def stale_bug(t: Traits, _k: KernelFeatures) -> bool:
    """The function lies where the init text of a module loaded before had a BUG or WARN.

    That text was freed, its entries in the module's bug table were not, and the kernel takes this function's first
    byte for theirs. It depends on where modules were loaded: after another boot it is another function, or none.
    fentry and kprobe.multi are not refused.
    """
    return t.first == "stale"


@GATE.rule("trap_instruction", errno="EILSEQ", decides="arch_prepare_kprobe: can_probe, INT3/INTn/UD", needs=(CODE,))
def trap_instruction(t: Traits, _k: KernelFeatures) -> bool:
    """The first instruction is a trap that may not be replaced (int3, int n)."""
    return t.first == "int"


@GATE.rule("not_emulated", errno="EOPNOTSUPP", decides="arch_prepare_kprobe: prepare_emulation", needs=(CODE,))
def not_emulated(t: Traits, _k: KernelFeatures) -> bool:
    """The first instruction cannot be run out of line (indirect call or jump through memory, far jump, iret)."""
    return t.first == "indirect"


@GATE.rule("rejected", errno="EINVAL", decides="arch_prepare_kprobe: arm_kprobe_decode_insn", needs=(CODE,))
def rejected(t: Traits, _k: KernelFeatures) -> bool:
    """arm64: the first instruction can neither be stepped out of line nor simulated, or may fault."""
    return t.first == "rejected"


# __register_trace_kprobe: lockdown, within_notrace_func; then register_kprobe: _kprobe_addr, check_kprobe_address_safe,
# arch_prepare_kprobe. register_kretprobe asks its own blacklist behind _kprobe_addr, so that an address outside the
# kernel is ENOENT for both; what is asked of check_kprobe_address_safe here is EINVAL, whatever comes first.
_ENTRY = (
    "locked_down",
    "notrace",
    "no_place",
    "not_text",
    "blacklisted",
    "padding",
    "bug_or_patch_site",
    "stale_bug",
    "trap_instruction",
    "not_emulated",
    "rejected",
)
KPROBE = GATE.part(*_ENTRY)
KRETPROBE = GATE
