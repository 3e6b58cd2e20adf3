"""The Go version of a program: the layout since 1.18 and the one before, and damaged ones."""

from __future__ import annotations

from struct import pack

import pytest

from probe_scout.formats.elf import go_buildinfo
from probe_scout.formats.elf.user_image import UserImage
from tests.builders import programs

_MAGIC = b"\xff Go buildinf:"


def elf(content: bytes) -> UserImage:
    """An ELF file without sections whose one segment maps the file at 0x1000."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    total = 64 + 56 + 8 + len(content)
    return UserImage(head + pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0, total, total, 8) + bytes(8) + content, "f")


def test_versions_of_both_layouts():
    inline = _MAGIC + bytes((8, 2)) + bytes(16) + bytes((8,)) + b"go1.24.4" + bytes((0,))
    assert go_buildinfo.version(elf(inline)) == "go1.24.4"
    at = 0x1000 + 128
    old = _MAGIC + bytes((8, 0)) + pack("<QQ", at + 32, 0) + pack("<QQ", at + 48, 6) + b"go1.16"
    assert go_buildinfo.version(elf(old)) == "go1.16"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        _MAGIC,
        _MAGIC + b"\x08\x02" + bytes(16) + b"\xff\xff\xff\xff\xff",
        _MAGIC + b"\x08\x00" + pack("<Q", 1 << 63),
        _MAGIC + b"\x08\x02" + bytes(16) + b"\x7fgo",
        _MAGIC + b"\x03\x00" + bytes(16),
        _MAGIC + b"\x08\x02" + bytes(16) + b"\x04g\x00\x01\x02",
    ],
)
def test_damaged_ones_have_no_version(content):
    assert go_buildinfo.version(elf(content)) in ("", "go")


def test_numbers():
    assert go_buildinfo.number("go1.19.8") == (1, 19)
    assert go_buildinfo.number("devel go1.27-abc Mon") == (1, 27)
    assert go_buildinfo.number("devel +abc") is None


def test_a_stripped_program_still_has_it(tmp_path):
    source = "package main\nfunc main() {}\n"
    path = programs.go_program(tmp_path, "-ldflags=-s -w", source=source)
    wanted = programs.run(programs.tool("go"), "env", "GOVERSION").strip()
    assert go_buildinfo.version(UserImage(path.read_bytes(), str(path))) == wanted
