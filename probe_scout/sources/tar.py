"""The tar format: walk its headers while the bytes arrive, and write plain ones.

POSIX.1-2001 ustar and pax, and GNU long names (tar(5), GNU tar manual "Standard Format"). Regular files and
folders only: everything a snapshot cannot hold (links, devices, sparse files) is refused with one sentence.
"""

from __future__ import annotations

from ..errors import Broken
from .reading import printable

MEMBERS_MAX = 100_000
MEMBER_BYTES_MAX = 128 << 20
TOTAL_BYTES_MAX = 512 << 20
BLOCK_BYTES = 512
_EXTENSION_BYTES_MAX = 64 << 10  # a pax header or a GNU long name
_NAME_BYTES_MAX = 1024
_DEPTH_MAX = 32  # the kernel's own paths have eight components at most
_ZEROS = bytes(BLOCK_BYTES)
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}


class Walker:
    """Takes a growing buffer and records where each file lies in it: `files` is path -> (offset, size).

    `feed` may be called after every piece; `finish` once at the end. Both raise Broken.
    """

    __slots__ = ("_at", "_long_name", "_members_total", "_pax", "_waiting", "_where", "files", "folders", "is_ended")

    def __init__(self, where: str) -> None:
        self.files: dict[str, tuple[int, int]] = {}
        self.folders: set[str] = set()
        self.is_ended = False
        self._where = where
        self._at = self._members_total = 0
        self._waiting: tuple[bytes, int, int] | None = None  # type, offset and size of an extension on its way
        self._long_name: bytes | None = None
        self._pax: dict[bytes, bytes] = {}

    def feed(self, data: bytearray) -> None:
        """Reads every header that is complete; the bytes before it are never looked at again."""
        from zlib import adler32

        while not self.is_ended:
            if self._waiting:
                kind, offset, size = self._waiting
                if len(data) < self._at:
                    return
                self._extend(kind, bytes(data[offset : offset + size]))
                self._waiting = None
            if len(data) < self._at + BLOCK_BYTES:
                return
            block = bytes(data[self._at : self._at + BLOCK_BYTES])
            if block == _ZEROS:
                # The format ends with two zero blocks; one is what some writers leave, and what follows is not read.
                self.is_ended = True
                return
            # adler32's low half is 1 + the sum of the bytes, modulo 65521: the header checksum at the speed of C.
            recorded = self._number(block[148:156], "checksum")
            if adler32(block[:148] + b"        " + block[156:]) & 0xFFFF != (recorded + 1) % 65521:
                what = "not a tar archive" if not self._members_total else "damaged"
                raise self._broken(f"{what}: the header at byte {self._at} has a wrong checksum")
            self._member(block)

    def finish(self, size: int) -> None:
        """Checks that the archive was not cut off; a missing end marker at a member's end passes."""
        if self.is_ended and not self.files:
            raise self._broken("a tar archive without files")
        if self.is_ended:
            return
        if self._at == 0:
            raise self._broken("not a tar archive: shorter than one header")
        if self._waiting or size != self._at:
            raise self._broken("cut off: the last member is not complete")
        if not self.files:
            raise self._broken("a tar archive without files")

    def _member(self, block: bytes) -> None:
        kind = block[156:157]
        size = self._number(block[124:136], "size")
        if b"size" in self._pax and kind in (b"0", b"\0", b"7"):
            size = self._decimal(self._pax[b"size"])
        self._members_total += 1
        if self._members_total > MEMBERS_MAX:
            raise self._broken(f"more than {MEMBERS_MAX} members")
        offset = self._at + BLOCK_BYTES
        if kind in (b"L", b"K", b"x", b"g"):
            if size > _EXTENSION_BYTES_MAX:
                raise self._broken("a long-name header of more than 64 KiB")
            self._waiting = (kind, offset, size)
        else:
            name = self._name(block)
            if kind == b"5" or (kind in (b"0", b"\0") and name.endswith("/")):
                size = 0 if kind == b"5" else size
                self._add_folder(self._path(name))
            elif kind in (b"0", b"\0", b"7"):
                self._add_file(self._path(name), offset, size)
            else:
                what = _REFUSED.get(kind, f"a member of type {printable(kind.decode('latin-1'))}")
                raise self._broken(f"holds {what} ({printable(name)})")
            self._long_name, self._pax = None, {}
        self._at = offset + (size + BLOCK_BYTES - 1) // BLOCK_BYTES * BLOCK_BYTES

    def _add_file(self, path: str, offset: int, size: int) -> None:
        if size > MEMBER_BYTES_MAX:
            raise self._broken(f"{printable(path)} is larger than {MEMBER_BYTES_MAX >> 20} MiB")
        if not path:
            raise self._broken("holds a file without a name")
        if path in self.files:
            raise self._broken(f"holds {printable(path)} twice")
        self.files[path] = (offset, size)

    def _add_folder(self, path: str) -> None:
        if path:
            self.folders.add(path)

    def _name(self, block: bytes) -> str:
        if b"path" in self._pax:
            raw = self._pax[b"path"]
        elif self._long_name is not None:
            raw = self._long_name
        else:
            raw = _until_nul(block[:100])
            if block[257:263] == b"ustar\0" and block[345] != 0:
                raw = _until_nul(block[345:500]) + b"/" + raw
        if len(raw) > _NAME_BYTES_MAX or b"\0" in raw:
            raise self._broken("holds a member whose name no file can have")
        return raw.decode("utf-8", "surrogateescape")

    def _path(self, name: str) -> str:
        if name.startswith("/"):
            raise self._broken(f"holds an absolute name ({printable(name)})")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self._broken(f"holds a name that leaves the archive ({printable(name)})")
        if len(parts) > _DEPTH_MAX:
            raise self._broken(f"holds a name of more than {_DEPTH_MAX} folders ({printable(name)})")
        return "/".join(parts)

    def _extend(self, kind: bytes, raw: bytes) -> None:
        if kind == b"L":
            self._long_name = _until_nul(raw)
        elif kind in (b"x", b"g"):
            found = self._pax_records(raw)
            if any(key.startswith(b"GNU.sparse") for key in found):
                raise self._broken("holds a sparse file")
            if kind == b"x":
                self._pax = found
            elif b"path" in found or b"size" in found:
                raise self._broken("a global pax header that names or sizes every member")

    def _pax_records(self, raw: bytes) -> dict[bytes, bytes]:
        """ "27 path=proc/kallsyms\\n" and so on; the number counts the whole record."""
        found = {}
        at = 0
        while at < len(raw):
            space = raw.find(b" ", at, at + 8)
            length = self._decimal(raw[at:space]) if space > at else 0
            record = raw[space + 1 : at + length]
            key, equals, value = record[:-1].partition(b"=")
            if length < 5 or at + length > len(raw) or record[-1:] != b"\n" or not equals:
                raise self._broken("a damaged pax header")
            found[key] = value
            at += length
        return found

    def _number(self, field: bytes, what: str) -> int:
        digits = field.split(b"\0", 1)[0].strip(b" ")
        if field[0] & 0x80:  # GNU base-256, used only above 8 GiB
            return 1 << 62
        if digits.strip(b"01234567") or not digits:
            if not self._members_total:
                raise self._broken("not a tar archive")
            raise self._broken(f"damaged: the header at byte {self._at} has no {what}")
        return int(digits, 8)

    def _decimal(self, digits: bytes) -> int:
        if not digits.isdigit() or len(digits) > 20:
            raise self._broken("a damaged pax header")
        return int(digits)

    def _broken(self, why: str) -> Broken:
        return Broken(self._where, why)


def header(path: str, size: int) -> bytes:
    """The header of a regular file, mode 0644, owner 0, time 0; GNU long name where ustar has no room."""
    name = path.encode("utf-8", "surrogateescape")
    prefix = b""
    if len(name) > 100:
        cut = name.rfind(b"/", 0, 156)
        if cut > 0 and len(name) - cut - 1 <= 100:
            prefix, name = name[:cut], name[cut + 1 :]
        else:
            long = name + b"\0"
            return _block(b"././@LongLink", b"", len(long), b"L") + padded(long) + _block(name[:100], b"", size, b"0")
    return _block(name, prefix, size, b"0")


def padded(data: bytes) -> bytes:
    """The bytes, filled up to whole blocks."""
    return data + bytes(-len(data) % BLOCK_BYTES)


def end() -> bytes:
    """The two zero blocks that end an archive."""
    return _ZEROS * 2


def _block(name: bytes, prefix: bytes, size: int, kind: bytes) -> bytes:
    def build(checksum: bytes) -> bytes:
        head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"0" * 11 + b"\0"
        tail = kind + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + prefix.ljust(155, b"\0")
        return (head + checksum + tail).ljust(BLOCK_BYTES, b"\0")

    return build(b"%06o\0 " % sum(build(b" " * 8)))


def _until_nul(raw: bytes) -> bytes:
    return raw.split(b"\0", 1)[0]
