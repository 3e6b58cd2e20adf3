"""Which file a user target means: by path, by a library's name, by process; live, below a root, or from a snapshot."""

from __future__ import annotations

import os

from ...errors import Denied, Malformed, NotThere, ProbeScoutError, SourceError, UsageError
from ...formats.elf.user_image import UserImage
from ...model import facts
from ...model.facts import Unread
from ...named_tuple import NamedTuple
from ...sources import user_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...kernel.kernel import Kernel
    from ...model.user_target import UserTarget
    from ...sources.user_files import FileState, Mapping

LIVE, ROOT, SNAPSHOT = "live", "root", "snapshot"
CARRIED, ALIASES = "tool/user", "tool/user_files.json"  # programs in a snapshot, and other paths of theirs
_NO_MODULES = ("bpf", "__builtin__ftrace", "__builtin__kprobes")  # kallsyms puts them where a module's name stands

# FileState.problem in words; what is not here is a file that is missing.
_PATH_PROBLEMS = {
    "not_regular": "not a regular file",
    "loop": "too many symbolic links",
    "long_name": "the name is too long",
    "not_directory": "a part of the path is no folder",
    "denied": "permission denied",
}


class NoSuchLibrary(UsageError):
    """A process maps no library of this name."""

    def __init__(self, pid: int, name: str) -> None:
        super().__init__(f"process {pid} maps no library {name}")
        self.pid = pid


class Place(NamedTuple):
    """Where a file was found. `shown` is the path a loader would be given, `path` the one that is opened."""

    shown: str
    path: str
    says: tuple[str, ...] = ()  # what a person should know about the way there
    forms: tuple[tuple[str, str], ...] = ()  # how loaders resolve the name: (loader, path or "")


class UserFile:
    """One file: what the kernel would say of its path, and its bytes, read when they are asked for."""

    def __init__(self, k: Kernel, place: Place, kind: str) -> None:
        self._k, self.place, self.kind = k, place, kind
        self.unread: Unread | None = None
        self._raw: bytes | None = None
        self._image: UserImage | None = None
        self._error: Malformed | None = None
        self.debug: dict[object, object] = {}  # debug_info.py keeps what it opened here
        self.looked_at: dict[str, list[int]] = {}  # paths where debug files were sought, with their states then
        self.state: FileState = self._find_state()

    @property
    def path(self) -> str:
        """The path that the report shows."""
        return self.place.shown

    def _find_state(self) -> FileState:
        if self.kind == LIVE:
            return user_files.state(self.place.path)
        try:
            self._raw = read_recorded(self._k, self.place.path)
        except NotThere as error:
            if self.kind == SNAPSHOT:
                cure = (
                    f"take the snapshot with --user-file {self.place.shown}, ask on the machine itself, or put the "
                    "file into a folder and name that with --root"
                )
                self.unread = Unread(
                    facts.USER_FILE, "not_recorded", f"{self.place.shown} is not in the snapshot", cure
                )
                return user_files.FileState("")
            return user_files.FileState("missing" if error.kind == "not_there" else "denied")
        except Denied as error:
            self.unread = Unread(facts.USER_FILE, "denied", str(error))
            return user_files.FileState("")
        except SourceError as error:
            if "folder" in str(error) or "regular" in str(error) or "is a" in str(error):
                return user_files.FileState("", regular=False)
            self.unread = Unread(facts.USER_FILE, "malformed", str(error))
            return user_files.FileState("")
        except ProbeScoutError as error:
            raise UsageError(str(error)) from None
        return user_files.FileState("", size=len(self._raw))

    @property
    def image(self) -> UserImage | None:
        """The file as ELF; None where there is nothing to read, or it is no ELF file (`why_not` says so)."""
        if self._image is None and self._error is None and not self.state.problem and self.state.regular:
            raw = self.raw
            if raw is not None:
                try:
                    self._image = UserImage(raw, self.path)
                except Malformed as error:
                    self._error = error
        return self._image

    @property
    def why_not(self) -> str:
        """Why the file was not read as ELF; "" where it was."""
        if self.image is not None:
            return ""
        if self._error or self.unread:
            return str(self._error) if self._error else self.unread.why if self.unread else ""
        problem = self.state.problem or ("missing" if self.state.regular else "not_regular")
        return f"{self.path}: {_PATH_PROBLEMS.get(problem, 'no such file')}"

    @property
    def raw(self) -> bytes | None:
        """The bytes; None where they may not be read (then `unread` says why)."""
        if self._raw is None and self.kind == LIVE and self.unread is None and self.state.regular:
            try:
                self._raw = user_files.content(self.place.path)  # type: ignore[assignment]
            except OSError as error:
                self.unread = Unread(
                    facts.USER_FILE, "denied", f"{self.path}: {error.strerror or error}", "read it as root"
                )
        return self._raw

    def opened(self, path: str) -> bytes | None:
        """The bytes of another file of the same tree (a debug file); None where it cannot be read."""
        try:
            if self.kind == LIVE:
                self.looked_at[path] = user_files.stamp(path)
                return user_files.content(path) if os.path.isfile(path) else None  # type: ignore[return-value]
            return read_recorded(self._k, path)
        except (OSError, ProbeScoutError):
            return None


def read_recorded(k: Kernel, path: str) -> bytes:
    """A file below a root, or in a snapshot: at its own path, or among the programs that a snapshot carries.

    Raises SourceError.
    """
    try:
        return k.source.read(path.lstrip("/"))
    except NotThere:
        if kind_of(k) != SNAPSHOT:
            raise
        name = path.lstrip("/")
        for way in dict.fromkeys((name, aliases(k).get(name, ""), f"usr/{name}")):
            try:
                return k.source.read(f"{CARRIED}/{way}")
            except NotThere:
                continue
        raise


def aliases(k: Kernel) -> dict[str, str]:
    """Other paths of the programs that a snapshot carries, as they were named or linked when it was taken."""
    import json

    try:
        found = json.loads(k.source.read(ALIASES))
    except (SourceError, ValueError):
        return {}
    return {str(a): str(b) for a, b in found.items()} if isinstance(found, dict) else {}


def kind_of(k: Kernel) -> str:
    """live, root or snapshot: where files come from."""
    return k.source.describe().kind


def found(k: Kernel, target: UserTarget) -> UserFile:
    """The file of a target. Raises UsageError for a process that cannot be asked about, or a library not found."""
    kind = kind_of(k)
    if target.pid is not None or target.container:
        if kind != LIVE:
            raise UsageError(f"{target}: only this machine's processes can be asked about; give a path")
        return UserFile(k, of_process(target), LIVE)
    if target.is_library_name:
        return UserFile(k, library(k, target.file), kind)
    path = target.file
    return UserFile(k, Place(path, path), kind)


# libraries by name


def is_library(k: Kernel, text: str) -> bool:
    """`libNAME:symbol` means a library: no module of the kernel has the name, and a library is found."""
    name = text.partition(":")[0]
    try:
        library(k, name)
    except UsageError:
        return False
    return not _is_module(k, name)


def _is_module(k: Kernel, name: str) -> bool:
    """A module of this kernel is loaded under the name. proc/modules costs a hundredth of kallsyms."""
    from ...formats.text import modules

    if kind_of(k) == LIVE and name not in _NO_MODULES:
        try:
            return name in modules.table(k.read(modules.PATH))
        except NotThere:
            if os.path.exists("/proc/kallsyms"):
                return False  # built without CONFIG_MODULES
        except ProbeScoutError:
            pass
    return f"\t[{name}]\n".encode() in (k.kallsyms() or b"")


def library(k: Kernel, name: str) -> Place:
    """The file behind a library's name: as bpftrace finds it (ld.so.cache), and where libbpf would look.

    Raises UsageError where neither finds one.
    """
    by_cache, by_folder = _in_cache(k, name), _in_folders(k, name)
    path = by_cache or by_folder
    if not path:
        raise UsageError(f"no library {name} in etc/ld.so.cache or the loader's folders; give its path")
    says = []
    if ".so" not in name:
        says.append(
            f"libbpf takes {name} for a program in PATH and finds none: write {os.path.basename(path)} or {path}"
        )
    elif kind_of(k) == SNAPSHOT:
        pass  # the folders of the loader were not recorded
    elif by_folder and by_cache and not _same(k, by_folder, by_cache):
        says.append(f"libbpf takes {by_folder}, bpftrace {by_cache}")
    elif not by_folder:
        says.append(f"libbpf does not find {name}: it looks in LD_LIBRARY_PATH and its fixed folders; write {path}")
    forms = (("bpftrace", by_cache), ("libbpf", by_folder if ".so" in name else ""))
    return Place(path, path, tuple(says), forms)


def _same(k: Kernel, one: str, other: str) -> bool:
    return kind_of(k) == LIVE and os.path.realpath(one) == os.path.realpath(other)


def _in_cache(k: Kernel, name: str) -> str:
    from ...formats.elf import ld_cache

    try:
        entries = ld_cache.libraries(read_recorded(k, ld_cache.PATH))
    except (SourceError, ProbeScoutError):
        return ""
    machine = k.arch()
    wanted = name if ".so" in name else f"{name}.so"
    for entry in entries:
        if entry.is_for(machine) and (entry.name == wanted or entry.name.startswith(f"{wanted}.")):
            return entry.path
    return ""


def _in_folders(k: Kernel, name: str) -> str:
    live = kind_of(k) == LIVE
    environment = os.environ.get("LD_LIBRARY_PATH", "") if live else ""
    for folder in user_files.library_folders(k.arch(), environment):
        try:
            names = os.listdir(folder) if live else k.source.names(folder.lstrip("/"))
        except (OSError, SourceError):
            continue
        if ".so" in name:
            if name in names:
                return f"{folder}/{name}"
            continue
        near = sorted(one for one in names if one == f"{name}.so" or one.startswith(f"{name}.so."))
        if near:
            return f"{folder}/{near[0]}"
    return ""


# processes


def of_process(target: UserTarget) -> Place:
    """The file that a process runs or maps. Raises UsageError for one that is not there or maps no such file."""
    pid = target.pid
    if target.container:
        pid = user_files.in_container(target.container)
        if pid is None:
            raise UsageError(f"no process belongs to a container whose id begins with {target.container}")
    assert pid is not None
    if not user_files.exists(pid):
        raise UsageError(f"there is no process {pid}")
    root = f"/proc/{pid}/root"
    if target.file.startswith("/"):
        return Place(f"{root}{target.file}", f"{root}{target.file}")
    try:
        mapped = user_files.mappings(pid)
        program = os.readlink(f"/proc/{pid}/exe")
    except OSError as error:
        raise UsageError(f"process {pid}: {error.strerror or error}; ask as root") from None
    if not target.file:
        wanted = [m for m in mapped if m.path == program] or mapped[:1]
        if program.endswith(" (deleted)"):
            return _of_mapping(pid, wanted[0]) if wanted else Place(f"/proc/{pid}/exe", f"/proc/{pid}/exe")
        return Place(f"{root}{program}", f"/proc/{pid}/exe", (f"process {pid} runs {program}",))
    stem = target.file if ".so" in target.file else f"{target.file}.so"
    for mapping in mapped:
        base = os.path.basename(mapping.path.removesuffix(" (deleted)"))
        if base == stem or base.startswith((f"{stem}.", f"{target.file}-")):
            return _of_mapping(pid, mapping)
    raise NoSuchLibrary(pid, target.file)


def _of_mapping(pid: int, mapping: Mapping) -> Place:
    """The file of one mapping: below the process's root, or by map_files where the path leads elsewhere by now."""
    root = f"/proc/{pid}/root"
    path = f"{root}{mapping.path}"
    now = user_files.state(path)
    if not mapping.path.endswith(" (deleted)") and not now.problem and now.inode == mapping.inode:
        return Place(path, path, (f"process {pid} maps {mapping.path}",))
    by_address = f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
    gone = mapping.path.removesuffix(" (deleted)")
    return Place(
        by_address,
        by_address,
        (f"process {pid} maps a file that {gone} no longer leads to (replaced or deleted): probe {by_address}",),
    )


def of_mapped(k: Kernel, pids: Iterable[int]) -> list[UserFile]:
    """Every file of which one of the processes maps code, each once, in the order of the maps.

    By its plain path where that leads to the very file, else by a path through /proc. Raises UsageError where a process
    is not there, or is the only one asked about and may not be looked at.
    """
    wanted = tuple(pids)
    found: dict[tuple[int, int], Place] = {}
    for pid in wanted:
        try:
            mapped = user_files.mappings(pid)
        except OSError as error:
            if len(wanted) > 1:
                continue
            if not user_files.exists(pid):
                raise UsageError(f"there is no process {pid}") from None
            raise UsageError(f"process {pid}: {error.strerror or error}; ask as root") from None
        for mapping in mapped:
            key = (mapping.device, mapping.inode)
            if "x" in mapping.flags and mapping.path.startswith("/") and key not in found:
                found[key] = _plainly(pid, mapping)
    return [UserFile(k, place, LIVE) for place in found.values()]


def _plainly(pid: int, mapping: Mapping) -> Place:
    place = _of_mapping(pid, mapping)
    if user_files.is_one_file(place.path, mapping.path):
        return Place(mapping.path, mapping.path)
    return place
