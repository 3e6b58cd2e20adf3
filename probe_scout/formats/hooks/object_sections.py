"""Section names of compiled BPF objects, and of skeletons that hold one (`bpftool gen skeleton`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...errors import Malformed, UsageError
from ...model.hooks import HookSet
from ..elf import bpf_object
from . import found

_ELF = b"\x7fELF"
# tools/bpf/bpftool/gen.c, print_hex: \0 or \xNN for each byte, lines end with a backslash, the text with ";
_SKELETON = re.compile(rb"\\x7f\\x45\\x4c\\x46(?:\\x[0-9a-f]{2}|\\0|\\\n)+")
_BYTE = re.compile(rb"\\(?:x([0-9a-f]{2})|(0))")


def is_one(data: bytes) -> bool:
    """Whether this is an object or a skeleton."""
    return data.startswith(_ELF) or _SKELETON.search(data) is not None


def read(data: bytes, where: str) -> HookSet:
    """The programs' attach points; `?` in front of a section makes it one that may attach. Raises UsageError."""
    held = _SKELETON.search(data)
    if not data.startswith(_ELF) and held:
        data = bytes(int(digits or b"0", 16) for digits, _ in _BYTE.findall(held[0]))
    try:
        programs = bpf_object.read(data, where).programs
    except Malformed as error:
        raise UsageError(str(error)) from None
    return found.hooks(_points(programs), where)


def _points(programs: list[bpf_object.Program]) -> Iterator[found.Found]:
    for one in programs:
        section = one.section.removeprefix("?")
        head, slash, target = section.partition("/")
        if not slash or not target:
            yield found.Found(
                one.name, (), why_not=f"SEC({section[:60]!r}) names no target, the loader's own code does"
            )
            continue
        if head in ("tp", "tracepoint") and "/" not in target:  # attach_tp of libbpf.c refuses it
            yield found.Found(one.name, (), why_not=f"SEC({section[:60]!r}) is not tp/CATEGORY/EVENT")
            continue
        yield found.Found(one.name, (section,), 0, one.section.startswith("?"))
