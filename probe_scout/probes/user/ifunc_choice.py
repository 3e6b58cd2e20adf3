"""Which implementation of an IFUNC a running process calls, by what the loader wrote into slots of its GOT.

The resolver runs once and its answer stands in memory alone: /proc/PID/mem is read, which takes the rights of a
debugger (ptrace_may_access). A slot that is not filled yet (lazy binding) leads to a stub and says nothing.
"""

from __future__ import annotations

import os

from ...formats.elf import imports
from ...formats.elf.user_image import STT_FUNC
from ...sources import user_files
from . import interposed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...formats.elf.user_image import Symbol
    from .files import UserFile
    from .interposed import Object

_SLOT_BYTES = 8


def chosen(
    pid: int, file: UserFile, symbol: Symbol, known: Mapping[str, int], proc: str = "/proc"
) -> dict[str, int] | None:
    """The implementations that the process calls, as name to file offset; `known` names those that are known.

    Empty where no slot tells; None where the process's memory may not be read.
    """
    image = file.image
    assert image is not None
    objects = interposed.search_order(pid, proc)
    own = next((one for one in objects if interposed.is_same(one, file)), None)
    starts = {} if own is None else _starts(pid, proc)
    base = None if own is None else _bias(own, starts)
    if own is None or base is None:
        return {}
    names = {offset: name for name, offset in known.items()}
    if not names:  # the resolver's code does not tell them: any function of the file may be one
        names = {image.file_offset(s.address) or 0: s.name for s in image.symbols() if s.type == STT_FUNC}
    found: dict[str, int] = {}
    try:
        memory = os.open(f"{proc}/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for place in _slots(objects, own, symbol, starts):
            offset = image.file_offset(int.from_bytes(os.pread(memory, _SLOT_BYTES, place), "little") - base)
            if offset in names:  # anything else is a stub, or another file's function of this name
                found[names[offset]] = offset
    except OSError:
        return None
    finally:
        os.close(memory)
    return found


def _slots(objects: list[Object], own: Object, symbol: Symbol, starts: dict[str, int]) -> Iterator[int]:
    """Addresses in the process of the slots for a symbol: its own file's, and those of files that import it."""
    for one in objects:
        bias = _bias(one, starts)
        if bias is None:
            continue
        if one is own:
            yield from (bias + slot for slot, at in imports.resolved(one.image).items() if at == symbol.address)
        yield from (bias + slot for slot, name in imports.slots(one.image).items() if name == symbol.name)


def _starts(pid: int, proc: str) -> dict[str, int]:
    """Where a process maps the first byte of each file."""
    try:
        mapped = user_files.mappings(pid, proc)
    except OSError:
        return {}
    return {m.path.removesuffix(" (deleted)"): m.start for m in reversed(mapped) if not m.offset}


def _bias(one: Object, starts: dict[str, int]) -> int | None:
    """What is added to addresses of the file in the process; None where its first byte is not mapped."""
    start, address = starts.get(one.path), one.image.address(0)
    return None if start is None or address is None else start - address
