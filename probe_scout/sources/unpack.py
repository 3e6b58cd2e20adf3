"""Unpack xz, gzip and zstd a piece at a time, so that a bomb is refused before it fills the memory.

Formats: the .xz file format (tukaani.org), RFC 1952 (gzip), RFC 8878 (zstd). zstd needs Python 3.14
or the package zstandard (zstd.py).
"""

from __future__ import annotations

from ..errors import Broken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    class Unpacker(Protocol):
        """One packed stream: lzma.LZMADecompressor and compression.zstd.ZstdDecompressor have this shape."""

        @property
        def eof(self) -> bool: ...
        @property
        def needs_input(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


PIECE_BYTES = 1 << 20
SLICE_BYTES = 256 << 10
STREAMS_MAX = 1000  # xz and gzip files may be streams one after the other; thousands of empty ones are an attack
_XZ_MEMORY_BYTES = 256 << 20  # the dictionary a header may ask for; xz -9 asks for 65 MiB
_MAGICS = ((b"\xfd7zXZ\0", "xz"), (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
SUFFIXES = ((".xz", "xz"), (".gz", "gzip"), (".zst", "zstd"))


def packing_of(head: bytes) -> str:
    """ "xz", "gzip", "zstd", or "" for bytes that begin like none of them."""
    return next((name for magic, name in _MAGICS if head.startswith(magic)), "")


def unpacked(raw: bytes, packing: str, path: str, limit_bytes: int) -> bytes:
    """All of a small packed file. Raises Broken, also for more than `limit_bytes`."""
    chunks = []
    total = 0
    for piece in pieces(slices(raw), packing, path):
        total += len(piece)
        if total > limit_bytes:
            raise Broken(path, f"unpacks to more than {limit_bytes >> 20} MiB")
        chunks.append(piece)
    return b"".join(chunks)


def pieces(packed: Iterable[bytes], packing: str, path: str) -> Iterator[bytes]:
    """The unpacked bytes, at most PIECE_BYTES at a time; bytes after the last stream are ignored.

    Raises Broken if the data is damaged, ends early, or needs a Python that has zstd.
    """
    start, errors = _opener(packing, path)
    magic = next(m for m, name in _MAGICS if name == packing)
    unpacker: Unpacker | None = None
    streams = 0
    data = b""
    for chunk in packed:
        data += chunk
        while True:
            if unpacker is None:
                if streams:
                    data = data.lstrip(b"\0")  # the .xz format pads between streams with zeros
                if len(data) < len(magic) and magic.startswith(data):
                    break
                if not data.startswith(magic):
                    if streams:
                        return
                    raise Broken(path, f"not {packing} data")
                streams += 1
                if streams > STREAMS_MAX:
                    raise Broken(path, f"more than {STREAMS_MAX} {packing} streams in one file")
                unpacker = start()
            try:
                piece = unpacker.decompress(data, PIECE_BYTES)
            except errors as exc:
                raise Broken(path, f"damaged {packing} data ({exc})") from None
            data = b""
            if piece:
                yield piece
            if unpacker.eof:
                data, unpacker = unpacker.unused_data, None
            elif unpacker.needs_input:
                break
    if unpacker is not None or not streams:
        raise Broken(path, f"cut off: the {packing} data ends early")


def slices(raw: bytes) -> Iterator[bytes]:
    """The packed bytes in small parts: what a stream leaves over is copied, and that copy stays small."""
    for at in range(0, len(raw), SLICE_BYTES):
        yield raw[at : at + SLICE_BYTES]


def _opener(packing: str, path: str) -> tuple[Callable[[], Unpacker], tuple[type[Exception], ...]]:
    if packing == "xz":
        import lzma

        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY_BYTES), (lzma.LZMAError, EOFError)
    if packing == "gzip":
        import zlib

        return _Gunzip, (zlib.error, EOFError)
    from . import zstd

    try:
        return zstd.opener()
    except ImportError:
        raise Broken(path, f"packed with zstd, which {zstd.CURE}", "unpack it with zstd -d") from None


class _Gunzip:
    """zlib's decompressor in the shape of the other two."""

    __slots__ = ("_inner", "_is_full")

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(wbits=31)
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        # A piece that came out full may have more behind it although all input is taken.
        return not self._is_full and not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._is_full = len(piece) == max_length
        return piece
