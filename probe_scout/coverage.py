"""Will a probe see every call: the answer of `check`, from the cheapest evidence that there is.

In this order: a file named by the user; what was kept of an earlier question; debug information in the usual places, if
few units know the name. Nothing is fetched, and a name that half of the kernel knows (list_add) is left to `inline`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import debugfiles
from .errors import ProbeScoutError
from .model.report import Coverage, KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .kernel import Kernel
    from .model.target import Target

Point = tuple[str, str, str]


def of(k: Kernel, target: Target, symbol: str, named: str = "") -> tuple[Coverage, tuple[Point, ...]]:
    """The coverage of a probe on a symbol, and places near the function's code for advice, not yet judged.

    Raises UsageError or Malformed for the file that the user named; any other file that cannot be read is no evidence.
    """
    if not named and next(_usual(k, target), None) is None:
        return Coverage(), ()
    from . import inline

    try:
        return inline.coverage(k, target, symbol, named)
    except ProbeScoutError:
        if named:
            raise
        return Coverage(), ()


def _usual(k: Kernel, target: Target) -> Iterator[debugfiles.Found]:
    module = None if target.module in (None, "vmlinux") else target.module
    description = k.source.describe()
    root = description.where if description.kind == "root" else ""
    return debugfiles.usual(debugfiles.Build(k.build_id(), k.release(), module, root))


def state(kernel: KernelInfo, root: str) -> str:
    """What the evidence about a kernel hangs on, as one line, for kept answers."""
    return debugfiles.state(
        debugfiles.Build(kernel.build_id, kernel.release, None, root if kernel.source == "root" else "")
    )
