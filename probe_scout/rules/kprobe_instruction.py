"""What kprobes say about the instruction at an address, in the order the kernel asks: x86_64.

Mirrors kernel/kprobes.c (_kprobe_addr, register_kretprobe, check_kprobe_address_safe) and
arch/x86/kernel/kprobes/core.c (arch_prepare_kprobe, can_probe, __copy_instruction, prepare_emulation).
The rules of names, of functions without an ftrace record, of the blacklist and of lockdown come before these and live
in their own files; `kprobe_instruction_arm64.py` has the instructions of arm64.

Not a rule: alternatives_text_reserved(), which kernels up to 7.2 call here with an empty range
(start == end), so that it never refuses anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arch import ARCHITECTURES
from ..model import instruction as kinds
from ..model.facts import BTF, CODE, CONFIG, FILTER_FUNCTIONS, KALLSYMS
from ..named_tuple import NamedTuple
from .gate import Errno, Gate, Judgement

UINT_MAX = 0xFFFFFFFF
OFFSET_TYPES = ("kprobe", "kretprobe")  # the attach types that take an offset
_ENDBR_BYTES = 4
_SITE_BYTES = ARCHITECTURES["x86_64"].ftrace_site_bytes
# The rule refuses, and with which errno depends on a table that is asked before it and was not read.
_ERRNO_OPEN = Errno(None)

NUMBER = Gate("kprobe_instruction", source="kernel/kprobes.c", entry="_kprobe_addr")
GATE = Gate("kprobe_instruction", source="arch/x86/kernel/kprobes/core.c", entry="arch_prepare_kprobe")


class Features(NamedTuple):
    """How this kernel's kprobes behave, each seen in the kernel's own files; None where they could not be read."""

    # kallsyms has arch_adjust_kprobe_addr. Since Linux kernel commit cc66bb914578 ("x86/ibt,kprobes: Cure
    # sym+0 equals fentry woes") the symbol of sym+offset is looked up again and ENDBR is stepped over.
    adjusts_address: bool | None
    # BTF: can_boost() returns bool. The same series ("x86/kprobes: Prohibit kprobing on INT and UD")
    # made can_probe refuse traps; can_probe itself is static and is in no list.
    refuses_traps: bool | None
    # kallsyms has kprobe_emulate_call. Without it prepare_emulation does not exist.
    emulates: bool | None
    # CONFIG_CFI_CLANG=y or CONFIG_CFI=y: the mov/add pair before an indirect call's trap is refused.
    cfi: bool | None


class OffsetFacts(NamedTuple):
    """One address inside a symbol. None stands for a fact that was not read."""

    offset_bytes: int  # from the start of the symbol that holds the address
    is_return: bool
    starts_with_endbr: bool | None
    ftrace_site: int | None  # offset of the function's ftrace record: 0 or 4; None if it has none
    boundaries: Sequence[int] | None  # starts of instructions, from the symbol's start
    decoded_bytes: int  # nothing is known about boundaries from here on
    kind: str | None  # model.instruction kind of the instruction at `probed_offset`
    inside: str | None  # kind of the instruction that covers the offset, when it is no boundary
    patch_site: str | None  # "", bug, jump_label or static_call: what the kernel's tables hold there
    is_running_code: bool  # read from proc/kcore; False: from an image, before boot patched it
    cfi_pair: bool = False  # the bytes are the mov or add that a CFI trap decodes


def probed_offset(facts: OffsetFacts, features: Features) -> int | None:
    """The offset that is really probed: sym+0 becomes sym+4 behind ENDBR; None if that cannot be told.

    arch/x86/kernel/kprobes/core.c, arch_adjust_kprobe_addr.
    """
    has_endbr, adjusts = _has_endbr(facts), _adjusts(facts, features)
    if facts.offset_bytes or has_endbr is False or adjusts is False:
        return facts.offset_bytes
    if has_endbr is None or adjusts is None:
        return None
    return _ENDBR_BYTES


def _has_endbr(facts: OffsetFacts) -> bool | None:
    """A record at +4 stands behind ENDBR, a record at +0 where there is none."""
    if facts.starts_with_endbr is None and facts.ftrace_site is not None:
        return facts.ftrace_site == _ENDBR_BYTES
    return facts.starts_with_endbr


def _adjusts(facts: OffsetFacts, features: Features) -> bool | None:
    """Records at +4 came with the same series as arch_adjust_kprobe_addr, so one shows the other."""
    if features.adjusts_address is None and facts.ftrace_site == _ENDBR_BYTES:
        return True
    return features.adjusts_address


def _is_site(facts: OffsetFacts, features: Features) -> bool:
    return facts.ftrace_site is not None and facts.ftrace_site in (facts.offset_bytes, probed_offset(facts, features))


@NUMBER.rule("offset_range", errno="ENOENT", decides="_kprobe_addr", needs=(KALLSYMS,), types=OFFSET_TYPES)
def offset_range(offset_bytes: int, features: Features) -> bool | Errno:
    """The offset is negative or larger than 32 bits.

    By perf the sum lies in no symbol: ENOENT, and EINVAL from kernels without arch_adjust_kprobe_addr. tracefs
    refuses the text with EINVAL (kernel/trace/trace_kprobe.c, __trace_kprobe_create).
    """
    if 0 <= offset_bytes <= UINT_MAX:
        return False
    return True if features.adjusts_address else Errno("EINVAL" if features.adjusts_address is False else None)


@GATE.rule(
    "not_entry",
    errno="EINVAL",
    decides="kernel/kprobes.c: kprobe_on_func_entry",
    needs=(CODE,),
    types=("kretprobe",),
)
def not_entry(facts: OffsetFacts, features: Features) -> bool | str:
    """A return probe is accepted at the function's entry only.

    Behind ENDBR, +4 is the entry as well, where the kernel steps over ENDBR.
    """
    if not facts.is_return or facts.offset_bytes == 0:
        return False
    adjusts = _adjusts(facts, features)
    if facts.offset_bytes == _ENDBR_BYTES and adjusts is not False:
        has_endbr = _has_endbr(facts)
        if has_endbr and adjusts:
            return False
        if has_endbr is not False:
            return "whether the function starts with ENDBR was not read"
    return True


@GATE.rule(
    "reserved",
    errno="EINVAL",
    decides=(
        "kernel/kprobes.c: check_kprobe_address_safe: find_bug, jump_label_text_reserved, static_call_text_reserved"
    ),
    needs=(CODE,),
    types=OFFSET_TYPES,
)
def reserved(facts: OffsetFacts, features: Features) -> bool:
    """The address belongs to a BUG or WARN, a jump label or a static call of the kernel.

    The kernel rewrites these instructions itself. Its tables of them lie in its data; where they were not read,
    the answer is unknown for instructions that may be one. No table holds an ftrace site.
    """
    return bool(facts.patch_site) and not _is_site(facts, features)


@GATE.rule(
    "inside_ftrace_site",
    errno="EILSEQ",
    decides="kernel/kprobes.c: check_ftrace_location; can_probe",
    needs=(FILTER_FUNCTIONS,),
    types=OFFSET_TYPES,
)
def inside_ftrace_site(facts: OffsetFacts, _features: Features) -> bool:
    """The offset lies inside the five bytes that ftrace owns; only their first byte can be probed."""
    site = facts.ftrace_site
    return site is not None and site < facts.offset_bytes < site + _SITE_BYTES


@GATE.rule("not_boundary", errno="EILSEQ", decides="can_probe", needs=(CODE,), types=OFFSET_TYPES)
def not_boundary(facts: OffsetFacts, features: Features) -> bool | str | Errno:
    """The offset is not the start of an instruction.

    The kernel decodes from the symbol's start and must arrive at the address. Inside a jump label or a static call
    its tables refuse first, with EINVAL.
    """
    # can_probe decodes from the symbol's start up to the address, so its first byte always is a start of an
    # instruction.
    if facts.offset_bytes == 0 or _is_site(facts, features):
        return False
    if facts.ftrace_site is not None and facts.offset_bytes == facts.ftrace_site + _SITE_BYTES:
        return False  # endbr64 and the site are whole instructions, whatever they hold
    if _has_endbr(facts) and facts.offset_bytes < _ENDBR_BYTES:
        return True
    if facts.boundaries is None or facts.offset_bytes >= facts.decoded_bytes:
        return "the function's code was not read as far as this offset"
    if facts.offset_bytes in facts.boundaries:
        return False
    if not facts.is_running_code and facts.inside in kinds.PATCHABLE:
        return "the offset lies inside an instruction that boot may have replaced; only the running code tells"
    return _ERRNO_OPEN if facts.patch_site is None and facts.inside in kinds.PATCHABLE else True


@GATE.rule("trap", errno="EILSEQ", decides="can_probe: INT3, INTn, UD", needs=(CODE, BTF), types=OFFSET_TYPES)
def trap(facts: OffsetFacts, features: Features) -> bool | str | Errno:
    """The instruction is INT or UD, which kernels with this check refuse.

    EINVAL where it is a BUG or WARN of the kernel's table, which is asked first.
    """
    if _is_site(facts, features):
        return False
    if facts.kind is None or facts.kind == kinds.TRUNCATED:
        return "the instruction at the address was not read"
    if facts.patch_site is None and facts.kind in (*kinds.PATCHABLE, kinds.UD):
        if facts.kind == kinds.UD and features.refuses_traps:
            return _ERRNO_OPEN
        return "the kernel's tables of BUG, jump label and static call sites were not read; such a site is refused"
    if facts.kind not in (kinds.UD, kinds.INT):
        return False
    return (
        "whether this kernel refuses INT and UD was not read"
        if features.refuses_traps is None
        else (features.refuses_traps)
    )


@GATE.rule("cfi", errno="EILSEQ", decides="can_probe: Kconfig CFI", needs=(CODE, CONFIG), types=OFFSET_TYPES)
def cfi(facts: OffsetFacts, features: Features) -> bool | str:
    """A CFI trap decodes this instruction: the mov and add before an indirect call's UD2 stay as they are."""
    if not facts.cfi_pair or _is_site(facts, features):
        return False
    return "whether the kernel was built with CFI was not read" if features.cfi is None else features.cfi


@GATE.rule("not_copied", errno="EINVAL", decides="__copy_instruction", needs=(CODE,), types=OFFSET_TYPES)
def not_copied(facts: OffsetFacts, features: Features) -> bool:
    """The instruction cannot be copied: it holds back exceptions, or carries a forced-emulation prefix."""
    # arch_copy_kprobe turns the length 0 of __copy_instruction into EINVAL, ahead of prepare_emulation. A site is not
    # copied: KPROBE_FLAG_FTRACE sends register_kprobe another way (arch_prepare_kprobe_ftrace).
    return facts.kind in (kinds.MASKING, kinds.EMULATED) and not _is_site(facts, features)


@GATE.rule("not_emulated", errno="EOPNOTSUPP", decides="prepare_emulation", needs=(CODE,), types=OFFSET_TYPES)
def not_emulated(facts: OffsetFacts, features: Features) -> bool | str:
    """kprobes cannot emulate this instruction: a far or indirect jump or call through memory, iret, vmx.

    Paravirtual calls are such until boot replaces them, so only the running code tells.
    """
    if _is_site(facts, features):
        return False
    if facts.kind == kinds.INT:
        return "which software interrupt it is was not read"
    if facts.kind not in (kinds.FAR, kinds.IRET, kinds.VMX, kinds.INDIRECT):
        return False
    if facts.kind in (kinds.INDIRECT, kinds.VMX) and not facts.is_running_code:
        return "boot replaces paravirtual calls through memory; only the running code tells what is there"
    return True if features.emulates else "how this kernel steps over such an instruction was not read"


# Before arch_adjust_kprobe_addr, arch_check_ftrace_location refused the inside of a site ahead of all tables.
BEFORE_ADJUSTING = GATE.reordered(not_entry, inside_ftrace_site)


def judge_number(offset_bytes: int, features: Features) -> Judgement:
    """What the kernel answers for a number that may be no offset at all, before it looks at any symbol."""
    return NUMBER.judge(offset_bytes, features)


def judge_offset(facts: OffsetFacts, features: Features) -> Judgement:
    """What the kernel answers for a kprobe or kretprobe at this address; the first rule that settles it decides."""
    gate = BEFORE_ADJUSTING if features.adjusts_address is False else GATE
    return gate.judge(facts, features)
