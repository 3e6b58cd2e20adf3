"""Big-endian BPF objects as little-endian ones, so that one reader does for both.

Headers, symbols, relocations, instructions, .BTF and .BTF.ext are turned; other data stays as it is. libbpf does the
same since it opens objects of either order (commits "libbpf: Support BTF.ext loading and output in either endianness"
and "libbpf: Support opening bpf objects of either endianness").
"""

from __future__ import annotations

from struct import iter_unpack, pack, pack_into, unpack_from

_HEADER, _SECTION, _SYMBOL, _RELOCATION = "HHIQQQIHHHHHH", "IIQQQQIIQQ", "IBBHQQ", "QQ"
_SHT_SYMTAB, _SHT_NOBITS, _SHT_REL, _SHF_EXECINSTR = 2, 8, 9, 4
_OVERLAP_MAX = 4
_SECTION_BYTES, _SYMBOL_BYTES, _RELOCATION_BYTES, _INSN_BYTES = 64, 24, 16, 8


def is_big(raw: bytes) -> bool:
    """Whether these are the bytes of a 64-bit big-endian ELF file."""
    return raw[:4] == b"\x7fELF" and raw[4:6] == b"\x02\x02"


def as_little(raw: bytes) -> bytes:
    """The same object with its words turned. Raises struct.error where the file is cut off."""
    turned = bytearray(raw)
    turned[5] = 1
    header = unpack_from(">" + _HEADER, raw, 16)
    pack_into("<" + _HEADER, turned, 16, *header)
    table, (entry, count, names_index) = header[5], header[10:]
    if entry != _SECTION_BYTES or table + count * entry > len(raw):
        return bytes(turned)
    heads = [unpack_from(">" + _SECTION, raw, table + number * entry) for number in range(count)]
    names = heads[names_index][4] if names_index < count else len(raw)
    done: set[tuple[int, int]] = set()
    total = 0
    for number, head in enumerate(heads):
        pack_into("<" + _SECTION, turned, table + number * entry, *head)
        name, kind, flags, _, begin, size = head[:6]
        if kind == _SHT_NOBITS or begin + size > len(raw) or (begin, size) in done:
            continue
        done.add((begin, size))
        total += size
        if total > _OVERLAP_MAX * len(raw):
            break
        title = raw[names + name : names + name + 10].partition(b"\0")[0]
        data = _turned(raw[begin : begin + size], title, kind, bool(flags & _SHF_EXECINSTR))
        turned[begin : begin + size] = data
    return bytes(turned)


def _turned(data: bytes, title: bytes, kind: int, is_code: bool) -> bytes:
    if kind == _SHT_SYMTAB:
        return _words(data, _SYMBOL, _SYMBOL_BYTES)
    if kind == _SHT_REL:
        return _words(data, _RELOCATION, _RELOCATION_BYTES)
    if is_code:
        return _instructions(data)
    if title == b".BTF":
        return _btf(data)
    if title == b".BTF.ext":
        return _after_magic(data, len(data))
    return data


def _words(data: bytes, form: str, size: int) -> bytes:
    whole = len(data) // size * size
    return b"".join(pack("<" + form, *row) for row in iter_unpack(">" + form, data[:whole])) + data[whole:]


def _instructions(data: bytes) -> bytes:
    """struct bpf_insn: the registers' halves change places as well."""
    whole = len(data) // _INSN_BYTES * _INSN_BYTES
    rows = (
        pack("<BBhi", code, (registers & 15) << 4 | registers >> 4, offset, value)
        for code, registers, offset, value in iter_unpack(">BBhi", data[:whole])
    )
    return b"".join(rows) + data[whole:]


def _btf(data: bytes) -> bytes:
    """struct btf_header; every word of the types is of 32 bits, and strings stay."""
    if len(data) < 24:
        return data
    header, _, _, at, _ = unpack_from(">5I", data, 4)
    return _after_magic(data, min(header + at, len(data)) if at else len(data))


def _after_magic(data: bytes, end: int) -> bytes:
    """Magic of 16 bits, two bytes, then words of 32 bits up to `end`."""
    if len(data) < 4:
        return data
    count = max(end - 4, 0) // 4
    words = unpack_from(f">{count}I", data, 4)
    return data[1::-1] + data[2:4] + pack(f"<{count}I", *words) + data[4 + count * 4 :]
