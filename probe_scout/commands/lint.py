"""`lint`: will compiled BPF objects open, relocate, load and attach on these kernels.

Files are objects, executables and libraries with embedded objects, ar archives, Debian packages, or folders of them.
Each object is read once and judged against each kernel.
"""

from __future__ import annotations

from hashlib import sha256

from ..errors import Malformed, UsageError
from ..model import facts
from ..model.facts import Unread
from ..model.lint import LintedObject, LintReport, OnKernel
from ..probes.objects import files
from ..rules import section_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from ..formats.elf.bpf_object import BpfObject
    from ..kernel.kernel import Kernel
    from ..model.report import Alternative
    from ..model.requires import RequiresReport
    from ..model.verdict import Verdict
    from ..probes.objects.judge import Judge
else:
    Protocol = object

NEWEST = section_names.NEWEST
FILE_BYTES_MAX = files.FILE_BYTES_MAX
_SEARCHES_MAX = 16
_POINTS_MAX = 3


Kept = tuple[str, OnKernel, tuple[Unread, ...]]  # the object's license, its answers, what the kernel's files lacked


class Keeper(Protocol):
    """Where answers are kept between runs, by the kernel's place in the list and the object's sha256."""

    def load(self, kernel: int, digest: str) -> Kept | None: ...
    def store(self, kernel: int, digest: str, kept: Kept) -> None: ...


def report(
    kernels: Sequence[Callable[[], Kernel]],
    paths: Sequence[str],
    libbpf: tuple[int, int] = section_names.NEWEST,
    program: str = "",
    stdin: Callable[[], bytes] | None = None,
    keeper: Keeper | None = None,
) -> LintReport:
    """Judges every object in `paths` against every kernel. Raises UsageError for a file that cannot be read.

    `program` names one program of each object. A kernel whose answers are all kept is not opened.
    """
    asked = [_Asked(kernel, libbpf, program) for kernel in kernels]
    found: list[LintedObject] = []
    skipped: list[tuple[str, str]] = []
    seen: set[str] = set()
    fresh: list[tuple[int, str, str, OnKernel]] = []
    gaps: dict[Unread, None] = {}
    for path, raw in files.objects(paths, skipped, stdin):
        digest = sha256(raw).hexdigest()
        if digest in seen:
            continue
        seen.add(digest)
        held = [keeper.load(number, digest) if keeper else None for number in range(len(asked))]
        try:
            read = None if held and all(held) else _read(raw, path)
            rows = [kept[1] if kept else one.answer(read) for kept, one in zip(held, asked, strict=True)]
        except Malformed as error:
            skipped.append((path, str(error)))
            continue
        license_name = read.license if read is not None else next((kept[0] for kept in held if kept), "")
        for number, kept in enumerate(held):
            if kept is None:
                fresh.append((number, digest, license_name, rows[number]))
            else:
                gaps.update(dict.fromkeys(kept[2]))
        found.append(LintedObject(path, digest, license_name, tuple(rows)))
    unread = [one.unread() for one in asked]
    if keeper is not None:
        for number, digest, license_name, row in fresh:
            keeper.store(number, digest, (license_name, row, unread[number]))
    for lacking in unread:
        gaps.update(dict.fromkeys(lacking))
    return LintReport(tuple(found), tuple(skipped), tuple(gaps))


def _read(raw: bytes, path: str) -> BpfObject:
    from ..formats.elf import bpf_object  # not where all answers are kept

    return bpf_object.read(raw, path)


class _Asked:
    """One kernel, opened and read when it is first judged against."""

    def __init__(self, kernel: Callable[[], Kernel], libbpf: tuple[int, int], program: str) -> None:
        self._open, self._libbpf, self._program = kernel, libbpf, program
        self._judged = 0
        self._opened: tuple[Kernel, Judge] | None = None

    def answer(self, read: BpfObject | None) -> OnKernel:
        """The answers for one object. Raises Malformed."""
        assert read is not None
        if self._opened is None:
            kernel = self._open()
            self._opened = kernel, _judge(kernel, self._libbpf)
        kernel, judge = self._opened
        if not self._judged and (types := judge.types.vmlinux) is not None:
            types.note(judge.type_names(read))
        _gather(kernel, judge.functions(read, self._program), self._judged)
        self._judged += 1
        return OnKernel(kernel.info(), *judge.answer(read, self._program))

    def unread(self) -> tuple[Unread, ...]:
        if self._opened is None:
            return ()
        asked = (self._opened[0].unread(fact) for fact in (facts.KALLSYMS, facts.BTF, facts.CONFIG))
        return tuple(gap for gap in asked if gap is not None)


def requires(
    paths: Sequence[str], libbpf: tuple[int, int] = section_names.NEWEST, stdin: Callable[[], bytes] | None = None
) -> RequiresReport:
    """What every object in `paths` asks of a kernel. Raises UsageError for a file that cannot be read."""
    from ..model.requires import ObjectNeeds, RequiresReport
    from ..probes.objects import requires as demands

    found: dict[str, ObjectNeeds] = {}
    skipped: list[tuple[str, str]] = []
    for path, raw in files.objects(paths, skipped, stdin):
        digest = sha256(raw).hexdigest()
        try:
            if digest not in found:
                found[digest] = demands.of(_read(raw, path), path, digest, libbpf)
        except Malformed as error:
            skipped.append((path, str(error)))
    return RequiresReport(tuple(found.values()), tuple(skipped))


def _gather(kernel: Kernel, names: set[str], objects_before: int) -> None:
    """All functions of an object in one search of kallsyms; after some objects the whole table is cheaper."""
    if objects_before >= _SEARCHES_MAX:
        kernel.full()
    elif len(names) > 1:
        kernel.gather({name.encode() for name in names}, with_types=False)


def _is_partial(kernel: Kernel) -> bool:
    """What is not in these files may be on the kernel: a slice, or an image, whose modules are not loaded."""
    return bool(kernel.partial()) or kernel.source.describe().kind == "image"


def _judge(kernel: Kernel, libbpf: tuple[int, int]) -> Judge:
    from ..probes.calls import Calls
    from ..probes.objects.judge import Judge
    from ..probes.objects.kernel_types import KernelTypes
    from ..probes.tracepoints.raw_arguments import TraceTypes

    verdict = _kept(kernel)
    types = KernelTypes(kernel, _is_partial(kernel))
    loadable = TraceTypes(kernel).loadable
    return Judge(types, verdict, libbpf, Calls(kernel, search=False), _points(kernel, verdict), loadable)


def _points(kernel: Kernel, verdict: Callable[[str, str], Verdict]) -> Callable[[str, str], tuple[Alternative, ...]]:
    """Attach points that answer yes, where a target does not; each target is looked up once."""
    from ..model.target import FUNCTION, parse
    from ..probes.attach import verdicts
    from ..probes.explain import alternatives
    from ..probes.explain.kernel_lookup import KernelLookup

    held: dict[tuple[str, str], tuple[Alternative, ...]] = {}
    lookup = KernelLookup(kernel, lambda other, attach: verdicts.answer(kernel, other, attach))

    def ask(attach: str, target: str) -> tuple[Alternative, ...]:
        meant = parse(target)
        # For a function that is not there the other points are the same for every attach type.
        is_there = meant.kind != FUNCTION or bool(lookup.symbols(meant.name))
        key = attach if is_there else "", target
        if key not in held:
            if not is_there:
                kernel.note(meant.name.encode())
            held[key] = alternatives.alternatives(lookup, meant, (verdict(attach, target),), _POINTS_MAX)
        return held[key]

    return ask


def _kept(kernel: Kernel) -> Callable[[str, str], Verdict]:
    from ..model.target import parse
    from ..probes.attach import verdicts

    held: dict[tuple[str, str], Verdict] = {}

    def ask(attach: str, target: str) -> Verdict:
        if (attach, target) not in held:
            held[attach, target] = verdicts.verdicts(kernel, parse(target), (attach,))[0]
        return held[attach, target]

    return ask


def version(text: str) -> tuple[int, int]:
    """The libbpf release of --libbpf. Raises UsageError."""
    first, _, second = text.partition(".")
    if not (first.isdigit() and second.isdigit()) or (int(first), int(second)) < (1, 0):
        raise UsageError(f"--libbpf takes a release from 1.0, such as 1.5, and not {text!r}")
    return int(first), int(second)


def code_of(found: LintReport) -> int:
    """The exit code: 0 every program may load, 1 one is refused, 3 one cannot be told, 4 a file is no object."""
    answers = [p.answer for o in found.objects for k in o.kernels for p in k.programs]
    if "no" in answers:
        return 1
    if "unknown" in answers:
        return 3
    return 4 if found.skipped else 0
