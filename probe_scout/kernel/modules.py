"""Modules: which are loaded, where their files are, what those define, their build-ids."""

from __future__ import annotations

from ..errors import ProbeScoutError, SourceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .identity import Identity

FOLDERS = ("usr/lib/modules", "lib/modules")


def loaded(k: Identity) -> frozenset[str]:
    """Names in proc/modules; empty where it cannot be read."""
    from ..formats.text import modules

    try:
        return frozenset(modules.table(k.read("proc/modules")))
    except ProbeScoutError:
        return frozenset()


def paths(k: Identity) -> dict[str, str] | None:
    """Module to its path in modules.dep of this release; None if that file is unread."""
    from ..formats.text import modules_dep

    release = k.release()
    for folder in FOLDERS:
        try:
            raw = k.read(f"{folder}/{release}/modules.dep")
            heads = [line.partition(b":")[0].decode("utf-8", "replace") for line in raw.split(b"\n") if b":" in line]
            return {modules_dep.module_name(path): path for path in heads}
        except ProbeScoutError:
            continue
    return None


def file(k: Identity, path: str) -> bytes | None:
    """The bytes of a module's file, packed as they are; None where it cannot be read."""
    for folder in FOLDERS:
        try:
            return k.source.read(f"{folder}/{k.release()}/{path}")
        except ProbeScoutError:
            continue
    return None


def files(k: Identity, only: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of the files of the loaded modules, or of one of them."""
    there = loaded(k)
    for module, path in (paths(k) or {}).items():
        if module in there and only in (None, module):
            raw = file(k, path)
            if raw is not None:
                yield path, raw


def functions(k: Identity, module: str) -> frozenset[str] | None:
    """Functions that the file of a module defines; None if there is no file."""
    from ..formats.elf import kernel_image

    path = (paths(k) or {}).get(module)
    raw = file(k, path) if path is not None else None
    if path is None or raw is None:
        return None
    try:
        return frozenset(kernel_image.module_places(kernel_image.unpack(raw, path), path))
    except ProbeScoutError:
        return None


def build_id(k: Identity, module: str) -> str:
    """The build-id of a loaded module in hexadecimal; "" if it is not told."""
    from ..formats.elf import notes

    try:
        return notes.build_id(k.read(f"sys/module/{module}/notes/.note.gnu.build-id")) or ""
    except SourceError:
        return ""
