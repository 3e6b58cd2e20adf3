"""Write any source out as one archive that answers later, elsewhere and without root.

The archive is a .tar.xz with the kernel's own paths and a manifest.json (manifest.py, docs/snapshots.md).
Command lines, hostnames and boot ids are not saved; addresses are moved (relocate.py) unless asked otherwise.
"""

from __future__ import annotations

import contextlib
import os
from stat import S_ISREG

from ... import arch
from ...errors import Broken, Malformed, NotThere, SourceError, UsageError
from ...formats.elf import notes as elf_notes
from ...model.report import SnapshotResult
from ...sources import manifest, pack, tar, unpack
from ...sources.reading import plain_parts, printable, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ...sources.pack import Stream
    from ...sources.source import Source

CODE = "code"
TOOL = "tool"
CONFIG = "boot/config"
_CONFIGS = ("proc/config.gz", "boot/config-{}", "usr/lib/modules/{}/config", "lib/modules/{}/config", CONFIG)
_TRACING = "sys/kernel/tracing/"
_DEBUG = "sys/kernel/debug/"
# Which kernel it is: in every part.
_IDENTITY = (
    "proc/modules",
    "proc/version",
    "proc/sys/kernel/arch",
    "proc/sys/kernel/osrelease",
    "sys/kernel/notes",
)
# What differs between hosts of one build, and needs no symbols. collect.sh has the same lists.
_HOST = (
    "proc/cpuinfo",
    "proc/sys/debug/kprobes-optimization",
    "proc/sys/kernel/bpf_stats_enabled",
    "proc/sys/kernel/ftrace_enabled",
    "proc/sys/kernel/kptr_restrict",
    "proc/sys/kernel/perf_event_paranoid",
    "proc/sys/kernel/unprivileged_bpf_disabled",
    "proc/sys/net/core/bpf_jit_enable",
    "sys/kernel/security/lockdown",
    "sys/kernel/security/lsm",
    _DEBUG + "kprobes/enabled",
    _DEBUG + "kprobes/list",
    _TRACING + "dynamic_events",
    _TRACING + "enabled_functions",
    _TRACING + "kprobe_events",
    _TRACING + "kprobe_profile",
    _TRACING + "touched_functions",
    _TRACING + "uprobe_events",
)
_BUILD = (
    "proc/kallsyms",
    _DEBUG + "error_injection/list",
    _DEBUG + "kprobes/blacklist",
    _TRACING + "README",
    _TRACING + "available_events",
    _TRACING + "available_filter_functions",
    _TRACING + "available_filter_functions_addrs",
)
PATHS = (*_IDENTITY, *_HOST, *_BUILD)
_HOST_PATTERNS = ("sys/module/*/notes/.note.gnu.build-id",)
_BUILD_PATTERNS = (
    "sys/kernel/btf/*",
    _TRACING + "events/*/*/btf_ids",
    _TRACING + "events/*/*/format",
    _TRACING + "events/*/*/id",
)
PATTERNS = (*_HOST_PATTERNS, *_BUILD_PATTERNS)
HOST, BUILD = "host", "build"
PARTS = (HOST, BUILD)
# A build needs the switches and modules of some host to be judged: those of the one that sent it.
_PATHS_OF = {"": PATHS, HOST: (*_IDENTITY, *_HOST), BUILD: PATHS}
_PATTERNS_OF = {"": PATTERNS, HOST: _HOST_PATTERNS, BUILD: PATTERNS}
_MODULE_FILES = ("modules.builtin", "modules.dep")
_CPUINFO_KEYS = ("vendor_id", "model name", "flags", "isa", "Features", "CPU implementer", "CPU part")


class _Taken:
    """What was read, and what was not: path -> kind and reason. `answered`: patterns that nothing hid a part of."""

    __slots__ = ("answered", "files", "total_bytes", "unread")

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.unread: dict[str, dict[str, str]] = {}
        self.answered: set[str] = set()
        self.total_bytes = 0

    def add(self, path: str, data: bytes) -> None:
        if len(data) > tar.MEMBER_BYTES_MAX or self.total_bytes + len(data) > tar.TOTAL_BYTES_MAX - (64 << 20):
            self.unread[path] = {"kind": "not_recorded", "why": "too large for a snapshot"}
            return
        self.total_bytes += len(data)
        self.files[path] = data

    def lose(self, path: str, exc: SourceError) -> None:
        self.unread[path] = {"kind": exc.kind, "why": exc.why.removesuffix(manifest.WHEN)}


def write_snapshot(
    source: Source,
    out_path: str,
    *,
    keep_addresses: bool = False,
    with_code: Mapping[str, bytes] | None = None,
    tool_version: str,
    now: float,
    stream: Stream | None = None,
    progress: Callable[[int, int], None] | None = None,
    part: str = "",
) -> SnapshotResult:
    """Saves everything the tool reads; `now` in seconds since 1970, `with_code` extra members as they are.

    The same source, time and version give the same bytes. A source that is a snapshot keeps its own time. The ending of
    `out_path` says how it is packed; with `stream` the archive goes there and `out_path` is only its name.
    `progress` is told bytes packed and bytes in all. `part` BUILD: all but what is attached; HOST: what differs
    between hosts of a build, some kilobytes without symbols, whose addresses are numbered and not moved.
    Raises UsageError if `out_path` is there and not a regular file, Broken or Denied if it cannot be written.
    """
    if stream is None:
        _refuse_special(out_path)
    extra = dict(with_code or {})
    for path in extra:
        _refuse_extra_path(path)
    taken = _Taken()
    release = _take(source, taken, part)
    before = _manifest_of(source)
    arch = (before.arch if before else "") or _arch(source, taken.files)
    build_id = _build_id(taken.files.get("sys/kernel/notes", b"")) or (before.build_id if before else "")
    addresses = _move_addresses(taken, arch, keep_addresses, before)
    for path in _below(source, CODE) if before and not extra and part != HOST else ():
        extra[path] = source.read(path)
    for path in _below(source, TOOL) if before and part != BUILD else ():
        extra.setdefault(path, source.read(path))
    for path, data in extra.items():
        if path in taken.files:
            raise UsageError(f"{path}: an extra member of a snapshot may not replace a file of the kernel")
        taken.add(path, data)
    top: dict[str, object] = {
        "schema": manifest.SCHEMA,
        "release": release,
        "build_id": build_id,
        "arch": arch,
        "taken": (before.taken if before else "") or _iso(now),
        "tool_version": tool_version,
        "addresses": addresses,
        "asked": sorted({*_PATHS_OF[part], *taken.answered, *(_of_the_release(release) if part != HOST else ())}),
        "unread": taken.unread,
    }
    if part or (before and before.part):
        top["part"] = part or (before.part if before else "")
    told = source.describe()
    if told.basis != "booted":
        top |= {"basis": told.basis, "assumed": list(told.assumed)}
    if before and before.partial:
        top["partial"] = before.partial
    members = _members(taken.files, top)
    size = pack.to_stream(stream, out_path, members, progress) if stream else pack.to_file(out_path, members, progress)
    left_out = tuple(
        (path, entry["why"]) for path, entry in sorted(taken.unread.items()) if entry["kind"] != "not_there"
    )
    return SnapshotResult(out_path, size, len(taken.files) + 1, left_out)


def _take(source: Source, taken: _Taken, part: str) -> str:
    """Reads all paths and patterns of a part and the files that the release names; returns the release."""
    for path in _PATHS_OF[part]:
        try:
            data = source.read(path)
        except SourceError as exc:
            taken.lose(path, exc)
        else:
            taken.add(path, _first_cpu(data) if path == "proc/cpuinfo" else data)
    release = taken.files.get("proc/sys/kernel/osrelease", b"").decode("ascii", "replace").strip()
    release = release or source.describe().release or _release_of_version(taken.files.get("proc/version", b""))
    if "/" in release:
        release = ""
    for pattern in _PATTERNS_OF[part]:
        _take_pattern(source, taken, pattern)
    if part == HOST:
        return release
    _take_config(source, taken, release)
    for path in _module_paths(release):
        _take_first(source, taken, path, ("usr/" + path, path))
    return release


def _take_pattern(source: Source, taken: _Taken, pattern: str) -> None:
    """Most events have no btf_ids and built-in modules no notes: `asked` says that they were looked for."""
    is_answered = True
    for path in _matches(source, "", pattern.split("/"), taken):
        try:
            taken.add(path, source.read(path))
        except NotThere as exc:
            is_answered = is_answered and exc.kind == "not_there"
        except SourceError as exc:
            taken.lose(path, exc)
    if is_answered:
        taken.answered.add(pattern)


def _matches(source: Source, folder: str, pattern: list[str], taken: _Taken) -> Iterator[str]:
    """The paths that fit the pattern; folders that cannot be listed are recorded, files met on the way are passed."""
    head, rest = pattern[0], pattern[1:]
    if head != "*":
        path = f"{folder}/{head}" if folder else head
        yield from _matches(source, path, rest, taken) if rest else (path,)
        return
    try:
        entries = source.names(folder)
    except SourceError as exc:
        if exc.kind != "not_there" or "*" in rest:
            taken.lose(folder, exc)
        return
    for entry in entries:
        if not rest:
            yield f"{folder}/{entry}"
        else:
            yield from _matches(source, f"{folder}/{entry}", rest, taken)


def _below(source: Source, folder: str) -> Iterator[str]:
    """Every file below a folder of a snapshot; none if there is no such folder."""
    try:
        entries = source.names(folder)
    except SourceError:
        return
    for entry in entries:
        path = f"{folder}/{entry}"
        try:
            source.names(path)
        except SourceError:
            yield path
        else:
            yield from _below(source, path)


def _take_first(source: Source, taken: _Taken, store_as: str, paths: tuple[str, ...]) -> str:
    """Stores the first of the paths that can be read; if none can, why each could not. Returns the path it was."""
    lost: list[tuple[str, SourceError]] = []
    for path in paths:
        try:
            data = source.read(path)
        except SourceError as exc:
            lost.append((path, exc))
        else:
            taken.add(store_as, data)
            return path
    for path, why in lost:
        taken.lose(path, why)
    return ""


def _take_config(source: Source, taken: _Taken, release: str) -> None:
    if _take_first(source, taken, CONFIG, _config_paths(release)) != "proc/config.gz" or CONFIG not in taken.files:
        return
    packed = taken.files.pop(CONFIG)
    taken.total_bytes -= len(packed)
    try:
        taken.add(CONFIG, unpack.unpacked(packed, "gzip", "proc/config.gz", 16 << 20))
    except Broken as exc:
        taken.lose("proc/config.gz", exc)
        _take_first(source, taken, CONFIG, _config_paths(release)[1:])


def _config_paths(release: str) -> tuple[str, ...]:
    return tuple(path.format(release) for path in _CONFIGS if release or "{}" not in path)


def _of_the_release(release: str) -> tuple[str, ...]:
    return (*_config_paths(release), *_module_paths(release))


def _module_paths(release: str) -> tuple[str, ...]:
    return tuple(f"lib/modules/{release}/{name}" for name in _MODULE_FILES) if release else ()


def _move_addresses(taken: _Taken, arch: str, keep: bool, before: manifest.Manifest | None) -> str:
    """Moves every address in place; returns what the manifest says of them."""
    if before and before.addresses in ("relative", "hidden") and keep:
        return before.addresses
    from .relocate import LINES_FILES, MIXED_FILES, Move

    move = Move(taken.files, arch)
    if not keep:
        taken.files["sys/kernel/notes"] = _notes_without_addresses(taken.files.get("sys/kernel/notes", b""))
        if not taken.files["sys/kernel/notes"]:
            del taken.files["sys/kernel/notes"]
    if not keep and not move.is_narrow:
        for path in (*LINES_FILES, *MIXED_FILES):
            if path in taken.files:
                taken.files[path] = move.apply(path, taken.files[path])
    if move.is_hidden:
        return "hidden"
    return "absolute" if keep or move.is_narrow else "relative"


def _notes(raw: bytes) -> Iterator[elf_notes.Note]:
    """The ELF notes up to the first that does not fit."""
    with contextlib.suppress(Malformed):
        yield from elf_notes.notes(raw)


def _build_id(raw: bytes) -> str:
    """The GNU build-id in hexadecimal, "" if there is none."""
    ids = (note.content.hex() for note in _notes(raw) if (note.name, note.type) == (b"GNU", elf_notes.NT_GNU_BUILD_ID))
    return next(ids, "")


def _notes_without_addresses(raw: bytes) -> bytes:
    """The GNU and Linux notes only.

    Xen's notes hold addresses that KASLR moved, before Linux kernel commit aaa8736370db ("x86, relocs: Ignore
    relocs in .notes section").
    """
    return b"".join(raw[note.start : note.end] for note in _notes(raw) if note.name in (b"GNU", b"Linux"))


def _first_cpu(raw: bytes) -> bytes:
    """What the processor can do, from the lines of the first one; no serial numbers, no frequencies."""
    lines = []
    seen = set()
    for line in raw.split(b"\n"):
        key = line.partition(b":")[0].strip().decode("latin-1")
        if key in _CPUINFO_KEYS and key not in seen:
            seen.add(key)
            lines.append(line + b"\n")
    return b"".join(lines)


def _release_of_version(raw: bytes) -> str:
    """The third word of proc/version: "Linux version 6.12.107 (…"."""
    words = raw.decode("ascii", "replace").split(maxsplit=3)
    return words[2] if words[:2] == ["Linux", "version"] and len(words) > 2 else ""


def _arch(source: Source, files: Mapping[str, bytes]) -> str:
    if told := arch.of_symbols(files.get("proc/kallsyms", b"")):
        return told
    said = files.get("proc/sys/kernel/arch", b"").decode("ascii", "replace").strip()
    if said:
        return printable(said)
    if source.describe().kind == "live":
        return os.uname().machine
    config = files.get(CONFIG, b"")
    return arch.of_config(lambda option: f"\n{option}=y\n".encode() in config)


def _manifest_of(source: Source) -> manifest.Manifest | None:
    found = source.describe()
    if found.kind != "snapshot":
        return None
    try:
        return manifest.Manifest(source.read(manifest.NAME), found.where)
    except NotThere:
        return None


def _iso(now: float) -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def _refuse_special(out_path: str) -> None:
    try:
        mode = os.lstat(out_path).st_mode
    except FileNotFoundError:
        return
    except OSError as exc:
        raise refusal(printable(out_path), exc) from None
    except ValueError:
        raise UsageError(f"{printable(out_path)}: not a name a file can have") from None
    if not S_ISREG(mode):
        raise UsageError(f"{printable(out_path)}: is there already and is not a regular file, so it is not overwritten")


def _refuse_extra_path(path: str) -> None:
    try:
        plain_parts(path)
    except NotThere:
        raise UsageError(f"{printable(path)}: an extra member of a snapshot needs a plain path") from None
    if path == manifest.NAME:
        raise UsageError(f"{path}: the manifest of a snapshot is written by the snapshot itself")


def _members(files: Mapping[str, bytes], top: dict[str, object]) -> list[tuple[str, bytes]]:
    """The manifest and the files, in the order of the archive."""
    import hashlib
    import json

    top["files"] = {path: {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()} for path, raw in files.items()}
    text = json.dumps(top, indent=1, sort_keys=True).encode() + b"\n"
    return [(manifest.NAME, text), *sorted(files.items())]


def script() -> bytes:
    """The collector for hosts without Python: a POSIX shell script that writes a snapshot to standard output."""
    import pkgutil

    return pkgutil.get_data(__name__, "collect.sh") or b""
