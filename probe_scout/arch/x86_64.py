"""x86_64 machine code: what the first instruction is, and where instructions start.

`first_instruction` looks at prefixes and opcode bytes only, the way the kernel's decoder splits them
(arch/x86/lib/insn.c), and needs no package. `boundaries` decodes in a line from a symbol's start as
can_probe does (arch/x86/kernel/kprobes/core.c); it is the one home of capstone.
"""

from __future__ import annotations

from ..errors import ProbeScoutError
from ..model import instruction as kinds
from ..model.instruction import Instruction
from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LEGACY_PREFIXES = frozenset(b"\x66\x67\xf0\xf2\xf3\x2e\x36\x3e\x26\x64\x65")
_INSN_BYTES_MAX = 15  # MAX_INSN_SIZE of the architecture; the kernel's buffer holds one more
_CODE_BYTES_MAX = 1 << 18  # no kernel function is longer
_CHUNK_BYTES = (64, 4096)  # decoded at once: little behind a trap, where decoding may have to begin again
_ENDBR64 = b"\xf3\x0f\x1e\xfa"
# What boot leaves of an ENDBR that no pointer reaches (gen_endbr_poison in arch/x86/include/asm/ibt.h, two forms so
# far); is_endbr takes it for an ENDBR at the start of a function.
_POISONED = (b"\x66\x0f\x1f\x00", b"\x0f\x1f\x40\xd6")
_ENTRIES = (_ENDBR64, *_POISONED)
_NOP5 = b"\x0f\x1f\x44\0\0"
SITE_BYTES = 5
_XOR5RAX = (b"\x2e\x2e\x2e\x31\xc0", b"\x66\x66\x48\x31\xc0")  # arch/x86/kernel/static_call.c, two forms so far


class NoDecoder(ProbeScoutError):
    """capstone is not installed, so instruction boundaries cannot be found."""

    cure = "pip install probe-scout[code]"

    def __init__(self) -> None:
        super().__init__(f"finding instruction boundaries needs the capstone package: {self.cure}")


class Boundaries(NamedTuple):
    """`starts`: offsets of instructions from the first byte on. Nothing is known past `decoded_bytes`."""

    starts: tuple[int, ...]
    decoded_bytes: int


def first_instruction(code: bytes) -> Instruction:
    """The kind of the instruction at the first byte, and its length in bytes where the opcode alone tells it."""
    if code[:4] == _ENDBR64:
        return Instruction(kinds.ENDBR, 4)
    if code[:5] == _NOP5:
        return Instruction(kinds.NOP5, 5)
    if code[:5] in _XOR5RAX:
        return Instruction(kinds.RETURN0, 5)
    if code[:5] in (b"\x0f\x0bxen", b"\x0f\x0bkvm"):
        return Instruction(kinds.EMULATED, None)
    at, prefixes, rex = 0, 0, False
    while at < len(code) and at < _INSN_BYTES_MAX and code[at] in _LEGACY_PREFIXES:
        prefixes |= code[at] == 0x67
        at += 1
    if at < len(code) and 0x40 <= code[at] <= 0x4F:
        at, rex = at + 1, True
    opcode = code[at : at + 6]
    if not opcode:
        return Instruction(kinds.TRUNCATED, None)
    first = opcode[0]
    if first in (0x62, 0xC4, 0xC5):  # EVEX, VEX: the kernel keeps the byte after the prefix as one-byte opcode
        opcode = opcode[{0x62: 4, 0xC4: 3, 0xC5: 2}[first] :]
        if not opcode:
            return Instruction(kinds.TRUNCATED, None)
        first = opcode[0]
    short = at + 1
    if first in (0xCC, 0xCE, 0xF1):
        return Instruction(kinds.INT, short)
    if first == 0xCD:
        return Instruction(kinds.INT, short + 1)
    if first == 0xCF:
        return Instruction(kinds.IRET, short)
    if first in (0x9A, 0xEA):
        return Instruction(kinds.FAR, None)
    if first == 0x17:
        return Instruction(kinds.MASKING, short)
    if first in (0xE8, 0xE9):
        kind = kinds.CALL if first == 0xE8 else kinds.JUMP
        return Instruction(kind, None if at else 5)
    if first == 0xEB or (first == 0x90 and at == 1 and code[0] == 0x66):
        return Instruction(kinds.PATCH2, short if first == 0x90 else short + 1)
    if first not in (0x0F, 0x8E, 0xFF):
        return Instruction(kinds.OTHER, None)
    if len(opcode) < 2:
        return Instruction(kinds.TRUNCATED, None)
    second = opcode[1]
    if first == 0x0F:
        if second == 0x0B:
            return Instruction(kinds.UD, at + 2)
        if second in (0xB9, 0xFF):
            return Instruction(kinds.UD, _ud_length(code, at))
        if second == 0x01:
            if len(opcode) < 3:
                return Instruction(kinds.TRUNCATED, None)
            if opcode[2] >> 6 == 3:
                return Instruction(kinds.OTHER if opcode[2] >> 3 & 7 else kinds.VMX, at + 3)
        return Instruction(kinds.OTHER, None)
    register = second >> 3 & 7
    if first == 0x8E:
        return Instruction(kinds.MASKING if register == 2 else kinds.OTHER, None)
    if register in (3, 5):
        return Instruction(kinds.FAR, None)
    if register in (2, 4) and (second >> 6 != 3 or prefixes):
        return Instruction(kinds.INDIRECT, None)
    return Instruction(kinds.OTHER, short + 1 if second >> 6 == 3 and (rex or not prefixes) else None)


def entry_instruction(code: bytes) -> Instruction:
    """The instruction that a probe of the entry is set on: the first one, or the one behind ENDBR."""
    return first_instruction(code[entry_offset(code) :])


def entry_offset(code: bytes) -> int:
    """Where the instruction behind ENDBR begins, poisoned or not: 4; 0 where the code starts with another."""
    return 4 if code[:4] in _ENTRIES else 0


def is_site(code: bytes) -> bool:
    """The bytes at a place are what ftrace leaves there: its no-op, or a call."""
    return len(code) >= SITE_BYTES and (code.startswith(_NOP5) or code[:1] == b"\xe8")


def shortest(code: bytes) -> bytes:
    """As few of the first bytes as still tell the same kind; what a snapshot needs to keep of an entry.

    Behind ENDBR the next instruction is kept as well, because probes of the entry are moved there.
    """
    if entry_offset(code):
        return code[:4] + shortest(code[4:])
    kind = first_instruction(code).kind
    return next((code[:n] for n in range(1, len(code)) if first_instruction(code[:n]).kind == kind), code)


def may_be_nop5(kind: str, sites: tuple[str, ...], is_running_code: bool) -> bool | None:
    """The entry holds the five-byte no-op that a trampoline looks for where ftrace has no record.

    arch/x86/net/bpf_jit_comp.c, __bpf_arch_text_poke compares the bytes behind ENDBR and refuses others with
    EBUSY. None if only the running code tells: a jump that alternatives (static_cpu_has) or a jump label may
    have turned into the no-op, or a no-op that a jump label may have turned into a jump. `sites` are the words
    of code_slices.SITE_WORDS for the instruction.
    """
    if is_running_code:
        return kind == kinds.NOP5
    if {"alternative", "jump_label", "unread"} & set(sites):
        return None
    return kind == kinds.NOP5


def _ud_length(code: bytes, at: int) -> int | None:
    """Bytes of ud0/ud1, which carry a ModRM byte; None if the bytes end first."""
    if at + 3 > len(code):
        return None
    modrm = code[at + 2]
    mode, rm, length = modrm >> 6, modrm & 7, at + 3
    if mode == 3:
        return length
    if rm == 4:
        if length >= len(code):
            return None
        if mode == 0 and code[length] & 7 == 5:
            length += 4
        length += 1
    elif mode == 0 and rm == 5:
        length += 4
    return length + (0, 1, 4)[mode]


def decoder() -> Any:
    """capstone's decoder for 64-bit code. Raises NoDecoder where capstone is not installed."""
    try:
        from capstone import CS_ARCH_X86, CS_MODE_64, Cs  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise NoDecoder from None
    return Cs(CS_ARCH_X86, CS_MODE_64)


def boundaries(code: bytes) -> Boundaries:
    """Offsets at which instructions start, decoding one after another from the first byte.

    Stops at bytes that are no instruction: the kernel refuses every probe after such a place too.
    Raises NoDecoder where capstone is not installed.
    """
    code = code[:_CODE_BYTES_MAX]
    reader = decoder()
    starts: list[int] = []
    at, chunk = 0, _CHUNK_BYTES[1]
    while at < len(code):
        begun = at
        for start, length, _, _ in reader.disasm_lite(code[at : at + chunk], at):
            ud = _trap_length(code, start)
            if ud is not None and ud != length:
                break  # capstone and the kernel differ about the operand of ud0 and ud1
            starts.append(start)
            at = start + length
        if at >= len(code):
            break
        window = code[at : at + _INSN_BYTES_MAX]
        known = first_instruction(window)  # also tlbsync, rmpadjust and others that capstone does not know
        chunk = _CHUNK_BYTES[known.length_bytes is None]
        if known.length_bytes is not None and known.length_bytes <= len(window):
            starts.append(at)
            at += known.length_bytes
        if at == begun:
            break
    return Boundaries(tuple(starts), at)


_OPERAND_PREFIXES = bytes((0x66, *range(0x40, 0x50)))
# push, cmp and sub of the accumulator, the first group of arithmetic, mov to a register or to memory
_WITH_IMMEDIATE = tuple(
    bytes((one,)) for one in (0x68, 0x6A, 0x2C, 0x3C, 0x3D, 0x80, 0x81, 0x83, *range(0xB0, 0xC0), 0xC6, 0xC7)
)


def has_operand(code: bytes, byte: int) -> bool | None:
    """An instruction of a whole function has this byte as its immediate operand, as 8 or 32 bits; None if not known.

    The byte at the end of a jump or of a place in memory is a displacement and no operand of that kind.
    """
    wide = byte.to_bytes(4, "little")
    if b"\xbe" + wide in code:  # mov $byte, %esi: the second argument of a call
        return True
    if byte not in code:
        return False
    found = _instructions(code)
    if found is None:
        return None
    for one in found:
        opcode = one.lstrip(_OPERAND_PREFIXES)[:1]
        if opcode in _WITH_IMMEDIATE and one.endswith((wide, bytes((byte,)))):
            return True
    return False


def _instructions(code: bytes) -> list[bytes] | None:
    """Each instruction of a whole function; None if it is not all decoded."""
    try:
        found = boundaries(code)
    except NoDecoder:
        return None
    if found.decoded_bytes < len(code):
        return None
    return [code[start:end] for start, end in zip(found.starts, (*found.starts[1:], len(code)), strict=True)]


def compares_with(code: bytes, numbers: tuple[int, ...]) -> bool | None:
    """An instruction of a whole function compares with one of these 32-bit numbers; None if it is not all decoded."""
    words = tuple(number.to_bytes(4, "little") for number in numbers)
    if not any(word in code for word in words):
        return False
    found = _instructions(code)
    if found is None:
        return None
    for whole in found:
        one = whole.lstrip(_OPERAND_PREFIXES)
        is_compare = one[:1] == b"\x3d" or (one[:1] == b"\x81" and one[1] >> 3 & 7 == 7)  # cmp
        if is_compare and one.endswith(words):
            return True
    return False


def _trap_length(code: bytes, at: int) -> int | None:
    """Bytes of the ud0, ud1 or ud2 at this offset; None if another instruction is there."""
    window = code[at : at + _INSN_BYTES_MAX]
    if b"\x0f\xb9" not in window[:6] and b"\x0f\xff" not in window[:6]:
        return None
    found = first_instruction(window)
    return found.length_bytes if found.kind == kinds.UD else None


class Look(NamedTuple):
    """What the bytes of one symbol say about one offset; the fields are those of rules' OffsetFacts."""

    starts_with_endbr: bool
    boundaries: tuple[int, ...] | None
    decoded_bytes: int
    kind: str | None
    inside: str | None
    cfi_pair: bool


def look(code: bytes, offset_bytes: int, is_running_code: bool = False) -> Look:
    """Everything the rules want to know about `offset_bytes`, from the symbol's bytes from its first on.

    Offset 0 and the offset behind ENDBR need no decoder. In running code a lone int3 may be somebody's
    kprobe, whose original the kernel knows and we do not: decoding stops there.

    Raises NoDecoder for other offsets where capstone is not installed.
    """
    has_endbr = entry_offset(code) > 0
    probed = offset_bytes or entry_offset(code)
    kind = first_instruction(code[probed : probed + _INSN_BYTES_MAX + 1]).kind
    pair = _feeds_cfi_trap(code, offset_bytes)
    if offset_bytes == 0 or (offset_bytes == 4 and has_endbr):
        return Look(has_endbr, (0, 4) if has_endbr else (0,), 5 if has_endbr else 1, kind, None, pair)
    found = boundaries(code[: offset_bytes + _INSN_BYTES_MAX])
    decoded = found.decoded_bytes
    if is_running_code:
        decoded = min([decoded] + [at for at in _lone_breakpoints(code, found.starts) if at <= offset_bytes])
    inside = None
    if offset_bytes < decoded and offset_bytes not in found.starts:
        start = max(at for at in found.starts if at < offset_bytes)
        inside = first_instruction(code[start : start + _INSN_BYTES_MAX + 1]).kind
    return Look(has_endbr, found.starts, decoded, kind, inside, pair)


def _lone_breakpoints(code: bytes, starts: tuple[int, ...]) -> list[int]:
    """int3 that does not follow a return or a jump, behind which the kernel's build puts int3 on purpose."""
    # can_probe reads the original behind a kprobe's int3 (recover_probed_instruction), which no file shows. Padding
    # behind a return or a jump is int3 as well: CONFIG_MITIGATION_SLS, alignment.
    lone, after_end = [], False
    for at in starts:
        if code[at] == 0xCC and not after_end:
            lone.append(at)
        after_end = code[at] in (0xC3, 0xCC, 0xE9, 0xEB) or code[at : at + 2] == b"\xff\xe0"
    return lone


def _feeds_cfi_trap(code: bytes, at: int) -> bool:
    """mov imm, %r10d or add -4(%reg), %r10d in front of the ud2 of a CFI check (can_probe, is_cfi_trap)."""
    # The distances are can_probe's: 12 bytes from the movl to the ud2 (movl 6, addl 4, je 2), 6 from the addl.
    opcode = code[at : at + 2]
    if opcode == b"\x41\xba":
        return code[at + 12 : at + 14] == b"\x0f\x0b"
    return len(opcode) == 2 and opcode[1] == 0x03 and code[at + 6 : at + 8] == b"\x0f\x0b"
