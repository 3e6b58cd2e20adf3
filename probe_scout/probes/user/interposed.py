"""Which library's function a process calls: the first, in the loader's search order, that defines the name.

ld.so(8), elf/dl-lookup.c of glibc (do_lookup_x): the program, then what LD_PRELOAD and /etc/ld.so.preload name, then
the libraries it needs, breadth first. Libraries that dlopen brings come behind them, or in a scope of their own:
nothing is said of those. Calls that a library makes of its own functions need not go through that search.
"""

from __future__ import annotations

import os
import re

from ...errors import Malformed
from ...formats.elf.user_image import DYNSYM, STB_LOCAL, UserImage
from ...model.report import Limit
from ...named_tuple import NamedTuple
from ...sources import user_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...formats.elf.user_image import Symbol
    from ...sources.user_files import Mapping
    from .files import UserFile

PRELOAD = "etc/ld.so.preload"
_OBJECTS_MAX = 512
_PID = re.compile(r"/proc/(\d+)/(?:root|exe|map_files)(?:/|$)")
_PARTIAL = "partial"


class Object(NamedTuple):
    """One file that a process maps as a part of its program. `path` as the process has it, `way` opens it from here."""

    path: str
    way: str
    inode: tuple[int, int]
    image: UserImage


def pid_of(file: UserFile) -> int | None:
    """The process through which a file was found; None for a plain path."""
    found = _PID.match(file.place.path)
    return int(found[1]) if found else None


def search_order(pid: int, proc: str = "/proc") -> list[Object]:
    """The objects of a process in the order in which names are looked up; empty where the process may not be read."""
    try:
        mapped = [m for m in user_files.mappings(pid, proc) if "x" in m.flags and m.path.startswith("/")]
        program = os.readlink(f"{proc}/{pid}/exe")
    except OSError:
        return []
    objects = list(_objects(pid, mapped, proc))
    by_name: dict[str, Object] = {}
    for one in objects:
        for name in (one.path, os.path.basename(one.path), one.image.soname):
            by_name.setdefault(name, one)
    first = by_name.get(program.removesuffix(" (deleted)"))
    if first is None:
        return []
    order = {first.path: first}
    waiting = [by_name[name] for name in _preloaded(pid, proc) if name in by_name]
    order |= {one.path: one for one in waiting}
    waiting.insert(0, first)
    while waiting:
        for name in waiting.pop(0).image.needed:
            found = by_name.get(name) or by_name.get(os.path.basename(name))
            if found is not None and found.path not in order:
                order[found.path] = found
                waiting.append(found)
    return list(order.values())


def _objects(pid: int, mapped: list[Mapping], proc: str) -> Iterator[Object]:
    seen: set[str] = set()
    for mapping in mapped:
        path = mapping.path.removesuffix(" (deleted)")
        if path in seen or len(seen) >= _OBJECTS_MAX:
            continue
        seen.add(path)
        by_address = f"{proc}/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
        for way in (by_address, f"{proc}/{pid}/root{path}"):
            try:
                image = UserImage(user_files.content(way), path)  # type: ignore[arg-type]
            except (OSError, Malformed):
                continue
            yield Object(path, way, (mapping.device, mapping.inode), image)
            break


def _preloaded(pid: int, proc: str) -> list[str]:
    """What LD_PRELOAD of a process and its /etc/ld.so.preload name. A process may have changed the former since."""
    names: list[str] = []
    for path in (f"{proc}/{pid}/environ", f"{proc}/{pid}/root/{PRELOAD}"):
        try:
            with open(path, "rb") as handle:
                raw = handle.read(1 << 20)
        except OSError:
            continue
        if path.endswith("environ"):
            raw = b" ".join(v[11:] for v in raw.split(b"\0") if v.startswith(b"LD_PRELOAD="))
        names += os.fsdecode(raw).replace(":", " ").split()
    return names


def defines(image: UserImage, name: str, version: str = "") -> bool:
    """The file exports a function of this name; where both have a version, of this one."""
    return any(
        s.is_function
        and s.table == DYNSYM
        and s.bind != STB_LOCAL
        and (not version or not s.version or s.version == version)
        for s in image.named(name, False)
    )


def definer(pid: int, name: str) -> str:
    """The file whose function of this name a process calls; "" where none is seen."""
    return next((f"/proc/{pid}/root{one.path}" for one in search_order(pid) if defines(one.image, name)), "")


def limits(file: UserFile, symbol: Symbol | None, types: tuple[str, ...]) -> Iterator[Limit]:
    """The symbol is another library's for the process (or for every one started here, by /etc/ld.so.preload)."""
    image = file.image
    if symbol is None or symbol.table != DYNSYM or image is None or file.kind != "live":
        return
    pid = pid_of(file)
    if pid is None:
        yield from _for_every_process(file, symbol, types)
        return
    order = search_order(pid)
    own = next((number for number, one in enumerate(order) if is_same(one, file)), 0)
    for one in order[:own]:
        if defines(one.image, symbol.name, symbol.version):
            says = (
                f"Process {pid} calls {symbol.name} of {one.path}, which comes earlier in the search order: it does "
                "not call the probed function by name."
            )
            yield Limit("limit.uprobe_interposed", _PARTIAL, says, f"proc/{pid}/maps, environ and {one.path}", types)
            return


def is_same(one: Object, file: UserFile) -> bool:
    """By the inode; overlay shows another device in maps."""
    return one.inode[1] == file.state.inode or one.path == file.place.path.partition("/root")[2]


def _for_every_process(file: UserFile, symbol: Symbol, types: tuple[str, ...]) -> Iterator[Limit]:
    try:
        with open(f"/{PRELOAD}", encoding="utf-8", errors="surrogateescape") as handle:
            names = handle.read(1 << 16).replace(":", " ").split()
    except OSError:
        return
    for name in names:
        if not name.startswith("/") or os.path.realpath(name) == os.path.realpath(file.place.path):
            continue
        try:
            image = UserImage(user_files.content(name), name)  # type: ignore[arg-type]
        except (OSError, Malformed):
            continue
        if defines(image, symbol.name, symbol.version):
            says = f"/etc/ld.so.preload puts {name} before every library, and it defines {symbol.name} too."
            yield Limit("limit.uprobe_interposed", _PARTIAL, says, f"/{PRELOAD}", types)
            return
