"""Predictions of surveys held against the code of this very kernel: who calls the function, and who does no longer.

A function was inlined into a host in surveyed builds. Where the host is there and holds no call of the function, it is
most likely inlined there again; where every host calls it, it is not. Direct calls are e8, e9 and 0f 80 to 0f 8f with
a distance that ends at a function's first byte or behind its ENDBR; for Debian's kernels that is 99.99 % of the calls
that objtool notes (.call_sites). The shares were measured: each of the four surveyed kernels foretold from the other
three and its own image, 178,000 functions (tests/probes/inlining/test_callers.py has the lane that measures anew).
"""

from __future__ import annotations

import re

from ...model.report import Coverage
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...kernel.kernel import Kernel
    from .survey import Entry, Votes

HIGH, LOW = "high", "low"
_CALL = re.compile(rb"[\xe8\xe9]|\x0f[\x80-\x8f]")
_ENDBR_BYTES = 4
_HOSTS_MAX = 96
_CODE_BYTES_MAX = 1 << 20  # of one host


class Share(NamedTuple):
    """What a group of functions turned out to be: `right` of `asked` had this answer."""

    answer: str
    right: int
    asked: int
    grade: str = LOW


# Votes of the other builds, and what this kernel's code says, to what was measured.
SHARES = {
    ("complete", "called"): Share("complete", 2578, 2591, HIGH),
    ("complete", "none"): Share("complete", 145806, 146799, HIGH),
    ("complete", "silent"): Share("complete", 601, 656),
    ("divided", "called"): Share("complete", 1157, 1180),
    ("divided", "none"): Share("complete", 401, 443),
    ("divided", "silent"): Share("partial", 791, 1233),
    ("divided", "silent, repeated"): Share("partial", 18, 20),
    ("divided, mostly partial", "called"): Share("complete", 332, 346),
    ("divided, mostly partial", "none"): Share("complete", 161, 197),
    ("divided, mostly partial", "silent"): Share("partial", 40, 71),
    ("divided, mostly partial", "silent, repeated"): Share("partial", 948, 1077),
    ("nobody", "none"): Share("complete", 8877, 9959),
    ("other", "called"): Share("complete", 837, 854),
    ("partial", "called"): Share("complete", 332, 490),
    ("partial", "none"): Share("partial", 424, 560),
    ("partial", "silent"): Share("partial", 8492, 8612, HIGH),
    ("partial", "silent, unclear"): Share("partial", 416, 460),
}


class Calls(NamedTuple):
    """Hosts of surveyed copies that are in this kernel: those without a call of the function, and those with one.

    `repeated`: one of the silent hosts held a copy in two builds or more.
    """

    silent: tuple[str, ...] = ()
    calling: tuple[str, ...] = ()
    repeated: bool = False


def group(votes: Votes, calls: Calls) -> tuple[str, str]:
    """The key of SHARES: pure, so that what is measured is what is told."""
    if votes.partial and votes.complete:
        said = "divided, mostly partial" if votes.partial > votes.complete else "divided"
    elif votes.partial or votes.complete:
        said = "partial" if votes.partial else "complete"
    else:
        said = "other" if votes.other else "nobody"
    if not calls.silent:
        return said, "called" if calls.calling else "none"
    if said == "partial":
        is_clear = len(calls.silent) > len(calls.calling) and (calls.repeated or votes.partial == 1)
        return said, "silent" if is_clear else "silent, unclear"
    return said, "silent, repeated" if said.startswith("divided") and calls.repeated else "silent"


def of(k: Kernel, name: str, entry: Entry, told: Coverage) -> Coverage:
    """A prediction about a function of vmlinux with what the code adds; as it is without the kernel's image."""
    if entry.basis != "survey-other" or told.clones:
        return told
    calls = calls_of(k, name, entry.holders)
    return told if calls is None else _with(told, group(entry.votes, calls), calls)


def of_unknown(k: Kernel, name: str) -> Coverage | None:
    """What is likely of a function of vmlinux that has a symbol, where no survey knows it as one that has."""
    from . import survey

    votes, holders = survey.opinions(name, k.arch())
    calls = calls_of(k, name, holders)
    if calls is None or group(votes, calls) not in SHARES:
        return None
    return _with(Coverage("unknown", "survey-other"), group(votes, calls), calls)


def _with(told: Coverage, key: tuple[str, str], calls: Calls) -> Coverage:
    share = SHARES.get(key)
    if share is None:
        return told
    missed = calls.silent or told.missed_callers if share.answer == "partial" else ()
    return told._replace(
        answer=share.answer,
        right=share.right,
        asked=share.asked,
        grade=share.grade,
        missed_callers=missed,
        missed=(len(calls.silent) or told.missed) if share.answer == "partial" else 0,
        called_by=calls.calling,
        kind=told.kind if share.answer == told.answer else "",
    )


def calls_of(k: Kernel, name: str, holders: Iterable[tuple[str, int]]) -> Calls | None:
    """Which holders call the function in this kernel's image; None without the image or its symbols, and off x86."""
    from ...kernel import text

    image = text.image_of(k) if k.arch() == "x86_64" else None
    raw = k.kallsyms()
    if image is None or raw is None:
        return None
    shift = image.link_base - (k.stext() or image.link_base)
    targets = {place + shift for place, _ in _places(raw, name, exact=True)}
    silent, calling, repeated = [], [], False
    for holder, builds in list(holders)[:_HOSTS_MAX]:
        found = _places(raw, holder) if holder != name else []
        if not found:
            continue
        codes = [(at + shift, image.text_at(at + shift, min(size, _CODE_BYTES_MAX)) or b"") for at, size in found]
        if any(targets & targets_of(code, at) for at, code in codes):
            calling.append(holder)
        else:
            silent.append(holder)
            repeated = repeated or builds > 1
    return Calls(tuple(silent), tuple(calling), repeated)


def targets_of(code: bytes, address: int) -> set[int]:
    """Where the direct calls and jumps of a piece of code may go: each place, and four bytes in front of it (ENDBR)."""
    found = set()
    for match in _CALL.finditer(code):
        at = match.end()
        if at + 4 <= len(code):
            place = address + at + 4 + int.from_bytes(code[at : at + 4], "little", signed=True)
            found |= {place, place - _ENDBR_BYTES}
    return found


def _places(raw: bytes, name: str, exact: bool = False) -> list[tuple[int, int]]:
    """Address and size of vmlinux's functions of this name, with the compiler's suffixes too (.isra.0, .cold)."""
    found = []
    head = b" " + name.encode()
    at = raw.find(head)
    while at >= 0:
        after = raw[at + len(head) : at + len(head) + 1]
        start = raw.rfind(b"\n", 0, at) + 1
        if (after == b"\n" or (after == b"." and not exact)) and raw[start + 17 : start + 18] in (
            b"t",
            b"T",
            b"w",
            b"W",
        ):
            address = int(raw[start : start + 16], 16)
            found.append((address, _next(raw, at, address) - address))
        at = raw.find(head, at + 1)
    return found


def _next(raw: bytes, at: int, address: int) -> int:
    """The next higher address in kallsyms, whose rows are in order."""
    line = raw.find(b"\n", at) + 1
    while line and line + 16 < len(raw):
        place = int(raw[line : line + 16], 16)
        if place > address:
            return place
        line = raw.find(b"\n", line) + 1
    return address
