"""Read tracefs dynamic_events, kprobe_events and uprobe_events: events that were made at run time.

Written by kernel/trace/trace_kprobe.c (trace_kprobe_show), trace_uprobe.c (trace_uprobe_show), trace_fprobe.c
(trace_fprobe_show): `p:group/name place arguments`. `r` returns (a number behind it is maxactive), `f` is an fprobe,
`t` a probe on a raw tracepoint. A place is FUNCTION+OFFSET, MODULE:FUNCTION+OFFSET, 0xADDRESS, or PATH:0xOFFSET.
Events of other kinds (`e`, `s`) are on events and patch nothing.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from .lines import malformed_line, split, text

PATH = "sys/kernel/tracing/dynamic_events"
KPROBES, UPROBES = "sys/kernel/tracing/kprobe_events", "sys/kernel/tracing/uprobe_events"
PROFILE = "sys/kernel/tracing/kprobe_profile"
_RETURN = b"%return"


class DynamicEvent(NamedTuple):
    """`attach`: kprobe_event, kretprobe_event, uprobe_event, uretprobe_event, fprobe_event, fexit_event, tprobe_event.

    `target` is a function, an address as written, a path, or a tracepoint. `offset` None where the form has none.
    """

    attach: str
    group: str
    name: str
    target: str
    module: str | None
    offset: int | None


def table(raw: bytes, path: str = PATH) -> tuple[DynamicEvent, ...]:
    """Every event on a place of its own, in file order. Raises Malformed at the first line that does not fit."""
    lines = split(raw, path)
    found = []
    for row, line in enumerate(lines):
        one = _event(lines, row, path) if line[:1] in b"prft" else None
        if one is not None:
            found.append(one)
        elif line[:1] not in (b"e", b"s"):
            raise malformed_line(path, lines, row, "p, r, f, t, e or s, then :group/name and a location")
    return tuple(found)


def profile(raw: bytes) -> dict[str, tuple[int, int]]:
    """kprobe_profile (probes_profile_seq_show): event's name to how often it was hit and missed.

    The name stands without its group, so of several events with one name the last counts. Raises Malformed.
    """
    lines = split(raw, PROFILE)
    found = {}
    for row, line in enumerate(lines):
        words = line.split()
        if len(words) != 3 or not words[1].isdigit() or not words[2].isdigit():
            raise malformed_line(PROFILE, lines, row, "a name and two counts")
        found[text(words[0], PROFILE, 0)] = int(words[1]), int(words[2])
    return found


def find(raw: bytes, group: str, name: str, path: str = PATH) -> DynamicEvent | None:
    """The event of exactly this group and name; None if there is none or it is on another event."""
    needle = f":{group}/{name} ".encode()
    lines = split(raw, path)
    for row, line in enumerate(lines):
        head = line.partition(b" ")[0]
        if line[:1] in (b"p", b"r", b"f", b"t") and (head + b" ").endswith(needle):
            return _event(lines, row, path)
    return None


def _event(lines: list[bytes], row: int, path: str) -> DynamicEvent | None:
    head, _, rest = lines[row].partition(b" ")
    kind, colon, title = head.partition(b":")
    group, slash, name = title.partition(b"/")
    place = rest.split(b" ", 1)[0]
    if not colon or not slash or not name or not place or not (kind[1:].isdigit() or kind[1:] == b""):
        return None
    at = sum(map(len, lines[:row])) + row
    words = text(group, path, at), text(name, path, at)
    letter = kind[:1]
    if letter == b"t":
        return DynamicEvent("tprobe_event", *words, text(place, path, at), None, None)
    if letter == b"f":
        is_return = place.endswith(_RETURN)
        target, module, _ = _function(text(place.removesuffix(_RETURN), path, at))
        return DynamicEvent("fexit_event" if is_return else "fprobe_event", *words, target, module, 0)
    if place.startswith(b"/"):
        file, colon, offset = place.rpartition(b":")
        number = _number(offset.partition(b"(")[0])
        if not colon or number is None:
            return None
        attach = "uretprobe_event" if letter == b"r" else "uprobe_event"
        return DynamicEvent(attach, *words, text(file, path, at), None, number)
    is_return = letter == b"r" or place.endswith(_RETURN)
    function, module, offset_bytes = _function(text(place.removesuffix(_RETURN), path, at))
    return DynamicEvent("kretprobe_event" if is_return else "kprobe_event", *words, function, module, offset_bytes)


def _function(written: str) -> tuple[str, str | None, int | None]:
    module, colon, name = written.rpartition(":")
    function, plus, offset = name.partition("+")
    if function.startswith("0x"):
        return function, None, None
    number = _number(offset.encode()) if plus else 0
    return function, module if colon else None, number


def _number(written: bytes) -> int | None:
    try:
        return int(written, 0)
    except ValueError:
        return None
