"""What `survey` says: which kernels' inlining is known before anyone asks."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document


class SurveyedKernel(NamedTuple):
    """One kernel. `build_id`: of its vmlinux, "" if only modules were read. `path`: the survey's file.

    `shipped`: it came with this package. `added`: files read just now, module or "vmlinux".
    """

    release: str
    build_id: str
    modules: tuple[str, ...]
    shipped: bool
    path: str
    added: tuple[str, ...] = ()


class _SurveyReport(NamedTuple):
    kernels: tuple[SurveyedKernel, ...]


class SurveyReport(Document, _SurveyReport):
    """`probe-scout survey`: every surveyed kernel, or those that were just read."""

    __slots__ = ()
    COMMAND = "survey"
