"""The context of a program type as a struct: which fields it may read and write, by this kernel's own code.

struct bpf_ctx_convert (kernel/bpf/btf.c) names the struct of each program type; is_valid_access of the type, which the
image shows (formats/image/access.py), says what may be loaded and stored.
"""

from __future__ import annotations

from ..formats.btf import kinds
from ..formats.btf.declaration import declaration
from ..formats.btf.records import COMPOSITES, Records
from ..model import facts
from ..model.calls import image_cure
from ..model.context import ContextField
from ..model.facts import Unread
from ..model.verdict import NO, UNKNOWN, YES
from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..formats.image.access import Accesses, Value
    from ..formats.image.program import Program
    from ..kernel.kernel import Kernel
    from .kept_image import KeptAccesses

_CONVERT, _HEAD, _TAIL = "bpf_ctx_convert", "BPF_PROG_TYPE_", "_prog"
_WORD = 8
_DEPTH_MAX = 8
_LOADS = (8, 4, 2, 1)


class Leaf(NamedTuple):
    """A field without fields of its own; `step` is the size of one element of an array, else of the field."""

    name: str
    type: str
    offset: int
    size: int
    step: int


def struct_of(k: Kernel, program: str) -> tuple[str, int, int] | None:
    """Name, size in bytes and BTF id of the context's struct; None where it is no struct, or is not told."""
    btf = k.btf()
    if btf is None:
        return None
    records = Records(btf)
    for convert in btf.find_ids(_CONVERT, frozenset((kinds.STRUCT,)))[:1]:
        for member in records.members(convert):
            if member.name == _HEAD + program + _TAIL:
                type_id = records.resolve(member.type_id)
                record = records.record(type_id)
                return (record.name, record.number, type_id) if record.kind == kinds.STRUCT else None
    return None


def leaves(records: Records, type_id: int, base: int = 0, head: str = "", depth: int = 0) -> Iterator[Leaf]:
    """The fields of a struct, those of inner structs and unions as well; padding has no name and is left out."""
    for member in records.members(type_id):
        at = base + member.bit_offset // 8
        inner = records.resolve(member.type_id)
        kind = records.record(inner).kind
        name = head + member.name
        if kind in COMPOSITES and depth < _DEPTH_MAX:
            yield from leaves(records, inner, at, f"{name}." if member.name else head, depth + 1)
        elif member.name:
            size = records.size(member.type_id) or 0
            step = (records.size(_element(records, inner)) or size) if kind == kinds.ARRAY else size
            yield Leaf(name, declaration(records.btf, member.type_id), at, size, step)


def _element(records: Records, type_id: int) -> int:
    """The type of an array's elements, inner arrays looked through."""
    while records.record(type_id).kind == kinds.ARRAY:
        type_id = records.resolve(records.array(type_id)[0])
    return type_id


def fields(
    k: Kernel, type_id: int, accesses: Accesses | KeptAccesses | None, program: Program | None
) -> tuple[ContextField, ...]:
    """Every field of a context's struct with what a program may do with it."""
    btf = k.btf()
    assert btf is not None
    return tuple(_field(leaf, accesses, program) for leaf in leaves(Records(btf), type_id))


def _field(leaf: Leaf, accesses: Accesses | KeptAccesses | None, program: Program | None) -> ContextField:
    if accesses is None or program is None:
        return ContextField(leaf.name, leaf.type, leaf.offset, leaf.size, None, UNKNOWN, UNKNOWN, value="")
    read, value = _access(leaf, accesses, program, 1)
    write, _ = _access(leaf, accesses, program, 2)
    says = "" if read != YES or value is None or value.kind == "scalar_value" else value.kind.replace("_", " ")
    narrow = read == YES and leaf.step > 1 and accesses.allowed(program, leaf.offset, 1) is True
    return ContextField(
        leaf.name,
        leaf.type,
        leaf.offset,
        leaf.size,
        None,
        read,
        write,
        value.kind if value is not None else "",
        YES if value is not None and value.may_be_null else NO,
        None,
        narrow,
        "",
        says,
    )


def _access(leaf: Leaf, accesses: Accesses | KeptAccesses, program: Program, access: int) -> tuple[str, Value | None]:
    """Of an array every element is asked; a field that no register holds is asked by its widest part."""
    step = leaf.step if leaf.step in _LOADS else next(one for one in _LOADS if not leaf.offset % one)
    value = None
    found = set()
    for at in range(leaf.offset, leaf.offset + max(leaf.size, step), step):
        told = accesses.allowed(program, at, step, access)
        found.add(told)
        if told and value is None:
            value = accesses.value()
    if None in found:
        return UNKNOWN, None
    return (YES if found == {True} else NO), value if found == {True} else None


def loads(accesses: Accesses | KeptAccesses, program: Program, size_bytes: int, access: int = 1) -> dict[int, str]:
    """Size of a load to a letter for each offset: y, n, or ? where it is not told."""
    letters = {True: "y", False: "n", None: "?"}
    return {
        size: "".join(letters[accesses.allowed(program, at, size, access)] for at in range(size_bytes))
        for size in sorted(_LOADS)
    }


def no_image(arch: str) -> Unread:
    """Which fields may be read is code. `arch`: the kernel's machine word."""
    why = "which fields a program may read and write is code of the kernel"
    return Unread(facts.CALLS, "not_there", why, image_cure(arch))
