"""What `verify` reports: a verdict, what the running kernel said, and whether they agree."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .report import KernelInfo
from .verdict import Verdict

# Trial.outcome, a promise of the JSON contract
EQUAL = "equal"  # the same answer, and the same errno where the verdict was certain of it
SETTLED = "settled"  # the verdict was unknown, and the kernel answered
DIFFERENT = "different"  # yes against no
OTHER_ERRNO = "other_errno"  # no against no, by another errno than the one predicted
REFUSED = "refused"  # not tried: it can harm the kernel, or that cannot be ruled out
UNASKED = "unasked"  # tried or wanted, and no answer that says something about the target
PLANNED = "planned"  # --dry


class Trial(NamedTuple):
    """One target and attach type.

    `answer`: yes, no, or "" where the kernel gave none. `stage` is where it refused: load, open (perf), attach, or
    lookup: a loader finds no such name, so the kernel is not asked. `says`: the verifier's words, or why not asked.
    """

    target: str
    attach: str
    verdict: Verdict
    outcome: str
    answer: str = ""
    errno: str = ""
    stage: str = ""
    says: str = ""


class BugReport(NamedTuple):
    """A difference, ready to be sent: `title` in one line, `body` as text."""

    title: str
    body: str


class _VerifyReport(NamedTuple):
    kernel: KernelInfo
    dry: bool
    caller: str
    trials: tuple[Trial, ...]
    reports: tuple[BugReport, ...] = ()


class VerifyReport(Document, _VerifyReport):
    """`probe-scout verify`. `caller` as in CheckReport; `dry` when nothing was asked."""

    __slots__ = ()
    COMMAND = "verify"
