"""What a BPF program's own BTF says about the arguments that its writer counted on.

A program of raw_tp or tp_btf has one parameter, the context; its prototype does not name the event's arguments. Two
things do: the struct that the context points to, where it is one of 8-byte slots; and the program's first line
of source, which the loader hands over with the line information (struct bpf_line_info), and which with libbpf's
macro reads `int BPF_PROG(name, struct task_struct *prev, …)`. A program without either says nothing.
"""

from __future__ import annotations

import re

from ...named_tuple import NamedTuple
from .kinds import FUNC, FUNC_PROTO, FWD, KIND_MASK, PTR, STRUCT, UNION, VLEN_MASK
from .reader import Btf

POINTER, NARROW, OPEN = "struct_pointer", "narrow", "open"
SLOT_BITS = 64
_KERNELS_OWN = frozenset(("bpf_raw_tracepoint_args", "pt_regs"))
_LINE = re.compile(r"\bBPF_PROG2?\s*\(\s*\w+\s*,(.*)", re.S)
_FLAVOR = re.compile(r"___\w+$")
_STRUCT = re.compile(r"^(?:const\s+|volatile\s+)*(?:struct|union)\s+(\w+)\s*(?:const\s*)?\*\s*(?:const\s+)?\w*$")
_NARROW = frozenset(
    (
        *("bool", "_Bool", "char", "short", "int", "unsigned", "unsigned int", "unsigned char", "unsigned short"),
        *(f"{head}{sign}{bits}" for head in ("", "__") for sign in "us" for bits in (8, 16, 32)),
        *(f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32)),
        *("pid_t", "gfp_t", "umode_t", "dev_t"),
    )
)


class Expected(NamedTuple):
    """One argument as the program has it. `shape`: struct_pointer (of `struct`), narrow (a number of less than 8
    bytes), or open, which goes with everything. `text` is as the writer put it."""

    shape: str
    struct: str | None
    text: str


def arguments(raw: bytes, func_id: int, line_offset: int | None) -> tuple[Expected, ...]:
    """The arguments by the line of source, else by the context's struct; () where neither tells. Raises Malformed.

    Those behind the last typed one may be left out: a line ends where its writer broke it, and a struct may be larger
    than what is used of it.
    """
    btf = Btf(raw, None, "a program's BTF")
    found = of_line(btf.string(line_offset)) if line_offset else ()
    return found or _of_context(btf, func_id)


def of_line(line: str) -> tuple[Expected, ...]:
    """The arguments in a line `int BPF_PROG(name, …`; of a line that goes on, those that are whole."""
    match = _LINE.search(line)
    if match is None:
        return ()
    words, is_whole = _split(match[1])
    return tuple(map(_of_text, words if is_whole else words[:-1]))


def _split(text: str) -> tuple[list[str], bool]:
    """The parts between commas up to the closing parenthesis, and whether that was there."""
    found: list[str] = []
    part, depth = "", 0
    for letter in text:
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
            if depth < 0:
                return [*found, part.strip()], True
        if letter == "," and not depth:
            found.append(part.strip())
            part = ""
        else:
            part += letter
    return [*found, part.strip()], False


def _of_text(text: str) -> Expected:
    text = " ".join(text.split())
    match = _STRUCT.match(text)
    if match:
        return Expected(POINTER, _FLAVOR.sub("", match[1]), text)
    kind = re.sub(r"^(?:const |volatile )*", "", text)
    words = kind.rpartition(" ")[0] if " " in kind else kind
    return Expected(NARROW if words in _NARROW and "*" not in text else OPEN, None, text)


def _of_context(btf: Btf, func_id: int) -> tuple[Expected, ...]:
    """The members of the struct behind the program's only parameter, where each has a slot of its own."""
    if not func_id:
        return ()
    owner, at = btf.locate(func_id)
    if owner.words[at] >> 24 & KIND_MASK != FUNC:
        return ()
    owner, at = owner.locate(owner.words[at + 1], at)
    if owner.words[at] >> 24 & KIND_MASK != FUNC_PROTO or owner.words[at] & VLEN_MASK != 1:
        return ()
    owner, place = owner.skip_modifiers(owner.words[at + 3], at)
    if not place or owner.words[place] >> 24 & KIND_MASK != PTR:
        return ()
    owner, place = owner.skip_modifiers(owner.words[place + 1], place)
    if not place or owner.words[place] >> 24 & KIND_MASK != STRUCT:
        return ()
    if _FLAVOR.sub("", owner.string(owner.words[place - 1], place)) in _KERNELS_OWN:
        return ()
    found = []
    for number in range(owner.words[place] & VLEN_MASK):
        name, kind, bits = owner.words[place + 2 + 3 * number : place + 5 + 3 * number]
        if bits != SLOT_BITS * number:
            return ()
        found.append(_of_member(owner, owner.string(name, place), kind, place))
    while found and found[-1].shape == OPEN:
        found.pop()
    return tuple(found)


def _of_member(btf: Btf, name: str, type_id: int, asked_at: int) -> Expected:
    owner, at = btf.skip_modifiers(type_id, asked_at)
    if at and owner.words[at] >> 24 & KIND_MASK == PTR and owner.words[at + 1]:
        owner, target = owner.skip_modifiers(owner.words[at + 1], at)
        kind = owner.words[target] >> 24 & KIND_MASK if target else 0
        title = owner.string(owner.words[target - 1], target) if kind in (STRUCT, UNION, FWD) else ""
        if title:
            word = "union" if kind == UNION or (kind == FWD and owner.words[target] >> 31) else "struct"
            return Expected(POINTER, _FLAVOR.sub("", title), f"{word} {title} *{name}")
    return Expected(OPEN, None, name)
