"""What kprobes of arm64 say about the instruction at an address. Every refusal is EINVAL, by perf and by tracefs.

Mirrors kernel/kprobes.c (check_ftrace_location, check_kprobe_address_safe, register_kretprobe) and
arch/arm64/kernel/probes (arch_prepare_kprobe, arm_kprobe_decode_insn). arch_adjust_kprobe_addr is the weak one that
never moves an address, so a return probe is taken at the symbol's first byte only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..arch import aarch64
from ..model.verdict import NO, UNKNOWN
from .kprobe_instruction import ACCEPTED, Judgement, Page

# What a word may be once boot is over: one value for running code, several behind an alternative, none if not told.
Word = tuple[int, ...]


class Witnesses(NamedTuple):
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
    why: str = ""  # no code was read


def judge_offset(facts: OffsetFacts, witnesses: Witnesses) -> Judgement:
    """What the kernel answers for a kprobe or kretprobe at this address."""
    offset = facts.offset_bytes
    if facts.is_return and offset:
        return _no("not_entry", "a return probe is accepted at the function's entry only")
    if offset % aarch64.WORD_BYTES:
        return _no("unaligned", "instructions of arm64 lie at multiples of four bytes")
    if offset in facts.sites:
        if len(facts.sites) == 1:
            return _no("ftrace_site", f"ftrace owns the instruction at +{offset:#x}")
        return _unknown("ftrace_site", "whether the kernel was built with CONFIG_ARM64_BTI_KERNEL was not read")
    if facts.reserved in _RESERVED:
        return _no(*_RESERVED[facts.reserved])
    if facts.sites and not offset:
        return ACCEPTED  # mov x9, x30 or bti c, written by the compiler for ftrace
    index = offset // aarch64.WORD_BYTES
    word = facts.words[index] if index < len(facts.words) else ()
    if not word:
        return _unknown("not_read", "the instruction at the address was not read")
    if aarch64.KPROBE_BREAKPOINT in word:
        return _unknown("not_read", "a breakpoint of kprobes stands for the instruction at the address")
    said = {_judge(one, witnesses) for one in word}
    if said == {NO}:
        return _no("rejected", "kprobes can neither step nor simulate this instruction")
    atomic = _is_atomic(facts, witnesses)
    if atomic:
        return _no("exclusive", "the address lies between an exclusive load and its store")
    if said != {ACCEPTED.answer}:
        return _unknown("rejected", "which instruction boot puts here, or whether it is refused, was not read")
    if atomic is None:
        return _unknown("exclusive", "whether the address lies behind an exclusive load was not read")
    if facts.reserved is None and any(aarch64.may_be_jump_label(one) or aarch64.may_fault(one) for one in word):
        return _unknown("reserved", "the kernel's tables of jump labels and exceptions were not read")
    return ACCEPTED


def _judge(word: int, witnesses: Witnesses) -> str:
    said = aarch64.judge_word(word)
    if said == aarch64.MOPS:
        refuses = witnesses.refuses_mops
        return UNKNOWN if refuses is None else NO if refuses else ACCEPTED.answer
    return NO if said == aarch64.REFUSED else ACCEPTED.answer


def _is_atomic(facts: OffsetFacts, witnesses: Witnesses) -> bool | None:
    """is_probed_address_atomic: going back, an exclusive load comes before an exclusive store."""
    masks = (True, False) if witnesses.exact_masks is None else (witnesses.exact_masks,)
    found = {_scan(facts, exact) for exact in masks}
    return found.pop() if len(found) == 1 else None


def _scan(facts: OffsetFacts, exact: bool) -> bool | None:
    index = facts.offset_bytes // aarch64.WORD_BYTES
    unsure = False
    for at in range(index - 1, max(index - aarch64.SCAN_WORDS_MAX, 0) - 1, -1):
        if facts.sites and at * aarch64.WORD_BYTES <= max(facts.sites):
            continue  # ftrace's own instructions
        word = facts.words[at] if at < len(facts.words) else ()
        if not word:
            return None
        kinds = {
            "store" if aarch64.closes_exclusive(one, exact) else "load" if aarch64.opens_exclusive(one, exact) else ""
            for one in word
        }
        if len(kinds) > 1:
            unsure = True  # an alternative: what lies before it decides as well
        elif kinds != {""}:
            ends = kinds == {"load"}
            return None if unsure else ends
    return None if unsure else False


_RESERVED = {
    "bug": ("reserved", "the address belongs to a BUG or WARN of the kernel"),
    "jump_label": ("reserved", "the address belongs to a jump label of the kernel"),
    "extable": ("extable", "the instruction has an entry in the exception table"),
}


def _no(rule: str, says: str) -> Judgement:
    return Judgement(NO, "EINVAL", f"kprobe_instruction.{rule}", says)


def _unknown(rule: str, says: str) -> Judgement:
    return Judgement(UNKNOWN, None, f"kprobe_instruction.{rule}", says)


_PREPARE = "arch/arm64/kernel/probes/kprobes.c arch_prepare_kprobe"
_DECODE = "arch/arm64/kernel/probes/decode-insn.c "
PAGES = (
    Page(
        "kprobe_instruction.unaligned",
        "EINVAL",
        """arm64: the offset is not a multiple of four bytes, so no instruction begins there.""",
        _PREPARE,
        ("kallsyms",),
    ),
    Page(
        "kprobe_instruction.ftrace_site",
        "EINVAL",
        """arm64: ftrace owns the instruction at this address, and kprobes do not share it.

        The function's first instruction lies in front of it and can be probed. With CONFIG_ARM64_BTI_KERNEL=y the
        site is the third instruction, else the second.""",
        "kernel/kprobes.c check_ftrace_location: no KPROBES_ON_FTRACE",
        ("filter_functions", "config"),
    ),
    Page(
        "kprobe_instruction.not_read",
        "",
        """arm64: the answer hangs on an instruction that was not read.""",
        _PREPARE,
        ("code",),
    ),
    Page(
        "kprobe_instruction.rejected",
        "EINVAL",
        """arm64: kprobes can neither step this instruction out of line nor simulate it.

        Exclusive loads and stores, CASP, exceptions, ERET, MSR, MRS of DAIF, PRFM of a literal, memory copy and set,
        and all hints but NOP, BTI and those that sign a pointer: AUTIASP, the last but one instruction of most
        functions, is one of them.""",
        _DECODE + "arm_probe_decode_insn, aarch64_insn_is_steppable",
        ("code",),
    ),
    Page(
        "kprobe_instruction.exclusive",
        "EINVAL",
        """arm64: an exclusive load lies before the address, and no exclusive store between them.

        A breakpoint there would break the pair, so that it never succeeds. The kernel goes back at most 128
        instructions and not past the symbol. Kernels before the JIT learned load-acquire take LDAR for such a load.""",
        _DECODE + "is_probed_address_atomic",
        ("code", "btf"),
    ),
    Page(
        "kprobe_instruction.extable",
        "EINVAL",
        """arm64: the instruction may fault and has an entry in the kernel's exception table.""",
        _PREPARE + ": search_exception_tables",
        ("code",),
    ),
)
