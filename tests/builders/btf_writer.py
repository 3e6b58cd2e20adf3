"""Write small BTF blobs, as include/uapi/linux/btf.h lays them out.

Each method adds one type and returns its id, which later types refer to; 0 is void.
"""

from __future__ import annotations

import struct
from typing import Literal

KINDS = (
    *("void", "int", "ptr", "array", "struct", "union", "enum", "fwd", "typedef", "volatile"),
    *("const", "restrict", "func", "func_proto", "var", "datasec", "float", "decl_tag", "type_tag", "enum64"),
)
KIND = {name: number for number, name in enumerate(KINDS)}
FLAG = 1 << 31

# The layout section of 7.x: for each kind, bytes after the common 12 and bytes per unit of vlen.
LAYOUT = [(0, 0)] * 20
for _kind, _sizes in {"int": (4, 0), "array": (12, 0), "var": (4, 0), "decl_tag": (4, 0), "struct": (0, 12)}.items():
    LAYOUT[KIND[_kind]] = _sizes
for _kind, _sizes in {
    "union": (0, 12),
    "enum": (0, 8),
    "func_proto": (0, 8),
    "datasec": (0, 12),
    "enum64": (0, 12),
}.items():
    LAYOUT[KIND[_kind]] = _sizes

Members = list[tuple[str, int, int]]


class BtfWriter:
    """One blob. `base` makes it a module's: ids and string offsets continue, and the base's strings are shared.

    `header_bytes` 32 adds the layout section; `layout` replaces its (info_sz, elem_sz) list. `share_strings` False
    writes every string of a module into the module.
    """

    def __init__(
        self,
        byteorder: Literal["little", "big"] = "little",
        header_bytes: int = 24,
        base: BtfWriter | None = None,
        layout: list[tuple[int, int]] | None = None,
        share_strings: bool = True,
    ) -> None:
        self.base, self.header_bytes, self.share_strings = base, header_bytes, share_strings
        self.layout = LAYOUT if layout is None else layout
        self.order = "<" if byteorder == "little" else ">"
        self.next_id: int = base.next_id if base else 1
        self.strings_from: int = base.strings_from + len(base.strings) if base else 0
        self.strings = b"" if base else b"\0"
        self.types = b""
        self._offsets: dict[str, int] = {}

    def string(self, text: str) -> int:
        """The offset of a string, added if it is new; the empty string is always offset 0."""
        if not text:
            return 0
        if self.base and self.share_strings and text in self.base._offsets:
            return self.base._offsets[text]
        if text not in self._offsets:
            self._offsets[text] = self.strings_from + len(self.strings)
            self.strings += text.encode() + b"\0"
        return self._offsets[text]

    def raw(
        self, kind: int, name: str = "", vlen: int = 0, flag: bool = False, size: int = 0, words: tuple[int, ...] = ()
    ) -> int:
        """Any record: the common words, then `words` as they are."""
        info = kind << 24 | vlen | (FLAG if flag else 0)
        fields = [self.string(name), info, size, *(word & 0xFFFFFFFF for word in words)]
        self.types += struct.pack(f"{self.order}{len(fields)}I", *fields)
        self.next_id += 1
        return self.next_id - 1

    def int(self, name: str, size: int = 4, signed: bool = False, encoding: int | None = None) -> int:
        return self.raw(KIND["int"], name, size=size, words=((encoding or int(signed)) << 24 | size * 8,))

    def ptr(self, to: int) -> int:
        return self.raw(KIND["ptr"], size=to)

    def array(self, of: int, count: int, index: int = 1) -> int:
        return self.raw(KIND["array"], words=(of, index, count))

    def struct(self, name: str, size: int, members: Members = [], bitfields: bool = False, kind: str = "struct") -> int:  # noqa: B006
        """Members are (name, type id, offset in bits); with `bitfields` the offset word also holds the width << 24."""
        words = tuple(word for member, of, offset in members for word in (self.string(member), of, offset))
        return self.raw(KIND[kind], name, len(members), bitfields, size, words)

    def union(self, name: str, size: int, members: Members = []) -> int:  # noqa: B006
        return self.struct(name, size, members, kind="union")

    def enum(self, name: str, values: dict[str, int], size: int = 4, signed: bool = False) -> int:
        words = tuple(word for key, value in values.items() for word in (self.string(key), value))
        return self.raw(KIND["enum"], name, len(values), signed, size, words)

    def enum64(self, name: str, values: dict[str, int], size: int = 8, signed: bool = False) -> int:
        words = tuple(word for key, value in values.items() for word in (self.string(key), value, value >> 32))
        return self.raw(KIND["enum64"], name, len(values), signed, size, words)

    def fwd(self, name: str, union: bool = False) -> int:
        return self.raw(KIND["fwd"], name, flag=union)

    def typedef(self, name: str, to: int) -> int:
        return self.raw(KIND["typedef"], name, size=to)

    def const(self, to: int) -> int:
        return self.raw(KIND["const"], size=to)

    def volatile(self, to: int) -> int:
        return self.raw(KIND["volatile"], size=to)

    def restrict(self, to: int) -> int:
        return self.raw(KIND["restrict"], size=to)

    def func_proto(self, returns: int = 0, params: list[tuple[str, int]] = []) -> int:  # noqa: B006
        """A variadic prototype ends with ("", 0)."""
        words = tuple(word for name, of in params for word in (self.string(name), of))
        return self.raw(KIND["func_proto"], vlen=len(params), size=returns, words=words)

    def func(self, name: str, proto: int, linkage: int = 0) -> int:
        return self.raw(KIND["func"], name, linkage, size=proto)

    def function(self, name: str, returns: int = 0, params: list[tuple[str, int]] = []) -> int:  # noqa: B006
        """A FUNC_PROTO and its FUNC; the FUNC's id."""
        return self.func(name, self.func_proto(returns, params))

    def var(self, name: str, of: int, linkage: int = 1) -> int:
        return self.raw(KIND["var"], name, size=of, words=(linkage,))

    def datasec(self, name: str, size: int, variables: list[tuple[int, int, int]]) -> int:
        """Variables are (type id, offset, size) in bytes."""
        words = tuple(word for variable in variables for word in variable)
        return self.raw(KIND["datasec"], name, len(variables), size=size, words=words)

    def float(self, name: str, size: int = 8) -> int:
        return self.raw(KIND["float"], name, size=size)

    def decl_tag(self, tag: str, on: int, component: int = -1, attribute: bool = False) -> int:
        return self.raw(KIND["decl_tag"], tag, flag=attribute, size=on, words=(component,))

    def type_tag(self, tag: str, to: int, attribute: bool = False) -> int:
        return self.raw(KIND["type_tag"], tag, flag=attribute, size=to)

    def bytes(self) -> bytes:
        """The blob: header, types, strings, and with a long header the layout before the strings."""
        layout = b""
        if self.header_bytes >= 32:
            layout = b"".join(struct.pack(f"{self.order}BBH", *sizes, 0) for sizes in self.layout)
        sections = [0, len(self.types), len(self.types) + len(layout), len(self.strings)]
        if self.header_bytes >= 32:
            sections += [len(self.types), len(layout)]
        header = struct.pack(f"{self.order}HBBI{len(sections)}I", 0xEB9F, 1, 0, self.header_bytes, *sections)
        return header.ljust(self.header_bytes, b"\0") + self.types + layout + self.strings
