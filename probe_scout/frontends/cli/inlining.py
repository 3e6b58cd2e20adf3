"""`inline` and `survey`: which calls a probe does not see, and surveys of other kernels."""

from __future__ import annotations

from ...errors import UsageError
from . import output, streams
from .output import CANNOT_TELL, NO, YES
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..session import OpenKernel


def run(request: Request, kernel: OpenKernel) -> int:
    """0 no calls are inlined away, 1 some are or nothing has the name, 3 that cannot be told."""
    if request.whole:
        return _all(request, kernel)
    import gc

    gc.disable()  # as for scan
    name = request.names[0]
    if not name:
        raise UsageError("inline takes the name of a function, or --all")
    if request.classes:
        raise UsageError("--class goes with --all")
    report = kernel.inline(name, request.debug, output.announce, output.progress())
    if request.format == "table":
        from ..render.inline import inline_lines

        streams.write(inline_lines(report, output.style(request)))
    elif request.format == "json":
        from ..render import json

        streams.write([json.document("inline", report)])
    elif request.format == "ndjson":
        from ..render import json

        streams.write(json.inline_ndjson(report))
    else:
        from ..render.inline import inline_rows

        output.table(request, *inline_rows(report))
    if request.format not in ("table", "json"):
        output.unread(report.unread)
    if report.unread or (report.debug is not None and report.debug.matches is False):
        return CANNOT_TELL
    return YES if report.coverage.answer == "complete" else NO


def _all(request: Request, kernel: OpenKernel) -> int:
    import gc

    gc.disable()  # as for scan
    report = kernel.inline_all(request.names[0], request.classes, request.debug, output.announce, output.progress())
    rows = list(report.rows)
    if request.format == "json" and (report.unread or not rows):
        from ..render import json

        streams.write([json.document("inline_all", report._replace(rows=rows))])
    if report.unread:
        output.unread(report.unread)
        return CANNOT_TELL
    if not rows:
        output.note(f"no function matches {request.names[0]!r}")
        return NO
    if request.format == "table":
        from ..render import inline, plain

        style = output.style(request)
        basis = ["from the survey of this build: numbers of copies only where it keeps them"]
        streams.write([plain.kernel_line(report.kernel, style), *(basis if report.basis == "survey" else []), ""])
        streams.write(inline.table_lines(rows, style))
    elif not output.as_json(request, "inline_all", report._replace(rows=rows), rows):
        from ..render import inline

        output.table(request, inline.TABLE_HEADS, inline.table_rows(rows))
    return YES


def survey(request: Request) -> int:
    import gc

    from ...probes.inlining.survey import own

    gc.disable()  # as for scan
    report = own.add(request.names, output.announce, output.progress()) if request.names else own.listed()
    if request.format == "table":
        from ..render.survey import survey_lines

        streams.write(survey_lines(report, output.style(request)))
    elif not output.as_json(request, "survey", report, report.kernels):
        from ..render.survey import survey_rows

        output.table(request, *survey_rows(report))
    return YES
