"""Users of the same functions that are no BPF programs: dynamic events, kprobes of perf and modules, ftrace, livepatch.

A kprobe that a BPF program is on is in kprobes/list as well, and its function in enabled_functions: only what the
rows of BPF programs do not explain becomes a row of its own.
"""

from __future__ import annotations

from ...errors import Malformed, SourceError
from ...model.audit import Attachment
from ...model.facts import Unread
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...formats.text.dynamic_events import DynamicEvent
    from ...formats.text.enabled_functions import EnabledFunction
    from ...formats.text.kprobes_list import RegisteredProbe
    from ...kernel.kernel import Kernel
    from .record import Inputs
    from .resolve import Resolver

UNTOLD_PROBE = "perf probe"  # a perf event's link that does not say whether it is a kprobe or a uprobe
READ_AGAIN, PAUSE_S = 2, 0.02
MANY = 64  # functions with one and the same user beyond which they are one row
_TRAMPOLINES = frozenset(("fentry", "fexit", "fsession", "fmod_ret", "lsm"))
_TRAMPOLINES_MULTI = frozenset(("fentry.multi", "fexit.multi", "fsession.multi"))
_PROBES = {"kprobe": False, "kretprobe": True, "kprobe_event": False, "kretprobe_event": True}
_FPROBES = frozenset(("kprobe.multi", "kretprobe.multi", "fprobe_event", "fexit_event"))
_FUNCTION_TRACER = "function_trace_call"
_ENTRIES = (0, 4)  # behind endbr64 as well
_Key = tuple[bool, str, int]


class Others(NamedTuple):
    """All rows: those of BPF programs, some now with the event that carries them, and the others behind them."""

    rows: list[Attachment]
    unread: list[Unread]


def add(k: Kernel, rows: Sequence[Attachment], resolver: Resolver, inputs: Inputs) -> Others:
    """The rows with the other users added. Of the inputs: switches of dynamic events, and live patches."""
    enabled = inputs.enabled_events
    unread: list[Unread] = []
    events = _dynamic(k, unread)
    probes = _probes(k, unread)
    joined = _with_events(list(rows), events, probes, resolver, enabled)
    joined = _with_missed(k, joined)
    patches = inputs.livepatches
    probed = _other_probes(k, joined, probes, resolver)
    traced = _ftrace(k, joined, probed, patches, unread)
    others = _unclaimed(k, joined, probed, traced, unread)
    if others and k.source.describe().kind == "live":
        others = _lasting(k, joined, others, resolver, patches)
    return Others(joined + others, unread)


def _unclaimed(
    k: Kernel, rows: list[Attachment], probed: list[Attachment], traced: list[Attachment], unread: list[Unread]
) -> list[Attachment]:
    """The others, and what is said where rows do not tell their places: which is whose is not known either.

    Kprobes stay, as one of them may be somebody else's; functions of kprobe.multi, which may be thousands, do not.

    A kernel before 6.6 does not tell the places of perf links and of kprobe.multi; no kernel tells addresses to a
    caller that may not see those of kallsyms.
    """

    def tell(fact: str, what: str) -> None:
        is_hidden = k.addresses_hidden()
        why = "addresses are hidden from this caller" if is_hidden else "this kernel does not tell"
        cure = "run it with CAP_SYSLOG, kernel.kptr_restrict 0 or 1" if is_hidden else ""
        unread.append(Unread(fact, "denied" if is_hidden else "not_there", f"{why}: {what}", cure))

    not_reported = sum(
        row.attach == UNTOLD_PROBE or (row.attach in _PROBES and (not row.target or row.target.startswith("0x")))
        for row in rows
    )
    if not_reported and probed:
        names = " ".join(row.target or "?" for row in probed[:MANY])
        tell("probed_places", f"the addresses of {not_reported} kprobes; without an owner are kprobes on: {names}")
    fprobes = [row for row in traced if row.attach == "ftrace" and row.event != _FUNCTION_TRACER]
    not_reported = sum(
        row.attach in _FPROBES and (not row.places or any(place.symbol is None for place in row.places))
        for row in rows
        if row.attach.endswith(".multi")
    )
    if not_reported and fprobes:
        names = " ".join(row.target or "?" for row in fprobes[:MANY])
        what = f"the functions of {not_reported} kprobe.multi links; with a user of ftrace are: {names}"
        tell("traced_functions", what)
        traced = [row for row in traced if row not in fprobes]
    return [*probed, *traced]


def _lasting(
    k: Kernel,
    joined: list[Attachment],
    others: list[Attachment],
    resolver: Resolver,
    patches: Iterable[Sequence[str | None]],
) -> list[Attachment]:
    """Those of the others that are still there when the lists are read again.

    What a program attached after the programs were read, or let go of between two lists, looks like another's.
    """
    import time

    from ...formats.text import enabled_functions, kprobes_list

    for _ in range(READ_AGAIN):
        time.sleep(PAUSE_S)
        k.forget((kprobes_list.PATH, enabled_functions.PATH))
        not_reported: list[Unread] = []
        probes = _other_probes(k, joined, _probes(k, not_reported), resolver)
        now = {_identity(row) for row in (*probes, *_ftrace(k, joined, probes, patches, not_reported))}
        if any(one.fact in ("kprobes_list", "enabled_functions") for one in not_reported):
            break
        others = [row for row in others if _identity(row) in now]
    return others


def _identity(row: Attachment) -> tuple[object, ...]:
    return (row.attach, row.target, row.module, row.offset) if row.offset is not None else (row.attach, row.event)


# What makes each of these files: global functions of the same file of the kernel, and options.
_MADE_BY = {
    "kprobes_list": (("register_kprobe",), ("CONFIG_KPROBES",)),  # kernel/kprobes.c: debugfs_kprobe_init
    "enabled_functions": (("ftrace_set_filter",), ("CONFIG_DYNAMIC_FTRACE",)),  # kernel/trace/ftrace.c
    "dynamic_events": (  # kernel/trace/trace_dynevent.c; kprobe_events and uprobe_events before
        ("dyn_event_register", "trace_kprobe_event_call", "trace_uprobe_event_call"),
        ("CONFIG_DYNAMIC_EVENTS", "CONFIG_KPROBE_EVENTS", "CONFIG_UPROBE_EVENTS", "CONFIG_FPROBE_EVENTS"),
    ),
}


def _cannot_exist(k: Kernel, fact: str) -> bool:
    """This kernel was built without what makes the file, so that there is nothing in it to miss.

    By the configuration; where none can be read, by the functions of the running kernel, as a snapshot may hold a
    part of the symbols.
    """
    symbols, options = _MADE_BY[fact]
    built = [k.option(option) for option in options]
    if None not in built:
        return not any(built)
    return k.source.describe().kind == "live" and k.has_symbol(*symbols) is False


def _read(k: Kernel, path: str, fact: str, unread: list[Unread]) -> bytes | None:
    try:
        return k.read(path)
    except SourceError as error:
        if error.kind != "not_there" and not _cannot_exist(k, fact):
            unread.append(Unread(fact, error.kind, f"{error.path}: {error.why}", error.cure))
        return None


def _dynamic(k: Kernel, unread: list[Unread]) -> list[DynamicEvent]:
    from ...formats.text import dynamic_events

    found: list[DynamicEvent] = []
    missing: list[Unread] = []
    for paths in ((dynamic_events.PATH,), (dynamic_events.KPROBES, dynamic_events.UPROBES)):
        read = False
        for path in paths:
            raw = _read(k, path, "dynamic_events", missing)
            if raw is None:
                continue
            read = True
            try:
                found += dynamic_events.table(raw, path)
            except Malformed as error:
                unread.append(Unread("dynamic_events", "malformed", str(error), "read the file again"))
        if read:
            return found
    unread += missing[:1]
    return found


def _probes(k: Kernel, unread: list[Unread]) -> tuple[RegisteredProbe, ...] | None:
    from ...formats.text import kprobes_list

    raw = _read(k, kprobes_list.PATH, "kprobes_list", unread)
    if raw is None:
        return None
    try:
        return kprobes_list.table(raw)
    except Malformed as error:
        unread.append(Unread("kprobes_list", "malformed", str(error), "read the file again"))
        return None


# ---------------------------------------------------------------- dynamic events


def _with_events(
    rows: list[Attachment],
    events: list[DynamicEvent],
    probes: tuple[RegisteredProbe, ...] | None,
    resolver: Resolver,
    enabled: dict[str, bool],
) -> list[Attachment]:
    """Each event a row of its own, but where a BPF program is on it: then the program's row names the event.

    A program's kprobe is either the event's or one of its own. kprobes/list has a line for each kprobe, so fewer lines
    than programs and events together mean shared ones. Where there is no such list (and for uprobes) an event that
    ftrace has switched off, on the place of a program without its own link, is taken for the shared one.
    """
    counts: dict[_Key, int] = {}
    for probe in probes or ():
        key = probe.is_return, probe.symbol, _entry(probe.offset, resolver)
        counts[key] = counts.get(key, 0) + 1
    taken: set[int] = set()
    more: list[Attachment] = []
    remaining: dict[_Key, int] = {}
    for one in events:
        key = one.attach.startswith("kret"), one.target, _entry(one.offset or 0, resolver)
        remaining[key] = remaining.get(key, 0) + (one.attach in ("kprobe_event", "kretprobe_event"))
    for one in sorted(events, key=lambda event: enabled.get(f"{event.group}/{event.name}", True)):
        title = f"{one.group}:{one.name}"
        is_on = enabled.get(f"{one.group}/{one.name}")
        attach = one.attach.removesuffix("_event")
        offset = _entry(one.offset or 0, resolver)
        here = [
            place
            for place, row in enumerate(rows)
            if row.attach == attach
            and row.target == one.target
            and _entry(row.offset or 0, resolver) == offset
            and row.module in (None, one.module or row.module)
        ]
        free = [place for place in here if place not in taken]
        key = attach == "kretprobe", one.target, offset
        if probes is not None and attach in ("kprobe", "kretprobe") and key in counts:
            is_shared = bool(free) and len(here) - len(taken & set(here)) + remaining[key] > counts[key]
        else:
            is_shared = bool(free) and is_on is False and rows[free[0]].link is None
        if is_shared:
            taken.add(free[0])
            remaining[key] -= 1
            rows[free[0]] = rows[free[0]]._replace(
                event=title, enabled=is_on, seen_by=(*rows[free[0]].seen_by, "tracefs")
            )
            counts[key] = counts.get(key, 1) - 1
            continue
        module = one.module
        if module is None and one.offset is not None and not one.target.startswith(("/", "0x")):
            module = resolver.module_of(one.target)
        more.append(
            Attachment(one.attach, one.target, module, one.offset, seen_by=("tracefs",), event=title, enabled=is_on)
        )
    return rows + more


def _with_missed(k: Kernel, rows: list[Attachment]) -> list[Attachment]:
    """kprobe_profile counts what an event's kprobe missed; it tells no group, so a name must be there once."""
    from ...formats.text import dynamic_events

    names = [row.event.partition(":")[2] for row in rows if row.event and "tracefs" in row.seen_by]
    if not names:
        return rows
    try:
        counts = dynamic_events.profile(k.read(dynamic_events.PROFILE))
    except (SourceError, Malformed):
        return rows
    found = []
    for row in rows:
        name = row.event.partition(":")[2] if row.event and "tracefs" in row.seen_by else ""
        is_kprobe = row.attach.startswith(("kprobe", "kretprobe"))
        if name and is_kprobe and row.missed is None and names.count(name) == 1 and name in counts:
            row = row._replace(missed=counts[name][1])
        found.append(row)
    return found


def _entry(offset: int, resolver: Resolver) -> int:
    return 0 if offset in _ENTRIES and (offset == 0 or resolver.has_ibt()) else offset


# ---------------------------------------------------------------- kprobes


def _other_probes(
    k: Kernel, rows: list[Attachment], probes: tuple[RegisteredProbe, ...] | None, resolver: Resolver
) -> list[Attachment]:
    """Kprobes that no row explains: perf events without a program, modules, the kernel itself."""
    if not probes:
        return []
    explained: dict[_Key, int] = {}
    for row in rows:
        if row.attach in _PROBES and row.target:
            key = _PROBES[row.attach], row.target, _entry(row.offset or 0, resolver)
            explained[key] = explained.get(key, 0) + 1
    left: list[RegisteredProbe] = []
    for probe in probes:
        key = probe.is_return, probe.symbol, _entry(probe.offset, resolver)
        if explained.get(key):
            explained[key] -= 1
        else:
            left.append(probe)
    by_address = _addresses(k, {key for key, count in explained.items() if count}) if left else {}
    found = []
    for probe in left:
        names = by_address.get(probe.address) or by_address.get(probe.address - 4) or ()
        alias = next((key for key in names if key[0] == probe.is_return and explained.get(key)), None)
        if alias is not None:
            explained[alias] -= 1
            continue
        found.append(
            Attachment(
                "kretprobe" if probe.is_return else "kprobe",
                probe.symbol,
                probe.module,
                _entry(probe.offset, resolver),
                seen_by=("kprobes",),
                enabled="DISABLED" not in probe.flags,
            )
        )
    return found


def _addresses(k: Kernel, keys: Iterable[_Key]) -> dict[int, list[_Key]]:
    """Addresses of these places by kallsyms: the list names an address by the first of its aliases."""
    from ...formats.text import kallsyms

    raw = k.kallsyms()
    found: dict[int, list[_Key]] = {}
    for key in keys:
        for symbol in kallsyms.find(raw, key[1]) if raw else ():
            if symbol.address:
                found.setdefault(symbol.address + key[2], []).append(key)
    return found


# ---------------------------------------------------------------- ftrace


def _ftrace(
    k: Kernel,
    rows: list[Attachment],
    more: list[Attachment],
    patches: Iterable[Sequence[str | None]],
    unread: list[Unread],
) -> list[Attachment]:
    """Functions with more users in enabled_functions than the rows explain."""
    from ...formats.text import enabled_functions

    raw = _read(k, enabled_functions.PATH, "enabled_functions", unread)
    if not raw:
        return []
    try:
        table = enabled_functions.table(raw)
    except Malformed as error:
        unread.append(Unread("enabled_functions", "malformed", str(error), "read the file again"))
        return []
    _name_untold(rows, table, unread)
    most = _explained([*rows, *more])
    patched = {(name, module): patch for module, name, patch in patches}
    found: list[Attachment] = []
    groups: dict[str, list[Attachment]] = {}
    for one in table:
        patch = patched.get((one.name, one.module))
        if patch is not None:
            found.append(Attachment("livepatch", one.name, one.module, 0, seen_by=("ftrace", "livepatch"), event=patch))
        is_trampoline = one.direct is not None and "bpf_trampoline" in one.direct
        is_direct = one.direct is not None and not is_trampoline
        if is_direct:
            found.append(Attachment("ftrace.direct", one.name, one.module, 0, seen_by=("ftrace",), event=one.direct))
        users = one.users - (patch is not None) - is_direct - max(most.get(one.name, 0), is_trampoline)
        if users > 0:
            row = Attachment("ftrace", one.name, one.module, 0, seen_by=("ftrace",), event=_user(one.calls))
            groups.setdefault(_user(one.calls) or "", []).append(row)
    for group in groups.values():
        if len(group) <= MANY:
            found += group
        else:
            found.append(Attachment("ftrace", f"{len(group)} functions", seen_by=("ftrace",), event=group[0].event))
    return found


def _name_untold(rows: list[Attachment], table: Sequence[EnabledFunction], unread: list[Unread]) -> None:
    """Gives rows that do not tell their function (before 5.17) one of those with BPF's trampoline that no row names.

    Where only one function can be a row's, the row gets it: an LSM program is on a bpf_lsm_ function, and each
    function has a program.
    """
    not_reported = [place for place, row in enumerate(rows) if row.attach in _TRAMPOLINES and row.target is None]
    if not not_reported:
        return
    told = {row.target for row in rows if row.attach in _TRAMPOLINES} | {row.symbol for row in rows if row.symbol}
    functions = [one for one in table if one.direct and "bpf_trampoline" in one.direct and one.name not in told]
    hooks = [one for one in functions if one.name.startswith("bpf_lsm_")]
    others = [one for one in functions if not one.name.startswith("bpf_lsm_")]
    plain = [place for place in not_reported if rows[place].attach != "lsm"]
    for place in not_reported:
        of_plain = others if len(plain) == 1 and others else functions
        fitting = of_plain if place in plain else hooks
        if len(fitting) == 1:
            rows[place] = rows[place]._replace(target=fitting[0].name, module=fitting[0].module, offset=0)
    silent = sum(rows[place].target is None for place in not_reported)
    if silent:
        names = " ".join(one.name for one in functions[:MANY])
        why = f"this kernel does not tell the functions of {silent} tracing links; with a trampoline are: {names}"
        unread.append(Unread("traced_functions", "not_there", why, ""))


def _user(calls: str) -> str | None:
    """The function that ftrace calls there, without addresses: `->function_trace_call`."""
    words = [word for word in calls.replace("(", " ").replace(")", " ").split() if not word.startswith("0x")]
    for word in words:
        name = word.rpartition("->")[2].partition("+")[0]
        if word.startswith("->") and name and name not in ("ftrace_ops_list_func", "arch_ftrace_ops_list_func"):
            return name
    return None


def _explained(rows: list[Attachment]) -> dict[str, int]:
    """For each function the most users in ftrace's count that the rows can stand for."""
    once: dict[tuple[str, str], int] = {}
    for row in rows:
        names = [place.symbol for place in row.places if place.symbol] if row.places else [row.target or ""]
        for name in names:
            if row.attach in _TRAMPOLINES:
                once[name, "trampoline"] = 1
            elif row.attach in _TRAMPOLINES_MULTI:
                once[name, "multi"] = 1
            elif row.attach in _PROBES:
                once[name, "kprobe"] = 1
            elif row.attach in _FPROBES:
                once[name, "fprobe"] = once.get((name, "fprobe"), 0) + 1
            elif row.attach == "cgroup" and row.symbol:
                once[row.symbol, "trampoline"] = 1
    found: dict[str, int] = {}
    for (name, _), count in once.items():
        found[name] = found.get(name, 0) + count
    return found


def livepatches(k: Kernel) -> list[tuple[str | None, str, str]]:
    """(module, function, patch) from sys/kernel/livepatch/PATCH/OBJECT/FUNCTION,N."""
    folder = "sys/kernel/livepatch"
    found: list[tuple[str | None, str, str]] = []
    try:
        for patch in k.source.names(folder):
            for thing in _folders(k, f"{folder}/{patch}"):
                for function in _folders(k, f"{folder}/{patch}/{thing}"):
                    name, comma, _ = function.rpartition(",")
                    if comma:
                        found.append((None if thing == "vmlinux" else thing, name, patch))
    except SourceError:
        pass
    return found


def _folders(k: Kernel, folder: str) -> tuple[str, ...]:
    try:
        return k.source.names(folder)
    except SourceError:
        return ()
