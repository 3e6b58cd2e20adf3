"""Ask a guest a list of questions, whatever happens to the guest: panics, hangs, time limits.

Knows the prober's words and no QEMU: a guest is anything that takes questions and gives back an `Ended`.
What is answered is kept in a file at once and never asked again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from .plan import PADDING, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Protocol

    class Guest(Protocol):
        """Boots, lets the prober ask, and ends."""

        def __call__(self, questions: Sequence[Question], careful: bool, timeout_s: float) -> Ended: ...


TIME_LIMIT = 124
LAB_ERROR = 125
PANIC = 126
# A group of answers that a panic swallowed is smaller than this: the guilty question is among so many.
CAREFUL_QUESTIONS = 1000
BOOT_QUESTIONS = 60_000
# Attachments that one guest holds at most: every traced function makes the guest a little slower.
BOOT_ATTACHMENTS = 5000
NOTHING_KEPT = ("_load", "_event", "_field", "_arg")
CAREFUL_TIMEOUT_S = 240.0
BOOTS_WITHOUT_ANSWER_MAX = 3


class Answer(NamedTuple):
    """`errno` is 0, the errno's symbol, `crash` or `hang`."""

    errno: str
    stage: str
    microseconds: int
    message: str


class Ended(NamedTuple):
    """One boot's end: the command's status (TIME_LIMIT, PANIC), the prober's words, the console's last ones."""

    status: int
    answers: str
    words: str
    wall_s: float = 0.0


class Progress(NamedTuple):
    """What the prober said: answers by number, the last question it announced (-1 none), whether it came to the end."""

    answers: dict[int, Answer]
    started: int
    ended: bool


class AskingFailed(Exception):
    """One sentence for the person who asked."""


def parse(text: str, total: int) -> Progress:
    """The prober's answers to `total` questions. A last line without its end was cut off and is left out.

    Raises AskingFailed, with the line's number, for a line that is no answer.
    """
    answers: dict[int, Answer] = {}
    started = -1
    ended = False
    for row, line in enumerate(text.split("\n")[:-1], 1):
        try:
            if ended:
                raise ValueError("behind the END line")
            if line.startswith("END "):
                ended = True
                if int(line[4:]) != total:
                    raise ValueError(f"the prober read {int(line[4:])} questions and {total} were asked")
                continue
            if line.startswith("S "):
                started = _number(line[2:], total)
                continue
            number, errno, stage, microseconds, *message = line.split("\t", 4)
            at = _number(number, total)
            if not errno:
                raise ValueError("no errno")
            answers[at] = Answer(errno, stage, int(microseconds), message[0] if message else "")
        except ValueError as exc:
            raise AskingFailed(f"answers, line {row} is no answer ({exc}): {line[:80]!r}") from None
    if ended and len(answers) != total:
        raise AskingFailed(f"the prober came to its end with {len(answers)} answers to {total} questions")
    return Progress(answers, started, ended)


def _number(text: str, total: int) -> int:
    number = int(text)
    if not 0 <= number < total:
        raise ValueError(f"question {number} of {total}")
    return number


class Record:
    """Answers by question, kept in a file: type, target, more, errno, stage, microseconds, message, by tabs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[Question, Answer] = {}
        if path.exists():
            self.answers.update(read(path))
            self._drop_cut_line()

    def _drop_cut_line(self) -> None:
        """A last line without its end, left by a kill: away with it, so that the next line starts a line."""
        with open(self.path, "r+b") as file:
            raw = file.read()
            file.truncate(raw.rfind(b"\n") + 1)

    def add(self, found: dict[Question, Answer]) -> None:
        """Keeps answers, in memory and on disk."""
        with open(self.path, "a") as out:
            for question, answer in found.items():
                out.write("\t".join((question.type, question.target, question.more, *map(str, answer))) + "\n")
        self.answers.update(found)


def read(path: Path) -> list[tuple[Question, Answer]]:
    """A record's answers, the last word of each question. A last line that was cut off is left out.

    Raises AskingFailed for any other bad line.
    """
    found = {}
    lines = path.read_text().split("\n")
    for row, line in enumerate(lines[:-1], 1):
        cells = line.split("\t", 6)
        if len(cells) != 7 or not cells[5].isdecimal():
            raise AskingFailed(f"{path}, line {row} is no record of an answer: {line[:80]!r}")
        found[Question(*cells[:3])] = Answer(cells[3], cells[4], int(cells[5]), cells[6])
    return list(found.items())


def ask(
    questions: Sequence[Question],
    record: Record,
    guest: Guest,
    *,
    limit_s: float,
    boot_s: float,
    say: Callable[[str], None] = print,
) -> bool:
    """Asks what the record lacks, boot after boot; True when nothing is left, False at the limit.

    After a panic the next boot announces each question before it asks; the one that took the guest down is
    recorded as `crash` (`hang` if the guest only stopped answering) and passed over. Raises AskingFailed when
    guests end again and again without an answer.
    """
    until = time.monotonic() + limit_s
    careful = False
    idle = 0
    pending = [q for q in questions if q not in record.answers]
    while pending:
        left_s = until - time.monotonic()
        if left_s < min(boot_s, 60.0):
            return False
        part = pending[:CAREFUL_QUESTIONS] if careful else one_boot(pending)
        ended = guest(part, careful, min(left_s, CAREFUL_TIMEOUT_S if careful else boot_s))
        if ended.status == LAB_ERROR:
            raise AskingFailed(f"the lab could not boot the guest: {ended.words.strip()[-400:]}")
        progress = parse(ended.answers, len(part))
        found = {part[n]: answer for n, answer in sorted(progress.answers.items())}
        guilty = _guilty(part, progress, ended) if careful else None
        if guilty:
            found[guilty[0]] = guilty[1]
            say(f"{guilty[1].errno}: {guilty[0].line()}")
        record.add(found)
        pending = [q for q in pending if q not in record.answers]
        say(f"{len(found)} answers in {ended.wall_s:.0f} s, {len(pending)} to go" + _how(progress, ended))
        idle = 0 if found else idle + 1
        if idle >= BOOTS_WITHOUT_ANSWER_MAX:
            words = ended.words.strip()[-400:]
            raise AskingFailed(f"{idle} guests ended (last with status {ended.status}) without an answer: {words}")
        is_slow = ended.status == TIME_LIMIT and found and not careful
        careful = not (progress.ended or guilty or is_slow)
    return True


def one_boot(pending: Sequence[Question]) -> Sequence[Question]:
    """The first of the questions: as many as one guest can be asked while it holds what it attached."""
    attachments = 0
    for number, question in enumerate(pending[:BOOT_QUESTIONS]):
        attachments += not (question.type.endswith(NOTHING_KEPT) or question.target.startswith(PADDING))
        if attachments > BOOT_ATTACHMENTS:
            return pending[:number]
    return pending[:BOOT_QUESTIONS]


def _how(progress: Progress, ended: Ended) -> str:
    if progress.ended:
        return ""
    return {TIME_LIMIT: ", time limit", PANIC: ", the guest ended"}.get(ended.status, f", status {ended.status}")


def _guilty(part: Sequence[Question], progress: Progress, ended: Ended) -> tuple[Question, Answer] | None:
    """The question that was announced and not answered when a careful guest ended."""
    if progress.ended or progress.started < 0 or progress.started in progress.answers:
        return None
    if ended.status == TIME_LIMIT and progress.answers:
        return None  # it may only have been slow; a real one answers nothing at the next boot
    word = "hang" if ended.status == TIME_LIMIT else "crash"
    words = " ".join(ended.words.replace("\t", " ").split("\n"))
    return part[progress.started], Answer(word, word, 0, words[:300])
