"""Where bytes come from: this machine, a snapshot (folder or archive), or a mounted root."""

from __future__ import annotations

import os

from ..errors import NotThere
from .source import Description as Description
from .source import Source as Source

__all__ = ["Description", "Source", "open_source"]


def open_source(root: str = "", keep: bool = False) -> Source:
    """The source at a path: "" or "/" is this machine, a file is a snapshot archive, a folder either a snapshot
    (manifest.json, sos_commands, or proc/kallsyms without etc and bin) or the mounted root of another system, an
    address such as s3://bucket/name an archive in another store (remote.py).

    `keep`: what an archive unpacks to, and which files were verified, may be kept in the cache folder. Raises NotThere,
    Denied or Broken, each with one sentence.
    """
    from .reading import printable, refusal

    if "://" in root:
        from . import remote

        if remote.is_address(root):
            from .archive import ArchiveSource

            return ArchiveSource(root)
    try:
        # Compared by device and inode: /proc/PID/root reads as a link to "/" and is another root all the same.
        if not root or os.path.samestat(os.stat(root), os.stat("/")):
            from .live import LiveSource

            return LiveSource()
        is_folder = os.path.isdir(root)
        if is_folder:
            os.listdir(root)
    except OSError as exc:
        raise refusal(printable(root), exc) from None
    except ValueError:
        raise NotThere(printable(root), "not a name a file can have") from None
    if not is_folder:
        from .archive import ArchiveSource

        return ArchiveSource(root, keep)
    from .folder import FolderSource

    return FolderSource(root, "snapshot" if _is_snapshot(root) else "root", keep)


def _is_snapshot(folder: str) -> bool:
    def has(name: str) -> bool:
        return os.path.lexists(os.path.join(folder, name))

    if any(has("manifest.json" + suffix) for suffix in ("", ".xz", ".gz", ".zst")):
        return True
    if has("sos_commands"):  # an unpacked sosreport: what it lacks was not taken, and may well be there
        return True
    return any(has("proc/kallsyms" + suffix) for suffix in ("", ".xz", ".gz", ".zst")) and not (
        has("etc") or has("bin")
    )
