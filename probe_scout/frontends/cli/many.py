"""`check` of many names: out of arguments, patterns, files and standard input; rows are written as they come."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...errors import UsageError
from . import streams

if TYPE_CHECKING:
    from ...model.report import KernelInfo, TargetReport
    from ..session import OpenKernel
    from .request import Request

_BYTES_MAX = 64 << 20  # of a list of names


def names_of(request: Request) -> list[str]:
    """Every name asked for: `-` and @FILE stand for a list, a name in each line; # begins a comment.

    Raises UsageError for a list that cannot be read or is none.
    """
    found: list[str] = []
    for name in (*request.names, *(_list_named(request.names_from) if request.names_from else ())):
        if name == "-" or (name[:1] == "@" and len(name) > 1):
            found += _lines(name.removeprefix("@"))
        else:
            found.append(name)
    if not found:
        raise UsageError("the list holds no name")
    return found


def _list_named(path: str) -> tuple[str, ...]:
    return ("-",) if path == "-" else (f"@{path}",)


def _lines(path: str) -> Iterator[str]:
    try:
        if path == "-":
            raw = sys.stdin.buffer.read(_BYTES_MAX + 1)
        else:
            with open(path, "rb") as handle:
                raw = handle.read(_BYTES_MAX + 1)
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"names from {path}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > _BYTES_MAX or b"\0" in raw:
        raise UsageError(f"names from {path}: not a list of names, a name in each line")
    for line in raw.decode("utf-8", "replace").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            yield text


def run(request: Request, kernel: OpenKernel) -> int:
    """Judge and print; the exit code."""
    from . import run as front

    names = names_of(request)
    everything = bool(request.types) or request.all_types
    info, reports = kernel.check_many(
        names, request.types, request.as_me, request.debug, request.all_types, front._progress("checking")
    )
    codes: set[int] = set()

    def counted() -> Iterator[TargetReport]:
        for report in reports:
            codes.add(front.target_code(request, report))
            yield report

    _print(request, info, counted(), everything)
    if not codes:
        front._note(f"nothing matches {' '.join(names[:3])}{' …' if len(names) > 3 else ''}")
        return front.NO
    return front.code_of_all(codes)


def _print(request: Request, info: KernelInfo, reports: Iterator[TargetReport], everything: bool) -> None:
    from ...model.report import CheckReport
    from . import run as front

    caller = "me" if request.as_me else "root"
    if request.format == "table":
        from ..render.plain import check_lines

        report = CheckReport(info, reports, caller)  # type: ignore[arg-type]  # walked once
        streams.write(check_lines(report, front._style(request), everything))
    elif request.format == "ndjson":
        from ..render import json

        streams.write(json.check_ndjson(CheckReport(info, reports, caller)))  # type: ignore[arg-type]
    elif request.format == "json":
        from ..render import json

        streams.write([json.document("check", CheckReport(info, tuple(reports), caller))])
    else:
        from ..render import listing

        front._table(request, *listing.check_rows(CheckReport(info, tuple(reports), caller)))
