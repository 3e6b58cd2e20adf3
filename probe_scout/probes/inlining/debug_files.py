"""Find and open the file with the debug information of a kernel build, or of one of its modules.

The usual places, in this order, below each folder of debug files (/usr/lib/debug, also below a mounted root;
PROBE_SCOUT_DEBUG names other folders, or is "off"): .build-id/xx/rest.debug; boot/vmlinux-RELEASE (Debian);
lib/modules/RELEASE/vmlinux (Fedora, SUSE); then /lib/modules/RELEASE/build/vmlinux, and files fetched before. A server
is asked only if DEBUGINFOD_URLS names one and the caller wants it (debuginfod(8): GET /buildid/ID/debuginfo).
"""

from __future__ import annotations

import os
from stat import S_ISREG

from ...arch import ELF_MACHINES, elf_name
from ...errors import Malformed, ProbeScoutError, UsageError
from ...model import facts
from ...model.facts import Unread
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...formats.dwarf.units import DebugFile, Unit

FOLDER = "/usr/lib/debug"
SUFFIXES = ("", ".debug")
FETCHED_BYTES_MAX = 4 << 30
_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 90.0  # as debuginfod_find_debuginfo(3): at least 100 kB in that time, else DEBUGINFOD_TIMEOUT
_LEAST_BYTES = 100_000
_FORMAT = "debug file 1"
_UNITS_LOOKED_AT = 8
_MODULES = ("lib/modules", "usr/lib/modules")
CURE = "install the debug package of this kernel, name a file with --debug, or set DEBUGINFOD_URLS"


class Build(NamedTuple):
    """What is looked for. `module` is None for the kernel itself; "" stands for what is not known."""

    build_id: str
    release: str
    module: str | None = None
    root: str = ""  # the mounted root that was asked about, "" for this machine and for archives
    arch: str = ""  # as uname(2) has it


class Found(NamedTuple):
    """A file that may hold it. `how`: named, build-id, release, fetched."""

    path: str
    how: str


class Opened:
    """A file with debug information, read when `file` is asked for. `state`: as `file_state`.

    `matches`: its build-id is the one that was looked for; None if either is not known.
    """

    __slots__ = ("_file", "build_id", "how", "matches", "path", "state")

    def __init__(self, path: str, how: str, build_id: str, wanted: str, state: str, file: DebugFile | None) -> None:
        self.path, self.how, self.build_id, self.state, self._file = path, how, build_id, state, file
        self.matches = build_id == wanted if build_id and wanted else None

    @property
    def file(self) -> DebugFile:
        """Its debug information. Raises UsageError or Malformed."""
        if self._file is None:
            self._file = read_file(self.path)
        return self._file


def folders(root: str) -> tuple[str, ...]:
    """The folders of debug files, those of a mounted root first; empty where they are switched off."""
    chosen = os.environ.get("PROBE_SCOUT_DEBUG", "")
    if chosen == "off":
        return ()
    if chosen:
        return tuple(folder for folder in chosen.split(":") if os.path.isabs(folder))
    below = os.path.join(root, FOLDER[1:]) if root and os.path.isdir(root) else ""
    return tuple(folder for folder in (below, FOLDER) if folder)


def usual(build: Build) -> Iterator[Found]:
    """Files in the usual places that exist, likeliest first. Costs a few calls of stat(2)."""
    seen: set[str] = set()
    for path, how in _candidates(build):
        if path not in seen and os.path.isfile(path):
            seen.add(path)
            yield Found(path, how)


def _candidates(build: Build) -> Iterator[tuple[str, str]]:
    own = folders(build.root)
    number = build.build_id if _is_build_id(build.build_id) else ""
    for folder in own:
        if number:
            yield os.path.join(folder, ".build-id", number[:2], number[2:] + ".debug"), "build-id"
    if number:
        kept = fetched_path(number)
        if kept:
            yield kept, "fetched"
    release = build.release
    if not release or "/" in release or release.startswith("."):
        return
    if build.module is not None:
        for folder in own:
            yield from ((path, "release") for path in _module_files(folder, build))
        return
    for folder in own:
        for suffix in SUFFIXES:
            yield os.path.join(folder, "boot", f"vmlinux-{release}{suffix}"), "release"
            for modules in _MODULES:
                yield os.path.join(folder, modules, release, f"vmlinux{suffix}"), "release"
    if own and "PROBE_SCOUT_DEBUG" not in os.environ:
        for top in dict.fromkeys((build.root or "/", "/")):
            yield os.path.join(top, "lib/modules", release, "build/vmlinux"), "release"
            yield os.path.join(top, "boot", f"vmlinux-{release}"), "release"


def _module_files(folder: str, build: Build) -> Iterator[str]:
    """Files of a module below DEBUG/lib/modules/RELEASE, whose names write "-" and "_" as they like."""
    wanted = {(build.module or "").replace("-", "_") + end for end in (".ko", ".ko.debug", ".debug")}
    for modules in _MODULES:
        for top, _, names in os.walk(os.path.join(folder, modules, build.release)):
            for name in names:
                if name.replace("-", "_") in wanted:
                    yield os.path.join(top, name)


def _is_build_id(text: str) -> bool:
    return 8 <= len(text) <= 128 and len(text) % 2 == 0 and set(text) <= set("0123456789abcdef")


def state(build: Build) -> str:
    """The state of the usual places as one line: when it changes, so may the answers."""
    parts = [os.environ.get("PROBE_SCOUT_DEBUG", "")]
    for found in usual(build):
        parts.append(f"{found.path}:{file_state(found.path)}")
    return "|".join(parts)


def file_state(path: str) -> str:
    """Size, inode and time of a file; the name of the error if there is none."""
    try:
        one = os.stat(path)
    except (OSError, ValueError) as error:
        return type(error).__name__
    return f"{one.st_dev}:{one.st_ino}:{one.st_size}:{one.st_mtime_ns}"


def find(
    build: Build, named: str = "", may_fetch: bool = False, announce: Callable[[str], None] | None = None
) -> Opened | Unread:
    """The debug information of a build, open; or why there is none and what would help.

    `named` is the user's own file: used whatever its build-id, which `matches` tells. A file in a usual place is used
    only if it does not belong to another build. Raises UsageError where `named` cannot be read, Malformed where it is
    no ELF file with debug information.
    """
    if named:
        opened = open_file(named, "named", build.build_id)
        if opened.matches is not True:
            _refuse_other_machine(opened, build.arch)
        return opened
    refused: list[str] = []
    for found in usual(build):
        try:
            opened = open_file(found.path, found.how, build.build_id)
        except ProbeScoutError as error:
            refused.append(str(error))
            continue
        if opened.matches is False:
            refused.append(f"{found.path} is of another build ({opened.build_id[:12]})")
            continue
        return opened
    if may_fetch and os.environ.get("DEBUGINFOD_URLS", "").split():
        got = fetched(build, announce)
        if isinstance(got, Opened):
            return got
        refused.append(got)
    return Unread(facts.DEBUG, "malformed" if refused else "not_there", _why(build, refused), CURE)


def _refuse_other_machine(opened: Opened, arch: str) -> None:
    """Raises Malformed for a file of another machine than the kernel's."""
    theirs, wanted = ELF_MACHINES.get(opened.file.image.machine, ""), elf_name(arch)
    if wanted in ELF_MACHINES.values() and theirs != wanted:
        found = f"one for {theirs or f'machine {opened.file.image.machine}'}"
        raise Malformed(opened.path, 18, f"an ELF file for {arch}, which this kernel is for", found)


# First bytes of files that are given in place of a vmlinux with debug information, and what to give instead.
_NO_ELF = (
    (b"\x9f\xeb", "BTF, which has types and no code addresses"),
    (b"\xeb\x9f", "BTF, which has types and no code addresses"),
    (b"MZ", "a kernel that boots, which holds no debug information: that is in the file vmlinux"),
    (b"\xfd7zXZ", "a file packed by xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd: unpack it first"),
    (b"\x1f\x8b", "a file packed by gzip: unpack it first"),
    (b"!<arch>", "an archive or a package: unpack it first"),
)


def _refuse_no_elf(path: str, raw: bytes) -> None:
    """Raises Malformed for a file that is not ELF, with what it is instead where that is known."""
    if raw[:4] == b"\x7fELF":
        return
    what = next((says for magic, says in _NO_ELF if raw[: len(magic)] == magic), f"a file that begins with {raw[:8]!r}")
    raise Malformed(path, 0, "an ELF file with debug information", what)


def _why(build: Build, refused: list[str]) -> str:
    what = f"module {build.module}" if build.module is not None else "this kernel"
    number = f" (build-id {build.build_id[:12]})" if build.build_id else ", whose build-id is not known"
    text = f"no debug information of {what}{number} was found in the usual folders"
    return text + "".join(f"; {one}" for one in refused)


def open_file(path: str, how: str, build_id: str = "") -> Opened:
    """A file with debug information. Raises UsageError if it cannot be read, Malformed if it holds none.

    The build-id is kept between runs, so that a file that was read before is not opened for it.
    """
    from ...sources import cache

    path = os.path.abspath(path)
    state = file_state(path)
    question = f"{_FORMAT}\x00{cache.program()}\x00{path}\x00{state}"
    kept = cache.kept(question)
    if isinstance(kept, str):
        return Opened(path, how, kept, build_id, state, None)
    file = read_file(path)
    own = file.image.build_id
    cache.keep(question, own)
    return Opened(path, how, own, build_id, state, file)


def read_file(path: str) -> DebugFile:
    """The debug information of a file. Raises UsageError and Malformed as `open_file`."""
    from ...formats.dwarf.units import DebugFile
    from ...formats.elf.image import ElfImage

    raw = _mapped(path)
    _refuse_no_elf(path, raw)
    image = ElfImage(raw, path)
    if not image.region(".debug_info").size:
        raise Malformed(path, 0, "a section .debug_info", "none: the file holds no debug information")
    named = image.supplement
    supplement = _supplement(path, *named) if named is not None else None
    if named is not None and supplement is None:
        raise Malformed(path, 0, f"the file {named[0][-80:]}, to which dwz moved a part", "no such file of this build")
    file = DebugFile(image, supplement)
    if any(is_split(unit) for unit in file.first_units(_UNITS_LOOKED_AT)):
        raise Malformed(path, 0, "debug information in one file", "units that refer to .dwo files (-gsplit-dwarf)")
    return file


def is_split(unit: Unit) -> bool:
    """The unit's entries are in another file (.dwo)."""
    from ...formats.dwarf import names as n

    return unit.kind == n.UT_SKELETON or n.AT_GNU_DWO_NAME in unit.root or n.AT_DWO_NAME in unit.root


def _mapped(path: str) -> bytes:
    """The file's bytes, mapped. Raises UsageError."""
    from mmap import ACCESS_READ, mmap

    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)) as handle:
            state = os.fstat(handle.fileno())
            if not S_ISREG(state.st_mode):
                raise UsageError(f"{path}: not a regular file")
            if state.st_size == 0:
                raise Malformed(path, 0, "an ELF file", "an empty file")
            return mmap(handle.fileno(), 0, access=ACCESS_READ)  # type: ignore[return-value]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _supplement(path: str, name: str, build_id: str) -> DebugFile | None:
    """The file that dwz moved shared entries to; None if it is not there, and then some names stay unknown."""
    from ...formats.dwarf.units import DebugFile
    from ...formats.elf.image import ElfImage

    tried = [os.path.join(os.path.dirname(path), name)]
    tried += [os.path.join(folder, ".dwz", os.path.basename(name)) for folder in folders("")]
    if _is_build_id(build_id):
        tried += [os.path.join(folder, ".build-id", build_id[:2], build_id[2:] + ".debug") for folder in folders("")]
    for one in tried:
        if os.path.isfile(one):
            image = ElfImage(_mapped(one), one)
            if not build_id or image.build_id in ("", build_id):
                return DebugFile(image)
    return None


# debuginfod


def fetched_path(build_id: str) -> str:
    """Where a fetched file is kept; "" where nothing is kept."""
    from ...sources import cache

    where = cache.folder()
    if not where or os.environ.get("PROBE_SCOUT_CACHE") == "off":
        return ""
    return os.path.join(where, "debug", f"{build_id}.debug")


def fetched(build: Build, announce: Callable[[str], None] | None) -> Opened | str:
    """The file from the first server that has it, kept in the cache folder; or one sentence why not."""
    if not _is_build_id(build.build_id):
        return "no server can be asked without a build-id"
    from http.client import HTTPException

    path = fetched_path(build.build_id)
    if not path:
        return "no server was asked: there is no cache folder to keep a file in"
    said = ""
    for url in os.environ.get("DEBUGINFOD_URLS", "").split():
        if not url.startswith(("http://", "https://")):
            said = f"{url[:80]} is no address of a debuginfod server"
            continue
        if announce is not None:
            announce(f"asking {url} for the debug information of build {build.build_id[:12]}")
        try:
            _download(f"{url.rstrip('/')}/buildid/{build.build_id}/debuginfo", path)
            opened = open_file(path, "fetched", build.build_id)
        except (OSError, ValueError, HTTPException, ProbeScoutError) as error:
            code = f"HTTP {error.code} " if hasattr(error, "code") else ""
            said = f"{url[:80]}: {code}{' '.join(str(getattr(error, 'reason', error)).split())[:200]}"
            continue
        if opened.matches is not False:
            return opened
        os.unlink(path)
        said = f"{url[:80]} sent the debug information of another build ({opened.build_id[:12]})"
    return said


def _patience_s() -> float:
    """Seconds in which a server must send something worth while."""
    try:
        given = float(os.environ.get("DEBUGINFOD_TIMEOUT") or 0)
    except ValueError:
        return _TIMEOUT_S
    return given if 0 < given < 1e6 else _TIMEOUT_S


def _download(url: str, path: str) -> None:
    """Keep what a server sends. Raises OSError or ValueError; what is too large or cut off is not kept."""
    import time
    from urllib.request import Request, urlopen

    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    one = os.lstat(folder)
    if one.st_uid != os.geteuid() or one.st_mode & 0o022:
        raise OSError(f"{folder} is open to others")
    spare = f"{path}.{os.getpid()}"
    limit = int(os.environ.get("DEBUGINFOD_MAXSIZE") or 0) or FETCHED_BYTES_MAX
    patience = _patience_s()
    request = Request(url, headers={"User-Agent": "probe-scout", "Accept-Encoding": "identity"})
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out, urlopen(request, timeout=patience) as answer:
            announced = int(answer.headers.get("Content-Length") or 0)
            total = seen = 0
            since = time.monotonic()
            while block := answer.read1(_CHUNK_BYTES):
                total += len(block)
                if time.monotonic() - since > patience:
                    if total - seen < _LEAST_BYTES:
                        raise ValueError(f"less than {_LEAST_BYTES // 1000} kB in {patience:g} seconds")
                    since, seen = time.monotonic(), total
                if max(total, announced) > limit:
                    raise ValueError(f"more than {limit} bytes")
                out.write(block)
            if announced and total != announced:
                raise ValueError(f"cut off after {total} of {announced} bytes")
        os.replace(spare, path)
    except BaseException:
        os.unlink(spare)
        raise
