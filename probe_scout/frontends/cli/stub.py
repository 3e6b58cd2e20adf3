"""`stub`: source text for a probe, printed or written to a file."""

from __future__ import annotations

from ...errors import UsageError
from . import output, streams
from .matrix import to_file
from .output import CANNOT_TELL, NO, YES
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..session import OpenKernel


_SKIPPED_SHOWN = 5  # events a pattern matched that take no such program


def run(request: Request, kernel: OpenKernel) -> int:
    asked = (request.names, request.lang, request.attach, request.core, request.program, request.package, request.name)
    report = kernel.stub(*asked, request.debug) if request.debug else kernel.stub(*asked)
    if request.format == "json":
        from ..render import json

        lines = [json.document("stub", report)]
    elif request.format == "ndjson":
        from ..render import json

        lines = list(json.lines(report.stubs))
    elif request.format == "table":
        lines = [report.text.removesuffix("\n")]
    else:
        raise UsageError(f"a stub is source text: --format {request.format} cannot show it; choose table or json")
    if request.out and request.out != "-":
        to_file(request.out, "\n".join(lines) + "\n")
    else:
        streams.write(lines)
    for note in report.notes:
        output.note(note)
    for sentence in report.skipped[:_SKIPPED_SHOWN]:
        output.note(f"left out: {sentence}")
    if len(report.skipped) > _SKIPPED_SHOWN:
        more = len(report.skipped) - _SKIPPED_SHOWN
        output.note(f"left out: {more} more; --format json names all of them under skipped")
    if len(report.skipped) > report.skipped_unread:
        return NO
    return CANNOT_TELL if report.skipped else YES
