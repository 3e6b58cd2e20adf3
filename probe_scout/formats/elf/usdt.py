"""USDT probes of a file: the notes of .note.stapsdt, and the grammar of their arguments.

Format: <sys/sdt.h> of SystemTap (owner "stapsdt", type 3): three words (location, base, semaphore), then provider, name
and arguments, each with a NUL. Where `.stapsdt.base` has moved since (prelink), location and semaphore move with it.
Arguments are SIZE@OPERAND, a negative SIZE is signed, `f` behind it a float; operands are the assembler's.

Which of them a loader understands: tools/lib/bpf/usdt.c of libbpf, parse_usdt_arg.
"""

from __future__ import annotations

import re
from struct import unpack_from
from typing import TYPE_CHECKING, NamedTuple

from .user_image import EM_386, EM_AARCH64, EM_X86_64, PF_W

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .user_image import UserImage

_OWNER, _TYPE = b"stapsdt", 3
SITES_MAX = 1_000_000
LIBBPF_ARGUMENTS_MAX = 12  # BPF_USDT_MAX_ARG_CNT
REGISTER, MEMORY, IMMEDIATE, SYMBOL, UNKNOWN = "register", "memory", "immediate", "symbol", "unknown"


class Argument(NamedTuple):
    """One argument. `text` is the operand as written; `size` in bytes, 0 where it is not said."""

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

    @property
    def type(self) -> str:
        """The C type."""
        if self.is_float:
            return {4: "float", 8: "double"}.get(self.size, "long double")
        return f"{'' if self.is_signed else 'u'}int{self.size * 8}_t" if self.size in (1, 2, 4, 8) else "unknown"

    @property
    def libbpf(self) -> str:
        """Why libbpf refuses the whole probe for this argument; "" where it understands it."""
        if self.is_float:
            return "libbpf knows no floating-point arguments"
        if self.size not in (1, 2, 4, 8):
            return "libbpf takes sizes of 1, 2, 4 and 8 bytes"
        if self.kind == SYMBOL:
            return "libbpf has no pattern for an address relative to a symbol"
        if self.kind == UNKNOWN:
            return "libbpf does not know this operand"
        return ""


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
    return tuple(_argument(part, machine) for part in _split(text))


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
