"""Write a small vmlinux, bzImage, module and kcore: real ELF64 and boot protocol layouts with few bytes in them."""

from __future__ import annotations

import struct
from typing import NamedTuple

EXECUTABLE, WRITABLE = 1, 2
SHF_EXECINSTR = 4


class Load(NamedTuple):
    """One PT_LOAD: p_vaddr, content, p_flags."""

    address: int
    content: bytes
    flags: int = EXECUTABLE


def elf_core(loads: list[Load], notes: bytes = b"", kind: int = 2) -> bytes:
    """An ELF64 with program headers only, as vmlinux without sections (ET_EXEC 2) or kcore (ET_CORE 4)."""
    entries = len(loads) + bool(notes)
    header = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header += struct.pack("<HHIQQQIHHHHHH", kind, 62, 1, 0, 64, 0, 0, 64, 56, entries, 0, 0, 0)
    offset = 64 + 56 * entries
    table, body = b"", b""
    for load in loads:
        size = len(load.content)
        table += struct.pack("<IIQQQQQQ", 1, load.flags | 4, offset + len(body), load.address, 0, size, size, 4096)
        body += load.content
    if notes:
        table += struct.pack("<IIQQQQQQ", 4, 4, offset + len(body), 0, 0, len(notes), len(notes), 4)
        body += notes
    return header + table + body


def bzimage(
    payload: bytes, version: str = "6.12.0 (builder) #1 SMP", protocol: int = 0x20F, setup_sectors: int = 4
) -> bytes:
    """Documentation/arch/x86/boot.rst: setup header at 0x1f1, payload behind the setup sectors and 64 bytes of code."""
    image = bytearray((setup_sectors + 1) * 512)
    image[0x1F1] = setup_sectors
    image[0x1FE:0x206] = b"\x55\xaa\xeb\x66HdrS"
    struct.pack_into("<H", image, 0x206, protocol)
    struct.pack_into("<H", image, 0x20E, 0x100)
    image[0x300 : 0x300 + len(version)] = version.encode()
    struct.pack_into("<II", image, 0x248, 64, len(payload))
    return bytes(image) + b"\x90" * 64 + payload


def with_size(packed: bytes, unpacked: bytes) -> bytes:
    """scripts/Makefile.lib, size_append: what the kernel's build puts behind every stream but gzip's."""
    return packed + struct.pack("<I", len(unpacked))


class ModuleSymbol(NamedTuple):
    """A symbol of a module: its section's name, offset in it, and ELF type (2: function)."""

    name: str
    section: str
    value: int
    type: int = 2


def module(
    sections: dict[str, bytes],
    symbols: list[ModuleSymbol],
    tables: dict[str, list[tuple[int, str, int]]] | None = None,
    relocation: int = 2,
    machine: int = 62,
    data: tuple[str, ...] = (),
    imports: tuple[str, ...] = (),
) -> bytes:
    """A relocatable ELF64. `sections` are code; `tables` maps .rela names to (place, section name, addend).

    `relocation`: R_X86_64_PC32 (2), as tables of distances have, or R_X86_64_64 (1), as tables of pointers.
    Sections named in `data` hold no code; `imports` are undefined symbols that tables name.
    `machine` is e_machine: 62 is x86-64, 183 arm64.
    """
    names = list(sections)
    contents: list[tuple[str, int, int, bytes, int, int, int]] = [("", 0, 0, b"", 0, 0, 0)]
    contents += [(name, 1, 2 | (0 if name in data else SHF_EXECINSTR), sections[name], 0, 0, 0) for name in names]
    index = {name: i + 1 for i, name in enumerate(names)}
    strings, table = b"\0", b"\0" * 24
    for i in range(1, len(names) + 1):
        table += struct.pack("<IBBHQQ", 0, 3, 0, i, 0, 0)  # section symbols, symbol i is section i
    for symbol in symbols:
        place = index.get(symbol.section, 0xFFF1)  # SHN_ABS for sections that do not exist
        table += struct.pack("<IBBHQQ", len(strings), 0x10 | symbol.type, 0, place, symbol.value, 0)
        strings += symbol.name.encode() + b"\0"
    targets = index | {name: 1 + len(names) + len(symbols) + i for i, name in enumerate(imports)}
    for name in imports:
        table += struct.pack("<IBBHQQ", len(strings), 0x10, 0, 0, 0, 0)
        strings += name.encode() + b"\0"
    symtab = len(contents)
    contents.append((".symtab", 2, 0, table, symtab + 1, len(names) + 1, 24))
    contents.append((".strtab", 3, 0, strings, 0, 0, 0))
    for name, entries in (tables or {}).items():
        raw = b"".join(
            struct.pack("<QQq", at, targets[section] << 32 | relocation, addend) for at, section, addend in entries
        )
        contents.append((name, 4, 0x40, raw, symtab, 0, 24))
    section_names = b"\0" + b"".join(row[0].encode() + b"\0" for row in contents) + b".shstrtab\0"
    contents.append((".shstrtab", 3, 0, section_names, 0, 0, 0))
    body, headers = b"", b""
    for name, kind, flags, raw, link, info, entry_bytes in contents:
        where = section_names.index(b"\0" + name.encode() + b"\0") + 1 if name else 0
        headers += struct.pack(
            "<IIQQQQIIQQ", where, kind, flags, 0, 64 + len(body), len(raw), link, info, 1, entry_bytes
        )
        body += raw
    header = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header += struct.pack(
        "<HHIQQQIHHHHHH", 1, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(contents), len(contents) - 1
    )
    return header + body + headers
