"""Reports as values of JSON: the published documents, for programs and for the command line.

Keys are promises: they are the field names of the report types, never renamed. A new field of a report type appears
here by itself; a changed meaning needs a new schema number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCHEMAS = {
    name: f"probe-scout/{name}/1"
    for name in (
        "check",
        "scan",
        "tracepoint",
        "diff",
        "doctor",
        "rules",
        "snapshot",
        "verify",
        "stub",
        "audit",
        "audit-diff",
        "inline",
        "inline_all",
        "survey",
        "lint",
        "lint-requires",
        "features",
        "kfunc",
        "context",
        "matrix",
        "fleet-add",
        "fleet-list",
        "fleet-ask",
        "fleet-diff",
        "fleet-hosts",
        "fleet-unowned",
        "fleet-upgrade",
        "error",
    )
}


class Document:
    """Mixed into the types of whole reports: each is one document of a schema."""

    __slots__ = ()
    COMMAND = ""  # the key of SCHEMAS

    def to_dict(self) -> dict[str, Any]:
        """The document of `--json` as str, int, bool, None, list and dict. Rows that can be walked once are spent."""
        return document(self.COMMAND, self)

    def to_json(self, indent: int | None = None) -> str:
        """The same as text; `indent` as for json.dumps."""
        import json

        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def __repr__(self) -> str:
        """What the report is about, in one line; the fields hold the rest."""
        parts = [f"{len(value)} {name}" for name, value in _fields(self) if type(value) is tuple and value]
        release = getattr(getattr(self, "kernel", None), "release", "")
        head = f"{type(self).__name__} of {release}" if release else type(self).__name__
        return f"<{head}: {', '.join(parts) or 'nothing in it'}>"


def _fields(report: object) -> list[tuple[str, object]]:
    names: tuple[str, ...] = getattr(report, "_fields", ())
    return [(name, getattr(report, name)) for name in names if name != "kernel"]


def document(command: str, report: object) -> dict[str, Any]:
    """The report of a command with its schema in front."""
    body = plain(report)
    if not isinstance(body, dict):
        raise TypeError(f"{command}: a report is a NamedTuple")
    return {"schema": SCHEMAS[command], **body}


def plain(value: object) -> object:
    """A value of str, int, bool, None, list and dict: a NamedTuple becomes a dict of its fields.

    A type whose document differs from its fields says so in `written`.
    """
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        found = {name: plain(part) for name, part in zip(value._fields, value, strict=True)}
        written = getattr(value, "written", None)
        return found if written is None else {**found, **written()}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return [plain(part) for part in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")
