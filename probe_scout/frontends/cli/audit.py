"""`audit`: from its options to text and an exit code; also the loop of --watch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from ...errors import UsageError
from . import output, streams
from .request import LEVELS, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...commands.audit.allow import Line
    from ...model.audit import AuditFinding, AuditReport
    from ...model.audit_diff import AuditDiff
    from ...model.facts import Unread
    from ..session import OpenKernel

NOT_ALLOWED = "audit.not_allowed"
OK, FOUND, CANNOT_TELL = 0, 1, 3
_OLD_BYTES_MAX = 256 << 20
SHARE = 50  # a refresh of --watch costs at most 1/50 of a core
_CLEAR = "\x1b[H\x1b[J"


def run(request: Request, kernel: OpenKernel) -> int:
    """Do what was asked; the exit code."""
    if request.watch:
        return _watch(request, kernel)
    import gc

    gc.disable()  # what an audit makes lives to its end
    old = _old(request.old) if request.old else None
    allowed = _allowed(request)
    report = kernel.audit(request.net, request.owner, request.target, request.bpftool)
    if old is None:
        if request.allow:
            from ...commands.audit import allow

            report = allow.told(report, allowed)
        code = _code(request, report, any(finding.check == NOT_ALLOWED for finding in _findings(report)))
        if code or not request.quiet:
            show(request, report)
            _tell_unread(request, report)
        return code
    from ...commands.audit import changes

    diff = changes.since(old, report, allowed)
    code = _code(request, report, bool(diff.changes))
    if code or not request.quiet:
        show_diff(request, diff)
        _tell_unread(request, report)
    return code


def _allowed(request: Request) -> tuple[Line, ...]:
    if not request.allow:
        return ()
    from ...commands.audit import allow

    return allow.read(request.allow)


def _old(path: str) -> object:
    import json

    try:
        with open(path, "rb") as handle:
            raw = handle.read(_OLD_BYTES_MAX + 1)
        if len(raw) > _OLD_BYTES_MAX:
            raise UsageError(f"--diff {path}: larger than {_OLD_BYTES_MAX >> 20} MiB, no audit --json")
        found: object = json.loads(raw)
        return found
    except OSError as error:
        raise UsageError(f"--diff {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"--diff {path}: not a JSON document; give what audit --json printed") from None


def _code(request: Request, report: AuditReport, is_changed: bool) -> int:
    if is_changed:
        return FOUND
    if request.fail_on:
        least = LEVELS.index(request.fail_on)
        if any(LEVELS.index(finding.level) >= least for finding in _findings(report)):
            return FOUND
    return CANNOT_TELL if _counting(request, report) else OK


def _findings(report: AuditReport) -> Iterator[AuditFinding]:
    yield from report.findings
    for one in report.attachments:
        yield from one.findings
    for held in report.loaded:
        yield from held.findings


def _counting(request: Request, report: AuditReport) -> list[Unread]:
    """What could not be read and was not accepted so."""
    return [one for one in report.unread if one.fact not in request.accept_unread]


def _tell_unread(request: Request, report: AuditReport) -> None:

    output.unread(_counting(request, report))


def show(request: Request, report: AuditReport) -> None:
    """Print the report in the format that was asked for."""

    if request.format == "table":
        from ..render.audit import audit_lines

        streams.write(audit_lines(report, output.style(request), bool(request.owner or request.target)))
    elif request.format == "json":
        from ..render import json

        streams.write([json.audit_document(report)])
    elif request.format == "ndjson":
        from ..render import json

        streams.write(json.lines((*report.attachments, *(one.as_attachment() for one in report.loaded))))
    else:
        from ..render.audit import audit_rows

        output.table(request, *audit_rows(report))


def show_diff(request: Request, diff: AuditDiff) -> None:
    """Print what changed."""

    if request.format == "table":
        from ..render.audit import diff_lines

        streams.write(diff_lines(diff, output.style(request)))
    elif not output.as_json(request, "audit-diff", diff, diff.changes):
        from ..render.audit import diff_rows

        output.table(request, *diff_rows(diff))


def _watch(request: Request, kernel: OpenKernel) -> int:
    """Draw again and again until interrupted. For machines (ndjson) what changed, a line each, after the first list."""
    if request.format not in ("table", "ndjson"):
        raise UsageError("--watch draws a table, or --format ndjson tells changes: choose one of them")
    if request.old:
        raise UsageError("--watch and --diff exclude each other")
    if request.allow or request.quiet:
        raise UsageError(f"--watch and {'--allow' if request.allow else '--quiet'} exclude each other")
    before: AuditReport | None = None
    while True:
        begin = _spent_s()
        report = kernel.audit(request.net, request.owner, request.target, request.bpftool)
        if request.format == "table":
            if sys.stdout.isatty():
                streams.put(_CLEAR)
            show(request, report)
        else:
            _changes(request, before, report)
        streams.flush()
        before = report
        cost = _spent_s() - begin
        time.sleep(max(float(request.watch), SHARE * cost))


def _spent_s() -> float:
    """CPU time of this process and of those it waited for: interfaces are looked at by another."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _changes(request: Request, before: AuditReport | None, report: AuditReport) -> None:
    from ..render import json

    if before is None:
        show(request, report)
        return
    from ...commands.audit import changes

    found: Sequence[object] = changes.between(before, report).changes
    lines: Iterable[str] = json.lines(found)
    streams.write(lines)
