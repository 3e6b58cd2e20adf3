"""arm64 instructions as kprobes and uprobes judge them: simulated, stepped out of line, or refused.

arch/arm64/kernel/probes/decode-insn.c arm_kprobe_decode_insn, arm_probe_decode_insn, aarch64_insn_is_steppable and
is_probed_address_atomic, with the masks of arch/arm64/include/asm/insn.h (5.10 to 7.3). Every instruction is one
little-endian word of four bytes. No package is needed.
"""

from __future__ import annotations

WORD_BYTES = 4
SITE_OFFSET = 4  # ftrace's site behind `mov x9, x30`: arch/arm64/kernel/ftrace.c ftrace_call_adjust
SITE_OFFSET_BTI = 8  # the same behind `bti c`, CONFIG_ARM64_BTI_KERNEL
OPS_BYTES = 8  # in front of every traced function, CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS
SCAN_WORDS_MAX = 128  # MAX_ATOMIC_CONTEXT_SIZE
NOP = 0xD503201F
KPROBE_BREAKPOINT = 0xD4200080  # BRK64_OPCODE_KPROBES: somebody's kprobe is armed here

UPROBE_BREAKPOINT = 0xD42000A0  # BRK64_OPCODE_UPROBES

# What may be done with a word.
ACCEPTED, REFUSED = "accepted", "refused"
BREAKPOINT, MAYBE, LITERAL = "breakpoint", "maybe", "literal"
MOPS = "mops"  # memory copy and set: refused since the check of these exists

_HINTS = frozenset((0x00, 0x07, 0x08, 0x0A, 0x18, 0x19, 0x1A, 0x1B, 0x20, 0x22, 0x24, 0x26))  # steppable ones
_DAIF = 0x5A11  # AARCH64_INSN_SPCLREG_DAIF
# Branches that are simulated: B, BL, B.cond, CBZ and CBNZ, TBZ and TBNZ, BR, BLR, RET.
_SIMULATED = (
    (0x7C000000, 0x14000000),
    (0xFF000000, 0x54000000),
    (0x7E000000, 0x34000000),
    (0x7E000000, 0x36000000),
    (0xFFFFFC1F, 0xD61F0000),
    (0xFFFFFC1F, 0xD63F0000),
    (0xFFFFFC1F, 0xD65F0000),
)
# Of the same class, refused: RETAA, BRAA, BLRAA and like; exceptions; ERET and ERETAA; MSR immediate and register.
_REFUSED = (
    (0xFFFFFBFF, 0xD65F0BFF),
    (0xFEFFF800, 0xD61F0800),
    (0xFEFFF800, 0xD63F0800),
    (0xFF000000, 0xD4000000),
    (0xFFFFFFFF, 0xD69F03E0),
    (0xFFFFFBFF, 0xD69F0BFF),
    (0xFFF8F01F, 0xD500401F),
    (0xFFF00000, 0xD5100000),
)


def judge_word(word: int) -> str:
    """ACCEPTED, REFUSED or MOPS for one instruction."""
    # arm_kprobe_decode_insn and arm_probe_decode_insn ask aarch64_insn_is_steppable and simulate some of what it
    # refuses. The tests stand in another order here: literals and ADR are refused as instructions that use the program
    # counter.
    if word & 0xBF000000 == 0x18000000 or word & 0xFF000000 == 0x98000000:
        return ACCEPTED  # LDR and LDRSW literal, simulated
    if word & 0x1C000000 == 0x14000000:
        return _branch_or_system(word)
    if word & 0x1F000000 == 0x10000000:
        return ACCEPTED  # ADR, ADRP, simulated
    if word & 0xFF000000 == 0xD8000000 or word & 0x3F800000 == 0x08000000:
        return REFUSED  # PRFM literal; exclusive loads and stores, and CASP
    return MOPS if word & 0x3B200C00 == 0x19000400 else ACCEPTED


def _branch_or_system(word: int) -> str:
    if any(word & mask == value for mask, value in _SIMULATED):
        return ACCEPTED
    if any(word & mask == value for mask, value in _REFUSED):
        return REFUSED
    if word & 0xFFF00000 == 0xD5300000:  # MRS, of all registers but DAIF
        return REFUSED if word >> 5 & 0x7FFF == _DAIF else ACCEPTED
    if word & 0xFFFFF01F == 0xD503201F:
        return ACCEPTED if word >> 5 & 0x7F in _HINTS else REFUSED
    return ACCEPTED


def judge_user_word(word: int) -> str:
    """As `judge_word`, for a uprobe; BREAKPOINT where one stands there already, MAYBE where kernels differ.

    LITERAL is accepted and done wrongly: LDR of a vector register from beside the code. aarch64_insn_uses_literal knows
    the loads of general registers alone (masks of ldr_lit and ldrsw_lit), so that this one is stepped in another page.
    arch_uprobe_analyze_insn asks arm_probe_decode_insn alone: whether an exclusive sequence is open is not looked at.
    Of literal loads and memory copies kernels differ: acc450aa0709 ("arm64: probes: Remove broken LDR (literal) uprobe
    support") was backported, and so may be the check for MOPS.
    """
    if word == UPROBE_BREAKPOINT:
        return BREAKPOINT
    if word & 0xBF000000 == 0x18000000 or word & 0xFF000000 == 0x98000000:
        return MAYBE
    if word & 0x3F000000 == 0x1C000000:
        return LITERAL
    found = judge_word(word)
    return MAYBE if found == MOPS else found


def is_return(word: int) -> bool:
    """RET of any register, RETAA, RETAB."""
    return word & 0xFFFFFC1F == 0xD65F0000 or word & 0xFFFFFBFF == 0xD65F0BFF


def is_indirect_jump(word: int) -> bool:
    """BR, BRAA, BRAB and like: not a call."""
    return word & 0xFFFFFC1F == 0xD61F0000 or word & 0xFEFFF800 == 0xD61F0800


def branch(word: int) -> tuple[str, int] | None:
    """("call", "jump" or "maybe", bytes from the instruction on) of a direct branch; None for others.

    BL; B; B.cond, CBZ, CBNZ, TBZ and TBNZ.
    """
    if word & 0x7C000000 == 0x14000000:
        return "call" if word >> 31 else "jump", _signed(word & 0x3FFFFFF, 26) * 4
    if word & 0xFF000000 == 0x54000000 or word & 0x7E000000 == 0x34000000:
        return "maybe", _signed(word >> 5 & 0x7FFFF, 19) * 4
    if word & 0x7E000000 == 0x36000000:
        return "maybe", _signed(word >> 5 & 0x3FFF, 14) * 4
    return None


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def opens_exclusive(word: int, exact: bool) -> bool:
    """An exclusive load. Before the JIT learned load-acquire (`exact` false) the mask took LDAR for one."""
    return word & (0x3FC00000 if exact else 0x3F400000) == 0x08400000


def closes_exclusive(word: int, exact: bool) -> bool:
    """An exclusive store; with the older mask STLR and CAS, too."""
    return word & (0x3FC00000 if exact else 0x3F400000) == 0x08000000


def may_be_jump_label(word: int) -> bool:
    """NOP or B: what arch_jump_label_transform writes."""
    return word == NOP or word & 0xFC000000 == 0x14000000


def may_fault(word: int) -> bool:
    """A load, a store or a system instruction: what an exception table can name."""
    return word & 0x0A000000 == 0x08000000 or (word & 0xFF000000 == 0xD5000000 and word & 0xFFFFF01F != 0xD503201F)


def has_constant(code: bytes, value: int) -> bool:
    """An instruction of this code loads the value (MOVZ W) or compares with it (SUBS W, immediate): 16 or 12 bits."""
    words = (int.from_bytes(code[at : at + WORD_BYTES], "little") for at in range(0, len(code) - 3, WORD_BYTES))
    return any(
        word & 0xFFFFFFE0 == 0x52800000 | value << 5 or word & 0xFFFFFC1F == 0x7100001F | value << 10 for word in words
    )
