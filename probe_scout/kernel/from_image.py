"""A kernel that was never booted, as a source of the files that it would show: from its package or its image.

A package holds the image, the configuration and the modules; an image alone, where it was built with CONFIG_IKCONFIG,
its configuration as well. What only boot decides is assumed and named (formats/image/tree.py), or not recorded.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ..errors import Broken, Malformed
from ..sources import package
from ..sources.memory import MemorySource
from ..sources.source import Description

if TYPE_CHECKING:
    from ..sources.source import Source

KIND = "image"
_FILE_BYTES_MAX = 2 << 30
_HEAD_BYTES = 1024
_BZIMAGE_AT, _BZIMAGE = 0x202, b"HdrS"
_ARCH_SUFFIXES = (".pkg.tar.zst", ".pkg.tar.xz", ".pkg.tar.gz")


def open_image(root: str) -> tuple[Source, bytes] | None:
    """The source and the uncompressed image behind a path; None where it is neither an image nor a package.

    Raises Broken for a damaged one, with one sentence.
    """
    try:
        if not root or not stat.S_ISREG(os.stat(root).st_mode):
            return None
        with open(root, "rb") as handle:
            head = handle.read(_HEAD_BYTES)
            is_package = package.is_package(head) or root.endswith(_ARCH_SUFFIXES)
            if not is_package and not _is_image(head):
                return None
            if os.fstat(handle.fileno()).st_size > _FILE_BYTES_MAX:
                raise Broken(root, f"larger than {_FILE_BYTES_MAX >> 30} GiB")
            raw = head + handle.read()
    except (OSError, ValueError):
        return None  # sources.open_source says why
    config = None
    if is_package:
        contents = package.read(raw, root)
        assert contents.image is not None
        raw = contents.image[1]
        config = contents.config[1] if contents.config else None
    return _opened(raw, root, config)


def _is_image(head: bytes) -> bool:
    if head[_BZIMAGE_AT : _BZIMAGE_AT + 4] == _BZIMAGE:
        return True
    return head.startswith(b"\x7fELF\x02\x01") and head[16:18] in (b"\x02\0", b"\x03\0")


def _opened(raw: bytes, root: str, config: bytes | None) -> tuple[Source, bytes]:
    from ..formats.image import tree

    try:
        found = tree.Tree(raw, root, config)
        files = found.files()
    except Malformed as error:
        raise Broken(root, f"no kernel image that can be read: {error}") from None
    release = found.release()
    notes = ("the kernel was not booted; assumed: " + "; ".join(tree.ASSUMED),)
    description = Description(KIND, root, "", release, "", notes, basis=KIND, assumed=tree.ASSUMED)
    return MemorySource(files, description, tree.not_known), found.elf
