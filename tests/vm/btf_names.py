"""A small reader of raw BTF, for question lists: names of functions, prototypes' lengths, kfuncs, enumerators.

It shares no code with the tool, so that a mistake in the tool's reader cannot hide a question.
Format: Documentation/bpf/btf.rst, include/uapi/linux/btf.h (little-endian).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = 0xEB9F
INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR = range(1, 15)
DATASEC, FLOAT, DECL_TAG, TYPE_TAG, ENUM64 = range(15, 20)
_FIXED_BYTES = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_ITEM_BYTES = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}


class Type(NamedTuple):
    """One type: its kind, its name, size or type id, number of members, and what follows it."""

    kind: int
    name: str
    ref: int
    vlen: int
    rest: bytes


class Names:
    """The types of one BTF file; `base` is the kernel's own for a module's."""

    def __init__(self, data: bytes, base: Names | None = None) -> None:
        magic, _, _, header, type_at, type_bytes, text_at, text_bytes = struct.unpack_from("<HBBIIIII", data)
        if magic != MAGIC:
            raise ValueError(f"not BTF: it starts with {data[:2].hex()}")
        self.base = base
        self.first_id = base.next_id if base else 1
        self.text_first = base.text_next if base else 0
        self.text = data[header + text_at : header + text_at + text_bytes]
        self.text_next = self.text_first + text_bytes
        self.types: list[Type] = []
        at, end = header + type_at, header + type_at + type_bytes
        while at < end:
            name, info, ref = struct.unpack_from("<III", data, at)
            kind, vlen = info >> 24 & 0x1F, info & 0xFFFF
            size = _FIXED_BYTES.get(kind, 0) + _ITEM_BYTES.get(kind, 0) * vlen
            self.types.append(Type(kind, self.string(name), ref, vlen, data[at + 12 : at + 12 + size]))
            at += 12 + size
        self.next_id = self.first_id + len(self.types)

    def string(self, offset: int) -> str:
        """The string at an offset; a module's offsets count on behind the kernel's."""
        if offset < self.text_first and self.base:
            return self.base.string(offset)
        start = offset - self.text_first
        return self.text[start : self.text.index(b"\0", start)].decode("utf-8", "replace")

    def at(self, type_id: int) -> Type:
        """The type with this id."""
        if type_id < self.first_id and self.base:
            return self.base.at(type_id)
        return self.types[type_id - self.first_id]

    def functions(self) -> list[str]:
        """Names of all FUNC, in order, each once."""
        return list(dict.fromkeys(t.name for t in self.types if t.kind == FUNC))

    def tracepoints(self) -> dict[str, int]:
        """Raw tracepoint (typedef btf_trace_NAME) to its number of arguments, without the first (void *)."""
        found = {}
        for t in self.types:
            if t.kind == TYPEDEF and t.name.startswith("btf_trace_"):
                proto = self.at(self.at(t.ref).ref)
                found[t.name.removeprefix("btf_trace_")] = max(proto.vlen - 1, 0)
        return found

    def kfuncs(self) -> list[str]:
        """Names of functions with the declaration tag bpf_kfunc."""
        return list(
            dict.fromkeys(self.at(t.ref).name for t in self.types if t.kind == DECL_TAG and t.name == "bpf_kfunc")
        )

    def enumerators(self, enum: str) -> list[str]:
        """Names in an enum, such as bpf_attach_type."""
        for t in self.types:
            if t.kind == ENUM and t.name == enum:
                return [self.string(struct.unpack_from("<I", t.rest, 8 * i)[0]) for i in range(t.vlen)]
        return []
