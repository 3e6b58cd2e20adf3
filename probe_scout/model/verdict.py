"""Verdicts: what the kernel would answer, by which rule, on what evidence."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .facts import Unread

YES, NO, UNKNOWN = "yes", "no", "unknown"


class Finding(NamedTuple):
    """A rule that fired. `rule` is the permanent id `gate.rule`."""

    rule: str
    says: str
    evidence: str


class Verdict(NamedTuple):
    """The answer for one target and one attach type.

    `errno` is the kernel's own (its name, such as "EINVAL"), set only for *no*; `errno_certain`
    is false where an earlier rule could not be judged. `note` says what a *yes* leaves open
    (accepted but never fires, which copy is taken).
    """

    attach: str
    answer: str
    errno: str | None = None
    errno_certain: bool = True
    findings: tuple[Finding, ...] = ()
    unread: tuple[Unread, ...] = ()
    notes: tuple[Finding, ...] = ()
