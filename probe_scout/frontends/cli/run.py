"""From a Request to text and an exit code: open the kernel, ask, render.

Exit codes: 0 every asked answer is yes; 1 at least one no, or nothing matches; 2 usage; 3 cannot
tell; 4 a source is broken; 130 interrupted; 141 the reader closed the pipe. One sentence on
standard error for each failure, never a traceback (PROBE_SCOUT_TRACEBACK=1 shows it).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from ...errors import Denied, NotThere, ProbeScoutError, UsageError
from ...model import asked
from . import output, streams
from .output import BROKEN, CANNOT_TELL, CLOSED_PIPE, INTERRUPTED, NO, YES
from .request import Request, read_fast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.facts import Unread
    from ...model.report import CheckReport, KernelInfo, ScanRow, TargetReport, UserReport, UserScanRow
    from ...model.verdict import Verdict
    from ..session import OpenKernel

_MANY = 16  # names from which on the whole tables are read; see many.py
_BLOCK_LINES = 512  # lines given to one write
_PACKAGES = {"elftools": "pyelftools"}  # modules whose package has another name

opened: list[OpenKernel] = []  # by this process; afterwards.py makes their next question cheaper


def open_kernel(root: str, vmlinux: str | None = None, modules: str = "") -> OpenKernel:
    """The kernel behind `--root`. Tests put their own in this place."""
    from .. import session

    kernel = session.open_kernel(root, vmlinux=vmlinux, cache=True, modules=modules)
    opened.append(kernel)
    return kernel


def main(args: Sequence[str]) -> int:
    """The exit code of one command line, after printing its answer. Raises nothing."""
    try:
        code = _main(args)
        streams.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        streams.forget()
        return CLOSED_PIPE
    except streams.OutputError as error:
        return _fail(str(error), BROKEN)
    except ProbeScoutError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        return _fail(_sentence(error), BROKEN)
    except ModuleNotFoundError as error:
        return _fail(_not_installed(error), BROKEN)
    except Exception as error:  # the last line of defence: a sentence, and how to see more
        if os.environ.get("PROBE_SCOUT_TRACEBACK"):
            raise
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _fail(f"a defect of probe-scout, please report it ({text}); PROBE_SCOUT_TRACEBACK=1 shows where", BROKEN)


def _main(args: Sequence[str]) -> int:
    if args and args[0] == "__complete":
        from . import complete

        return complete.main(args[1:], open_kernel)
    request = read_fast(args)
    if request is None:
        from . import app

        answer = app.read(args)
        if isinstance(answer, int):
            return answer
        request = answer
    return run(request)


def run(request: Request) -> int:
    """Do what was asked; the exit code. Raises ProbeScoutError, after the document of the failure with --json."""
    try:
        return _COMMANDS[request.command](request)
    except (UsageError, BrokenPipeError, streams.OutputError):
        raise
    except (ProbeScoutError, OSError) as error:
        code = CANNOT_TELL if isinstance(error, (Denied, NotThere)) and _is_gap(request) else None
        if request.format == "json":
            from . import failure

            text = failure.document(request, error, _sentence(error), open_kernel)
            streams.write([text] if text is not None else [])
        if code is None:
            raise
        return _fail(_sentence(error), code)


def _is_gap(request: Request) -> bool:
    """The command looks for a file of the kernel, and one that is not there or closed leaves the answer open."""
    return request.command in ("scan", "tracepoint", "diff", "stub")


def _sentence(error: ProbeScoutError | OSError) -> str:
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return str(error)


def _not_installed(error: ModuleNotFoundError) -> str:
    """What to install for a module of another package that is missing; where one of our own is, all of it."""
    module = (error.name or "").partition(".")[0]
    if not module or module == __name__.partition(".")[0]:
        return f"{error}: this installation of probe-scout is not whole; install it again"
    package = _PACKAGES.get(module, module)
    return (
        f"the Python package {package} is not installed: {sys.executable or 'python3'} -m pip install {package} "
        "(in a clone, ./run installs what is needed)"
    )


def _fail(sentence: str, code: int) -> int:
    try:
        streams.flush()
    except (BrokenPipeError, streams.OutputError):
        streams.forget()
    output.note(sentence)
    return code


def _open(request: Request) -> OpenKernel:
    if request.modules:
        kernel = open_kernel(request.root, request.vmlinux or None, request.modules)
    else:
        kernel = open_kernel(request.root, request.vmlinux or None)
    if request.caps:
        kernel.ask_as(request.caps)
    return kernel


def _opener(request: Request) -> Callable[[str], OpenKernel]:
    """Opens each of several kernels; `--modules` is for those that were not booted."""
    if not request.modules:
        return open_kernel
    from ...kernel import from_image

    return lambda root: open_kernel(root, None, request.modules if from_image.is_image(root) else "")


# check


def _check(request: Request) -> int:
    if request.names_from or len(request.names) > _MANY or any(map(_is_list, request.names)):
        if request.pid:
            raise UsageError("--pid takes some names, no list of them")
        return _check_many(request, _open(request))
    report = (
        _open(request).check(request.names, request.types, request.as_me, request.debug, request.pid or None)
        if request.debug or request.pid
        else _open(request).check(request.names, request.types, request.as_me)
    )
    everything = bool(request.types) or request.all_types
    if request.quiet:
        pass
    elif request.format == "table":
        streams.write(_check_lines(request, report, everything))
    elif request.format == "json":
        from ..render import json

        streams.write([json.document("check", report)])
    elif request.format == "ndjson":
        from ..render import json

        streams.write(json.check_ndjson(report))
    else:
        from ..render import listing

        output.table(request, *listing.check_rows(report))
    return code_of_all(target_code(request, target) for target in report.targets)


def _check_lines(request: Request, report: CheckReport, everything: bool) -> Iterator[str]:
    """In short, or with evidence and rule ids (-v, --all-types)."""
    if request.verbose or request.all_types:
        from ..render.plain import check_lines

        return check_lines(report, output.style(request), everything)
    from ..render.check_brief import brief_lines

    return brief_lines(report, output.style(request), everything)


def _check_many(request: Request, kernel: OpenKernel) -> int:
    """Judge and print; the exit code."""
    from .many import names_of

    names = names_of(request)
    everything = bool(request.types) or request.all_types
    info, reports = kernel.check_many(
        names, request.types, request.as_me, request.debug, request.all_types, output.progress("checking")
    )
    codes: set[int] = set()

    def counted() -> Iterator[TargetReport]:
        for report in reports:
            codes.add(target_code(request, report))
            yield report

    _print_many(request, info, counted(), everything)
    if not codes:
        output.note(f"nothing matches {' '.join(names[:3])}{' …' if len(names) > 3 else ''}")
        return NO
    return code_of_all(codes)


def _print_many(request: Request, info: KernelInfo, reports: Iterator[TargetReport], everything: bool) -> None:
    from ...model.report import CheckReport

    caller = "me" if request.as_me else request.caps or "root"
    if request.quiet:
        for _ in reports:
            pass
    elif request.format == "table":
        report = CheckReport(info, reports, caller)  # type: ignore[arg-type]  # walked once
        streams.write(_check_lines(request, report, everything))
    elif request.format == "ndjson":
        from ..render import json

        streams.write(json.check_ndjson(CheckReport(info, reports, caller)))  # type: ignore[arg-type]
    elif request.format == "json":
        from ..render import json

        streams.write([json.document("check", CheckReport(info, tuple(reports), caller))])
    else:
        from ..render import listing

        output.table(request, *listing.check_rows(CheckReport(info, tuple(reports), caller)))


def _is_list(name: str) -> bool:
    """A name that stands for several: -, @FILE, a pattern (of kernel functions; those of user functions are few)."""
    if name[:1] in ("-", "@"):
        return True
    return asked.is_kernel_pattern(name)


_CALLS = ("helper", "kfunc")  # without --type: may a program of any type
_USER = ("user_function", "usdt")
_NO_GO = ("hazard.uretprobe_go", "hazard.uretprobe_start", "hazard.uretprobe_offset", "hazard.uprobe_syscall")


def _is_vain(target: TargetReport | UserReport) -> bool:
    """User probes of which none sees a call, or one breaks the program, are no yes."""
    silent = {attach for limit in target.limits if limit.effect == "never" for attach in limit.types}
    taken = {verdict.attach for verdict in target.verdicts if verdict.answer != "no"}
    return (
        (bool(silent) and taken <= silent)
        or any(limit.effect == "corrupts" for limit in target.limits)
        or any(hazard.id in _NO_GO for hazard in target.hazards)
    )


def target_code(request: Request, target: TargetReport | UserReport) -> int:
    """The exit code of one target: of all its verdicts with --type or --all-types, else of those that count."""
    if target.kind in _USER and _is_vain(target):
        return NO
    verdicts = target.verdicts
    if not request.types and not request.all_types:
        from ...model.attach import counted

        verdicts = counted(target.kind, target.target.rpartition(":")[2], verdicts)
    any_yes = request.any_yes or (target.kind in _CALLS and not request.types)
    if any_yes and any(verdict.answer == "yes" for verdict in verdicts):
        return YES
    if any_yes and any(verdict.answer == "unknown" for verdict in verdicts):
        return CANNOT_TELL
    return code_of(verdicts)


def code_of_all(codes: Iterable[int]) -> int:
    """The exit code of several targets: no before cannot tell before yes; 3 where there are none."""
    found = set(codes)
    return NO if NO in found else CANNOT_TELL if CANNOT_TELL in found or not found else YES


def code_of(verdicts: Iterable[Verdict]) -> int:
    """The exit code of verdicts: 1 if any is no, else 3 if any is unknown or there are none, else 0."""
    answers = {verdict.answer for verdict in verdicts}
    if "no" in answers:
        return NO
    return YES if answers == {"yes"} else CANNOT_TELL


# scan


def _scan(request: Request) -> int:
    import gc

    gc.disable()  # what a scan makes lives to its end; looking for garbage in it costs a tenth of the time
    kernel = _open(request)
    glob = request.names[0]
    answer = request.answer or None
    is_plain = len(request.names) == 1 and not (
        request.without or request.args or request.returns or request.sort or request.limit or request.coverage
    )
    is_user = bool(request.pid) or _is_user(glob)
    if request.format == "ndjson" and is_plain and not is_user and _ndjson(kernel, glob, request.types, answer):
        return _told(kernel.gaps())
    report = kernel.scan(
        *(request.names, request.types, answer),
        without=request.without,
        args=request.args,
        returns=request.returns,
        pid=request.pid or None,
    )
    rows = _chosen(kernel, request, list(report.rows))
    if kernel.untyped():
        output.note(f"{kernel.untyped()} functions are left out: BTF does not tell their types")
    if not rows:
        if request.format == "json":
            from ..render import json

            streams.write([json.document("scan", report._replace(rows=rows))])
        if is_user:
            return _no_user_function(kernel, request, report.unread)
        return _nothing(kernel, "function", request, report.unread)
    if request.format == "table":
        from ..render import listing, plain

        style = output.style(request)
        streams.write([plain.kernel_line(report.kernel, style), ""])
        streams.write(listing.scan_lines(rows, style))
        if sys.stdout.isatty():
            output.note(f"{len(rows)} functions")
    elif not output.as_json(request, "scan", report._replace(rows=rows), rows):
        from ..render import listing

        types = listing.scan_types(rows)
        output.table(request, ("target", "module", *types), listing.scan_rows(rows, types))
    misread = [row.target for row in rows if getattr(row, "misread", "")]
    if misread:
        output.note(
            f"do not probe {', '.join(misread[:8])}: the kernel misreads the instruction (hazard.uprobe_vex, _literal)"
        )
    return _told(report.unread)


def _no_user_function(kernel: OpenKernel, request: Request, unread: Sequence[Unread]) -> int:
    """No function or static probe of a program matches: 3 where a file may not be read, else 1."""
    if unread:
        return _told(unread)
    glob = request.names[0]
    where = f" in process {request.pid}" if request.pid else ""
    answer = f" with answer {request.answer}" if request.answer else ""
    looked = kernel.looked_through(glob, request.pid or None)
    noun = "static probe" if "usdt:" in glob else "function"
    output.note(f"no {noun} matches {glob!r}{where}{answer}{f'; {looked}' if looked else ''}")
    return NO


def _chosen(kernel: OpenKernel, request: Request, rows: list[ScanRow | UserScanRow]) -> list[ScanRow | UserScanRow]:
    """The rows that see as many calls as asked, sorted, and so many of them. Raises UsageError."""
    if request.coverage:
        if len(rows) > _COVERED_MAX:
            raise UsageError(f"--coverage: {len(rows)} functions match, more than {_COVERED_MAX}: narrow the list")
        names = [f"{row.module}:{row.target}" if row.module else row.target for row in rows]
        told: dict[str, object] = {}
        for start in range(0, len(names), _COVERED_AT_ONCE):
            some = names[start : start + _COVERED_AT_ONCE]
            told.update(zip(some, kernel.check_many(some)[1], strict=True))
        rows = [
            row
            for row, name in zip(rows, names, strict=True)
            if getattr(getattr(told[name], "coverage", None), "answer", "") == request.coverage
        ]
    if request.sort == "name":
        rows.sort(key=lambda row: (row.target, row.module or ""))
    elif request.sort == "module":
        rows.sort(key=lambda row: (row.module or "", row.target))
    if request.limit and len(rows) > request.limit:
        output.note(f"{request.limit} of {len(rows)} functions, as --limit asks")
        rows = rows[: request.limit]
    return rows


_COVERED_MAX, _COVERED_AT_ONCE = 2000, 200  # commands/check_many.py: below its WHOLE_MAX the report is whole


def _is_user(text: str) -> bool:
    """The text names a program or library, or places in it."""
    from ...model.user_target import is_user

    return is_user(text)


def _told(unread: Sequence[Unread]) -> int:
    """Says what could not be read; 3 if there is any, since some answers are then unknown."""
    output.unread(unread)
    return CANNOT_TELL if unread else YES


def _ndjson(kernel: OpenKernel, glob: str, types: Sequence[str], answer: str | None) -> int:
    """NDJSON as the engine makes it: ready lines of bytes, past the text layer. How many."""
    streams.flush()
    total = 0
    block: list[bytes] = []
    for line in kernel.scan_ndjson(glob, types, answer):
        block.append(line if line.endswith(b"\n") else line + b"\n")
        total += 1
        if len(block) >= _BLOCK_LINES:
            streams.put_bytes(b"".join(block))
            block = []
    streams.put_bytes(b"".join(block))
    return total


def _nothing(kernel: OpenKernel, noun: str, request: Request, unread: Sequence[Unread]) -> int:
    """An empty list is never a silent success: 3 when the list could not be read, else 1."""
    lists = {"function": ("kallsyms", "btf"), "event": ("events",)}[noun]
    missing = [fact for fact in unread if fact.fact in lists]
    if missing:
        output.unread(missing)
        return CANNOT_TELL
    glob = " ".join(request.names)
    answer = f" with answer {request.answer}" if request.answer else ""
    answer += " and these conditions" if request.without or request.args or request.returns or request.coverage else ""
    meant = "" if answer or len(request.names) > 1 else _meant(kernel, glob, noun)
    output.note(f"no {noun} matches {glob!r}{answer}{meant}")
    return NO


def _meant(kernel: OpenKernel, name: str, noun: str) -> str:
    """The end of the sentence that nothing matches: what may be meant, else where all events are listed."""
    if noun != "event":
        near = _similar(kernel, name, noun)
        return f"; similar: {' '.join(near)}" if near else ""
    try:
        if name in kernel.names(name, 1):
            return f"; {name} is a function: probe-scout check {name}"
        near = _similar(kernel, name, noun)
        if near:
            return f"; similar: {' '.join(near)}"
        return "; all: probe-scout tracepoint" if kernel.names("tp:", 1) else ""
    except ProbeScoutError:
        return ""


def _similar(kernel: OpenKernel, glob: str, noun: str) -> list[str]:
    """Up to five real names that begin as the glob does, as long a beginning as matches any."""
    if noun == "event" and (found := kernel.similar_events(glob)):
        return list(found)
    head = glob
    for place, sign in enumerate(glob):
        if sign in "*?[":
            head = glob[:place]
            break
    prefix = "tp:" if noun == "event" else ""
    while len(head) > 2:
        try:
            names = kernel.names(prefix + head, 5)
        except ProbeScoutError:
            return []
        if names:
            return [name.removeprefix(prefix) for name in names]
        head = head[: max(2, len(head) * 3 // 4)]
    return []


# tracepoint


def _tracepoint(request: Request) -> int:
    import gc

    kernel = _open(request)
    gc.disable()  # as for scan
    names_only = request.format == "table" and not request.fields
    report = kernel.tracepoint(request.names[0], request.reads, names_only)
    if not report.events:
        if request.format == "json":
            from ..render import json

            streams.write([json.tracepoint_document(report)])
        return _nothing(kernel, "event", request, report.unread)
    if request.format == "table":
        from ..render.events import tracepoint_lines

        streams.write(tracepoint_lines(report, output.style(request), request.fields))
    elif request.format == "json":
        from ..render import json

        streams.write([json.tracepoint_document(report)])
    elif request.format == "ndjson":
        from ..render import json

        streams.write(json.event_lines(report.events))
    else:
        from ..render import events

        rows = events.field_rows(report.events[0]) if len(report.events) == 1 else events.event_rows(report.events)
        output.table(request, *rows)
    output.unread(report.unread)
    answers = {read.answer for event in report.events for read in event.reads}
    if any(fact.kind == "malformed" for fact in report.unread):
        return BROKEN
    if "no" in answers:
        return NO
    return CANNOT_TELL if report.unread or "unknown" in answers else YES


# audit


def _audit(request: Request) -> int:
    from . import audit

    return audit.run(request, _open(request))


# verify


def _verify(request: Request) -> int:
    """0 the kernel agrees, 1 a difference, 3 something could not be asked."""
    report = _open(request).verify(
        request.names,
        request.types,
        as_me=request.as_me,
        dry=request.dry,
        limit=request.limit,
        announce=output.announce,
    )
    if request.format == "table":
        from ..render.verify import verify_lines

        streams.write(verify_lines(report, output.style(request)))
    elif not output.as_json(request, "verify", report, report.trials):
        from ..render.verify import verify_rows

        output.table(request, *verify_rows(report))
    outcomes = {one.outcome for one in report.trials}
    if outcomes & {"different", "other_errno"}:
        return NO
    return CANNOT_TELL if outcomes & {"refused", "unasked"} else YES


# diff


def _diff(request: Request) -> int:
    from . import diff

    return diff.run(request, _opener(request))


# inline


def _inline(request: Request) -> int:
    from . import inlining

    return inlining.run(request, _open(request))


# lint


def _lint(request: Request) -> int:
    from . import lint

    return lint.run(request, _opener(request))


# features, kfunc


def _features(request: Request) -> int:
    from . import calls

    return calls.features(request, _open(request))


def _context(request: Request) -> int:
    from . import calls

    return calls.context(request, _open(request))


def _kfunc(request: Request) -> int:
    from . import calls

    return calls.kfunc(request, _open(request))


# survey


def _survey(request: Request) -> int:
    from . import inlining

    return inlining.survey(request)


# stub


def _stub(request: Request) -> int:
    from . import stub

    return stub.run(request, _open(request))


# matrix, report


def _matrix(request: Request) -> int:
    from . import matrix

    return matrix.run(request, _opener(request), output.progress("asking kernels"))


def _report(request: Request) -> int:
    from . import matrix

    return matrix.page(request, _opener(request), output.progress("asking kernels"))


# fleet


def _fleet(request: Request) -> int:
    from . import fleet

    return fleet.run(request, output.progress("judging"))


# rules


def _rules(request: Request) -> int:
    from . import rules

    return rules.run(request)


# doctor, snapshot, completion


def _doctor(request: Request) -> int:
    report = _open(request).doctor(request.hooks) if request.hooks else _open(request).doctor()
    if request.format == "table":
        from ..render.listing import doctor_lines

        streams.write(doctor_lines(report, output.style(request)))
    elif not output.as_json(request, "doctor", report, report.sources):
        from ..render import listing

        output.table(request, *listing.doctor_rows(report))
    return NO if any(need.has == "no" for need in report.needs) else YES


def _snapshot(request: Request) -> int:
    from . import snapshot

    return snapshot.run(request, lambda: _open(request))


def _completion(request: Request) -> int:
    from .complete import script

    streams.write([script(request.names[0])])
    return YES


def _mcp(request: Request) -> int:
    from .. import mcp

    def write(lines: Iterable[str]) -> None:
        streams.write(lines)
        streams.flush()

    mcp.serve(sys.stdin.buffer, write, mcp.Server(open_kernel))
    return YES


_COMMANDS: dict[str, Callable[[Request], int]] = {
    "check": _check,
    "inline": _inline,
    "survey": _survey,
    "lint": _lint,
    "features": _features,
    "kfunc": _kfunc,
    "context": _context,
    "matrix": _matrix,
    "report": _report,
    "fleet": _fleet,
    "scan": _scan,
    "tracepoint": _tracepoint,
    "audit": _audit,
    "verify": _verify,
    "diff": _diff,
    "stub": _stub,
    "rules": _rules,
    "doctor": _doctor,
    "snapshot": _snapshot,
    "completion": _completion,
    "mcp": _mcp,
}
