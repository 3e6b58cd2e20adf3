"""`features` and `kfunc` for people and for tables."""

from __future__ import annotations

from collections.abc import Iterator

from ...model.calls import FeaturesReport, KfuncReport, KfuncRow, image_cure
from . import plain
from .style import Style, printable

FEATURE_HEADS = ("kind", "name", "number", "answer", "says", "evidence")
KFUNC_HEADS = ("name", "module", "prototype", "flags", "yes", "no", "unknown")
_FEW = 8
_TITLES = {
    "program_type": "program types",
    "map_type": "map types",
    "attach_type": "attach types",
    "link_type": "link types",
    "command": "commands of bpf(2)",
}
_BASES = {
    "image": "by the kernel's image, for a program with all rights and without lockdown",
    "recorded": "by four recorded x86-64 kernels; where they differ, unknown. The kernel's image tells it exactly",
    "none": "unknown",
}


def features_lines(report: FeaturesReport, style: Style) -> Iterator[str]:
    """The lines of a report, without line ends."""
    yield plain.kernel_line(report.kernel, style)
    for kind, title in _TITLES.items():
        for answer in ("yes", "no", "unknown"):
            names = [one.name for one in report.features if one.kind == kind and one.answer == answer]
            if names:
                yield ""
                yield f"{title}: {style.paint(answer, answer)} ({len(names)})"
                yield from style.wrap(" ".join(names), 4)
    if not report.helpers:
        return
    yield ""
    yield from style.wrap(f"helpers, {_BASES[report.basis]}:", 0)
    for program in report.helpers[0].answers:
        yes = [row.helper for row in report.helpers if row.answers[program] == "yes"]
        untold = [row for row in report.helpers if row.answers[program] == "unknown"]
        yield f"{style.paint(program, 'name')}: {len(yes)} of {len(report.helpers)}"
        yield from style.wrap(" ".join(name.removeprefix("bpf_") for name in yes), 4) if yes else ()
        by_attach = [row for row in untold if program in row.attach]
        for row in by_attach:
            yield from style.wrap(f"{row.helper}: only {', '.join(row.attach[program])}", 4)
        if len(untold) > len(by_attach):
            yield f"    {style.paint('unknown', 'unknown')}: {len(untold) - len(by_attach)}"
    if report.basis != "image":
        yield ""
        yield from plain.labelled("to know", image_cure(report.kernel.arch), style)


def feature_rows(report: FeaturesReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and one row for each type, command, and helper of a program type."""
    rows: list[tuple[str, ...]] = [
        (one.kind, one.name, str(one.number), one.answer, one.says, one.evidence) for one in report.features
    ]
    for row in report.helpers:
        rows += [
            ("helper", f"{row.helper} {program}", str(row.number), answer, " ".join(row.attach.get(program, ())), "")
            for program, answer in row.answers.items()
        ]
    return FEATURE_HEADS, rows


def kfunc_lines(report: KfuncReport, style: Style) -> Iterator[str]:
    """The lines of a report, without line ends: one kfunc in full, several with a line each."""
    yield plain.kernel_line(report.kernel, style)
    is_list = len(report.kfuncs) > 1
    if is_list:
        yield ""
    for row in report.kfuncs:
        yield from _short(row, style) if is_list else _whole(row, style)
    if any(row.flags is None and not row.module and "unknown" in row.answers.values() for row in report.kfuncs):
        yield from ("",) if is_list else ()
        yield from plain.labelled("to know", image_cure(report.kernel.arch), style)


def _short(row: KfuncRow, style: Style) -> Iterator[str]:
    where = f"{row.module}:" if row.module else ""
    flags = f"  {' '.join(row.flags)}" if row.flags else ""
    yield f"{style.paint(printable(where + row.name), 'name')}{style.paint(flags, 'dim')}"
    allowed = _with(row, "yes")
    if allowed:
        yield from style.wrap(" ".join(allowed), 4)
    if _with(row, "no") and (not allowed or len(row.answers) <= _FEW):
        yield from style.wrap(f"{style.paint('no', 'no')}: {' '.join(_with(row, 'no'))} ({row.errno})", 4)
    if _with(row, "unknown"):
        yield from style.wrap(f"{style.paint('unknown', 'unknown')}: {' '.join(_with(row, 'unknown'))}", 4)


def _whole(row: KfuncRow, style: Style) -> Iterator[str]:
    yield ""
    yield from style.wrap(printable(row.prototype), 0)
    yield from plain.labelled("where", row.module or "vmlinux", style)
    flags = "unknown without the image" if row.flags is None else " ".join(row.flags) or "none"
    yield from plain.labelled("flags", flags, style)
    for answer in ("yes", "no", "unknown"):
        names = _with(row, answer)
        if names:
            errno = f" ({row.errno})" if answer == "no" and row.errno else ""
            yield from plain.labelled(answer, " ".join(names) + errno, style)
    if row.says:
        yield from plain.labelled("why", row.says, style)
    if row.evidence:
        yield from plain.labelled("read", row.evidence, style)


def _with(row: KfuncRow, answer: str) -> list[str]:
    return [name for name, one in row.answers.items() if one == answer]


def kfunc_rows(report: KfuncReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and one row for each kfunc."""
    return KFUNC_HEADS, [
        (
            row.name,
            row.module or "",
            row.prototype,
            "?" if row.flags is None else " ".join(row.flags),
            *(" ".join(_with(row, answer)) for answer in ("yes", "no", "unknown")),
        )
        for row in report.kfuncs
    ]
