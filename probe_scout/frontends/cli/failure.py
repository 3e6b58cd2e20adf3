"""The document of a command with --json whose input could not be read: its own schema, empty lists, `unread`, `error`.

A program that parses what `--json` prints then always finds a document, with the reason in it. Usage errors (exit
code 2) have none: nothing was asked.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import CannotAsk, Malformed, NoStub, ProbeScoutError, SourceError
from ...model.facts import Unread
from ...model.report import KernelInfo
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..session import OpenKernel

# The lists of each command's document, which are empty here.
_LISTS: dict[str, tuple[str, ...]] = {
    "check": ("targets",),
    "scan": ("rows",),
    "tracepoint": ("events", "notes"),
    "audit": ("attachments", "loaded", "findings"),
    "verify": ("trials", "reports"),
    "diff": ("totals", "types", "common", "modules", "counts", "functions", "events"),
    "stub": ("stubs", "skipped", "notes"),
    "inline": ("functions", "alternatives", "notes", "suggestions"),
    "inline_all": ("rows",),
    "survey": ("kernels",),
    "lint": ("objects", "skipped"),
    "features": ("features", "helpers"),
    "kfunc": ("types", "kfuncs"),
    "doctor": ("sources", "findings"),
    "snapshot": ("left_out",),
}
SOURCE = "source"  # the fact of a root that cannot be opened at all


def document(request: Request, error: Exception, sentence: str, open_kernel: Callable[..., OpenKernel]) -> str | None:
    """The document as text; None for a command that has none."""
    from ...model.document import SCHEMAS
    from ..render import json

    command = "inline_all" if request.command == "inline" and request.whole else request.command
    lists = _LISTS.get(command)
    if lists is None:
        return None
    body: dict[str, object] = {"schema": SCHEMAS[command]}
    unread: list[object]
    if command == "diff":
        roots = ["" if root == "live" else root for root in request.names[:2]]
        sides = [(side, *_kernel(root, open_kernel)) for side, root in zip("ab", roots, strict=True)]
        body.update({side: info for side, info, _ in sides})
        unread = [{"side": side, "unread": fact} for side, _, facts in sides for fact in facts]
        unread = unread or [{"side": "", "unread": fact} for fact in _of(error, sentence, request)]
    else:
        unread = [*_of(error, sentence, request)]
        if command not in ("survey", "lint"):
            body["kernel"], facts = _kernel(request.root, open_kernel)
            unread += facts
    body.update({name: [] for name in lists})
    body["unread"] = _once(unread)
    body["error"] = sentence
    return json.dump(body)


def _kernel(root: str, open_kernel: Callable[..., OpenKernel]) -> tuple[KernelInfo, list[Unread]]:
    """What is known of the kernel, and what of it could not be read; a root that cannot be opened is one such."""
    kernel = open_kernel(root)
    info = KernelInfo("", "", "", "", "")
    try:
        info = kernel.info()
        return info, list(kernel.doctor().unread)
    except SourceError as error:
        return info, [Unread(SOURCE, error.kind, f"{error.path}: {error.why}", error.cure)]
    except (ProbeScoutError, OSError) as error:
        return info, [Unread(SOURCE, "malformed", str(error))]


def _of(error: Exception, sentence: str, request: Request) -> list[Unread]:
    """What the error itself says could not be read."""
    if isinstance(error, ProbeScoutError) and error.unread:
        return list(error.unread)
    if isinstance(error, SourceError):
        return [Unread(SOURCE, error.kind, f"{error.path}: {error.why}", error.cure)]
    if isinstance(error, CannotAsk):
        return [Unread("attachments", "not_recorded" if request.root else "denied", sentence)]
    if isinstance(error, NoStub) and error.exit_code == 1:
        return []  # an answer: there is no such target
    if isinstance(error, NoStub):
        return [Unread("types", "not_there", sentence)]
    kind = "malformed" if isinstance(error, (ProbeScoutError, Malformed)) else "not_there"
    return [Unread(SOURCE, kind, sentence)]


def _once(facts: list[object]) -> list[object]:
    found: list[object] = []
    for fact in facts:
        if fact not in found:
            found.append(fact)
    return found
