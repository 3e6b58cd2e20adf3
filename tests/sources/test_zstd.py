"""zstd through the package: the same pieces, ends and refusals as the other packings."""

from __future__ import annotations

import tracemalloc

import pytest

from probe_scout.errors import Broken
from probe_scout.sources import package, unpack, zstd
from tests.builders import package_writer as write
from tests.builders.zstd_readers import packed, without_readers

TEXT = bytes(range(256)) * 9000


def test_pieces_streams_and_ends():
    raw = packed(TEXT)
    assert unpack.unpacked(raw, "zstd", "x", 1 << 30) == TEXT
    assert unpack.unpacked(raw + packed(b"more") + b"\0\0\0", "zstd", "x", 1 << 30) == TEXT + b"more"
    assert b"".join(unpack.pieces((raw[at : at + 7] for at in range(0, len(raw), 7)), "zstd", "x")) == TEXT
    with pytest.raises(Broken, match="cut off"):
        unpack.unpacked(raw[:-5], "zstd", "x", 1 << 30)
    with pytest.raises(Broken, match="damaged zstd data"):
        unpack.unpacked(raw[:4] + b"\xff" * 90, "zstd", "x", 1 << 30)


def test_what_lies_behind_a_stream_is_left_over():
    start, _ = zstd.opener()
    unpacker = start()
    assert unpacker.decompress(packed(b"one") + b"behind" * 400) == b"one"
    assert unpacker.eof
    assert unpacker.unused_data == b"behind" * 400


def test_a_bomb_is_unpacked_a_piece_at_a_time():
    raw = packed(bytes(400 << 20))
    assert len(raw) < 100_000
    tracemalloc.start()
    with pytest.raises(Broken, match="more than 8 MiB"):
        unpack.unpacked(raw, "zstd", "x", 8 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def test_packages_packed_with_zstd():
    files = {"boot/vmlinuz-6.12.0": b"image" * 999, "boot/config-6.12.0": b"CONFIG_BPF=y\n"}
    deb = write.ar([("debian-binary", b"2.0\n"), ("data.tar.zst", packed(write.tar(files)))])
    found = package.read(deb, "ubuntu.deb")
    assert found.image == ("boot/vmlinuz-6.12.0", b"image" * 999)


def test_without_a_reader_one_sentence_says_what_helps(monkeypatch):
    without_readers(monkeypatch)
    with pytest.raises(Broken, match=r"needs Python 3\.14 or the zstandard package"):
        unpack.unpacked(b"\x28\xb5\x2f\xfd", "zstd", "x", 100)
