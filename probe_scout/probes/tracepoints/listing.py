"""`tracepoint`: events that match a glob, each with its fields, verdicts and raw arguments."""

from __future__ import annotations

from ... import arch
from ...errors import Malformed, SourceError, UsageError
from ...kernel.reading import TRACING
from ...model import facts
from ...model.attach import BY_EVENT
from ...model.facts import Unread
from ...model.target import EVENT_WORDS, SYSCALL_WORDS, bare_section, split
from ...model.trace import BARE, DYNAMIC, EVENT, FTRACE, PERF, SYSCALL, EventReport
from ...model.verdict import Finding
from ...rules import judge
from ..attach import evidence as verdict_evidence
from ..attach import function_traits
from ..attach import verdicts as judged
from . import syscall_copy
from .record import describe_event, event_read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...kernel.kernel import Kernel
    from ...model.trace import RawArgument, RecordType
    from ...model.traits import EventTraits
    from ...model.verdict import Verdict
    from ...rules.judge import Outcome
    from .raw_arguments import TraceTypes

EVENTS = f"{TRACING}/events"
_MADE_LATER = frozenset(("synthetic", "user_events"))  # categories of kernel/trace/trace_events_synth.c, _user.c
_NOT_EVENTS = frozenset(("enable", "filter", "header_event", "header_page"))


class Listing:
    """Names of events, from both places that hold them, and what these disagree about.

    `events`: (category, name) of available_events, those of the category ftrace, which the file leaves out,
    and those of the tree that the file should list. `notes` tells the differences; empty where the tree
    cannot be listed.
    """

    __slots__ = ("events", "notes")

    def __init__(self, k: Kernel) -> None:
        self.notes: tuple[Finding, ...] = ()
        listed = dict.fromkeys(k.index_events())
        raw = k.available_events()
        tree = _tree(k)
        found = dict(listed)
        if tree is None:
            found.update(dict.fromkeys(("ftrace", name) for name in _entries(k, f"{EVENTS}/ftrace")))
        else:
            found.update(dict.fromkeys(event for event in tree if raw is None or event[0] == "ftrace"))
        if tree is not None and raw is not None:
            notes = []
            for category, name in sorted(tree.keys() - listed.keys()):
                if category != "ftrace":
                    found[category, name] = None
                    says = f"{category}:{name} has a folder and is not in available_events"
                    notes.append(Finding("events.not_listed", says, f"{EVENTS}/{category}/{name}"))
            for category, name in sorted(listed.keys() - tree.keys()):
                says = f"{category}:{name} is in available_events and has no folder"
                notes.append(Finding("events.no_folder", says, f"{EVENTS}/{category}/{name}"))
            self.notes = tuple(notes)
        self.events = tuple(found)


def _tree(k: Kernel) -> dict[tuple[str, str], None] | None:
    """Every folder events/<category>/<name>; None if there is no such tree or it cannot be listed."""
    categories = _entries(k, EVENTS)
    return {(c, n): None for c in categories for n in _entries(k, f"{EVENTS}/{c}")} if categories else None


def _entries(k: Kernel, folder: str) -> tuple[str, ...]:
    try:
        return tuple(name for name in k.source.names(folder) if name not in _NOT_EVENTS)
    except SourceError:
        return ()


def listed(k: Kernel) -> tuple[tuple[str, str], ...]:
    """Every event, as (category, name)."""
    return Listing(k).events


def listed_quickly(k: Kernel) -> tuple[tuple[str, str], ...]:
    """The events of available_events and of the category ftrace: two files looked at, and no tree walked."""
    return (*k.index_events(), *(("ftrace", name) for name in _entries(k, f"{EVENTS}/ftrace")))


def bare(k: Kernel, events: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Raw tracepoints without an event of their name (DECLARE_TRACE), sorted; () where none can be told.

    In a slice a tracepoint may have an event that was left out; where tracefs is closed, each may have one.
    """
    if k.partial() or (k.available_events() is None and _tree(k) is None):
        return ()
    names = {name for _, name in events}
    shown = k.names_with(b"__bpf_trace_tp_map_") or k.names_with(b"__traceiter_")
    return tuple(sorted({name.decode("utf-8", "replace") for name in shown} - names))


def bare_name(name: str) -> str:
    """CATEGORY:EVENT, or EVENT, without what tracers put before it: tp/sched/sched_switch, raw_tp:sched_switch.

    A system call stands for its two events. Raises UsageError for what names a function (kprobe:vfs_read).
    """
    word, rest = split(bare_section(name))
    if word in SYSCALL_WORDS:
        return f"syscalls:sys_*_{rest}"
    if word and word not in EVENT_WORDS:
        raise UsageError(f"{name[:60]!r} names a function, not an event: probe-scout check judges it")
    if EVENT_WORDS.get(word):  # a raw tracepoint: bpftrace puts a module before its name
        rest = rest.removeprefix("vmlinux:")
    return rest.replace("/", ":")


def matching(k: Kernel, glob: str) -> tuple[tuple[str, str], ...]:
    """Events whose `category:name` matches, or whose name if the glob has no colon. Bare tracepoints: category ""."""
    return _matching(k, glob)[0]


def _matching(k: Kernel, glob: str) -> tuple[tuple[tuple[str, str], ...], tuple[Finding, ...]]:
    import fnmatch
    import re

    glob = bare_name(glob)
    is_plain = not set(glob) & set("*?[")
    if is_plain and ":" in glob:
        category, _, name = glob.partition(":")
        if category in (k.events_named(name) or ()) or _has_folder(k, category, name):
            return ((category, name),), ()
        return (), ()
    if is_plain:
        found = tuple((category, glob) for category in k.events_named(glob) or ())
        if found:
            return found, ()
    names = Listing(k)
    match = re.compile(fnmatch.translate(glob)).match
    with_colon = ":" in glob
    found = tuple((c, n) for c, n in names.events if match(f"{c}:{n}" if with_colon else n))
    if not with_colon:
        found += tuple(("", name) for name in bare(k, names.events) if match(name))
    notes = tuple(n for n in names.notes if with_colon is False or match(n.says.partition(" ")[0]))
    return found, notes if glob == "*" or with_colon else ()


def _has_folder(k: Kernel, category: str, name: str) -> bool:
    try:
        return bool(k.read(f"{EVENTS}/{category}/{name}/format"))
    except SourceError:
        return False


# Event to what took its place; said only where the new one is there and the old one is not.
_RENAMED = {
    "io_uring:io_uring_submit_sqe": "io_uring:io_uring_submit_req",
    "kmem:kmalloc_node": "kmem:kmalloc",
    "kmem:kmem_cache_alloc_node": "kmem:kmem_cache_alloc",
    "writeback:writeback_dirty_page": "writeback:writeback_dirty_folio",
    "writeback:wait_on_page_writeback": "writeback:folio_wait_writeback",
    "ext4:ext4_releasepage": "ext4:ext4_release_folio",
    "ext4:ext4_invalidatepage": "ext4:ext4_invalidate_folio",
    "ext4:ext4_writepage": "ext4:ext4_writepages",
}
_SUGGESTIONS_MAX = 5


def suggestions(k: Kernel, glob: str) -> tuple[str, ...]:
    """Events that may be meant by a name that matches none: renamed, in another category, bare, spelt alike.

    At most five, the surest first. Of a pattern its category is looked at, if it has one.
    """
    import difflib

    glob = bare_name(glob)
    events = dict.fromkeys(listed_quickly(k))
    if set(glob) & set("*?["):
        return _other_patterns(glob, tuple(events))
    if any(c == glob for c, _ in events):
        return (f"{glob}:*",)
    category, _, name = glob.rpartition(":")
    raw = bare(k, tuple(events))
    found: dict[str, None] = {}
    for old, new in (*_RENAMED.items(), *((new, old) for old, new in _RENAMED.items())):
        if glob in (old, old.partition(":")[2]) and tuple(new.split(":")) in events:
            found[new] = None
    calls = (("syscalls", f"sys_enter_{name}"), ("syscalls", f"sys_exit_{name}"))  # tracepoint openat
    found.update(dict.fromkeys(f"{c}:{n}" for c, n in calls if (c, n) in events))
    found.update(dict.fromkeys(f"{c}:{n}" for c, n in events if n == name))
    found.update(dict.fromkeys(f"{c}:{n}" for c, n in events if n.lower() == name.lower() and n != name))
    found.update(dict.fromkeys(one for one in (name, f"{name}_tp", name.removesuffix("_tp")) if one in raw))
    found.update(dict.fromkeys(f"{c}:{n}" for c, n in events if n == name.removesuffix("_tp") != name))
    if not found:
        names: dict[str, list[str]] = {}
        for c, n in events:
            names.setdefault(n, []).append(f"{c}:{n}")
        near = difflib.get_close_matches(name, (*names, *raw), _SUGGESTIONS_MAX, 0.75)
        found.update(dict.fromkeys(full for n in near for full in names.get(n, [n])))
    ranked = sorted(found, key=lambda full: not full.startswith(f"{category}:")) if category else list(found)
    return tuple(ranked[:_SUGGESTIONS_MAX])


def _other_patterns(glob: str, events: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The pattern in categories that are spelt alike, else what it matches in any category."""
    import difflib
    import fnmatch

    category, colon, pattern = glob.partition(":")
    if not colon or set(category) & set("*?["):
        return ()
    categories = dict.fromkeys(c for c, _ in events)
    if category in categories:
        return (f"{category}:*",)
    near = difflib.get_close_matches(category, categories, _SUGGESTIONS_MAX, 0.7)
    found = [f"{c}:{pattern}" for c in near if any(o == c and fnmatch.fnmatchcase(n, pattern) for o, n in events)]
    if not found and pattern.strip("*?"):
        found = [f"{c}:{n}" for c, n in events if fnmatch.fnmatchcase(n, pattern)]
    return tuple((found or [f"{c}:*" for c in near])[:_SUGGESTIONS_MAX])


def reports(
    k: Kernel, glob: str, loads: Sequence[tuple[int, int]] = (), names_only: bool = False
) -> tuple[tuple[EventReport, ...], tuple[Unread, ...], tuple[Finding, ...]]:
    """Reports of the matching events; why a list is not whole; what available_events and the tree disagree about.

    `loads` are (offset, size) pairs to judge for each event. `names_only`: where several match and no load is to
    be judged, each report holds its name and kind, and no format file is read.
    """
    found, notes = _matching(k, glob)
    gap = k.known_unread(facts.EVENTS)
    unread = [gap] if gap is not None else []
    is_list = bool(set(glob) & set("*?["))
    if (is_list or not found) and (cut := k.partial_gap(facts.EVENTS)) is not None:
        unread.append(cut)
    from .raw_arguments import TraceTypes

    types = TraceTypes(k)
    told: list[EventReport] = []
    if len(found) == 1:
        told.append(report(k, *found[0], True, types, loads, unread))
    elif names_only and not loads:
        told += [_named(k, category, name) for category, name in found]
    else:
        k.read_many([f"{EVENTS}/{c}/{n}/format" for c, n in found if c])
        answers = Answers(k)
        for category, name in found:
            verdicts = answers.verdicts(category, name)
            try:
                told.append(_report(k, category, name, verdicts, (), None, loads, unread, False))
            except Malformed as error:  # the other events of the list are not lost for it
                unread.append(Unread(facts.EVENTS, "malformed", str(error), "take the file again"))
                told.append(_without_fields(k, category, name, verdicts, (), loads, str(error), error.path))
    return tuple(told), tuple(unread), notes


def _named(k: Kernel, category: str, name: str) -> EventReport:
    if not category:
        return EventReport(name, None, (), kind=BARE)
    return EventReport(f"{category}:{name}", None, (), kind=_kind(k, category, name))


def report(
    k: Kernel,
    category: str,
    name: str,
    with_arguments: bool = True,
    types: TraceTypes | None = None,
    loads: Sequence[tuple[int, int]] = (),
    unread: list[Unread] | None = None,
) -> EventReport:
    """One event: its format file is read, and no other's. A bare tracepoint has the category "".

    `types` saves work for many events of one kernel. A format that cannot be read leaves the report without
    fields, with a note; its reason is added to `unread`. Raises Malformed for one that makes no sense.
    """
    verdicts = judged.event_verdicts(k, category or None, name, BY_EVENT)
    arguments: tuple[RawArgument, ...] = ()
    if with_arguments:
        from .raw_arguments import TraceTypes

        types = types or TraceTypes(k)
        if category not in ("syscalls", "ftrace"):
            arguments = types.arguments(name)
    return _report(k, category, name, verdicts, arguments, types, loads, unread, True)


def _report(
    k: Kernel,
    category: str,
    name: str,
    verdicts: tuple[Verdict, ...],
    arguments: tuple[RawArgument, ...],
    types: TraceTypes | None,
    loads: Sequence[tuple[int, int]],
    unread: list[Unread] | None,
    is_single: bool,
) -> EventReport:
    if not category:
        reads = tuple(
            event_read(offset, size, None, verdicts[0], arch.row(k.arch()).pointer_bytes) for offset, size in loads
        )
        return EventReport(name, None, (), verdicts, arguments, kind=BARE, reads=reads)
    folder = f"{EVENTS}/{category}/{name}"
    kind = _kind(k, category, name)
    try:
        raw = k.read(f"{folder}/format")
    except SourceError as error:
        why = f"{error.path}: {error.why}"
        if unread is not None:
            unread.append(Unread(facts.EVENTS, error.kind, why, error.cure))
        return _without_fields(k, category, name, verdicts, arguments, loads, error.why, error.path)
    ids_raw = _maybe(k, f"{folder}/btf_ids") if is_single else None
    record = _record(types, category, name, raw, ids_raw, folder) if types is not None else None
    described = describe_event(
        category,
        name,
        raw,
        _maybe(k, f"{folder}/id") if is_single else None,
        ids_raw,
        verdicts=verdicts,
        raw_args=arguments,
        kind=kind,
        record=record,
        pointer_bytes=arch.row(k.arch()).pointer_bytes,
        loads=loads,
        copy=syscall_copy.layout(k, name) if kind == SYSCALL else None,
    )
    from ..attach import closed_helpers

    return closed_helpers.fit(k, described)


def _without_fields(
    k: Kernel,
    category: str,
    name: str,
    verdicts: tuple[Verdict, ...],
    arguments: tuple[RawArgument, ...],
    loads: Sequence[tuple[int, int]],
    why: str,
    path: str,
) -> EventReport:
    """An event whose format file could not be read, or makes no sense."""
    note = Finding("events.format_unread", f"its fields are unknown: {why}", path)
    reads = tuple(
        event_read(offset, size, None, verdicts[0], arch.row(k.arch()).pointer_bytes) for offset, size in loads
    )
    kind = _kind(k, category, name)
    return EventReport(f"{category}:{name}", None, (), verdicts, arguments, (note,), kind=kind, reads=reads)


def _record(
    types: TraceTypes, category: str, name: str, raw: bytes, ids_raw: bytes | None, folder: str
) -> RecordType | None:
    from ...formats.text import event_ids, trace_format

    fmt = trace_format.parse(raw, f"{folder}/format", category)
    ids = None if ids_raw is None else event_ids.btf_ids(ids_raw, f"{folder}/btf_ids")
    return types.record(category, name, fmt, ids)


def _kind(k: Kernel, category: str, name: str) -> str:
    if category == "syscalls":
        return SYSCALL
    if category == "ftrace":
        # kernel/trace/trace_events.c, event_create_dir: an id is for perf, and only where perf can register.
        return FTRACE if _maybe(k, f"{EVENTS}/ftrace/{name}/id") is None else PERF
    return DYNAMIC if category in _MADE_LATER or k.is_dynamic_event(category, name) else EVENT


def _maybe(k: Kernel, path: str) -> bytes | None:
    try:
        return k.read(path)
    except SourceError:
        return None


class Answers:
    """Verdicts of many events: events with equal traits are judged once, and differ in their evidence only."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._known: dict[EventTraits, tuple[tuple[str, Outcome, Verdict], ...]] = {}
        self._notes = {attach: verdict_evidence.notes(k, attach) for attach in BY_EVENT}

    def verdicts(self, category: str, name: str) -> tuple[Verdict, ...]:
        """The same as judged.event_verdicts for tp, raw_tp and tp_btf."""
        k = self._k
        traits = function_traits.event_traits(k, category or None, name)
        known = self._known.get(traits)
        if known is None:
            judged = [(attach, judge.judge(k, attach, traits)) for attach in BY_EVENT]
            known = tuple(
                (a, outcome, verdict_evidence.verdict(k, a, outcome, {}, self._notes[a])) for a, outcome in judged
            )
            self._known[traits] = known
        evidence: dict[str, str] = {}
        told = []
        for attach, outcome, plain in known:
            if outcome.fired:
                evidence = evidence or verdict_evidence.event_evidence(k, category or None, name, traits)
                told.append(verdict_evidence.verdict(k, attach, outcome, evidence, self._notes[attach]))
            else:
                told.append(plain)
        return tuple(told)
