"""Write small trees with the kernel's own paths: as a folder, and as a tar archive of any shape."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tarfile
from pathlib import Path

SMALL = {
    "boot/config": b"#\n# Linux/x86\n#\nCONFIG_X86_64=y\n",
    "proc/kallsyms": b"ffffffff81000000 T _stext\nffffffff81000010 T vfs_read\nffffffffc0201010 t xfs_read\t[xfs]\n",
    "proc/sys/kernel/osrelease": b"6.12.0-test\n",
    "sys/kernel/tracing/events/sched/sched_switch/format": b"name: sched_switch\nID: 316\n",
    "sys/kernel/tracing/events/sched/sched_switch/id": b"316\n",
}


def write_tree(root: Path, files: dict[str, bytes]) -> Path:
    """Writes the files below the folder and returns the folder."""
    for path, raw in files.items():
        at = root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(raw)
    return root


def member(name: str, raw: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """One member for `tar`, of any type."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(raw), link
    return info, raw


def tar(members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar archive of these members, as the standard library writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, raw in members:
            archive.addfile(info, io.BytesIO(raw))
    return out.getvalue()


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar archive of regular files."""
    return tar([member(path, raw) for path, raw in files.items()])


def pack(raw: bytes, packing: str) -> bytes:
    """The bytes as they are, or packed by xz or gzip."""
    return {"": bytes, "xz": lzma.compress, "gzip": gzip.compress}[packing](raw)


def manifest(files: dict[str, bytes], **changes: object) -> bytes:
    """A manifest.json for these files, with any key changed."""
    top: dict[str, object] = {
        "schema": "probe-scout/snapshot/1",
        "release": "6.12.0-test",
        "build_id": "ab12",
        "arch": "x86_64",
        "taken": "2026-01-02T03:04:05Z",
        "tool_version": "0.1.0",
        "addresses": "relative",
        "files": {p: {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()} for p, raw in files.items()},
        "unread": {},
        "asked": [],
    }
    return json.dumps({**top, **changes}).encode()
