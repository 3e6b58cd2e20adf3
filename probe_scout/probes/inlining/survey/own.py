"""A user's own surveys: one file a kernel in the cache folder, from debug files or from surveys made elsewhere.

And what is surveyed at all.
"""

from __future__ import annotations

import os
import re

from ....errors import UsageError
from ....model.survey import SurveyedKernel, SurveyReport
from . import SHIPPED, SUFFIX, own_folder, reader, surveyed
from .build import Collected, Read, read_file
from .format import MAGICS, VMLINUX, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def listed() -> SurveyReport:
    """Every surveyed kernel, those of the package first. Raises Malformed."""
    return SurveyReport(
        tuple(
            SurveyedKernel(
                one.release,
                one.files.get(VMLINUX, ""),
                tuple(sorted(scope for scope in one.files if scope != VMLINUX)),
                os.path.dirname(one.path) == SHIPPED,
                one.path,
            )
            for one in surveyed()
        )
    )


def add(
    paths: Sequence[str],
    announce: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SurveyReport:
    """Read debug files, or surveys made elsewhere, and keep what they say, one survey a kernel; the kernels read.

    Modules join the kernel of their release. A vmlinux of another build takes the place of the one before, and of
    its modules. Nothing is kept if a file cannot be read. Raises UsageError, Malformed, and OSError from writing.
    """
    where = own_folder()
    if not where:
        raise UsageError("there is no cache folder to keep a survey in: unset PROBE_SCOUT_CACHE, or set HOME")
    reads: list[Read] = []
    for path in paths:
        if announce is not None:
            announce(f"reading {path}")
        reads += _of_survey(path) if _is_survey(path) else [read_file(path, progress)]
    reads.sort(key=lambda one: one.scope != VMLINUX)
    made = []
    for release in dict.fromkeys(one.release for one in reads):
        path = os.path.join(where, re.sub(r"[^\w.+-]", "_", release) + SUFFIX)
        collected = Collected()
        if os.path.isfile(path):
            collected.take(Table(reader(path), path))
        mine = [one for one in reads if one.release == release]
        for one in mine:
            collected.add(one)
        _write(path, collected.encoded())
        files = collected.kernels[release]
        made.append(
            SurveyedKernel(
                release,
                files[VMLINUX][0] if VMLINUX in files else "",
                tuple(sorted(scope for scope in files if scope != VMLINUX)),
                False,
                path,
                tuple(dict.fromkeys(one.scope for one in mine)),
            )
        )
    return SurveyReport(tuple(made))


def _is_survey(path: str) -> bool:
    """By its first bytes; a file that cannot be opened is none, and read_file says why."""
    try:
        with open(path, "rb") as handle:
            return handle.read(len(MAGICS[0])) in MAGICS
    except OSError:
        return False


def _of_survey(path: str) -> list[Read]:
    """Every file that a survey was made from. Raises Malformed."""
    collected = Collected()
    collected.take(Table(reader(path), path))
    return [
        Read(release, scope, build_id, cells, collected.machines[release], collected.shares)
        for release, files in collected.kernels.items()
        for scope, (build_id, cells) in files.items()
    ]


def _write(path: str, raw: bytes) -> None:
    """Put a file in its place at once, for its owner alone. Raises OSError."""
    folder = os.path.dirname(path)
    for one in (os.path.dirname(folder), folder):
        os.makedirs(one, mode=0o700, exist_ok=True)
    state = os.lstat(folder)
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise PermissionError(13, "others may write to this folder: what it holds would not be believed", folder)
    spare = f"{path}.{os.getpid()}"
    descriptor = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(raw)
        os.replace(spare, path)
    except BaseException:
        os.unlink(spare)
        raise
