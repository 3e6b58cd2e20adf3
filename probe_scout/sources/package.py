"""Kernel packages (.deb, .rpm, Arch): the image, the configuration and whatever else is asked for, read as a stream.

Formats: deb(5), an ar archive with data.tar; RPM (lead, signature, header, then a packed cpio archive in the "newc"
form); pacman packages, a packed tar. Nothing
is unpacked to disk; only members that are asked for are kept.
"""

from __future__ import annotations

import re

from ..errors import Broken
from . import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AR, _RPM = b"!<arch>\n", b"\xed\xab\xee\xdb"
_RPM_HEADER = b"\x8e\xad\xe8\x01"
_CPIO = b"070701"
_MEMBER_BYTES_MAX = 1 << 30
_NAME_BYTES_MAX = 4096
_MEMBERS_MAX = 500_000
_UNPACKED_BYTES_MAX = 8 << 30  # the largest kernel packages, those with debug information, unpack to some 5 GB
_IMAGE = re.compile(r"(?:^|/)(?:boot/(?:vmlinuz|vmlinux|Image)-?[^/]*|(?:usr/)?lib/modules/[^/]+/(?:vmlinuz|Image))$")
_CONFIG = re.compile(r"(?:^|/)(?:boot/config-[^/]+|(?:usr/)?lib/modules/[^/]+/config)$")


def is_package(head: bytes) -> bool:
    """Whether a file that begins so may be a package (a packed tar is told by what it holds)."""
    return head.startswith((_AR, _RPM))


class Contents:
    """What a kernel package holds: the image and the configuration, each with its path."""

    def __init__(self) -> None:
        self.image: tuple[str, bytes] | None = None
        self.config: tuple[str, bytes] | None = None


def read(raw: bytes, path: str) -> Contents:
    """The kernel's parts of a package, as far as it has any; reading stops where both are found. Raises Broken."""
    found = Contents()

    def keep(name: str) -> bool:
        return bool(_IMAGE.search(name) or _CONFIG.search(name))

    for name, data in members(raw, path, keep):
        if _IMAGE.search(name) and found.image is None:
            found.image = name, data
        elif _CONFIG.search(name) and found.config is None:
            found.config = name, data
        if found.image and found.config:
            break
    return found


def members(raw: bytes, path: str, keep: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """The files that `keep` asks for, one after the other, as they lie in the package. Raises Broken."""
    if raw.startswith(_RPM):
        return _cpio(_rpm_payload(raw, path), path, keep)
    if raw.startswith(_AR):
        return _tar(_data_of_deb(raw, path), path, keep)
    return _tar(raw, path, keep)


def _data_of_deb(raw: bytes, path: str) -> bytes:
    at = len(_AR)
    while at + 60 <= len(raw):
        head = raw[at : at + 60]
        digits = head[48:58].strip()
        if head[58:] != b"`\n" or not digits.isdigit():
            raise Broken(path, f"damaged ar archive at byte {at}")
        size = int(digits)
        if at + 60 + size > len(raw):
            raise Broken(path, "cut off inside a member of the ar archive")
        if head.startswith(b"data.tar"):
            return raw[at + 60 : at + 60 + size]
        at += 60 + size + (size & 1)
    raise Broken(path, "no Debian package: it has no data.tar")


def _rpm_payload(raw: bytes, path: str) -> bytes:
    at = 96
    for number in range(2):
        if raw[at : at + 4] != _RPM_HEADER:
            raise Broken(path, f"damaged RPM header at byte {at}")
        entries, size = int.from_bytes(raw[at + 8 : at + 12], "big"), int.from_bytes(raw[at + 12 : at + 16], "big")
        at += 16 + 16 * entries + size
        if at > len(raw):
            raise Broken(path, "cut off inside the RPM header")
        if not number:
            at = (at + 7) // 8 * 8
    return raw[at:]


class _Stream:
    """A packed or plain stream, read forward; what is skipped is not kept."""

    def __init__(self, raw: bytes, path: str) -> None:
        packing = unpack.packing_of(raw[:8])
        self._pieces = unpack.pieces(unpack.slices(raw), packing, path) if packing else unpack.slices(raw)
        self._buffer = bytearray()
        self._path = path
        self.at = 0

    def take(self, size: int, wanted: bool = True) -> bytes:
        """The next bytes, or b"" with `wanted` false. Raises Broken where the stream ends before."""
        if self.at + size > _UNPACKED_BYTES_MAX:
            raise Broken(self._path, f"unpacks to more than {_UNPACKED_BYTES_MAX >> 20} MiB")
        kept = bytearray()
        left = size
        while left:
            if not self._buffer:
                piece = next(self._pieces, None)
                if piece is None:
                    raise Broken(self._path, "cut off inside a member")
                self._buffer += piece
            part = self._buffer[:left]
            del self._buffer[: len(part)]
            left -= len(part)
            if wanted:
                kept += part
        self.at += size
        return bytes(kept)

    def peek_end(self) -> bool:
        """Whether nothing is left."""
        while not self._buffer:
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._buffer += piece
        return False


def _tar(raw: bytes, path: str, keep: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    stream = _Stream(raw, path)
    long_name = ""
    for _ in range(_MEMBERS_MAX):
        if stream.peek_end():
            return
        block = stream.take(512)
        if not block.strip(b"\0"):
            return
        size = _octal(block[124:136], path)
        kind = block[156:157]
        padded = (size + 511) // 512 * 512
        if kind == b"L":
            if size > _NAME_BYTES_MAX:
                raise Broken(path, "a member's name of more than 4096 bytes")
            long_name = stream.take(padded)[:size].rstrip(b"\0").decode("utf-8", "replace")
            continue
        if kind in b"xg":
            if size > 1 << 20:
                raise Broken(path, "an extended header of more than 1 MiB")
            records = stream.take(padded)[:size]
            match = re.search(rb"\d+ path=([^\n]*)\n", records) if kind == b"x" else None
            long_name = match[1].decode("utf-8", "replace") if match else long_name
            continue
        head = block[:100].rstrip(b"\0").decode("utf-8", "replace")
        prefix = block[345:500].rstrip(b"\0").decode("utf-8", "replace") if block[257:262] == b"ustar" else ""
        name = (long_name or (f"{prefix}/{head}" if prefix else head)).removeprefix("./")
        long_name = ""
        wanted = kind in (b"0", b"\0", b"7") and keep(name)
        if wanted and size > _MEMBER_BYTES_MAX:
            raise Broken(path, f"{name} is larger than {_MEMBER_BYTES_MAX >> 20} MiB")
        data = stream.take(padded, wanted)
        if wanted:
            yield name, data[:size]
    raise Broken(path, f"more than {_MEMBERS_MAX} members")


def _octal(field: bytes, path: str) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise Broken(path, "a member's size is no number") from None


def _cpio(raw: bytes, path: str, keep: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    stream = _Stream(raw, path)
    for _ in range(_MEMBERS_MAX):
        head = stream.take(110)
        if not head.startswith(_CPIO):
            raise Broken(path, "damaged cpio archive, or one of a form other than newc")
        try:
            mode, size, length = (int(head[at : at + 8], 16) for at in (14, 54, 94))
        except ValueError:
            raise Broken(path, "damaged cpio archive") from None
        if length > _NAME_BYTES_MAX:
            raise Broken(path, "a member's name of more than 4096 bytes")
        name = stream.take(length).rstrip(b"\0").decode("utf-8", "replace").removeprefix("./").lstrip("/")
        stream.take(-stream.at % 4, False)
        if name == "TRAILER!!!":
            return
        wanted = mode & 0o170000 == 0o100000 and keep(name)
        if wanted and size > _MEMBER_BYTES_MAX:
            raise Broken(path, f"{name} is larger than {_MEMBER_BYTES_MAX >> 20} MiB")
        data = stream.take(size, wanted)
        stream.take(-stream.at % 4, False)
        if wanted:
            yield name, data
    raise Broken(path, f"more than {_MEMBERS_MAX} members")
