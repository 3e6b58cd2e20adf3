"""Read modules.dep and modules.builtin of lib/modules/<release>: where modules are, what they need.

modules.dep is written by depmod: `kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz …`, paths
relative to the folder, dependencies in the order of unloading. modules.builtin is written by the
kernel's build (scripts/modules-check and Makefile.modfinal's neighbours): one such path a line, for
what a configuration built into vmlinux. File names may have `-` where the module's name has `_`.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .lines import malformed_line, split, text, whole

PATH_DEP = "lib/modules/*/modules.dep"
PATH_BUILTIN = "lib/modules/*/modules.builtin"


class ModuleFile(NamedTuple):
    """A module's file and the files it needs, relative to lib/modules/<release>."""

    path: str
    needs: tuple[str, ...]


def module_name(path: str) -> str:
    """The name the kernel gives the module of this file: `kernel/fs/ext4/ext4.ko.xz` is `ext4`."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def find(raw: bytes, name: str, path: str = PATH_DEP) -> ModuleFile | None:
    """The file of the module of this name (`-` and `_` are the same), None if there is none.

    Raises Malformed if modules.dep is cut off.
    """
    same = whole(raw, path).replace(b"-", b"_")  # as long as raw, so offsets hold in both
    needle = name.replace("-", "_").encode() + b".ko"
    at = same.find(needle)
    while at >= 0:
        begin, end = raw.rfind(b"\n", 0, at) + 1, raw.index(b"\n", at)
        if at < raw.find(b":", begin, end) and (at == begin or raw[at - 1] == ord("/")):
            file = _dep_line(raw[begin:end], path, begin)
            if file is not None and module_name(file.path).encode() + b".ko" == needle:
                return file
        at = same.find(needle, at + 1)
    return None


def table(raw: bytes, path: str = PATH_DEP) -> dict[str, ModuleFile]:
    """Module name to its file, in file order; of several files of one name, the first.

    Raises Malformed at the first line without `path.ko…:`.
    """
    lines = split(raw, path)
    found: dict[str, ModuleFile] = {}
    at = 0
    for row, line in enumerate(lines):
        file = _dep_line(line, path, at)
        if file is None:
            raise malformed_line(path, lines, row, "MODULE.ko: its dependencies")
        found.setdefault(module_name(file.path), file)
        at += len(line) + 1
    return found


def find_builtin(raw: bytes, name: str, path: str = PATH_BUILTIN) -> bool:
    """Whether a module of this name (`-` and `_` are the same) is built in. Raises Malformed if cut off."""
    same = b"\n" + whole(raw, path).replace(b"-", b"_")
    line_end = name.replace("-", "_").encode() + b".ko\n"
    return b"/" + line_end in same or b"\n" + line_end in same


def table_builtin(raw: bytes, path: str = PATH_BUILTIN) -> frozenset[str]:
    """The names of all built-in modules. Raises Malformed at the first line that is no module's path."""
    lines = split(raw, path)
    at = 0
    found = set()
    for row, line in enumerate(lines):
        if not line.endswith(b".ko") or line.endswith(b"/.ko") or line == b".ko":
            raise malformed_line(path, lines, row, "a path that ends in .ko")
        found.add(module_name(text(line, path, at)))
        at += len(line) + 1
    return frozenset(found)


def _dep_line(line: bytes, path: str, offset_bytes: int) -> ModuleFile | None:
    file, colon, needs = text(line, path, offset_bytes).partition(":")
    name, dot_ko, _ = file.rpartition("/")[2].partition(".ko")
    if not colon or not name or not dot_ko:
        return None
    return ModuleFile(file, tuple(needs.split()))
