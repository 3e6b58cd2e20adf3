"""manifest.json of a snapshot: what it is, what it holds, and what could not be read when it was taken.

Schema "probe-scout/snapshot/1", described in docs/snapshots.md. `asked` lists every path and pattern the
writer tried ("*" is one component), so that "the kernel had no such file" and "nobody looked" differ.
"""

from __future__ import annotations

from ..errors import Broken, Denied, NotThere, SourceError
from .reading import printable

SCHEMA = "probe-scout/snapshot/1"
NAME = "manifest.json"
BYTES_MAX = 64 << 20
WHEN = " when the snapshot was taken"  # ends the reason of every recorded refusal
_TEXTS = ("release", "build_id", "arch", "taken", "tool_version", "addresses")


class Manifest:
    """The checked content of manifest.json; `size_and_hash` and `missing` answer for one path."""

    __slots__ = (
        "_asked",
        "_files",
        "_unread",
        "_where",
        "addresses",
        "arch",
        "assumed",
        "basis",
        "build_id",
        "part",
        "partial",
        "release",
        "taken",
        "tool_version",
    )

    def __init__(self, raw: bytes, where: str) -> None:
        """Raises Broken, in one sentence, for anything but a manifest of the known schema."""
        top = _object(raw, where)
        schema = top.get("schema")
        if schema != SCHEMA:
            raise Broken(where, f"{NAME} has schema {_short(schema)}; this probe-scout reads {SCHEMA}")
        texts = [text for key in _TEXTS if isinstance(text := top.get(key, ""), str)]
        if len(texts) != len(_TEXTS):
            raise Broken(where, f"{NAME}: one of {', '.join(_TEXTS)} is not text")
        self.release, self.build_id, self.arch, self.taken, self.tool_version, self.addresses = map(printable, texts)
        # Text that says what was kept, for a snapshot that was cut down; true is taken too.
        partial = top.get("partial", "")
        if not isinstance(partial, str | bool):
            raise Broken(where, f"{NAME}: partial must be text")
        self.partial = printable(partial) if isinstance(partial, str) else f"{NAME} says so" if partial else ""
        # "host" or "build" for a part of what a snapshot holds (commands/snapshot).
        part = top.get("part", "")
        if part not in ("", "host", "build"):
            raise Broken(where, f"{NAME}: part must be host or build")
        self.part = str(part)
        # "image" and what was assumed, for a snapshot that was computed of a kernel's package or image.
        basis, assumed = top.get("basis", "booted"), top.get("assumed", [])
        if not isinstance(basis, str) or not isinstance(assumed, list):
            raise Broken(where, f"{NAME}: basis must be text and assumed a list")
        self.basis = printable(basis)
        self.assumed = tuple(printable(each) for each in assumed if isinstance(each, str))
        files, unread, asked = top.get("files"), top.get("unread", {}), top.get("asked", [])
        if not (isinstance(files, dict) and isinstance(unread, dict) and isinstance(asked, list)):
            raise Broken(where, f"{NAME}: files and unread must be objects and asked a list")
        self._files, self._unread, self._asked, self._where = files, unread, asked, where

    def asked(self) -> tuple[str, ...]:
        """Every path and pattern that the writer tried."""
        return tuple(pattern for pattern in self._asked if isinstance(pattern, str))

    def notes(self) -> tuple[str, ...]:
        """Sentences for the head of a report: what the addresses are, and how much is missing."""
        notes = [f"addresses are {self.addresses}"] if self.addresses else []
        if self.part:
            notes.append(f"the {self.part} part only")
        if self.partial:
            notes.append(f"a part of its kernel only: {self.partial}")
        lost = sum(
            1 for entry in self._unread.values() if not isinstance(entry, dict) or entry.get("kind") != "not_there"
        )
        if lost:
            notes.append(f"{lost} files could not be read{WHEN}")
        return tuple(notes)

    def verify(self, path: str, data: bytes) -> None:
        """Raises Broken unless the bytes are those the manifest names; a file it does not name passes."""
        entry = self._files.get(path)
        if entry is None:
            return
        if not isinstance(entry, dict) or entry.get("size") != len(data):
            raise Broken(self._where, f"{printable(path)} does not have the size that {NAME} records")
        import hashlib

        if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
            raise Broken(self._where, f"{printable(path)} does not have the sha256 that {NAME} records")

    def missing(self, path: str) -> SourceError:
        """Why this path is not in the snapshot, from what was recorded for it or for a folder above it."""
        if path in self._files:
            return Broken(self._where, f"{NAME} lists {printable(path)}, but it is not there")
        above = path
        while above:
            entry = self._unread.get(above)
            if entry is not None:
                return self._recorded(path, entry)
            above = above.rpartition("/")[0]
        if any(_covers(pattern, path) for pattern in self.asked()):
            return NotThere(path, f"no such file{WHEN}")
        return not_recorded(path)

    def _recorded(self, path: str, entry: object) -> SourceError:
        kind, why = (entry.get("kind"), entry.get("why")) if isinstance(entry, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(why, str):
            return Broken(self._where, f"{NAME}: unread {printable(path)} needs kind and why")
        why = printable(why) + WHEN
        if kind == "denied":
            return Denied(path, why, "take the snapshot again as root")
        if kind == "malformed":
            return Broken(path, why)
        found = NotThere(path, why)
        found.kind = kind if kind in ("not_there", "not_recorded", "hidden") else "not_recorded"
        return found


def not_recorded(path: str) -> NotThere:
    """The snapshot does not say whether the kernel has this file."""
    found = NotThere(path, "not recorded in this snapshot")
    found.kind = "not_recorded"
    return found


def _covers(pattern: str, path: str) -> bool:
    """The path, or a folder on the way to it, is what the pattern asked for."""
    asked, parts = pattern.split("/"), path.split("/")
    return len(parts) <= len(asked) and all(a in ("*", p) for a, p in zip(asked, parts, strict=False))


def _object(raw: bytes, where: str) -> dict[str, object]:
    import json

    if len(raw) > BYTES_MAX:
        raise Broken(where, f"{NAME} is larger than {BYTES_MAX >> 20} MiB")
    try:
        top = json.loads(raw)
    except (ValueError, RecursionError):
        raise Broken(where, f"{NAME} is not JSON") from None
    if not isinstance(top, dict):
        raise Broken(where, f"{NAME} is not a JSON object")
    return top


def _short(value: object) -> str:
    return printable(value) if isinstance(value, str) else "of another type"
