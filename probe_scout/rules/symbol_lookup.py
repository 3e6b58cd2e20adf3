"""Name to address, for kprobes through perf and tracefs.

kernel/trace/trace_kprobe.c: create_local_trace_kprobe, number_of_same_symbols, validate_probe_symbol;
kernel/kprobes.c: _kprobe_addr.
"""

from __future__ import annotations

from ..model.facts import KALLSYMS
from ..model.traits import Traits
from .gate import Gate, KernelFeatures

GATE = Gate("symbol_lookup", source="kernel/trace/trace_kprobe.c", entry="create_local_trace_kprobe")


@GATE.rule("name_too_long", errno="E2BIG", decides="kernel/trace/trace_event_perf.c perf_kprobe_init")
def name_too_long(t: Traits, _k: KernelFeatures) -> bool:
    """The name is longer than the kernel's KSYM_NAME_LEN.

    512 bytes with the final NUL since b8a94bfb3395, which came with Linux 6.1.
    """
    return not t.name_fits


@GATE.rule(
    "name_over_127",
    errno="E2BIG",
    decides="kernel/trace/trace_event_perf.c perf_kprobe_init: strndup_user(KSYM_NAME_LEN)",
    feature="short_names",
    known="until b8a94bfb3395, which came with Linux 6.1; the size of struct bpf_ksym, which holds a name, tells",
)
def name_over_127(t: Traits, _k: KernelFeatures) -> bool:
    """The name is longer than 127 bytes, and this kernel's KSYM_NAME_LEN is 128.

    perf copies at most so many bytes, the final NUL among them. No symbol of this kernel has a longer name.
    """
    return t.name_over_127


@GATE.rule(
    "no_symbol",
    errno="ENOENT",
    decides="number_of_same_symbols; _kprobe_addr before that check existed",
    needs=(KALLSYMS,),
)
def no_symbol(t: Traits, _k: KernelFeatures) -> bool:
    """kallsyms has no symbol of exactly this name.

    The function was inlined into all its callers, renamed by the compiler (`.isra.0`, `.constprop.0`),
    never built, or belongs to a module that is not loaded. Through tracefs the same name gets EINVAL
    from the kernels that check uniqueness, and error_log says BAD_PROBE_ADDR.
    """
    return t.vmlinux + t.modules == 0


@GATE.rule(
    "module_not_counted",
    errno="ENOENT",
    decides="number_of_same_symbols == 0: kallsyms_on_each_match_symbol walks vmlinux alone",
    needs=(KALLSYMS,),
    feature="unique_check",
    unless="counts_modules",
    known="kernels with b022f0c7e404 and without 926fe783c8a6: stable 6.1.60 to 6.1.70 and others of that time",
)
def module_not_counted(t: Traits, _k: KernelFeatures) -> bool:
    """Only a module has this symbol, and this kernel counts the symbols of vmlinux alone.

    It finds none. Through tracefs the name with its module in front is accepted, for there a name with a colon is
    not counted; so is a probe by address.
    """
    return not t.qualified and t.vmlinux == 0 and t.modules > 0


@GATE.rule(
    "prefix_counted",
    errno="ENOENT",
    decides='create_local_trace_kprobe: number_of_same_symbols("MODULE:FUNCTION") == 0',
    needs=(KALLSYMS,),
    feature="unique_check",
    unless="prefix_understood",
    known="kernels that count and do not look for the colon: 6.7 to 6.10, 6.1 before 6.1.122, 6.6 before 6.6.68. "
    "The fix left no symbol or type: the code of create_local_trace_kprobe tells, or nothing does",
)
def prefix_counted(t: Traits, _k: KernelFeatures) -> bool:
    """Through perf this kernel counts MODULE:FUNCTION as one name, and finds no symbol of that name.

    The bare name is accepted where it is the only one, and tracefs takes the name with its module.
    """
    return t.qualified and t.modules > 0


@GATE.rule(
    "ambiguous",
    errno="EADDRNOTAVAIL",
    decides="number_of_same_symbols > 1",
    needs=(KALLSYMS,),
    feature="unique_check",
    known="since 6.7 (b022f0c7e404), carried by the stable trees 6.1 and 6.6; absent in 5.10",
)
def ambiguous(t: Traits, k: KernelFeatures) -> bool:
    """Several symbols carry this name, and the kernel refuses to choose.

    Data symbols count. Through tracefs the errno is EINVAL and error_log says NON_UNIQ_SYMBOL. A probe by
    address is accepted. A name qualified by its module is counted in that module alone, and not at all
    by the kernels that do not know validate_probe_symbol.
    """
    # validate_module_probe_symbol hands the module's name to number_of_same_symbols, which then leaves vmlinux out.
    if t.qualified:
        return t.modules > 1 and k.feature("unique_check_in_module") is True
    # One of vmlinux and some of modules: kernels differ, see module_has_it_too.
    return t.vmlinux > 1 or (t.vmlinux == 0 and t.modules > 1)


@GATE.rule(
    "module_has_it_too",
    errno="EADDRNOTAVAIL",
    decides="number_of_same_symbols: the module's symbol is counted beside vmlinux's",
    needs=(KALLSYMS,),
    feature="unique_check",
    unless="vmlinux_wins",
    known="until 7.0; 7.2 stops counting once vmlinux has the name, and so does stable 7.1.13. "
    "That change left no symbol or type, so a contemporary is probed, and 7.1 is unknown",
)
def module_has_it_too(t: Traits, _k: KernelFeatures) -> bool:
    """vmlinux and a loaded module both have a symbol of this name, and the kernel counts both.

    Newer kernels take the one of vmlinux.
    """
    return not t.qualified and t.vmlinux == 1 and t.modules > 0
