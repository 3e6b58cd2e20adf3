"""Standard output and standard error, as they are: open, closed, full, or a pipe that nobody reads.

What cannot be said on standard error is not said elsewhere, and changes no exit code. What cannot be written to
standard output is an error of its own: OutputError, exit code 4, never 1, which means *no*.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable

from ...errors import ProbeScoutError

_BLOCK_LINES = 512  # lines given to one write


class OutputError(ProbeScoutError):
    """The answer could not be written: standard output is closed or its disk is full."""


def secure() -> None:
    """Fill descriptors 0 to 2 where they are closed, so that no file which is opened later gets their number.

    Without it the next file would become standard output (glibc does the same for set-user-ID programs,
    csu/check_fds.c: what is written to a closed stream fails, what is read from one ends). Python has None for
    such a stream, and print() to None goes to standard output.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            flags = os.O_WRONLY if descriptor == 2 else os.O_RDONLY  # writes to 1 fail, writes to 2 are lost
            if os.open(os.devnull, flags) == descriptor:
                os.set_inheritable(descriptor, True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def write(lines: Iterable[str]) -> None:
    """Lines to standard output, in large pieces. Raises OutputError, BrokenPipeError."""
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) >= _BLOCK_LINES:
            put("\n".join(block) + "\n")
            block = []
    if block:
        put("\n".join(block) + "\n")


def put(text: str) -> None:
    """Text to standard output. Names may hold any bytes: what the encoding lacks is escaped."""
    if not text:
        return
    try:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    except (OSError, ValueError) as error:
        raise _failed(error) from None


def put_bytes(data: bytes) -> None:
    """Ready bytes to standard output, past the text layer; `flush` comes first where text was written before."""
    out = getattr(sys.stdout, "buffer", None)
    if out is None:
        put(data.decode("utf-8", "backslashreplace"))
        return
    try:
        out.write(data)
    except (OSError, ValueError) as error:
        raise _failed(error) from None


class Binary:
    """Standard output as a file that takes bytes."""

    def write(self, data: bytes) -> int:
        """As of a binary file. Raises OutputError, BrokenPipeError."""
        put_bytes(data)
        return len(data)

    def flush(self) -> None:
        """As of a binary file. Raises OutputError, BrokenPipeError."""
        flush()


def flush() -> None:
    """Everything written so far leaves the process. Raises OutputError, BrokenPipeError."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError) as error:
        raise _failed(error) from None


def _failed(error: OSError | ValueError) -> BaseException:
    if isinstance(error, BrokenPipeError):
        return error
    is_closed = not isinstance(error, OSError) or error.errno == errno.EBADF
    why = "it is closed" if is_closed else getattr(error, "strerror", None) or str(error)
    return OutputError(f"standard output cannot be written: {why}")


def forget() -> None:
    """Point standard output at nothing, so that a later flush does not fail aloud."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass


def is_terminal() -> bool:
    """Standard error is a terminal, where progress may be drawn."""
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def say(text: str) -> None:
    """Text to standard error, written out at once; where that cannot be done, nothing."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
