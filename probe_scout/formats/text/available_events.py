"""Read tracefs available_events.

Written by kernel/trace/trace_events.c (t_show): one `category:name` a line. The events of ftrace
itself (category ftrace) are not in it though they have folders; neither are those of modules that
are not loaded, nor raw tracepoints without a trace event.
"""

from __future__ import annotations

from .lines import malformed_line, split, text, whole

PATH = "sys/kernel/tracing/available_events"


def find(raw: bytes, category: str, name: str) -> bool:
    """Whether exactly this event is listed. Raises Malformed if the file is cut off."""
    line = f"{category}:{name}\n".encode()
    return whole(raw, PATH).startswith(line) or b"\n" + line in raw


def find_by_name(raw: bytes, name: str) -> tuple[str, ...]:
    """The categories that have an event of exactly this name, in file order.

    Raises Malformed if the file is cut off.
    """
    found = []
    tail = b":" + name.encode() + b"\n"
    at = whole(raw, PATH).find(tail)
    while at >= 0:
        begin = raw.rfind(b"\n", 0, at) + 1
        if begin < at and b":" not in raw[begin:at]:
            found.append(text(raw[begin:at], PATH, begin))
        at = raw.find(tail, at + 1)
    return tuple(found)


def table(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Every (category, name) in file order.

    Raises Malformed at the first line that is not two names with a colon between.
    """
    if is_plain(raw):
        words = raw.decode().replace("\n", ":").split(":")
        return tuple(zip(words[:-1:2], words[1::2], strict=True))
    lines = split(raw, PATH)
    found = []
    for row, line in enumerate(lines):
        category, _, name = line.partition(b":")
        if not category or not name or b":" in name or not line.isascii():
            raise malformed_line(PATH, lines, row, "category:name")
        found.append((category.decode(), name.decode()))
    return tuple(found)


def is_plain(raw: bytes) -> bool:
    """Every line is two names of ASCII with one colon between; False also where that would have to be looked at."""
    import re

    total = raw.count(b"\n")
    return (
        raw.isascii()
        and raw[-1:] == b"\n"
        and raw.count(b":") == total
        and len(re.findall(rb"[^:\n]:[^:\n]", raw)) == total
        and re.search(rb":[^:\n]*:", raw) is None
    )


def names_in(raw: bytes, category: str) -> frozenset[str]:
    """The names of one category. Raises Malformed as `table` does."""
    if not is_plain(raw):
        return frozenset(name for owner, name in table(raw) if owner == category)
    import re

    found = re.findall(rb"^" + re.escape(category.encode()) + rb":(.*)$", raw, re.M)
    return frozenset(b"\n".join(found).decode().split("\n")) if found else frozenset()
