"""Hosts of a fleet: what is attached where, what nobody owns, and which hosts lose what by an upgrade."""

from __future__ import annotations

from ...errors import UsageError
from ...model.fleet import ABSENT, Host, HostsReport, Lost, LostReport, Unowned, UnownedReport
from ...model.verdict import NO, UNKNOWN, YES
from ...named_tuple import NamedTuple
from . import _build, _Reader, key, named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...model.audit import Attachment
    from ...model.report import KernelInfo
    from ...sources.fleet_store import Row, Store

_HOSTS_SHOWN = 5
NO_PROGRAM = "no program"  # of tracefs, ftrace and the like: nobody holds those by a descriptor


class Sent(NamedTuple):
    """What a host sent: `attached` holds (attach type, target, owner) once for each attachment; owner "" is nobody."""

    name: str
    kernel: KernelInfo
    attached: tuple[tuple[str, str, str], ...]


def rows(attachments: Iterable[Attachment]) -> list[tuple[str, str, str]]:
    """Attachments as a fleet keeps them."""
    return [(one.attach, _target(one), _owner(one)) for one in attachments]


def _target(one: Attachment) -> str:
    """The first of several places stands for them; "" where the kernel does not tell."""
    if one.target is None and one.places and one.places[0].symbol:
        return f"{one.places[0].module}:{one.places[0].symbol}" if one.places[0].module else one.places[0].symbol
    return f"{one.module}:{one.target}" if one.module and one.target else one.target or ""


def _owner(one: Attachment) -> str:
    names = sorted({owner.comm or str(owner.pid) for owner in one.owners})
    if names:
        return " ".join(names)
    if one.pins:
        return f"pin {one.pins[0]}"
    return "" if one.prog is not None or one.link is not None else NO_PROGRAM


def keep(store: Store, sent: Sent) -> bool:
    """Put a host into the store; whether it was there before. Raises UsageError for a kernel without a build-id."""
    key(sent.kernel)
    return store.put_host(sent.name, sent.kernel.build_id, sent.kernel.release, sent.kernel.taken, sent.attached)


def listed(store: Store) -> HostsReport:
    """Every host, by name."""
    known = {row[2] for row in store.builds()}
    return HostsReport(
        store.path,
        tuple(
            Host(name, release, build, taken, many, build in known)
            for name, release, build, taken, many in store.hosts()
        ),
    )


def unowned(store: Store) -> UnownedReport:
    """Programs that are attached while no process and no pin holds them, by what they are on."""
    found = store.unowned(_HOSTS_SHOWN)
    return UnownedReport(
        store.path,
        tuple(Unowned(attach, target or None, count, tuple(names)) for attach, target, count, names in found),
    )


def upgrade(store: Store, a: str, b: str) -> LostReport:
    """What hosts on build `a` have attached that build `b` refuses, lacks, or cannot be told of."""
    row_a, row_b = named(store, a), named(store, b)
    reader = _Reader(store)
    hosts, found = store.attached_on(row_a[2], _HOSTS_SHOWN)
    lost = []
    for attach, target, owner, count, names in found:
        told = _answer(store, reader, row_b, attach, target)
        if told is not None and told[0] != YES:
            answer, errno = told
            lost.append(Lost(attach, target or None, owner, answer, errno, count, tuple(names)))
    return LostReport(store.path, _build(row_a), _build(row_b), hosts, tuple(lost))


def _answer(store: Store, reader: _Reader, build: Row, attach: str, target: str) -> tuple[str, str | None] | None:
    """Answer and errno of a build for an attachment; None for what is on no function of a kernel."""
    from ...model.attach import for_kind
    from ...model.target import FUNCTION, read

    if attach not in for_kind(FUNCTION):
        return None
    if not target:
        return UNKNOWN, None
    try:
        asked = read(target).target
    except UsageError:
        return None
    if asked.kind != FUNCTION:
        return UNKNOWN, None
    found = [
        (row, told) for row in store.named(asked.name, asked.module) if (told := reader.at(row, build[0])) is not None
    ]
    if not found:
        return (UNKNOWN if build[5] else ABSENT), None
    said = [(answers.get(attach, UNKNOWN), errno.get(attach)) for _, (answers, errno) in found]
    order: Sequence[str] = (YES, UNKNOWN, NO)
    return min(said, key=lambda one: order.index(one[0]))
