"""`matrix` and `report`: hooks out of a file or a list, kernels out of --root or the file, answers into formats."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable

from ...errors import ProbeScoutError, UsageError
from ...formats.text import hooks_file
from ...model.hooks import FILE, HookSet
from ...model.matrix import UNTOLD
from . import output, streams
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.matrix import MatrixReport
    from ..session import OpenKernel

ROOTS_MAX = 2000
_SKIPPED_SHOWN = 5
_ARCHIVES = (".tar.xz", ".tar.gz", ".tar.zst", ".tar")
_OF_A_KERNEL = ("manifest.json", "proc", "sys", "boot", "usr", "lib")  # a folder with one of these is a kernel itself

Open = Callable[[str], "OpenKernel"]
Progress = Callable[[int, int], None]


def answer(request: Request, open_kernel: Open, progress: Progress | None) -> MatrixReport:
    """The report that a request asks for. Raises UsageError."""
    from ..many_kernels import matrix

    hooks = hooks_of(request.names[0])
    return matrix(hooks.hooks, roots_of(request.roots, hooks), open_kernel, progress)


def run(request: Request, open_kernel: Open, progress: Progress | None) -> int:
    """Answer, print, write each --output; the exit code."""
    import gc

    gc.disable()  # as for scan
    report = answer(request, open_kernel, progress)
    streams.write(_lines(request.format, report, request))
    for form, path in request.outputs:
        to_file(path, "\n".join(_lines(form, report, request)) + "\n")
    _note_errors(request, report)
    return code_of(report)


def page(request: Request, open_kernel: Open, progress: Progress | None) -> int:
    """`report`: the page into a file; the exit code is about what could be told, not about the answers."""
    import gc

    if request.page in ("audit", "diff"):
        text, code = (_audit_page if request.page == "audit" else _diff_page)(request, open_kernel)
        if request.out == "-":
            streams.put(text)
        else:
            to_file(request.out, text)
        return code

    from ...model.version import __version__
    from ..many_kernels import timelines
    from ..render.page import html

    gc.disable()  # as for scan
    report = answer(request, open_kernel, progress)
    text = html(report, f"probe-scout {__version__}", timelines(report, open_kernel))
    if request.out == "-":
        streams.put(text)
    else:
        to_file(request.out, text)
    _note_errors(request, report)
    if any(column.error for column in report.kernels):
        return 4
    return 3 if all(cell.state == UNTOLD for cell in report.cells) else 0


def _audit_page(request: Request, open_kernel: Open) -> tuple[str, int]:
    """What is attached to each kernel, and 3 where none of them tells."""
    from ...model.audit import AuditReport
    from ...model.version import __version__
    from ..render.page_more import audit_html

    if request.names[0]:
        raise UsageError("report --page audit takes no hooks")
    found: list[tuple[str, AuditReport | None, str]] = []
    for root in roots_of(request.roots, HookSet(())):
        name = root.rstrip("/").rpartition("/")[2] or "this machine"
        try:
            found.append((name, open_kernel(root).audit(), ""))
        except (ProbeScoutError, OSError) as error:
            found.append((name, None, str(error)))
    return audit_html(found, f"probe-scout {__version__}"), 0 if any(report for _, report, _ in found) else 3


def _diff_page(request: Request, open_kernel: Open) -> tuple[str, int]:
    """What differs between two kernels."""
    from ...model.version import __version__
    from ..render.page_more import diff_html

    if len(request.roots) != 2:
        raise UsageError("report --page diff takes two kernels: --root A --root B, and a pattern")
    a, b = (open_kernel(root) for root in request.roots)
    report = a.diff(b, request.names[0])
    return diff_html(report, f"probe-scout {__version__}"), 3 if report.unread else 0


def code_of(report: MatrixReport) -> int:
    """0: every hook that must attach does, everywhere; 1 one does not; 4 a kernel could not be asked; 3 not told."""
    answers = {cell.answer for cell in report.needed()}
    if "no" in answers:
        return 1
    if any(column.error for column in report.kernels):
        return 4
    return 3 if "unknown" in answers else 0


def _note_errors(request: Request, report: MatrixReport) -> None:
    for column in report.kernels:
        if column.error:
            output.note(f"{column.root or 'this machine'} was not asked: {column.error}")


def _lines(form: str, report: MatrixReport, request: Request) -> Iterable[str]:
    """The report in any format, as lines without line ends."""
    from ..render import ci, json, ladder
    from ..render import matrix as shown

    if form == "table":
        return shown.matrix_lines(report, output.style(request))
    if form == "json":
        return [json.document("matrix", report)]
    if form == "ndjson":
        return shown.ndjson(report)
    if form == "csv":
        from ..render.csv import csv_lines

        return csv_lines(*shown.long_rows(report))
    if form == "sarif":
        from ...model.version import __version__

        return [ci.sarif(report, __version__)]
    if form == "junit":
        return [ci.junit(report)]
    if form in ladder.LANGUAGES:
        return ladder.lines(report, form)
    if form == "github":
        return ci.github(report)
    from ..render.table import formatted

    return [formatted(form, *shown.wide_rows(report))]


# hooks and kernels


def hooks_of(path: str) -> HookSet:
    """The hooks of a file: "" is probe-scout.toml, - standard input. Raises UsageError.

    TOML, a plain list, a compiled object or its skeleton, a policy of Tetragon, a script of bpftrace.
    """
    where = "standard input" if path == "-" else path or FILE
    try:
        if path == "-":
            data = sys.stdin.buffer.read(hooks_file.BYTES_MAX + 1)
        else:
            with open(path or FILE, "rb") as handle:
                data = handle.read(hooks_file.BYTES_MAX + 1)
    except FileNotFoundError:
        hint = "" if path else "; name a file of hooks, or - for a list on standard input"
        raise UsageError(f"{where}: there is no such file{hint}") from None
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{where}: {getattr(error, 'strerror', None) or error}") from None
    found = _read_hooks(data, where)
    if found.skipped:
        shown = "; ".join(found.skipped[:_SKIPPED_SHOWN])
        more = f"; and {len(found.skipped) - _SKIPPED_SHOWN} more" if len(found.skipped) > _SKIPPED_SHOWN else ""
        output.note(f"{where}: left out: {shown}{more}")
    return found


def _read_hooks(data: bytes, where: str) -> HookSet:
    """By what the bytes are, or by the name's ending."""
    from ...formats.hooks import object_sections

    if len(data) > hooks_file.BYTES_MAX:
        raise UsageError(f"{where}: larger than {hooks_file.BYTES_MAX >> 20} MB, not a list of hooks")
    if object_sections.is_one(data):
        return object_sections.read(data, where)
    if where.endswith((".yaml", ".yml")) or re.search(rb"(?m)^kind: *[\"']?TracingPolicy", data):
        from ...formats.hooks import tracing_policy

        return tracing_policy.read(data, where)
    if where.endswith(".bt") or re.match(rb"#!.*bpftrace", data):
        from ...formats.hooks import bpftrace_script

        return bpftrace_script.read(data.decode("utf-8", "replace"), where)
    is_toml = where.endswith(".toml") or any(line.strip() == b"[[hook]]" for line in data.splitlines())
    return hooks_file.read_toml(data, where) if is_toml else hooks_file.read_list(data, where)


def roots_of(given: Iterable[str], hooks: HookSet) -> list[str]:
    """The kernels to ask: those of --root, else those of the file (its paths begin at its folder), else this machine.

    A folder of archives stands for each of them, "live" for this machine. Raises UsageError for a pattern without a
    match and for too many.
    """
    given = list(given)
    base = "" if given else os.path.dirname(hooks.path)
    found: dict[str, None] = {}
    for root in given or hooks.kernels or ("live",):
        for one in expanded(root, base):
            found[one] = None
    if len(found) > ROOTS_MAX:
        raise UsageError(f"{len(found)} kernels, more than {ROOTS_MAX}")
    return list(found)


def expanded(root: str, base: str = "") -> list[str]:
    """The kernels that a --root stands for. Raises UsageError for a pattern without a match."""
    if root == "live":
        return [""]
    if "://" in root:
        return _in_store(root)
    path = os.path.join(base, root)
    if not os.path.lexists(path) and set(root) & set("*?["):
        import glob

        matched = sorted(glob.glob(path))
        if not matched:
            raise UsageError(f"{root}: no kernel matches this pattern")
        return matched
    return _archives(path) or [path]


def _in_store(address: str) -> list[str]:
    """The addresses that a pattern fits, or the address as it is."""
    from ...sources import remote

    if not set(address) & set("*?["):
        return [address]
    matched = remote.matches(address)
    if not matched:
        raise UsageError(f"{address}: no kernel matches this pattern")
    return matched


def _archives(path: str) -> list[str]:
    """The archives of a folder that is no kernel itself; none for anything else."""
    if not os.path.isdir(path):
        return []
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []  # the kernel's own opening says it
    if any(name in _OF_A_KERNEL for name in names):
        return []
    return [os.path.join(path, name) for name in names if name.endswith(_ARCHIVES)]


def to_file(path: str, text: str) -> None:
    """Writes the text beside the file and puts it in its place, so that no half of it is ever there.

    Raises OutputError.
    """
    real = os.path.realpath(path)  # a link stays one
    beside = f"{real}.{os.getpid()}.part"
    is_plain = not os.path.lexists(real) or os.path.isfile(real)
    try:
        with open(beside if is_plain else path, "w", encoding="utf-8", errors="backslashreplace") as handle:
            handle.write(text)
        if is_plain:
            os.replace(beside, real)
    except (OSError, ValueError) as error:
        if is_plain and os.path.lexists(beside):
            os.unlink(beside)
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise streams.OutputError(f"{path}: cannot be written: {why}") from None
