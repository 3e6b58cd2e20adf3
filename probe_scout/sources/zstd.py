"""zstd (RFC 8878) by what there is: Python 3.14's compression.zstd, else the package zstandard, else ImportError.

For streams that are read piece by piece; whole images are unpacked in formats/elf/kernel_image.py, without sources.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WINDOW_BYTES_MAX = 128 << 20  # zstd --ultra -22 uses it; the kernel's build too
# 4 bytes of a stream may stand for a block of 128 KiB, so this much is 16 MiB at most.
_FEED_BYTES = 512
CURE = "needs Python 3.14 or the zstandard package"


def opener() -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
    """What makes an unpacker of one stream (unpack.Unpacker), and its errors. Raises ImportError."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        import zstandard  # type: ignore[import-not-found, unused-ignore]

        return lambda: _Unzstd(zstandard), (zstandard.ZstdError, EOFError)
    return zstd.ZstdDecompressor, (zstd.ZstdError, EOFError)


class _Unzstd:
    """zstandard's decompressor in the shape of compression.zstd's: it knows no limit, so it is fed in small parts."""

    __slots__ = ("_at", "_inner", "_left", "unused_data")

    def __init__(self, zstandard: Any) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX).decompressobj()
        self._left, self._at = b"", 0
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def needs_input(self) -> bool:
        return self._at >= len(self._left)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """About `max_length` bytes: more by what one small part unpacks to."""
        if data:
            self._left, self._at = self._left[self._at :] + data, 0
        found, total = [], 0
        while self._at < len(self._left) and not self._inner.eof and (max_length < 0 or total < max_length):
            piece = self._inner.decompress(self._left[self._at : self._at + _FEED_BYTES])
            self._at += _FEED_BYTES
            found.append(piece)
            total += len(piece)
        if self._inner.eof:
            self.unused_data = self._inner.unused_data + self._left[self._at :]
        return b"".join(found)
