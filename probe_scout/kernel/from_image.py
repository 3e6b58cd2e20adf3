"""A kernel that was never booted, as a source of the files that it would show: from its package or its image.

A package holds the image, the configuration and the modules, or a part of them: then a folder with all packages of the
kernel is named. An image alone holds its configuration where it was built with CONFIG_IKCONFIG; its modules lie beside
it. What only boot decides is assumed and named (formats/image/tree.py), or not recorded.
"""

from __future__ import annotations

import os
import stat

from ..errors import Broken, Malformed, UsageError
from ..named_tuple import NamedTuple
from ..sources.reading import printable
from ..sources.source import Description

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..sources.module_files import ModuleFiles
    from ..sources.source import Source
    from .loaded_modules import Chosen, Wanted

KIND = "image"
_FILE_BYTES_MAX = 2 << 30
_HEAD_BYTES = 1024
_BZIMAGE_AT, _BZIMAGE = 0x202, b"HdrS"
_PACKAGES = (b"!<arch>\n", b"\xed\xab\xee\xdb")  # deb(5), RPM
_ARM64, _GZIP = b"ARM\x64", b"\x1f\x8b"
# Packed tars: Arch, Alpine, Void, Slackware. Only their names tell them from other archives.
_SNAPSHOT_TOO = ".txz"  # Slackware's packages, and tar files of any kind
_TAR_SUFFIXES = (".pkg.tar.zst", ".pkg.tar.xz", ".pkg.tar.gz", ".apk", ".xbps", ".txz")
_PACKAGE_SUFFIXES = (".deb", ".rpm", *_TAR_SUFFIXES)
# A folder that has one of these is a snapshot or the root of a system, and is asked as such.
_ROOTS = ("proc", "manifest.json", "etc", "bin", "usr/bin", "sys")
_NO_IMAGE = "holds no kernel image (boot/vmlinuz-RELEASE or lib/modules/RELEASE/vmlinuz)"


class _Found(NamedTuple):
    """The bytes of an image or a package's, before anything is read of them."""

    image: bytes
    config: bytes | None
    packages: tuple[str, ...]
    place: str


def open_image(root: str, modules: str = "") -> tuple[Source, bytes] | None:
    """The source and the uncompressed image behind a path; None where it is neither an image nor a package.

    `modules` as for loaded_modules.wanted. Raises Broken for a damaged one, with one sentence, UsageError for modules
    that are not there.
    """
    found = _found(root)
    return None if found is None else _opened(found, root, modules)


def is_image(root: str) -> bool:
    """Whether a path is a kernel that was not booted, by its first bytes or names; what is broken is one too."""
    try:
        if os.path.isdir(root):
            return bool(_in_place(root))
        with open(root, "rb") as handle:
            head = handle.read(_HEAD_BYTES)
        return _is_package(head, root) or _is_image(head)
    except (OSError, ValueError):
        return False


def _found(root: str) -> _Found | None:
    try:
        mode = os.stat(root).st_mode if root else 0
        if stat.S_ISDIR(mode):
            return _in_folder(root)
        if not stat.S_ISREG(mode):
            return None
        with open(root, "rb") as handle:
            head = handle.read(_HEAD_BYTES)
            if not _is_package(head, root):
                return _Found(_rest(handle, head, root), None, (), root) if _is_image(head) else None
            raw = _rest(handle, head, root)
    except (OSError, ValueError):
        return None  # sources.open_source says why
    from ..sources import package

    contents = package.read(raw, root)
    if contents.image is None:
        if root.endswith(_SNAPSHOT_TOO):
            return None
        raise Broken(root, _NO_IMAGE)
    return _Found(contents.image[1], contents.config[1] if contents.config else None, (root,), root)


def _rest(handle: object, head: bytes, root: str) -> bytes:
    if os.fstat(handle.fileno()).st_size > _FILE_BYTES_MAX:  # type: ignore[attr-defined]
        raise Broken(root, f"larger than {_FILE_BYTES_MAX >> 30} GiB")
    return head + handle.read()  # type: ignore[attr-defined, no-any-return]


def _is_package(head: bytes, path: str) -> bool:
    return head.startswith(_PACKAGES) or path.endswith(_TAR_SUFFIXES)


def _is_image(head: bytes) -> bool:
    if head[_BZIMAGE_AT : _BZIMAGE_AT + 4] == _BZIMAGE or head.startswith(b"MZ") or head[56:60] == _ARM64:
        return True
    if head.startswith(_GZIP):  # also a snapshot: a tar, whose first member's name is text
        return _gzip_head(head)[56:60] == _ARM64
    return head.startswith(b"\x7fELF\x02\x01") and head[16:18] in (b"\x02\0", b"\x03\0")


def _gzip_head(head: bytes) -> bytes:
    """The first bytes that a gzip file unpacks to."""
    import zlib

    try:
        return zlib.decompressobj(31).decompress(head, 64)
    except zlib.error:
        return b""


def _in_place(root: str) -> list[str]:
    """Packages, or else images, of a folder; none of a system's root or a snapshot."""
    if any(os.path.lexists(os.path.join(root, name)) for name in _ROOTS):
        return []
    packages = [os.path.join(root, name) for name in _names(root, "") if name.endswith(_PACKAGE_SUFFIXES)]
    return packages or _images_below(root)


def _in_folder(root: str) -> _Found | None:
    """The one kernel of a folder: all its packages, or what they unpack to."""
    images = _in_place(root)
    if images and images[0].endswith(_PACKAGE_SUFFIXES):
        return _of_packages(tuple(images), root)
    if len({os.path.realpath(path) for path in images}) > 1:
        names = ", ".join(printable(os.path.relpath(path, root)) for path in images[:4])
        raise Broken(root, f"holds several kernels ({names}); name the image of one")
    return _found(images[0])._replace(config=_config_beside(images[0])) if images else None  # type: ignore[union-attr]


def _images_below(root: str) -> list[str]:
    found = []
    for below in (
        "boot",
        "",
        *(f"{top}/{each}" for top in ("lib/modules", "usr/lib/modules") for each in _names(root, top)),
    ):
        for name in _names(root, below):
            path = os.path.join(root, below, name)
            if name.startswith(("vmlinuz", "vmlinux", "bzImage")) and os.path.isfile(path):
                found.append(path)
    return found


def _names(root: str, below: str) -> list[str]:
    try:
        return sorted(os.listdir(os.path.join(root, below)))
    except OSError:
        return []


def _config_beside(image: str) -> bytes | None:
    """The configuration that a package unpacks beside its image."""
    folder, name = os.path.split(os.path.realpath(image))
    for path in (name.replace("vmlinuz", "config", 1), "config"):
        try:
            with open(os.path.join(folder, path), "rb") as handle:
                raw = handle.read(1 << 22)
        except OSError:
            continue
        if b"CONFIG_" in raw and path != name:
            return raw
    return None


def _of_packages(packages: tuple[str, ...], root: str) -> _Found:
    """The image out of one package and the configuration out of the same or another."""
    from ..sources import package

    image: bytes | None = None
    config: bytes | None = None
    place = root
    for path in packages:
        with open(path, "rb") as handle:
            head = handle.read(_HEAD_BYTES)
            contents = package.read(_rest(handle, head, path), path)
        if contents.image is not None:
            if image is not None:
                raise Broken(root, f"holds several kernels ({printable(place)}, {printable(path)}); name one package")
            image, place = contents.image[1], path
        config = contents.config[1] if contents.config and config is None else config
    if image is None:
        raise Broken(root, f"none of its {len(packages)} packages {_NO_IMAGE}")
    return _Found(image, config, packages, place)


def _opened(found: _Found, root: str, modules: str) -> tuple[Source, bytes]:
    from ..formats.image import tree
    from ..sources.memory import MemorySource
    from . import loaded_modules

    asked = loaded_modules.wanted(modules)
    config = found.config
    if config is None and not found.packages:
        config = _config_beside(found.place)
    try:
        made = tree.Tree(found.image, root, config)
        files = _files_of(found, made.release())
        chosen = _chosen(asked, files, root) if asked else loaded_modules.Chosen((), ())
        if chosen.files:
            made.load(chosen.files)
        shown = made.files() | _module_folder(files, chosen, made.release(), bool(asked))
    except Malformed as error:
        raise Broken(root, f"no kernel image that can be read: {error}") from None
    assumed = made.assumed()
    if chosen.missing:
        assumed += (f"not loaded, as this kernel has no such module: {', '.join(chosen.missing)}",)
    notes = ("the kernel was not booted; assumed: " + "; ".join(assumed),)
    description = Description(KIND, root, "", made.release(), "", notes, basis=KIND, assumed=assumed)
    has_data = made.facts.has_data_symbols()
    return MemorySource(shown, description, lambda path: tree.not_known(path, has_data)), made.elf


def _files_of(found: _Found, release: str) -> ModuleFiles | None:
    from ..sources import module_files

    if found.packages:
        return module_files.InPackages(found.packages, release)
    return module_files.beside(found.place, release)


def _chosen(asked: Wanted, files: ModuleFiles | None, root: str) -> Chosen:
    from . import loaded_modules

    if files is None:
        raise UsageError(f"--modules: no folder lib/modules/RELEASE of this kernel beside {root}")
    if not files.paths():
        raise UsageError(
            f"--modules: {root} holds no modules; put all packages of the kernel into one folder and name it"
        )
    return loaded_modules.choose(asked, files, root)


def _module_folder(
    files: ModuleFiles | None, chosen: Chosen, release: str, is_read: bool
) -> dict[str, Callable[[], bytes]]:
    """lib/modules/RELEASE: the files of the modules that are loaded, and of all where they lie in a folder.

    Packages are read through for their lists only where modules were asked for: that costs seconds.
    """
    from ..sources import module_files

    top = f"lib/modules/{release}"
    shown: dict[str, Callable[[], bytes]] = {}
    if isinstance(files, module_files.InFolder):
        folder = files
        shown |= {f"{top}/{path}": lambda path=path: folder.bytes_of(path) for path in folder.paths()}  # type: ignore[misc]
    elif not is_read:
        return shown
    if files is not None:
        paths, built_in = files.paths(), files.text("modules.builtin")
        dep = files.text("modules.dep") or "".join(f"{path}:\n" for path in paths).encode()
        shown[f"{top}/modules.dep"] = lambda: dep
        if built_in is not None:
            shown[f"{top}/modules.builtin"] = lambda: built_in
    shown |= {f"{top}/{path}": lambda raw=raw: raw for path, raw in chosen.files}  # type: ignore[misc]
    return shown
