"""What is known of the files that uprobes are on: there or gone, changed since, the function at an offset.

Read while the processes that hold the uprobes live, so that files of containers are reached through proc/PID/root; kept
with the other inputs, so that a snapshot tells the same.
"""

from __future__ import annotations

import mmap
import os
from errno import ENOENT, ENOTDIR

from ...errors import ProbeScoutError
from .record import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ...formats.elf.image import ElfImage
    from ...formats.elf.user_image import UserImage
    from ...kernel.kernel import Kernel
    from .record import Inputs

    Record = dict[str, Any]

THERE, GONE, DENIED, NO_ELF = "there", "gone", "denied", "no_elf"
_FUNCTION_BYTES_MAX = 1 << 16
_DELETED = " (deleted)"
_SHF_EXECINSTR, _SHT_NOBITS = 4, 8


def wanted(inputs: Inputs) -> dict[tuple[int, str], set[int]]:
    """(process, path) -> offsets, from links and perf events; process 0 where nobody holds it."""
    found: dict[tuple[int, str], set[int]] = {}
    holders: dict[int, list[int]] = {}
    for pid, _, kind, number in inputs.holders:
        if kind == "link":
            holders.setdefault(number, []).append(pid)
    for event in inputs.perf:
        if event.type in ("uprobe", "uretprobe"):
            found.setdefault((event.pid, event.name), set()).add(event.offset)
    for one in inputs.links:
        is_single = one.perf_type in ("uprobe", "uretprobe")
        path = one.name if is_single else one.path
        offsets = [one.offset] if is_single else list(one.offsets or ())
        for pid in holders.get(one.id, [0]) if path else ():
            found.setdefault((pid, path or ""), set()).update(offset for offset in offsets if offset is not None)
    return found


def look(
    inputs: Inputs, more: Iterable[tuple[str, int]], proc: str = "/proc", k: Kernel | None = None
) -> dict[str, Record]:
    """ "pid:path" -> what is known. `more`: paths and offsets that no process holds (uprobe_events).

    `k` is the kernel that judges instructions; without it nothing is said of those.
    """
    asked = wanted(inputs)
    for path, offset in more:
        asked.setdefault((0, path), set()).add(offset)
    own_mounts = _link(f"{proc}/self/ns/mnt")
    found: dict[str, Record] = {}
    by_way: dict[tuple[str, frozenset[int]], Record] = {}
    for (pid, path), offsets in sorted(asked.items()):
        about = inputs.processes.get(str(pid), Process())
        way = path
        for way in _ways(path, pid, about, own_mounts, proc):
            if os.path.exists(way):
                break
        key = way, frozenset(offsets)
        if key not in by_way:
            by_way[key] = _file(way, sorted(offsets), k)
        found[f"{pid}:{path}"] = by_way[key]
    return found


def _ways(path: str, pid: int, about: Process, own_mounts: str | None, proc: str) -> list[str]:
    """Where the file may be from here, the likeliest first."""
    path = path.removesuffix(_DELETED)
    root = about.root
    if not pid or not root or (root == "/" and about.mnt == own_mounts):
        return [path]
    ways = [f"{proc}/{pid}/root{path}"]
    if root != "/" and path.startswith(root + "/"):
        ways.append(f"{proc}/{pid}/root{path[len(root) :]}")
    if about.mnt == own_mounts:
        ways.append(path)
    return ways


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _file(way: str, offsets: list[int], k: Kernel | None = None) -> Record:
    try:
        fd = os.open(way, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        return {"state": GONE if error.errno in (ENOENT, ENOTDIR) else DENIED, "places": {}}
    try:
        about = os.fstat(fd)
        found: Record = {"state": THERE, "changed_s": about.st_ctime, "places": {}}
        try:
            with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as raw:
                _symbols(found, raw, way, offsets, k)
        except (ProbeScoutError, ValueError, OSError):
            found["state"] = NO_ELF
        return found
    finally:
        os.close(fd)


def _symbols(found: Record, raw: mmap.mmap, way: str, offsets: list[int], k: Kernel | None) -> None:
    """Adds for each offset the function, the offset in it, whether an instruction starts there and takes a probe."""
    from ...formats.elf.image import ElfImage
    from ...formats.elf.user_image import UserImage

    image, user = ElfImage(raw, way), UserImage(raw, way)
    found["build_id"] = image.build_id
    found["is_go"] = any(section.name in (".gopclntab", ".go.buildinfo") for section in image.sections)
    for offset in offsets:
        place = found["places"][str(offset)] = _place(image, raw, offset)
        if place["is_code"]:
            if k is not None:
                place |= _instruction(k, user, offset)
            if place["symbol"] is None:
                place |= _further_symbol(k, user, way, offset)


def _instruction(k: Kernel, image: UserImage, offset: int) -> Record:
    """What the kernel makes of the instruction that is in the file (not of the breakpoint in memory)."""
    from ...probes.user import code

    if not code.is_x86(image):
        return {}
    here = code.judge(k, image, offset)
    if not here.certain:
        return {}
    return {"refused": here.refused, "misread": "" if here.harmless else here.misread}


def _further_symbol(k: Kernel | None, image: UserImage, way: str, offset: int) -> Record:
    """The function by names that .symtab and .dynsym lack: MiniDebugInfo, the debug file, Go's table.

    As `check` finds them (probes/user/symbols.py). Empty where none covers the offset.
    """
    from ...probes.user import code, symbols
    from ...probes.user.files import LIVE, Place, UserFile

    address = image.address(offset)
    if k is None or address is None or image.has_symbol_table:
        return {}
    file = UserFile(k, Place(way, way), LIVE)
    covering = [s for s in symbols.everything(file) if s.is_function and s.address <= address < s.address + s.size]
    holding = min(covering, key=lambda s: s.size, default=None)
    if holding is None:
        return {}
    at, start = address - holding.address, image.file_offset(holding.address)
    walk = code.walk(image, start, holding.size) if start is not None and code.is_x86(image) else None
    is_start = at in walk.starts if walk is not None and at < walk.decoded_bytes else None
    return {"symbol": holding.name, "offset": at, "is_start": is_start, "is_outside": None}


def _place(image: ElfImage, raw: mmap.mmap, offset: int) -> Record:
    for section in image.sections:
        if section.type == _SHT_NOBITS or not section.flags & _SHF_EXECINSTR:
            continue
        if not section.offset <= offset < section.offset + section.size:
            continue
        address = section.address + offset - section.offset
        holding = image.symbols.covering(address)
        if holding is None:
            # Stubs of the linker have sections of their own, and no symbols.
            outside = section.name == ".text" and image.symbols.is_between(address)
            found = {"is_code": True, "symbol": None, "offset": None, "is_start": None}
            return {**found, "is_outside": True} if outside else found
        start, names = holding
        first = section.offset + start - section.address
        code = raw[first : min(offset + 16, section.offset + section.size)]
        return {
            "is_code": True,
            "symbol": names[0] if names else None,
            "offset": address - start,
            "is_start": _is_start(code, offset - first),
        }
    return {"is_code": False, "symbol": None, "offset": None, "is_start": None}


def _is_start(code: bytes, offset: int) -> bool | None:
    """Whether an instruction starts at this offset of a function, decoded in a line; None where that is not known."""
    if offset == 0:
        return True
    if offset > _FUNCTION_BYTES_MAX or os.uname().machine != "x86_64":
        return None
    from ...arch import x86_uprobe

    found = tuple(x86_uprobe.starts(code))
    return offset in found if found and found[-1] >= offset else None
