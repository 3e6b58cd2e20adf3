"""probe-scout: does this kernel accept a probe here, why not, and what instead.

The front door for programs (docs/api.md). Names are looked up on first use, because the command line must not
pay for what it does not ask.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import Broken as Broken
    from .errors import CannotAsk as CannotAsk
    from .errors import Denied as Denied
    from .errors import Malformed as Malformed
    from .errors import NoStub as NoStub
    from .errors import NotThere as NotThere
    from .errors import ProbeScoutError as ProbeScoutError
    from .errors import SourceError as SourceError
    from .errors import UsageError as UsageError
    from .frontends.session import OpenKernel as OpenKernel
    from .frontends.session import open_kernel as open_kernel
    from .model.attach import ATTACH_TYPES as ATTACH_TYPES
    from .model.audit import AuditReport as AuditReport
    from .model.calls import FeaturesReport as FeaturesReport
    from .model.calls import KfuncReport as KfuncReport
    from .model.diff import DiffReport as DiffReport
    from .model.document import plain as to_dict
    from .model.facts import Unread as Unread
    from .model.inline import InlineReport as InlineReport
    from .model.inline import InlineTable as InlineTable
    from .model.lint import LintReport as LintReport
    from .model.report import CheckReport as CheckReport
    from .model.report import Coverage as Coverage
    from .model.report import DoctorReport as DoctorReport
    from .model.report import KernelInfo as KernelInfo
    from .model.report import ScanReport as ScanReport
    from .model.report import ScanRow as ScanRow
    from .model.report import SnapshotResult as SnapshotResult
    from .model.report import TargetReport as TargetReport
    from .model.stub import StubReport as StubReport
    from .model.trace import TracepointReport as TracepointReport
    from .model.trial import VerifyReport as VerifyReport
    from .model.verdict import Finding as Finding
    from .model.verdict import Verdict as Verdict
    from .model.version import __version__ as __version__

# Module to the names it gives; to_dict is the name here of document.plain.
_HOMES = {
    "frontends.session": "OpenKernel open_kernel",
    "errors": "Broken CannotAsk Denied Malformed NoStub NotThere ProbeScoutError SourceError UsageError",
    "model.attach": "ATTACH_TYPES",
    "model.audit": "AuditReport",
    "model.calls": "FeaturesReport KfuncReport",
    "model.diff": "DiffReport",
    "model.document": "to_dict",
    "model.facts": "Unread",
    "model.inline": "InlineReport InlineTable",
    "model.lint": "LintReport",
    "model.report": "CheckReport Coverage DoctorReport KernelInfo ScanReport ScanRow SnapshotResult TargetReport",
    "model.stub": "StubReport",
    "model.trace": "TracepointReport",
    "model.trial": "VerifyReport",
    "model.verdict": "Finding Verdict",
    "model.version": "__version__",
}
__all__ = [
    "ATTACH_TYPES",
    "AuditReport",
    "Broken",
    "CannotAsk",
    "CheckReport",
    "Coverage",
    "Denied",
    "DiffReport",
    "DoctorReport",
    "FeaturesReport",
    "Finding",
    "InlineReport",
    "InlineTable",
    "KernelInfo",
    "KfuncReport",
    "LintReport",
    "Malformed",
    "NoStub",
    "NotThere",
    "OpenKernel",
    "ProbeScoutError",
    "ScanReport",
    "ScanRow",
    "SnapshotResult",
    "SourceError",
    "StubReport",
    "TargetReport",
    "TracepointReport",
    "Unread",
    "UsageError",
    "Verdict",
    "VerifyReport",
    "__version__",
    "open_kernel",
    "to_dict",
]


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names.split():
            from importlib import import_module

            found: object = getattr(import_module(f".{home}", __name__), {"to_dict": "plain"}.get(name, name))
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
