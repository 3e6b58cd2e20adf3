"""What a uprobe on an x86 instruction does: refused, planted, or planted and read as another instruction.

The decoder is that of the kernel (arch/x86/lib/insn.c, insn_decode), the decisions are those of
arch_uprobe_analyze_insn (arch/x86/kernel/uprobes.c). `EDITIONS` are the decoders that kernels have had; they differ in
a few opcodes that hardly stand at a place one probes.
"""

from __future__ import annotations

from functools import cache

from ..named_tuple import NamedTuple
from . import x86_attributes as bits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CODE_BYTES = 16  # MAX_UINSN_BYTES: as much as the kernel copies
_INSN_BYTES_MAX = 15
_EMULATED = (b"\x0f\x0bxen", b"\x0f\x0bkvm")
_LOCK_CS_DS_ES_SS = frozenset(b"\xf0\x2e\x3e\x26\x36")
_NOP10 = b"\x66\x2e\x0f\x1f\x84"
NOP10_BYTES = 10
# good_insns_64 and good_insns_32 of uprobes.c: the one-byte opcodes that are refused.
_REFUSED_64 = frozenset(
    bytes.fromhex("06070e1616171e1f272f373f6061626c6d6e6f829acccdcecfd4d5d6e4e5e6e7eaecedeeeff1f4fafb")
)
_REFUSED_32 = frozenset(bytes.fromhex("07171f6c6d6e6fcccdcecfe4e5e6e7ecedeeeff1f4fafb"))

# Why the kernel refuses, each with one errno.
BREAKPOINT, UNDECODABLE, BAD_PREFIX = "breakpoint", "undecodable", "prefix"
MASKING, OPCODE, BRANCH_PREFIX = "masking", "opcode", "branch_prefix"
ERRNO = {
    BREAKPOINT: "ENOTSUPP",
    UNDECODABLE: "ENOEXEC",
    BAD_PREFIX: "ENOTSUPP",
    MASKING: "ENOTSUPP",
    OPCODE: "ENOTSUPP",
    BRANCH_PREFIX: "ENOTSUPP",
}


class Edition(NamedTuple):
    """A state of the kernel's decoder. Each member is seen by itself; none is derived from a release."""

    apx: bool = True  # knows the REX2 prefix (d5) and EVEX maps above 3; before, d5 is a refused opcode
    invalid64: bool = True  # stops at opcodes that 64-bit code has not; before, a far call behind REX.W did not decode
    xop: bool = True  # knows the XOP prefix (8f), and VEX behind REX no more; before, 8f is read as pop
    nop10: bool = True  # takes the 10-byte nop `66 2e 0f 1f 84 ...` (uprobes that are replaced by a call)
    nops: bool = True  # insn_is_nop: a branch that is a nop passes with the prefix 66


NEWEST = Edition()
OLDEST = Edition(False, False, False, False, False)


class _EditionMatters(Exception):
    pass


class _Unseen(Edition):
    """An edition that nobody has looked for: asking it for a member says that the answer hangs on one."""

    def __getattribute__(self, name: str) -> bool:
        raise _EditionMatters


_UNSEEN = _Unseen()


class Decoded(NamedTuple):
    """One instruction as the kernel's decoder sees it. `opcode` is one to three bytes, behind VEX always one."""

    length: int
    opcode: bytes
    prefixes: bytes
    rex: int
    vex: int  # bytes of the VEX, EVEX or XOP prefix; 0 without
    rex2: bool
    modrm: int | None


class Analysis(NamedTuple):
    """What arch_uprobe_analyze_insn says. `refused` is one of the words above or ""; `misread` see `misreading`."""

    refused: str
    misread: str
    decoded: Decoded | None

    @property
    def errno(self) -> str | None:
        """The kernel's errno; None where it accepts."""
        return ERRNO.get(self.refused)

    @property
    def harmless(self) -> bool:
        """Not read as another instruction, or one that may be skipped: vzeroupper only clears."""
        return not self.misread or (self.decoded is not None and self.decoded.opcode == b"\x77")


class _Undecodable(Exception):
    pass


@cache
def _tables() -> dict[str, list[int]]:
    from .x86_opcodes import TABLES

    found: dict[str, list[int]] = {}
    for name, text in TABLES.items():
        table = found[name] = [0] * (8 if name.startswith("group") else 256)
        for line in text.split("\n"):
            head, _, rest = line.partition(":")
            for word in rest.split():
                low, _, high = word.partition("-")
                for opcode in range(int(low, 16), int(high or low, 16) + 1):
                    table[opcode] = int(head, 16)
    return found


class _Reader:
    __slots__ = ("at", "code")

    def __init__(self, code: bytes) -> None:
        self.code, self.at = code, 0

    def peek(self, ahead: int = 0) -> int:
        if self.at + ahead >= len(self.code):
            raise _Undecodable
        return self.code[self.at + ahead]

    def next(self) -> int:
        found = self.peek()
        self.at += 1
        return found

    def skip(self, count: int) -> None:
        if self.at + count > len(self.code):
            raise _Undecodable
        self.at += count


def decode(code: bytes, is_64bit: bool = True, edition: Edition = NEWEST) -> Decoded | None:
    """The first instruction, as insn_decode of the kernel reads it; None where that gives up.

    An opcode that no table knows still decodes, with the length of what was read: the kernel has it so.
    """
    try:
        return _decode(_Reader(code[:_INSN_BYTES_MAX]), is_64bit, edition)
    except _Undecodable:
        return None


def _decode(reader: _Reader, is_64bit: bool, edition: Edition) -> Decoded:
    tables = _tables()
    primary = tables["primary.0"]
    if reader.code[:5] in _EMULATED:
        reader.at = 5
    prefixes, operand, address = bytearray(), 4, 8 if is_64bit else 4
    last = 0
    # insn_get_prefixes: at most four different legacy prefixes, the last one selects the variant of an opcode.
    attribute = primary[reader.peek()]
    while 0 < attribute & bits.PREFIX <= 11:
        byte = reader.peek()
        if byte not in prefixes:
            if len(prefixes) == 4:
                break
            prefixes.append(byte)
            if byte == 0x67:
                address ^= 12 if is_64bit else 6
            elif byte == 0x66:
                operand ^= 6
        reader.at += 1
        last = byte
        attribute = primary[reader.peek()]
    last_prefix = {0x66: 1, 0xF3: 2, 0xF2: 3}.get(last, 0)

    rex, rex2, vex = 0, -1, b""
    kind = attribute & bits.PREFIX
    if is_64bit and kind == 12:
        rex = reader.next()
        operand = 8 if rex & 8 else operand
        kind = primary[reader.peek()] & bits.PREFIX
        kind = 0 if kind and edition.xop else kind  # since XOP a VEX prefix behind REX is none
    elif is_64bit and kind == 16 and edition.apx:
        rex2 = reader.peek(1)
        reader.skip(2)
        operand = 8 if rex2 & 8 else operand
    if rex2 < 0 and (kind in (13, 14, 15) or (kind == 17 and edition.xop)):
        vex = _vex(reader, kind, is_64bit)
        if len(vex) > 2 and is_64bit and vex[-1] & 0x80:  # of EVEX the last byte: no W, but the kernel reads it so
            operand = 8

    # insn_get_opcode: XOP, VEX and EVEX choose the table by their map; without them escape bytes do.
    opcode = bytearray([reader.next()])
    if vex and kind == 17:
        attribute = tables.get(f"xop{(vex[1] & 0x1F) - 8}.0", [0] * 256)[opcode[0]] if vex[1] & 0x1F >= 8 else 0
        if not attribute & bits.VEX_OK:
            raise _Undecodable
        last_prefix = vex[2] & 3
    elif vex:
        attribute, last_prefix = _vex_attribute(vex, opcode[0], edition)
        if attribute & bits.EVEX_SCALABLE and not vex[2] & 0x80 and last_prefix == 1:
            operand = 2
    elif rex2 >= 0:
        name = "primary.0" if not rex2 & 0x80 else f"escape1.{last_prefix}"
        attribute = _varied(name, opcode[0]) if rex2 & 0x80 else primary[opcode[0]]
    else:
        attribute = primary[opcode[0]]
        if is_64bit and attribute & bits.INVALID64 and edition.invalid64:
            attribute = bits.INVALID64
        while attribute & bits.ESCAPE:
            opcode.append(reader.next())
            attribute = _varied(f"escape{(attribute & bits.ESCAPE) >> 5}.{last_prefix}", opcode[-1])
        if attribute & (bits.VEX_ONLY | bits.EVEX_ONLY):
            raise _Undecodable

    # insn_get_modrm, insn_get_sib and insn_get_displacement, then insn_get_immediate.
    modrm = None
    if attribute & bits.MODRM:
        modrm = reader.next()
        if attribute & bits.GROUP:
            number = (attribute & bits.GROUP) >> 7
            attribute = _varied(f"group{number}.{last_prefix}", modrm >> 3 & 7) | attribute & ~bits.GROUP
            if vex and not attribute & bits.VEX_OK:
                raise _Undecodable
        _skip_address(reader, modrm, address)
    if is_64bit and attribute & bits.FORCE64:
        operand = 8
    _skip_immediate(reader, attribute, operand, address)
    return Decoded(reader.at, bytes(opcode), bytes(prefixes), rex, len(vex), rex2 >= 0, modrm)


def _vex(reader: _Reader, kind: int, is_64bit: bool) -> bytes:
    """The prefix, taken from the reader; empty where the byte is an instruction of its own (LES, LDS, BOUND, POP)."""
    second = reader.peek(1)
    if kind == 17 and second >> 3 & 7 == 0:
        return b""
    if not is_64bit and second >> 6 != 3:
        return b""
    size = {13: 2, 14: 3, 15: 4, 17: 3}[kind]
    found = bytes(reader.peek(i) for i in range(size))
    reader.skip(size)
    return found


def _vex_attribute(vex: bytes, opcode: int, edition: Edition) -> tuple[int, int]:
    """(attribute, number of the last prefix) of an opcode behind VEX or EVEX."""
    if len(vex) == 2:
        number, last = 1, vex[1] & 3
    else:
        number, last = vex[1] & (0x1F if len(vex) == 3 else 7 if vex[1] & 4 and edition.apx else 3), vex[2] & 3
    tables = _tables()
    names = {1: "escape1", 2: "escape2", 3: "escape3"}
    name = names.get(number, f"vex{number}")
    table = tables.get(f"{name}.0")
    if table is None:
        raise _Undecodable
    if not table[opcode] & bits.GROUP and last:
        table = tables.get(f"{name}.{last}")
        if table is None:
            raise _Undecodable
    attribute = table[opcode]
    if attribute & bits.EVEX_ONLY and len(vex) != 4:
        raise _Undecodable
    if not attribute & (bits.VEX_OK | bits.GROUP):
        raise _Undecodable
    return attribute, last


def _varied(name: str, index: int) -> int:
    """The attribute in `table.prefix`: the prefix counts only where the plain attribute says that it varies."""
    tables = _tables()
    plain = tables.get(name[:-1] + "0")
    if plain is None:
        return 0
    if plain[index] & bits.VARIANT and name[-1] != "0":
        varied = tables.get(name)
        return varied[index] if varied is not None else 0
    return plain[index]


def _skip_address(reader: _Reader, modrm: int, address: int) -> None:
    mode, rm, base = modrm >> 6, modrm & 7, 0
    if mode == 3:
        return
    if address != 2 and rm == 4:
        base = reader.next() & 7
    if mode == 1:
        reader.skip(1)
    elif address == 2:
        if (mode == 0 and rm == 6) or mode == 2:
            reader.skip(2)
    elif (mode == 0 and rm == 5) or mode == 2 or (mode == 0 and base == 5):
        reader.skip(4)


def _skip_immediate(reader: _Reader, attribute: int, operand: int, address: int) -> None:
    if attribute & bits.MOFFSET:
        reader.skip(address)
        return
    size = (attribute & bits.IMMEDIATE) >> 12
    if not size:
        return
    if size == 5:
        if operand == 8:
            raise _Undecodable
        reader.skip(operand + 2)
    elif size == 6:
        reader.skip(min(operand, 4))
    elif size == 7:
        reader.skip(operand)
    else:
        reader.skip((0, 1, 2, 4, 8)[size])
    if attribute & bits.SECOND_IMMEDIATE:
        reader.skip(1)


def starts(code: bytes, is_64bit: bool = True) -> Iterator[int]:
    """Offsets at which instructions start, decoded in a line from the first byte up to what does not decode."""
    at = 0
    while at < len(code):
        found = decode(code[at : at + _INSN_BYTES_MAX], is_64bit)
        if found is None or not found.length:
            return
        yield at
        at += found.length


def analyze(code: bytes, is_64bit: bool = True, edition: Edition = NEWEST, page_left: int = 4096) -> Analysis:
    """What the kernel says of a uprobe here, when a process maps the place. `code` is zero-filled to 16 bytes.

    `page_left` is the number of bytes up to the end of the page (a 10-byte nop over that end is not special).
    """
    code = code[:CODE_BYTES].ljust(CODE_BYTES, b"\0")
    if code[0] == 0xCC:  # prepare_uprobe: is_trap_insn
        return Analysis(BREAKPOINT, "", None)
    found = decode(code, is_64bit, edition)
    if found is None:
        return Analysis(UNDECODABLE, "", None)
    first = found.opcode[0]
    # arch_uprobe_analyze_insn: what can_optimize takes skips uprobe_init_insn, which refuses; branches come behind both
    # (branch_setup_xol_ops).
    is_nop10 = is_64bit and found.length == NOP10_BYTES and code.startswith(_NOP10) and edition.nop10
    if not (is_nop10 and page_left >= NOP10_BYTES):
        if _LOCK_CS_DS_ES_SS.intersection(found.prefixes):
            return Analysis(BAD_PREFIX, "", found)
        if first == 0x17 or (first == 0x8E and (found.modrm or 0) >> 3 & 7 == 2):
            return Analysis(MASKING, "", found)
        if first in (_REFUSED_64 if is_64bit else _REFUSED_32):
            return Analysis(OPCODE, "", found)
    if _is_branch(found) and 0x66 in found.prefixes and not (_is_nop_jump(code, found) and edition.nops):
        return Analysis(BRANCH_PREFIX, "", found)
    return Analysis("", misreading(found), found)


def analyze_any(code: bytes, is_64bit: bool = True, page_left: int = 4096) -> Analysis | None:
    """What every edition says of a uprobe here; None where it hangs on the edition.

    Saves reading the kernel's lists, which tell the edition: they matter for few instructions.
    """
    try:
        return analyze(code, is_64bit, _UNSEEN, page_left)
    except _EditionMatters:
        return None


# One-byte opcodes that every edition decodes within 15 bytes and accepts, without a prefix of their own: no legacy
# prefix, no REX, no escape, no VEX, EVEX, XOP or REX2, no int3, no load of the stack segment.
_PLAIN_64 = (
    frozenset(range(256))
    - _REFUSED_64
    - frozenset(range(0x40, 0x50))
    - frozenset(bytes.fromhex("0f262e363e64656667f0f2f362c4c5d58fcc8e17"))
)
_ENDBR64 = b"\xf3\x0f\x1e\xfa"


def is_plain(code: bytes) -> bool:
    """A 64-bit instruction of which two bytes show that every edition accepts it and reads it right.

    Saves decoding: nine of ten functions begin so. False says nothing.
    """
    if len(code) < 2:
        return False
    first = code[0]
    return first in _PLAIN_64 or (first & 0xF0 == 0x40 and code[1] in _PLAIN_64) or code.startswith(_ENDBR64)


def _is_branch(found: Decoded) -> bool:
    """branch_setup_xol_ops takes it: the opcode byte alone decides, also behind VEX."""
    first = found.opcode[0]
    if first == 0x0F:
        return len(found.opcode) == 2 and 0x80 <= found.opcode[1] <= 0x8F
    return first in (0xE8, 0xE9, 0xEB) or 0x70 <= first <= 0x7F


def _is_nop_jump(code: bytes, found: Decoded) -> bool:
    """insn_is_nop: a jump to the next instruction."""
    if found.opcode == b"\xeb":
        return code[found.length - 1] == 0
    return found.opcode == b"\xe9" and not any(code[found.length - 4 : found.length])


def misreading(found: Decoded) -> str:
    """What instruction the kernel takes a VEX or EVEX one for: jump, call or return; "" for none.

    The opcode byte behind the prefix is looked up among the one-byte opcodes (branch_setup_xol_ops, and the switch in
    arch_uprobe_analyze_insn): the instruction itself is then skipped.
    """
    if not found.vex:
        return ""
    first = found.opcode[0]
    if first == 0xE8:
        return "call"
    if _is_branch(found):
        return "jump"
    return "return" if first in (0xC2, 0xC3, 0xCA, 0xCB) else ""
