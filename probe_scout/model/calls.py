"""What `features` and `kfunc` say: what programs of each type may use and call on one kernel."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .report import KernelInfo

_IMAGE_CURE = "name the kernel's image, of the same build: --vmlinux vmlinuz, or --root vmlinuz or a kernel's package"
RUN_ARCHITECTURES = ("x86_64",)  # whose instructions formats/image/emulate.py runs


def image_cure(arch: str) -> str:
    """What opens answers that are code of the kernel. `arch`: its machine word, "unknown" where that is not told."""
    if arch in (*RUN_ARCHITECTURES, "unknown"):
        return _IMAGE_CURE
    return f"load the program on such a kernel: images of {arch} are not run here"


class Feature(NamedTuple):
    """Whether a kernel has one type or command. `kind`: program_type, map_type, attach_type, link_type, command.

    `number` is the kernel's own; `says` and `evidence` tell what decided.
    """

    kind: str
    name: str
    number: int
    answer: str
    says: str
    evidence: str


class HelperRow(NamedTuple):
    """One helper: program type to yes, no or unknown. `attach`: where attach types differ, those that may call it."""

    helper: str
    number: int
    answers: dict[str, str]
    attach: dict[str, tuple[str, ...]]


class _FeaturesReport(NamedTuple):
    kernel: KernelInfo
    basis: str
    features: tuple[Feature, ...]
    helpers: tuple[HelperRow, ...]
    unread: tuple[Unread, ...] = ()


class FeaturesReport(Document, _FeaturesReport):
    """`probe-scout features`. `basis` tells where the helpers' answers come from: image, recorded or none."""

    __slots__ = ()
    COMMAND = "features"


class KfuncRow(NamedTuple):
    """One kfunc. `flags` is None where no image tells them; `answers`: program type to yes, no or unknown."""

    name: str
    module: str | None
    prototype: str
    flags: tuple[str, ...] | None
    answers: dict[str, str]
    errno: str | None
    says: str
    evidence: str


class _KfuncReport(NamedTuple):
    kernel: KernelInfo
    types: tuple[str, ...]
    kfuncs: tuple[KfuncRow, ...]
    unread: tuple[Unread, ...] = ()


class KfuncReport(Document, _KfuncReport):
    """`probe-scout kfunc`. `types` are the program types, or the attach types that were asked for."""

    __slots__ = ()
    COMMAND = "kfunc"
