"""What changed between two audits."""

from __future__ import annotations

from typing import NamedTuple

from .report import KernelInfo

APPEARED, GONE, GREW, SHRANK = "appeared", "gone", "grew", "shrank"


class AuditChange(NamedTuple):
    """Attachments of one kind on one target by programs of one name: how many there were and are.

    `missed_before` and `missed_after` where calls were missed meanwhile (then `change` may be grew with equal counts).
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


class AuditDiff(NamedTuple):
    """`probe-scout audit --diff OLD.json`. Empty `changes`: nothing appeared, went or grew."""

    kernel: KernelInfo
    changes: tuple[AuditChange, ...]
