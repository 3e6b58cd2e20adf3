"""Answers of `lint` kept between runs: one entry for each object and kernel, with what the kernel's files lacked."""

from __future__ import annotations

from ..model.facts import Unread
from ..model.lint import ObjectAnswer, OnKernel, ProgramAnswer
from ..model.report import Alternative, KernelInfo
from ..model.verdict import Finding
from ..sources import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..commands.lint import Kept


class KeptAnswers:
    """What earlier runs found. `questions`: by kernel, everything its files are; None for one that is not kept."""

    def __init__(self, questions: Sequence[str | None], libbpf: tuple[int, int], program: str) -> None:
        self._questions = questions
        self._tail = f"{libbpf[0]}.{libbpf[1]}\0{program}"

    def load(self, kernel: int, digest: str) -> Kept | None:
        """The answers for an object, by its sha256, and the license it names; None if none can be trusted."""
        question = self._question(kernel, digest)
        raw = cache.kept(question) if question else None
        try:
            return None if raw is None else _kept(raw)
        except (ValueError, TypeError, IndexError, KeyError):
            return None

    def store(self, kernel: int, digest: str, kept: Kept) -> None:
        """Keep answers. Failing to is no error: the next run works them out again."""
        question = self._question(kernel, digest)
        if question:
            cache.keep(question, kept)

    def _question(self, kernel: int, digest: str) -> str:
        state = self._questions[kernel]
        return f"{state}\0{digest}\0{self._tail}" if state else ""


def _kept(raw: Any) -> Kept:
    license_name, (kernel, whole, programs), unread = raw
    if not isinstance(license_name, str):
        raise TypeError(license_name)
    info = KernelInfo(*kernel)
    row = OnKernel(
        info._replace(assumed=tuple(info.assumed)),
        ObjectAnswer(*whole)._replace(findings=_findings(whole[3])),
        tuple(map(_program, programs)),
    )
    return license_name, row, tuple(Unread(*gap) for gap in unread)


def _program(raw: Any) -> ProgramAnswer:
    answer = ProgramAnswer(*raw)
    return answer._replace(
        findings=_findings(answer.findings), alternatives=tuple(Alternative(*one) for one in answer.alternatives)
    )


def _findings(raw: Any) -> tuple[Finding, ...]:
    return tuple(Finding(*one) for one in raw)
