"""What a return probe does not see, or breaks: functions that do not come back, come back twice, or look at the stack.

Told by the function's machine code and what it calls: through a stub, through a slot of the GOT, or directly where the
called function is in the same file.
"""

from __future__ import annotations

from functools import lru_cache

from ...arch import aarch64
from ...formats.elf import imports
from ...formats.elf.user_image import EM_AARCH64
from ...model.report import Limit
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
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
_FOLLOWED_BYTES = 1 << 15  # of called functions, about a millisecond
_NAMES = JUMPS | FORKS | LOOKS | {"pthread_exit"}


class Callees(NamedTuple):
    """The functions that matter here, as a file knows them: defined at an address, or behind a slot of the GOT."""

    by_address: dict[int, str]
    slots: dict[int, str]

    def name(self, image: UserImage, address: int) -> str:
        """The one that stands at an address, or to which the stub there jumps; "" for any other."""
        if address in self.by_address or not self.slots:
            return self.by_address.get(address, "")
        slot = imports.stub_slot(image, address)
        return self.slots.get(slot, "") if slot is not None else ""


@lru_cache(4)
def callees(image: UserImage) -> Callees:
    """Those of a file, looked up once."""
    present = [(symbol.name, symbol) for symbol in image.named_any(_NAMES)]
    by_address = {symbol.address: name for name, symbol in present if symbol.section}
    is_called = any(not symbol.section for _, symbol in present)
    slots = {slot: name for slot, name in imports.slots(image).items() if name in _NAMES} if is_called else {}
    return Callees(by_address, slots)


def called(image: UserImage, start: int, walk: Walk) -> frozenset[str]:
    """Which of the functions that matter here are called by the function at an address."""
    known = callees(image)
    if not known.by_address and not known.slots:
        return frozenset()
    found = {known.slots.get(start + slot, "") for slot in walk.slots}
    found |= {known.name(image, start + target) for target in walk.calls}
    return _NAMES.intersection(found)


def _jumping_callee(image: UserImage, start: int, walk: Walk) -> str:
    """What a function calls, in its own file, that leaves by longjmp, in words; "" if none is seen.

    Only direct calls are followed, and not for ever: that nothing is found says little.
    """
    known = callees(image)
    if not walk.calls or JUMPS.isdisjoint((*known.by_address.values(), *known.slots.values())):
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
        targets = list(_call_targets(image, image.code(offset, min(size, left)), address))
        if jumps := sorted(
            JUMPS.intersection(known.name(image, t) for t in targets if t not in sizes or t in known[0])
        ):
            name = next((s.name for s in image.symbols() if s.address == address), "")
            return f"{name or f'code at {address:#x}'}, which calls {jumps[0]}"
        waiting += [target for target in targets if target in sizes]
    return ""


def _call_targets(image: UserImage, code: bytes, address: int) -> Iterator[int]:
    """Where bytes that look like a call lead. They may be a part of another instruction, whose goal is then nowhere."""
    if image.machine == EM_AARCH64:
        for at in range(0, len(code) - 3, aarch64.WORD_BYTES):
            branch = aarch64.branch(int.from_bytes(code[at : at + 4], "little"))
            if branch is not None and branch[0] == "call":
                yield address + at + branch[1]
        return
    at = code.find(b"\xe8")
    while at >= 0 and at + 5 <= len(code):
        yield address + at + 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
        at = code.find(b"\xe8", at + 1)


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
