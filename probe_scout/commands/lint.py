"""`lint`: will compiled BPF objects open, relocate, load and attach on these kernels.

Files are objects, executables and libraries with embedded objects, ar archives, Debian packages, or folders of them.
Each object is read once and judged against each kernel.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from ..errors import Malformed, UsageError
from ..formats.elf import bpf_object
from ..model import facts
from ..model.lint import LintedObject, LintReport, OnKernel
from ..model.target import FUNCTION, parse
from ..probes.attach import verdicts
from ..probes.calls import Calls
from ..probes.objects import files
from ..probes.objects.judge import Judge
from ..probes.objects.kernel_types import KernelTypes
from ..rules import section_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..kernel.kernel import Kernel
    from ..model.report import Alternative
    from ..model.requires import RequiresReport
    from ..model.verdict import Verdict

NEWEST = section_names.NEWEST
FILE_BYTES_MAX = files.FILE_BYTES_MAX
_SEARCHES_MAX = 16
_POINTS_MAX = 3


def report(
    kernels: Sequence[Kernel],
    paths: Sequence[str],
    libbpf: tuple[int, int] = section_names.NEWEST,
    program: str = "",
    stdin: Callable[[], bytes] | None = None,
) -> LintReport:
    """Judges every object in `paths` against every kernel. Raises UsageError for a file that cannot be read.

    `program` names one program of each object.
    """
    judges = [(k, _judge(k, libbpf)) for k in kernels]
    found: list[LintedObject] = []
    skipped: list[tuple[str, str]] = []
    seen: set[str] = set()
    for path, raw in files.objects(paths, skipped, stdin):
        digest = sha256(raw).hexdigest()
        if digest in seen:
            continue
        seen.add(digest)
        try:
            read = bpf_object.read(raw, path)
            for k, judge in judges:
                _gather(k, judge.functions(read, program), len(found))
            answers = [(k, judge.answer(read, program)) for k, judge in judges]
        except Malformed as error:
            skipped.append((path, str(error)))
            continue
        rows = tuple(OnKernel(k.info(), whole, programs) for k, (whole, programs) in answers)
        found.append(LintedObject(path, digest, read.license, rows))
    gaps = (k.unread(fact) for k in kernels for fact in (facts.KALLSYMS, facts.BTF, facts.CONFIG))
    return LintReport(tuple(found), tuple(skipped), tuple(gap for gap in gaps if gap is not None))


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
                found[digest] = demands.of(bpf_object.read(raw, path), path, digest, libbpf)
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
    verdict = _kept(kernel)
    types = KernelTypes(kernel, _is_partial(kernel))
    return Judge(types, verdict, libbpf, Calls(kernel, search=False), _points(kernel, verdict))


def _points(kernel: Kernel, verdict: Callable[[str, str], Verdict]) -> Callable[[str, str], tuple[Alternative, ...]]:
    """Attach points that answer yes, where a target does not; each target is looked up once."""
    from ..probes.explain import alternatives
    from ..probes.explain.kernel_lookup import KernelLookup

    held: dict[tuple[str, str], tuple[Alternative, ...]] = {}
    lookup = KernelLookup(kernel, lambda other, attach: verdicts.answer(kernel, other, attach))

    def ask(attach: str, target: str) -> tuple[Alternative, ...]:
        meant = parse(target)
        # For a function that is not there the other points are the same for every attach type.
        key = attach if meant.kind != FUNCTION or lookup.symbols(meant.name) else "", target
        if key not in held:
            held[key] = alternatives.alternatives(lookup, meant, (verdict(attach, target),), _POINTS_MAX)
        return held[key]

    return ask


def _kept(kernel: Kernel) -> Callable[[str, str], Verdict]:
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
