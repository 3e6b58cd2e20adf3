"""The report as one HTML page: no network, no framework, readable without script, on paper and by screen readers.

A cell is a link to its reasons (`:target` shows them without script). Cells of one hook with the same reasons share one
block, so that a page of hundreds of kernels stays small. The content security policy of the page allows its own style
and script by their digests and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...model.hooks import MUST, Hook
from ...model.matrix import (
    ATTACHES,
    INSTEAD,
    MISSES,
    REFUSED,
    SAYS,
    SIGNS,
    UNTOLD,
    Cell,
    Column,
    MatrixReport,
    RungVerdict,
    Timeline,
    titles,
)
from ...model.report import Coverage
from .markup import Markup, el, join
from .matrix import short, why
from .page_style import SCRIPT, STYLE

_COPIES_SHOWN = 12
_BASIS = {
    "dwarf": "debug information of this build",
    "survey": "a survey of this build",
    "survey-other": "a prediction from surveys of other builds",
    "survey-across": "a prediction from surveys of another architecture",
    "none": "nothing known",
}


def html(report: MatrixReport, made_by: str, timelines: Sequence[Timeline] = ()) -> str:
    """The whole page, with a line end. `made_by`: the tool and its version."""
    names = titles(report.kernels)
    heading = f"{_count(len(report.hooks), 'hook')} on {_count(len(report.kernels), 'kernel')}"
    blocks, links = _blocks(report, names)
    body = el(
        "body",
        el("a", "Skip to the matrix", href="#matrix", class_="skip"),
        el(
            "main",
            el("h1", heading),
            el("p", _LEAD, f" Made by {made_by}.", class_="lead"),
            _tiles(report),
            *_errors(report, names),
            _filters(report),
            _table(report, links),
            el("p", "Nothing matches the filter.", id="empty", role="status", hidden=True),
            el("h2", "Reasons", id="reasons"),
            el("p", "Choose a cell: its reasons are shown here.", class_="hint"),
            join(blocks),
            *(_timeline(one, names) for one in timelines),
        ),
        el("script", Markup(SCRIPT)),
    )
    return f'<!DOCTYPE html>\n<html lang="en">{head(heading)}{body}</html>\n'


_LEAD = (
    "Can BPF attach, and do calls go past the probe? Each cell names the best way to attach. "
    "A bar at a cell's left: the hook fails there all the same: it does not list this target, or sees too few calls. "
    "Answered from the kernels' own files."
)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def head(title: str) -> Markup:
    """The head of every page: its style, and a policy that lets nothing be loaded."""
    policy = f"default-src 'none'; style-src '{_digest(STYLE)}'; script-src '{_digest(SCRIPT)}'; base-uri 'none'"
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy + "; form-action 'none'"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{title}: probe-scout"),
        el("style", Markup(STYLE)),
    )


def _digest(text: str) -> str:
    import base64
    import hashlib

    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _tiles(report: MatrixReport) -> Markup:
    """Four figures: hooks that attach everywhere; cells that need another point, miss calls, or attach nowhere."""
    across = len(report.kernels)
    rows = [[report.cell(number, place).state for place in range(across)] for number in range(len(report.hooks))]
    whole = sum(all(state == ATTACHES for state in row) for row in rows)
    states = [cell.state for cell in report.cells]
    counted = {state: states.count(state) for state in SIGNS}
    return el(
        "dl",
        tile(f"{whole} of {len(rows)}", "hooks attach everywhere, and no missed call is known"),
        tile(str(counted[INSTEAD]), "cells need another attach point"),
        tile(str(counted[MISSES]), "cells miss calls"),
        tile(f"{counted[REFUSED]} / {counted[UNTOLD]}", "cells refused without a substitute / unknown"),
        class_="tiles",
    )


def tile(figure: str, says: str) -> Markup:
    """A figure and what it counts."""
    return el("div", el("dt", says), el("dd", figure))


def _errors(report: MatrixReport, names: Sequence[str]) -> list[Markup]:
    told = [(name, one.error) for name, one in zip(names, report.kernels, strict=True) if one.error]
    if not told:
        return []
    rows = [el("li", el("b", name), f": {error}") for name, error in told]
    return [el("section", el("h2", "Kernels that could not be asked"), el("ul", *rows), class_="errors")]


def _filters(report: MatrixReport) -> Markup:
    """A field for names and a box for each state; without script they are not shown."""
    boxes = [
        el(
            "label",
            el("input", type="checkbox", checked=True, value=state),
            el("span", SIGNS[state], class_=f"sign {state}", aria_hidden="true"),
            f" {SAYS[state]}",
        )
        for state in SIGNS
    ]
    field = el("input", type="search", id="filter", placeholder="filter hooks ( / )", aria_label="Filter hooks by name")
    legend = el("legend", "Rows and cells to show", class_="unseen")
    return el("form", el("fieldset", legend, field, *boxes), id="filters", hidden=True)


def _table(report: MatrixReport, links: dict[tuple[int, int], str]) -> Markup:
    heads = [el("th", el("span", "hook", class_="unseen"), scope="col")]
    heads += [_column_head(column) for column in report.kernels]
    rows = []
    for number, hook in enumerate(report.hooks):
        cells = [_cell(report.cell(number, place), links[number, place]) for place in range(len(report.kernels))]
        rows.append(el("tr", _row_head(hook), *cells, data_name=hook.name.lower()[:300]))
    caption = el("caption", "The best way to attach each hook on each kernel", class_="unseen")
    table = el("table", caption, el("thead", el("tr", *heads)), el("tbody", *rows), class_="matrix")
    return el("div", table, class_="scroll", id="matrix", tabindex="0", role="region", aria_label="Hooks and kernels")


def _column_head(column: Column) -> Markup:
    kernel = column.kernel
    small = [text for text in (kernel.arch, "partial" if column.partial else "", kernel.build_id[:10]) if text]
    name = kernel.release or column.root.rstrip("/").rpartition("/")[2] or "this machine"
    title = f"{column.root or 'this machine'}" + (f"; part of a kernel: {column.partial}" if column.partial else "")
    return el(
        "th", el("span", name, class_="release"), *(el("small", text) for text in small), scope="col", title=title
    )


def _row_head(hook: Hook) -> Markup:
    marks = [] if hook.need == MUST else [el("small", "may attach")]
    if hook.coverage != "any":
        marks.append(el("small", f"asks for coverage {hook.coverage}"))
    ladder = [el("small", " → ".join(hook.ladder), class_="ladder")] if hook.ladder != (hook.name,) else []
    return el("th", el("span", hook.name, class_="name", title=hook.name[:400]), *ladder, *marks, scope="row")


def _cell(cell: Cell, link: str) -> Markup:
    """A link of a sign and words; the state is said in words to those who hear it."""
    text = short(cell)
    return el(
        "td",
        el(
            "a",
            el("span", SIGNS[cell.state], class_="sign", aria_hidden="true"),
            el("span", f"{SAYS[cell.state]}: ", class_="unseen"),
            el("span", text, class_="way", title=text[:300]),
            href=f"#{link}",
            class_=f"cell {cell.state}" + ("" if cell.answer != "no" or cell.state == REFUSED else " fails"),
        ),
        data_state=cell.state,
    )


# reasons


def _blocks(report: MatrixReport, names: Sequence[str]) -> tuple[list[Markup], dict[tuple[int, int], str]]:
    """A block for each kind of cell of each hook, and which block a cell leads to."""
    blocks: list[Markup] = []
    links: dict[tuple[int, int], str] = {}
    for number, hook in enumerate(report.hooks):
        alike: dict[Cell, list[int]] = {}
        for place in range(len(names)):
            alike.setdefault(report.cell(number, place)._replace(kernel=0), []).append(place)
        for turn, (cell, places) in enumerate(alike.items()):
            link = f"r{number}-{turn}"
            links.update({(number, place): link for place in places})
            blocks.append(_block(link, hook, cell, [names[place] for place in places]))
    return blocks, links


def _block(link: str, hook: Hook, cell: Cell, where: Sequence[str]) -> Markup:
    sign = el("span", SIGNS[cell.state], class_=f"sign {cell.state}", aria_hidden="true")
    parts = [el("h3", sign, el("span", hook.name, class_="name"), el("small", f" on {', '.join(where)}"))]
    parts.append(_line("State", SAYS[cell.state]))
    if cell.attach:
        proposal = "" if cell.rung >= 0 else ", which the hook does not list"
        parts.append(_line("Attach", f"{cell.attach} to {cell.target}{proposal}"))
    if said := why(cell):
        parts.append(_line("Why", said))
    if hook.source:
        parts.append(_line("Source", hook.source))
    parts += _calls(cell)
    parts += [_line("Because", text) for text in cell.because]
    if cell.others:
        items = [el("li", el("code", f"{one.attach} {one.target}"), f" {one.says}") for one in cell.others]
        parts += [el("p", el("b", "Instead")), el("ul", *items)]
    if cell.rungs:
        parts.append(_verdicts(cell.rungs, hook))
    if cell.prototype:
        parts.append(el("pre", cell.prototype))
    back = el("a", "back to the matrix", href="#matrix", class_="back")
    return el("section", *parts, back, id=link, class_="reason", tabindex="-1")


def _line(label: str, text: str) -> Markup:
    return el("p", el("b", label), f" {text}")


def _calls(cell: Cell) -> list[Markup]:
    """Which calls go past the probe that is proposed."""
    seen: Coverage = cell.coverage
    if not cell.attach or cell.rung < 0:
        return []
    parts = []
    if cell.basis and cell.basis != "none":
        parts.append(_line("Inlining", f"{seen.answer}; evidence: {_BASIS[cell.basis]}."))
    if seen.inlined_into:
        shown = [f"{caller}+{offset:#x}" for caller, offset in seen.inlined_into[:_COPIES_SHOWN]]
        more = len(seen.inlined_into) - len(shown)
        parts.append(_line("Missed copies in", " ".join(shown) + (f" and {more} more" if more else "")))
    limits = next((one.limits for one in cell.rungs if (one.rung, one.attach) == (cell.rung, cell.attach)), ())
    if limits:
        parts.append(_line("Also", ", ".join(limits) + " (probe-scout rules ID explains each)"))
    return parts


def _verdicts(rungs: Sequence[RungVerdict], hook: Hook) -> Markup:
    """The verdicts of every rung; attach types with the same answer for the same reason share a row."""
    grouped: dict[tuple[int, str, str, str | None, str, str], list[str]] = {}
    for one in rungs:
        grouped.setdefault((one.rung, one.target, one.answer, one.errno, one.rule, one.says), []).append(one.attach)
    rows = []
    several = len(hook.ladder) > 1
    for (_, target, answer, errno, rule, says), types in grouped.items():
        cells = [el("td", el("code", target))] if several else []
        cells += [el("td", el("span", answer, class_=f"answer {answer}")), el("td", el("code", " ".join(types)))]
        cells += [
            el("td", el("code", errno or "", class_="errno")),
            el("td", says, " ", el("code", rule, class_="rule")),
        ]
        rows.append(el("tr", *cells))
    words = (*(("target",) if several else ()), "answer", "attach types", "errno", "why")
    heads = el("thead", el("tr", *(el("th", word, scope="col") for word in words)))
    return el("div", el("table", heads, el("tbody", *rows), class_="verdicts"), class_="scroll")


# fields of events


def _timeline(one: Timeline, names: Sequence[str]) -> Markup:
    """The fields of an event, kernel by kernel; a place that differs from the one before is marked by a sign too."""
    heads = [el("th", "field", scope="col"), *(el("th", name, scope="col") for name in names)]
    rows = []
    for name, places in one.fields:
        cells = []
        before = None
        for place, told in zip(places, one.told, strict=True):
            if place is None:
                cells.append(
                    el("td", {"yes": "no such field", "no": "no such event"}.get(told, "unknown"), class_="none")
                )
                continue
            moved = before is not None and place != before
            words = [el("code", f"@{place.offset}"), el("small", f" {_count(place.size, 'byte')} · {place.access}")]
            mark = [el("span", "≠ ", aria_hidden="true"), el("span", "changed: ", class_="unseen")] if moved else []
            cells.append(el("td", *mark, *words, class_="moved" if moved else None))
            before = place
        rows.append(el("tr", el("th", el("span", name, class_="name"), scope="row"), *cells))
    title = f"{one.event}: where its fields lie, kernel by kernel"
    if not rows:
        return el("section", el("h2", title), el("p", "No kernel here tells its fields.", class_="hint"))
    table = el("table", el("caption", title, class_="unseen"), el("thead", el("tr", *heads)), el("tbody", *rows))
    label = f"Fields of {one.event}"
    box = el("div", table, class_="scroll fields", tabindex="0", role="region", aria_label=label)
    return el("section", el("h2", title), box)
