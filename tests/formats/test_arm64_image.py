"""Flat images of arm64, plain and packed, and files that are none."""

from __future__ import annotations

import gzip
from struct import pack

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.arm64_image import FlatImage, is_arm64

STEXT = 0x10000
OURS, OTHER = "11" * 20, "22" * 20


def note(build_id):
    return pack("<III", 4, 20, 3) + b"GNU\0" + bytes.fromhex(build_id)


def flat():
    head = bytearray(STEXT)
    head[56:60] = b"ARM\x64"
    return bytes(head) + b"\xe9\x03\x1e\xaa" * 16 + note(OTHER) + note(OURS)


def zboot(raw):
    packed = gzip.compress(raw)
    return b"MZ\0\0zimg" + pack("<II", 64, len(packed)) + b"\0" * 8 + b"gzip".ljust(40, b"\0") + packed


@pytest.mark.parametrize("made", [flat, lambda: zboot(flat())], ids=["flat", "zboot"])
def test_code_lies_behind_stext(made):
    raw = made()
    assert is_arm64(raw)
    image = FlatImage(raw, "Image", build_id=OURS)
    assert image.link_base == STEXT
    assert image.text_at(image.link_base, 4) == b"\xe9\x03\x1e\xaa"
    assert image.text_at(len(flat()) - 2, 4) is None
    assert image.text_at(-4, 4) is None


def test_the_build_id_is_ours_if_it_is_one_of_them():
    assert FlatImage(flat(), "Image", build_id=OURS).build_id == OURS
    assert FlatImage(flat(), "Image", build_id="33" * 20).build_id == OTHER


@pytest.mark.parametrize(
    "raw",
    [b"", b"MZ", b"\x7fELF" + b"\0" * 60, b"MZ\0\0zimg", zboot(flat())[:100], b"MZ\0\0zimg" + b"\xff" * 60],
)
def test_what_is_no_image_gets_a_sentence(raw):
    with pytest.raises(Malformed):
        FlatImage(raw, "Image")
