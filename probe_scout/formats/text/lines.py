"""Whole lines of a text file that the kernel writes: what every line scanner here shares.

The kernel ends each line with "\\n", so a file that does not end so was cut off while being copied.
"""

from __future__ import annotations

from ...errors import Malformed


def whole(raw: bytes, path: str) -> bytes:
    """The same bytes. Raises Malformed at the last line if it has no end; an empty file is whole."""
    if raw and not raw.endswith(b"\n"):
        raise Malformed(
            path, raw.rfind(b"\n") + 1, "a line end (the file is cut off)", show(raw[raw.rfind(b"\n") + 1 :])
        )
    return raw


def split(raw: bytes, path: str) -> list[bytes]:
    """All lines without their ends. Raises Malformed as `whole` does."""
    return whole(raw, path).split(b"\n")[:-1] if raw else []


def show(line: bytes) -> str:
    """Some bytes as an error message shows them: quoted, at most 40 bytes."""
    return repr(line[:40])[1:] + ("…" if len(line) > 40 else "")


def malformed_line(path: str, lines: list[bytes], row: int, expected: str) -> Malformed:
    """The error for one line, with the byte offset at which it begins."""
    return Malformed(path, sum(map(len, lines[:row])) + row, expected, show(lines[row]))


def text(line: bytes, path: str, offset_bytes: int) -> str:
    """Bytes as text. Raises Malformed where they are not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Malformed(path, offset_bytes + error.start, "UTF-8 text", show(line[error.start :])) from None
