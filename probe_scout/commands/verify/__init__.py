"""`verify`: ask the running kernel what `check` answered, and compare.

Everything is looked up and judged first, then asked by the room verify/, whose child process holds what is attached.
What may harm the kernel is not asked (model/never_try.py), nor what cannot be held against that list.
"""

from __future__ import annotations

from ...errors import CannotAsk, Malformed, NotThere, SourceError, UsageError
from ...kernel import located
from ...kernel.reading import TRACING
from ...model import never_try, trial
from ...model.attach import ATTACH_TYPES, WITHOUT_FTRACE, family
from ...model.target import SYSCALL, TRACEPOINT, Target
from ...model.trial import BugReport, Trial, VerifyReport
from ...model.verdict import NO, UNKNOWN, YES
from ...named_tuple import NamedTuple
from ...probes.attach import function_traits, privileges, verdicts
from ...probes.attach import targets as wanted
from ...probes.explain import hazards
from . import attempt
from .attempt import Question, Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...kernel.kernel import Kernel
    from ...model.verdict import Verdict

LIMIT = 64  # targets of one call, unless the caller says more
MANY = 16  # from here on the whole tables are cheaper than a search for each name
PMU = "sys/bus/event_source/devices/kprobe/type"
FTRACE_SWITCH = "proc/sys/kernel/ftrace_enabled"
_BY_PERF = frozenset(family("perf event"))
# Errnos that tell of the machine or the caller and not of the target; an equal verdict makes them an answer.
_SURROUNDINGS = {
    "EPERM": "a filter of system calls, a security module, or a limit of locked memory may stand before the kernel",
    "EACCES": "a filter of system calls, a security module, or perf_event_paranoid may stand before the kernel",
    "ENOSYS": "the system call is filtered or not built",
    "ENOMEM": "no memory",
    "EAGAIN": "interrupted again and again",
    "EINTR": "interrupted",
    "EMFILE": "too many open files",
    "ENFILE": "too many open files",
    "E2BIG": "as many programs as one function takes are attached there already",
}
_CAPABILITIES = {
    "may_bpf": "CAP_BPF",
    "may_perfmon": "CAP_PERFMON",
    "may_perf": "CAP_SYS_ADMIN, which kernel.perf_event_paranoid above 2 may demand for perf events",
    "may_admin": "CAP_SYS_ADMIN, for the types of modules",
}


class _Plan(NamedTuple):
    """One trial before it is made: a question, or the reply that makes asking needless, or why it is refused."""

    target: str
    verdict: Verdict
    question: Question | None = None
    reply: Reply | None = None
    refusal: str = ""
    uncertain: str = ""  # with --dry: why this caller could not rule out that it is refused


def report(
    k: Kernel,
    names: Sequence[str],
    types: Sequence[str] = (),
    *,
    as_me: bool = False,
    dry: bool = False,
    limit: int = LIMIT,
    version: str = "",
    announce: Callable[[str], None] | None = None,
    ask: Callable[[Sequence[Question]], Iterator[Reply]] | None = None,
) -> VerifyReport:
    """Verdicts beside the kernel's answers. `announce` is told each line about what will be touched, beforehand.

    Raises UsageError for a kernel that is not the running one, for names that cannot be asked and for too many of
    them, CannotAsk where rights are missing. With `as_me` a missing right is the kernel's answer.
    """
    if k.source.describe().kind != "live":
        raise UsageError("verify asks the running kernel; leave --root out, or use check for a snapshot")
    targets = _targets(k, names, types, limit)
    if not targets:
        raise CannotAsk(f"no function or event matches {' '.join(names)}")
    rights = privileges.present(k)
    k.set_caller(rights if as_me else None)
    if len(targets) > MANY:
        k.full()
        k.blacklist()
    guard = _Guard(k, may_load=not as_me or rights("may_bpf") is not False, dry=dry)
    plans = [plan for target, asked in targets for plan in _plans(k, target, asked, guard)]
    if not as_me and not dry:
        _demand_rights(rights, [plan.question for plan in plans if plan.question is not None])
    asked = [plan.question for plan in plans if plan.question is not None]
    replies: list[Reply] = []
    if not dry and asked:
        for line in touched(asked):
            if announce is not None:
                announce(line)
        replies = _collect(asked, ask)
    waiting = iter(replies)
    trials = []
    for plan in plans:
        if plan.question is not None and not dry:
            plan = plan._replace(reply=next(waiting))
        trials.append(_trial(plan, as_me, dry))
    info = k.info()
    reports = tuple(_bug(k, one, version) for one in trials if one.outcome in (trial.DIFFERENT, trial.OTHER_ERRNO))
    return VerifyReport(info, dry, "me" if as_me else "root", tuple(trials), reports)


def _collect(asked: list[Question], ask: Callable[[Sequence[Question]], Iterator[Reply]] | None) -> list[Reply]:
    if ask is None:
        from .child import ask_all

        replies = ask_all(asked)
    else:
        replies = ask(asked)
    try:
        return list(replies)
    finally:
        close = getattr(replies, "close", None)
        if close is not None:
            close()  # ends the child before anything else happens


def touched(asked: Sequence[Question]) -> list[str]:
    """What will be touched, a line for each target, the first one about all."""
    by_target: dict[str, list[str]] = {}
    for question in asked:
        by_target.setdefault(question.target, []).append(question.attach)
    head = (
        f"about to load, attach and detach a program that does nothing, {len(asked)} time{'s'[: len(asked) != 1]}, "
        "in the running kernel:"
    )
    return [head, *(f"  {target}: {' '.join(types)}" for target, types in by_target.items())]


# ------------------------------------------------------------------ names


def _targets(k: Kernel, names: Sequence[str], types: Sequence[str], limit: int) -> list[tuple[Target, Sequence[str]]]:
    """Every name once with the attach types asked for, globs expanded. Raises UsageError for more than the limit."""
    found: dict[str, tuple[Target, Sequence[str]]] = {}
    for name in names:
        meant = wanted.asked(k, name, types)
        asked = types or ((meant.attach,) if meant.attach else ())
        for target in wanted.matching(k, meant.target) if meant.target.is_glob else (meant.target,):
            _, before = found.get(str(target), (target, asked))
            found[str(target)] = target, () if not (before and asked) else tuple(dict.fromkeys((*before, *asked)))
    if len(found) > limit:
        raise UsageError(
            f"{' '.join(names[:3])}{' …' if len(names) > 3 else ''} names {len(found)} targets and verify asks about "
            f"{limit} at most: narrow it, or say --limit {len(found)}"
        )
    return list(found.values())


# ----------------------------------------------------------------- refusals


class _Guard:
    """Why an attempt may not be made. `may_load` false: the caller cannot load a program, so nothing is attached.

    `uncertain` is set by `refusal` where only the right to read is missing and, with `dry`, nothing is done anyway.
    """

    def __init__(self, k: Kernel, may_load: bool, dry: bool) -> None:
        self._k, self._may_load, self._dry = k, may_load, dry
        self.uncertain = ""
        self._dangerous: dict[int, str] | None = None  # address -> name on the list
        self._ftrace = self._ftrace_switch()

    def refusal(self, target: Target, attach: str) -> str:
        """One sentence, or "" where nothing is known against the attempt."""
        self.uncertain = ""
        if target.kind != TRACEPOINT and attach not in WITHOUT_FTRACE:
            if self._ftrace:
                return self._ftrace
            name = function_traits.wrapper(self._k, target.name) if target.kind == SYSCALL else target.name
            return self._against(name, target.module if target.kind != SYSCALL else None)
        return ""

    def _ftrace_switch(self) -> str:
        """Attaching while ftrace is switched off can shut it down when it is switched on again (seen on 6.12)."""
        try:
            value = self._k.read(FTRACE_SWITCH).strip()
        except NotThere:
            return ""  # no dynamic ftrace
        except SourceError as error:
            return f"{FTRACE_SWITCH} cannot be read ({error.why}), and attaching while ftrace is off can break it"
        if value != b"0":
            return ""
        return (
            "kernel.ftrace_enabled is 0, and a kernel that attaches in this state can lose ftrace when it is switched "
            "on again: sysctl kernel.ftrace_enabled=1 first"
        )

    def _against(self, name: str, module: str | None) -> str:
        k = self._k
        reason = hazards.never_try(name, module)
        if reason:
            return f"never tried: {reason}"
        ids = k.ids()
        for title in ("btf_id_deny", "noreturn_deny"):
            if ids.visible and ids.holds(title, name):
                return f"never tried: {name} is in the kernel's own {title}"
        if not self._may_load:
            return ""
        view = k.view((name.encode(),))
        head = f"the list of functions that are never tried cannot be compared with {name}: "
        if view is None:
            return self._not_compared(head + "proc/kallsyms cannot be read; run it as root")
        symbols = view.symbols
        if symbols.hidden or k.addresses_hidden():
            return self._not_compared(
                head + "addresses are hidden; run it as root, with kernel.kptr_restrict at 0 or 1"
            )
        if self._dangerous is None:
            self._dangerous = self._addresses()
        for row in symbols.rows(name.encode()):
            owner = symbols.modules[row]
            if owner is not None:
                reason = hazards.never_try(name, owner.decode("utf-8", "replace"))
                if reason and module in (None, owner.decode("utf-8", "replace")):
                    return f"never tried: {reason}"
            other = self._dangerous.get(symbols.addresses[row])
            if other is not None:
                return f"never tried: {name} is the same code as {hazards.never_try(other)}"
        return ""

    def _not_compared(self, says: str) -> str:
        if not self._dry:
            return says
        self.uncertain = says
        return ""

    def _addresses(self) -> dict[int, str]:
        view = self._k.view(tuple(name.encode() for name in never_try.NEVER_TRY))
        if view is None:
            return {}
        symbols = view.symbols
        return {symbols.addresses[row]: name for name in never_try.NEVER_TRY for row in symbols.rows(name.encode())}


def _demand_rights(rights: Callable[[str], bool | None], asked: Sequence[Question]) -> None:
    """Raises CannotAsk that names what is missing for these questions."""
    wanted = ["may_bpf", "may_perfmon"]
    if any(question.attach in _BY_PERF for question in asked):
        wanted.append("may_perf")
    if any(question.module is not None for question in asked):
        wanted.append("may_admin")
    missing = [_CAPABILITIES[privilege] for privilege in wanted if rights(privilege) is not True]
    if "CAP_PERFMON" in missing:
        missing = [one for one in missing if "perf events" not in one]  # one cause, told once
    if missing:
        raise CannotAsk(
            f"verify asks the kernel for real, and this caller lacks {'; '.join(missing)}: run it as root, or say "
            "--as-me to take a refusal for the answer"
        )


# ---------------------------------------------------------------- questions


def _plans(k: Kernel, target: Target, types: Sequence[str], guard: _Guard) -> Iterator[_Plan]:
    chosen = verdicts.types_for(target, types)
    written = str(target)
    for verdict in verdicts.verdicts(k, target, chosen):
        refusal = guard.refusal(target, verdict.attach)
        if verdict.attach == "lsm_cgroup":
            refusal = "verify attaches nothing to a cgroup: its processes would run the program"
        if refusal:
            yield _Plan(written, verdict, refusal=refusal)
            continue
        uncertain = guard.uncertain
        found = _question(k, target, written, verdict.attach)
        if isinstance(found, Reply):
            yield _Plan(written, verdict, reply=found, uncertain=uncertain)
        else:
            yield _Plan(written, verdict, question=found, uncertain=uncertain)


def _question(k: Kernel, target: Target, written: str, attach: str) -> Question | Reply:
    """The question, or the loader's own refusal where a name cannot be turned into a number."""
    kind = ATTACH_TYPES[attach]
    empty = Question(written, attach)
    if attach in family("event"):
        category, name = target.module, target.name
        if target.kind == SYSCALL:
            category, name = "syscalls", f"sys_enter_{target.name}"
        return _event(k, empty, category, name)
    if target.kind == TRACEPOINT:
        if kind.program == "RAW_TRACEPOINT":
            return empty._replace(symbol=target.name)
        return _typed_tracepoint(k, empty, target.name)
    name = function_traits.wrapper(k, target.name) if target.kind == SYSCALL else target.name
    module = None if target.kind == SYSCALL else target.module
    if kind.program == "KPROBE":
        symbol = name if module in (None, "vmlinux") or kind.enumerator else f"{module}:{name}"
        return empty._replace(symbol=symbol, offset_bytes=target.offset_bytes, pmu=_pmu(k))
    if k.btf() is None:
        return Reply("ENOENT", attempt.LOOKUP, "sys/kernel/btf/vmlinux cannot be read, so no target can be named")
    found = located.btf_function(k, name, module)
    if found is None and attach.endswith(".multi"):
        return empty._replace(symbol=name)
    if found is None:
        return Reply("ESRCH", attempt.LOOKUP, f"BTF has no FUNC {name}, so a loader does not ask the kernel")
    owner, _, function = found
    return empty._replace(btf_id=function.type_id, module=owner)


def _event(k: Kernel, empty: Question, category: str | None, name: str) -> Question | Reply:
    from ...formats.text import event_ids, trace_format

    category = category or next(iter(k.events_named(name) or ()), None)
    if category is not None:
        folder = f"{TRACING}/events/{category}/{name}"
        try:
            return empty._replace(event_id=event_ids.event_id(k.read(f"{folder}/id"), f"{folder}/id"))
        except (SourceError, Malformed):
            pass
        try:  # events of the category ftrace have no file id
            return empty._replace(event_id=trace_format.parse(k.read(f"{folder}/format"), f"{folder}/format").id)
        except (SourceError, Malformed):
            pass
    return Reply("ENOENT", attempt.LOOKUP, "tracefs shows no such event, so a loader finds no id to open")


def _typed_tracepoint(k: Kernel, empty: Question, name: str) -> Question | Reply:
    base = k.btf()
    if base is None:
        return Reply("ENOENT", attempt.LOOKUP, "sys/kernel/btf/vmlinux cannot be read, so no target can be named")
    for owner in (None, *k.btf_modules()):
        btf = k.btf(owner)
        found = btf.find_typedef(f"btf_trace_{name}") if btf is not None else None
        if found is not None:
            return empty._replace(btf_id=found, module=owner)
    return Reply("ESRCH", attempt.LOOKUP, f"BTF has no typedef btf_trace_{name}, so a loader does not ask the kernel")


def _pmu(k: Kernel) -> int:
    """The number of perf's kprobe device; 0 if there is none."""
    try:
        return int(k.read(PMU))
    except (SourceError, ValueError):
        return 0


# --------------------------------------------------------------- comparison


def _trial(plan: _Plan, as_me: bool, dry: bool) -> Trial:
    verdict, reply = plan.verdict, plan.reply
    if plan.refusal:
        return Trial(plan.target, verdict.attach, verdict, trial.REFUSED, says=plan.refusal)
    if reply is None or (dry and plan.question is not None):
        return Trial(plan.target, verdict.attach, verdict, trial.PLANNED, says=plan.uncertain)
    answer = NO if reply.errno else YES
    outcome, says = _compared(verdict, answer, reply, as_me)
    if outcome == trial.UNASKED:
        answer = ""
    return Trial(plan.target, verdict.attach, verdict, outcome, answer, reply.errno, reply.stage, says)


def _compared(verdict: Verdict, answer: str, reply: Reply, as_me: bool) -> tuple[str, str]:
    if reply.stage == attempt.NOT_ASKED:
        return trial.UNASKED, reply.message
    predicted = verdict.answer == NO and reply.errno == verdict.errno
    if reply.errno in _SURROUNDINGS and not predicted and not (as_me and reply.errno in ("EPERM", "EACCES")):
        return trial.UNASKED, f"{reply.errno} at {reply.stage}: {_SURROUNDINGS[reply.errno]}"
    if verdict.answer == UNKNOWN:
        return trial.SETTLED, reply.message
    if verdict.answer != answer:
        return trial.DIFFERENT, reply.message
    if answer == NO and verdict.errno_certain and verdict.errno and not predicted:
        return trial.OTHER_ERRNO, reply.message
    return trial.EQUAL, reply.message


def _bug(k: Kernel, one: Trial, version: str) -> BugReport:
    """A difference as a report that can be sent as it is."""
    info, verdict = k.info(), one.verdict
    said = _words(verdict.answer, verdict.errno or "")
    kernel = _words(one.answer, one.errno)
    lines = [
        f"probe-scout {version}, kernel {info.release} {info.arch}, build {info.build_id or 'unknown'}",
        f"target: {one.target}   attach type: {one.attach}",
        f"verdict: {said}{'' if verdict.errno_certain else ', errno not certain'}",
    ]
    lines += [f"  {f.rule}: {f.says} ({f.evidence})" for f in verdict.findings]
    lines += [f"  note {f.rule}: {f.says}" for f in verdict.notes]
    lines += [f"  not read {u.fact} ({u.kind}): {u.why}" for u in verdict.unread]
    lines.append(f"kernel: {kernel}{f' at {one.stage}' if one.stage else ''}{f': {one.says}' if one.says else ''}")
    lines.append(f"lockdown: {k.lockdown() or 'unknown'}")
    lines.append(f"ask again: probe-scout verify {one.target} --type {one.attach}")
    name = f"probe-scout-{info.build_id[:12] or info.release or 'kernel'}.tar.xz"
    lines.append(f"please attach: probe-scout snapshot -o {name} --with-code")
    title = f"{one.target} {one.attach}: the verdict is {said}, the kernel says {kernel}"
    return BugReport(title, "\n".join(lines))


def _words(answer: str, errno: str) -> str:
    return f"{answer} ({errno})" if errno else answer
