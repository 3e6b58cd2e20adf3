"""Hooks on many kernels, for programs: the same answers as `OpenKernel.check` gives one by one.

>>> from probe_scout.frontends.many_kernels import matrix
>>> from probe_scout.model.hooks import Hook
>>> report = matrix([Hook("exec", ("fentry/do_execve", "fentry/bprm_execve"))],
...                 ["fixtures/kernels/debian-6.12.107-amd64.tar.xz"])
>>> report.cells[0].state, report.cells[0].attach, report.cells[0].target
('instead', 'fentry', 'bprm_execve')
"""

from __future__ import annotations

from ..commands import matrix as cells
from ..errors import ProbeScoutError, SourceError, UsageError
from ..model.facts import Unread
from ..model.matrix import Cell, Column, FieldPlace, MatrixReport, Timeline
from ..model.report import KernelInfo, TargetReport
from . import session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..model.hooks import Hook

_MANY = 16  # names from which on the whole tables are read (commands/check_many.py)
_AT_ONCE = 200  # below its WHOLE_MAX, so that every name has the full report
_NOWHERE = KernelInfo("", "", "", "", "")


def matrix(
    hooks: Sequence[Hook],
    roots: Sequence[str],
    open_kernel: Callable[[str], session.OpenKernel] = session.open_kernel,
    progress: Callable[[int, int], None] | None = None,
) -> MatrixReport:
    """The best way to attach for each hook on each kernel. `roots` are as for `open_kernel`, "" is this machine.

    A kernel that cannot be asked has `error` in its column, and its cells are unknown; the others are answered.
    `progress` is told kernels done and all kernels. Raises UsageError for what is no name.
    """
    columns, by_kernel = [], []
    for place, root in enumerate(roots):
        if progress is not None:
            progress(place, len(roots))
        column, found = _column(hooks, place, root, open_kernel)
        columns.append(column)
        by_kernel.append(found)
    if progress is not None:
        progress(len(roots), len(roots))
    ordered = [found[place] for place in range(len(hooks)) for found in by_kernel]
    return MatrixReport(tuple(columns), tuple(hooks), tuple(ordered))


def timelines(
    report: MatrixReport, open_kernel: Callable[[str], session.OpenKernel] = session.open_kernel
) -> tuple[Timeline, ...]:
    """The fields of every event that a hook names, over the kernels of a report; common fields are left out."""
    events = dict.fromkeys(
        one.target.removeprefix("tp:")
        for cell in report.cells
        for one in cell.rungs
        if one.target.startswith("tp:") and one.target.count(":") == 2
    )
    by_kernel = [_records(column, tuple(events), open_kernel) for column in report.kernels] if events else []
    return tuple(_timeline(event, [records[event] for records in by_kernel]) for event in events)


def _timeline(event: str, sides: Sequence[tuple[str, dict[str, FieldPlace]]]) -> Timeline:
    names = dict.fromkeys(name for _, fields in sides for name in fields)
    rows = tuple((name, tuple(fields.get(name) for _, fields in sides)) for name in names)
    return Timeline(event, tuple(told for told, _ in sides), rows)


def _records(
    column: Column, events: Sequence[str], open_kernel: Callable[[str], session.OpenKernel]
) -> dict[str, tuple[str, dict[str, FieldPlace]]]:
    """For each event whether the kernel has it, and its own fields in their order."""
    found: dict[str, tuple[str, dict[str, FieldPlace]]] = dict.fromkeys(events, ("unknown", {}))
    if column.error:
        return found
    kernel = open_kernel(column.root)
    for event in events:
        try:
            report = kernel.tracepoint(event)
        except (ProbeScoutError, OSError):
            continue  # its cell says why
        if report.events:
            own = [field for field in report.events[0].fields if not field.common]
            fields = {field.name: FieldPlace(field.offset, field.size, field.access) for field in own}
            found[event] = ("yes" if fields else "unknown", fields)
        elif not report.unread and not column.partial:
            found[event] = ("no", {})
    return found


def _column(
    hooks: Sequence[Hook], place: int, root: str, open_kernel: Callable[[str], session.OpenKernel]
) -> tuple[Column, list[Cell]]:
    """One kernel: who it is, and the cell of each hook."""
    info = _NOWHERE
    try:
        kernel = open_kernel(root)
        info = kernel.info()
        reports = _reports(kernel, list(dict.fromkeys(rung for hook in hooks for rung in hook.ladder)))
        partial = kernel.partial()
    except UsageError:
        raise
    except (ProbeScoutError, OSError) as error:
        why = str(error) if isinstance(error, ProbeScoutError) else f"{error.filename or root}: {error.strerror}"
        kind = error.kind if isinstance(error, SourceError) else "malformed"
        gap = Unread("source", kind, why, error.cure if isinstance(error, SourceError) else "")
        return Column(root, info, "", why, (gap,)), [cells.untold(number, place, why) for number in range(len(hooks))]
    found = [
        cells.cell(hook, number, place, [reports[rung] for rung in hook.ladder]) for number, hook in enumerate(hooks)
    ]
    gaps = (gap for report in reports.values() for verdict in report.verdicts for gap in verdict.unread)
    return Column(root, info, partial, "", tuple(dict.fromkeys(gaps))), found


def _reports(kernel: session.OpenKernel, names: Sequence[str]) -> dict[str, TargetReport]:
    """What check says about each name."""
    found: dict[str, TargetReport] = {}
    step = _MANY if len(names) <= _MANY else _AT_ONCE
    for start in range(0, len(names), step):
        some = names[start : start + step]
        reports = kernel.check(some).targets if len(names) <= _MANY else kernel.check_many(some)[1]
        for name, report in zip(some, reports, strict=True):
            if not isinstance(report, TargetReport):
                raise UsageError(f"{name[:60]!r}: user functions are judged by check, not on many kernels")
            found[name] = report
    return found
