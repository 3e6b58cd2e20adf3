"""A fleet: the answers for every function of many builds, kept in one file."""

from __future__ import annotations

from ..named_tuple import NamedTuple

ABSENT = "absent"  # the build has no function of this name


class Build(NamedTuple):
    """One kept build. `partial`: its snapshot held a part of the kernel. `judged_by`: the version and rules."""

    release: str
    build_id: str
    arch: str
    functions: int
    partial: bool
    judged_by: str
    added: str


class Added(NamedTuple):
    """What became of one snapshot. `outcome`: added, again (judged anew), kept (nothing to do), error."""

    root: str
    outcome: str
    release: str = ""
    build_id: str = ""
    functions: int = 0
    says: str = ""


class AddReport(NamedTuple):
    """`fleet add`."""

    store: str
    added: tuple[Added, ...]


class ListReport(NamedTuple):
    """`fleet list`. `names` and `verdicts`: how many different ones are kept."""

    store: str
    builds: tuple[Build, ...]
    names: int
    verdicts: int


class Answer(NamedTuple):
    """One function on one build. `state`: kept, absent, not_recorded. `errno` only for no."""

    target: str
    module: str | None
    release: str
    build_id: str
    state: str
    answers: dict[str, str]
    errno: dict[str, str]


class Count(NamedTuple):
    """One function and one attach type over all builds: how many answer so. `refused_on`: releases that say no."""

    target: str
    module: str | None
    attach: str
    yes: int
    no: int
    unknown: int
    absent: int
    refused_on: tuple[str, ...]


class AskReport(NamedTuple):
    """`fleet ask`: `answers` for a name, `counts` for a pattern. `old`: builds judged by other rules than today's."""

    store: str
    builds: int
    answers: tuple[Answer, ...]
    counts: tuple[Count, ...]
    old: tuple[str, ...] = ()


class Change(NamedTuple):
    """One function whose answer for one attach type differs between two builds; answers may be "absent"."""

    target: str
    module: str | None
    attach: str
    answer_a: str
    errno_a: str | None
    answer_b: str
    errno_b: str | None


class FleetDiff(NamedTuple):
    """`fleet diff A B`."""

    store: str
    a: Build
    b: Build
    changes: tuple[Change, ...]


class Host(NamedTuple):
    """One host, by the name of the file it sent. `build`: its build-id; `is_kept`: that build is here."""

    name: str
    release: str
    build: str
    taken: str
    attached: int
    is_kept: bool


class HostsReport(NamedTuple):
    """`fleet hosts`."""

    store: str
    hosts: tuple[Host, ...]


class Unowned(NamedTuple):
    """Programs on one target that no process and no pin holds: on so many hosts, the first of them by name."""

    attach: str
    target: str | None
    hosts: int
    examples: tuple[str, ...]


class UnownedReport(NamedTuple):
    """`fleet unowned`."""

    store: str
    unowned: tuple[Unowned, ...]


class Lost(NamedTuple):
    """One attachment that a build would not take: `answer` no, absent or unknown; on so many hosts."""

    attach: str
    target: str | None
    owner: str
    answer: str
    errno: str | None
    hosts: int
    examples: tuple[str, ...]


class LostReport(NamedTuple):
    """`fleet upgrade A B`. `hosts`: how many run A."""

    store: str
    a: Build
    b: Build
    hosts: int
    lost: tuple[Lost, ...]
