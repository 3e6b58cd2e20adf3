"""What BTF holds about tracepoints: their arguments and the structs of their records.

include/trace/bpf_probe.h makes, for each tracepoint, `typedef void (*btf_trace_<name>)(void *__data, …)`
and, for each class, the function `__bpf_trace_<class>`; include/linux/tracepoint.h makes the function
`__traceiter_<name>`. include/trace/stages/stage1_struct_define.h makes `struct trace_event_raw_<class>`:
the common fields as one member `ent`, the event's fields, and `char __data[]`. A dynamic array's member is
called `__data_loc_<field>` or `__rel_loc_<field>`.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .kinds import CONST, ENUM, ENUM64, FUNC_PROTO, INT, KIND_FLAG, KIND_MASK, PTR, STRUCT, UNION, VLEN_MASK, Func
from .reader import Btf

RECORD = "trace_event_raw_"
TYPEDEF_HEAD = "btf_trace_"
_OFFSET_MASK = 0xFFFFFF  # of a member of a struct with kind_flag: the size of a bit-field is above


class Parameter(NamedTuple):
    """One argument, `void *__data` not counted. `name` is "" where BTF has none; `size` is bytes.

    `shape`: scalar, struct_pointer, pointer, struct, other; `struct` names the struct that a pointer leads
    to; `target`: for a pointer to anything else, "void", "qualified void" (const void and its like), "byte" (char or
    const char of any sign, not a typedef), "int" or "other"; for a struct by value, "union" if it is one.
    """

    name: str
    type: str
    size: int
    shape: str
    struct: str | None
    target: str | None
    type_id: int


def prototype_id(btf: Btf, tracepoint: str) -> int | None:
    """The FUNC_PROTO behind the typedef btf_trace_<tracepoint>; None if there is no such typedef. Raises Malformed."""
    type_id = btf.find_typedef(TYPEDEF_HEAD + tracepoint)
    return None if type_id is None else pointed_prototype(btf, type_id)


def pointed_prototype(btf: Btf, type_id: int) -> int:
    """The FUNC_PROTO id that a typedef of a function pointer leads to. Raises Malformed for another type."""
    owner, at = btf.skip_modifiers(type_id)
    if at and owner.words[at] >> 24 & KIND_MASK == PTR:
        proto = owner.words[at + 1]
        where, place = owner.locate(proto, at)
        if where.words[place] >> 24 & KIND_MASK == FUNC_PROTO:
            return proto
    raise btf.malformed_at(at or 1, f"type {type_id} to be a pointer to a function")


def parameter_ids(btf: Btf, proto_id: int) -> tuple[tuple[str, int], ...]:
    """Name and type id of each parameter of a FUNC_PROTO. Raises Malformed for another kind of type."""
    owner, at = btf.locate(proto_id)
    words = owner.words
    if words[at] >> 24 & KIND_MASK != FUNC_PROTO:
        raise owner.malformed_at(at, f"type {proto_id} to be a FUNC_PROTO")
    places = range(at + 2, at + 2 + 2 * (words[at] & VLEN_MASK), 2)
    return tuple((owner.string(words[place], at), words[place + 1]) for place in places)


def parameters(btf: Btf, proto_id: int, skipped: int = 1) -> tuple[Parameter, ...]:
    """The arguments of a FUNC_PROTO, of a tracepoint's without the leading `void *__data`. Raises Malformed."""
    raw = parameter_ids(btf, proto_id)[skipped:]
    texts = btf.prototype(Func(0, "f", proto_id)).args[skipped:] if raw else ()
    raw = raw[: len(texts)]  # a last parameter of type 0 stands for `...`
    return tuple(
        Parameter(name, text.type, text.size_bytes, *_shape(btf, type_id), type_id)
        for (name, type_id), text in zip(raw, texts, strict=True)
    )


def names_of(btf: Btf, function: str) -> tuple[str, ...]:
    """Parameter names of a FUNC, without the first; () if there is no such FUNC."""
    for func in btf.find_functions(function):
        return tuple(name for name, _ in parameter_ids(btf, func.proto_id)[1:])
    return ()


def _shape(btf: Btf, type_id: int) -> tuple[str, str | None, str | None]:
    """Shape, struct and target of a parameter's type (kernel/bpf/btf.c, btf_ctx_access)."""
    owner, at = btf.skip_modifiers(type_id)
    kind = owner.words[at] >> 24 & KIND_MASK if at else 0
    if kind in (INT, ENUM, ENUM64):
        return "scalar", None, None
    if kind in (STRUCT, UNION):
        return "struct", owner.string(owner.words[at - 1], at), "union" if kind == UNION else None
    if kind != PTR:
        return "other", None, None
    inner, target = owner.skip_modifiers(owner.words[at + 1], at)
    if not target:
        return "pointer", None, "qualified void" if owner.words[at + 1] else "void"
    kind = inner.words[target] >> 24 & KIND_MASK
    if kind in (STRUCT, UNION):
        title = inner.string(inner.words[target - 1], target)
        return "struct_pointer", title, None
    if kind != INT:
        return "pointer", None, "other"
    return "pointer", None, "byte" if _is_byte(owner, owner.words[at + 1], at) else "int"


def _is_byte(btf: Btf, type_id: int, at: int) -> bool:
    """INT of one byte, behind one const at most; what is_string_ptr of kernel/bpf/btf.c asked."""
    owner, place = btf.locate(type_id, at)
    if owner.words[place] >> 24 & KIND_MASK == CONST:
        owner, place = owner.locate(owner.words[place + 1], place)
    return owner.words[place] >> 24 & KIND_MASK == INT and owner.words[place + 1] == 1


class Members(NamedTuple):
    """The members of one record struct without `ent` and `__data`: (name, offset in bytes) in their order."""

    type_id: int
    fields: tuple[tuple[str, int], ...]


def record_structs(btf: Btf) -> dict[str, Members]:
    """Class to members of every `struct trace_event_raw_<class>` of this blob. Walks its records. Raises Malformed.

    Bit-fields and members inside anonymous structs leave the class out: no trace event has them.
    """
    found: dict[str, Members] = {}
    for name, type_id in btf.structs_named(RECORD).items():
        one = members(btf, type_id)
        if one is not None:
            found[name.removeprefix(RECORD)] = one
    return found


def record_struct(btf: Btf, name: str) -> Members | None:
    """The members of one struct by its whole name; None if there is none, or it is no record. Raises Malformed."""
    type_id = btf.find_struct(name)
    return None if type_id is None else members(btf, type_id)


def members(btf: Btf, type_id: int) -> Members | None:
    """The same by id."""
    owner, at = btf.locate(type_id)
    words = owner.words
    info = words[at]
    if info >> 24 & KIND_MASK != STRUCT:
        return None
    fields = []
    for place in range(at + 2, at + 2 + 3 * (info & VLEN_MASK), 3):
        bits = words[place + 2] & _OFFSET_MASK if info & KIND_FLAG else words[place + 2]
        if bits % 8 or (info & KIND_FLAG and words[place + 2] > _OFFSET_MASK):
            return None
        fields.append((owner.string(words[place], at), bits // 8))
    if fields and fields[0][0] == "ent":
        del fields[0]
    if fields and fields[-1][0] == "__data":
        del fields[-1]
    return Members(type_id, tuple(fields))


_COPY = "syscall_tp_t"  # kernel/trace/trace_syscalls.c: two structs of this name, each inside a function


def syscall_copies(btf: Btf, value: str) -> set[tuple[int, int, int]]:
    """Layouts of `struct syscall_tp_t` whose last member is `value` ("args" or "ret"): offset and size of the call's
    number, and the value's offset, in bytes.

    Empty where BTF has none: it was cut, or made without the types of functions. Raises Malformed.
    """
    found = set()
    for type_id in btf.find_ids(_COPY, frozenset((STRUCT,))):
        one = members(btf, type_id)
        at = dict(one.fields) if one is not None else {}
        if "syscall_nr" in at and value in at:
            size = _number_bytes(btf, type_id)
            if size:
                found.add((at["syscall_nr"], size, at[value]))
    return found


def _number_bytes(btf: Btf, type_id: int) -> int | None:
    """Size of the member syscall_nr: an unsigned long, since Linux 6.6 and stable kernels an int."""
    owner, at = btf.locate(type_id)
    words = owner.words
    for place in range(at + 2, at + 2 + 3 * (words[at] & VLEN_MASK), 3):
        if owner.string(words[place], at) == "syscall_nr":
            inner, target = owner.skip_modifiers(words[place + 1], at)
            return inner.words[target + 1] if target and inner.words[target] >> 24 & KIND_MASK == INT else None
    return None
