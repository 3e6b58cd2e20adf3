"""Write small kernel packages from paths and bytes: deb(5), RPM with a newc cpio archive, Arch's packed tar."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile

Files = dict[str, bytes]


def tar(files: Files, prefix: str = "./", **options) -> bytes:
    """A tar with every file below `prefix`, and the folders' own members as dpkg writes them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as archive:
        folder = tarfile.TarInfo(prefix or "./")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, raw in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return out.getvalue()


def ar(members: list[tuple[str, bytes]]) -> bytes:
    out = b"!<arch>\n"
    for name, raw in members:
        out += f"{name:16}{'0':12}{'0':6}{'0':6}{'100644':8}{len(raw):<10}`\n".encode() + raw + b"\n" * (len(raw) & 1)
    return out


def deb(files: Files, packing: str = "xz") -> bytes:
    """A Debian package: debian-binary, control.tar, data.tar packed as said ("" for plain)."""
    data = tar(files)
    packed = {"xz": lambda: lzma.compress(data, preset=0), "gz": lambda: gzip.compress(data, 1), "": lambda: data}
    suffix = f".{packing}" if packing else ""
    control = ("control.tar.xz", lzma.compress(tar({})))
    return ar([("debian-binary", b"2.0\n"), control, (f"data.tar{suffix}", packed[packing]())])


def cpio(files: Files, prefix: str = "./") -> bytes:
    """cpio in the "newc" form, a folder first."""

    def member(name: str, raw: bytes, mode: int) -> bytes:
        fields = (1, mode, 0, 0, 1, 0, len(raw), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        head += bytes(-len(head) % 4)
        return head + raw + bytes(-len(raw) % 4)

    body = member(prefix + "boot", b"", 0o40755)
    body += b"".join(member(prefix + name, raw, 0o100644) for name, raw in files.items())
    return body + member("TRAILER!!!", b"", 0)


def rpm(files: Files, prefix: str = "./") -> bytes:
    """Lead, signature header (padded to eight bytes), header, packed cpio."""

    def header(entries: int, store: bytes) -> bytes:
        return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", entries, len(store)) + bytes(16 * entries) + store

    signature = header(2, b"sum")
    lead = b"\xed\xab\xee\xdb\x03\0" + bytes(90)
    signature += bytes(-len(signature) % 8)
    return lead + signature + header(3, b"name\0") + lzma.compress(cpio(files, prefix), preset=0)


def arch(files: Files) -> bytes:
    """A pacman package: a packed tar with .PKGINFO first."""
    return lzma.compress(tar({".PKGINFO": b"pkgname = linux\n", **files}, prefix=""), preset=0)
