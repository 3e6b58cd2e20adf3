"""The code of a kernel or of a module, out of the image it was booted or loaded from.

A bzImage as documented in Documentation/arch/x86/boot.rst (setup header at 0x1f1, payload_offset and
payload_length since protocol 2.08), a vmlinux ELF, a module ELF (.ko), each also packed by gzip, xz,
lzma, bzip2 or zstd. Addresses are link-time addresses: add `link_base` - the running _stext.

An image holds the code before boot patched it: alternatives, jump labels, static calls, retpolines and
ftrace sites may hold other bytes in the running kernel. Relocations of modules are not applied.
"""

from __future__ import annotations

from struct import error as StructError
from struct import unpack_from
from sys import byteorder

from ...errors import Malformed
from ...named_tuple import NamedTuple
from . import notes as elf_notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

UNPACKED_BYTES_MAX = 256 << 20  # a distribution's vmlinux without debug information is 60 to 120 MB
_NAME_BYTES_MAX = 512  # KSYM_NAME_LEN
_PT_LOAD, _PT_NOTE, _PF_X = 1, 4, 1
_SHT_SYMTAB, _SHT_RELA, _SHF_EXECINSTR = 2, 4, 4


class CannotUnpack(Malformed):
    """The image is packed in a way that this Python cannot unpack; `cure` says what helps."""

    def __init__(self, path: str, packing: str, cure: str) -> None:
        super().__init__(path, 0, f"bytes that can be unpacked here; {cure}", f"a {packing} stream")
        self.cure = cure


class Segment(NamedTuple):
    """One PT_LOAD: `address` is p_vaddr, `size` what the file holds (p_filesz, not p_memsz)."""

    address: int
    offset: int
    size: int
    executable: bool


class Section(NamedTuple):
    """One section header of a module."""

    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    entry_bytes: int
    align: int = 1


class KernelImage:
    """The loadable parts of an uncompressed vmlinux. Nothing is copied until it is asked for."""

    def __init__(self, raw_elf: bytes, path: str = "vmlinux") -> None:
        """Reads the headers. Raises Malformed if it is not a little-endian ELF64 with program headers."""
        self.raw, self.path = raw_elf, path
        _check_elf(raw_elf, path)
        try:
            (table,) = unpack_from("<Q", raw_elf, 32)
            entry_bytes, entries = unpack_from("<HH", raw_elf, 54)
            loads, notes = [], []
            for position in range(table, table + entry_bytes * entries, max(entry_bytes, 1)):
                kind, flags, offset, address, _, size = unpack_from("<IIQQQQ", raw_elf, position)
                if kind == _PT_LOAD:
                    loads.append(
                        Segment(address, offset, min(size, max(len(raw_elf) - offset, 0)), bool(flags & _PF_X))
                    )
                elif kind == _PT_NOTE:
                    notes.append((offset, size))
        except StructError:
            raise Malformed(path, len(raw_elf), "program headers", "the end of the file") from None
        if not any(segment.executable for segment in loads):
            raise Malformed(path, 32, "a PT_LOAD segment with code")
        self.segments, self._notes = tuple(loads), notes

    @property
    def link_base(self) -> int:
        """The address the kernel's text is linked at: _text, 0xffffffff81000000 on x86_64."""
        return min(segment.address for segment in self.segments if segment.executable)

    def text_at(self, address: int, size: int) -> bytes | None:
        """The bytes at a link-time address; None if the file does not hold all of them."""
        for segment in self.segments:
            if segment.address <= address and address + size <= segment.address + segment.size:
                start = segment.offset + address - segment.address
                return self.raw[start : start + size]
        return None

    def find(self, piece: bytes) -> list[int]:
        """Link-time addresses at which these bytes stand, aligned to pointers."""
        found = []
        for segment in self.segments:
            at = self.raw.find(piece, segment.offset, segment.offset + segment.size)
            while at >= 0:
                address = at - segment.offset + segment.address
                if not address % 8:
                    found.append(address)
                at = self.raw.find(piece, at + 1, segment.offset + segment.size)
        return found

    def tail_at(self, address: int, size: int) -> bytes:
        """Up to `size` bytes at a link-time address, fewer where the file ends; b"" where it holds none."""
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.size:
                start = segment.offset + address - segment.address
                return self.raw[start : min(start + size, segment.offset + segment.size)]
        return b""

    @property
    def build_id(self) -> str:
        """The GNU build id in hex, as in sys/kernel/notes; "" if the image has none. Raises Malformed."""
        for offset, size in self._notes:
            found = elf_notes.build_id(self.raw[offset : offset + size], self.path)
            if found:
                return found
        return ""

    def notes(self) -> bytes:
        """The image's notes, as in sys/kernel/notes."""
        return b"".join(self.raw[offset : offset + size] for offset, size in self._notes)

    def banner(self) -> str:
        """The line of proc/version ("Linux version 6.12…"); "" if it is not there (init/version-timestamp.c)."""
        start = self.raw.find(b"Linux version ")
        while start >= 0:
            text = self.raw[start : start + 512].split(b"\n")[0].split(b"\0")[0]
            build = text.rpartition(b" #")[2][:1]
            if build.isdigit():  # the copy without a build number is the one that modules are checked with
                return text.decode("ascii", "replace")
            start = self.raw.find(b"Linux version ", start + 1)
        return ""

    def sites(self, start: int, stop: int, entry_bytes: int) -> tuple[int, ...]:
        """Addresses that a table of relative entries points to, in its order; empty if it is not in the file.

        True of __bug_table (bug_addr_disp), __jump_table (code), .static_call_sites (addr) and
        .altinstructions (instr_offset): each entry begins with a signed 32-bit distance from itself.
        """
        raw = self.text_at(start, stop - start) if stop > start else None
        return relative_sites(raw or b"", start, entry_bytes)


def relative_sites(raw: bytes, start: int, entry_bytes: int) -> tuple[int, ...]:
    """Addresses that a table points to, from its bytes and its own address: the same for an image and for kcore.

    The size of an entry is the size of its struct in the kernel's BTF: bug_entry, jump_entry,
    static_call_site, alt_instr. A last entry that is cut off is left out.
    """
    if entry_bytes < 4:
        return ()
    ends = len(raw) - entry_bytes + 1
    if entry_bytes % 4 == 0 and byteorder == "little" and ends > 0:
        words = memoryview(raw)[: len(raw) & ~3].cast("i").tolist()[:: entry_bytes // 4]
        return tuple(start + at + word for at, word in zip(range(0, ends, entry_bytes), words, strict=False))
    return tuple(start + at + unpack_from("<i", raw, at)[0] for at in range(0, ends, entry_bytes))


def is_bzimage(raw: bytes) -> bool:
    """The bytes carry the x86 setup header ("HdrS" at 0x202)."""
    return raw[0x202:0x206] == b"HdrS"


def bzimage_version(raw: bytes) -> str:
    """The version line of the setup header, without unpacking: "6.12… (builder) #1 SMP …"; "" if there is none."""
    if not is_bzimage(raw) or len(raw) < 0x210:
        return ""
    (offset,) = unpack_from("<H", raw, 0x20E)
    if not offset:
        return ""
    return raw[0x200 + offset : 0x200 + offset + 512].split(b"\0")[0].decode("ascii", "replace")


def vmlinux_of(raw: bytes, path: str = "vmlinuz", limit_bytes: int = UNPACKED_BYTES_MAX) -> bytes:
    """The vmlinux ELF inside a vmlinuz, or the bytes themselves if they are an ELF.

    Costs the whole unpacking (0.2 s for zstd, about 5 s for xz). Raises CannotUnpack for packings that need
    a package, Malformed for anything that is no kernel or would unpack to more than `limit_bytes`.
    """
    if raw[:4] == b"\x7fELF":
        return raw
    if not is_bzimage(raw):
        return unpack(raw, path, limit_bytes)
    if len(raw) < 0x250:
        raise Malformed(path, len(raw), "a setup header", "the end of the file")
    (protocol,) = unpack_from("<H", raw, 0x206)
    if protocol < 0x208:
        raise Malformed(path, 0x206, "boot protocol 2.08 or later", f"{protocol:#x}")
    payload, payload_bytes = unpack_from("<II", raw, 0x248)
    start = ((raw[0x1F1] or 4) + 1) * 512 + payload
    if payload_bytes < 8 or start + payload_bytes > len(raw):
        raise Malformed(path, 0x248, "a payload inside the file", f"{payload_bytes} bytes at {start}")
    elf = unpack(raw[start : start + payload_bytes], path, limit_bytes)
    if elf[:4] != b"\x7fELF":
        raise Malformed(path, start, "an ELF in the payload", repr(elf[:4]))
    (elf_bytes,) = unpack_from("<I", raw, start + payload_bytes - 4)
    if elf_bytes != len(elf) & 0xFFFFFFFF:  # scripts/Makefile.lib, size_append; gzip ends with its size anyway
        raise Malformed(path, start + payload_bytes - 4, "the size of the unpacked ELF", f"{elf_bytes}, not {len(elf)}")
    return elf


def unpack(raw: bytes, path: str, limit_bytes: int = UNPACKED_BYTES_MAX) -> bytes:
    """The bytes unpacked by their magic; an ELF is returned as it is.

    Bytes after the packed stream are ignored: the kernel's build appends the unpacked size. Raises
    CannotUnpack, or Malformed for a broken stream, an unknown packing, or more than `limit_bytes`.
    """
    import zlib
    from lzma import FORMAT_ALONE, FORMAT_XZ, LZMADecompressor, LZMAError

    if raw[:4] == b"\x7fELF":
        return raw
    try:
        if raw[:2] == b"\x1f\x8b":
            inflater = zlib.decompressobj(31)
            data, ended = inflater.decompress(raw, limit_bytes + 1), inflater.eof
        elif raw[:6] == b"\xfd7zXZ\0":
            unxz = LZMADecompressor(FORMAT_XZ, memlimit=limit_bytes)
            data, ended = unxz.decompress(raw, limit_bytes + 1), unxz.eof
        elif raw[:3] == b"\x5d\0\0":
            unlzma = LZMADecompressor(FORMAT_ALONE, memlimit=limit_bytes)
            data = unlzma.decompress(raw, limit_bytes + 1)
            ended = True  # a stream with a known size has no end marker
        elif raw[:3] == b"BZh":
            import bz2

            unbz = bz2.BZ2Decompressor()
            data, ended = unbz.decompress(raw, limit_bytes + 1), unbz.eof
        elif raw[:4] == b"\x28\xb5\x2f\xfd":
            data, ended = _unzstd(raw, path, limit_bytes), True
        elif raw[:4] == b"\x02\x21\x4c\x18":
            from . import lz4

            data, ended = lz4.unpacked(raw, limit_bytes), True
        elif raw[:4] == b"\x04\x22\x4d\x18":
            raise CannotUnpack(path, "lz4", "unpack it with scripts/extract-vmlinux of the kernel source")
        elif raw[:4] == b"\x89LZO":
            raise CannotUnpack(path, "lzo", "unpack it with scripts/extract-vmlinux of the kernel source")
        else:
            raise Malformed(path, 0, "an ELF or a packed kernel", repr(raw[:6]))
    except (zlib.error, LZMAError, OSError, EOFError, ValueError) as error:
        raise Malformed(path, 0, "a whole packed stream", str(error)[:80]) from None
    if len(data) > limit_bytes:
        raise Malformed(path, 0, f"at most {limit_bytes} bytes unpacked", "more")
    if not ended:
        raise Malformed(path, len(raw), "the rest of the packed stream", "the end of the file")
    return data


def _unzstd(raw: bytes, path: str, limit_bytes: int) -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
    except ImportError:
        try:
            import zstandard  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise CannotUnpack(path, "zstd", "needs Python 3.14 or the zstandard package") from None
        try:
            stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw)
            data: bytes = stream.read(limit_bytes + 1)
        except zstandard.ZstdError as error:
            raise Malformed(path, 0, "a whole zstd stream", str(error)[:80]) from None
        return data
    try:
        decompressor = zstd.ZstdDecompressor()
        data = decompressor.decompress(raw, limit_bytes + 1)
        if not decompressor.eof and len(data) <= limit_bytes:
            raise Malformed(path, len(raw), "the rest of the packed stream", "the end of the file")
    except zstd.ZstdError as error:
        raise Malformed(path, 0, "a whole zstd stream", str(error)[:80]) from None
    return data


def sections(raw: bytes, path: str = "module") -> tuple[Section, ...]:
    """The section headers of an ELF64, in order. Raises Malformed."""
    _check_elf(raw, path)
    try:
        (table,) = unpack_from("<Q", raw, 40)
        entry_bytes, entries, names_index = unpack_from("<HHH", raw, 58)
        headers = [unpack_from("<IIQQQQIIQQ", raw, table + entry_bytes * i) for i in range(entries)]
        names = headers[names_index]
    except (StructError, IndexError):
        raise Malformed(path, len(raw), "section headers", "the end of the file") from None
    strings = raw[names[4] : names[4] + names[5]]
    return tuple(Section(_string(strings, h[0]), h[1], h[2], h[4], h[5], h[6], h[7], h[9], h[8]) for h in headers)


def module_symbol_code(raw: bytes, name: str, size: int, path: str = "module") -> tuple[bytes, ...]:
    """The first `size` bytes of every code symbol of exactly this name; empty if the module has none.

    From the symbol's own section (.text, .text.unlikely, .init.text …), before relocation: opcodes are
    what will run, the operands of calls and jumps are not. Fewer bytes where the section ends.
    """
    want = name.encode()
    return tuple(code for found, code, _, _ in _module_symbols(raw, path, size, want))


def module_code_table(raw: bytes, size: int, path: str = "module") -> dict[str, tuple[bytes, ...]]:
    """The first `size` bytes of every code symbol, by name, the copies in the order of the symbol table."""
    table: dict[str, list[bytes]] = {}
    for name, code, _, _ in _module_symbols(raw, path, size, None):
        table.setdefault(name.decode("utf-8", "replace"), []).append(code)
    return {name: tuple(codes) for name, codes in table.items()}


def module_places(raw: bytes, path: str = "module") -> dict[str, tuple[tuple[int, int], ...]]:
    """(section index, offset in it) of every code symbol, by name, in the order of `module_code_table`."""
    table: dict[str, list[tuple[int, int]]] = {}
    for name, _, section, value in _module_symbols(raw, path, 0, None):
        table.setdefault(name.decode("utf-8", "replace"), []).append((section, value))
    return {name: tuple(places) for name, places in table.items()}


def module_sites(raw: bytes, table: str, entry_bytes: int = 4, path: str = "module") -> frozenset[tuple[int, int]]:
    """(section index, offset in it) of the code that a table of a module points to, out of its relocations.

    `table`: __bug_table, .altinstructions, __jump_table or .static_call_sites; `entry_bytes` keeps the first
    field of each entry, which is the code's own address in all of them. Empty if the module has no such table.
    """
    step = max(entry_bytes, 1)
    return frozenset(to for place, to in module_pointers(raw, table, path).items() if place % step == 0)


def module_pointers(raw: bytes, table: str, path: str = "module") -> dict[int, tuple[int, int]]:
    """Offset in a module's table to the code it points to, (section index, offset in it), out of its relocations.

    Raises Malformed.
    """
    headers = sections(raw, path)
    return {
        place: (section, value)
        for place, section, value, _ in _relocations(raw, headers, table, path)
        if section < len(headers) and headers[section].flags & _SHF_EXECINSTR
    }


def module_imports(raw: bytes, table: str, path: str = "module") -> dict[int, str]:
    """Offset in a module's table to the name of the vmlinux symbol it points to. Raises Malformed."""
    found = _relocations(raw, sections(raw, path), table, path)
    return {place: name for place, section, _, name in found if not section}


def _relocations(
    raw: bytes, headers: tuple[Section, ...], table: str, path: str
) -> Iterator[tuple[int, int, int, str]]:
    """(offset in the table, section, offset in it, name of an undefined symbol or "")."""
    for header in headers:
        if header.type != _SHT_RELA or header.name != ".rela" + table or header.link >= len(headers):
            continue
        symbols = headers[header.link]
        strings = headers[symbols.link] if symbols.link < len(headers) else symbols
        for at in range(header.offset, header.offset + header.size, 24):
            if at + 24 > len(raw):
                raise Malformed(path, at, "a relocation", "the end of the file")
            place, info, addend = unpack_from("<QQq", raw, at)
            symbol = symbols.offset + (info >> 32) * 24
            if symbol + 24 > len(raw):
                raise Malformed(path, symbol, "a symbol", "the end of the file")
            text, _, _, section, value, _ = unpack_from("<IBBHQQ", raw, symbol)
            start = strings.offset + text
            name = "" if section else raw[start : start + _NAME_BYTES_MAX].split(b"\0")[0].decode("utf-8", "replace")
            yield place, section, value + addend, name
        break  # one such section; a second would be no module


def _module_symbols(raw: bytes, path: str, size: int, want: bytes | None) -> list[tuple[bytes, bytes, int, int]]:
    """(name, code, section, value) of the code symbols, all of them or those named `want`."""
    headers = sections(raw, path)
    found: list[tuple[bytes, bytes, int, int]] = []
    for header in headers:
        if header.type != _SHT_SYMTAB:
            continue
        if header.link >= len(headers) or header.offset + header.size > len(raw):
            raise Malformed(path, header.offset, "a symbol table inside the file")
        names = headers[header.link]
        strings = raw[names.offset : names.offset + names.size]
        for at in range(header.offset, header.offset + header.size - 23, 24):
            text, info, _, section, value, _ = unpack_from("<IBBHQQ", raw, at)
            if info & 15 > 2 or section >= len(headers) or not headers[section].flags & _SHF_EXECINSTR:
                continue  # STT_NOTYPE, STT_OBJECT and STT_FUNC can name code
            end = strings.find(b"\0", text, text + _NAME_BYTES_MAX)
            name = strings[text:end] if end >= 0 else b""
            if name and (want is None or name == want):
                start, stop = headers[section].offset + value, headers[section].offset + headers[section].size
                found.append((name, raw[start : max(start, min(start + size, stop))], section, value))
        break  # an object file has one symbol table
    return found


def _check_elf(raw: bytes, path: str) -> None:
    if raw[:6] != b"\x7fELF\x02\x01" or len(raw) < 64:
        raise Malformed(path, 0, "a little-endian ELF64 header", repr(raw[:6]))


def _string(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset, offset + _NAME_BYTES_MAX)
    return strings[offset : max(end, offset)].decode("utf-8", "replace")
