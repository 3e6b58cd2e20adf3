"""What is not sound about an attachment: each check a small registered unit with an id and a page.

A check looks at one row, or at the row among all rows, and returns the evidence or None. It never changes a row and
never guesses: where something could not be read it is silent, since `unread` tells that.
"""

from __future__ import annotations

from ...errors import ProbeScoutError, SourceError
from ...model.audit import BROKEN, NOTE, WARNING, Attachment, AuditFinding
from ...model.target import FUNCTION, Target
from ...model.verdict import NO
from ...named_tuple import NamedTuple
from .kept import Kept
from .resolve import MANY, of_many

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...kernel.kernel import Kernel
    from .record import Inputs, UserFile

TRAMPOLINES = frozenset(("fentry", "fexit", "fsession", "fmod_ret", "lsm"))
KPROBES = frozenset(("kprobe", "kretprobe", "kprobe_event", "kretprobe_event"))
JUDGED = frozenset(
    ("kprobe", "kretprobe", "kprobe.multi", "kretprobe.multi", "fentry", "fexit", "fsession", "fmod_ret")
)
FUNCTIONS = JUDGED | KPROBES | TRAMPOLINES | {"fprobe_event", "fexit_event", "fentry.multi", "fexit.multi"}
UPROBES = frozenset(
    (
        *("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi"),
        *("uprobe_event", "uretprobe_event"),
    )
)
_FEW = MANY  # functions that are searched for one by one
NEARLY = 4  # free places of a trampoline below which it is nearly full
LINKS_MAX = 38  # BPF_MAX_TRAMP_LINKS where BTF does not tell
# Before ca06f55b9002, which made each call of a program larger. The next commits of that series count recursion, so the
# count's field is the feature probe.
LINKS_MAX_BEFORE, _SMALLER = 40, ("bpf_prog_info", "recursion_misses")
_SESSION_LINKS = 2
_UNNAMED = "there are inlined copies; debug information of this build would name the callers"
_TOLERANCE_S = 0.01  # between a file's clock (the last tick) and the program's


class Check(NamedTuple):
    """One check. `page` is its text for `rules ID`, `decides` the kernel's function, `reads` the facts."""

    id: str
    level: str
    says: str
    page: str
    decides: str
    source: str
    reads: str
    types: str
    find: Callable[[AuditContext, Attachment], str | None]


class AuditContext:
    """What checks look at besides the row: the kernel, all rows, files, switches. Each read once."""

    def __init__(self, k: Kernel, rows: Sequence[Attachment], inputs: Inputs, kept: Kept | None = None) -> None:
        self.k, self.rows, self.inputs = k, rows, inputs
        self.by_function: dict[tuple[str | None, str], list[Attachment]] = {}
        for row in rows:
            for module, name in functions_of(row):
                self.by_function.setdefault((module, name), []).append(row)
        self._is_prepared = False
        self._loaded: dict[int, float] | None = None
        self._switches: dict[str, str | None] = {}
        self.kept = kept or Kept()

    def copies(self, name: str) -> int | None:
        """How many symbols have this name today; None where kallsyms cannot be read."""
        counts = self.kept.section("copies")
        if name not in counts:
            raw = self.k.kallsyms()
            if raw is None:
                return None
            unknown = {one for _, one in self.by_function} - counts.keys()
            view = of_many(self.k, unknown) if len(unknown) > _FEW else None
            if view is not None:
                self.kept.add("copies", {one: len(view.symbols.rows(one.encode())) for one in unknown})
            else:
                self.kept.add("copies", _count(raw, unknown))
            counts = self.kept.section("copies")
        found: int = counts.get(name, 0)
        return found

    def switch(self, path: str) -> str | None:
        """The text of a small file; None where it cannot be read."""
        if path not in self._switches:
            try:
                self._switches[path] = self.k.read(path).decode("ascii", "replace").strip()
            except SourceError:
                self._switches[path] = None
        return self._switches[path]

    def refusal(self, name: str, module: str | None, attach: str) -> str | None:
        """Why it would not attach again today; None where it would, or that is not known."""

        def ask() -> str | None:
            from ...probes.attach import verdicts

            self._prepare()
            try:
                verdict = verdicts.verdicts(self.k, Target(FUNCTION, name, module), (attach,))[0]
            except ProbeScoutError:
                return None
            if verdict.answer != NO or not verdict.findings:
                return None
            return f"{verdict.errno}: {verdict.findings[0].rule}: {verdict.findings[0].says}"

        found: str | None = self.kept.ask("refusals", f"{attach} {module} {name}", ask)
        return found

    def missed_callers(self, name: str, module: str | None) -> str | None:
        """The callers that do not come by here, and who says so; None where there are none, or nobody knows."""

        def ask() -> str | None:
            from ...probes.inlining import coverage

            self._prepare()
            try:
                found, _ = coverage.of(self.k, Target(FUNCTION, name, module), name)
            except ProbeScoutError:
                return None
            if found.answer not in ("partial", "none") or found.basis not in ("dwarf", "survey"):
                return None
            return f"{found.basis}: " + (", ".join(found.missed_callers[:5]) or _UNNAMED)

        found: str | None = self.kept.ask("coverage", f"{module} {name}", ask)
        return found

    def never_returns(self, name: str) -> bool:
        """In the kernel's own list, or in that of all kernels."""
        from ...model.never_try import NORETURN, SYSTEM_EXITS

        def ask() -> bool:
            ids = self.k.ids()
            return ids.visible and ids.holds("noreturn_deny", name)

        return name in NORETURN or name in SYSTEM_EXITS or bool(self.kept.ask("noreturn", name, ask))

    def is_site(self, name: str, module: str | None) -> bool:
        """ftrace can patch the function's entry, where a kprobe then goes through it; False where that is not known."""

        def ask() -> bool:
            try:
                view = self.k.view([name.encode("utf-8", "surrogateescape")])
            except ProbeScoutError:
                return False
            if view is None or view.sites is None:
                return False
            symbols, owner = view.symbols, module.encode() if module else None
            rows = [row for row in symbols.rows(name.encode()) if symbols.modules[row] == owner]
            return any(view.sites.known(symbols, row) for row in rows)

        return bool(self.kept.ask("sites", f"{module} {name}", ask))

    def trampoline_limit(self) -> tuple[int, str]:
        """How many programs a trampoline takes, and words where that is not told."""

        def ask() -> list[object]:
            btf = self.k.btf()
            if btf is None:
                return [LINKS_MAX, " on most kernels"]
            told = btf.find_enumerators("BPF_MAX_TRAMP_LINKS")
            if told:
                return [told[0].value, ""]
            return [LINKS_MAX if btf.has_member(*_SMALLER) else LINKS_MAX_BEFORE, ""]

        limit, words = self.kept.ask("kernel", "trampoline", ask)
        return limit, words

    def look_at_all(self) -> None:
        """Ask for the callers of every function in the order of names, in which a survey's blocks are."""
        if len(self.by_function) > _FEW:
            for row in sorted(self.rows, key=lambda one: one.target or ""):
                _callers_missed(self, row)

    def _prepare(self) -> None:
        """With many functions to ask about, all tables at once are cheaper than a search for each."""
        if not self._is_prepared:
            self._is_prepared = True
            names = {name for _, name in self.by_function}
            if len(names) > _FEW:
                of_many(self.k, names)

    def file(self, row: Attachment) -> UserFile | None:
        """What is known of a uprobe's file."""
        return file_of(self.inputs, row)

    def is_partly_blind(self) -> bool:
        """Descriptors of some processes could not be read, so that there may be owners that are not seen."""
        return any(gap.fact == "descriptors" for gap in self.inputs.gaps)

    def loaded_at(self, number: int) -> float | None:
        """When a program was loaded, in seconds since 1970."""
        if self._loaded is None:
            programs = self.inputs.programs
            self._loaded = {one.id: when for one in programs if (when := self.inputs.loaded_s(one)) is not None}
        return self._loaded.get(number)


def file_of(inputs: Inputs, row: Attachment) -> UserFile | None:
    """What is known of a uprobe's file, by one of its holders; one that sees the file rather than one that does not."""
    files = inputs.files
    pids = [owner.pid for owner in row.owners] or [0]
    found = [files[f"{pid}:{row.target}"] for pid in pids if f"{pid}:{row.target}" in files]
    return next((one for one in found if one.state == "there"), found[0] if found else None)


def functions_of(row: Attachment) -> list[tuple[str | None, str]]:
    """(module, function) of each place of a row on kernel functions."""
    if row.attach not in FUNCTIONS and row.attach not in ("ftrace", "livepatch", "ftrace.direct"):
        return []
    if row.places:
        return [(place.module, place.symbol) for place in row.places if place.symbol]
    return [(row.module, row.target)] if row.target and not row.target.startswith("0x") else []


def _count(raw: bytes, names: set[str]) -> dict[str, int]:
    """How many symbols each name has, by a search for each."""
    from ...formats.text import kallsyms

    return {name: len(kallsyms.find(raw, name)) for name in names}


CHECKS: list[Check] = []


def check(
    name: str, level: str, text: str, decides: str, source: str, reads: str, types: str
) -> Callable[[Callable[[AuditContext, Attachment], str | None]], Callable[[AuditContext, Attachment], str | None]]:
    """Register a check. The first line of `text` is its sentence, the whole its page."""

    def register(
        find: Callable[[AuditContext, Attachment], str | None],
    ) -> Callable[[AuditContext, Attachment], str | None]:
        says = text.partition("\n")[0]
        page = "\n".join(line.strip() for line in text.splitlines())
        CHECKS.append(Check(f"audit.{name}", level, says, page, decides, source, reads, types, find))
        return find

    return register


def findings(context: AuditContext, row: Attachment) -> tuple[AuditFinding, ...]:
    """What fires on one row, in the order of the registry."""
    found = []
    for one in CHECKS:
        evidence = one.find(context, row)
        if evidence is not None:
            found.append(AuditFinding(one.id, one.level, one.says, evidence))
    return tuple(found)


# ---------------------------------------------------------------- the kernel's functions

_ON_FUNCTIONS = "kprobe kretprobe kprobe.multi kretprobe.multi fentry fexit fsession fmod_ret lsm"


@check(
    "symbol_gone",
    WARNING,
    """The function has no symbol today.

    It was attached while the symbol was there: a module that was unloaded or loaded again without it, or a function
    that the kernel freed. The attachment is on code that nothing calls.""",
    "kallsyms_lookup_name",
    "kernel/kallsyms.c",
    "proc/kallsyms",
    _ON_FUNCTIONS,
)
def _symbol_gone(context: AuditContext, row: Attachment) -> str | None:
    gone = [name for _, name in functions_of(row) if context.copies(name) == 0]
    return f"proc/kallsyms: no {', '.join(gone[:3])}" if gone else None


@check(
    "symbol_ambiguous",
    NOTE,
    """Several symbols carry this name.

    Which of them the attachment is on was decided by whoever attached it: a link by ftrace takes the first that ftrace
    can patch, a trampoline the lowest address, a kprobe by perf refuses such names since 6.7.""",
    "kallsyms_lookup_name; ftrace_lookup_symbols",
    "kernel/kallsyms.c, kernel/trace/ftrace.c",
    "proc/kallsyms",
    _ON_FUNCTIONS,
)
def _symbol_ambiguous(context: AuditContext, row: Attachment) -> str | None:
    for _, name in functions_of(row):
        copies = context.copies(name)
        if copies is not None and copies > 1:
            return f"proc/kallsyms: {copies} symbols {name}"
    return None


@check(
    "callers_missed",
    WARNING,
    """The function was inlined into some of its callers, whose calls this attachment does not see.

    Ask `check` or `inline` for the callers, and for an attach point that sees them all. Not reported where neither
    debug information nor the survey has the function.""",
    "the compiler",
    "",
    "DWARF or the survey of this build",
    _ON_FUNCTIONS,
)
def _callers_missed(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in FUNCTIONS or row.places or not row.target or row.target.startswith("0x"):
        return None
    return context.missed_callers(row.target, row.module)


@check(
    "refused_today",
    WARNING,
    """The kernel would refuse this attachment today.

    It holds as long as somebody holds it; once it is let go, or its owner starts again, it does not come back. `check`
    tells the reason and what instead.""",
    "the rule that the evidence names",
    "",
    "the same facts as check",
    "kprobe kretprobe kprobe.multi kretprobe.multi fentry fexit fsession fmod_ret",
)
def _refused_today(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in JUDGED or row.offset or row.places or row.prog is None:
        return None
    for module, name in functions_of(row):
        if not context.copies(name):
            continue
        refusal = context.refusal(name, module, row.attach)
        if refusal is not None:
            return refusal
    return None


@check(
    "never_returns",
    WARNING,
    """The function never returns, so the return is never seen.

    A return probe on it attaches (older kernels take fexit too) and does not fire.""",
    "noreturn_deny",
    "kernel/bpf/verifier.c",
    "proc/kallsyms: __BTF_ID__ symbols of noreturn_deny; a list of names",
    "kretprobe kretprobe.multi fexit fsession",
)
def _never_returns(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in ("kretprobe", "kretprobe.multi", "kretprobe_event", "fexit", "fsession", "fexit_event"):
        return None
    return next((name for _, name in functions_of(row) if context.never_returns(name)), None)


@check(
    "two_owners",
    NOTE,
    """Programs of different processes are on this function.

    Each costs its share of every call. A kprobe is skipped while another program of the same kind runs on the CPU
    (recursion_misses, missed).""",
    "trace_call_bpf; kprobe_running",
    "kernel/trace/bpf_trace.c, kernel/kprobes.c",
    "the audit itself",
    _ON_FUNCTIONS,
)
def _two_owners(context: AuditContext, row: Attachment) -> str | None:
    own = {owner.pid for owner in row.owners}
    for module, name in functions_of(row):
        for other in context.by_function.get((module, name), ()):
            pids = {owner.pid for owner in other.owners}
            if other is not row and own and pids and not own & pids:
                pid = min(pids)
                comm = next((owner.comm for owner in other.owners if owner.pid == pid), None)
                return f"{name}: also {other.attach} by {comm or '?'} {pid}"
    return None


@check(
    "livepatched",
    WARNING,
    """A live patch replaces this function.

    Probes on the old function's entry still run; those inside it, and fexit programs on some kernels, no longer see
    what is executed.""",
    "ftrace_ops_list_func; klp_ftrace_handler",
    "kernel/livepatch/patch.c",
    "sys/kernel/livepatch, sys/kernel/tracing/enabled_functions",
    _ON_FUNCTIONS,
)
def _livepatched(context: AuditContext, row: Attachment) -> str | None:
    return _other_user(context, row, "livepatch")


@check(
    "direct_call",
    WARNING,
    """Something that is no BPF trampoline calls directly from this function's entry.

    A function takes only one direct call: a trampoline gets EBUSY.""",
    "register_ftrace_direct",
    "kernel/trace/ftrace.c",
    "sys/kernel/tracing/enabled_functions",
    "fentry fexit fsession fmod_ret lsm",
)
def _direct_call(context: AuditContext, row: Attachment) -> str | None:
    return _other_user(context, row, "ftrace.direct")


def _other_user(context: AuditContext, row: Attachment, attach: str) -> str | None:
    if row.attach == attach:
        return None
    for key in functions_of(row):
        for other in context.by_function.get(key, ()):
            if other.attach == attach:
                return f"{key[1]}: {other.event or attach}"
    return None


@check(
    "trampoline_full",
    WARNING,
    """The function's trampoline takes few more programs.

    fentry, fexit, fmod_ret and lsm programs of one function share a trampoline; fsession counts twice. The next
    beyond the limit gets E2BIG.""",
    "__bpf_trampoline_link_prog: BPF_MAX_TRAMP_LINKS",
    "kernel/bpf/trampoline.c",
    "sys/kernel/btf/vmlinux: enumerator BPF_MAX_TRAMP_LINKS, or member recursion_misses of struct bpf_prog_info",
    "fentry fexit fsession fmod_ret lsm",
)
def _trampoline_full(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in TRAMPOLINES or row.target is None:
        return None
    here = [one for one in context.by_function.get((row.module, row.target), ()) if one.attach in TRAMPOLINES]
    count = sum(_SESSION_LINKS if one.attach == "fsession" else 1 for one in here)
    if count <= LINKS_MAX // 2:
        return None
    limit, basis = context.trampoline_limit()
    return f"{row.target}: {count} of {limit}{basis}" if count > limit - NEARLY else None


# ---------------------------------------------------------------- arguments


@check(
    "arguments_differ",
    WARNING,
    """The event passes other arguments than the program was written for.

    Tracepoints change between kernels: block_rq_issue lost its first argument in 5.11, sched_switch got one more in
    5.18. The kernel refuses a program that loads more arguments than there are, and a tp_btf program that follows
    what is no pointer; a program that loads one argument for another it takes. What the program expects is read from
    its own BTF: its first line of source, or the struct that its context points to. Not reported where these
    say nothing.""",
    "bpf_probe_register; btf_ctx_access",
    "kernel/trace/bpf_trace.c, kernel/bpf/btf.c",
    "the program's BTF and line information; sys/kernel/btf: typedef btf_trace_EVENT",
    "raw_tp tp_btf",
)
def _arguments_differ(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in ("raw_tp", "tp_btf") or row.prog is None or row.target is None:
        return None
    expected = context.inputs.arguments.get(str(row.prog.id))
    if not expected:
        return None
    from . import arguments

    event = row.target
    passed = context.kept.ask("raw_arguments", event, lambda: arguments.passed(context.k, event))
    return arguments.difference(expected, passed) if passed else None


# ---------------------------------------------------------------- switches: attached, yet never fires


@check(
    "ftrace_off",
    BROKEN,
    """It does not fire: kernel.ftrace_enabled is 0.

    The kernel took the attachment and leaves the functions' entries unpatched. See silent.ftrace_off.""",
    "ftrace_startup: ftrace_enabled",
    "kernel/trace/ftrace.c",
    "proc/sys/kernel/ftrace_enabled",
    _ON_FUNCTIONS,
)
def _ftrace_off(context: AuditContext, row: Attachment) -> str | None:
    path = "proc/sys/kernel/ftrace_enabled"
    if row.attach not in FUNCTIONS or context.switch(path) != "0":
        return None
    if row.attach in KPROBES and (row.offset or not row.target or not context.is_site(row.target, row.module)):
        return None  # a breakpoint, which is no business of ftrace
    return f"{path}: 0"


@check(
    "kprobes_off",
    BROKEN,
    """It does not fire: kprobes are disarmed.

    Somebody wrote 0 to debugfs kprobes/enabled. See silent.kprobes_off.""",
    "register_kprobe: kprobes_all_disarmed",
    "kernel/kprobes.c",
    "sys/kernel/debug/kprobes/enabled",
    "kprobe kretprobe",
)
def _kprobes_off(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in KPROBES:
        return None
    path = "sys/kernel/debug/kprobes/enabled"
    return f"{path}: 0" if context.switch(path) == "0" else None


@check(
    "bpf_not_in_lsm",
    BROKEN,
    """It is never called: bpf is not among the active security modules.

    See silent.bpf_not_in_lsm.""",
    "ordered_lsm_init; bpf_lsm_init",
    "security/security.c, security/bpf/hooks.c",
    "sys/kernel/security/lsm",
    "lsm",
)
def _bpf_not_in_lsm(context: AuditContext, row: Attachment) -> str | None:
    if row.attach != "lsm":
        return None
    path = "sys/kernel/security/lsm"
    active = context.switch(path)
    return f"{path}: {active}" if active and "bpf" not in active.split(",") else None


# ---------------------------------------------------------------- counts


@check(
    "missed",
    WARNING,
    """Calls were missed.

    A kprobe is skipped while another runs on the CPU, a kretprobe when more calls are under way than it has room for
    (maxactive). fexit and kretprobe.multi have no such limit.""",
    "pre_handler_kretprobe; kprobes_inc_nmissed_count; fprobe",
    "kernel/kprobes.c, kernel/trace/fprobe.c",
    "struct bpf_link_info: missed; kprobe_profile",
    "kprobe kretprobe kprobe.multi kretprobe.multi",
)
def _missed(context: AuditContext, row: Attachment) -> str | None:
    return f"{row.missed} missed" if row.missed else None


@check(
    "recursion",
    NOTE,
    """The program was skipped where it was already running.

    Another program of the same kind ran on this CPU, or the function is called from within the program.""",
    "__bpf_prog_enter_recur; trace_call_bpf",
    "kernel/bpf/trampoline.c, kernel/trace/bpf_trace.c",
    "struct bpf_prog_info: recursion_misses",
    "",
)
def _recursion(context: AuditContext, row: Attachment) -> str | None:
    count = row.prog.recursion_misses if row.prog else None
    return f"{count} times" if count else None


# ---------------------------------------------------------------- owners


@check(
    "deleted_executable",
    WARNING,
    """A process holds it whose executable was deleted.

    The program was replaced or removed (an upgrade, a package that is gone) and its old process still runs.""",
    "d_path",
    "fs/d_path.c",
    "proc/PID/exe",
    "",
)
def _deleted_executable(context: AuditContext, row: Attachment) -> str | None:
    for owner in row.owners:
        if owner.exe_deleted:
            return f"{owner.comm or '?'} {owner.pid}: {owner.exe}"
    return None


@check(
    "orphaned",
    WARNING,
    """It is pinned and no process holds it.

    It stays until the pin is removed, also when the software that made it is gone. That may be meant.""",
    "bpf_link_put",
    "kernel/bpf/syscall.c",
    "bpf filesystems, proc/PID/fdinfo",
    "",
)
def _orphaned(context: AuditContext, row: Attachment) -> str | None:
    if row.link is None or not row.pins or row.owners or context.is_partly_blind():
        return None
    return row.pins[0]


@check(
    "target_gone",
    WARNING,
    """What it was attached to is gone.

    The cgroup was removed or the interface deleted; the link is a shell that does nothing until it is closed.""",
    "bpf_cgroup_release; dev_xdp_uninstall",
    "kernel/bpf/cgroup.c, net/core/dev.c",
    "struct bpf_link_info: cgroup_id, ifindex, netns_ino of 0",
    "cgroup xdp tcx netkit",
)
def _target_gone(context: AuditContext, row: Attachment) -> str | None:
    if row.link is None or row.link.type not in ("cgroup", "xdp", "tcx", "netkit", "netns"):
        return None
    for one in context.inputs.links:
        for key in ("cgroup_id", "ifindex", "netns_ino") if one.id == row.link.id else ():
            if getattr(one, key) == 0:
                return f"{key} 0"
    return None


# ---------------------------------------------------------------- uprobes


@check(
    "file_deleted",
    BROKEN,
    """The file of this uprobe is no longer there.

    Processes that run the old file still hit the probe; new processes run another file, or none.""",
    "create_local_trace_uprobe: kern_path",
    "kernel/trace/trace_uprobe.c",
    "the file, through proc/PID/root",
    "uprobe uretprobe uprobe.multi uretprobe.multi",
)
def _file_deleted(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in UPROBES:
        return None
    about = context.file(row)
    return str(row.target) if about is not None and about.state == "gone" else None


@check(
    "file_replaced",
    WARNING,
    """The file of this uprobe changed after the program was loaded.

    A package was upgraded, or the file written again: the probe is on the old file's inode (or at an offset that now
    means something else), and new processes may run past it. A change of its mode, owner or name alone looks the
    same.""",
    "uprobe_register",
    "kernel/events/uprobes.c",
    "the file's change time, struct bpf_prog_info: load_time",
    "uprobe uretprobe uprobe.multi uretprobe.multi",
)
def _file_replaced(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in UPROBES or row.prog is None:
        return None
    about = context.file(row)
    changed = about.changed_s if about is not None else None
    loaded = context.loaded_at(row.prog.id)
    if changed is None or loaded is None or changed <= loaded + _TOLERANCE_S:
        return None
    return f"{row.target}: changed {round(changed - loaded)} s after the program was loaded"


@check(
    "no_function",
    WARNING,
    """There is no code of a function at this offset of the file.

    The offset is outside the executable sections or between two functions, or the file is no ELF file: the probe was
    made for another file. A file whose symbols were stripped does not tell what is between functions.""",
    "prepare_uprobe",
    "kernel/events/uprobes.c",
    "the file's sections and symbols",
    "uprobe uretprobe uprobe.multi uretprobe.multi",
)
def _no_function(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in UPROBES:
        return None
    about = context.file(row)
    if about is None:
        return None
    if about.state == "no_elf":
        return f"{row.target}: no ELF file"
    for offset in _offsets(row):
        place = about.places.get(str(offset))
        if place is not None and place.is_code is False:
            return f"{row.target}: no code at {offset:#x}"
        if place is not None and place.is_outside:
            return f"{row.target}: {offset:#x} is behind the end of a function, and in no other"
    return None


@check(
    "inside_instruction",
    BROKEN,
    """No instruction starts at this offset of the file.

    The breakpoint is written into the middle of an instruction, which then does something else: processes crash.""",
    "prepare_uprobe; arch_uprobe_analyze_insn",
    "kernel/events/uprobes.c",
    "the file's code, decoded from the function's start",
    "uprobe uretprobe uprobe.multi uretprobe.multi",
)
def _inside_instruction(context: AuditContext, row: Attachment) -> str | None:
    if row.attach not in UPROBES:
        return None
    about = context.file(row)
    if about is None:
        return None
    places = ((offset, about.places.get(str(offset))) for offset in _offsets(row))
    wrong = [offset for offset, place in places if place is not None and place.is_start is False]
    return f"{row.target}: {wrong[0]:#x}" if wrong else None


@check(
    "instruction_refused",
    BROKEN,
    """The kernel refuses the instruction at this offset: the probe is attached and never fires.

    The kernel decodes the instruction when a process maps the file. An attach before that succeeds, and a later error
    is not reported by mmap. The next instruction of the function often takes a probe; `check FILE:0xOFFSET` names
    it.""",
    "install_breakpoint, arch_uprobe_analyze_insn",
    "arch/x86/kernel/uprobes.c",
    "the instruction in the file",
    "uprobe uretprobe uprobe.multi uretprobe.multi",
)
def _instruction_refused(context: AuditContext, row: Attachment) -> str | None:
    return _of_instruction(context, row, "refused")


@check(
    "instruction_misread",
    BROKEN,
    """The kernel takes the AVX instruction at this offset for another: the program goes on with wrong results.

    See limit.uprobe_vex. Take the probe away.""",
    "branch_setup_xol_ops",
    "arch/x86/kernel/uprobes.c",
    "the instruction in the file",
    "uprobe uretprobe uprobe.multi uretprobe.multi",
)
def _instruction_misread(context: AuditContext, row: Attachment) -> str | None:
    return _of_instruction(context, row, "misread")


def _of_instruction(context: AuditContext, row: Attachment, what: str) -> str | None:
    about = context.file(row) if row.attach in UPROBES else None
    if about is None:
        return None
    places = ((offset, about.places.get(str(offset))) for offset in _offsets(row))
    wrong = [(offset, word) for offset, place in places if place is not None and (word := getattr(place, what))]
    return f"{row.target}: {wrong[0][0]:#x} ({wrong[0][1]})" if wrong else None


@check(
    "go_return",
    BROKEN,
    """A return probe on a Go program: it crashes.

    Go moves stacks, and the return address that the kernel replaced with a trampoline stops Go's stack walk. Attach
    uprobes to the function's return instructions instead.""",
    "prepare_uretprobe; runtime.copystack",
    "kernel/events/uprobes.c",
    "the file's sections: .gopclntab, .go.buildinfo",
    "uretprobe uretprobe.multi",
)
def _go_return(context: AuditContext, row: Attachment) -> str | None:
    if not row.attach.startswith("uretprobe"):
        return None
    about = context.file(row)
    return str(row.target) if about is not None and about.is_go else None


def _offsets(row: Attachment) -> list[int]:
    if row.places:
        return [place.offset for place in row.places if place.offset is not None]
    return [row.offset] if row.offset is not None else []


# ---------------------------------------------------------------- about the whole


@check(
    "tools_disagree",
    NOTE,
    """bpftool printed other attachments than bpf(2) listed.

    A snapshot may hold both. They were read one after the other, so what was attached between them is in one alone.
    With --bpftool the running kernel is asked before and after bpftool, up to five times, and only what differs each
    time is reported. bpftool drops rows whose text does not fit its buffer.""",
    "bpf_task_fd_query; bpf_link_get_info_by_fd",
    "kernel/bpf/syscall.c",
    "bpftool; tool/bpftool-perf.json, tool/bpftool-link.json",
    "",
)
def _tools_disagree(context: AuditContext, row: Attachment) -> str | None:
    return None  # it is about the whole: printed.disagreement


@check(
    "not_allowed",
    WARNING,
    """No line of the allow list has this.

    `audit --allow FILE` tells every attachment, and every program that is only loaded, that no line of the file fits.
    The evidence is a line that would.""",
    "bpf_prog_get_info_by_fd; bpf_link_get_info_by_fd",
    "kernel/bpf/syscall.c",
    "the file of --allow",
    "",
)
def _not_allowed(context: AuditContext, row: Attachment) -> str | None:
    return None  # the list is no part of what was read: allow.told
