"""Write small ELF files with DWARF, as the gABI and DWARF 5, chapter 7 lay them out.

An entry is `Entry(tag, {attribute: (form, value)}, children, label)`. The value of a reference is the label of
another entry; a label that starts with "alt:" names an entry of the supplementary file's writer.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from probe_scout.formats.dwarf import names as n

TEXT = 0x401000


class Entry(NamedTuple):
    """One entry; `attributes` maps an attribute to (form, value), in the order they are written."""

    tag: int
    attributes: dict[int, tuple[int, object]]
    children: list[Entry] | None = None
    label: str = ""


def uleb(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def sleb(value: int) -> bytes:
    """Signed LEB128."""
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        done = (value == 0 and not byte & 0x40) or (value == -1 and byte & 0x40)
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


class DwarfWriter:
    """Sections of one file. `unit` adds a unit; `sections` gives all bytes; `elf` writes the file."""

    def __init__(
        self,
        version: int = 5,
        is_64: bool = False,
        byteorder: str = "little",
        address_bytes: int = 8,
        codes_from: int = 1,
    ) -> None:
        self.version, self.is_64, self.order = version, is_64, "<" if byteorder == "little" else ">"
        self.byteorder, self.address_bytes, self.codes_from = byteorder, address_bytes, codes_from
        self.strings, self.line_strings = b"\0", b"\0"
        self.info = bytearray()
        self.abbrev = b""
        self.labels: dict[str, int] = {}
        self.extra: dict[str, bytes] = {}
        self.indexes: list[int] = []  # .debug_str_offsets
        self.addresses: list[int] = []  # .debug_addr
        self.alt: DwarfWriter | None = None
        self._later: list[tuple[int, int, int, str]] = []  # place, size, minus, label

    @property
    def offset_bytes(self) -> int:
        return 8 if self.is_64 else 4

    def string(self, text: str) -> int:
        """The offset of a string, which may be the end of one that is there."""
        raw = text.encode() + b"\0"
        if raw not in self.strings:
            self.strings += raw
        return self.strings.index(raw)

    def line_string(self, text: str) -> int:
        raw = text.encode() + b"\0"
        if raw not in self.line_strings:
            self.line_strings += raw
        return self.line_strings.index(raw)

    def unit(self, root: Entry, kind: int = n.UT_COMPILE) -> None:
        """Add a unit with its own abbreviation table."""
        declarations: dict[bytes, int] = {}
        abbrev_offset = len(self.abbrev)
        start = len(self.info)
        body = bytearray(struct.pack(self.order + "H", self.version))
        offset = abbrev_offset.to_bytes(self.offset_bytes, self.byteorder)
        body += (
            bytes((kind, self.address_bytes)) + offset if self.version == 5 else offset + bytes((self.address_bytes,))
        )
        head = 12 if self.is_64 else 4
        self._write(root, body, start, start + head, declarations)
        length = len(body).to_bytes(self.offset_bytes, self.byteorder)
        self.info += (b"\xff\xff\xff\xff" if self.is_64 else b"") + length + body
        for text, number in declarations.items():
            self.abbrev += uleb(number) + text
        self.abbrev += b"\0"

    def _write(self, entry: Entry, body: bytearray, unit: int, base: int, declarations: dict[bytes, int]) -> None:
        text = uleb(entry.tag) + bytes((entry.children is not None,))
        for name, (form, value) in entry.attributes.items():
            text += uleb(name) + uleb(form)
            if form == n.FORM_IMPLICIT_CONST:
                text += sleb(int(str(value)))
        text += b"\0\0"
        number = declarations.setdefault(text, len(declarations) + self.codes_from)
        if entry.label:
            self.labels[entry.label] = base + len(body)
        body += uleb(number)
        for form, value in entry.attributes.values():
            body += self._value(form, value, base + len(body), unit)
        for child in entry.children or ():
            self._write(child, body, unit, base, declarations)
        if entry.children is not None:
            body += b"\0"

    def _value(self, form: int, value: object, place: int, unit: int) -> bytes:
        fixed = {
            **dict.fromkeys((n.FORM_DATA1, n.FORM_REF1, n.FORM_FLAG, n.FORM_STRX1, n.FORM_ADDRX1), 1),
            **dict.fromkeys((n.FORM_DATA2, n.FORM_REF2, n.FORM_STRX2, n.FORM_ADDRX2), 2),
            **dict.fromkeys((n.FORM_STRX3, n.FORM_ADDRX3), 3),
            **dict.fromkeys((n.FORM_DATA4, n.FORM_REF4, n.FORM_STRX4, n.FORM_ADDRX4, n.FORM_REF_SUP4), 4),
            **dict.fromkeys((n.FORM_DATA8, n.FORM_REF8, n.FORM_REF_SIG8, n.FORM_REF_SUP8), 8),
            n.FORM_ADDR: self.address_bytes,
            n.FORM_REF_ADDR: self.address_bytes if self.version < 3 else self.offset_bytes,
            **dict.fromkeys((n.FORM_SEC_OFFSET, n.FORM_STRP, n.FORM_LINE_STRP), self.offset_bytes),
            **dict.fromkeys((n.FORM_GNU_REF_ALT, n.FORM_GNU_STRP_ALT, n.FORM_STRP_SUP), self.offset_bytes),
        }
        if form == n.FORM_INDIRECT:
            inner, value = value  # type: ignore[misc]
            return uleb(inner) + self._value(inner, value, place + len(uleb(inner)), unit)
        if form in (n.FORM_FLAG_PRESENT, n.FORM_IMPLICIT_CONST):
            return b""
        if form == n.FORM_STRING:
            return str(value).encode() + b"\0"
        if isinstance(value, bytes):
            size = {n.FORM_BLOCK1: 1, n.FORM_BLOCK2: 2, n.FORM_BLOCK4: 4}.get(form)
            return (len(value).to_bytes(size, self.byteorder) if size else uleb(len(value))) + value
        if isinstance(value, str):
            if form == n.FORM_STRP:
                value = self.string(value)
            elif form == n.FORM_LINE_STRP:
                value = self.line_string(value)
            elif form in (n.FORM_GNU_STRP_ALT, n.FORM_STRP_SUP):
                value = self.alt.string(value) if self.alt else 0
            elif form in n.STRX_FORMS:
                self.indexes.append(self.string(value))
                value = len(self.indexes) - 1
            elif value.startswith("alt:"):
                value = self.alt.labels[value[4:]] if self.alt else 0
            elif form == n.FORM_REF_UDATA:
                value = self.labels[value] - unit  # only backwards
            else:
                minus = 0 if form == n.FORM_REF_ADDR else unit
                self._later.append((place, fixed[form], minus, value))
                value = 0
        assert isinstance(value, int)
        if form in n.ADDRX_FORMS:
            self.addresses.append(value)
            value = len(self.addresses) - 1
        if form in (n.FORM_UDATA, n.FORM_STRX, n.FORM_ADDRX, n.FORM_REF_UDATA, n.FORM_RNGLISTX, n.FORM_LOCLISTX):
            return uleb(value)
        if form == n.FORM_SDATA:
            return sleb(value)
        return value.to_bytes(fixed[form], self.byteorder)

    def sections(self) -> dict[str, bytes]:
        """The debug sections by name; references are filled in."""
        info = bytearray(self.info)
        for place, size, minus, label in self._later:
            info[place : place + size] = (self.labels[label] - minus).to_bytes(size, self.byteorder)
        size = self.offset_bytes
        found = {".debug_info": bytes(info), ".debug_abbrev": self.abbrev, ".debug_str": self.strings}
        if len(self.line_strings) > 1:
            found[".debug_line_str"] = self.line_strings
        if self.indexes:
            words = b"".join(offset.to_bytes(size, self.byteorder) for offset in self.indexes)
            found[".debug_str_offsets"] = self._contribution(words)
        if self.addresses:
            words = b"".join(a.to_bytes(self.address_bytes, self.byteorder) for a in self.addresses)
            found[".debug_addr"] = self._contribution(words, bytes((self.address_bytes, 0)))
        return found | self.extra

    def _contribution(self, words: bytes, sizes: bytes = b"\0\0") -> bytes:
        body = struct.pack(self.order + "H", 5) + sizes + words
        return (
            (b"\xff\xff\xff\xff" if self.is_64 else b"") + len(body).to_bytes(self.offset_bytes, self.byteorder) + body
        )

    @property
    def index_base(self) -> int:
        """What DW_AT_str_offsets_base and DW_AT_addr_base are: the bytes of a contribution's header."""
        return 16 if self.is_64 else 8

    def elf(self, symbols: dict[str, tuple[int, int]] | None = None, compress: str = "") -> bytes:
        """The file: .text at TEXT, the debug sections and symbols {name: (address, size)}.

        `compress`: "zlib" (SHF_COMPRESSED), "zdebug", or "" for none.
        """
        return elf_file(self.sections(), symbols or {}, self.order, compress)


def elf_file(
    debug: dict[str, bytes], symbols: dict[str, tuple[int, int]], order: str = "<", compress: str = ""
) -> bytes:
    """An ELF64 of x86_64 with the sections given, a .text without bytes, and function symbols in it."""
    import zlib

    strings = b"\0" + b"".join(name.encode() + b"\0" for name in symbols)
    table = bytes(24)
    for name, (address, size) in symbols.items():
        at = strings.index(b"\0" + name.encode() + b"\0") + 1
        table += struct.pack(order + "IBBHQQ", at, 0x12, 0, 1, address, size)
    # name, type, flags, address, content, size, link, entry size
    rows: list[tuple[str, int, int, int, bytes, int, int, int]] = [
        ("", 0, 0, 0, b"", 0, 0, 0),
        (".text", 8, 6, TEXT, b"", 0x10000, 0, 0),
        (".symtab", 2, 0, 0, table, len(table), 3, 24),
        (".strtab", 3, 0, 0, strings, len(strings), 0, 0),
    ]
    for name, content in debug.items():
        flags = 0
        if name.startswith(".note"):
            pass
        elif compress == "zlib":
            flags, content = 0x800, struct.pack(order + "IIQQ", 1, 0, len(content), 1) + zlib.compress(content)
        elif compress == "zdebug":
            name, content = ".z" + name[1:], b"ZLIB" + struct.pack(">Q", len(content)) + zlib.compress(content)
        kind = 7 if name.startswith(".note") else 1
        rows.append((name, kind, flags, 0, content, len(content), 0, 0))
    names = b"\0".join(row[0].encode() for row in rows) + b"\0.shstrtab\0"
    rows.append((".shstrtab", 3, 0, 0, names, len(names), 0, 0))
    body, headers = b"", b""
    for name, kind, flags, address, content, size, link, entry in rows:
        at = 0 if not name else names.index(b"\0" + name.encode() + b"\0") + 1
        headers += struct.pack(order + "IIQQQQIIQQ", at, kind, flags, address, 64 + len(body), size, link, 0, 1, entry)
        body += content
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + bytes(9)
    header = struct.pack(
        order + "HHIQQQIHHHHHH", 2, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(rows), len(rows) - 1
    )
    return ident + header + body + headers
