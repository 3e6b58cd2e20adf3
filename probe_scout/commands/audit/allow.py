"""What an allow list lets pass: `audit --allow FILE`, alone (all else is told) and with `--diff` (it is not compared).

A line is words KEY=PATTERN, all of which must fit; `#` begins a comment, quotes are the shell's. Patterns are globs.
"""

from __future__ import annotations

import io

from ...errors import UsageError
from ...model.audit import NOT_ALLOWED, WARNING, AuditFinding
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...model.audit import Attachment, AuditReport, Owner, ProgramRef

_PLACE = ("attach", "target", "hook", "netns", "event")
_PROGRAM = {"program": "name", "type": "type", "tag": "tag", "prog_uid": "uid"}
_OWNER = ("comm", "exe", "user", "container")
KEYS = (*_PLACE, *_PROGRAM, *_OWNER, "pin")
_SAYS = "No line of the allow list has this."

_BYTES_MAX = 16 << 20


class Line(NamedTuple):
    """(key, pattern) of each word."""

    words: tuple[tuple[str, str], ...]


def read(path: str) -> tuple[Line, ...]:
    """The lines of a file. Raises UsageError with the line that is none."""
    try:
        with open(path, "rb") as handle:
            raw = handle.read(_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"--allow {path}: {error.strerror or error}") from None
    if len(raw) > _BYTES_MAX:
        raise UsageError(f"--allow {path}: larger than {_BYTES_MAX >> 20} MiB, not a list")
    return lines(io.StringIO(raw.decode("utf-8", "surrogateescape"), newline=None), path)


def lines(text: Iterable[str], path: str) -> tuple[Line, ...]:
    """The lines of a text, whose file is `path` in messages. Raises UsageError."""
    import shlex

    found = []
    for number, line in enumerate(text, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"--allow {path}: line {number}: {error}") from None
        pairs = []
        for word in words:
            key, equals, pattern = word.partition("=")
            if not equals or key not in KEYS:
                raise UsageError(f"--allow {path}: line {number}: {word!r} is not KEY=PATTERN; keys: {' '.join(KEYS)}")
            pairs.append((key, pattern))
        if pairs:
            found.append(Line(tuple(pairs)))
    return tuple(found)


def is_allowed(row: Attachment, allowed: Sequence[Line]) -> bool:
    """Whether a line fits. Of several programs and owners each must fit; what is not told fits no pattern but `*`."""
    return any(all(_fits(row, key, pattern) for key, pattern in line.words) for line in allowed)


def _fits(row: Attachment, key: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    if pattern == "*":
        return True
    if key in _PROGRAM:
        programs: tuple[ProgramRef, ...] = (row.prog, *row.programs) if row.prog else row.programs
        values = [getattr(prog, _PROGRAM[key]) for prog in programs]
    elif key in _OWNER:
        owners: tuple[Owner, ...] = row.owners
        values = [getattr(owner, key) for owner in owners]
    elif key == "pin":
        values = list(row.pins)
    else:
        value = getattr(row, key)
        if key == "target" and row.module and fnmatchcase(f"{row.module}:{value}", pattern):
            return True
        values = [value]
    return bool(values) and all(value is not None and fnmatchcase(str(value), pattern) for value in values)


def without(report: AuditReport, allowed: Sequence[Line]) -> AuditReport:
    """The report without what is allowed."""
    return report._replace(
        attachments=tuple(one for one in report.attachments if not is_allowed(one, allowed)),
        loaded=tuple(one for one in report.loaded if not is_allowed(one.as_attachment(), allowed)),
    )


def told(report: AuditReport, allowed: Sequence[Line]) -> AuditReport:
    """The report with a finding on each attachment and each loaded program that no line allows."""
    attachments = tuple(
        one if is_allowed(one, allowed) else one._replace(findings=(*one.findings, _finding(one)))
        for one in report.attachments
    )
    loaded = tuple(
        one if is_allowed(one.as_attachment(), allowed) else one._replace(findings=(_finding(one.as_attachment()),))
        for one in report.loaded
    )
    return report._replace(attachments=attachments, loaded=loaded)


def _finding(row: Attachment) -> AuditFinding:
    """The finding, whose evidence is a line that would allow the row."""
    import shlex

    words = [("attach", row.attach), ("target", row.target), ("hook", row.hook)]
    if row.prog:
        words += [("program", row.prog.name), ("tag", row.prog.tag)]
    line = " ".join(f"{key}={shlex.quote(_literal(value))}" for key, value in words if value is not None)
    return AuditFinding(NOT_ALLOWED, WARNING, _SAYS, line)


def _literal(text: str) -> str:
    """A pattern that fits this text alone."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)
