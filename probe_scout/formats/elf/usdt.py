"""USDT probes of a file: the notes of .note.stapsdt, and the grammar of their arguments.

Format: <sys/sdt.h> of SystemTap (owner "stapsdt", type 3): three words (location, base, semaphore), then provider, name
and arguments, each with a NUL. Where `.stapsdt.base` has moved since (prelink), location and semaphore move with it.
Arguments are SIZE@OPERAND, a negative SIZE is signed, `f` behind it a float; operands are the assembler's.

Which of them a loader understands: tools/lib/bpf/usdt.c of libbpf, parse_usdt_arg and calc_pt_regs_off; src/cc/usdt/
usdt_args.cc of bcc, ArgumentParser_x64; CreateUSDTReadArgument of bpftrace, which reads operands by bcc's parser.
"""

from __future__ import annotations

import re
from struct import unpack_from

from ...named_tuple import NamedTuple
from .user_image import EM_386, EM_AARCH64, EM_X86_64, PF_W

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .user_image import UserImage

_OWNER, _TYPE = b"stapsdt", 3
SITES_MAX = 1_000_000
LIBBPF_ARGUMENTS_MAX = 12  # BPF_USDT_MAX_ARG_CNT
REGISTER, MEMORY, IMMEDIATE, SYMBOL, UNKNOWN = "register", "memory", "immediate", "symbol", "unknown"


class Argument(NamedTuple):
    """One argument. `text` is the operand as written; `size` in bytes, 0 where it is not said.

    `libbpf`: why libbpf refuses the whole probe for it; "" where it understands it. `others`: which other loaders, or
    older ones, cannot read it, and why.
    """

    text: str
    size: int
    is_signed: bool
    is_float: bool
    kind: str  # register, memory, immediate, symbol (an address relative to a symbol), unknown
    register: str = ""
    index_register: str = ""
    scale: int = 1
    offset: int = 0
    symbol: str = ""
    libbpf: str = ""
    others: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The C type."""
        if self.is_float:
            return {4: "float", 8: "double"}.get(self.size, "long double")
        return f"{'' if self.is_signed else 'u'}int{self.size * 8}_t" if self.size in (1, 2, 4, 8) else "unknown"


class Site(NamedTuple):
    """One place of a probe. `offset` and `semaphore_offset` are file offsets; None where no segment holds them."""

    provider: str
    name: str
    location: int
    offset: int | None
    semaphore: int
    semaphore_offset: int | None
    text: str
    arguments: tuple[Argument, ...]


def sites(image: UserImage) -> Iterator[Site]:
    """Every site in the order of the notes. Notes that are cut off are left out, `image.damage` counts them."""
    base_section = next((s for s in image.sections if s.name == ".stapsdt.base"), None)
    word = image.order + ("III" if image.bits == 32 else "QQQ")
    head = 12 if image.bits == 32 else 24
    for count, note in enumerate(image.notes(".note.stapsdt") if image.sections else image.notes()):
        if note.name != _OWNER or note.type != _TYPE:
            continue
        parts = note.content[head:].split(b"\0", 3)
        if len(note.content) < head or len(parts) < 3 or count >= SITES_MAX:
            image.damage.append(f"a USDT note at byte {note.content_start} is cut off")
            continue
        location, base, semaphore = unpack_from(word, note.content, 0)
        if base_section is not None and base:
            moved = base_section.address - base
            location += moved
            semaphore += moved if semaphore else 0
        provider, name, text = (part.decode("utf-8", "replace") for part in parts[:3])
        yield Site(
            provider,
            name,
            location,
            image.file_offset(location),
            semaphore,
            _semaphore_offset(image, semaphore) if semaphore else None,
            text,
            arguments(text, image.machine),
        )


def _semaphore_offset(image: UserImage, address: int) -> int | None:
    """ref_ctr_offset: by the writable segment, as find_segment_by_vma of libbpf's usdt.c."""
    for segment in image.loads:
        if segment.flags & PF_W and 0 <= address - segment.address < segment.memory_bytes:
            return address - segment.address + segment.offset
    return image.file_offset(address)


_SPECIFIER = re.compile(r"\s*(-?\d+)(f?)@")
_X86_REGISTER = re.compile(r"%([a-z][a-z0-9]*)$")
_X86_MEMORY = re.compile(
    r"(?P<disp>[^(]*)\(\s*(?:%(?P<base>[a-z0-9]+))?\s*(?:,\s*%(?P<index>[a-z0-9]+)\s*(?:,\s*(?P<scale>\d))?\s*)?\)$"
)
_SUM = re.compile(r"(?P<a>-?(?:0x[0-9a-fA-F]+|\d+))?(?:\+?(?P<symbol>[A-Za-z_.$][\w.$@]*))?(?P<b>[+-]\d+)?$")
_ARM_MEMORY = re.compile(r"\[\s*(?P<base>[a-z0-9]+)\s*(?:,\s*(?:#?(?P<off>-?\d+)|(?P<index>[a-z0-9]+))\s*)?\]$")
_ARM_REGISTER = re.compile(r"(?:[xwrbhsdqv]\d{1,2}|sp|fp|lr|xzr|wzr)$")


def arguments(text: str, machine: int = EM_X86_64) -> tuple[Argument, ...]:
    """The arguments of a note. A part that is no SIZE@OPERAND becomes one argument of kind unknown."""
    return tuple(_with_loaders(_argument(part, machine), part, machine) for part in _split(text))


_I, _R = r"\s*[+-]?\d+\s*@\s*", r"%([^,)\s]{1,15})"
_L = r"[+-]?\d+\s*"
_LIBBPF_X86 = (  # as the patterns of its sscanf, in their order; groups are registers
    re.compile(rf"{_I}(?:{_L})?\(\s*{_R}\s*,\s*{_R}\s*(?:,\s*([1248])\s*)?\)\s*$"),
    re.compile(rf"{_I}(?:{_L})?\(\s*{_R}\s*\)\s*$"),
    re.compile(rf"{_I}{_R}\s*$"),
    re.compile(rf"{_I}\${_L}$"),
)
_LIBBPF_ARM = (
    re.compile(rf"{_I}\[\s*([a-z0-9]{{1,15}})\s*(?:,\s*{_L})?\]\s*$"),
    re.compile(rf"{_I}{_L}$"),
    re.compile(rf"{_I}([a-z0-9]{{1,15}})\s*$"),
)
_X86_REGISTERS = frozenset(
    f"{head}{base}{tail}"
    for base in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "ip")
    for head, tail in (("r", ""), ("e", ""), *((("", ""),) if base != "ip" else ()))
) | frozenset(("al", "bl", "cl", "dl", "sil", "dil", "bpl", "spl"))
_X86_64_REGISTERS = _X86_REGISTERS | {f"r{n}{tail}" for n in range(8, 16) for tail in ("", "d", "w", "b")}
_ARM_REGISTERS = frozenset(("sp", *(f"x{n}" for n in range(31))))


def _with_loaders(one: Argument, part: str, machine: int) -> Argument:
    one = one._replace(libbpf=_libbpf(one, part, machine))
    return one._replace(others=_others(one, machine))


def _libbpf(one: Argument, part: str, machine: int) -> str:
    if one.is_float:
        return "libbpf knows no floating-point arguments"
    if one.size not in (1, 2, 4, 8):
        return "libbpf takes sizes of 1, 2, 4 and 8 bytes"
    if one.kind == SYMBOL:
        return "libbpf has no pattern for an address relative to a symbol"
    if one.kind == UNKNOWN:
        return "libbpf does not know this operand"
    patterns, known = {
        EM_X86_64: (_LIBBPF_X86, _X86_64_REGISTERS),
        EM_386: (_LIBBPF_X86, _X86_REGISTERS),
        EM_AARCH64: (_LIBBPF_ARM, _ARM_REGISTERS),
    }.get(machine, ((), frozenset[str]()))
    found = next((match for pattern in patterns if (match := pattern.match(part))), None)
    if found is None:
        return "libbpf has no pattern for this operand"
    lacking = [name for name in found.groups() if name and not name.isdigit() and name not in known]
    return f"libbpf does not know the register {lacking[0]}" if lacking else ""


def _others(one: Argument, machine: int) -> tuple[str, ...]:
    """What bcc, bpftrace and older libbpf make of it; told for x86-64, whose parsers were read."""
    if machine != EM_X86_64:
        return ()
    said: list[str] = []
    # Commit 758acb9ccfdb ("libbpf: Fix USDT SIB argument handling causing unrecognized register error").
    if one.index_register and not one.libbpf:
        said.append("libbpf before 758acb9ccfdb (2025): it takes base and index for one register")
    operand = one.text
    if one.is_float or one.kind == UNKNOWN:
        said += ["bcc: its parser knows no such operand", "bpftrace: it reads operands by bcc's parser"]
    elif one.kind == SYMBOL:
        said.append("bpftrace: addresses relative to a symbol are not handled")
    elif one.kind == MEMORY and (not one.register or re.match(r"[-\d]+\+\d", operand)):
        said += ["bcc: it wants a base register and one distance", "bpftrace: it reads operands by bcc's parser"]
    if one.register.startswith("xmm") and not one.is_float:
        said += ["bcc: struct pt_regs has no vector registers", "bpftrace: struct pt_regs has no vector registers"]
    return tuple(said)


def _split(text: str) -> list[str]:
    """At blanks, but not inside brackets: `-8@[x29, 16]` is one argument."""
    parts: list[str] = []
    depth, begun = 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "[(") - (sign in "])")
        if sign == " " and depth <= 0:
            parts.append(text[begun:at])
            begun = at + 1
    parts.append(text[begun:])
    return [part for part in (p.strip() for p in parts) if part]


def _argument(part: str, machine: int) -> Argument:
    head = _SPECIFIER.match(part)
    operand = part[head.end() :] if head else part
    size = int(head[1]) if head else 0
    plain = Argument(operand, abs(size) if abs(size) <= 64 else 0, size < 0, bool(head and head[2]), UNKNOWN)
    if head is None:
        return plain
    return _x86(plain, operand) if machine in (EM_X86_64, EM_386) else _other(plain, operand, machine)


def _x86(plain: Argument, operand: str) -> Argument:
    if found := _X86_REGISTER.match(operand):
        return plain._replace(kind=REGISTER, register=found[1])
    if operand.startswith("$"):
        return _sum(plain, operand[1:], IMMEDIATE)
    if found := _X86_MEMORY.match(operand):
        base, index = found["base"] or "", found["index"] or ""
        at = _sum(plain, found["disp"].strip() or "0", MEMORY)
        scale = int(found["scale"] or 1)
        return at._replace(register=base, index_register=index, scale=scale) if at.kind != UNKNOWN else at
    return _sum(plain, operand, MEMORY)


def _sum(plain: Argument, text: str, kind: str) -> Argument:
    """NUMBER, SYMBOL or a sum of both, as the assembler prints it."""
    found = _SUM.match(text)
    if not text or found is None:
        return plain
    offset = int(found["a"] or "0", 0) + int(found["b"] or "0")
    symbol = found["symbol"] or ""
    return plain._replace(kind=SYMBOL if symbol else kind, offset=offset, symbol=symbol)


def _other(plain: Argument, operand: str, machine: int) -> Argument:
    if machine != EM_AARCH64:
        return plain
    if found := _ARM_MEMORY.match(operand):
        return plain._replace(
            kind=MEMORY, register=found["base"], index_register=found["index"] or "", offset=int(found["off"] or 0)
        )
    if _ARM_REGISTER.match(operand):
        return plain._replace(kind=REGISTER, register=operand)
    return _sum(plain, operand.removeprefix("#"), IMMEDIATE)
