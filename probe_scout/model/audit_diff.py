"""What changed between two audits."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import KernelInfo

APPEARED, GONE, GREW, SHRANK, REPLACED = "appeared", "gone", "grew", "shrank", "replaced"


class ProgramState(NamedTuple):
    """What tells one program from another of the same name. `loaded` in UTC; None where it was not told."""

    id: int
    tag: str | None
    loaded: str | None
    uid: int | None


class AuditChange(NamedTuple):
    """Attachments of one kind on one target by programs of one name: how many there were and are.

    `missed_before` and `missed_after` where calls were missed meanwhile (then `change` may be grew with equal counts).
    `attach` is `loaded` for programs that are attached nowhere; `prog_type` is then told, and `target` is None.
    `programs_gone` and `programs_new`: the programs of one side that the other has not. `differs`: of a replaced
    program what is another: tag, id, loaded, uid.
    """

    change: str
    attach: str
    target: str | None
    module: str | None
    offset: int | None
    hook: str | None
    netns: str | None
    event: str | None
    prog_name: str | None
    before: int
    after: int
    missed_before: int | None
    missed_after: int | None
    owners: tuple[str, ...]
    prog_type: str | None = None
    programs_gone: tuple[ProgramState, ...] = ()
    programs_new: tuple[ProgramState, ...] = ()
    differs: tuple[str, ...] = ()


class _AuditDiff(NamedTuple):
    kernel: KernelInfo
    changes: tuple[AuditChange, ...]
    same_boot: bool | None = None
    unread: tuple[Unread, ...] = ()  # of the later audit


class AuditDiff(Document, _AuditDiff):
    """`probe-scout audit --diff OLD.json`. Empty `changes`: nothing appeared, went, grew or was replaced.

    `same_boot` is None where one of the two audits does not tell its boot. Between boots every id is another, so that
    programs are then told apart by tag and user alone.
    """

    __slots__ = ()
    COMMAND = "audit-diff"
