"""`fleet ACTION`: add, list, ask, diff, export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ...errors import UsageError
from ...model.fleet import AddReport, AskReport, FleetDiff, HostsReport, ListReport, LostReport, UnownedReport
from . import output, streams
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...sources.fleet_store import Store

ACTIONS = ("add", "list", "ask", "diff", "export", "hosts", "unowned", "upgrade")
DEFAULT = "fleet.sqlite"
Progress = Callable[[int, int], None]


def run(request: Request, progress: Progress | None) -> int:
    """Do it; the exit code."""
    import gc

    from ...model.asked import one_of
    from ...sources.fleet_store import Store

    gc.disable()  # as for scan
    action, *words = request.names
    one_of(action, ACTIONS, "fleet")
    path = request.store or DEFAULT
    if request.modules and action != "add":
        raise UsageError(f"fleet {action} asks what was judged before; --modules belongs to fleet add")
    if action == "add":
        if not words:
            raise UsageError("fleet add takes snapshots: archives, or folders of them")
        return _add(request, Store(path, create=True), words, progress)
    _counted(action, words)
    store = Store(path)
    if action == "list":
        return _list(request, store)
    if action == "ask":
        return _ask(request, store, words[0])
    if action == "diff":
        return _diff(request, store, words)
    if action in ("hosts", "unowned", "upgrade"):
        return _of_hosts(request, store, action, words)
    return _export(request, store)


def _counted(action: str, words: Sequence[str]) -> None:
    """Raises UsageError for too many or too few words."""
    least, most, form = {
        "list": (0, 0, "nothing more"),
        "ask": (1, 1, "a function or a pattern"),
        "diff": (2, 3, "two builds and a pattern"),
        "export": (0, 0, "nothing more"),
        "hosts": (0, 0, "nothing more"),
        "unowned": (0, 0, "nothing more"),
        "upgrade": (2, 2, "two builds"),
    }[action]
    if not least <= len(words) <= most:
        raise UsageError(f"fleet {action} takes {form}")


def _add(request: Request, store: Store, words: Sequence[str], progress: Progress | None) -> int:
    from ...model.hooks import HookSet
    from ...model.version import __version__
    from ..fleet import add
    from ..render import fleet as shown
    from .matrix import roots_of

    roots = roots_of(words, HookSet(()))
    report = add(store, roots, __version__, request.jobs or 1, progress, modules=request.modules)
    _print(request, "fleet-add", report, report.added, shown.add_rows(report))
    return 4 if any(one.outcome == "error" for one in report.added) else 0


def _list(request: Request, store: Store) -> int:
    from ...commands import fleet
    from ..render import fleet as shown

    report = fleet.listed(store)
    _print(request, "fleet-list", report, report.builds, shown.list_rows(report))
    return 0 if report.builds else 1


def _ask(request: Request, store: Store, name: str) -> int:
    """0 yes on every build, 1 a no, 3 not told; of a pattern 0, 1 where nothing matches."""
    from ...commands import fleet
    from ...model.version import __version__
    from ..render import fleet as shown

    report = fleet.ask(store, name, request.types, request.answer, fleet.rules_state(__version__))
    _print(request, "fleet-ask", report, report.answers or report.counts, shown.ask_rows(report))
    if report.old:
        output.note(f"judged by another version: {' '.join(report.old[:5])}: probe-scout fleet add judges them again")
    if not report.answers:
        if not report.counts:
            output.note(f"nothing matches {name!r} in {report.builds} builds")
        return 0 if report.counts else 1
    answers = {answer for one in report.answers for answer in one.answers.values()}
    return 1 if "no" in answers else 3 if "unknown" in answers else 0


def _diff(request: Request, store: Store, words: Sequence[str]) -> int:
    from ...commands import fleet
    from ..render import fleet as shown

    report = fleet.diff(store, words[0], words[1], words[2] if len(words) > 2 else "", request.types)
    _print(request, "fleet-diff", report, report.changes, shown.diff_rows(report))
    return 1 if report.changes else 0


def _of_hosts(request: Request, store: Store, action: str, words: Sequence[str]) -> int:
    """0 nothing is unowned or lost, 1 something is, 3 something cannot be told; hosts: 1 where there is none."""
    from ...commands.fleet import hosts
    from ..render import fleet as shown

    if action == "hosts":
        known = hosts.listed(store)
        _print(request, "fleet-hosts", known, known.hosts, shown.host_rows(known))
        return 0 if known.hosts else 1
    if action == "unowned":
        found = hosts.unowned(store)
        _print(request, "fleet-unowned", found, found.unowned, shown.unowned_rows(found))
        return 1 if found.unowned else 0
    report = hosts.upgrade(store, words[0], words[1])
    _print(request, "fleet-upgrade", report, report.lost, shown.lost_rows(report))
    if not report.hosts:
        output.note(f"no host here runs {words[0]}")
    answers = {one.answer for one in report.lost}
    return 1 if answers - {"unknown"} else 3 if answers else 0


def _export(request: Request, store: Store) -> int:
    from ...commands import fleet
    from ...model.attach import for_kind
    from ...model.target import FUNCTION

    types = request.types or for_kind(FUNCTION)
    if request.parquet:
        from ..parquet import write

        output.note(f"{request.parquet}: {write(store, request.parquet, types)} rows")
        return 0
    heads = ("name", "module", "release", "build_id", *types)
    rows = fleet.exported(store, types)
    if request.format == "csv":
        from ..render.csv import csv_lines

        streams.write(csv_lines(heads, rows))
    elif request.format == "ndjson":
        streams.write(_ndjson(heads, rows))
    else:
        raise UsageError("fleet export writes --format csv or ndjson, or --parquet FILE")
    return 0


def _ndjson(heads: Sequence[str], rows: Iterator[list[str]]) -> Iterator[str]:
    from ..render import json

    for row in rows:
        yield json.line(dict(zip(heads, row, strict=True)))


def _print(
    request: Request,
    schema: str,
    report: AddReport | ListReport | AskReport | FleetDiff | HostsReport | UnownedReport | LostReport,
    items: Sequence[object],
    rows: tuple[Sequence[str], list[list[str]]],
) -> None:
    if output.as_json(request, schema, report, items):
        return
    if request.format == "table":
        from ..render import fleet as shown

        streams.write(shown.lines(rows, output.style(request)) if rows[1] else ())
    else:
        output.table(request, *rows)
