"""Reduce BTF types to words that need no other declaration: fixed-width integers and names of structs.

A typedef becomes the integer behind it, an enum an integer of its size and sign. Structs and unions keep
their names, since a pointer to one needs no more than its name. include/uapi/linux/btf.h.
"""

from __future__ import annotations

from probe_scout.model.stub import Argument, PlainType, RecordMember

from .declaration import declaration
from .kinds import (
    ARRAY,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    KIND_FLAG,
    KIND_MASK,
    POINTER_BYTES,
    PTR,
    STRUCT,
    TYPE_TAG,
    UNION,
    VLEN_MASK,
)
from .reader import Btf

_SIGNED, _CHAR, _BOOL = 1, 2, 4  # BTF_INT_ENCODING
_SIZES = (1, 2, 4, 8)
_CHAIN_MAX = 64
_USER = "user"


def plain(btf: Btf, type_id: int) -> PlainType:
    """The type with this id. Raises Malformed where an id leads nowhere."""
    text = declaration(btf, type_id)
    owner, at = btf.skip_modifiers(type_id)
    if not at:
        return PlainType("void", 0, False, text)
    words = owner.words
    info = words[at]
    kind = info >> 24 & KIND_MASK
    size = words[at + 1]
    name = owner.string(words[at - 1], at)
    if kind == INT:
        encoding = words[at + 2] >> 24 & 0xF
        group = "int" if size in _SIZES else "other"
        return PlainType("bool" if encoding & _BOOL else group, size, bool(encoding & _SIGNED), text)
    if kind in (ENUM, ENUM64):
        return PlainType("enum" if size in _SIZES else "other", size, bool(info & KIND_FLAG), text)
    if kind == PTR:
        target, struct = _target(owner, words[at + 1])
        return PlainType("pointer", POINTER_BYTES, False, text, target, struct, _is_user(owner, words[at + 1]))
    if kind in (STRUCT, UNION):
        return PlainType("struct", size, False, text, struct=_titled(kind, name))
    if kind == FLOAT:
        return PlainType("float", size, False, text)
    return PlainType("other", 0, False, text)


def arguments(btf: Btf, proto_id: int, skip: int = 0) -> tuple[tuple[Argument, ...], PlainType, bool]:
    """Parameters, return type and variadic mark of a FUNC_PROTO; slots are counted after `skip` parameters.

    A parameter without a name is called arg<n>, n from 0. Raises Malformed.
    """
    owner, at = btf.locate(proto_id)
    words = owner.words
    if words[at] >> 24 & KIND_MASK != FUNC_PROTO:
        raise owner.malformed_at(at, f"type {proto_id} to be a FUNC_PROTO")
    places = range(at + 2, at + 2 + 2 * (words[at] & VLEN_MASK), 2)
    params = [(owner.string(words[place], at), words[place + 1]) for place in places]
    variadic = bool(params) and params[-1][1] == 0  # as btf_distill_func_proto: the last one, of type 0
    if variadic:
        params.pop()
    found = []
    slot = 0
    for index, (name, type_id) in enumerate(params[skip:]):
        one = plain(owner, type_id)
        slots = max(1, (one.size + 7) // 8)
        found.append(Argument(name or f"arg{index}", one, slot, slots))
        slot += slots
    return tuple(found), plain(owner, words[at + 1]), variadic


def members(btf: Btf, type_id: int) -> tuple[RecordMember, ...]:
    """Named members of a struct that lie on whole bytes, in order; anonymous ones and bitfields are left out."""
    owner, at = btf.locate(type_id)
    words = owner.words
    info = words[at]
    found = []
    for place in range(at + 2, at + 2 + 3 * (info & VLEN_MASK), 3):
        name = owner.string(words[place], at)
        bits = words[place + 2]
        if info & KIND_FLAG:  # BTF_MEMBER_BIT_OFFSET, BTF_MEMBER_BITFIELD_SIZE
            bits, width = bits & 0xFFFFFF, bits >> 24
            if width:
                continue
        if not name or bits % 8:
            continue
        one, elements = _element(owner, words[place + 1])
        found.append(RecordMember(name, one, bits // 8, one.size * (1 if elements is None else elements), elements))
    return tuple(found)


def _element(btf: Btf, type_id: int) -> tuple[PlainType, int | None]:
    """The type, or an array's innermost element type and how many there are."""
    total: int | None = None
    for _ in range(_CHAIN_MAX):
        owner, at = btf.skip_modifiers(type_id)
        if not at or owner.words[at] >> 24 & KIND_MASK != ARRAY:
            break
        total = owner.words[at + 4] * (1 if total is None else total)
        type_id, btf = owner.words[at + 2], owner
    return plain(btf, type_id), total


def _target(btf: Btf, type_id: int) -> tuple[str, str]:
    """What a pointer leads to, in words that stand alone, and the struct among them."""
    owner, at = btf.skip_modifiers(type_id)
    if not at:
        return "void", ""
    words = owner.words
    kind = words[at] >> 24 & KIND_MASK
    name = owner.string(words[at - 1], at)
    if kind == INT:
        encoding, size = words[at + 2] >> 24 & 0xF, words[at + 1]
        if name == "char" or encoding & _CHAR:
            return "char", ""
        return (f"__{'s' if encoding & _SIGNED else 'u'}{8 * size}" if size in _SIZES else "void"), ""
    if kind in (ENUM, ENUM64):
        size = words[at + 1]
        return (f"__{'s' if words[at] & KIND_FLAG else 'u'}{8 * size}" if size in _SIZES else "void"), ""
    if kind in (STRUCT, UNION, FWD):
        is_union = kind == UNION or (kind == FWD and bool(words[at] & KIND_FLAG))
        titled = _titled(UNION if is_union else STRUCT, name)
        return titled or "void", titled
    return "void", ""


def _titled(kind: int, name: str) -> str:
    return f"{'union' if kind == UNION else 'struct'} {name}" if name else ""


def _is_user(btf: Btf, type_id: int) -> bool | None:
    for _ in range(_CHAIN_MAX):
        if not type_id:
            return None
        owner, at = btf.locate(type_id)
        kind = owner.words[at] >> 24 & KIND_MASK
        if kind == TYPE_TAG and owner.string(owner.words[at - 1], at) == _USER:
            return True
        if kind in (INT, PTR, ARRAY, STRUCT, UNION, ENUM, ENUM64, FWD, FLOAT, FUNC_PROTO):
            return None
        type_id, btf = owner.words[at + 1], owner
    return None
