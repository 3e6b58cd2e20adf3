"""Reports as JSON. Keys are promises: they are the field names of the report types, never renamed.

A new field of a report type appears here by itself; a changed meaning needs a new schema number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..model.report import CheckReport, Coverage, ScanRow

SCHEMAS = {
    name: f"probe-scout/{name}/1" for name in ("check", "scan", "tracepoint", "doctor", "rules", "snapshot", "error")
}


def plain(value: object) -> object:
    """A value of str, int, bool, None, list and dict: a NamedTuple becomes a dict of its fields."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Coverage):
        return {
            **{name: plain(part) for name, part in zip(value._fields, value, strict=True)},
            "inlined_into": [{"caller": caller, "offset": offset} for caller, offset in value.inlined_into],
        }
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(part) for name, part in zip(value._fields, value, strict=True)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return [plain(part) for part in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")


def document(command: str, report: object) -> str:
    """The report of a command as one JSON document with its schema, without a line end."""
    body = plain(report)
    if not isinstance(body, dict):
        raise TypeError(f"{command}: a report is a NamedTuple")
    return _dump({"schema": SCHEMAS[command], **body}, indent=1)


def check_ndjson(report: CheckReport) -> Iterator[str]:
    """One line for each target and attach type of a check report."""
    for target in report.targets:
        for verdict in target.verdicts:
            body = plain(verdict)
            assert isinstance(body, dict)
            yield _dump({"target": target.target, "kind": target.kind, "module": target.module, **body})


def scan_ndjson(rows: Iterable[ScanRow]) -> Iterator[str]:
    """One line for each function of a scan."""
    for row in rows:
        yield _dump(row._asdict())


def lines(items: Iterable[object]) -> Iterator[str]:
    """One line for each item of any list."""
    for item in items:
        yield _dump(plain(item))


def _dump(value: object, indent: int | None = None) -> str:
    import json

    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, indent=indent, separators=separators, ensure_ascii=True, allow_nan=False)
