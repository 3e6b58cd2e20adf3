"""What kprobes say about the instruction at an address, in the order the kernel asks.

Mirrors kernel/kprobes.c (_kprobe_addr, register_kretprobe, check_kprobe_address_safe) and
arch/x86/kernel/kprobes/core.c (arch_prepare_kprobe, can_probe, __copy_instruction, prepare_emulation).
The rules of names, of functions without an ftrace record and of lockdown come before these and live in
their own files. Only x86_64 is decoded; for other architectures the answer is unknown.

Not a rule: alternatives_text_reserved(), which kernels up to 7.2 call here with an empty range
(start == end), so that it never refuses anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..model import instruction as kinds
from ..model.verdict import NO, UNKNOWN, YES

UINT_MAX = 0xFFFFFFFF
_ENDBR_BYTES = 4
_SITE_BYTES = 5  # MCOUNT_INSN_SIZE of x86


class Witnesses(NamedTuple):
    """How this kernel's kprobes behave, each seen in the kernel's own files; None where they could not be read."""

    # kallsyms has arch_adjust_kprobe_addr. Since Linux kernel commit cc66bb914578 ("x86/ibt,kprobes: Cure
    # sym+0 equals fentry woes") the symbol of sym+offset is looked up again and ENDBR is stepped over.
    adjusts_address: bool | None
    # BTF: can_boost() returns bool. The same series ("x86/kprobes: Prohibit kprobing on INT and UD")
    # made can_probe refuse traps; can_probe itself is static and leaves no witness.
    refuses_traps: bool | None
    # kallsyms has kprobe_emulate_call. Without it prepare_emulation does not exist.
    emulates: bool | None
    # CONFIG_CFI_CLANG=y or CONFIG_CFI=y: the mov/add pair before an indirect call's trap is refused.
    cfi: bool | None


class OffsetFacts(NamedTuple):
    """One address, as `containing_symbol` placed it. None stands for a fact that was not read."""

    arch: str
    offset_bytes: int  # from the start of the symbol that holds the address
    size_bytes: int | None  # to the next symbol
    is_return: bool
    starts_with_endbr: bool | None
    ftrace_site: int | None  # offset of the function's ftrace record: 0 or 4; None if it has none
    blacklisted: bool
    preamble: bool  # the symbol is named __cfi_* or __pfx_*
    boundaries: Sequence[int] | None  # starts of instructions, from the symbol's start
    decoded_bytes: int  # nothing is known about boundaries from here on
    kind: str | None  # model.instruction kind of the instruction at `probed_offset`
    inside: str | None  # kind of the instruction that covers the offset, when it is no boundary
    site: str | None  # "", bug, jump_label or static_call: what the kernel's tables hold there
    is_running_code: bool  # read from proc/kcore; False: from an image, before boot patched it
    cfi_pair: bool = False  # the bytes are the mov or add that a CFI trap decodes


class Judgement(NamedTuple):
    """`errno` is None for yes and unknown, and for a *no* whose errno depends on what was not read."""

    answer: str
    errno: str | None
    rule: str
    says: str


ACCEPTED = Judgement(YES, None, "", "the instruction can be probed")


def containing_symbol(addresses: Sequence[int], address: int) -> tuple[int, int | None] | None:
    """(start, size in bytes) of the symbol that holds an address; None if none does.

    `addresses`: the sorted distinct addresses of all symbols, data too. Mirrors get_symbol_pos
    (kernel/kallsyms.c): the size reaches to the next higher address, None for the last symbol. So an
    offset beyond a function lands in the symbol after it, and is judged there.
    """
    from bisect import bisect_right

    index = bisect_right(addresses, address)
    if index == 0:
        return None
    start = addresses[index - 1]
    return start, addresses[index] - start if index < len(addresses) else None


def judge_range(offset_bytes: int, is_tracefs: bool, adjusts_address: bool | None) -> Judgement:
    """A number that is no offset: negative, or past 32 bits.

    tracefs refuses it while reading the text (kernel/trace/trace_kprobe.c, __trace_kprobe_create); by
    perf the sum lies in no symbol, which _kprobe_addr answers with ENOENT and older kernels with EINVAL.
    """
    if 0 <= offset_bytes <= UINT_MAX:
        return ACCEPTED
    says = "the offset is negative or larger than 32 bits"
    if is_tracefs:
        return Judgement(NO, "EINVAL", "kprobe_instruction.offset_range", says)
    errno = None if adjusts_address is None else "ENOENT" if adjusts_address else "EINVAL"
    return Judgement(NO, errno, "kprobe_instruction.offset_range", says)


def probed_offset(facts: OffsetFacts, witnesses: Witnesses) -> int | None:
    """The offset that is really probed: sym+0 becomes sym+4 behind ENDBR; None if that cannot be told.

    arch/x86/kernel/kprobes/core.c, arch_adjust_kprobe_addr.
    """
    has_endbr, adjusts = _has_endbr(facts), _adjusts(facts, witnesses)
    if facts.offset_bytes or has_endbr is False or adjusts is False:
        return facts.offset_bytes
    if has_endbr is None or adjusts is None:
        return None
    return _ENDBR_BYTES


def judge_offset(facts: OffsetFacts, witnesses: Witnesses) -> Judgement:
    """What the kernel answers for a kprobe or kretprobe at this address, by the first rule that fires."""
    if facts.arch != "x86_64":
        return Judgement(
            UNKNOWN,
            None,
            "kprobe_instruction.not_decoded",
            f"instruction rules for {facts.arch or 'this architecture'} are not decoded here",
        )
    for rule in (_not_entry, _inside_site_first, _reserved, _inside_site, _boundary, _trap, _copy):
        judgement = rule(facts, witnesses)
        if judgement is not None:
            return judgement
    return ACCEPTED


def _has_endbr(facts: OffsetFacts) -> bool | None:
    """A record at +4 stands behind ENDBR, a record at +0 where there is none."""
    if facts.starts_with_endbr is None and facts.ftrace_site is not None:
        return facts.ftrace_site == _ENDBR_BYTES
    return facts.starts_with_endbr


def _adjusts(facts: OffsetFacts, witnesses: Witnesses) -> bool | None:
    """Records at +4 came with the same series as arch_adjust_kprobe_addr, so one shows the other."""
    if witnesses.adjusts_address is None and facts.ftrace_site == _ENDBR_BYTES:
        return True
    return witnesses.adjusts_address


def _is_site(facts: OffsetFacts, witnesses: Witnesses) -> bool:
    return facts.ftrace_site is not None and facts.ftrace_site in (facts.offset_bytes, probed_offset(facts, witnesses))


def _not_entry(facts: OffsetFacts, witnesses: Witnesses) -> Judgement | None:
    """kprobe_instruction.not_entry: kprobe_on_func_entry; a return probe needs the function's first instruction."""
    if not facts.is_return or facts.offset_bytes == 0:
        return None
    says = "a return probe is accepted at the function's entry only"
    adjusts = _adjusts(facts, witnesses)
    if facts.offset_bytes == _ENDBR_BYTES and adjusts is not False:
        has_endbr = _has_endbr(facts)
        if has_endbr and adjusts:
            return None
        if has_endbr is not False:
            return _unknown("kprobe_instruction.not_entry", "whether the function starts with ENDBR was not read")
    return Judgement(NO, "EINVAL", "kprobe_instruction.not_entry", says)


def _inside_site_first(facts: OffsetFacts, witnesses: Witnesses) -> Judgement | None:
    """Before arch_adjust_kprobe_addr, arch_check_ftrace_location refused the inside of a site first of all."""
    return _inside_site(facts, witnesses) if witnesses.adjusts_address is False else None


def _reserved(facts: OffsetFacts, witnesses: Witnesses) -> Judgement | None:
    """kprobe_instruction.reserved: check_kprobe_address_safe; no table holds an ftrace site."""
    if facts.blacklisted:
        return Judgement(NO, "EINVAL", "kprobe_register.blacklisted", "the address lies in the kprobe blacklist")
    if facts.preamble:
        return Judgement(
            NO, "EINVAL", "kprobe_register.preamble", "__cfi_ and __pfx_ symbols are padding, not functions"
        )
    if facts.site and not _is_site(facts, witnesses):
        what = {"bug": "a BUG or WARN", "jump_label": "a jump label", "static_call": "a static call"}[facts.site]
        return Judgement(NO, "EINVAL", "kprobe_instruction.reserved", f"the address belongs to {what} of the kernel")
    return None


def _inside_site(facts: OffsetFacts, witnesses: Witnesses) -> Judgement | None:
    """kprobe_instruction.inside_ftrace_site: one call or no-op of five bytes starts at its first byte only."""
    del witnesses
    site = facts.ftrace_site
    if site is not None and site < facts.offset_bytes < site + _SITE_BYTES:
        return Judgement(
            NO,
            "EILSEQ",
            "kprobe_instruction.inside_ftrace_site",
            f"the offset lies inside the five bytes that ftrace owns, +{site:#x} to +{site + _SITE_BYTES - 1:#x}",
        )
    return None


def _boundary(facts: OffsetFacts, witnesses: Witnesses) -> Judgement | None:
    """kprobe_instruction.not_boundary: can_probe decodes from the symbol's start and must arrive at the address."""
    if facts.offset_bytes == 0 or _is_site(facts, witnesses):
        return None
    if facts.ftrace_site is not None and facts.offset_bytes == facts.ftrace_site + _SITE_BYTES:
        return None  # endbr64 and the site are whole instructions, whatever they hold
    says = "the offset is not the start of an instruction"
    if _has_endbr(facts) and facts.offset_bytes < _ENDBR_BYTES:
        return Judgement(NO, "EILSEQ", "kprobe_instruction.not_boundary", says)
    if facts.boundaries is None or facts.offset_bytes >= facts.decoded_bytes:
        return _unknown("kprobe_instruction.not_boundary", "the function's code was not read as far as this offset")
    if facts.offset_bytes in facts.boundaries:
        return None
    if not facts.is_running_code and facts.inside in kinds.PATCHABLE:
        return _unknown(
            "kprobe_instruction.not_boundary",
            "the offset lies inside an instruction that boot may have replaced; only the running code tells",
        )
    # Inside a jump label or a static call the kernel's tables refuse first, with EINVAL.
    errno = None if facts.site is None and facts.inside in kinds.PATCHABLE else "EILSEQ"
    return Judgement(NO, errno, "kprobe_instruction.not_boundary", says)


def _trap(facts: OffsetFacts, witnesses: Witnesses) -> Judgement | None:
    """kprobe_instruction.trap and .cfi: can_probe refuses INT and UD, and what a CFI trap decodes."""
    if _is_site(facts, witnesses):
        return None
    if facts.kind is None or facts.kind == kinds.TRUNCATED:
        return _unknown("kprobe_instruction.trap", "the instruction at the address was not read")
    if facts.site is None and facts.kind in (*kinds.PATCHABLE, kinds.UD):
        if facts.kind == kinds.UD and witnesses.refuses_traps:  # EINVAL for BUG and WARN, else EILSEQ
            return Judgement(NO, None, "kprobe_instruction.trap", "INT and UD instructions are not probed")
        return _unknown(
            "kprobe_instruction.reserved",
            "the kernel's tables of BUG, jump label and static call sites were not read; such a site is refused",
        )
    if facts.kind in (kinds.UD, kinds.INT):
        if witnesses.refuses_traps:
            return Judgement(NO, "EILSEQ", "kprobe_instruction.trap", "INT and UD instructions are not probed")
        if witnesses.refuses_traps is None:
            return _unknown("kprobe_instruction.trap", "whether this kernel refuses INT and UD was not read")
    if facts.cfi_pair and witnesses.cfi is not False:
        if witnesses.cfi is None:
            return _unknown("kprobe_instruction.cfi", "whether the kernel was built with CFI was not read")
        return Judgement(NO, "EILSEQ", "kprobe_instruction.cfi", "a CFI trap decodes this instruction")
    return None


def _copy(facts: OffsetFacts, witnesses: Witnesses) -> Judgement | None:
    """kprobe_instruction.not_copied and .not_emulated: __copy_instruction, then prepare_emulation."""
    if _is_site(facts, witnesses):
        return None
    if facts.kind in (kinds.MASKING, kinds.EMULATED):
        says = "the instruction holds back exceptions or carries a forced-emulation prefix"
        return Judgement(NO, "EINVAL", "kprobe_instruction.not_copied", says)
    if facts.kind in (kinds.FAR, kinds.IRET, kinds.VMX, kinds.INDIRECT):
        if facts.kind in (kinds.INDIRECT, kinds.VMX) and not facts.is_running_code:
            return _unknown(
                "kprobe_instruction.not_emulated",
                "boot replaces paravirtual calls through memory; only the running code tells what is there",
            )
        if witnesses.emulates:
            says = "kprobes cannot emulate this instruction (far, iret, vmx, or a call or jump through memory)"
            return Judgement(NO, "EOPNOTSUPP", "kprobe_instruction.not_emulated", says)
        return _unknown(
            "kprobe_instruction.not_emulated", "how this kernel steps over such an instruction was not read"
        )
    if facts.kind == kinds.INT:
        return _unknown("kprobe_instruction.not_copied", "which software interrupt it is was not read")
    return None


def _unknown(rule: str, says: str) -> Judgement:
    return Judgement(UNKNOWN, None, rule, says)


class Page(NamedTuple):
    """What `rules ID` tells about one id of this file. `errno`: every one that the rule can give, "" for none."""

    id: str
    errno: str
    text: str
    decides: str
    needs: tuple[str, ...]
    types: tuple[str, ...] = ("kprobe", "kretprobe")


_REACHED = "arch/x86/kernel/kprobes/core.c "
PAGES = (
    Page(
        "kprobe_instruction.offset_range",
        "ENOENT",
        """The offset is negative or larger than 32 bits.

        By perf the sum lies in no symbol: ENOENT, and EINVAL from kernels without arch_adjust_kprobe_addr. tracefs
        refuses the text with EINVAL.""",
        "kernel/kprobes.c _kprobe_addr",
        ("kallsyms",),
    ),
    Page(
        "kprobe_instruction.other_symbol",
        "",
        """The offset lies behind the end of the function, in another symbol.

        The kernel looks the sum up again and judges the address by the symbol that holds it. Ask for that symbol.""",
        "kernel/kprobes.c _kprobe_addr: kallsyms_lookup_size_offset",
        ("kallsyms",),
    ),
    Page(
        "kprobe_instruction.not_decoded",
        "",
        """The instructions of this architecture are not decoded here, so nothing is said about an offset.""",
        "arch_prepare_kprobe of the architecture",
        ("code",),
    ),
    Page(
        "kprobe_instruction.not_entry",
        "EINVAL",
        """A return probe is accepted at the function's entry only.

        Behind ENDBR, +4 is the entry as well, where the kernel steps over ENDBR.""",
        "kernel/kprobes.c kprobe_on_func_entry",
        ("code",),
        ("kretprobe",),
    ),
    Page(
        "kprobe_instruction.reserved",
        "EINVAL",
        """The address belongs to a BUG or WARN, a jump label or a static call of the kernel.

        The kernel rewrites these instructions itself. Its tables of them lie in its data; where they were not read,
        the answer is unknown for instructions that may be one.""",
        "kernel/kprobes.c check_kprobe_address_safe: find_bug, jump_label_text_reserved, static_call_text_reserved",
        ("code",),
    ),
    Page(
        "kprobe_instruction.inside_ftrace_site",
        "EILSEQ",
        """The offset lies inside the five bytes that ftrace owns; only their first byte can be probed.""",
        "kernel/kprobes.c check_ftrace_location; " + _REACHED + "can_probe",
        ("filter_functions",),
    ),
    Page(
        "kprobe_instruction.not_boundary",
        "EILSEQ",
        """The offset is not the start of an instruction.

        The kernel decodes from the symbol's start and must arrive at the address.""",
        _REACHED + "can_probe",
        ("code",),
    ),
    Page(
        "kprobe_instruction.trap",
        "EILSEQ",
        """The instruction is INT or UD, which kernels with this check refuse.

        EINVAL where it is a BUG or WARN of the kernel's table, which is asked first.""",
        _REACHED + "can_probe",
        ("code", "btf"),
    ),
    Page(
        "kprobe_instruction.cfi",
        "EILSEQ",
        """A CFI trap decodes this instruction: the mov and add before an indirect call's UD2 stay as they are.""",
        _REACHED + "can_probe: Kconfig CFI",
        ("code", "config"),
    ),
    Page(
        "kprobe_instruction.not_copied",
        "EINVAL",
        """The instruction cannot be copied: it holds back exceptions, or carries a forced-emulation prefix.""",
        _REACHED + "__copy_instruction",
        ("code",),
    ),
    Page(
        "kprobe_instruction.not_emulated",
        "EOPNOTSUPP",
        """kprobes cannot emulate this instruction: a far or indirect jump or call through memory, iret, vmx.

        Paravirtual calls are such until boot replaces them, so only the running code tells.""",
        _REACHED + "prepare_emulation",
        ("code",),
    ),
    Page(
        "kprobe_register.preamble",
        "EINVAL",
        """The address lies in padding in front of a function (__cfi_, __pfx_), not in a function.""",
        "kernel/kprobes.c check_kprobe_address_safe: is_cfi_preamble_symbol",
        ("kallsyms",),
    ),
)
