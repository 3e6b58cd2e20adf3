"""`lint`: objects out of files, kernels out of --root, answers into formats."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import UsageError
from . import output, streams
from .matrix import Open, expanded, to_file
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.lint import LintReport


def run(request: Request, open_kernel: Open) -> int:
    """Answer, print, write each --output; the exit code."""
    import gc

    from ...commands import lint

    gc.disable()  # as for scan
    if request.requires:
        return _requires(request)
    roots = [one for root in request.roots or ("live",) for one in expanded(root)]
    kernels = [*map(open_kernel, roots)]
    report = kernels[0].lint(request.names, kernels[1:], request.libbpf, request.only)
    streams.write(_lines(request.format, report, request))
    for form, path in request.outputs:
        to_file(path, "\n".join(_lines(form, report, request)) + "\n")
    if request.format not in ("table", "json", "ndjson"):
        for path, why in report.skipped:
            output.note(f"{path}: {why}")
    output.unread(report.unread)
    return lint.code_of(report)


def _lines(form: str, report: LintReport, request: Request) -> Iterable[str]:
    """The report in any format, as lines without line ends."""
    from ..render import json
    from ..render import lint as shown

    if form == "table":
        return shown.lint_lines(report, output.style(request))
    if form == "json":
        return [json.document("lint", report)]
    if form == "ndjson":
        return json.lines(report.objects)
    if form in ("sarif", "junit", "github"):
        from ...model.version import __version__
        from ..render import lint_ci

        if form == "sarif":
            return [lint_ci.sarif(report, __version__)]
        return [lint_ci.junit(report)] if form == "junit" else lint_ci.github(report)
    if form == "csv":
        from ..render.csv import csv_lines

        return csv_lines(*shown.lint_rows(report))
    from ..render.table import formatted

    is_wide = any(len(one.kernels) > 1 for one in report.objects)
    heads, rows = shown.wide_rows(report) if is_wide else shown.lint_rows(report)
    return [formatted(form, heads, [*rows])]


def _requires(request: Request) -> int:
    from ..session import lint_requires

    if request.roots or request.only or request.outputs:
        raise UsageError("--requires reads no kernel and takes whole objects: without --root, --program and --output")
    report = lint_requires(request.names, request.libbpf)
    asked = request._replace(format="json") if request.format == "table" else request
    if not output.as_json(asked, "lint-requires", report, report.objects):
        from ..render.lint import requires_rows

        if request.format not in ("csv", "md", "grid"):
            raise UsageError(f"--requires has no format {request.format}")
        output.table(request, *requires_rows(report))
    for path, why in report.skipped:
        output.note(f"{path}: {why}")
    return 4 if report.skipped else 0
