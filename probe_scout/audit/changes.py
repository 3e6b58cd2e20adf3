"""What appeared, went, grew and was replaced since an earlier audit, whose JSON document is the other side.

Ids and process numbers differ between boots and restarts, so attachments are told apart by what they are on and by
the program's name; several alike are counted. A count that grows is how leaks look. Where the counts agree, the
programs themselves are compared: another program of the same name at the same place is a replaced one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import UsageError
from ..model.audit_diff import (
    APPEARED,
    GONE,
    GREW,
    LOADED,
    REPLACED,
    SHRANK,
    AuditChange,
    AuditDiff,
    ProgramState,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model.audit import AuditReport

SCHEMA = "probe-scout/audit/1"
_KEY = ("attach", "target", "module", "offset", "hook", "netns", "event")
_TOLERANCE_S = 2  # load times are worked out from two clocks, and rounded
_Key = tuple[Any, ...]
_NO_AUDIT = f"--diff: not a document of audit --json ({SCHEMA})"


class _Sum:
    __slots__ = ("count", "missed", "owners", "programs", "type")

    def __init__(self) -> None:
        self.count = 0
        self.missed: int | None = None
        self.owners: dict[str, None] = {}
        self.programs: list[ProgramState] = []
        self.type: str | None = None

    def add(
        self, missed: int | None, owners: Iterable[str], programs: Iterable[ProgramState], kind: str | None
    ) -> None:
        self.count += 1
        if missed is not None:
            self.missed = (self.missed or 0) + missed
        self.owners.update(dict.fromkeys(owners))
        self.programs += programs
        self.type = self.type or kind


class _Side(NamedTuple):
    sums: dict[_Key, _Sum]
    boot: str | None

    def sum(self, key: _Key) -> _Sum:
        return self.sums.setdefault(key, _Sum())


def since(old: object, now: AuditReport) -> AuditDiff:
    """The changes from an earlier document. Raises UsageError if it is none of `audit --json`."""
    return _changes(_of_document(old), now)


def between(before: AuditReport, now: AuditReport) -> AuditDiff:
    """The changes from an earlier report."""
    return _changes(_of_report(before), now)


def _changes(before: _Side, now: AuditReport) -> AuditDiff:
    after = _of_report(now)
    same_boot = None if before.boot is None or after.boot is None else before.boot == after.boot
    changes = []
    keys = {*before.sums, *after.sums}
    for key in sorted(keys, key=lambda key: tuple("" if part is None else str(part) for part in key)):
        one, other = before.sums.get(key, _Sum()), after.sums.get(key, _Sum())
        missed = one.missed is not None and other.missed is not None and other.missed > one.missed
        gone, new = _apart(one.programs, other.programs, same_boot)
        if not one.count:
            change = APPEARED
        elif not other.count:
            change = GONE
        elif one.count == other.count and gone and new:
            change = REPLACED
        elif one.count != other.count or missed:
            change = GREW if other.count > one.count or missed else SHRANK
        else:
            continue
        owners = tuple((other if other.count else one).owners)
        attach, target, module, offset, hook, netns, event, name, kind = key
        place = attach, target, module, offset, hook, netns, event, name
        counts = one.count, other.count, one.missed, other.missed
        differs = _differs(gone, new) if change == REPLACED else ()
        kind = kind or other.type or one.type
        changes.append(AuditChange(change, *place, *counts, owners, kind, gone, new, differs))
    return AuditDiff(now.kernel, tuple(changes), same_boot)


def _apart(
    before: list[ProgramState], after: list[ProgramState], same_boot: bool | None
) -> tuple[tuple[ProgramState, ...], tuple[ProgramState, ...]]:
    """The programs of one side that are not on the other. What one side does not tell is no difference."""
    left = list(after)
    gone = []
    for one in before:
        same = next((other for other in left if _is_same(one, other, same_boot)), None)
        if same is None:
            gone.append(one)
        else:
            left.remove(same)
    return tuple(gone), tuple(left)


def _is_same(one: ProgramState, other: ProgramState, same_boot: bool | None) -> bool:
    """Whether both are one program: within a boot by its id, which the kernel gives anew only after 2^31 others.

    bpf_prog_alloc_id in kernel/bpf/syscall.c: idr_alloc_cyclic. Where the boots are not known to be the same or
    others, the time of loading decides too.
    """
    if _differ(one.tag, other.tag) or _differ(one.uid, other.uid):
        return False
    if same_boot is False:
        return True
    return one.id == other.id and (same_boot is True or not _is_later(one.loaded, other.loaded))


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _is_later(one: str | None, other: str | None) -> bool:
    """Whether two load times are more apart than their rounding."""
    if not _differ(one, other):
        return False
    from datetime import datetime

    try:
        return abs((datetime.fromisoformat(str(one)) - datetime.fromisoformat(str(other))).total_seconds()) > (
            _TOLERANCE_S
        )
    except (ValueError, TypeError):
        return True


def _differs(gone: tuple[ProgramState, ...], new: tuple[ProgramState, ...]) -> tuple[str, ...]:
    """What is another in the programs that took the place: of several, what differs in any pair."""
    pairs = list(zip(gone, new, strict=False))
    return tuple(
        name
        for name in ("tag", "id", "loaded", "uid")
        if any(_differ(getattr(one, name), getattr(other, name)) for one, other in pairs)
    )


def _of_report(now: AuditReport) -> _Side:
    side = _Side({}, now.boot)
    for one in now.attachments:
        programs = (one.prog, *one.programs) if one.prog else one.programs
        states = [ProgramState(prog.id, prog.tag, prog.loaded, prog.uid) for prog in programs]
        key = (*(getattr(one, name) for name in _KEY), one.prog.name if one.prog else None, None)
        owners = (owner.comm or str(owner.pid) for owner in one.owners)
        side.sum(key).add(one.missed, owners, states, one.prog.type if one.prog else None)
    for held in now.loaded:
        prog = held.prog
        state = ProgramState(prog.id, prog.tag, prog.loaded, prog.uid)
        owners = (owner.comm or str(owner.pid) for owner in held.owners)
        side.sum(_loaded_key(prog.name, prog.type)).add(None, owners, [state], prog.type)
    return side


def _loaded_key(name: str | None, kind: str | None) -> _Key:
    return (LOADED, *(None,) * (len(_KEY) - 1), name, kind)


def _of_document(old: object) -> _Side:
    if not isinstance(old, dict) or old.get("schema") != SCHEMA:
        raise UsageError(_NO_AUDIT)
    boot = old.get("boot")
    side = _Side({}, boot if isinstance(boot, str) else None)
    try:
        for one in old["attachments"]:
            prog = one["prog"]
            programs = [*([prog] if prog else ()), *(one.get("programs") or ())]
            key = (*(_plain(one.get(name)) for name in _KEY), _plain(prog["name"]) if prog else None, None)
            missed = one.get("missed")
            if missed is not None and not isinstance(missed, int):
                raise TypeError
            kind = prog.get("type") if prog else None
            side.sum(key).add(missed, _owners(one), [_state(each) for each in programs], kind)
        for one in old["loaded"]:
            prog = one["prog"]
            kind = _plain(prog.get("type"))
            side.sum(_loaded_key(_plain(prog["name"]), kind)).add(None, _owners(one), [_state(prog)], kind)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(f"{_NO_AUDIT}: its attachments are not as audit writes them") from None
    return side


def _owners(one: dict[str, Any]) -> list[str]:
    return [str(owner.get("comm") or owner["pid"]) for owner in one["owners"]]


def _state(prog: dict[str, Any]) -> ProgramState:
    return ProgramState(int(prog["id"]), *(_plain(prog.get(name)) for name in ("tag", "loaded", "uid")))


def _plain(value: Any) -> Any:
    """A value that can be compared. Raises TypeError for lists and objects."""
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError
