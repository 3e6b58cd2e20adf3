"""`diff`: two kernels, and what differs between them."""

from __future__ import annotations

from collections.abc import Callable

from . import output, streams
from .output import CANNOT_TELL, NO, YES
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..session import OpenKernel


def run(request: Request, opened: Callable[[str], OpenKernel]) -> int:
    """1 something differs, 3 something could not be read or told."""
    import gc

    gc.disable()  # as for scan
    root_a, root_b, glob = request.names
    whole = bool(glob) or request.whole or request.format not in ("table", "json")
    kernel, other = (opened("" if root == "live" else root) for root in (root_a, root_b))
    report = kernel.diff(other, glob, request.kinds, request.types, whole)
    for side, fact in report.unread:
        output.note(
            f"{side.upper()}: {fact.fact} could not be read: {fact.why}" + (f"; {fact.cure}" if fact.cure else "")
        )
    if glob and not report.unread and not any(total.in_a or total.in_b for total in report.totals):
        if request.format == "json":
            from ..render import json

            streams.write([json.document("diff", report)])
        output.note(f"nothing matches {glob!r} in either kernel")
        return NO
    if request.format == "table":
        from ..render.diff import diff_lines

        streams.write(diff_lines(report, output.style(request)))
    elif request.format == "json":
        from ..render import json

        streams.write([json.document("diff", report)])
    elif request.format == "ndjson":
        from ..render import json

        streams.write(json.diff_ndjson(report))
    else:
        from ..render import diff

        output.table(request, diff.HEADS, diff.diff_rows(report))
    if report.unread:
        return CANNOT_TELL
    if report.differs():
        return NO
    return CANNOT_TELL if any(total.untold for total in report.totals) else YES
