"""Read kernel text through proc/kcore, an ELF core file of the running kernel (fs/proc/kcore.c).

One PT_LOAD covers each region: kernel text, vmalloc and modules, the direct map. Only the headers and
the bytes asked for are read. Needs CAP_SYS_RAWIO; refused under lockdown=confidentiality; absent
where CONFIG_PROC_KCORE is off. A hardware error or an unmapped page reads as zeros.
"""

from __future__ import annotations

import os
from struct import unpack_from

from ..errors import Broken, Denied, NotThere

_HEADER_BYTES = 64
_REGIONS_MAX = 65535
_TEXT_BYTES_MAX = 16 << 20
_CURE = "run as root on a kernel without lockdown, or read the kernel's vmlinuz instead"


def read_text(path: str, address: int, size: int) -> bytes:
    """The bytes of kernel memory at a runtime address.

    Raises NotThere if there is no such file or the address lies in no region, Denied if it may not be
    read (EPERM under lockdown, EACCES), Broken if it is no core file or ends early.
    """
    return read_texts(path, ((address, size),))[0]


def read_texts(path: str, wanted: tuple[tuple[int, int], ...]) -> tuple[bytes, ...]:
    """As `read_text` for several (address, size), with the headers read once."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotThere(path, "No such file or directory", _CURE) from None
    except OSError as error:
        raise Denied(path, error.strerror or "cannot be opened", _CURE) from None
    try:
        regions = _regions(path, handle)
        return tuple(_read(path, handle, regions, address, size) for address, size in wanted)
    finally:
        os.close(handle)


def _regions(path: str, handle: int) -> list[tuple[int, int, int]]:
    """(address, size, offset in the file) of each PT_LOAD."""
    head = _pread(path, handle, _HEADER_BYTES, 0)
    if head[:6] != b"\x7fELF\x02\x01":
        raise Broken(path, "is not a little-endian ELF64 core file")
    (table,) = unpack_from("<Q", head, 32)
    entry_bytes, entries = unpack_from("<HH", head, 54)
    if entry_bytes < 56 or entries > _REGIONS_MAX:
        raise Broken(path, f"has {entries} program headers of {entry_bytes} bytes")
    raw = _pread(path, handle, entry_bytes * entries, table)
    regions = []
    for at in range(0, entry_bytes * entries, entry_bytes):
        kind, _, offset, address, _, size, _ = unpack_from("<IIQQQQQ", raw, at)
        if kind == 1:
            regions.append((address, size, offset))
    return regions


def _read(path: str, handle: int, regions: list[tuple[int, int, int]], address: int, size: int) -> bytes:
    if not 0 <= size <= _TEXT_BYTES_MAX:
        raise NotThere(path, f"{size} bytes at once are more than kernel text has")
    for start, length, offset in regions:
        if start <= address and address + size <= start + length:
            return _pread(path, handle, size, offset + address - start)
    raise NotThere(path, f"no region holds {address:#x}")


def _pread(path: str, handle: int, size: int, offset: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            part = os.pread(handle, size - len(data), offset + len(data))
        except OverflowError:
            raise Broken(path, f"points to byte {offset}, past what a file can hold") from None
        except OSError as error:
            raise Denied(path, error.strerror or "cannot be read", _CURE) from None
        if not part:
            raise Broken(path, f"ends {size - len(data)} bytes early at byte {offset + len(data)}")
        data += part
    return data
