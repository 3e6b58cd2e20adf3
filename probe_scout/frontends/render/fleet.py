"""`fleet` for people and for tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.fleet import (
    AddReport,
    Answer,
    AskReport,
    FleetDiff,
    HostsReport,
    ListReport,
    LostReport,
    UnownedReport,
)
from . import table
from .style import Style

Rows = tuple[Sequence[str], list[list[str]]]


def add_rows(report: AddReport) -> Rows:
    """A row for each snapshot."""
    heads = ("outcome", "release", "build_id", "functions", "snapshot", "says")
    return heads, [
        [one.outcome, one.release, one.build_id, str(one.functions or ""), one.root, one.says] for one in report.added
    ]


def list_rows(report: ListReport) -> Rows:
    """A row for each build."""
    heads = ("release", "build_id", "arch", "functions", "partial", "added", "judged_by")
    return heads, [
        [b.release, b.build_id, b.arch, str(b.functions), "partial" if b.partial else "", b.added, b.judged_by]
        for b in report.builds
    ]


def ask_rows(report: AskReport) -> Rows:
    """A row for each build of one name, or for each function and attach type of a pattern."""
    if report.answers:
        types = list(dict.fromkeys(attach for one in report.answers for attach in one.answers))
        heads = ("release", "build_id", "module", "state", *types)
        return heads, [_answer(one, types) for one in report.answers]
    heads = ("function", "module", "attach", "yes", "no", "unknown", "absent", "refused_on")
    return heads, [
        [c.target, c.module or "", c.attach, *map(str, (c.yes, c.no, c.unknown, c.absent)), " ".join(c.refused_on)]
        for c in report.counts
    ]


def _answer(one: Answer, types: Sequence[str]) -> list[str]:
    said = [one.answers.get(attach, "") + (f" {one.errno[attach]}" if attach in one.errno else "") for attach in types]
    return [one.release, one.build_id[:12], one.module or "", one.state, *said]


def diff_rows(report: FleetDiff) -> Rows:
    """A row for each change."""
    heads = ("function", "module", "attach", report.a.release or "a", report.b.release or "b")
    return heads, [
        [
            *(one.target, one.module or "", one.attach),
            one.answer_a + (f" {one.errno_a}" if one.errno_a else ""),
            one.answer_b + (f" {one.errno_b}" if one.errno_b else ""),
        ]
        for one in report.changes
    ]


def host_rows(report: HostsReport) -> Rows:
    """A row for each host."""
    heads = ("host", "release", "build", "attached", "build_kept", "taken")
    return heads, [
        [h.name, h.release, h.build, str(h.attached), "yes" if h.is_kept else "no", h.taken] for h in report.hosts
    ]


def unowned_rows(report: UnownedReport) -> Rows:
    """A row for each target."""
    heads = ("attach", "target", "hosts", "examples")
    return heads, [[one.attach, one.target or "?", str(one.hosts), " ".join(one.examples)] for one in report.unowned]


def lost_rows(report: LostReport) -> Rows:
    """A row for each attachment that is lost, or of which it cannot be told."""
    heads = ("attach", "target", "owner", "answer", "errno", "hosts", "examples")
    return heads, [
        [one.attach, one.target or "?", one.owner, one.answer, one.errno or "", str(one.hosts), " ".join(one.examples)]
        for one in report.lost
    ]


def lines(rows: Rows, style: Style) -> Iterator[str]:
    """Any of these as a plain table."""
    yield from table.plain(*rows, style)
