"""A map as a compiled BPF object defines it."""

from __future__ import annotations

from ..named_tuple import NamedTuple


class MapDefinition(NamedTuple):
    """A map as the object defines it. Sizes in bytes; 0 is what the object leaves to its loader.

    `origin`: "maps" for one of .maps, else the data section it holds (.rodata, .data, .bss, .kconfig, .struct_ops …).
    `by_enum`: a number is written as an enumerator (__ulong), which libbpf reads since 1.4.
    `variable`: offset of a .maps variable, or of the struct in a .struct_ops section.
    """

    name: str
    type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int
    origin: str
    section_index: int
    variable: int = 0
    inner: MapDefinition | None = None
    is_pinned: bool = False
    key_type: int = 0
    value_type: int = 0
    extra: int = 0
    by_enum: bool = False
