"""Snapshots in other stores (s3://, gs://, memory://, ...), by fsspec: the archive is read into memory as any other."""

from __future__ import annotations

from ..errors import Broken, Denied, NotThere, SourceError, UsageError
from .reading import printable
from .tar import TOTAL_BYTES_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_PIECE_BYTES = 1 << 20


def is_address(root: str) -> bool:
    """Whether a root names a store (s3://bucket/name) and no path of this machine."""
    scheme, mark, _ = root.partition("://")
    return bool(mark) and scheme.replace("+", "").isalnum()


def pieces(address: str) -> Iterator[bytes]:
    """The bytes behind an address, a piece at a time. Raises UsageError, NotThere, Denied or Broken."""
    fsspec = _fsspec()
    total = 0
    try:
        with fsspec.open(address, "rb") as handle:
            while piece := handle.read(_PIECE_BYTES):
                total += len(piece)
                if total > TOTAL_BYTES_MAX:
                    raise Broken(printable(address), f"larger than {TOTAL_BYTES_MAX >> 20} MiB")
                yield piece
    except SourceError:
        raise
    except Exception as error:  # each store has exceptions of its own package
        raise _refused(address, error) from None


def matches(address: str) -> list[str]:
    """The addresses that fit a pattern, sorted. Raises UsageError, NotThere, Denied or Broken."""
    fsspec = _fsspec()
    try:
        store, path = fsspec.core.url_to_fs(address)
        return sorted(store.unstrip_protocol(one) for one in store.glob(path))
    except Exception as error:
        raise _refused(address, error) from None


def _fsspec() -> Any:
    try:
        import fsspec
        import fsspec.core
    except ImportError:
        raise UsageError("addresses of stores need the package fsspec: pip install 'probe-scout[remote]'") from None
    return fsspec


def _refused(address: str, error: Exception) -> SourceError | UsageError:
    where, says = printable(address), printable(str(error).partition("\n")[0]) or type(error).__name__
    if isinstance(error, FileNotFoundError):
        return NotThere(where, "no such object in its store")
    if isinstance(error, PermissionError):
        return Denied(where, says, "give the store's own credentials, as its package for fsspec documents")
    if isinstance(error, ImportError) or "protocol not known" in str(error).lower():
        return UsageError(f"{where}: fsspec cannot open this kind of store: {says}")
    return Broken(where, says)
