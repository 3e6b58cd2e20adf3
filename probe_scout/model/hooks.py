"""Hooks: what a program wants to attach to, written down once and asked of many kernels.

A hook has a ladder: attach points in the order in which a loader tries them. The file that holds them is
`probe-scout.toml` (formats/text/hooks_file.py reads it).
"""

from __future__ import annotations

from ..named_tuple import NamedTuple

FILE = "probe-scout.toml"
MUST, MAY = "must", "may"
NEEDS = (MUST, MAY)
COVERAGES = ("any", "partial", "complete")


class Hook(NamedTuple):
    """One hook. `ladder` holds targets as `check` takes them, the best first.

    `source`: FILE or FILE:LINE where the program is written, "" where that is not said. `need`: "must" (without it the
    program is of no use) or "may". `coverage`: which calls a rung has to see to be taken: "any" (whatever it
    sees), "partial" (some), "complete" (no call goes past it).
    """

    name: str
    ladder: tuple[str, ...]
    source: str = ""
    need: str = MUST
    coverage: str = "any"


class HookSet(NamedTuple):
    """The hooks of one file and the kernels that it names, as written there; `path` is the file, "" for a list.

    `skipped`: a sentence for each attach point in it that is no function, tracepoint or system call of a kernel.
    """

    hooks: tuple[Hook, ...]
    kernels: tuple[str, ...] = ()
    path: str = ""
    skipped: tuple[str, ...] = ()
