"""Where a parameter is at one address: location lists and expressions (DWARF 5, 2.5, 2.6, 7.7; DWARF 4, 2.6.2).

Expressions are not run: they are put into words, with the register names that the kernel's struct pt_regs uses.
"""

from __future__ import annotations

from ...errors import Malformed
from ...named_tuple import NamedTuple
from . import names as n
from .abbrev import sleb, uleb
from .list_entries import Entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .units import Unit

REGISTER = "register"  # the register holds it
MEMORY = "memory"  # it lies in memory at `where`
VALUE = "value"  # it is computed from registers
CONSTANT = "constant"  # the compiler knew it
ENTRY = "entry"  # only what a register held when the symbol was entered tells it
PIECES = "pieces"  # it is spread over several places
COMPUTED = "computed"  # an expression that is not put into words here
LOST = "lost"  # nothing holds it any more

_X86_64 = (
    *("ax", "dx", "cx", "bx", "si", "di", "bp", "sp", *(f"r{i}" for i in range(8, 16))),
    *("ip", *(f"xmm{i}" for i in range(16))),
)
_REGISTERS = {
    3: ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di"),  # EM_386
    21: tuple(f"gpr{i}" for i in range(32)),  # EM_PPC64
    22: tuple(f"r{i}" for i in range(16)),  # EM_S390
    40: (*(f"r{i}" for i in range(13)), "sp", "lr", "pc"),  # EM_ARM
    62: _X86_64,  # EM_X86_64
    183: (
        *(f"x{i}" for i in range(31)),
        "sp",
        *(f"register {i}" for i in range(32, 64)),
        *(f"v{i}" for i in range(32)),
    ),
    243: (  # EM_RISCV
        *("zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"),
        *(f"a{i}" for i in range(8)),
        *(f"s{i}" for i in range(2, 12)),
        *("t3", "t4", "t5", "t6"),
    ),
    258: tuple(f"r{i}" for i in range(32)),  # EM_LOONGARCH
}
_LIST_BYTES = 4096
_LIST_BYTES_MAX = 1 << 20
(_END, _BASEX, _STARTX_ENDX, _STARTX_LENGTH, _OFFSET_PAIR, _DEFAULT, _BASE, _START_END, _START_LENGTH, _VIEWS) = range(
    10
)
_UNREADABLE = (IndexError, ValueError)
_STACK_MAX = 64

# Operations of two operands, by number (7.7.1), as they are written in C.
_INFIX = {
    0x1A: "&",
    0x1B: "/",
    0x1C: "-",
    0x1D: "%",
    0x1E: "*",
    0x21: "|",
    0x22: "+",
    0x24: "<<",
    0x25: ">>",
    0x27: "^",
}
_INFIX |= {0x26: ">>", 0x29: "==", 0x2A: ">=", 0x2B: ">", 0x2C: "<=", 0x2D: "<", 0x2E: "!="}
# Constants: number to (bytes, is signed).
_CONSTS = {8: (1, 0), 9: (1, 1), 10: (2, 0), 11: (2, 1), 12: (4, 0), 13: (4, 1), 14: (8, 0), 15: (8, 1)}


class Place(NamedTuple):
    """`kind` is one of the words above; `where` says it: "di", "[sp+0x8]", "0x0"; "" where there is nothing to say."""

    kind: str
    where: str


def place_of(unit: Unit, values: dict[int, Any], pc: int) -> Place:
    """Where the value of a parameter with these attributes is at an address. Raises Malformed."""
    constant = values.get(n.AT_CONST_VALUE)
    if constant is not None:
        return Place(CONSTANT, _constant(unit, constant))
    location = values.get(n.AT_LOCATION)
    if location is None:
        return Place(LOST, "")
    if isinstance(location, bytes):
        return _said(unit, location)
    expression = _listed(unit, location, pc)
    return Place(LOST, "") if expression is None else _said(unit, expression)


def _constant(unit: Unit, value: Any) -> str:
    if isinstance(value, bytes):
        return "0x" + (value[::-1] if unit.shape.is_little else value).hex()
    return f"{value:#x}" if isinstance(value, int) and -(1 << 64) < value < 1 << 64 else ""


def _said(unit: Unit, expression: bytes) -> Place:
    try:
        return _worded(unit, expression)
    except _UNREADABLE as error:
        raise unit.malformed(0, "a whole expression of a location", str(error)[:60]) from None


def _register(unit: Unit, number: int) -> str:
    known = _REGISTERS.get(unit.file.image.machine, ())
    return known[number] if number < len(known) else f"register {number}"


class _Unknown(Exception):
    """An operation that is not put into words."""


def _worded(unit: Unit, data: bytes) -> Place:
    """The expression in words. Raises IndexError or ValueError for one that is cut off."""
    if not data:
        return Place(LOST, "")
    pieces: list[str] = []
    stack: list[str] = []
    found: Place | None = None
    at = 0
    try:
        while at < len(data):
            op, at = data[at], at + 1
            if op == 0x93:  # piece
                size, at = uleb(data, at)
                part = found or (Place(MEMORY, f"[{stack[-1]}]") if stack else Place(LOST, "lost"))
                pieces.append(f"{part.where or part.kind} ({size} bytes)")
                found, stack = None, []
                continue
            if 0x50 <= op <= 0x6F or op == 0x90:
                number, at = (op - 0x50, at) if op != 0x90 else uleb(data, at)
                found = Place(REGISTER, _register(unit, number))
            elif op == 0x9F:  # stack_value
                found = _value(stack[-1])
            elif op == 0x9E:  # implicit_value
                size, at = uleb(data, at)
                found, at = Place(CONSTANT, _constant(unit, _taken(data, at, size))), at + size
            elif op in (0xA0, 0xF2):  # implicit_pointer: what it points to has no place in memory
                raise _Unknown
            elif op in (0xA3, 0xF3):  # entry_value
                size, at = uleb(data, at)
                inner = _worded(unit, _taken(data, at, size))
                stack.append(f"entry({inner.where})")
                at += size
            else:
                at = _step(unit, data, op, at, stack)
    except _Unknown:
        return Place(COMPUTED, "")
    if pieces:
        return Place(PIECES, ", ".join(pieces))
    return found or (Place(MEMORY, f"[{stack[-1]}]") if stack else Place(LOST, ""))


def _value(text: str) -> Place:
    if text.startswith("entry(") and text.endswith(")") and text.count("(") == 1:
        return Place(ENTRY, text[6:-1])
    return Place(CONSTANT if text.lstrip("-").startswith("0x") and " " not in text else VALUE, text)


def _step(unit: Unit, data: bytes, op: int, at: int, stack: list[str]) -> int:
    """Do one operation on the words; where the next begins."""
    if len(stack) > _STACK_MAX:
        raise _Unknown
    order = "little" if unit.shape.is_little else "big"
    if 0x30 <= op <= 0x4F:
        stack.append(f"{op - 0x30:#x}")
    elif op in _CONSTS:
        size, signed = _CONSTS[op]
        stack.append(f"{int.from_bytes(_taken(data, at, size), order, signed=bool(signed)):#x}")  # type: ignore[arg-type]
        at += size
    elif op in (0x10, 0x11, 0x23):  # constu, consts, plus_uconst
        value, at = (sleb if op == 0x11 else uleb)(data, at)
        if op == 0x23:
            stack[-1] = _sum(stack[-1], value)
        else:
            stack.append(f"{value:#x}")
    elif 0x70 <= op <= 0x8F or op in (0x92, 0xA5):  # breg, bregx, regval_type
        number, at = (op - 0x70, at) if op < 0x90 else uleb(data, at)
        value, at = uleb(data, at) if op == 0xA5 else sleb(data, at)
        stack.append(_sum(_register(unit, number), 0 if op == 0xA5 else value))
    elif op == 0x91:  # fbreg
        value, at = sleb(data, at)
        stack.append(_sum("frame", value))
    elif op == 0x9C:
        stack.append("frame")
    elif op == 0x03:
        size = unit.shape.address_bytes
        stack.append(f"{int.from_bytes(_taken(data, at, size), order):#x}")  # type: ignore[arg-type]
        at += size
    elif op in (0x06, 0x94):  # deref, deref_size
        stack[-1] = f"[{stack[-1]}]"
        at += op == 0x94
    elif op == 0x12:
        stack.append(stack[-1])
    elif op in (0xA8, 0xA9, 0xF7, 0xF9):  # convert, reinterpret: to another type, the same bits as far as they go
        _, at = uleb(data, at)
    elif op in _INFIX:
        right, left = stack.pop(), stack.pop()
        stack.append(f"{_bracketed(left)} {_INFIX[op]} {_bracketed(right)}")
    elif op in (0x1F, 0x20):  # neg, not
        stack[-1] = ("-" if op == 0x1F else "~") + _bracketed(stack[-1])
    elif op != 0x96:  # nop
        raise _Unknown
    return at


def _sum(text: str, value: int) -> str:
    return f"{_bracketed(text)}{value:+#x}" if value else text


def _taken(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError("the end of the expression")
    return data[at : at + size]


def _bracketed(text: str) -> str:
    return f"({text})" if " " in text else text


def _listed(unit: Unit, value: int, pc: int) -> bytes | None:
    """The expression that a location list gives for an address; None if it gives none."""
    file = unit.file
    name = ".debug_loclists" if unit.version >= 5 else ".debug_loc"
    size = unit.shape.offset_bytes
    if value < 0:
        table = unit.root.get(n.AT_LOCLISTS_BASE, 12 if size == 4 else 20)
        value = table + file.number(name, table + (-1 - value) * size, size)
    total = file.image.region(name).size
    if value >= total:
        raise Malformed(file.path, value, f"a list in {name}", "the end of the section")
    wanted = _LIST_BYTES
    while True:
        data = file.image.relocated(name, value, min(value + wanted, total))
        try:
            return _covering(unit, data, pc) if unit.version >= 5 else _covering_4(unit, data, pc)
        except _UNREADABLE as error:
            if value + wanted >= total or wanted > _LIST_BYTES_MAX:
                raise Malformed(file.path, value, f"a list in {name}", str(error)[:60]) from None
            wanted *= 16


def _covering(unit: Unit, data: bytes, pc: int) -> bytes | None:
    """DW_LLE entries (7.7.3). Raises IndexError or ValueError at the end of the bytes."""
    entries = Entries(unit, data, 0)
    address, number, indexed = entries.address, entries.number, entries.indexed
    base = unit.address(unit.root.get(n.AT_LOW_PC)) or 0
    default: bytes | None = None
    while True:
        kind = entries.kind()
        if kind == _END:
            return default
        if kind == _VIEWS:
            number()
            number()
            continue
        if kind in (_BASE, _BASEX):
            base = address() if kind == _BASE else indexed()
            continue
        start = end = 0
        if kind == _OFFSET_PAIR:
            start = base + number()
            end = base + number()
        elif kind == _START_END:
            start = address()
            end = address()
        elif kind == _START_LENGTH:
            start = address()
            end = start + number()
        elif kind == _STARTX_ENDX:
            start = indexed()
            end = indexed()
        elif kind == _STARTX_LENGTH:
            start = indexed()
            end = start + number()
        elif kind != _DEFAULT:
            raise ValueError(f"kind {kind}")
        text = entries.block(number())
        if kind == _DEFAULT:
            default = text
        elif start <= pc < end:
            return text


def _covering_4(unit: Unit, data: bytes, pc: int) -> bytes | None:
    """Pairs of .debug_loc, each with a length of two bytes and an expression."""
    size, order = unit.shape.address_bytes, "little" if unit.shape.is_little else "big"
    base, top = unit.address(unit.root.get(n.AT_LOW_PC)) or 0, (1 << 8 * unit.shape.address_bytes) - 1
    at = 0
    while True:
        if at + 2 * size > len(data):
            raise IndexError("the end of the list")
        start = int.from_bytes(data[at : at + size], order)  # type: ignore[arg-type]
        end = int.from_bytes(data[at + size : at + 2 * size], order)  # type: ignore[arg-type]
        at += 2 * size
        if not start and not end:
            return None
        if start == top:
            base = end
            continue
        if at + 2 > len(data):
            raise IndexError("the end of the list")
        length = int.from_bytes(data[at : at + 2], order)  # type: ignore[arg-type]
        at += 2
        if at + length > len(data):
            raise IndexError("the end of the list")
        if base + start & top <= pc < base + end & top:
            return data[at : at + length]
        at += length
