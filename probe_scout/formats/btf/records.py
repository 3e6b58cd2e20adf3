"""Type records of a BTF blob by id, decoded one at a time and kept: what CO-RE relocation and object checks walk over.

`reader.Btf` answers questions about names and shapes from the raw words; relocation follows ids back and forth through
two blobs, so it wants each record as a value. Format: include/uapi/linux/btf.h.
"""

from __future__ import annotations

from probe_scout.errors import Malformed

from ...named_tuple import NamedTuple
from . import kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .reader import Btf

MODIFIERS = frozenset((kinds.TYPEDEF, kinds.VOLATILE, kinds.CONST, kinds.RESTRICT, kinds.TYPE_TAG))
COMPOSITES = frozenset((kinds.STRUCT, kinds.UNION))
ENUMS = frozenset((kinds.ENUM, kinds.ENUM64))
_SIZED = frozenset((kinds.INT, kinds.STRUCT, kinds.UNION, kinds.ENUM, kinds.ENUM64, kinds.FLOAT, kinds.DATASEC))
_CHAIN_MAX = 64  # libbpf follows 32 (MAX_RESOLVE_DEPTH)
POINTER_BYTES = 8
INT_SIGNED = 1
INT_BOOL = 4


class Member(NamedTuple):
    """A member of a struct or union. `bits` is the width of a bit-field, 0 for any other member."""

    name: str
    type_id: int
    bit_offset: int
    bits: int


class Record(NamedTuple):
    """The head of a type record. `number` is the size in bytes or the id of the type referred to, by `kind`."""

    kind: int
    name: str
    vlen: int
    kind_flag: bool
    number: int
    owner: Btf
    at: int


class Records:
    """The types that can be reached from one blob: its own and those of its base."""

    __slots__ = ("_enumerators", "_members", "_records", "_resolved", "_sizes", "btf")

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self._records: dict[int, Record] = {}
        self._members: dict[int, tuple[Member, ...]] = {}
        self._enumerators: dict[int, tuple[tuple[str, int], ...]] = {}
        self._resolved: dict[int, int] = {}
        self._sizes: dict[int, int | None] = {}

    def record(self, type_id: int) -> Record:
        """The record of an id; id 0 is void. Raises Malformed for an id that does not exist."""
        found = self._records.get(type_id)
        if found is None:
            if not type_id:
                found = Record(kinds.VOID, "", 0, False, 0, self.btf, 0)
            else:
                owner, at = self.btf.locate(type_id)
                words = owner.words
                info = words[at]
                found = Record(
                    info >> 24 & kinds.KIND_MASK,
                    owner.string(words[at - 1], at),
                    info & kinds.VLEN_MASK,
                    bool(info & kinds.KIND_FLAG),
                    words[at + 1],
                    owner,
                    at,
                )
            self._records[type_id] = found
        return found

    def resolve(self, type_id: int) -> int:
        """The id behind typedefs, qualifiers and type tags. Raises Malformed for a chain without end."""
        found = self._resolved.get(type_id)
        if found is None:
            found = type_id
            for _ in range(_CHAIN_MAX):
                record = self.record(found)
                if record.kind not in MODIFIERS:
                    break
                found = record.number
            else:
                raise self.malformed(type_id, f"a chain of at most {_CHAIN_MAX} typedefs and qualifiers")
            self._resolved[type_id] = found
        return found

    def size(self, type_id: int) -> int | None:
        """Size in bytes, arrays multiplied out; None for void, functions and forward declarations."""
        if type_id not in self._sizes:
            self._sizes[type_id] = self._size(type_id)
        return self._sizes[type_id]

    def _size(self, type_id: int) -> int | None:
        count = 1
        for _ in range(_CHAIN_MAX):
            type_id = self.resolve(type_id)
            record = self.record(type_id)
            if record.kind in _SIZED:
                return count * record.number
            if record.kind == kinds.PTR:
                return count * POINTER_BYTES
            if record.kind == kinds.VAR:
                type_id = record.number
            elif record.kind == kinds.ARRAY:
                type_id, _, length = self.array(type_id)
                count *= length
            else:
                return None
        raise self.malformed(type_id, f"arrays of at most {_CHAIN_MAX} dimensions")

    def array(self, type_id: int) -> tuple[int, int, int]:
        """(element type id, index type id, number of elements) of an ARRAY."""
        record = self.record(type_id)
        at = record.at + 2
        element, index, length = record.owner.words[at : at + 3]
        return element, index, length

    def members(self, type_id: int) -> tuple[Member, ...]:
        """Members of a STRUCT or UNION, in order."""
        found = self._members.get(type_id)
        if found is None:
            record = self.record(type_id)
            words, at = record.owner.words, record.at
            rows = []
            for place in range(at + 2, at + 2 + 3 * record.vlen, 3):
                name, kind, offset = words[place : place + 3]
                bits = 0
                if record.kind_flag:  # BTF_MEMBER_BIT_OFFSET, BTF_MEMBER_BITFIELD_SIZE of include/uapi/linux/btf.h
                    offset, bits = offset & 0xFFFFFF, offset >> 24
                rows.append(Member(record.owner.string(name, at), kind, offset, bits))
            found = self._members[type_id] = tuple(rows)
        return found

    def parameters(self, type_id: int) -> tuple[tuple[str, int], ...]:
        """(name, type id) of each parameter of a FUNC_PROTO; a last one of type 0 stands for `...`."""
        record = self.record(type_id)
        words, at = record.owner.words, record.at
        return tuple(
            (record.owner.string(words[place], at), words[place + 1])
            for place in range(at + 2, at + 2 + 2 * record.vlen, 2)
        )

    def enumerators(self, type_id: int) -> tuple[tuple[str, int], ...]:
        """(name, value) of each enumerator of an ENUM or ENUM64, signed where kind_flag says so."""
        found = self._enumerators.get(type_id)
        if found is None:
            record = self.record(type_id)
            words, at = record.owner.words, record.at
            wide = record.kind == kinds.ENUM64
            stride, bits = (3, 64) if wide else (2, 32)
            rows = []
            for place in range(at + 2, at + 2 + stride * record.vlen, stride):
                value = words[place + 1] | (words[place + 2] << 32 if wide else 0)
                if record.kind_flag and value >> (bits - 1):
                    value -= 1 << bits
                rows.append((record.owner.string(words[place], at), value))
            found = self._enumerators[type_id] = tuple(rows)
        return found

    def int_word(self, type_id: int) -> tuple[int, int, int]:
        """(encoding, offset in bits, width in bits) of an INT."""
        record = self.record(type_id)
        word = record.owner.words[record.at + 2]
        return word >> 24 & 0xF, word >> 16 & 0xFF, word & 0xFF

    def section_vars(self, type_id: int) -> tuple[tuple[int, int, int], ...]:
        """(VAR or FUNC id, offset, size) of each entry of a DATASEC."""
        record = self.record(type_id)
        words, at = record.owner.words, record.at
        return tuple(
            (words[place], words[place + 1], words[place + 2]) for place in range(at + 2, at + 2 + 3 * record.vlen, 3)
        )

    def ids(self) -> Iterator[int]:
        """Every id of this blob itself, without the base's."""
        first = self.btf.first_id()
        return iter(range(first, first + len(self.btf.starts())))

    def malformed(self, type_id: int, expected: str) -> Malformed:
        """Malformed at the record of this id; to be raised by the caller."""
        record = self.record(type_id)
        return record.owner.malformed_at(record.at, expected)


def essential(name: str) -> str:
    """A name without its flavour: cut at the last `___` with other letters on both sides (libbpf, relo_core.c,
    bpf_core_essential_name_len)."""
    if "___" not in name:
        return name
    for at in range(len(name) - 5, -1, -1):
        if name[at] != "_" and name[at + 1 : at + 4] == "___" and name[at + 4] != "_":
            return name[: at + 1]
    return name
