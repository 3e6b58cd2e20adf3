"""What kprobes of arm64 say about the instruction at an address. Every refusal is EINVAL, by perf and by tracefs.

Mirrors kernel/kprobes.c (check_ftrace_location, check_kprobe_address_safe, register_kretprobe) and
arch/arm64/kernel/probes (arch_prepare_kprobe, arm_kprobe_decode_insn). arch_adjust_kprobe_addr is the weak one that
never moves an address, so a return probe is taken at the symbol's first byte only.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..arch import aarch64
from ..model.facts import BTF, CODE, CONFIG, FILTER_FUNCTIONS, KALLSYMS
from ..model.verdict import NO, UNKNOWN, YES
from ..named_tuple import NamedTuple
from . import kprobe_instruction as common
from .gate import Gate, Judgement

GATE = Gate("kprobe_instruction", source="arch/arm64/kernel/probes/kprobes.c", entry="arch_prepare_kprobe")
# What a word may be once boot is over: one value for running code, several behind an alternative, none if not told.
Word = tuple[int, ...]


class Features(NamedTuple):
    """How this kernel decodes; None where it could not be read."""

    # BTF or kallsyms has aarch64_insn_gen_load_acq_store_rel: the masks of exclusive loads and stores are exact.
    exact_masks: bool | None
    # Memory copy and set instructions are refused; False for a kernel that does not know them (do_el0_mops).
    refuses_mops: bool | None


class OffsetFacts(NamedTuple):
    """One address inside a symbol. None stands for a fact that was not read."""

    offset_bytes: int
    is_return: bool
    sites: tuple[int, ...]  # where ftrace's record of the symbol lies; several where it is one of them; () for none
    words: Sequence[Word]  # from the symbol's first byte up to the one asked for; shorter or with () where not read
    reserved: str | None  # "", bug, jump_label, extable, ops: what holds the address


def judge_offset(facts: OffsetFacts, features: Features) -> Judgement:
    """What the kernel answers for a kprobe or kretprobe at this address. Every rule's errno is EINVAL."""
    return GATE.judge(facts, features, is_settled_by_any=True)


@GATE.form(common.not_entry)
def not_entry(facts: OffsetFacts, _features: Features) -> bool:
    """arch_adjust_kprobe_addr never moves an address here, so there is one entry."""
    return facts.is_return and facts.offset_bytes != 0


@GATE.rule("unaligned", errno="EINVAL", decides="arch_prepare_kprobe", needs=(KALLSYMS,), types=common.OFFSET_TYPES)
def unaligned(facts: OffsetFacts, _features: Features) -> bool:
    """arm64: the offset is not a multiple of four bytes, so no instruction begins there."""
    return facts.offset_bytes % aarch64.WORD_BYTES != 0


@GATE.rule(
    "ftrace_site",
    errno="EINVAL",
    decides="kernel/kprobes.c: check_ftrace_location: no KPROBES_ON_FTRACE",
    needs=(FILTER_FUNCTIONS, CONFIG),
    types=common.OFFSET_TYPES,
)
def ftrace_site(facts: OffsetFacts, _features: Features) -> bool | str:
    """arm64: ftrace owns the instruction at this address, and kprobes do not share it.

    The function's first instruction lies in front of it and can be probed. With CONFIG_ARM64_BTI_KERNEL=y the
    site is the third instruction, else the second.
    """
    if facts.offset_bytes not in facts.sites or len(facts.sites) == 1:
        return facts.offset_bytes in facts.sites
    return "whether the kernel was built with CONFIG_ARM64_BTI_KERNEL was not read"


@GATE.form(common.reserved)
def reserved(facts: OffsetFacts, _features: Features) -> bool | str:
    """BUG, WARN and jump labels; arm64 has no static calls."""
    if facts.reserved is not None:
        return facts.reserved in ("bug", "jump_label")
    if not _is_before_site(facts) and any(
        aarch64.may_be_jump_label(one) or aarch64.may_fault(one) for one in _word(facts)
    ):
        return "the kernel's tables of jump labels and exceptions were not read"
    return False


@GATE.rule(
    "extable",
    errno="EINVAL",
    decides="arch_prepare_kprobe: search_exception_tables",
    needs=(CODE,),
    types=common.OFFSET_TYPES,
)
def extable(facts: OffsetFacts, _features: Features) -> bool:
    """arm64: the instruction may fault and has an entry in the kernel's exception table."""
    return facts.reserved == "extable"


@GATE.rule(
    "rejected",
    errno="EINVAL",
    decides="arch/arm64/kernel/probes/decode-insn.c: arm_probe_decode_insn, aarch64_insn_is_steppable",
    needs=(CODE,),
    types=common.OFFSET_TYPES,
)
def rejected(facts: OffsetFacts, features: Features) -> bool | str:
    """arm64: kprobes can neither step this instruction out of line nor simulate it.

    Exclusive loads and stores, CASP, exceptions, ERET, MSR, MRS of DAIF, PRFM of a literal, memory copy and set,
    and all hints but NOP, BTI and those that sign a pointer: AUTIASP, the last but one instruction of most
    functions, is one of them.
    """
    if _is_before_site(facts):
        return False
    word = _word(facts)
    if not word:
        return "the instruction at the address was not read"
    if aarch64.KPROBE_BREAKPOINT in word:
        return "a breakpoint of kprobes stands for the instruction at the address"
    said = {_judge(one, features) for one in word}
    if said == {NO}:
        return True
    return "which instruction boot puts here, or whether it is refused, was not read" if said != {YES} else False


@GATE.rule(
    "exclusive",
    errno="EINVAL",
    decides="arch/arm64/kernel/probes/decode-insn.c: is_probed_address_atomic",
    needs=(CODE, BTF),
    types=common.OFFSET_TYPES,
)
def exclusive(facts: OffsetFacts, features: Features) -> bool | str:
    """arm64: an exclusive load lies before the address, and no exclusive store between them.

    A breakpoint there would break the pair, so that it never succeeds. The kernel goes back at most 128
    instructions and not past the symbol. Kernels before the JIT learned load-acquire take LDAR for such a load.
    """
    if _is_before_site(facts):
        return False
    found = _is_atomic(facts, features)
    return "whether the address lies behind an exclusive load was not read" if found is None else found


def _word(facts: OffsetFacts) -> Word:
    """What may stand at the address; () where it was not read."""
    index = facts.offset_bytes // aarch64.WORD_BYTES
    return facts.words[index] if index < len(facts.words) else ()


def _is_before_site(facts: OffsetFacts) -> bool:
    """`mov x9, x30` or `bti c`, written by the compiler for ftrace, or the site itself: nothing to decode."""
    return bool(facts.sites) and facts.offset_bytes in (0, *facts.sites)


def _judge(word: int, features: Features) -> str:
    said = aarch64.judge_word(word)
    if said == aarch64.MOPS:
        refuses = features.refuses_mops
        return UNKNOWN if refuses is None else NO if refuses else YES
    return NO if said == aarch64.REFUSED else YES


def _is_atomic(facts: OffsetFacts, features: Features) -> bool | None:
    """is_probed_address_atomic: going back, an exclusive load comes before an exclusive store."""
    masks = (True, False) if features.exact_masks is None else (features.exact_masks,)
    found = {_scan(facts, exact) for exact in masks}
    return found.pop() if len(found) == 1 else None


def _scan(facts: OffsetFacts, exact: bool) -> bool | None:
    index = facts.offset_bytes // aarch64.WORD_BYTES
    is_varied = False
    own = max(facts.sites) // aarch64.WORD_BYTES if facts.sites else -1  # the last of ftrace's own instructions
    for at in range(index - 1, max(index - aarch64.SCAN_WORDS_MAX - 1, own), -1):
        word = facts.words[at] if at < len(facts.words) else ()
        if not word:
            return None
        kinds = {
            "store" if aarch64.closes_exclusive(one, exact) else "load" if aarch64.opens_exclusive(one, exact) else ""
            for one in word
        }
        if len(kinds) > 1:
            is_varied = True  # an alternative: what lies before it decides as well
        elif kinds != {""}:
            ends = kinds == {"load"}
            return None if is_varied else ends
    return None if is_varied else False
