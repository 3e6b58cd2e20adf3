"""zstd for tests: packing by what this Python has, and a Python that has nothing."""

from __future__ import annotations

import sys

import pytest


def packed(raw: bytes) -> bytes:
    """The bytes as one zstd stream; skips the test where nothing here packs zstd."""
    try:
        from compression import zstd

        return zstd.compress(raw)
    except ImportError:
        zstandard = pytest.importorskip("zstandard")
        return zstandard.ZstdCompressor().compress(raw)


def without_readers(monkeypatch) -> None:
    """From here on neither Python nor a package unpacks zstd."""
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "zstandard", None)
