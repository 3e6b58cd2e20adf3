"""Cut BTF down to some names: a vmlinux blob and its modules' blobs, with new ids and strings.

include/uapi/linux/btf.h. A struct that is only pointed at keeps its name and size and loses its members; variables
and sections are left out; the order of what stays is kept.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = 1, 2, 3, 4, 5, 6, 7, 8
VOLATILE, CONST, RESTRICT, FUNC, PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(9, 20)
_SAME = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG)  # names or marks of one other type
_EXTRA = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, PROTO: 8, DATASEC: 12, ENUM64: 12}
_HEADER = struct.Struct("<HBBIIIII")


class Type(NamedTuple):
    """One type as it lies in the blob; `rest` is what follows the common twelve bytes, as words."""

    kind: int
    flag: int
    vlen: int
    name: str
    size_or_type: int
    rest: list[int]


class Blob:
    """The types of one blob; ids begin at `first`."""

    def __init__(self, raw: bytes, base: Blob | None = None) -> None:
        header = _HEADER.unpack_from(raw)
        start, strings_at, strings_size = header[3], header[6], header[7]
        self.first = base.first + len(base.types) if base else 1
        self.strings_from = base.strings_end if base else 0
        self.strings_end = self.strings_from + strings_size
        self._own = raw[start + strings_at : start + strings_at + strings_size]
        self._base = base
        self.types: list[Type] = []
        at, end = start + header[4], start + header[4] + header[5]
        while at < end:
            name, info, size_or_type = struct.unpack_from("<III", raw, at)
            kind, vlen = info >> 24 & 0x1F, info & 0xFFFFFF
            count = (_EXTRA.get(kind, 0) + _EACH.get(kind, 0) * vlen) // 4
            rest = list(struct.unpack_from(f"<{count}I", raw, at + 12))
            self.types.append(Type(kind, info >> 31, vlen, self.string(name), size_or_type, rest))
            at += 12 + 4 * count

    def string(self, offset: int) -> str:
        """The string at an offset, which may lie in the base."""
        if offset < self.strings_from and self._base:
            return self._base.string(offset)
        begin = offset - self.strings_from
        return self._own[begin : self._own.index(b"\0", begin)].decode()


class Cut:
    """What stays of a base and its modules. `wants` tells for a type whether it is kept for its own sake."""

    def __init__(
        self,
        base: bytes,
        modules: dict[str, bytes],
        wants: Callable[[Blob, Type], bool],
        words: frozenset[str],
    ) -> None:
        self.base = Blob(base)
        self.modules = {name: Blob(raw, self.base) for name, raw in modules.items()}
        self.words = words
        self._kept: dict[tuple[Blob, int], bool] = {}  # blob and id to: with its members
        for blob in (self.base, *self.modules.values()):
            for number, one in enumerate(blob.types, blob.first):
                if one.kind not in (VAR, DATASEC, DECL_TAG) and wants(blob, one):
                    self._visit(blob, number, True)
            for number, one in enumerate(blob.types, blob.first):
                if one.kind == DECL_TAG and self._at(blob, one.size_or_type) in self._kept:
                    self._kept[blob, number] = True

    def _at(self, blob: Blob, number: int) -> tuple[Blob, int]:
        return (self.base if number < blob.first else blob), number

    def _visit(self, blob: Blob, number: int, whole: bool) -> None:
        todo = [(*self._at(blob, number), whole)]
        while todo:
            owner, at, deep = todo.pop()
            if at == 0 or (self._kept.get((owner, at), False) >= deep and (owner, at) in self._kept):
                continue
            self._kept[owner, at] = deep or self._kept.get((owner, at), False)
            one = owner.types[at - owner.first]
            for next_, next_deep in self._needs(owner, one, deep):
                todo.append((*self._at(owner, next_), next_deep))

    def _needs(self, blob: Blob, one: Type, deep: bool) -> list[tuple[int, bool]]:
        if one.kind == PTR:
            return [(one.size_or_type, False)]
        if one.kind == TYPEDEF and one.name.startswith("btf_trace_") and deep:
            owner, pointer = self._at(blob, one.size_or_type)
            return [(pointer, False), (owner.types[pointer - owner.first].size_or_type, True)]
        if one.kind in _SAME:
            return [(one.size_or_type, deep)]
        if one.kind == FUNC:
            return [(one.size_or_type, True)]
        if one.kind == ARRAY:
            return [(one.rest[0], deep), (one.rest[1], False)]
        if one.kind in (STRUCT, UNION) and deep:
            return [(type_, deep) for type_ in one.rest[1::3]]
        if one.kind == PROTO and deep:
            return [(one.size_or_type, True), *((type_, True) for type_ in one.rest[1::2])]
        return []

    def write(self) -> tuple[bytes, dict[str, bytes]]:
        """The blobs, cut: the base's and the modules'."""
        base = _Writer(None)
        ids = self._numbers(self.base, 1, {})
        base_raw = self._written(self.base, base, ids)
        made = {}
        for name, blob in self.modules.items():
            writer = _Writer(base)
            numbers = self._numbers(blob, 1 + sum(owner is self.base for owner, _ in self._kept), ids)
            made[name] = self._written(blob, writer, numbers)
        return base_raw, made

    def _numbers(self, blob: Blob, first: int, base: dict[int, int]) -> dict[int, int]:
        kept = sorted(number for owner, number in self._kept if owner is blob)
        return {0: 0, **base, **{old: new for new, old in enumerate(kept, first)}}

    def _written(self, blob: Blob, writer: _Writer, ids: dict[int, int]) -> bytes:
        for number, one in enumerate(blob.types, blob.first):
            if (blob, number) in self._kept:
                writer.add(self._renumbered(blob, one, self._kept[blob, number], writer, ids))
        return writer.blob()

    def _renumbered(self, blob: Blob, one: Type, deep: bool, writer: _Writer, ids: dict[int, int]) -> bytes:
        rest = list(one.rest)
        size_or_type = one.size_or_type
        if one.kind in (PTR, FUNC, DECL_TAG, *_SAME, PROTO):
            size_or_type = ids[size_or_type] if deep or one.kind != PROTO else 0
        if one.kind == ARRAY:
            rest[0], rest[1] = ids[rest[0]], ids[rest[1]]
        elif one.kind in (STRUCT, UNION):
            rest = rest if deep else []
            rest[0::3] = [writer.string(blob.string(name)) for name in rest[0::3]]
            rest[1::3] = [ids[type_] for type_ in rest[1::3]]
        elif one.kind == PROTO:
            rest = rest if deep else []
            rest[0::2] = [writer.string(blob.string(name)) for name in rest[0::2]]
            rest[1::2] = [ids[type_] for type_ in rest[1::2]]
        elif one.kind in (ENUM, ENUM64):
            step = _EACH[one.kind] // 4
            names = [blob.string(name) for name in rest[0::step]]
            if not deep or not self.words.intersection(names):
                rest = []
            rest[0::step] = [writer.string(name) for name in names[: len(rest) // step]]
        each = _EACH.get(one.kind, 0)
        vlen = len(rest) * 4 // each if each else one.vlen  # a FUNC's linkage
        info = one.flag << 31 | one.kind << 24 | vlen
        return struct.pack(f"<III{len(rest)}I", writer.string(one.name), info, size_or_type, *rest)


class _Writer:
    """Strings and types of a blob being written."""

    def __init__(self, base: _Writer | None) -> None:
        self._base = base
        self._from = len(base._strings) if base else 0
        self._strings = bytearray() if base else bytearray(b"\0")
        self._offsets: dict[str, int] = {}
        self._types: list[bytes] = []

    def string(self, text: str) -> int:
        if not text:
            return 0
        if self._base and text in self._base._offsets:
            return self._base._offsets[text]
        if text not in self._offsets:
            self._offsets[text] = self._from + len(self._strings)
            self._strings += text.encode() + b"\0"
        return self._offsets[text]

    def add(self, raw: bytes) -> None:
        self._types.append(raw)

    def blob(self) -> bytes:
        types = b"".join(self._types)
        return (
            _HEADER.pack(0xEB9F, 1, 0, _HEADER.size, 0, len(types), len(types), len(self._strings))
            + types
            + bytes(self._strings)
        )
