"""What a return probe does not see, or breaks: functions that do not come back, come back twice, or look at the stack.

Told by the function's machine code and what it calls: through a stub, through a slot of the GOT, or directly where the
called function is in the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...formats.elf import imports
from ...model.report import Limit
from . import code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...formats.elf.user_image import UserImage
    from .code import Walk

NEVER, PARTIAL, MORE = "never", "partial", "more"
JUMPS = frozenset(
    ("longjmp", "_longjmp", "siglongjmp", "__longjmp_chk", "__libc_longjmp", "__libc_siglongjmp", "setcontext")
)
FORKS = frozenset(("fork", "_Fork", "__fork", "__libc_fork"))
LOOKS = frozenset(("backtrace", "__backtrace", "_Unwind_Backtrace"))
_FOLLOWED_BYTES = 4096  # of called functions, some milliseconds of decoding
_NAMES = JUMPS | FORKS | LOOKS | {"pthread_exit"}


def called(image: UserImage, start: int, walk: Walk) -> frozenset[str]:
    """Which of the functions that matter here are called by the function at an address."""
    present = [(name, symbol) for name in _NAMES for symbol in image.named(name, False)]
    if not present:
        return frozenset()
    by_address = {symbol.address: name for name, symbol in present if symbol.section}
    slots = imports.slots(image) if any(not symbol.section for _, symbol in present) else {}
    found = {slots.get(start + slot, "") for slot in walk.slots}
    for target in walk.calls:
        address = start + target
        if address in by_address:
            found.add(by_address[address])
        elif slots and (slot := imports.stub_slot(image, address)) is not None:
            found.add(slots.get(slot, ""))
    return _NAMES.intersection(found)


def _jumping_callee(image: UserImage, start: int, walk: Walk) -> str:
    """What a function calls, in its own file, that leaves by longjmp, in words; "" if none is seen.

    Only direct calls are followed, and not for ever: that nothing is found says little.
    """
    if not walk.calls or not any(image.named(name, False) for name in JUMPS):
        return ""
    sizes = image.sizes()
    waiting, seen, left = [start + target for target in sorted(walk.calls)], {start}, _FOLLOWED_BYTES
    while waiting and left > 0:
        address = waiting.pop(0)
        offset, size = image.file_offset(address), sizes.get(address, 0)
        if address in seen or offset is None or not size:
            continue
        seen.add(address)
        left -= size
        inner = code.walk(image, offset, size)
        if names := sorted(called(image, address, inner) & JUMPS):
            name = next((s.name for s in image.symbols() if s.address == address), "")
            return f"{name or f'code at {address:#x}'}, which calls {names[0]}"
        waiting += [address + target for target in sorted(inner.calls)]
    return ""


def limits(image: UserImage, start: int, walk: Walk, types: tuple[str, ...], evidence: str) -> Iterator[Limit]:
    """The limits of return probes (`types`) at the entry of a function."""
    if not walk.may_leave and walk.decoded_bytes:
        says = "The function does not return: it has no return instruction and no jump out of it."
        alone = tuple(t for t in types if "session" not in t)
        if alone:
            yield Limit("limit.uretprobe_no_return", NEVER, says, evidence, alone)
        if both := tuple(t for t in types if "session" in t):
            yield Limit("limit.uretprobe_no_return", PARTIAL, says, evidence, both)
    names = called(image, start, walk)
    if jumps := sorted(names & (JUMPS | {"pthread_exit"})):
        says = f"The function calls {', '.join(jumps)}: a call that is left that way has no return to see."
        yield Limit("limit.uretprobe_jumped_out", PARTIAL, says, evidence, types)
    elif way := _jumping_callee(image, start, walk):
        says = f"The function leads to {way}: a call that is left that way has no return to see."
        yield Limit("limit.uretprobe_jumped_out", PARTIAL, says, evidence, types)
    if forks := sorted(names & FORKS):
        says = f"The function calls {', '.join(forks)}: it returns in the child too, and the probe sees both."
        yield Limit("limit.uretprobe_fork", MORE, says, evidence, types)
