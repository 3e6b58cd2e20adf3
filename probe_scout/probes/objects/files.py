"""The compiled objects in files: objects, executables with embedded ones, ar archives, Debian packages, folders."""

from __future__ import annotations

import os
import stat

from ...errors import Broken, Malformed, UsageError
from ...formats.elf import embedded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FILE_BYTES_MAX = 1 << 30
_UNPACKED_BYTES_MAX = 4 << 30
_FILES_MAX = 100_000


def objects(
    files: Sequence[str], skipped: list[tuple[str, str]], stdin: Callable[[], bytes] | None
) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every object; a path inside a file is written FILE:MEMBER or FILE@OFFSET."""
    for name in files:
        if name == "-":
            if stdin is None:
                raise UsageError("- stands for standard input, which is not open here")
            yield from _inside("-", stdin(), skipped)
            continue
        if os.path.isdir(name):
            count = 0
            for folder, folders, names in os.walk(name):
                folders.sort()
                for each in sorted(names):
                    count += 1
                    if count > _FILES_MAX:
                        raise UsageError(f"{name} holds more than {_FILES_MAX} files")
                    path = os.path.join(folder, each)
                    if _is_regular(path):
                        yield from _inside(path, _read(path), None)
            continue
        yield from _inside(name, _read(name), skipped)


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            state = os.fstat(handle.fileno())
            if not stat.S_ISREG(state.st_mode) and not stat.S_ISFIFO(state.st_mode):
                raise UsageError(f"{path} is no file")
            if state.st_size > FILE_BYTES_MAX:
                raise UsageError(f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB")
            return handle.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _inside(path: str, raw: bytes, skipped: list[tuple[str, str]] | None) -> Iterator[tuple[str, bytes]]:
    """The objects in one file; where there is none, `skipped` gets the reason (None: not asked for by name)."""
    count = 0
    try:
        if embedded.is_object(raw):
            count = 1
            yield path, raw
        elif embedded.is_archive(raw):
            for name, held in _members(raw, path):
                for found in embedded.find(held):
                    count += 1
                    where = f"{path}:{name}"
                    yield (where if len(found.raw) == len(held) else f"{where}@{found.offset}"), found.raw
        else:
            for found in embedded.find(raw):
                count += 1
                yield f"{path}@{found.offset}", found.raw
    except (Malformed, Broken) as error:
        if skipped is not None:
            skipped.append((path, str(error)))
        return
    if not count and skipped is not None:
        skipped.append(
            (path, "no BPF object is in it (a light skeleton holds none: lint the object that it was made of)")
        )


def _members(raw: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    """Members of an ar archive; of a Debian package the files of its data."""
    for name, held in embedded.members(raw, path):
        if name.startswith("data.tar"):
            yield from _packed(held, f"{path}:{name}")
        elif not name.startswith(("control.tar", "debian-binary")):
            yield name, held


def _packed(raw: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    import io
    import tarfile

    from ...sources import unpack

    packing = unpack.packing_of(raw[:8])
    data = unpack.unpacked(raw, packing, path, _UNPACKED_BYTES_MAX) if packing else raw
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                handle = archive.extractfile(member) if member.isreg() else None
                if handle is not None:
                    yield member.name.removeprefix("./"), handle.read()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise Broken(path, f"damaged tar data ({error})") from None
