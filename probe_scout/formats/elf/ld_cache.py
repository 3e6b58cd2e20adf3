"""etc/ld.so.cache: library names to paths, as ldconfig writes it and the loader reads it.

Format: sysdeps/generic/dl-cache.h of glibc, "glibc-ld.so.cache1.1" (since glibc 2.32 the only part of the file; before,
it followed one of the old format).
"""

from __future__ import annotations

from functools import lru_cache
from struct import error as StructError
from struct import iter_unpack, unpack_from

from ...errors import Malformed
from ...named_tuple import NamedTuple

PATH = "etc/ld.so.cache"
_MAGIC = b"glibc-ld.so.cache1.1"
_OLD_MAGIC = b"ld.so-1.7.0\0"
_HEADER_BYTES, _ENTRY_BYTES = 48, 24
_ENTRIES_MAX = 1 << 20
# FLAG_ELF_LIBC6 is 3; the upper byte is the machine (FLAG_X8664_LIB64, ...), 0 where it has one ABI.
_MACHINES = {"x86_64": 0x0300, "aarch64": 0x0A00, "s390x": 0x0400, "riscv64": 0x1000, "i386": 0x0000}


class Library(NamedTuple):
    """One entry: the name that programs ask for, and the file."""

    name: str
    path: str
    flags: int

    def is_for(self, machine: str) -> bool:
        """The file is for this machine, as far as the flags tell."""
        wanted = _MACHINES.get(machine)
        return wanted is None or self.flags & 0xFF00 == wanted


@lru_cache(1)
def libraries(raw: bytes, path: str = PATH) -> tuple[Library, ...]:
    """The entries in the file's order (the loader's best first). Raises Malformed."""
    start = raw.find(_MAGIC, 0, 1 << 24) if raw.startswith(_OLD_MAGIC) else 0
    if start < 0 or not raw.startswith(_MAGIC, start):
        raise Malformed(path, 0, "a cache of the loader (glibc-ld.so.cache1.1)", repr(raw[:12]))
    try:
        count, strings_bytes = unpack_from("<II", raw, start + 20)
    except StructError:
        raise Malformed(path, len(raw), "the header of the cache", "the end of the file") from None
    end = start + _HEADER_BYTES + count * _ENTRY_BYTES
    if count > _ENTRIES_MAX or end + strings_bytes > len(raw) + 8:
        raise Malformed(path, start, f"{count} entries of the cache", "the end of the file")
    return tuple(
        Library(_text(raw, start + key), _text(raw, start + value), flags)
        for flags, key, value, _, _ in iter_unpack("<iIIIQ", raw[start + _HEADER_BYTES : end])
    )


def _text(raw: bytes, at: int) -> str:
    stop = raw.find(b"\0", at, at + 4096)
    return raw[at:stop].decode("utf-8", "surrogateescape") if stop >= 0 else ""
