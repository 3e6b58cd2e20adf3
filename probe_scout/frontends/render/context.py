"""`context` for people and for tables."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.calls import image_cure
from ...model.context import ContextCard, ContextField, ContextReport, OpsStruct
from . import plain
from .style import Style, printable

HEADS = ("type", "field", "ctype", "offset", "size", "slot", "read", "write", "null", "trusted", "with", "says")


def context_lines(report: ContextReport, style: Style) -> Iterator[str]:
    """The lines of a report, without line ends."""
    yield plain.kernel_line(report.kernel, style)
    if report.prototype:
        yield ""
        yield from style.wrap(printable(report.prototype), 2, 0)
    for card in report.cards:
        yield ""
        yield from _card(card, report.kernel.arch, style)
    for one in report.struct_ops:
        yield ""
        yield from _ops(one, style)
    for gap in report.unread:
        yield from plain.labelled("unknown", f"could not read {gap.fact}: {gap.why}", style)


def _card(card: ContextCard, arch: str, style: Style) -> Iterator[str]:
    head = style.paint(printable(card.section), "name")
    answer = f"  {style.paint(card.answer, card.answer)}" if card.answer else ""
    errno = f" ({card.errno})" if card.errno else ""
    sleeps = ", sleepable" if card.sleepable else ""
    yield f"{head}  {card.program}{sleeps}{answer}{errno}"
    size = f", {card.size} bytes" if card.size is not None else ""
    yield from plain.labelled("ctx", card.ctx + size, style)
    widths = _widths(card.fields)
    for field in card.fields:
        yield from _field(field, widths, style)
    for label, text in (("result", card.returns), ("return", card.may_return), ("stub", card.stub)):
        if text:
            yield from plain.labelled(label, text, style)
    yield from _called("helpers", card.helpers, card.helpers_unknown, style)
    yield from _called("kfuncs", card.kfuncs, card.kfuncs_unknown, style)
    for note in card.notes:
        yield from plain.labelled("note", note, style)
    for gap in card.unread:
        yield from plain.labelled("unknown", f"could not read {gap.fact}: {gap.why}", style)
        if gap.cure:
            yield from plain.labelled("to know", gap.cure, style)
    if card.basis != "image" and (card.helpers_unknown or card.kfuncs_unknown) and not card.unread:
        yield from plain.labelled("to know", image_cure(arch), style)


def _widths(fields: tuple[ContextField, ...]) -> tuple[int, int]:
    names = [len(one.name) for one in fields] or [0]
    return min(max(names), 28), 4


def _field(field: ContextField, widths: tuple[int, int], style: Style) -> Iterator[str]:
    at = f"+{field.offset}" if field.offset is not None else ""
    where = f"ctx[{field.slot}]" if field.slot is not None else at
    can = {"yes": "read", "no": "not readable", "unknown": "unknown"}[field.read]
    if field.write == "yes":
        can = "read, write" if field.read == "yes" else "write"
    said = [can]
    if field.read == "yes" and field.size not in (None, 8) and field.narrow:
        said.append("or a part")
    if field.may_be_null == "yes":
        said.append("may be NULL")
    if field.trusted:
        said.append("trusted")
    if field.read_with:
        said.append(field.read_with)
    if field.says:
        said.append(field.says)
    text = f"{where.ljust(8)}{printable(field.name).ljust(widths[0])}  {printable(field.type)}: {', '.join(said)}"
    yield from style.wrap(text, 16, 4)


def _called(label: str, names: tuple[str, ...], unknown: int, style: Style) -> Iterator[str]:
    if names:
        yield from plain.labelled(label, f"{len(names)}: {' '.join(one.removeprefix('bpf_') for one in names)}", style)
    if unknown:
        yield from plain.labelled("" if names else label, f"unknown: {unknown}", style)


def _ops(one: OpsStruct, style: Style) -> Iterator[str]:
    where = f"  in {printable(one.module)}" if one.module else ""
    name = style.paint(f"struct {printable(one.name)}", "name")
    yield f"{name}  {one.size} bytes, {len(one.members)} functions{where}"
    for member in one.members:
        said = []
        if member.supported == "no":
            said.append("not supported")
        if member.sleepable == "yes":
            said.append("takes sleepable programs")
        if member.nullable:
            said.append(f"may be NULL: {' '.join(member.nullable)}")
        yield from style.wrap(printable(member.prototype) + (f"  ({', '.join(said)})" if said else ""), 8, 4)
    if any(member.supported == "unknown" for member in one.members):
        yield from plain.labelled("unknown", "which functions are supported and may sleep: the image tells", style)


def context_rows(report: ContextReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and one row for each field."""
    return HEADS, [
        (
            card.title,
            one.name,
            one.type,
            "" if one.offset is None else str(one.offset),
            "" if one.size is None else str(one.size),
            "" if one.slot is None else str(one.slot),
            one.read,
            one.write,
            one.may_be_null,
            "" if one.trusted is None else "yes" if one.trusted else "no",
            one.read_with,
            one.says,
        )
        for card in report.cards
        for one in card.fields
    ]
