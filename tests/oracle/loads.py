"""Recorded loads from events' records: fixtures/tp_field/NAME.txt.xz, written by `python -m tests.vm fields --pack`.

Text, packed by xz. An event is a line `event CATEGORY:NAME`, the field lines of its format file, and one line for each
word that the kernel said, `WORD OFFSET:SIZE …`, with every load that got this word. The words: `ok`, `STAGE:ERRNO`.
Events whose fields and answers are the same stand together: `event` lines one below the other.
"""

from __future__ import annotations

import lzma
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FIRST_LINE = "probe-scout loads 1"
OK = "ok"


class Event(NamedTuple):
    """One event: the format file's lines from the first field on, and the kernel's word for each (offset, size)."""

    name: str
    fields: str
    said: dict[tuple[int, int], str]

    def format(self) -> bytes:
        """A format file with these fields; its ID and print fmt are not the kernel's."""
        name = self.name.partition(":")[2]
        return f'name: {name}\nID: 1\nformat:\n{self.fields}\n\nprint fmt: ""\n'.encode()


def fields_of(text: str) -> str:
    """The part of a format file that is kept: from the first field to the last."""
    return text.partition("\nformat:\n")[2].partition("\n\nprint fmt: ")[0]


def word(errno: str, stage: str) -> str:
    """The kernel's word for an answer."""
    return OK if errno == "0" else f"{stage}:{errno}"


def pack(events: Iterable[Event]) -> bytes:
    """The packed form; the order of the events does not matter."""
    same: dict[str, list[str]] = defaultdict(list)
    for event in events:
        by_word: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for load, said in sorted(event.said.items()):
            by_word[said].append(load)
        answers = "\n".join(
            f"{said} " + " ".join(f"{offset}:{size}" for offset, size in by_word[said]) for said in sorted(by_word)
        )
        same[f"{event.fields}\n{answers}"].append(event.name)
    lines = [FIRST_LINE]
    for body, names in sorted(same.items(), key=lambda item: min(item[1])):
        lines += [f"event {name}" for name in sorted(names)]
        lines.append(body)
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 16 << 20}]
    return lzma.compress(("\n".join(lines) + "\n").encode(), filters=chain)


def unpack(raw: bytes) -> Iterator[Event]:
    """Each event. Raises ValueError with the line for a file that is none of ours."""
    lines = lzma.decompress(raw).decode().split("\n")
    if lines[0] != FIRST_LINE or lines.pop():
        raise ValueError(f"line 1 is not {FIRST_LINE!r}, or the last line has no end: {lines[0][:60]!r}")
    names: list[str] = []
    fields: list[str] = []
    said: dict[tuple[int, int], str] = {}
    for row, line in enumerate(lines[1:], 2):
        if line.startswith("event "):
            if said:
                yield from (Event(name, "\n".join(fields), said) for name in names)
                names, fields, said = [], [], {}
            names.append(line[6:])
        elif not names:
            raise ValueError(f"line {row} belongs to no event: {line[:60]!r}")
        elif not line or line.startswith("\t"):
            fields.append(line)
        else:
            key, *loads = line.split(" ")
            try:
                said.update(((int(offset), int(size)), key) for offset, size in (load.split(":") for load in loads))
            except ValueError:
                raise ValueError(f"line {row} is no list of loads: {line[:60]!r}") from None
    yield from (Event(name, "\n".join(fields), said) for name in names)


def read(path: Path) -> Iterator[Event]:
    """The events of a file."""
    return unpack(path.read_bytes())
