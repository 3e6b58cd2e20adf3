"""The report of `diff`: the summary first, then a block for each thing that differs; and its flat rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...model.diff import (
    APPEARED,
    CHANGES,
    GONE,
    MOVED,
    RENAMED,
    ArgumentChange,
    Count,
    DiffReport,
    EventChange,
    FieldChange,
    FieldPlace,
    FunctionChange,
    VerdictChange,
)
from .plain import kernel_line
from .style import Style, printable

HEADS = ("kind", "target", "module", "change", "what", "attach", "a", "b")
_MODULES_SHOWN = 8


def diff_rows(report: DiffReport) -> Iterator[tuple[str, ...]]:
    """One row for each difference: for a changed one a row for each argument, field and verdict."""
    for verdict in report.types:
        yield ("type", verdict.attach, "", "changed", "verdict", verdict.attach, *_answers(verdict))
    for field in report.common:
        yield from _field_rows("common field", field.field, "", "changed", (field,))
    for module in report.modules:
        sides = ("loaded", "") if module.loaded_in == "a" else ("", "loaded")
        yield ("module", module.module, "", GONE if module.loaded_in == "a" else APPEARED, "loaded", "", *sides)
    for kind, changes in (("function", report.functions), ("event", report.events)):
        for one in changes:
            head = kind, one.target, one.module or "", one.change
            if one.change in (GONE, APPEARED, RENAMED, MOVED):
                yield (*head, one.change, "", *_ends(one))
            if isinstance(one, EventChange):
                yield from _field_rows(*head, one.fields)
            elif one.change not in (GONE, APPEARED) and one.copies_a != one.copies_b:
                yield (*head, "copies", "", str(one.copies_a), str(one.copies_b))
            for argument in one.arguments:
                yield (*head, f"{_place(argument)} {argument.what}", "", argument.a or "", argument.b or "")
            for verdict in one.verdicts:
                yield (*head, "verdict", verdict.attach, *_answers(verdict))


def _ends(one: FunctionChange | EventChange) -> tuple[str, str]:
    others = " ".join(one.others)
    if one.change == MOVED:
        home = one.target.partition(":")[0] if isinstance(one, EventChange) else one.module or "vmlinux"
        return home, others
    return {GONE: (one.target, ""), APPEARED: ("", one.target)}.get(one.change, (one.target, others))


def _field_rows(
    kind: str, target: str, module: str, change: str, fields: Sequence[FieldChange]
) -> Iterator[tuple[str, ...]]:
    for field in fields:
        yield (
            kind,
            target,
            module,
            change,
            f"field {field.field} {' '.join(field.what)}",
            "",
            _at(field.a),
            _at(field.b),
        )


def _at(place: FieldPlace | None) -> str:
    if place is None:
        return ""
    sign = {True: " signed", False: " unsigned", None: ""}[place.signed]
    return f"{place.type} at {place.offset}, {place.size} bytes{sign}"


def _place(argument: ArgumentChange) -> str:
    return "return" if argument.place is None else f"argument {argument.place}"


def _answers(verdict: VerdictChange) -> tuple[str, str]:
    return _said(verdict.answer_a, verdict.errno_a), _said(verdict.answer_b, verdict.errno_b)


def _said(answer: str, errno: str | None) -> str:
    return f"{answer} {errno}" if errno else answer


def diff_lines(report: DiffReport, style: Style) -> Iterator[str]:
    """For people: both kernels, how much differs, then what (where rows were asked for)."""
    yield kernel_line(report.a, style, "A ")
    yield kernel_line(report.b, style, "B ")
    yield ""
    found = [total for total in report.totals if total.in_a or total.in_b]
    for total in found or report.totals:
        names = f", matching {report.glob}" if report.glob else ""
        yield f"{total.kind}{names}: {total.in_a} in A, {total.in_b} in B, {total.same} the same"
        yield from _summary([count for count in report.counts if count.kind == total.kind], style)
        if total.untold:
            yield from style.wrap(f"{total.untold} answers are unknown on one side only, and not compared", 4, 2)
    yield from _kernels(report, style)
    if not report.differs():
        yield "nothing differs"
    if not report.whole:
        if report.counts:
            yield ""
            yield from style.wrap("a pattern, --all or --format ndjson shows each of them", 2, 0)
        return
    for changes in (report.functions, report.events):
        for one in changes:
            yield ""
            yield from _block(one, style)


def _summary(counts: Sequence[Count], style: Style) -> Iterator[str]:
    merged: dict[tuple[str, int, tuple[str, ...]], list[str]] = {}
    for count in counts:
        merged.setdefault((count.what, count.number, count.examples), []).append(count.attach)
    for (what, number, examples), attach in merged.items():
        names = " ".join(name for name in attach if name)
        more = " …" if number > len(examples) else ""
        head = f"  {number:>7}  "
        text = f"{what}{f'   {names}' if names else ''}: {', '.join(examples)}{more}"
        first, *rest = style.wrap(text, len(head) + 2, len(head))
        yield head + first[len(head) :]
        yield from rest


def _kernels(report: DiffReport, style: Style) -> Iterator[str]:
    """What is told once, since it is the same for every target."""
    same: dict[tuple[str, str], list[str]] = {}
    for verdict in report.types:
        same.setdefault(_answers(verdict), []).append(verdict.attach)
    for (before, after), names in same.items():
        yield from style.wrap(f"attach types {' '.join(names)}: {before} to {after}, whatever the target is", 4, 0)
    if report.common:
        yield "fields that every event begins with"
        yield from _fields(report.common, style)
    for side, title in (("a", "A"), ("b", "B")):
        found = [module for module in report.modules if module.loaded_in == side]
        if found:
            functions, events = sum(m.functions for m in found), sum(m.events for m in found)
            shown = ", ".join(m.module for m in found[:_MODULES_SHOWN]) + (" …" if len(found) > _MODULES_SHOWN else "")
            text = (
                f"modules that only {title} has loaded: {shown}; not compared: {functions} functions, {events} events"
            )
            yield from style.wrap(text, 4, 0)


def _block(one: FunctionChange | EventChange, style: Style) -> Iterator[str]:
    where = f"  in {one.module}" if one.module else ""
    assert one.change in CHANGES
    says = one.change
    if one.change == RENAMED:
        says = f"renamed by the compiler: {' '.join(one.others)}"
    elif one.change == MOVED:
        says = f"moved to {' '.join(one.others)}"
    elif isinstance(one, FunctionChange) and one.still_typed:
        side = "B" if one.change == GONE else "A"
        says += f": {side} has no symbol, but BTF of both describes it; it is likely inlined there"
    target = printable(one.target)
    head, *rest = style.wrap(f"{target}{where}  {says}", 4, 0)
    yield style.paint(target, "name") + head[len(target) :]
    yield from rest
    if isinstance(one, EventChange):
        yield from _fields(one.fields, style)
    elif one.change not in (GONE, APPEARED) and one.copies_a != one.copies_b:
        yield f"  copies  {one.copies_a} in A, {one.copies_b} in B"
    if isinstance(one, FunctionChange) and one.prototype_a and one.prototype_b:
        yield from style.wrap(f"- {one.prototype_a}", 6, 2)
        yield from style.wrap(f"+ {one.prototype_b}", 6, 2)
    else:
        for argument in one.arguments:
            pair = f"{argument.a or 'none'} to {argument.b or 'none'}"
            yield from style.wrap(f"{_place(argument)} {argument.what}: {pair}", 6, 2)
    same: dict[tuple[str, str], list[str]] = {}
    for verdict in one.verdicts:
        same.setdefault(_answers(verdict), []).append(verdict.attach)
    for (before, after), names in same.items():
        yield from style.wrap(f"{before} to {after}   {' '.join(names)}", 6, 2)


def _fields(fields: Sequence[FieldChange], style: Style) -> Iterator[str]:
    for field in fields:
        pair = " to ".join(_at(place) for place in (field.a, field.b) if place is not None)
        note = "; tp programs never receive it" if field.absent else ""
        yield from style.wrap(f"field {field.field} {' '.join(field.what)}: {pair}{note}", 6, 2)
