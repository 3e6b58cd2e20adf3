"""The errors of probe-scout: each says what was asked, what was found and what helps.

Sources raise `NotThere`, `Denied` or `Broken`; formats raise `Malformed`. Only `kernel/reading.py`
turns them into `Unread` facts, only the command line prints them, and rules never see them.
"""

from __future__ import annotations

from .named_tuple import NamedTuple


class Unread(NamedTuple):
    """A fact that could not be had. `kind`: denied, malformed, not_there, not_recorded, hidden."""

    fact: str
    kind: str
    why: str
    cure: str = ""


class ProbeScoutError(Exception):
    """Base of every error this package raises on purpose; `exit_code` is the command's."""

    exit_code = 4
    unread: tuple[Unread, ...] = ()  # facts whose absence is the error, where it is known


class UsageError(ProbeScoutError):
    """The question itself cannot be asked: a misspelt attach type, an empty name."""

    exit_code = 2


class NoStub(ProbeScoutError):
    """No stub of this target can be right: it does not exist, takes no such program, or has no types.

    `exit_code` is 1 for a no and 3 where something could not be read.
    """

    def __init__(self, sentence: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(sentence)


class CannotAsk(ProbeScoutError):
    """The running kernel cannot be asked at all: rights are missing, or the machine is not known."""

    exit_code = 3


class SourceError(ProbeScoutError):
    """A path of the source could not be read. `kind` is the word used in `Unread.kind`."""

    kind = "not_there"

    def __init__(self, path: str, why: str, cure: str = "") -> None:
        self.path, self.why, self.cure = path, why, cure
        super().__init__(f"{path}: {why}" + (f"; {cure}" if cure else ""))


class NotThere(SourceError):
    """The path does not exist in this source (ENOENT)."""


class Denied(SourceError):
    """The path exists but may not be read (EACCES, EPERM, lockdown)."""

    kind = "denied"


class Broken(SourceError):
    """The source itself is unusable: an archive that is cut off, too large or hostile."""

    kind = "malformed"


class Malformed(ProbeScoutError):
    """The bytes of one kernel file are not what the kernel writes there.

    `offset_bytes` is the position of the first byte that does not fit.
    """

    def __init__(self, path: str, offset_bytes: int, expected: str, found: str = "") -> None:
        self.path, self.offset_bytes, self.expected, self.found = path, offset_bytes, expected, found
        super().__init__(
            f"{path}: not readable at byte {offset_bytes}: expected {expected}" + (f", found {found}" if found else "")
        )
