"""The report of `audit` for people: one table, then what is not sound; and its flat rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.audit import (
    BROKEN,
    LEVELS,
    LOADED,
    NOTE,
    WARNING,
    Attachment,
    AuditFinding,
    AuditReport,
    Owner,
    ProgramRef,
)
from ...model.audit_diff import REPLACED, AuditChange, AuditDiff, ProgramState
from . import table
from .plain import kernel_line
from .style import Style, printable

_ROLES = {NOTE: "dim", WARNING: "unknown", BROKEN: "no"}
_OWNERS_SHOWN = 3
_CONTAINER_SHOWN = 12  # as container engines shorten them
_HOLDER_WIDTH = 20  # the least that a table leaves to the last column
_LEVEL_WIDTH = 9
_LINES_SHOWN = 20
_PLACES_SHOWN = 2
_LOADED_SHOWN = 20
_UNKNOWN = "?"
_HELD_OTHERWISE = "held by a map, a socket or the kernel"


def audit_lines(report: AuditReport, style: Style, is_narrowed: bool = False) -> Iterator[str]:
    """The lines of the whole report, without line ends: how much there is, the table, what is not sound.

    `is_narrowed`: an owner or a target was asked for.
    """
    yield kernel_line(report.kernel, style)
    if report.attachments:
        yield _summary(report)
    yield ""
    if report.attachments:
        yield from _attachments(sorted(report.attachments, key=lambda one: (one.attach, words(one))), style)
    else:
        that = " that matches" * is_narrowed
        yield f"nothing is attached{that}" if not report.unread else f"nothing is seen to be attached{that}"
    yield from _findings(report, style)
    if report.loaded:
        yield ""
        yield f"loaded, and attached nowhere that the kernel tells: {len(report.loaded)}"
        for held in report.loaded[:_LOADED_SHOWN]:
            holders = ", ".join(filter(None, (_held(held.owners), *held.pins))) or _HELD_OTHERWISE
            yield from style.wrap(f"{_program(held.prog)} {held.prog.type or ''}   {holders}", 6, 2)
        if len(report.loaded) > _LOADED_SHOWN:
            yield f"  and {len(report.loaded) - _LOADED_SHOWN} more"


def _summary(report: AuditReport) -> str:
    found = [*report.findings, *(finding for one in _rows(report) for finding in one.findings)]
    counts = [(sum(one.level == level for one in found), level) for level in reversed(LEVELS)]
    words = [f"{count} {level}{'s' * (count != 1 and level != BROKEN)}" for count, level in counts if count]
    told = words or ["no findings"]
    holders = len({owner.pid for one in report.attachments for owner in one.owners})
    of = f" of {holders} process{'es' * (holders != 1)}" if holders else ""
    plural = "s" * (len(report.attachments) != 1)
    return f"{len(report.attachments)} attachment{plural}{of}: {', '.join(told)}; interfaces {report.net}" + (
        "; not everything could be seen" * bool(report.unread)
    )


def _attachments(rows: Sequence[Attachment], style: Style) -> Iterator[str]:
    """One table; where the lines are too short for it, two lines for each row."""
    heads = ["attach", "target", "program", "link", "missed", "held by"]
    cells = [list(_row(one)) for one in rows]
    missed = heads.index("missed")
    if all(row[missed] in ("", "0") for row in cells):
        for row in (heads, *cells):
            del row[missed]
    widths = [max(len(printable(row[at])) for row in (heads, *cells)) for at in range(len(heads) - 1)]
    if sum(widths) + 2 * len(widths) + _HOLDER_WIDTH <= style.width:
        yield from table.plain(heads, cells, style)
        return
    for row in cells:
        yield from style.wrap(f"{row[0].ljust(widths[0])}  {row[1]}", widths[0] + 2, 0)
        more = ", ".join(f"{head} {cell}" for head, cell in zip(heads[2:], row[2:], strict=True) if cell)
        if more:
            yield from style.wrap(more, widths[0] + 4)


def _findings(report: AuditReport, style: Style) -> Iterator[str]:
    """Each check once, the worst first, with every attachment that it fired on."""
    groups: dict[tuple[str, str], tuple[AuditFinding, list[str]]] = {}

    def add(finding: AuditFinding, where: str) -> None:
        lines = groups.setdefault((finding.check, finding.says), (finding, []))[1]
        lines.append(f"{where}: {finding.evidence}" if where else finding.evidence)

    for finding in report.findings:
        add(finding, "")
    for one in _rows(report):
        where = LOADED if one.attach == LOADED else f"{one.attach} {words(one)}"
        for finding in one.findings:
            add(finding, where + (f" ({_program(one.prog)})" if one.prog else ""))
    for finding, lines in sorted(groups.values(), key=lambda group: -LEVELS.index(group[0].level)):
        yield ""
        first, *rest = style.wrap(f"{finding.says}   {finding.check}", _LEVEL_WIDTH)
        yield f"{style.paint(finding.level.ljust(_LEVEL_WIDTH), _ROLES[finding.level])}{first.lstrip()}"
        yield from rest
        for line in lines[:_LINES_SHOWN]:
            yield from style.wrap(line, _LEVEL_WIDTH + 4, _LEVEL_WIDTH)
        if len(lines) > _LINES_SHOWN:
            yield f"{' ' * _LEVEL_WIDTH}and {len(lines) - _LINES_SHOWN} more"


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
    if one.hook and one.attach != "netfilter":  # whose target has it
        text += f" {one.hook}"
    if one.symbol and one.attach == "cgroup":
        text += f" {one.symbol}"
    if one.netns and text == f"net:[{one.netns}]":
        text = f"netns {one.netns}"
    elif one.netns:
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


def _held(owners: tuple[Owner, ...]) -> str:
    found = list(dict.fromkeys(map(_owner, owners)))
    more = f" and {len(found) - _OWNERS_SHOWN} more" if len(found) > _OWNERS_SHOWN else ""
    return ", ".join(found[:_OWNERS_SHOWN]) + more


def _owner(one: Owner) -> str:
    inside = f" in container {one.container[:_CONTAINER_SHOWN]}" if one.container else ""
    return f"{one.comm or _UNKNOWN} {one.pid}{inside}"


def _row(one: Attachment) -> tuple[str, ...]:
    more = len(one.programs) - 1
    programs = _program(one.prog or (one.programs[0] if one.programs else None)) + (f" and {more} more" * (more > 0))
    holders = ", ".join(filter(None, (_held(one.owners), *one.pins)))
    return (
        one.attach,
        words(one),
        programs,
        str(one.link.id) if one.link else "",
        "" if one.missed is None else str(one.missed),
        holders or (_UNKNOWN if one.seen_by == ("kprobes",) else ""),
    )


def audit_rows(report: AuditReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows for csv, Markdown and grid: one row for each attachment, unknown cells empty."""
    heads = (
        *("attach", "target", "module", "offset", "symbol", "hook", "netns", "event"),
        *("prog_id", "prog_type", "prog_name", "prog_tag", "prog_loaded", "prog_uid", "link_id", "link_type"),
        *("owners", "pins", "cookie", "missed", "prog_recursion_misses", "prog_run_count", "prog_run_time_ns"),
        *("seen_by", "findings", "owners_comm", "owners_container", "owners_cgroup", "places"),
        *("owners_user", "owners_cmdline"),
    )
    return heads, [_flat(one) for one in _rows(report)]


def _rows(report: AuditReport) -> Iterator[Attachment]:
    """Attachments, then what is only loaded."""
    yield from report.attachments
    for one in report.loaded:
        yield one.as_attachment()


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
        *(" ".join(dict.fromkeys(filter(None, each))) for each in _of_owners(one)),
        " ".join(
            f"{place.module}:{place.symbol}" if place.module else place.symbol or _UNKNOWN for place in one.places
        ),
        " ".join(dict.fromkeys(owner.user or str(owner.uid) for owner in one.owners if owner.uid is not None)),
        "; ".join(dict.fromkeys(owner.cmdline for owner in one.owners if owner.cmdline)),
    )
    return tuple("" if value is None else str(value) for value in values)


def _of_owners(one: Attachment) -> tuple[Iterator[str | None], ...]:
    """Names, containers and cgroups of the owners."""
    names = (owner.comm and owner.comm.replace(" ", "_") for owner in one.owners)
    return names, (owner.container for owner in one.owners), (owner.cgroup for owner in one.owners)


def diff_lines(diff: AuditDiff, style: Style) -> Iterator[str]:
    """What changed since the earlier audit, a line each."""
    yield kernel_line(diff.kernel, style)
    yield ""
    if not diff.changes:
        yield "nothing changed"
        return
    heads, rows = diff_rows(diff)
    keep = [heads.index(name) for name in ("change", "attach", "target", "prog_name", "before", "after", "owners")]
    shown = ["program" if heads[at] == "prog_name" else heads[at] for at in keep]
    hook, place = heads.index("hook"), heads.index("target")
    for row in rows:
        row[place] = " ".join(filter(None, (row[place], row[hook])))
    yield from table.plain(shown, [[row[at] for at in keep] for row in rows], style)
    replaced = [one for one in diff.changes if one.change == REPLACED]
    if replaced:
        yield ""
    for one in replaced:
        where = " ".join(filter(None, (one.attach, one.target, one.hook, one.prog_name)))
        gone, new = (", ".join(map(_state, each)) for each in (one.programs_gone, one.programs_new))
        yield from style.wrap(f"replaced on {where} ({', '.join(one.differs)} differ): {gone} -> {new}", 4, 0)
    if diff.same_boot is False:
        yield ""
        yield "The earlier audit is of another boot: programs are compared by tag and user alone."


def _state(one: ProgramState) -> str:
    about = [f"tag {one.tag}" * bool(one.tag), f"loaded {one.loaded}" * bool(one.loaded)]
    about += [f"uid {one.uid}"] if one.uid is not None else []
    return " ".join((f"id {one.id}", *filter(None, about)))


def diff_rows(diff: AuditDiff) -> tuple[tuple[str, ...], list[list[str]]]:
    """Heads and rows, a row for each change. Heads are the keys of the JSON document."""
    return AuditChange._fields, [[_cell(value) for value in one] for one in diff.changes]


def _cell(value: object) -> str:
    """A tuple's parts with a space between them; of a program its parts with a slash."""
    if isinstance(value, ProgramState):
        return "/".join(map(_cell, value))
    if isinstance(value, tuple):
        return " ".join(map(_cell, value))
    return "" if value is None else str(value)
