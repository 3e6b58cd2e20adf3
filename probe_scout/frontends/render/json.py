"""Reports as JSON text. What their values are is said in model/document.py: keys are promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...model.document import SCHEMAS
from ...model.document import document as dictionary
from ...model.document import plain as plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.audit import AuditReport
    from ...model.diff import DiffReport
    from ...model.inline import InlineReport
    from ...model.report import CheckReport, ScanRow
    from ...model.trace import EventReport, TracepointReport
    from ...model.verdict import Verdict


def document(command: str, report: object) -> str:
    """The report of a command as one JSON document with its schema, without a line end."""
    return _dump(dictionary(command, report), indent=1)


def tracepoint_document(report: TracepointReport) -> str:
    """The report of `tracepoint`: one event indented for reading, several with a line for each."""
    if len(report.events) <= 1:
        return document("tracepoint", report)
    head = _dump({"schema": SCHEMAS["tracepoint"], "kernel": plain(report.kernel)})[:-1]
    rest = {name: plain(getattr(report, name)) for name in report._fields if name not in ("kernel", "events")}
    return head + ',"events":[\n' + ",\n".join(event_lines(report.events)) + "],\n" + _dump(rest)[1:]


def audit_document(report: AuditReport) -> str:
    """The report of `audit`, a line for each attachment and each loaded program: hundreds of them are usual."""
    parts = [_dump({"schema": SCHEMAS["audit"], "kernel": plain(report.kernel)})[:-1]]
    parts += [f'"{name}":[\n' + ",\n".join(lines(getattr(report, name))) + "]" for name in ("attachments", "loaded")]
    rest = {name: plain(getattr(report, name)) for name in ("net", "unread", "findings", "boot")}
    return ",".join(parts) + ",\n" + _dump(rest)[1:]


def event_lines(events: Iterable[EventReport]) -> Iterator[str]:
    """The same as `lines`, for thousands of events: fields and verdicts that events share are written once."""
    from json import JSONEncoder
    from json.encoder import encode_basestring_ascii as quoted

    from ...model.trace import EventField

    encode = JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    by_identity: dict[int, str] = {}  # the events hold their parts, so an identity stays what it is
    by_value: dict[object, str] = {}
    kept: list[object] = []

    def item(value: object) -> str:
        text = by_identity.get(id(value))
        if text is None:
            text = by_value.get(value)
            if text is None:
                # A field's parts are plain already.
                text = by_value[value] = encode(value._asdict() if type(value) is EventField else plain(value))
            by_identity[id(value)] = text
            kept.append(value)
        return text

    for event in events:
        parts = []
        for name, value in zip(event._fields, event, strict=True):
            if isinstance(value, str):
                text = quoted(value)
            elif type(value) is tuple:
                text = "[" + ",".join([by_identity.get(id(one)) or item(one) for one in value]) + "]" if value else "[]"
            else:
                text = "null" if value is None else str(value) if type(value) is int else item(value)
            parts.append(f'"{name}":{text}')
        yield "{" + ",".join(parts) + "}"


def check_ndjson(report: CheckReport) -> Iterator[str]:
    """One line for each target and attach type of a check report; verdicts and limits that come again are kept."""
    from json import JSONEncoder

    encode = JSONEncoder(separators=(",", ":"), allow_nan=False).encode
    bodies: dict[Verdict, str] = {}
    limits: dict[object, str] = {}
    for target in report.targets:
        head = encode({"target": target.target, "kind": target.kind, "module": target.module})[:-1]
        for verdict in target.verdicts:
            body = bodies.get(verdict)
            if body is None:
                parts = {
                    name: [one._asdict() for one in value] if type(value) is tuple else value
                    for name, value in zip(verdict._fields, verdict, strict=True)
                }
                body = encode(parts)[1:-1]
                if len(bodies) < _KEPT_MAX:
                    bodies[verdict] = body
            mine = []
            for limit in target.limits:
                if verdict.attach in limit.types:
                    text = limits.get(limit)
                    if text is None:
                        text = limits[limit] = encode(plain(limit))
                    mine.append(text)
            yield f'{head},{body},"limits":[{",".join(mine)}]}}'


_KEPT_MAX = 10_000  # verdicts that differ; a yes comes again, evidence that names its target does not


def scan_ndjson(rows: Iterable[ScanRow]) -> Iterator[str]:
    """One line for each function of a scan."""
    for row in rows:
        yield _dump(row._asdict())


def diff_ndjson(report: DiffReport) -> Iterator[str]:
    """One line for each difference, with its kind: type, common_field, module, function, event."""
    for kind, items in (
        ("type", report.types),
        ("common_field", report.common),
        ("module", report.modules),
        ("function", report.functions),
        ("event", report.events),
    ):
        for item in items:
            body = plain(item)
            assert isinstance(body, dict)
            yield _dump({"kind": kind, **body})


def inline_ndjson(report: InlineReport) -> Iterator[str]:
    """One line for each inlined copy, with its function's name and class; a function without copies has one too."""
    for one in report.functions:
        head = {"name": one.name, "module": report.module, "file": one.file, "line": one.line, "kind": one.kind}
        for copy in one.copies:
            body = plain(copy)
            assert isinstance(body, dict)
            yield _dump({**head, "copy": body})
        if not one.copies:
            yield _dump({**head, "copy": None})


def lines(items: Iterable[object]) -> Iterator[str]:
    """One line for each item of any list."""
    for item in items:
        yield _dump(plain(item))


def line(value: object) -> str:
    """Any value of report types on one line."""
    return _dump(plain(value))


def dump(value: object) -> str:
    """Any value of report types as one document, indented for reading."""
    return _dump(plain(value), indent=1)


def _dump(value: object, indent: int | None = None) -> str:
    import json

    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, indent=indent, separators=separators, ensure_ascii=True, allow_nan=False)
