"""One small type per command's result. Renderers take these; JSON is their shape with a schema."""

from __future__ import annotations

from collections.abc import Iterable

from ..named_tuple import NamedTuple
from .document import Document
from .facts import Unread
from .verdict import Finding, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .user_report import UserPlace


class KernelInfo(NamedTuple):
    """Which kernel was asked. `source` is live, snapshot, root or image; `taken` when a snapshot was made.

    `basis` is booted, or image for a kernel that was not booted, whose files were computed of its package; `assumed`
    then says what was taken to be so of what boot decides.
    """

    release: str
    build_id: str
    arch: str
    source: str
    taken: str
    basis: str = "booted"
    assumed: tuple[str, ...] = ()


class Diagnosis(NamedTuple):
    """Why a person sees this answer. `certainty` is "is" for what was read, "likely" for an inference."""

    kind: str
    says: str
    certainty: str


class Alternative(NamedTuple):
    """Another attach point whose own verdict is yes."""

    attach: str
    target: str
    answer: str
    says: str


class Hazard(NamedTuple):
    """An attempt that can harm the running kernel, whatever the verdict. `id` names the fact."""

    id: str
    says: str


class Copy(NamedTuple):
    """One function (or data object) that carries the name. `offset_bytes` is from _stext; None if hidden."""

    module: str | None
    address: str
    letter: str
    traced: bool | None
    taken_by: tuple[str, ...]  # attach types that silently take this copy


class Form(NamedTuple):
    """How one loader names the target without ambiguity: bpftrace, libbpf, cilium/ebpf, perf."""

    loader: str
    form: str
    says: str


class Coverage(NamedTuple):
    """Do calls go past the symbol because the compiler inlined or copied the function.

    `answer`: none, partial, complete, unknown; `basis`: dwarf, survey, survey-other, survey-across (builds of another
    architecture), none. `inlined_into`: copies that a probe misses. `clones`: other symbols that hold code of the same
    function; calls to them are missed as well.
    Of a prediction: `right` of `asked` predictions of this kind came true, `kernels` are those it is made from.
    `kind`: the class, one of dwarf/classes.py; "" where none is known, or functions of one name differ. `missed`: how
    many copies a probe misses, at least; more than `inlined_into` holds where a survey does not have their places.
    `grade` of a prediction that the kernel's own code was asked about: high (98 of 100 and more of those said to be
    partial were) or low; `called_by`: functions that held a copy in other builds and call the symbol in this one.
    """

    answer: str = "unknown"
    basis: str = "none"
    build_id_match: bool | None = None
    inlined_into: tuple[tuple[str, int], ...] = ()
    missed_callers: tuple[str, ...] = ()
    clones: tuple[str, ...] = ()
    right: int = 0
    asked: int = 0
    kernels: tuple[str, ...] = ()
    kind: str = ""
    missed: int = 0
    grade: str = ""
    called_by: tuple[str, ...] = ()

    def written(self) -> dict[str, object]:
        """What differs in a document: places have names."""
        return {"inlined_into": [{"caller": caller, "offset": offset} for caller, offset in self.inlined_into]}

    @property
    def is_prediction(self) -> bool:
        """It was foretold from surveys of other builds."""
        return self.basis in ("survey-other", "survey-across")

    @property
    def is_fact(self) -> bool:
        """It was read for this very build: *is* and not *likely*."""
        return self.basis in ("dwarf", "survey") and self.build_id_match is True


class Limit(NamedTuple):
    """What an accepted probe does not see or may not do here, inlining apart.

    `id` has a page of its own. `effect`: "partial" (some calls or returns are not seen), "never" (it is not called),
    "reads" (memory that helpers may not read), "unknown" (the feature probe could not be read). `types`: the attach
    types it holds for. `certainty`: "is", "likely", "unknown".
    """

    id: str
    effect: str
    says: str
    evidence: str
    types: tuple[str, ...]
    certainty: str = "is"


class TargetReport(NamedTuple):
    """Everything `check` says about one target. `coverage` is about inlining alone, `limits` about all else."""

    target: str
    kind: str
    module: str | None
    verdicts: tuple[Verdict, ...]
    coverage: Coverage
    diagnosis: tuple[Diagnosis, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    copies: tuple[Copy, ...] = ()
    forms: tuple[Form, ...] = ()
    suggestions: tuple[str, ...] = ()
    prototype: str | None = None
    limits: tuple[Limit, ...] = ()


class UserReport(NamedTuple):
    """Everything about one user target; the first fields are those of TargetReport."""

    target: str
    kind: str
    module: str | None
    verdicts: tuple[Verdict, ...]
    coverage: Coverage
    diagnosis: tuple[Diagnosis, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    copies: tuple[Copy, ...] = ()
    forms: tuple[Form, ...] = ()
    suggestions: tuple[str, ...] = ()
    prototype: str | None = None
    limits: tuple[Limit, ...] = ()
    place: UserPlace | None = None
    unread: tuple[Unread, ...] = ()


class _CheckReport(NamedTuple):
    kernel: KernelInfo
    targets: tuple[TargetReport | UserReport, ...]
    caller: str = "root"  # "root" (fully privileged) or "me" with --as-me


class CheckReport(Document, _CheckReport):
    """`probe-scout check`."""

    __slots__ = ()
    COMMAND = "check"

    def __repr__(self) -> str:
        told = [
            f"{one.target} "
            + " ".join(f"{v.attach}:{v.errno or v.answer}" for v in one.verdicts[:4])
            + (" …" if len(one.verdicts) > 4 else "")
            for one in self.targets[:3]
        ]
        rest = f"; {len(self.targets) - 3} more" if len(self.targets) > 3 else ""
        return f"<CheckReport of {self.kernel.release}: {'; '.join(told)}{rest}>"


class ScanRow(NamedTuple):
    """One function of `scan`; `answers` and `errno` map attach type to answer and to errno (only for no)."""

    target: str
    module: str | None
    answers: dict[str, str]
    errno: dict[str, str]


class UserScanRow(NamedTuple):
    """One function or USDT site of a file; `offset` in bytes of the file, `refused` and `misread` as in UserSite."""

    target: str
    module: str | None
    answers: dict[str, str]
    errno: dict[str, str]
    offset: int | None
    source: str
    refused: str
    misread: str


class SourceState(NamedTuple):
    """One line of `doctor`: a file, whether it was read, and what would open it. `state`: read, denied, …"""

    path: str
    fact: str
    state: str
    says: str
    cure: str


class Need(NamedTuple):
    """One thing that hooks need. `kind`: capability, sysctl, config, boot, mount; `has`: whether this kernel has it, of
    capabilities unknown. `hooks`: attach type and hook."""

    kind: str
    name: str
    has: str
    says: str
    hooks: tuple[str, ...]


class _DoctorReport(NamedTuple):
    kernel: KernelInfo
    sources: tuple[SourceState, ...]
    findings: tuple[Finding, ...]
    unread: tuple[Unread, ...]
    needs: tuple[Need, ...] = ()


class DoctorReport(Document, _DoctorReport):
    """`probe-scout doctor`."""

    __slots__ = ()
    COMMAND = "doctor"


class _ScanReport(NamedTuple):
    kernel: KernelInfo
    rows: Iterable[ScanRow | UserScanRow]
    unread: tuple[Unread, ...]


class ScanReport(Document, _ScanReport):
    """`probe-scout scan`. `rows` can be walked once."""

    __slots__ = ()
    COMMAND = "scan"


class _SnapshotResult(NamedTuple):
    path: str
    size_bytes: int
    members: int
    left_out: tuple[tuple[str, str], ...]


class SnapshotResult(Document, _SnapshotResult):
    """`left_out` names what could not be read and why; what the kernel simply does not have is not in it."""

    __slots__ = ()
    COMMAND = "snapshot"
