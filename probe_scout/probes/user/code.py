"""What the bytes of a user function say: is the place an instruction, where does it return, does it loop or recurse.

Decoding runs from the function's first byte in a line, by the kernel's own decoder: arch/x86_uprobe.py, and
arch/aarch64.py, where every instruction is a word. Other machines give nothing.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

from ...arch import aarch64, x86_uprobe
from ...formats.elf.user_image import EM_386, EM_AARCH64, EM_X86_64, PF_X
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...formats.elf.user_image import UserImage
    from ...kernel.kernel import Kernel

FUNCTION_BYTES_MAX = 1 << 18
_DECODER_FEATURES = ("decoder_apx", "decoder_invalid64", "decoder_xop", "uprobe_nop10", "uprobe_nops")


class Verdicted(NamedTuple):
    """The kernel's word on one place. `certain` is False where kernels with this one's features differ."""

    refused: str
    misread: str
    harmless: bool
    length: int
    certain: bool = True


PLAIN = Verdicted("", "", True, 0)  # accepted and read right; its length was not asked for


LITERAL = aarch64.LITERAL  # as Verdicted.misread
WORD = "word"  # arm64's decoder refuses the instruction
_ARM64 = {
    aarch64.ACCEPTED: Verdicted("", "", True, 4),
    aarch64.REFUSED: Verdicted(WORD, "", True, 4),
    aarch64.MAYBE: Verdicted(WORD, "", True, 4, False),
    aarch64.LITERAL: Verdicted("", LITERAL, False, 4),
    aarch64.BREAKPOINT: Verdicted(x86_uprobe.BREAKPOINT, "", True, 4),
}


class Walk(NamedTuple):
    """One function. Offsets are counted from its first byte."""

    starts: tuple[int, ...]
    returns: tuple[int, ...]
    tail_calls: tuple[int, ...]  # jumps out of the function
    jumps_to_entry: bool
    calls_itself: bool
    decoded_bytes: int
    jumps_to: frozenset[int]
    calls: frozenset[int]  # where direct calls go, the function's own first byte is 0
    slots: frozenset[int]  # slots of the GOT through which is called or jumped
    may_leave: bool  # a return, a jump out of the function, or one whose goal is not in the instruction


def is_x86(image: UserImage) -> bool:
    """The file is for x86, 64 or 32 bits."""
    return image.machine in (EM_X86_64, EM_386)


def is_judged(image: UserImage) -> bool:
    """The file is for a machine whose instructions are judged here."""
    return image.machine in (EM_X86_64, EM_386, EM_AARCH64)


def editions(k: Kernel) -> tuple[x86_uprobe.Edition, ...]:
    """The decoders that this kernel may have: one, or several where a feature cannot be seen."""
    answers = [k.feature(name) for name in _DECODER_FEATURES]
    choices = [(True, False) if answer is None else (answer,) for answer in answers]
    return tuple(x86_uprobe.Edition(*one) for one in product(*choices))


def judge(k: Kernel, image: UserImage, offset: int) -> Verdicted:
    """What the kernel says of a uprobe at a file offset when a process maps it.

    Which decoder the kernel has is looked up only for instructions that decoders differ in.
    """
    if image.machine == EM_AARCH64:
        return _ARM64[aarch64.judge_user_word(int.from_bytes(image.code(offset, 4), "little"))]
    code, is_64bit = image.code(offset, x86_uprobe.CODE_BYTES), image.machine == EM_X86_64
    page_left = min(4096 - offset % 4096, 16)
    return _of_any(code, is_64bit, page_left) or _judged(code, is_64bit, editions(k), page_left)


def is_plain(image: UserImage, offset: int) -> bool:
    """Two bytes of the 64-bit instruction show that every kernel accepts it: the answer is PLAIN."""
    return x86_uprobe.is_plain(image.raw[offset : offset + 4])


@lru_cache(65536)
def _of_any(code: bytes, is_64bit: bool, page_left: int) -> Verdicted | None:
    found = x86_uprobe.analyze_any(code, is_64bit, page_left)
    return None if found is None else _verdicted([found])


@lru_cache(4096)
def _judged(code: bytes, is_64bit: bool, of: tuple[x86_uprobe.Edition, ...], page_left: int) -> Verdicted:
    return _verdicted([x86_uprobe.analyze(code, is_64bit, edition, page_left) for edition in of])


def _verdicted(found: list[x86_uprobe.Analysis]) -> Verdicted:
    first = found[0]
    certain = all((one.refused, one.misread) == (first.refused, first.misread) for one in found)
    length = first.decoded.length if first.decoded else 0
    return Verdicted(first.refused, first.misread, first.harmless, length, certain)


def walk(image: UserImage, offset: int, size: int) -> Walk:
    """The instructions of a function of `size` bytes at a file offset."""
    size = min(size, FUNCTION_BYTES_MAX)
    code = image.code(offset, size)
    if image.machine == EM_AARCH64:
        return _walk_words(code)
    is_64bit = image.machine == EM_X86_64
    starts: list[int] = []
    returns: list[int] = []
    tails: list[int] = []
    targets: set[int] = set()
    calls: set[int] = set()
    slots: set[int] = set()
    may_leave = False
    at = 0
    while at < len(code):
        found = x86_uprobe.decode(code[at : at + 15], is_64bit)
        if found is None or not found.length:
            break
        starts.append(at)
        end = at + found.length
        first = found.opcode[0]
        if not found.vex and first in (0xC3, 0xC2):
            returns.append(at)
        elif not found.vex and first == 0xFF and found.modrm is not None and found.modrm >> 3 & 7 in (2, 4):
            may_leave = may_leave or found.modrm >> 3 & 7 == 4
            if is_64bit and found.modrm & 0xC7 == 5:  # through memory beside the code
                slots.add(end + int.from_bytes(code[end - 4 : end], "little", signed=True))
        elif not found.vex and (size_of := _displacement(found)):
            target = end + int.from_bytes(code[end - size_of : end], "little", signed=True)
            if first == 0xE8:
                calls.add(target)
            elif 0 <= target < len(code):
                targets.add(target)
            else:
                may_leave = True
                if first in (0xE9, 0xEB):
                    tails.append(at)
        at = end
    return Walk(
        *(tuple(starts), tuple(returns), tuple(tails), 0 in targets, 0 in calls, at, frozenset(targets)),
        *(frozenset(calls), frozenset(slots), may_leave or bool(returns) or at < size),
    )


def _walk_words(code: bytes) -> Walk:
    """As `walk`, of arm64. Calls and jumps through registers are not followed."""
    returns: list[int] = []
    tails: list[int] = []
    targets: set[int] = set()
    calls: set[int] = set()
    may_leave = False
    end = len(code) - len(code) % 4
    for at in range(0, end, 4):
        word = int.from_bytes(code[at : at + 4], "little")
        if aarch64.is_return(word):
            returns.append(at)
        elif aarch64.is_indirect_jump(word):
            may_leave = True
        elif (branch := aarch64.branch(word)) is not None:
            kind, distance = branch
            target = at + distance
            if kind == "call":
                calls.add(target)
            elif 0 <= target < end:
                targets.add(target)
            else:
                may_leave = True
                tails += [at] if kind == "jump" else []
    return Walk(
        *(tuple(range(0, end, 4)), tuple(returns), tuple(tails), 0 in targets, 0 in calls, end, frozenset(targets)),
        *(frozenset(calls), frozenset(), may_leave or bool(returns)),
    )


def references(image: UserImage, address: int, size: int) -> list[int]:
    """Addresses of code that a function takes (`lea address(%rip)`), in order, without those in itself; x86-64 only.

    A resolver of an IFUNC takes those of the implementations that it chooses from.
    """
    offset = image.file_offset(address)
    if offset is None or image.machine != EM_X86_64:
        return []
    code = image.code(offset, min(size, FUNCTION_BYTES_MAX))
    found: dict[int, None] = {}
    for at in x86_uprobe.starts(code):
        one = x86_uprobe.decode(code[at : at + 15])
        if one is None or one.vex or one.opcode != b"\x8d" or one.modrm is None or one.modrm & 0xC7 != 5:
            continue
        end = at + one.length
        goal = address + end + int.from_bytes(code[end - 4 : end], "little", signed=True)
        place = image.file_offset(goal)
        flags = image.flags_at(place) if place is not None else None
        if flags and flags & PF_X and not address <= goal < address + size:
            found[goal] = None
    return list(found)


def _displacement(found: x86_uprobe.Decoded) -> int:
    """Bytes of a relative branch's distance; 0 for other instructions."""
    first = found.opcode[0]
    if first in (0xE8, 0xE9):
        return 4
    if first == 0xEB or 0x70 <= first <= 0x7F or 0xE0 <= first <= 0xE3:
        return 1
    return 4 if first == 0x0F and len(found.opcode) == 2 and 0x80 <= found.opcode[1] <= 0x8F else 0


def is_rep_string(code: bytes) -> bool:
    """rep movs, stos, ins, outs, lods, cmps, scas: a probe fires for each turn."""
    found = x86_uprobe.decode(code)
    if found is None or found.vex or not {0xF2, 0xF3} & set(found.prefixes):
        return False
    return found.opcode[0] in (*range(0xA4, 0xA8), *range(0xAA, 0xB0), *range(0x6C, 0x70))


def is_system_call(code: bytes) -> bool:
    """syscall or sysenter: executed out of line they end in SIGSEGV (measured on five kernels)."""
    found = x86_uprobe.decode(code)
    return found is not None and not found.vex and found.opcode in (b"\x0f\x05", b"\x0f\x34")
