"""`audit`: everything that is attached, by whom, and whether it is sound."""

from __future__ import annotations

from ...errors import CannotAsk, Malformed, SourceError
from ...model.audit import AuditReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.kernel import Kernel
    from ...model.audit import Attachment
    from ...sources.bpf.syscalls import Calls
    from .kept import Kept
    from .record import Document, Inputs
_TRACING = "sys/kernel/tracing"
_CHANGING = (
    *(f"{_TRACING}/{name}" for name in ("dynamic_events", "kprobe_events", "uprobe_events", "kprobe_profile")),
    *(f"{_TRACING}/enabled_functions", "sys/kernel/debug/kprobes/list", "sys/kernel/debug/kprobes/enabled"),
    *("proc/sys/kernel/ftrace_enabled", "proc/sys/kernel/bpf_stats_enabled"),
)
# A contemporary of the change that made every kind of program count its misses (trace_call_bpf in
# kernel/trace/bpf_trace.c): enum bpf_attach_type got this member in the same release.
_COUNTS_ALL = "BPF_CGROUP_UNIX_CONNECT"


def report(
    k: Kernel,
    net: str = "auto",
    owner: int = 0,
    target: str = "",
    calls: Calls | None = None,
    kept: Kept | None = None,
    with_bpftool: bool = False,
) -> AuditReport:
    """Everything that is attached to this kernel: now, or as a snapshot kept it.

    `net`: auto, yes or no, whether the interfaces of all network namespaces are looked at. `owner` and `target` (a
    pattern) narrow what is shown. `kept`: what earlier runs found out. `with_bpftool`: ask an installed bpftool as
    well, and tell where it differs; what a snapshot holds of it is read anyway.

    Raises CannotAsk for a root that is neither this machine nor a snapshot with an audit's inputs, and where bpf(2)
    cannot be called.
    """
    k.forget(_CHANGING)
    found = document(k, net, calls)
    if with_bpftool:
        _ask_bpftool(k, found, calls)
    from . import record

    if k.source.describe().kind == "live":
        return narrowed(judged(k, record.read(found), kept), owner, target)
    try:
        return narrowed(judged(k, record.read(found), kept), owner, target)
    except (ArithmeticError, OSError, ValueError) as error:  # times and numbers of other hands that fit no clock
        what = f"{type(error).__name__}: {error}"
        raise Malformed(record.PATH, 0, "the inputs of an audit", what[:200]) from None


def narrowed(found: AuditReport, owner: int, target: str) -> AuditReport:
    """Only what a process holds, and whose target matches a pattern (module:function for functions of modules)."""
    import fnmatch

    def is_meant(one: Attachment) -> bool:
        if owner and all(held.pid != owner for held in one.owners):
            return False
        names = [one.target, one.symbol, *(place.symbol for place in one.places), one.event]
        names += [f"{one.module}:{one.target}"] if one.module else []
        return not target or any(fnmatch.fnmatchcase(name, target) for name in names if name)

    if not owner and not target:
        return found
    loaded = () if target else tuple(one for one in found.loaded if any(held.pid == owner for held in one.owners))
    return found._replace(attachments=tuple(filter(is_meant, found.attachments)), loaded=loaded)


def document(k: Kernel, net: str = "auto", calls: Calls | None = None) -> Document:
    """What an audit needs, as it was read: the same for this machine and for a snapshot of it."""
    if k.source.describe().kind == "live":
        from ...sources.bpf import attached

        if calls is None:
            from ...sources.bpf.syscalls import Machine

            calls = Machine()
        found = attached.take(calls, net)
        found["stats_enabled"] = _switch(k, "proc/sys/kernel/bpf_stats_enabled")
        found["enabled_events"] = _enabled_events(k)
        from . import arguments, files, others, record
        from .resolve import read_pmus

        taken = record.read(found)
        found["arguments"] = arguments.look(taken, calls)
        found["pmus"] = read_pmus(k)
        found["livepatches"] = others.livepatches(k)
        found["files"] = files.look(taken, _uprobe_events(k), k=k)
        return found
    return _kept(k)


def _ask_bpftool(k: Kernel, found: Document, calls: Calls | None) -> None:
    if k.source.describe().kind != "live":
        raise CannotAsk("bpftool can be asked of the running kernel alone; what a snapshot holds of it is read anyway")
    from . import printed

    if calls is None:
        from ...sources.bpf.syscalls import Machine

        calls = Machine()
    found["bpftool"] = printed.ask(calls)
    found["gaps"] += found["bpftool"]["gaps"]


def saved(k: Kernel) -> dict[str, bytes]:
    """What a snapshot keeps for audits: the path in it and the bytes; empty where nothing can be asked.

    Addresses are replaced by numbers of symbols, so that a snapshot with moved addresses tells none.
    """
    from ...errors import ProbeScoutError
    from . import record, resolve

    if k.source.describe().kind != "live":
        return {}
    try:
        found = document(k)
        resolve.Resolver(k, {}, {}).name_addresses(found)
        for one in found["processes"].values():
            one.pop("cmdline", None)  # passwords may be in it
    except ProbeScoutError:
        return {}
    return {record.PATH: record.write(found)}


def _kept(k: Kernel) -> Document:
    from . import printed, record

    try:
        raw = k.read(record.PATH)
    except SourceError as error:
        if error.kind not in ("not_there", "not_recorded"):
            raise
        by_bpftool = printed.document(k)
        if by_bpftool is not None:
            return by_bpftool
        raise CannotAsk(
            f"{k.source.describe().where}: holds neither {record.PATH} nor tool/bpftool-perf.json; take the "
            "snapshot on the running machine, as root"
        ) from None
    return record.parse(raw)


def judged(k: Kernel, found: Inputs, kept: Kept | None = None) -> AuditReport:
    """The report of inputs, which are used up by it."""
    from .kept import Kept

    kept = kept or Kept()
    k.tell_arch(kept.ask("kernel", "arch", k.arch))
    from . import checks, join, others, printed, resolve

    counts_all = bool(found.programs) and kept.ask("kernel", "misses", lambda: _counts_all(k))
    resolver = resolve.Resolver(k, found.btfs, found.pmus, found.symbols, kept)
    joined = join.Join(found, resolver, counts_all).rows()
    both = others.add(k, joined.attachments, resolver, found)
    rows = [_in_file(found, row) if row.attach.startswith(("uprobe", "uretprobe")) else row for row in both.rows]
    context = checks.AuditContext(k, rows, found, kept)
    context.look_at_all()
    rows = [row._replace(findings=checks.findings(context, row)) for row in rows]
    kept.save()
    about = printed.live_findings(found)
    if k.source.describe().kind == "snapshot" and found.now_s is not None:
        about += printed.disagreement(k, found)
    net = "not scanned" if found.net is None else "scanned"
    unread = (*found.gaps, *both.unread)
    return AuditReport(k.info(), tuple(rows), tuple(joined.loaded), net, unread, tuple(about), found.boot)


def _counts_all(k: Kernel) -> bool:
    btf = k.btf()
    return btf is not None and btf.has_name(_COUNTS_ALL)


def _in_file(found: Inputs, row: Attachment) -> Attachment:
    """A uprobe with the functions that its offsets are in."""
    from .checks import file_of

    about = file_of(found, row)
    if about is None:
        return row
    places = about.places

    def symbol(offset: int | None) -> tuple[str | None, int | None]:
        place = places.get(str(offset))
        return (place.symbol, place.offset) if place is not None else (None, None)

    each = tuple(place._replace(symbol=symbol(place.offset)[0]) for place in row.places)
    name, offset = symbol(row.offset)
    return row._replace(symbol=name, symbol_offset=offset, places=each)


def _uprobe_events(k: Kernel) -> list[tuple[str, int]]:
    """Paths and offsets of uprobe events, which no process holds."""
    from ...formats.text import dynamic_events

    for path in (dynamic_events.PATH, dynamic_events.UPROBES):
        try:
            events = dynamic_events.table(k.read(path), path)
        except (SourceError, Malformed):
            continue
        return [(one.target, one.offset) for one in events if one.target.startswith("/") and one.offset is not None]
    return []


def _switch(k: Kernel, path: str) -> bool | None:
    try:
        return k.source.read(path).strip() != b"0"
    except SourceError:
        return None


def _enabled_events(k: Kernel) -> dict[str, bool]:
    """Whether ftrace has switched each dynamic event on: group/name -> state."""
    from ...formats.text import dynamic_events

    found: dict[str, bool] = {}
    for path in (dynamic_events.PATH, dynamic_events.KPROBES, dynamic_events.UPROBES):
        try:
            events = dynamic_events.table(k.read(path), path)
        except (SourceError, Malformed):
            continue
        for one in events:
            title = f"{one.group}/{one.name}"
            state = _switch(k, f"{_TRACING}/events/{title}/enable") if title not in found else None
            if state is not None:
                found[title] = state
    return found
