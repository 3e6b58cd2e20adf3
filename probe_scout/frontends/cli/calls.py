"""`features`, `kfunc`, `context`: what programs may call and read."""

from __future__ import annotations

from . import output, streams
from .output import CANNOT_TELL, YES
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..session import OpenKernel


def features(request: Request, kernel: OpenKernel) -> int:
    import gc

    gc.disable()  # as for scan
    report = kernel.features()
    if request.format == "table":
        from ..render.calls import features_lines

        streams.write(features_lines(report, output.style(request)))
    elif not output.as_json(request, "features", report, (*report.features, *report.helpers)):
        from ..render.calls import feature_rows

        output.table(request, *feature_rows(report))
    output.unread(report.unread)
    return CANNOT_TELL if report.unread else YES


def kfunc(request: Request, kernel: OpenKernel) -> int:
    import gc

    from ...commands import kfunc as calls

    gc.disable()  # as for scan
    report = kernel.kfunc(request.names[0], request.types)
    if request.format == "table":
        from ..render.calls import kfunc_lines

        streams.write(kfunc_lines(report, output.style(request)))
    elif not output.as_json(request, "kfunc", report, report.kfuncs):
        from ..render.calls import kfunc_rows

        output.table(request, *kfunc_rows(report))
    output.unread(report.unread)
    if not report.kfuncs and not report.unread:
        output.note(f"no kfunc matches {request.names[0]!r}")
    return calls.code_of(report, request.types)


def context(request: Request, kernel: OpenKernel) -> int:
    from ...commands import context as cards

    report = kernel.context(request.names[0], request.types)
    if request.format == "table":
        from ..render.context import context_lines

        streams.write(context_lines(report, output.style(request)))
    elif not output.as_json(request, "context", report, report.cards):
        from ..render.context import context_rows

        output.table(request, *context_rows(report))
    return cards.code_of(report)
