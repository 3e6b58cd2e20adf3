"""BTF's kinds and records (include/uapi/linux/btf.h), and what C text and prototype shapes ask of a reader."""

from __future__ import annotations

from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    from probe_scout.errors import Malformed
else:
    Protocol = object

VOID, INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE = range(10)
CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(10, 20)

# info: vlen in bits 0-15, kind in bits 24-27, kind_flag in bit 31. Later kinds needed bit 28, and 7.x widened vlen to
# bits 0-23 and kind to bits 24-30. Older writers leave all of these bits zero, so the widest masks are right for all.
VLEN_MASK = 0xFFFFFF
KIND_MASK = 0x7F
KIND_FLAG = 1 << 31

POINTER_BYTES = 8  # BTF does not say; every kernel with BPF trampolines is 64-bit


class Func(NamedTuple):
    """A FUNC record: its own type id, its name and the id of its FUNC_PROTO."""

    type_id: int
    name: str
    proto_id: int


class Enumerator(NamedTuple):
    """One value of an ENUM or ENUM64. `enum` is the enum's name, "" if it has none."""

    enum: str
    name: str
    value: int
    enum_id: int


class Types(Protocol):
    """The types of one blob and its base, by id. `reader.Btf` is one; every method may raise Malformed."""

    @property
    def words(self) -> memoryview[int]:
        """The type records as 4-byte words."""

    def starts(self) -> Sequence[int]:
        """Where each record of this blob begins, in `words`."""

    def first_id(self) -> int: ...

    def locate(self, type_id: int, asked_at: int = 1) -> tuple[Types, int]:
        """The blob that holds a type, and where its record begins."""

    def skip_modifiers(self, type_id: int, asked_at: int = 1) -> tuple[Types, int]: ...

    def points_to(self, at: int, struct_name: str) -> bool: ...

    def string(self, offset: int, asked_at: int = 1) -> str: ...

    def malformed_at(self, at: int, expected: str, found: str = "") -> Malformed: ...

    def codes(self) -> Mapping[int, int]:
        """Size and class of each type, by id (shape.py)."""
