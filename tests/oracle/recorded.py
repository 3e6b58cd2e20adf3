"""The packed answers of one kernel: fixtures/answers/NAME.tsv.xz, written by `python -m tests.vm pack`.

Text, packed by xz. Targets with the same answers stand together: a line of answers, led by `=`, then its targets,
one a line, sorted. An answer is four words: type, what more was asked (`-` for nothing), errno (`0`, or `crash` and
`hang`, which are hazards and no answers), stage; answers are parted by tabs. A kfunc's stage has the verifier's
refusal behind it: `load:not_allowed`.
"""

from __future__ import annotations

import lzma
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FIRST_LINE = "probe-scout answers 1"
HAZARDS = ("crash", "hang")


class Answer(NamedTuple):
    """What a kernel said to one question. `errno` is "0" for accepted."""

    type: str
    more: str
    errno: str
    stage: str

    @property
    def ok(self) -> bool:
        """Accepted."""
        return self.errno == "0"


def pack(rows: Iterable[tuple[str, Answer]]) -> bytes:
    """Targets with their answers, in the packed form; the order of the rows does not matter."""
    by_target: dict[str, set[Answer]] = defaultdict(set)
    for target, answer in rows:
        by_target[target].add(answer)
    by_answers: dict[str, list[str]] = defaultdict(list)
    for target, answers in by_target.items():
        key = "\t".join(" ".join(word or "-" for word in answer) for answer in sorted(answers))
        by_answers[key].append(target)
    lines = [FIRST_LINE]
    for key in sorted(by_answers):
        lines.append("=" + key)
        lines += sorted(by_answers[key])
    chain = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 32 << 20}]
    return lzma.compress(("\n".join(lines) + "\n").encode(), filters=chain)


def unpack(raw: bytes) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    """Each target with its answers. Raises ValueError with the line for a file that is none of ours."""
    answers: tuple[Answer, ...] = ()
    for row, line in enumerate(lzma.decompress(raw).decode().splitlines(), 1):
        if row == 1:
            if line != FIRST_LINE:
                raise ValueError(f"line 1 is not {FIRST_LINE!r}: {line[:60]!r}")
        elif line.startswith("="):
            answers = tuple(_answer(text, row) for text in line[1:].split("\t"))
        elif not answers or not line:
            raise ValueError(f"line {row} has no answers: {line[:60]!r}")
        else:
            yield line, answers


def _answer(text: str, row: int) -> Answer:
    words = text.split(" ")
    if len(words) != 4:
        raise ValueError(f"line {row}: not an answer: {text[:60]!r}")
    return Answer(words[0], "" if words[1] == "-" else words[1], words[2], words[3])


def read(path: Path) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    """The packed answers of a file."""
    return unpack(path.read_bytes())
