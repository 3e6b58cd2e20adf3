"""What appeared, went, grew and was replaced since an earlier audit, whose JSON document is the other side.

Ids and process numbers differ between boots and restarts, so attachments are told apart by what they are on and by
the program's name; several alike are counted. A count that grows is how leaks look. Where the counts agree, the
programs themselves are compared: another program of the same name at the same place is a replaced one.
"""

from __future__ import annotations

from ...errors import UsageError
from ...model.audit import LOADED, Attachment, Loaded, Owner, ProgramRef
from ...model.audit_diff import APPEARED, GONE, GREW, REPLACED, SHRANK, AuditChange, AuditDiff, ProgramState
from ...named_tuple import NamedTuple
from . import allow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ...model.audit import AuditReport
    from .allow import Line

    _Key = tuple[Any, ...]

SCHEMA = "probe-scout/audit/1"
_KEY = ("attach", "target", "module", "offset", "hook", "netns", "event")
_TOLERANCE_S = 2  # load times are worked out from two clocks, and rounded
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


def since(old: object, now: AuditReport, allowed: Sequence[Line] = ()) -> AuditDiff:
    """The changes from an earlier document. Raises UsageError if it is none of `audit --json`.

    What `allowed` lets pass is compared on neither side.
    """
    return _changes(_of_document(old, allowed), allow.without(now, allowed) if allowed else now)


def between(before: AuditReport, now: AuditReport) -> AuditDiff:
    """The changes from an earlier report."""
    return _changes(_side(before.attachments, before.loaded, before.boot), now)


def _changes(before: _Side, now: AuditReport) -> AuditDiff:
    after = _side(now.attachments, now.loaded, now.boot)
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
    return AuditDiff(now.kernel, tuple(changes), same_boot, now.unread)


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


def _side(attachments: Iterable[Attachment], loaded: Iterable[Loaded], boot: str | None) -> _Side:
    side = _Side({}, boot)
    for one in (*attachments, *(each.as_attachment() for each in loaded)):
        programs = (one.prog, *one.programs) if one.prog else one.programs
        states = [ProgramState(prog.id, prog.tag, prog.loaded, prog.uid) for prog in programs]
        kind = one.prog.type if one.prog else None
        name = one.prog.name if one.prog else None
        key = (*(getattr(one, key) for key in _KEY), name, kind if one.attach == LOADED else None)
        side.sum(key).add(one.missed, (owner.comm or str(owner.pid) for owner in one.owners), states, kind)
    return side


def _of_document(old: object, allowed: Sequence[Line]) -> _Side:
    if not isinstance(old, dict) or old.get("schema") != SCHEMA:
        raise UsageError(_NO_AUDIT)
    boot = old.get("boot")
    try:
        attachments = [_attachment(one) for one in old["attachments"]]
        loaded = [Loaded(_program(one["prog"]), _owners(one), _texts(one["pins"])) for one in old["loaded"]]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(f"{_NO_AUDIT}: its attachments are not as audit writes them") from None
    if allowed:
        attachments = [one for one in attachments if not allow.is_allowed(one, allowed)]
        loaded = [one for one in loaded if not allow.is_allowed(one.as_attachment(), allowed)]
    return _side(attachments, loaded, boot if isinstance(boot, str) else None)


def _attachment(one: dict[str, Any]) -> Attachment:
    """An attachment of a document, as far as changes and allow lists look at it."""
    missed = one.get("missed")
    if missed is not None and not isinstance(missed, int):
        raise TypeError
    attach, target, module, offset, hook, netns, event = (_plain(one.get(name)) for name in _KEY)
    return Attachment(
        attach,
        target,
        module,
        offset,
        _program(one["prog"]) if one["prog"] else None,
        owners=_owners(one),
        pins=_texts(one.get("pins") or ()),
        missed=missed,
        event=event,
        hook=hook,
        netns=netns,
        programs=tuple(map(_program, one.get("programs") or ())),
    )


def _owners(one: dict[str, Any]) -> tuple[Owner, ...]:
    names = ("cgroup", "container", "exe", "exe_deleted", "cmdline", "uid", "user", "thread")
    return tuple(
        Owner(
            int(owner["pid"]), _plain(owner.get("comm")), int(owner["fd"]), *(_plain(owner.get(name)) for name in names)
        )
        for owner in one["owners"]
    )


def _program(prog: dict[str, Any]) -> ProgramRef:
    return ProgramRef(int(prog["id"]), *(_plain(prog.get(name)) for name in ("type", "name", "tag", "loaded", "uid")))


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(map(str, values))


def _plain(value: Any) -> Any:
    """A value that can be compared. Raises TypeError for lists and objects."""
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError
