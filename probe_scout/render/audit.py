"""The report of `audit` for people: one table, then what is not sound; and its flat rows."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.audit import BROKEN, NOTE, WARNING, Attachment, AuditReport, Owner, ProgramRef
from ..model.audit_diff import AuditDiff
from . import table
from .plain import kernel_line
from .style import Style, printable

_ROLES = {NOTE: "dim", WARNING: "unknown", BROKEN: "no"}
_OWNERS_SHOWN = 3
_PLACES_SHOWN = 2
_LOADED_SHOWN = 20
_UNKNOWN = "?"
_HELD_OTHERWISE = "held by a map, a socket or the kernel"


def audit_lines(report: AuditReport, style: Style) -> Iterator[str]:
    """The lines of the whole report, without line ends."""
    yield kernel_line(report.kernel, style)
    yield ""
    if report.attachments:
        heads = ("attach", "target", "program", "link", "held by", "missed")
        yield from table.plain(heads, [_row(one) for one in report.attachments], style)
    else:
        yield "nothing is attached" if not report.unread else "nothing is seen to be attached"
    told = [one for one in report.attachments if one.findings]
    if told or report.findings:
        yield ""
    for finding in report.findings:
        yield from _finding(finding.level, finding.says, finding.check, style)
    for one in told:
        yield style.paint(printable(f"{one.attach} {words(one)}"), "name") + _by(one)
        for finding in one.findings:
            yield from _finding(finding.level, finding.says, finding.check, style)
    if report.loaded:
        yield ""
        yield f"loaded, and attached nowhere that the kernel tells: {len(report.loaded)}"
        for held in report.loaded[:_LOADED_SHOWN]:
            holders = ", ".join(filter(None, (_held(held.owners), *held.pins))) or _HELD_OTHERWISE
            yield from style.wrap(f"{_program(held.prog)} {held.prog.type or ''}   {holders}", 6, 2)
        if len(report.loaded) > _LOADED_SHOWN:
            yield f"  and {len(report.loaded) - _LOADED_SHOWN} more"
    yield ""
    yield f"{len(report.attachments)} attachments, interfaces {report.net}"


def _finding(level: str, says: str, check: str, style: Style) -> Iterator[str]:
    first, *rest = style.wrap(f"{says}   {check}", 11)
    yield f"  {style.paint(level.ljust(9), _ROLES[level])}{first.lstrip()}"
    yield from rest


def words(one: Attachment) -> str:
    """The target as people write it: module:function+offset, path:symbol+offset, interface hook."""
    if one.target is None:
        return _UNKNOWN
    if one.attach.startswith(("uprobe", "uretprobe")):
        text = _in_file(one)
    else:
        text = f"{one.module}:{one.target}" if one.module else one.target
        if one.offset:
            text += f"+{one.offset:#x}"
    if one.hook:
        text += f" {one.hook}"
    if one.symbol and one.attach == "cgroup":
        text += f" {one.symbol}"
    if one.netns:
        text += f" in netns {one.netns}"
    if len(one.places) > 1:
        others = [place.symbol or _UNKNOWN for place in one.places[1 : 1 + _PLACES_SHOWN]]
        more = len(one.places) - 1 - len(others)
        if one.places[0].symbol:
            text += ", " + ", ".join(others) + (f" and {more} more" if more else "")
        else:
            text += f" and {len(one.places) - 1} more"
    if one.event:
        text += f" ({one.event}{', off' if one.enabled is False else ''})"
    return text


def _in_file(one: Attachment) -> str:
    if one.symbol:
        return f"{one.target}:{one.symbol}" + (f"+{one.symbol_offset:#x}" if one.symbol_offset else "")
    return f"{one.target}:{one.offset:#x}" if one.offset is not None else str(one.target)


def _program(prog: ProgramRef | None) -> str:
    if prog is None:
        return ""
    return f"{prog.id} {prog.name}" if prog.name else str(prog.id)


def _by(one: Attachment) -> str:
    return f"   program {printable(_program(one.prog))}" if one.prog else ""


def _held(owners: tuple[Owner, ...]) -> str:
    found = list(dict.fromkeys(f"{one.comm or _UNKNOWN} {one.pid}" for one in owners))
    more = f" +{len(found) - _OWNERS_SHOWN}" if len(found) > _OWNERS_SHOWN else ""
    return ", ".join(found[:_OWNERS_SHOWN]) + more


def _row(one: Attachment) -> tuple[str, ...]:
    programs = _program(one.prog) or ", ".join(_program(prog) for prog in one.programs)
    return (
        one.attach,
        words(one),
        programs,
        str(one.link.id) if one.link else "",
        ", ".join(filter(None, (_held(one.owners), *one.pins))),
        "" if one.missed is None else str(one.missed),
    )


def audit_rows(report: AuditReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows for csv, Markdown and grid: one row for each attachment, unknown cells empty."""
    heads = (
        *("attach", "target", "module", "offset", "symbol", "hook", "netns", "event"),
        *("prog_id", "prog_type", "prog_name", "tag", "loaded", "uid", "link_id", "link_type"),
        *("owners", "pins", "cookie", "missed", "recursion_misses", "run_count", "run_time_ns", "seen_by", "findings"),
    )
    return heads, [_flat(one) for one in report.attachments]


def _flat(one: Attachment) -> tuple[str, ...]:
    prog, link = one.prog, one.link
    values: tuple[object, ...] = (
        *(one.attach, one.target, one.module, one.offset, one.symbol, one.hook, one.netns, one.event),
        *((prog.id, prog.type, prog.name, prog.tag, prog.loaded, prog.uid) if prog else (None,) * 6),
        *((link.id, link.type) if link else (None, None)),
        " ".join(f"{owner.pid}/{owner.fd}" for owner in one.owners),
        " ".join(one.pins),
        *(one.cookie, one.missed),
        *((prog.recursion_misses, prog.run_count, prog.run_time_ns) if prog else (None,) * 3),
        " ".join(one.seen_by),
        " ".join(finding.check for finding in one.findings),
    )
    return tuple("" if value is None else str(value) for value in values)


def diff_lines(diff: AuditDiff, style: Style) -> Iterator[str]:
    """What changed since the earlier audit, a line each."""
    yield kernel_line(diff.kernel, style)
    yield ""
    if not diff.changes:
        yield "nothing changed"
        return
    heads, rows = diff_rows(diff)
    keep = [heads.index(name) for name in ("change", "attach", "target", "program", "before", "after", "owners")]
    yield from table.plain([heads[at] for at in keep], [[row[at] for at in keep] for row in rows], style)


def diff_rows(diff: AuditDiff) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows, a row for each change."""
    heads = (
        *("change", "attach", "target", "module", "offset", "hook", "netns", "event", "program"),
        *("before", "after", "missed_before", "missed_after", "owners"),
    )
    return heads, [
        tuple("" if value is None else str(value) for value in (*one[:-1], " ".join(one.owners)))
        for one in diff.changes
    ]
