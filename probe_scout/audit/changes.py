"""What appeared, went and grew since an earlier audit, whose JSON document is the other side.

Ids and process numbers differ between boots and restarts, so attachments are told apart by what they are on and by
the program's name; several alike are counted. A count that grows is how leaks look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..model.audit_diff import APPEARED, GONE, GREW, SHRANK, AuditChange, AuditDiff

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.audit import AuditReport

SCHEMA = "probe-scout/audit/1"
_KEY = ("attach", "target", "module", "offset", "hook", "netns", "event")
_Key = tuple[Any, ...]


class _Sum:
    __slots__ = ("count", "missed", "owners")

    def __init__(self) -> None:
        self.count = 0
        self.missed: int | None = None
        self.owners: dict[str, None] = {}

    def add(self, missed: int | None, owners: Iterable[str]) -> None:
        self.count += 1
        if missed is not None:
            self.missed = (self.missed or 0) + missed
        self.owners.update(dict.fromkeys(owners))


def since(old: object, now: AuditReport) -> AuditDiff:
    """The changes from an earlier document. Raises UsageError if it is none of `audit --json`."""
    return _changes(_of_document(old), now)


def between(before: AuditReport, now: AuditReport) -> AuditDiff:
    """The changes from an earlier report."""
    return _changes(_of_report(before), now)


def _changes(before: dict[_Key, _Sum], now: AuditReport) -> AuditDiff:
    after = _of_report(now)
    changes = []
    for key in sorted({*before, *after}, key=lambda key: tuple("" if part is None else str(part) for part in key)):
        one, other = before.get(key, _Sum()), after.get(key, _Sum())
        missed = one.missed is not None and other.missed is not None and other.missed > one.missed
        if one.count == other.count and not missed:
            continue
        if not one.count:
            change = APPEARED
        elif not other.count:
            change = GONE
        else:
            change = GREW if other.count > one.count or missed else SHRANK
        owners = tuple((other if other.count else one).owners)
        attach, target, module, offset, hook, netns, event, name = key
        counts = one.count, other.count, one.missed, other.missed
        changes.append(AuditChange(change, attach, target, module, offset, hook, netns, event, name, *counts, owners))
    return AuditDiff(now.kernel, tuple(changes))


def _of_report(now: AuditReport) -> dict[_Key, _Sum]:
    found: dict[_Key, _Sum] = {}
    for one in now.attachments:
        key = (*(getattr(one, name) for name in _KEY), one.prog.name if one.prog else None)
        found.setdefault(key, _Sum()).add(one.missed, (owner.comm or str(owner.pid) for owner in one.owners))
    return found


def _of_document(old: object) -> dict[_Key, _Sum]:
    found: dict[_Key, _Sum] = {}
    try:
        if not isinstance(old, dict) or old["schema"] != SCHEMA:
            raise UsageError(f"--diff: not a document of audit --json ({SCHEMA})")
        for one in old["attachments"]:
            prog = one["prog"]
            key = (*(one.get(name) for name in _KEY), prog["name"] if prog else None)
            owners = (owner.get("comm") or str(owner["pid"]) for owner in one["owners"])
            found.setdefault(key, _Sum()).add(one.get("missed"), owners)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"--diff: not a document of audit --json: {type(error).__name__} {error}") from None
    return found
