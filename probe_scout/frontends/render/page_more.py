"""Two more HTML pages: what is attached and whether it is sound, and what differs between two kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.attach import BY_TRAMPOLINE, BY_TRAMPOLINES
from ...model.audit import BROKEN, NOTE, WARNING, Attachment, AuditFinding, AuditReport
from ...model.diff import DiffReport, EventChange, FunctionChange, VerdictChange
from ...model.report import KernelInfo
from .markup import Markup, el
from .page import head, tile

# BPF_MAX_TRAMP_LINKS, include/linux/bpf.h: fentry, fexit, fmod_ret and lsm programs of one function share a trampoline.
_TRAMPOLINE_LINKS = 38
_SIGNS = {BROKEN: ("✕", "refused"), WARNING: ("◐", "misses"), NOTE: ("?", "unknown"), "": ("✓", "attaches")}
_WORDS = {BROKEN: "broken", WARNING: "warning", NOTE: "note", "": "sound"}
_ROWS_MAX = 5000
Audits = Sequence[tuple[str, AuditReport | None, str]]


def audit_html(audits: Audits, made_by: str) -> str:
    """The page of audits: (name, report, why there is none) for each kernel that was asked."""
    told = [report for _, report, _ in audits if report is not None]
    rows = [row for report in told for row in report.attachments]
    bad = [worst(row.findings) for row in rows]
    title = f"{len(rows)} attachments on {len(audits)} kernel{'' if len(audits) == 1 else 's'}"
    lead = "What is attached, who holds it, and whether it does what it was attached for."
    tiles = el(
        "dl",
        tile(str(len(rows)), "attachments"),
        tile(
            str(sum(one.prog is not None and not one.owners and not one.pins for one in rows)), "programs nobody holds"
        ),
        tile(f"{bad.count(BROKEN)} / {bad.count(WARNING)}", "attachments that are broken / with a warning"),
        tile(str(sum(len(report.unread) for report in told)), "facts that could not be read"),
        class_="tiles",
    )
    sections = [_audit_section(name, report, why) for name, report, why in audits]
    return _page(title, el("p", lead, f" Made by {made_by}.", class_="lead"), tiles, *sections)


def worst(findings: Sequence[AuditFinding]) -> str:
    """The worst level of some findings, "" where there are none."""
    levels = [one.level for one in findings]
    return next((level for level in (BROKEN, WARNING, NOTE) if level in levels), "")


def _audit_section(name: str, report: AuditReport | None, why: str) -> Markup:
    if report is None:
        return el("section", el("h2", name), el("p", f"Was not asked: {why}"), class_="errors")
    parts = [el("h2", name), el("p", _kernel(report.kernel), class_="hint")]
    if report.unread:
        items = [el("li", f"{one.fact}: {one.why}" + (f"; {one.cure}" if one.cure else "")) for one in report.unread]
        parts.append(el("details", el("summary", f"{len(items)} facts could not be read"), el("ul", *items)))
    parts += [el("p", f"{one.level}: {one.says} {one.evidence}") for one in report.findings]
    order = sorted(report.attachments, key=lambda row: (-_rank(row), row.attach, row.target or ""))
    if not order:
        return el("section", *parts, el("p", "The kernel lists no attachment."))
    rows = [_attachment(row) for row in order[:_ROWS_MAX]]
    parts.append(
        _table(f"Attachments of {name}", ("health", "attach type", "target", "program", "held by", "missed"), rows)
    )
    if len(order) > _ROWS_MAX:
        parts.append(el("p", f"{len(order) - _ROWS_MAX} more are not shown."))
    if occupied := _trampolines(report.attachments):
        parts += [
            el("h3", "Trampolines"),
            _table(f"Trampolines of {name}", ("function", "programs attached", "share"), occupied),
        ]
    return el("section", *parts)


def _rank(row: Attachment) -> int:
    return ("", NOTE, WARNING, BROKEN).index(worst(row.findings))


def _attachment(row: Attachment) -> list[Markup | str]:
    level = worst(row.findings)
    sign, state = _SIGNS[level]
    says = [Markup(f"{el('br')}{el('small', f'{one.says} {one.evidence} ({one.check})')}") for one in row.findings]
    health = el("td", el("span", sign, class_=f"sign {state}", aria_hidden="true"), f" {_WORDS[level]}", *says)
    target = f"{row.module}:{row.target}" if row.module and row.target else row.target or "unknown"
    more = [el("small", f"and {len(row.places) - 1} more locations")] if len(row.places) > 1 else []
    owners = [
        f"{one.comm or '?'} ({one.pid})" + (f" in {one.container}" if one.container else "") for one in row.owners
    ]
    held = ", ".join(dict.fromkeys(owners)) or ", ".join(row.pins) or ("nobody" if row.prog else "no program")
    program = f"{row.prog.name or '?'} ({row.prog.id})" if row.prog else row.event or ""
    missed = "" if row.missed is None else str(row.missed)
    return [health, el("code", row.attach), el("td", el("code", target), *more), el("code", program), held, missed]


def _trampolines(rows: Sequence[Attachment]) -> list[list[Markup | str]]:
    """How many places of its trampoline each function has taken, the fullest first."""
    taken: dict[str, int] = {}
    for row in rows:
        if row.attach in BY_TRAMPOLINE or row.attach in BY_TRAMPOLINES or row.attach == "lsm":
            names = [f"{one.module}:{one.symbol}" if one.module else one.symbol for one in row.places] or [row.target]
            for name in names:
                if name:
                    # struct bpf_fsession_link holds two nodes, one for the entry and one for the exit
                    taken[name] = taken.get(name, 0) + (2 if row.attach.startswith("fsession") else 1)
    found = sorted(taken.items(), key=lambda one: (-one[1], one[0]))
    return [
        [
            el("code", name),
            f"{count} of {_TRAMPOLINE_LINKS}",
            el(
                "meter",
                f"{count}",
                value=str(count),
                max=str(_TRAMPOLINE_LINKS),
                aria_label=f"{name}: programs attached",
            ),
        ]
        for name, count in found[:200]
    ]


def diff_html(report: DiffReport, made_by: str) -> str:
    """The page of what differs between two kernels."""
    names = report.a.release or "A", report.b.release or "B"
    changed = len(report.functions) + len(report.events)
    title = f"{changed} differences from {names[0]} to {names[1]}"
    lead = f"Functions and events that match {report.glob!r}" if report.glob else "Functions and events"
    tiles = el(
        "dl",
        *(tile(f"{one.in_a} / {one.in_b}", f"{one.kind} in the first / the second") for one in report.totals),
        class_="tiles",
    )
    parts: list[Markup] = [el("p", f"{lead}. Made by {made_by}.", class_="lead"), tiles]
    parts.append(el("p", f"A: {_kernel(report.a)}", el("br"), f"B: {_kernel(report.b)}", class_="hint"))
    if report.unread:
        items = [el("li", f"{gap.side.upper()}: {gap.unread.fact}: {gap.unread.why}") for gap in report.unread]
        parts.append(el("details", el("summary", "Not readable, so that differences may be missing"), el("ul", *items)))
    if report.types:
        parts += [el("h2", "Attach types of every target"), _verdicts("Attach types", report.types, names)]
    if report.modules:
        words = [
            f"{one.module}: {one.functions} functions, {one.events} events, in {one.loaded_in.upper()} only"
            for one in report.modules
        ]
        parts += [el("h2", "Modules that only one kernel has loaded"), el("ul", *(el("li", one) for one in words))]
    if report.functions:
        rows = [list(_change(one)) for one in report.functions[:_ROWS_MAX]]
        parts += [
            el("h2", "Functions"),
            _table("Functions that differ", ("function", "change", "what", "verdicts"), rows),
        ]
    if report.events:
        rows = [list(_event(one)) for one in report.events[:_ROWS_MAX]]
        parts += [
            el("h2", "Events"),
            _table("Events that differ", ("event", "change", "fields and arguments", "verdicts"), rows),
        ]
    if not changed:
        parts.append(el("p", "Nothing differs, or only counts were asked for."))
    return _page(title, *parts)


_CHANGE_SIGNS = {
    "gone": ("✕", "refused"),
    "appeared": ("✓", "attaches"),
    "renamed": ("→", "instead"),
    "moved": ("→", "instead"),
}


def _sign(change: str) -> Markup:
    sign, state = _CHANGE_SIGNS.get(change, ("◐", "misses"))
    return el("td", el("span", sign, class_=f"sign {state}", aria_hidden="true"), f" {change}")


def _change(one: FunctionChange) -> Iterator[Markup | str]:
    yield el("code", f"{one.module}:{one.target}" if one.module else one.target)
    yield _sign(one.change)
    what = [el("p", f"now {' '.join(one.others)}")] if one.others else []
    if one.prototype_a or one.prototype_b:
        what += [el("code", f"A: {one.prototype_a or 'none'}"), el("br"), el("code", f"B: {one.prototype_b or 'none'}")]
    if one.still_typed:
        what.append(el("p", "BTF of both describes it: one of them inlined it"))
    yield el("td", *what)
    yield _told(one.verdicts)


def _event(one: EventChange) -> Iterator[Markup | str]:
    yield el("code", one.target)
    yield _sign(one.change)
    words = []
    for field in one.fields:
        a, b = (f"@{side.offset} {side.type}, {side.size} bytes" if side else "none" for side in (field.a, field.b))
        words.append(el("li", el("code", field.field), f": {a} → {b}"))
    words += [
        el("li", f"argument {'returned' if arg.place is None else arg.place}: {arg.a} → {arg.b}")
        for arg in one.arguments
    ]
    others = [el("p", f"now {' '.join(one.others)}")] if one.others else []
    yield el("td", *others, *([el("ul", *words)] if words else []))
    yield _told(one.verdicts)


def _told(verdicts: Sequence[VerdictChange]) -> Markup:
    return el(
        "td",
        *(
            el("p", el("code", one.attach), f" {_side(one.answer_a, one.errno_a)} → {_side(one.answer_b, one.errno_b)}")
            for one in verdicts
        ),
    )


def _side(answer: str, errno: str | None) -> str:
    return f"{answer} {errno}" if errno else answer


def _verdicts(caption: str, verdicts: Sequence[VerdictChange], names: tuple[str, str]) -> Markup:
    rows: list[list[Markup | str]] = [
        [el("code", one.attach), _side(one.answer_a, one.errno_a), _side(one.answer_b, one.errno_b)] for one in verdicts
    ]
    return _table(caption, ("attach type", *names), rows)


def _kernel(info: KernelInfo) -> str:
    build = f", build {info.build_id[:12]}" if info.build_id else ""
    return f"{info.release or 'a kernel'} {info.arch}{build}" + (f", taken {info.taken}" if info.taken else "")


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Markup | str]]) -> Markup:
    """A table; a cell that is no td becomes one, the first of a row its head."""
    top = el("thead", el("tr", *(el("th", word, scope="col") for word in heads)))
    body = [
        el("tr", *(cell if cell.startswith("<td") and isinstance(cell, Markup) else el("td", cell) for cell in row))
        for row in rows
    ]
    table = el("table", el("caption", caption, class_="unseen"), top, el("tbody", *body))
    return el("div", table, class_="scroll fields", tabindex="0", role="region", aria_label=caption)


def _page(title: str, *children: Markup) -> str:
    body = el("body", el("main", el("h1", title), *children))
    return f'<!DOCTYPE html>\n<html lang="en">{head(title)}{body}</html>\n'
