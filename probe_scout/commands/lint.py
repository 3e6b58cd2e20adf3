"""`lint`: will compiled BPF objects open, relocate, load and attach on these kernels.

Files are objects, executables and libraries with embedded objects, ar archives, Debian packages, or folders of them.
Each object is read once and judged against each kernel.
"""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING

from ..errors import Broken, Malformed, UsageError
from ..formats.elf import bpf_object, embedded
from ..model import facts
from ..model.lint import LintedObject, LintReport, OnKernel
from ..model.target import parse
from ..probes.attach import verdicts
from ..probes.calls import Calls
from ..probes.objects.judge import Judge
from ..probes.objects.kernel_types import KernelTypes
from ..rules import section_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..kernel.kernel import Kernel
    from ..model.verdict import Verdict

NEWEST = section_names.NEWEST
FILE_BYTES_MAX = 1 << 30
_UNPACKED_BYTES_MAX = 4 << 30
_FILES_MAX = 100_000
_SEARCHES_MAX = 16


def report(
    kernels: Sequence[Kernel],
    files: Sequence[str],
    libbpf: tuple[int, int] = section_names.NEWEST,
    program: str = "",
    stdin: Callable[[], bytes] | None = None,
) -> LintReport:
    """Judges every object in `files` against every kernel. Raises UsageError for a file that cannot be read.

    `program` names one program of each object.
    """
    judges = [(k, Judge(KernelTypes(k, _is_partial(k)), _kept(k), libbpf, Calls(k, search=False))) for k in kernels]
    found: list[LintedObject] = []
    skipped: list[tuple[str, str]] = []
    seen: set[str] = set()
    for path, raw in _objects(files, skipped, stdin):
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


def _gather(kernel: Kernel, names: set[str], objects_before: int) -> None:
    """All functions of an object in one search of kallsyms; after some objects the whole table is cheaper."""
    if objects_before >= _SEARCHES_MAX:
        kernel.full()
    elif len(names) > 1:
        kernel.gather({name.encode() for name in names}, with_types=False)


def _is_partial(kernel: Kernel) -> bool:
    """What is not in these files may be on the kernel: a slice, or an image, whose modules are not loaded."""
    return bool(kernel.partial()) or kernel.source.describe().kind == "image"


def _kept(kernel: Kernel) -> Callable[[str, str], Verdict]:
    held: dict[tuple[str, str], Verdict] = {}

    def ask(attach: str, target: str) -> Verdict:
        if (attach, target) not in held:
            held[attach, target] = verdicts.verdicts(kernel, parse(target), (attach,))[0]
        return held[attach, target]

    return ask


def _objects(
    files: Sequence[str], skipped: list[tuple[str, str]], stdin: Callable[[], bytes] | None
) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of every object; a path inside a file is written FILE:MEMBER or FILE@OFFSET."""
    for name in files:
        if name == "-":
            if stdin is None:
                raise UsageError("- stands for standard input, which is not open here")
            yield from _inside("-", stdin(), skipped)
            continue
        if os.path.isdir(name):
            count = 0
            for folder, folders, names in os.walk(name):
                folders.sort()
                for each in sorted(names):
                    count += 1
                    if count > _FILES_MAX:
                        raise UsageError(f"{name} holds more than {_FILES_MAX} files")
                    path = os.path.join(folder, each)
                    if _is_regular(path):
                        yield from _inside(path, _read(path), None)
            continue
        yield from _inside(name, _read(name), skipped)


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            state = os.fstat(handle.fileno())
            if not stat.S_ISREG(state.st_mode) and not stat.S_ISFIFO(state.st_mode):
                raise UsageError(f"{path} is no file")
            if state.st_size > FILE_BYTES_MAX:
                raise UsageError(f"{path} is larger than {FILE_BYTES_MAX >> 20} MiB")
            return handle.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None


def _inside(path: str, raw: bytes, skipped: list[tuple[str, str]] | None) -> Iterator[tuple[str, bytes]]:
    """The objects in one file; where there is none, `skipped` gets the reason (None: not asked for by name)."""
    count = 0
    try:
        if embedded.is_object(raw):
            count = 1
            yield path, raw
        elif embedded.is_archive(raw):
            for name, held in _members(raw, path):
                for found in embedded.find(held):
                    count += 1
                    where = f"{path}:{name}"
                    yield (where if len(found.raw) == len(held) else f"{where}@{found.offset}"), found.raw
        else:
            for found in embedded.find(raw):
                count += 1
                yield f"{path}@{found.offset}", found.raw
    except (Malformed, Broken) as error:
        if skipped is not None:
            skipped.append((path, str(error)))
        return
    if not count and skipped is not None:
        skipped.append((path, "no BPF object is in it"))


def _members(raw: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    """Members of an ar archive; of a Debian package the files of its data."""
    for name, held in embedded.members(raw, path):
        if name.startswith("data.tar"):
            yield from _packed(held, f"{path}:{name}")
        elif not name.startswith(("control.tar", "debian-binary")):
            yield name, held


def _packed(raw: bytes, path: str) -> Iterator[tuple[str, bytes]]:
    import io
    import tarfile

    from ..sources import unpack

    packing = unpack.packing_of(raw[:8])
    data = unpack.unpacked(raw, packing, path, _UNPACKED_BYTES_MAX) if packing else raw
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                handle = archive.extractfile(member) if member.isreg() else None
                if handle is not None:
                    yield member.name.removeprefix("./"), handle.read()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise Broken(path, f"damaged tar data ({error})") from None


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
