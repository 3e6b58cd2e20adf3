"""What `lint` says: objects, kernels, programs."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import Alternative, KernelInfo
from .verdict import Finding

OPEN, LOAD, ATTACH, LOADED, ATTACHED = "open", "load", "attach", "loaded", "attached"


class ProgramAnswer(NamedTuple):
    """One program on one kernel, for the program alone. `stage`: where it is refused, or how far it gets.

    `left_to_verifier`: nothing was found against it, and the verifier's check of its logic remains.
    """

    name: str
    section: str
    type: str
    autoload: bool
    answer: str
    stage: str
    errno: str | None = None
    findings: tuple[Finding, ...] = ()
    left_to_verifier: bool = False
    alternatives: tuple[Alternative, ...] = ()


class ObjectAnswer(NamedTuple):
    """The object as a skeleton loads it: all programs that load by default, nothing set."""

    answer: str
    stage: str
    errno: str | None = None
    findings: tuple[Finding, ...] = ()


class OnKernel(NamedTuple):
    kernel: KernelInfo
    object: ObjectAnswer
    programs: tuple[ProgramAnswer, ...]


class LintedObject(NamedTuple):
    """One compiled object: where it lies, what it is, and its answers by kernel."""

    path: str
    sha256: str
    license: str
    kernels: tuple[OnKernel, ...]


class _LintReport(NamedTuple):
    objects: tuple[LintedObject, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    unread: tuple[Unread, ...] = ()


class LintReport(Document, _LintReport):
    """`probe-scout lint`. `skipped`: files that hold no object, with the reason; `unread`: facts of the kernels."""

    __slots__ = ()
    COMMAND = "lint"
