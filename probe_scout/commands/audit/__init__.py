"""`audit`: everything that is attached, by whom, and whether it is sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import CannotAsk, Malformed, SourceError
from ...model.audit import AuditReport
from ...model.facts import Unread

if TYPE_CHECKING:
    from ...kernel.kernel import Kernel
    from ...model.audit import Attachment
    from ...sources.bpf.syscalls import Calls
    from .kept import Kept

Record = dict[str, Any]
_TRACING = "sys/kernel/tracing"
_CHANGING = (
    *(f"{_TRACING}/{name}" for name in ("dynamic_events", "kprobe_events", "uprobe_events", "kprobe_profile")),
    *(f"{_TRACING}/enabled_functions", "sys/kernel/debug/kprobes/list", "sys/kernel/debug/kprobes/enabled"),
    *("proc/sys/kernel/ftrace_enabled", "proc/sys/kernel/bpf_stats_enabled"),
)
# A contemporary of the change that made every kind of program count its misses (trace_call_bpf in
# kernel/trace/bpf_trace.c): enum bpf_attach_type got this member in the same release.
_OTHER_WORDS = frozenset(("net", "release", "build_id", "arch", "source", "taken", "basis"))
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
    found = inputs(k, net, calls)
    if with_bpftool:
        _ask_bpftool(k, found, calls)
    if k.source.describe().kind == "live":
        return narrowed(judged(k, found, kept), owner, target)
    from ...sources.bpf import attached

    try:
        report = judged(k, found, kept)
        _require_plain(report)
        return narrowed(report, owner, target)
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:  # of other hands
        what = f"{type(error).__name__}: {error}"
        raise Malformed(attached.PATH, 0, "the inputs of an audit", what[:200]) from None


_WORDS = frozenset(
    (
        *("attach", "target", "module", "symbol", "event", "hook", "netns", "cgroup", "type", "name", "tag", "loaded"),
        *(
            "comm",
            "container",
            "exe",
            "cmdline",
            "user",
            "boot",
            "check",
            "level",
            "says",
            "evidence",
            "fact",
            "kind",
            "why",
            "cure",
        ),
    )
)


def _require_plain(value: object) -> None:
    """Raises TypeError where a report made of somebody else's inputs holds other things than its types say."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        for name, part in zip(value._fields, value, strict=True):
            if isinstance(part, tuple):
                _require_plain(part)
            elif part is not None and not isinstance(part, str if name in _WORDS else (int, str)):
                raise TypeError(f"{name} is {type(part).__name__}")
            elif isinstance(part, str) and name not in _WORDS and name not in _OTHER_WORDS:
                raise TypeError(f"{name} is a text")
    elif isinstance(value, tuple):
        for part in value:
            if isinstance(part, tuple):
                _require_plain(part)
            elif not isinstance(part, (str, int)):
                raise TypeError(f"{type(part).__name__} in a list")


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


def inputs(k: Kernel, net: str = "auto", calls: Calls | None = None) -> Record:
    """What an audit needs, as it was read: the same for this machine and for a snapshot of it."""
    from ...sources.bpf import attached

    if k.source.describe().kind == "live":
        if calls is None:
            from ...sources.bpf.syscalls import Machine

            calls = Machine()
        found = attached.take(calls, net)
        found["stats_enabled"] = _switch(k, "proc/sys/kernel/bpf_stats_enabled")
        found["enabled_events"] = _enabled_events(k)
        from . import arguments, files, others
        from .resolve import read_pmus

        found["arguments"] = arguments.look(found, calls)

        found["pmus"] = read_pmus(k)
        found["livepatches"] = others.livepatches(k)
        found["files"] = files.look(found, _uprobe_events(k))
        return found
    return _kept(k)


def _ask_bpftool(k: Kernel, found: Record, calls: Calls | None) -> None:
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
    import json

    from ...errors import ProbeScoutError
    from ...sources.bpf import attached
    from . import resolve

    if k.source.describe().kind != "live":
        return {}
    try:
        found = inputs(k)
        resolve.Resolver(k, {}, {}).name_addresses(found)
        for one in found["processes"].values():
            one.pop("cmdline", None)  # passwords may be in it
    except ProbeScoutError:
        return {}
    return {attached.PATH: json.dumps(found, indent=1, sort_keys=True).encode() + b"\n"}


def _kept(k: Kernel) -> Record:
    import json

    from ...sources.bpf import attached
    from . import printed

    try:
        raw = k.read(attached.PATH)
    except SourceError as error:
        if error.kind not in ("not_there", "not_recorded"):
            raise
        by_bpftool = printed.inputs(k)
        if by_bpftool is not None:
            return by_bpftool
        raise CannotAsk(
            f"{k.source.describe().where}: holds neither {attached.PATH} nor tool/bpftool-perf.json; take the "
            "snapshot on the running machine, as root"
        ) from None
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise Malformed(attached.PATH, getattr(error, "pos", 0), "one JSON document") from None
    if not isinstance(found, dict) or found.get("schema") != attached.SCHEMA:
        raise Malformed(attached.PATH, 0, attached.SCHEMA)
    return found


def judged(k: Kernel, found: Record, kept: Kept | None = None) -> AuditReport:
    """The report of inputs, which are used up by it."""
    from .kept import Kept

    kept = kept or Kept()
    k.tell_arch(kept.ask("kernel", "arch", k.arch))
    from . import checks, join, others, printed, resolve

    found["counts_all_misses"] = bool(found.get("programs")) and kept.ask("kernel", "misses", lambda: _counts_all(k))
    resolver = resolve.Resolver(k, found.get("btfs", {}), found.get("pmus", {}), found.get("symbols"), kept)
    joined = join.Join(found, resolver).rows()
    both = others.add(k, joined.attachments, resolver, found)
    rows = [_in_file(found, row) if row.attach.startswith(("uprobe", "uretprobe")) else row for row in both.rows]
    world = checks.World(k, rows, found, kept)
    world.look_at_all()
    rows = [row._replace(findings=checks.findings(world, row)) for row in rows]
    kept.save()
    about = printed.live_findings(found)
    if k.source.describe().kind == "snapshot" and "now_s" in found:
        about += printed.disagreement(k, found)
    unread = [Unread(one["fact"], one["kind"], one["why"], one["cure"]) for one in found.get("gaps", ())]
    unread += both.unread
    return AuditReport(
        k.info(), tuple(rows), tuple(joined.loaded), _net(found), tuple(unread), tuple(about), found.get("boot")
    )


def _counts_all(k: Kernel) -> bool:
    btf = k.btf()
    return btf is not None and btf.has_name(_COUNTS_ALL)


def _net(found: Record) -> str:
    return "scanned" if "net" in found else "not scanned"


def _in_file(found: Record, row: Attachment) -> Attachment:
    """A uprobe with the functions that its offsets are in."""
    from .checks import file_of

    about = file_of(found, row)
    if about is None:
        return row
    places = about["places"]

    def symbol(offset: int | None) -> tuple[str | None, int | None]:
        place = places.get(str(offset), {})
        return place.get("symbol"), place.get("offset")

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
