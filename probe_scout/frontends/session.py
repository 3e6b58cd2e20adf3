"""The front door for programs: open a kernel, ask it.

>>> import probe_scout
>>> kernel = probe_scout.open_kernel("fixtures/kernels/debian-6.12.107-amd64.tar.xz")
>>> report = kernel.check(["do_execve"], types=["kprobe"])
>>> report.targets[0].verdicts[0].answer, report.targets[0].verdicts[0].errno
('no', 'ENOENT')
>>> row = next(iter(kernel.scan("vfs_read", types=["fentry"]).rows))
>>> row.target, row.answers
('vfs_read', {'fentry': 'yes'})
>>> [field.name for field in kernel.tracepoint("sched:sched_switch").events[0].fields][-1]
'next_prio'
"""

from __future__ import annotations

import os
from stat import S_ISFIFO, S_ISREG

from ..errors import Broken, CannotAsk, ProbeScoutError, SourceError, UsageError
from ..model import asked, facts
from ..model.report import CheckReport, DoctorReport, KernelInfo, ScanReport, SnapshotResult, TargetReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from os import PathLike

    from ..commands.audit.kept import Kept
    from ..commands.scan import Judged, Wanted
    from ..kernel.kernel import Kernel
    from ..model.audit import AuditReport
    from ..model.calls import FeaturesReport, KfuncReport
    from ..model.context import ContextReport
    from ..model.diff import DiffReport
    from ..model.facts import Unread
    from ..model.inline import InlineReport, InlineTable
    from ..model.lint import LintReport
    from ..model.report import UserReport
    from ..model.requires import RequiresReport
    from ..model.stub import StubReport
    from ..model.trace import TracepointReport
    from ..model.trial import VerifyReport
    from ..sources.pack import Stream

_ANSWERS = ("yes", "no", "unknown")
_KINDS = ("functions", "events")
_IMAGE_BYTES_MAX = 2 << 30


def lint_requires(files: str | Sequence[str], libbpf: str = "") -> RequiresReport:
    """What compiled BPF objects ask of any kernel; files and `libbpf` as for OpenKernel.lint. Raises UsageError."""

    from ..commands import lint

    release = lint.version(libbpf) if libbpf else lint.NEWEST
    return lint.requires(asked.several(files, "files"), release, _standard_input)


def _image_named(path: str) -> bytes:
    """The bytes of --vmlinux, a file or a pipe such as `<(xzcat FILE)`. Raises UsageError."""
    try:
        with open(path, "rb") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            if not S_ISREG(mode) and not S_ISFIFO(mode):
                raise UsageError(f"--vmlinux {path}: not a regular file")
            image = handle.read(_IMAGE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"--vmlinux {path}: {error.strerror or error}") from None
    if len(image) > _IMAGE_BYTES_MAX:
        raise UsageError(f"--vmlinux {path}: larger than {_IMAGE_BYTES_MAX >> 20} MiB")
    return image


def _standard_input() -> bytes:
    """Objects on standard input. Raises UsageError where the program that calls has closed it."""
    import sys

    if sys.stdin is None:
        raise UsageError("- stands for standard input, which is closed")
    from ..commands import lint

    return sys.stdin.buffer.read(lint.FILE_BYTES_MAX)


def open_kernel(
    root: str | PathLike[str] = "", *, vmlinux: str | None = None, cache: bool = False, modules: str = ""
) -> OpenKernel:
    """The kernel behind a path: "" for this machine, a snapshot (archive or folder), a mounted root, or a kernel that
    was not booted: its package (.deb, .rpm, Arch), a folder with all its packages, or its image (vmlinuz, vmlinux).

    `modules` says which modules a kernel that was not booted is taken to have loaded: "none", "all", names with commas
    between them, or @FILE, such as the proc/modules of a machine. `vmlinux` names an image of the same build (vmlinux
    or vmlinuz) for answers that hang on an instruction. `cache` keeps answers of `check` between runs (see cache.py);
    the command line does. The source is opened when it is first needed: then NotThere, Denied or Broken is raised, with
    one sentence.
    """
    return OpenKernel(_path(root), vmlinux, cache, modules)


def _path(root: object) -> str:
    """The path as text. Raises UsageError for what is no path."""
    from os import fsdecode, fspath

    try:
        return fsdecode(fspath(root))  # type: ignore[call-overload]  # tried, whatever it is
    except TypeError:
        raise UsageError(f'{root!r} is no path of a kernel; "" is this machine') from None


def _types(types: str | Iterable[str], names: Sequence[str] = ()) -> tuple[str, ...]:
    """Attach types (of calls program types too), also one string with commas. Raises UsageError for one unknown."""
    return asked.types_of(names, asked.several(types, "types"), "types:") if types else ()


ATTACHED = "tool/attachments.json"  # of a host's part: what is attached, for a fleet


class OpenKernel:
    """One kernel, ready to be asked. Reads what a question needs, once. A string where several are taken is one."""

    def __init__(self, root: str = "", vmlinux: str | None = None, cache: bool = False, modules: str = "") -> None:
        self._root, self._vmlinux, self._cache, self._modules = root, vmlinux, cache and not modules, modules
        self._opened: Kernel | None = None
        self._caller = ""
        self._kept: Kept | None = None
        self._untyped = [0]
        self._scanned = ""  # the key of a scan that is not kept yet
        self._gaps: tuple[Unread, ...] | None = None  # of the kept scan that was asked last

    @property
    def _kernel(self) -> Kernel:
        if self._opened is None:
            from ..kernel.kernel import Kernel
            from ..sources import open_source

            image = None
            # A folder with proc/ is a snapshot or a system's root; what may be a kernel's package is looked at.
            if self._root and not os.path.lexists(os.path.join(self._root, "proc")):
                from ..kernel.from_image import open_image

                opened = open_image(self._root, self._modules)
                if opened is not None:
                    source, image = opened
                    self._opened = Kernel(source, image=image)
                    return self._opened
            if self._modules:
                where = f"{self._root} is none" if self._root else "this machine's is running"
                raise UsageError(f"--modules is for a kernel that was not booted, its package or image; {where}")
            if self._vmlinux:
                image = _image_named(self._vmlinux)
            self._opened = Kernel(open_source(self._root, self._cache), image=image)
            if self._cache:
                self._opened.names_question = self._names_question
                self._opened.keeps = True
        return self._opened

    def wants_indexes(self) -> bool:
        """Whether a large file was read, of which `keep_indexes` can make the next question cheaper."""
        return self._opened is not None and (bool(self._scanned) or self._opened.wants_indexes())

    def settle_indexes(self) -> None:
        """Before a process is started for `keep_indexes`: it inherits no mapped file, but for a scan."""
        if self._opened is not None:
            self._opened.settle_indexes(bool(self._scanned))

    def keep_indexes(self) -> None:
        """Keep tables of the large files that were read (kernel/kept.py), and a scan: tenths of a second of work."""
        if self._opened is not None:
            self._opened.keep_indexes()
            if self._scanned:
                from . import kept_scan

                kept_scan.store(self._opened, self._scanned)
                self._scanned = ""

    def _names_question(self) -> str | None:
        """What the list of all functions is kept under; None where it is not kept."""
        from ..sources import cache

        return cache.key(self._root, self._vmlinux, ("function names",), (), False) if self._is_still() else None

    def _is_still(self) -> bool:
        """Whether a kernel's symbols are those of a file: a running one's change with each BPF program."""
        try:
            kallsyms = os.path.join(self._root, "proc", "kallsyms")
            return bool(self._root) and (os.path.isfile(self._root) or os.path.getsize(kallsyms) > 0)
        except OSError:
            return False

    def info(self) -> KernelInfo:
        """Which kernel this is. Raises SourceError where the source cannot be opened."""
        return self._kernel.info()

    @property
    def kernel(self) -> KernelInfo:
        """The same as `info()`, as reports have it."""
        return self.info()

    def __repr__(self) -> str:
        """Which kernel, without opening anything."""
        told = f"{self._root!r}" if self._root else "this machine"
        return f"<OpenKernel {told}{f', {self._opened.release()}' if self._opened is not None else ''}>"

    def part(self) -> str:
        """ "host" or "build" for one of the two parts of a snapshot, "" for a whole one and this machine."""
        return self._kernel.source.describe().part

    def attached(self) -> list[tuple[str, str, str]]:
        """What a snapshot tells of attachments, for a fleet: attach type, target, owner. Empty where it tells none."""
        import json

        from ..commands.fleet import hosts

        try:
            found = json.loads(self._kernel.read(ATTACHED))
            return [(str(a), str(t), str(o)) for a, t, o in found]
        except SourceError:
            pass
        except (ValueError, TypeError, RecursionError):
            raise Broken(ATTACHED, "not a list of attachments") from None
        try:
            if self._root:
                self._kernel.source.names("tool")  # nothing else of a snapshot tells who holds what
            return hosts.rows(self.audit(net="no").attachments)
        except (CannotAsk, SourceError):
            return []

    def partial(self) -> str:
        """What shows that this snapshot holds a part of its kernel only; "" for a whole one."""
        return self._kernel.partial()

    def check(
        self,
        names: str | Sequence[str],
        types: str | Sequence[str] = (),
        as_me: bool = False,
        debug: str = "",
        pid: int | None = None,
    ) -> CheckReport:
        """The verdicts of each target for each attach type (all that apply where `types` is empty).

        Judged for a fully privileged root, or with `as_me` for the present process. `debug` names a file with debug
        information, which says whether calls were inlined; `pid` is the one process that probes on user functions are
        for. Raises UsageError for a name, a pattern (see `check_many`) or an attach type that cannot be asked,
        ProbeScoutError for a kernel file that makes no sense.
        """
        names = asked.several(names, "names")
        types = _types(types, names)
        for name in names:
            if asked.is_kernel_pattern(name):
                raise UsageError(f"{name!r} is a pattern: check_many takes patterns, check takes names")
        question = None
        of_kernel = not all(map(self.is_user, names))  # what processes map changes with no file's state
        if self._cache and of_kernel:
            from ..sources import cache
            from . import kept_reports

            question = (
                cache.key(self._root, self._vmlinux, names, types, as_me)
                if not debug and not pid and not self._caller
                else None
            )
            kept = kept_reports.load(question, self._evidence) if question else None
            if kept is not None:
                return kept
        k = self._kernel
        k.keeps &= of_kernel  # user functions ask little of a kernel's files: finding their tables would cost more
        self._judge_as(as_me)
        targets: list[TargetReport | UserReport] = []
        for name in names:
            if self.is_user(name):  # without what only kernel functions need
                from ..probes.user import report as of_user

                targets += of_user.reports(k, name, types, debug, pid)
            else:
                from ..commands import check

                targets += check.reports(k, name, types, debug, pid)
        self._broken()
        report = CheckReport(k.info(), tuple(targets), "me" if as_me else self._caller or "root")
        if question:
            from . import kept_reports

            kept_reports.store(question, report, self._evidence(report))
        return report

    def check_many(
        self,
        names: str | Sequence[str],
        types: str | Sequence[str] = (),
        as_me: bool = False,
        debug: str = "",
        all_types: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[KernelInfo, Iterator[TargetReport]]:
        """The same verdicts as `check`, for thousands of names and for patterns, one report after the other.

        More than 256 names come without reasons and alternatives, and without `types` or `all_types` functions are
        then judged for the usual attach types (model/attach.py DEFAULT). `progress` is told names done and all names.
        """
        from ..commands import check
        from ..commands import check_many as many

        names = asked.several(names, "names")
        types = _types(types, names)
        k = self._kernel
        self._judge_as(as_me)
        return k.info(), self._checked(
            many.reports(k, names, types, debug, all_types, progress, whole=check.target_report)
        )

    def ask_as(self, caller: str) -> None:
        """From here on judge for a caller with capabilities: "CAP_BPF,CAP_PERFMON", "none", or "token" (of BPF).

        "" is every right. Raises UsageError for a capability that does not exist.
        """
        if caller:
            from ..probes.attach import privileges

            privileges.capabilities(caller)
        self._caller = caller

    def _judge_as(self, as_me: bool = False) -> None:
        k = self._kernel
        k.set_caller(None)
        if as_me or self._caller:
            from ..probes.attach import privileges

            k.set_caller(privileges.present(k) if as_me else privileges.supposed(k, self._caller))

    def _checked(self, reports: Iterator[TargetReport]) -> Iterator[TargetReport]:
        for number, report in enumerate(reports):
            if not number:
                self._broken()
            yield report
        self._broken()

    def _evidence(self, report: CheckReport) -> str:
        return self._state(report.kernel)

    def _state(self, kernel: KernelInfo) -> str:
        """The state of the files that say whether calls were inlined."""
        from ..probes.inlining import coverage

        return coverage.state(kernel, self._root)

    def _broken(self) -> None:
        """A file that makes no sense is an error of its own (exit 4), not an unknown to be shrugged at."""
        for fact in (
            facts.KALLSYMS,
            facts.BTF,
            facts.FILTER_FUNCTIONS,
            facts.KPROBE_BLACKLIST,
            facts.CONFIG,
            facts.ERROR_INJECTION,
        ):
            found = self._kernel.known_unread(fact)
            if found is not None and found.kind == "malformed":
                error = ProbeScoutError(found.why + (f"; {found.cure}" if found.cure else ""))
                error.unread = (found,)
                raise error

    def scan(
        self,
        glob: str | Sequence[str] = "*",
        types: str | Sequence[str] = (),
        answer: str | None = None,
        *,
        without: str | Sequence[str] = (),
        args: str | Sequence[str] = (),
        returns: str = "",
        pid: int | None = None,
    ) -> ScanReport:
        """Every function that a pattern matches, with its answers; `answer` keeps rows that have it for some type.

        `pid`: functions (with `usdt:PROVIDER:NAME` static probes) of every file of which that process maps code.
        `without`: patterns of functions to leave out. `args`: C types, each the type of some parameter; `returns`: the
        type that it returns; both const apart; `untyped()` counts the functions whose types are not known.
        """
        from ..commands import scan

        types = _types(types)
        globs = asked.several(glob, "glob")
        self._judge_as()
        if answer is not None:
            asked.one_of(answer, _ANSWERS, "answer:")
        k = self._kernel
        if pid is not None or any(self.is_user(one) for one in globs):
            from ..probes.user import listing

            if len(globs) > 1 or without or args or returns:
                raise UsageError(
                    "functions of programs are scanned by one pattern of one file, without more conditions"
                )
            found = listing.listed(k, globs[0], types, answer, pid)
            return ScanReport(k.info(), found.rows, found.unread)
        wanted, attach = self._wanted(globs, asked.several(without, "without"), asked.several(args, "args"), returns)
        judged = self._judged(types or attach)
        self._untyped = [0]
        return ScanReport(k.info(), scan.rows(judged, wanted, answer, self._untyped), self.gaps())

    def looked_through(self, glob: str, pid: int | None = None) -> str:
        """Where a scan of programs looks for names, in words, for the case that it finds none."""
        from ..probes.user import listing

        found = listing.listed(self._kernel, glob, (), None, pid)
        return listing.says_nothing_found(found.files, "usdt" if "usdt:" in glob else "user_function")

    def untyped(self) -> int:
        """How many functions the last scan by types left out: BTF does not describe them. Known after its rows."""
        return self._untyped[0]

    def _wanted(
        self, globs: Sequence[str], without: Sequence[str] = (), args: Sequence[str] = (), returns: str = ""
    ) -> tuple[Wanted, tuple[str, ...]]:
        """The functions that a scan is about, and the attach types that its patterns ask for."""
        from ..commands import scan
        from ..probes.attach import targets

        found = [targets.pattern(self._kernel, one) for one in globs]
        left_out = tuple(targets.pattern(self._kernel, one)[0] for one in without)
        attach = tuple(dict.fromkeys(one for _, one in found if one))
        if attach and not all(one for _, one in found):
            raise UsageError("some patterns name an attach type and some do not: give it with --type")
        return scan.Wanted(tuple(one for one, _ in found), left_out, tuple(args), returns), attach

    def _means_user(self, text: str) -> bool:
        """The text names a place in a program or library, also by `libNAME:` where no module has that name."""
        if self.is_user(text):
            return True
        from ..model import user_target

        if not user_target.may_be_user(text):
            return False
        from ..probes.user import files

        return files.is_library(self._kernel, text)

    @staticmethod
    def is_user(text: str) -> bool:
        """The text names a program or library, or places in it."""
        if "/" not in text and ":" not in text:
            return False
        from ..model import user_target

        return user_target.is_user(text)

    def scan_ndjson(
        self, glob: str = "*", types: str | Sequence[str] = (), answer: str | None = None
    ) -> Iterator[bytes]:
        """The rows of `scan` as ready NDJSON lines."""
        from ..commands import scan

        types = _types(types)
        self._judge_as()
        if answer is not None:
            asked.one_of(answer, _ANSWERS, "answer:")
        wanted, attach = self._wanted((glob,))
        return scan.ndjson(self._judged(types or attach), wanted, answer)

    def _judged(self, types: Sequence[str]) -> Judged:
        """Every function judged for these types: by the kept scan, else by what is read now."""
        from ..commands import scan

        self._gaps = None
        if self._cache and not self._caller:
            from ..sources import cache
            from . import kept_scan

            key = cache.key(self._root, self._vmlinux, ("scan",), (), False)
            kept = kept_scan.load(self._kernel, key, types)
            if kept is not None:
                self._gaps = kept.unread
                return kept
            self._scanned = key or ""
        self._full()
        return scan.Judged(self._kernel, types)

    def gaps(self) -> tuple[Unread, ...]:
        """Facts that could not be read and leave answers of a scan unknown."""
        from ..commands import scan

        return scan.unread(self._kernel) if self._gaps is None else self._gaps

    def _full(self) -> None:
        k = self._kernel
        k.full()
        k.blacklist()
        self._broken()

    def tracepoint(
        self, glob: str = "*", reads: Sequence[tuple[int, int]] = (), names_only: bool = False
    ) -> TracepointReport:
        """Events that match `category:name` or a name, with the fields of each (format files of those events only).

        `reads` are loads from ctx, (offset, size) in bytes: each event then says whether the kernel takes them.
        One event comes with its raw arguments and the struct of its record. `names_only`: several events come with
        their names and kinds alone, and no format file is read.
        """
        from ..model.trace import TracepointReport
        from ..probes.tracepoints import listing as events

        reads = asked.ranges(reads)
        found, unread, notes = events.reports(self._kernel, glob, reads, names_only)
        return TracepointReport(self._kernel.info(), found, unread, notes)

    def diff(
        self,
        other: OpenKernel,
        glob: str = "",
        kinds: str | Sequence[str] = (),
        types: str | Sequence[str] = (),
        whole: bool = True,
    ) -> DiffReport:
        """What differs in `other`: functions and events that match `glob` ("" for all), their fields and verdicts.

        `kinds`: functions, events, or empty for both. `whole` false leaves the rows out and keeps the counts.
        """
        from ..commands import diff

        kinds = tuple(asked.one_of(kind, _KINDS, "kinds:") for kind in asked.several(kinds, "kinds"))
        types = _types(types)
        report = diff.report(self._kernel, other._kernel, glob, kinds, types, whole)
        self._broken()
        other._broken()
        return report

    def similar_events(self, name: str) -> tuple[str, ...]:
        """Events that may be meant by a name that no event has: renamed, of another category, spelt alike."""
        from ..probes.tracepoints import listing as events

        return events.suggestions(self._kernel, name)

    def doctor(self, hooks: str = "") -> DoctorReport:
        """What can be read here, what not, and what would open it.

        `hooks`, such as "fentry/vfs_read,tp:sched:sched_switch": what these need of the kernel and of who attaches.
        Raises UsageError.
        """
        from ..commands import doctor

        return doctor.report(self._kernel, hooks)

    def verify(
        self,
        names: str | Sequence[str],
        types: str | Sequence[str] = (),
        *,
        as_me: bool = False,
        dry: bool = False,
        limit: int = 0,
        announce: Callable[[str], None] | None = None,
    ) -> VerifyReport:
        """Ask the running kernel itself and compare with the verdicts. Attaches for a moment; needs root.

        `dry` asks nothing; `announce` is told beforehand, line by line, what will be touched. Raises UsageError for
        another kernel than the running one and for more than `limit` targets (0: trial.LIMIT), CannotAsk where
        rights are missing.
        """
        from ..commands import verify as trial
        from ..model.version import __version__

        found = trial.report(
            self._kernel,
            asked.several(names, "names"),
            _types(types),
            as_me=as_me,
            dry=dry,
            limit=limit or trial.LIMIT,
            version=__version__,
            announce=announce,
        )
        self._broken()
        return found

    def audit(self, net: str = "auto", owner: int = 0, target: str = "", with_bpftool: bool = False) -> AuditReport:
        """Everything that is attached to this kernel, by whom, and what is not sound about it.

        `net`: auto, yes or no, whether the interfaces of every network namespace are looked at. `owner` keeps what a
        process holds, `target` what matches a pattern. `with_bpftool`: an installed bpftool is asked as well, and where
        it differs is a finding. Raises CannotAsk where nothing can be seen at all.
        """
        from ..commands import audit
        from ..commands.audit.kept import Kept

        asked.one_of(net, ("auto", "yes", "no"), "net:")
        if self._kept is None:
            question = None
            if self._cache:
                from ..sources import cache

                k = self._kernel
                question = cache.key(self._root, self._vmlinux, ("audit",), (), False)
                if question:  # without the machine word, which would have all of kallsyms read
                    from ..probes.inlining import coverage

                    head = KernelInfo(k.release(), k.build_id(), "", k.source.describe().kind, "")
                    question += f"\0{coverage.state(head, self._root)}"
            self._kept = Kept(question)
        return audit.report(self._kernel, net, owner, target, kept=self._kept, with_bpftool=with_bpftool)

    def lint(
        self, files: str | Sequence[str], others: Sequence[OpenKernel] = (), libbpf: str = "", program: str = ""
    ) -> LintReport:
        """Whether compiled BPF objects open, relocate, load and attach here and on `others`, each program alone.

        `files`: objects, executables with embedded objects, ar archives, Debian packages, folders, "-" for standard
        input. `libbpf`: the release of the loader ("" for 1.8). Raises UsageError.
        """

        from ..commands import lint

        release = lint.version(libbpf) if libbpf else lint.NEWEST
        every = (self, *others)
        keeper = None
        if any(one._cache for one in every):
            from .kept_lint import KeptAnswers

            keeper = KeptAnswers([one._lint_question() for one in every], release, program)
        return lint.report(
            [one._opened_now for one in every],
            asked.several(files, "files"),
            release,
            program,
            _standard_input,
            keeper,
        )

    def _opened_now(self) -> Kernel:
        return self._kernel

    def _lint_question(self) -> str | None:
        """Everything that answers about objects hang on; None where none is kept."""
        from ..sources import cache

        return cache.key(self._root, self._vmlinux, ("lint",), (), False) if self._cache else None

    def features(self) -> FeaturesReport:
        """Program, map, attach and link types, commands, and helpers by program type."""
        from ..commands import features

        self._judge_as()
        return features.report(self._kernel)

    def kfunc(self, glob: str = "*", types: Sequence[str] = ()) -> KfuncReport:
        """Kfuncs whose names match, and which programs may call them: of `types` (attach types), or of every type."""
        from ..commands import kfunc

        self._judge_as()
        return kfunc.report(self._kernel, glob, types)

    def context(self, target: str, types: str | Sequence[str] = ()) -> ContextReport:
        """What programs of these types get on a target: ctx and its fields, what may be called, what is returned.

        `target`: as for `check`, a program type, a section of libbpf, or struct_ops:NAME. Raises UsageError.
        """
        from ..commands import context

        self._judge_as()
        return context.report(self._kernel, target, _types(types))

    def stub(
        self,
        names: str | Sequence[str],
        lang: str = "c",
        attach: str = "",
        core: bool = False,
        program: bool = False,
        package: str = "",
        type_name: str = "",
        debug: str = "",
    ) -> StubReport:
        """Source text of what a program on these events or functions sees; `StubReport.text`.

        `lang`: c, rust, go, python, bpftrace. `attach`: tp, raw_tp, tp_btf, fentry, fexit, kprobe, kretprobe, ksyscall,
        uprobe, uretprobe, usdt; "" chooses tp, or fentry for functions, uprobe and usdt for programs. `debug`: a file
        with debug information of the program. `core`: C relocated from BTF. `program`: a whole program.
        `package` and `type_name`: of a Go file and of its one struct.
        Raises UsageError, and NoStub with one sentence where no stub can be right.
        """
        from ..commands import stub

        names = asked.several(names, "names")
        lang, attach = asked.language(lang, "lang:"), asked.stub_attach(attach, "attach:")
        return stub.report(self._kernel, names, lang, attach, core, program, package, type_name, debug)

    def inline(
        self,
        name: str,
        debug: str = "",
        announce: Callable[[str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> InlineReport:
        """Where a function was inlined, which calls a probe on it misses, and a verdict for each inlined copy.

        `debug` names a file with debug information; else the usual places are looked at, and debuginfod where
        DEBUGINFOD_URLS is set (`announce` is told before a server is asked). Raises UsageError and Malformed.
        """
        question = None
        if self._means_user(name):
            from ..commands import user_inline

            return user_inline.report(self._kernel, name, debug, announce, progress)
        if self._cache:
            import os

            from ..probes.inlining import debug_files
            from ..sources import cache

            question = cache.key(self._root, self._vmlinux, ("inline", name), (), False)
            if question and debug:
                question += f"\0{os.path.abspath(debug)}\0{debug_files.file_state(debug)}"
            kept = self._kept_inline(question) if question else None
            if kept is not None:
                return kept
        from ..commands import inline

        found = inline.report(self._kernel, name, debug, announce, progress)
        self._broken()
        if question and not found.unread:
            cache.keep(question, [found, self._state(found.kernel)])
        return found

    def _kept_inline(self, question: str) -> InlineReport | None:
        from ..sources import cache
        from . import kept_reports

        try:
            raw, state = cache.kept(question)
            report = kept_reports.inline_report(raw)
        except (TypeError, ValueError, IndexError, KeyError):
            return None
        return report if state == self._state(report.kernel) else None

    def inline_all(
        self,
        glob: str = "*",
        kinds: str | Sequence[str] = (),
        debug: str = "",
        announce: Callable[[str], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> InlineTable:
        """Every function that the debug information of the kernel (or with "MODULE:GLOB", of a module) describes.

        "/PATH" and "/PATH:GLOB" are functions of a program or library.
        `kinds`: only these classes. `progress` is told bytes read and bytes in all.
        """
        from ..commands import inline
        from ..formats.dwarf.classes import CLASSES
        from ..probes.attach import targets

        kinds = tuple(asked.one_of(kind, CLASSES, "kinds:") for kind in asked.several(kinds, "kinds"))
        if self.is_user(glob):
            from ..commands import user_inline

            self._judge_as()
            return user_inline.table(self._kernel, glob, kinds, debug, announce, progress)
        glob = targets.pattern(self._kernel, glob)[0]
        module, colon, pattern = glob.rpartition(":")
        found = inline.table(self._kernel, pattern if colon else glob, kinds, module or None, debug, announce, progress)
        self._broken()
        return found

    def names(self, prefix: str, limit: int = 200) -> list[str]:
        """Real names that begin so, sorted: functions, `tp:category:event`, `syscall:name`, `module:function`."""
        from ..commands import complete as names

        return names.starting(self._kernel, prefix, limit)

    def snapshot(
        self,
        out: str,
        keep_addresses: bool = False,
        with_code: bool = False,
        force: bool = False,
        stream: Stream | None = None,
        progress: Callable[[int, int], None] | None = None,
        part: str = "",
        user_files: Sequence[str] = (),
    ) -> SnapshotResult:
        """Save everything the tool reads into an archive, to answer later or elsewhere.

        The ending of `out` says how it is packed: .tar.xz, .tar.gz, .tar.zst (Python 3.14) or .tar. `force` overwrites
        a file. With `stream` the archive is written there, as .tar.xz where `out` is "-". `progress` is told bytes
        packed and bytes in all. First bytes of functions without an ftrace site are kept where the running machine's
        code can be read; `with_code` makes it a UsageError where it cannot. `part` "host" keeps what differs between
        hosts of one build, "build" all but what is attached. `user_files` are programs and libraries of this machine:
        their symbols, notes and code are saved, so that their functions can be asked about too. Raises UsageError, and
        Broken where it cannot be written.
        """
        import time

        from ..commands import audit, snapshot
        from ..model.version import __version__
        from ..sources import pack

        pack.check_name(out, force or stream is not None)
        extra = audit.saved(self._kernel) if part != snapshot.BUILD else {}
        if part == snapshot.HOST and (rows := self.attached()):
            import json

            extra[ATTACHED] = json.dumps(rows).encode()  # a host's part has no types to find the targets by
        if user_files:
            from ..probes.user import carried

            if self._kernel.source.describe().kind != "live":
                raise UsageError("--user-file names programs of this machine: leave out --root")
            extra |= carried.carried(self._kernel, user_files)
        if part != snapshot.HOST and (with_code or self._kernel.source.describe().kind in ("live", "image")):
            from ..kernel import text as code

            try:
                extra[code.SLICES] = code.slices_for_snapshot(self._kernel)
            except UsageError:
                if with_code:
                    raise
        return snapshot.write_snapshot(
            self._kernel.source,
            out,
            keep_addresses=keep_addresses,
            with_code=extra,
            tool_version=__version__,
            now=time.time(),
            stream=stream,
            progress=progress,
            part=part,
        )
