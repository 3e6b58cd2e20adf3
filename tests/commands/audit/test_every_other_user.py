"""Users without BPF by rows and lists alone: which line is which row's, and which is nobody's."""

from __future__ import annotations

import pytest

from probe_scout.commands.audit import others, record
from probe_scout.errors import Denied, NotThere
from probe_scout.model.audit import Attachment, LinkRef, Place, ProgramRef
from probe_scout.sources.source import Description

from .conftest import inputs

TRACING = "sys/kernel/tracing"
EVENTS, PROFILE = f"{TRACING}/dynamic_events", f"{TRACING}/kprobe_profile"
KPROBE_EVENTS, UPROBE_EVENTS = f"{TRACING}/kprobe_events", f"{TRACING}/uprobe_events"
ENABLED, LIST = f"{TRACING}/enabled_functions", "sys/kernel/debug/kprobes/list"
PROG, LINK = ProgramRef(1, "kprobe", "prog", "t"), LinkRef(5, "perf_event")
SYMBOLS = b"ffffffff81000010 t f\nffffffff81000010 t alias\nffffffff81000020 t g\n"


class K:
    """As much of a kernel as this reads. `later`: files as they are when they are read again."""

    def __init__(self, files, hidden=False, kind="snapshot", symbols=SYMBOLS, folders=None, later=None):
        self.files = {EVENTS: b"", LIST: b"", ENABLED: b"", **files}
        self.hidden, self.kind, self.symbols, self.folders, self.later = hidden, kind, symbols, folders or {}, later
        self.source = self
        self.forgotten = 0

    def read(self, path):
        raw = self.files.get(path)
        if raw is None:
            raise Denied(path, "no", "be root") if path in self.files else NotThere(path, "No such file")
        return raw

    def names(self, folder):
        if folder not in self.folders:
            raise NotThere(folder, "No such folder")
        return self.folders[folder]

    def forget(self, paths):
        assert set(paths) == {LIST, ENABLED}
        self.forgotten += 1
        self.files.update(self.later or {})

    def describe(self):
        return Description(self.kind, "/")

    def addresses_hidden(self):
        return self.hidden

    def kallsyms(self):
        return self.symbols

    def option(self, option):
        return None

    def has_symbol(self, *names):
        return None


class Names:
    def __init__(self, ibt=False):
        self.ibt = ibt

    def has_ibt(self):
        return self.ibt

    def module_of(self, function):
        return {"xf": "xfs"}.get(function)


def row(attach="kprobe", target="f", module=None, offset=0, **more):
    return Attachment(attach, target, module, offset, **{"prog": PROG, "seen_by": ("perf",), **more})


def added(files, *rows, ibt=False, enabled=None, patches=(), **kernel):
    k = K(files, **kernel)
    made = others.add(k, rows, Names(ibt), record.read(inputs(enabled_events=enabled or {}, livepatches=patches)))
    return made, k


def brief(rows):
    """Attach type, target, and of module, offset, event and counts what is told."""
    return [(one.attach, one.target, one.module, one.offset, one.event, one.missed) for one in rows]


def kprobes(*lines):
    return {LIST: "".join(f"{address:016x}  {line}\n" for address, line in lines).encode()}


FREE = ("kprobe_event", "f", None, 0, "m:e", None)
SHARED = ("kprobe", "f", None, 0, "m:e", None)
OWN = ("kprobe", "f", None, 0, None, None)


@pytest.mark.parametrize(
    ("event", "one", "enabled", "lines", "expected"),
    [
        (b"p:m/e f\n", row(), {}, None, [OWN, FREE]),  # whether it is on is not told
        (b"p:m/e f\n", row(), {"m/e": True}, None, [OWN, FREE]),
        (b"p:m/e f\n", row(), {"m/e": False}, None, [SHARED]),
        (b"p:m/e f\n", row(link=LINK), {"m/e": False}, None, [OWN, FREE]),
        (b"p:m/e f\n", row(), {"m/e": True}, 1, [SHARED]),
        (b"p:m/e f\n", row(), {"m/e": True}, 2, [OWN, FREE]),
        (b"p:m/e f\n", row(), {"m/e": False}, 2, [OWN, FREE]),
        (b"p:m/e f\n", row(link=LINK), {"m/e": True}, 1, [SHARED]),
        (b"p:m/e g\n", row(), {"m/e": False}, None, [OWN, (*FREE[:1], "g", *FREE[2:])]),
        (b"p:m/e f+8\n", row(), {"m/e": False}, None, [OWN, (*FREE[:3], 8, *FREE[4:])]),
        (b"r:m/e f\n", row(), {"m/e": False}, None, [OWN, ("kretprobe_event", *FREE[1:])]),
        (b"p:m/e mod:f\n", row(), {"m/e": False}, None, [SHARED]),
        (b"p:m/e mod:f\n", row(module="mod"), {"m/e": False}, None, [(*SHARED[:2], "mod", *SHARED[3:])]),
        (b"p:m/e mod:f\n", row(module="xfs"), {"m/e": False}, None,
         [(*OWN[:2], "xfs", *OWN[3:]), (*FREE[:2], "mod", *FREE[3:])]),
        (b"p:m/e f\n", row(module="xfs"), {"m/e": False}, None, [(*SHARED[:2], "xfs", *SHARED[3:])]),
        (b"p:m/e xf\n", row(), {}, None, [OWN, ("kprobe_event", "xf", "xfs", 0, "m:e", None)]),
        (b"p:m/e 0xff00\n", row(), {}, None, [OWN, ("kprobe_event", "0xff00", None, None, "m:e", None)]),
        (b"p:m/e /xf:0x10\n", row("uprobe", "/xf", None, 16), {"m/e": False}, None,
         [("uprobe", "/xf", None, 16, "m:e", None)]),
        (b"p:m/e /xf:0x10\n", row("uprobe", "/xf", None, 8), {"m/e": False}, None,
         [("uprobe", "/xf", None, 8, None, None), ("uprobe_event", "/xf", None, 16, "m:e", None)]),
        (b"p:m/e f\n", row(offset=None), {"m/e": False}, None, [(*SHARED[:3], None, *SHARED[4:])]),
    ],
)  # fmt: skip
def test_an_event_and_a_program(event, one, enabled, lines, expected):
    """One line of kprobes/list for both, or an event that is switched off: then the program is on the event."""
    files = {EVENTS: event, LIST: None}
    if lines:
        files |= kprobes(*[(0, "k  f+0x0  ")] * lines)
    made, _ = added(files, one, enabled=enabled)
    assert brief(made.rows) == expected
    shared = made.rows[0].event is not None
    assert made.rows[0].seen_by == (("perf", "tracefs") if shared else ("perf",))
    assert made.rows[0].enabled == (enabled["m/e"] if shared else None)


@pytest.mark.parametrize(("lines", "shared"), [(1, 2), (2, 2), (3, 1), (4, 0), (5, 0)])
def test_several_events_and_programs_of_one_place(lines, shared):
    """Two of each have at most four lines."""
    files = {EVENTS: b"p:m/a f\np:m/b f+0\np:n/c g\n", **kprobes(*[(0, "k  f+0x0  ")] * lines, (0, "k  g+0x0  "))}
    made, _ = added(files, row(), row())
    on = [one for one in made.rows if one.attach == "kprobe" and one.event]
    assert len(on) == shared
    assert [one.event for one in made.rows if one.attach == "kprobe_event"] == ["m:a", "m:b", "n:c"][shared:]
    assert len({one.event for one in on}) == shared


def test_an_event_that_is_off_is_the_shared_one():
    files = {EVENTS: b"p:m/a f\np:m/b f\n", **kprobes(*[(0, "k  f+0x0  ")] * 2)}
    made, _ = added(files, row(), enabled={"m/a": True, "m/b": False})
    assert [(one.attach, one.event) for one in made.rows] == [("kprobe", "m:b"), ("kprobe_event", "m:a")]


@pytest.mark.parametrize(("ibt", "shared"), [(True, True), (False, False)])
@pytest.mark.parametrize(("event", "offset"), [(b"p:m/e f+4\n", 0), (b"p:m/e f\n", 4)])
def test_the_entry_of_an_event_and_of_a_program(ibt, shared, event, offset):
    made, _ = added({EVENTS: event, LIST: None}, row(offset=offset), enabled={"m/e": False}, ibt=ibt)
    assert len(made.rows) == (1 if shared else 2)


@pytest.mark.parametrize(
    ("files", "events", "facts"),
    [
        ({EVENTS: b"p:m/e f\n", KPROBE_EVENTS: b"p:m/k f\n"}, ["m:e"], []),
        ({EVENTS: None, KPROBE_EVENTS: b"p:m/k f\n", UPROBE_EVENTS: b"p:m/u /f:0x1\n"}, ["m:k", "m:u"], []),
        ({EVENTS: None, KPROBE_EVENTS: None, UPROBE_EVENTS: b"p:m/u /f:0x1\n"}, ["m:u"], []),
        ({EVENTS: None, KPROBE_EVENTS: None, UPROBE_EVENTS: None}, [], [("dynamic_events", EVENTS)]),
        ({EVENTS: b"what\n"}, [], [("dynamic_events", EVENTS)]),
        ({EVENTS: None, KPROBE_EVENTS: b"what\n", UPROBE_EVENTS: b"p:m/u /f:0x1\n"}, ["m:u"],
         [("dynamic_events", KPROBE_EVENTS)]),
        ({LIST: None}, [], [("kprobes_list", LIST)]),
        ({ENABLED: None}, [], [("enabled_functions", ENABLED)]),
        ({LIST: b"what\n"}, [], [("kprobes_list", LIST)]),
        ({ENABLED: b"what\n"}, [], [("enabled_functions", ENABLED)]),
    ],
)  # fmt: skip
def test_which_files_are_read(files, events, facts):
    made, _ = added(files)
    assert [one.event for one in made.rows] == events
    assert [(one.fact, path) for one, (_, path) in zip(made.unread, facts, strict=True) if path in one.why] == facts


@pytest.mark.parametrize(
    ("profile", "missed"),
    [
        (b"a 1 7\n", 7),
        (b"a 1 0\n", 0),
        (b"b 1 7\n", None),
        (b"what\n", None),
        (None, None),
    ],
)
def test_what_an_event_missed(profile, missed):
    files = {EVENTS: b"p:m/a f\n", PROFILE: profile}
    assert [one.missed for one in added(files)[0].rows] == [missed]
    made, _ = added(files | {LIST: None}, row(missed=3), row("kretprobe", event="a"), enabled={"m/a": False})
    assert [one.missed for one in made.rows] == [3, None]
    assert [one.missed for one in added({**files, EVENTS: b"f:m/a f\n"})[0].rows] == [None]
    assert [one.missed for one in added({**files, EVENTS: b"p:m/a /f:0x1\n"})[0].rows] == [None]
    assert [one.missed for one in added({**files, EVENTS: b"r:m/a f\n"})[0].rows] == [missed]
    assert [one.missed for one in added({**files, EVENTS: b"p:m/a f\nf:n/a f\n"})[0].rows] == [None, None]


F, G = 0xFFFFFFFF81000010, 0xFFFFFFFF81000020


@pytest.mark.parametrize(
    ("lines", "rows", "expected"),
    [
        ([(F, "k  f+0x0  ")], [], [("kprobe", "f", None, 0)]),
        ([(F, "k  f+0x0  ")], [row()], []),
        ([(F, "k  f+0x0  ")], [row("kprobe_event")], []),
        ([(F, "k  f+0x0  ")], [row(offset=None)], []),
        ([(F, "k  f+0x0  ")], [row("kretprobe")], [("kprobe", "f", None, 0)]),
        ([(F, "r  f+0x0  ")], [row("kretprobe")], []),
        ([(F, "r  f+0x0  ")], [row("fexit")], [("kretprobe", "f", None, 0)]),
        ([(F, "k  f+0x0  "), (F, "k  f+0x0  ")], [row()], [("kprobe", "f", None, 0)]),
        ([(F, "k  f+0x0  ")], [row(target=None)], [("kprobe", "f", None, 0)]),
        # By another name of the same address.
        ([(F, "k  f+0x0  ")], [row(target="alias")], []),
        ([(F + 4, "k  f+0x4  ")], [row(target="alias")], []),
        ([(F + 5, "k  f+0x5  ")], [row(target="alias")], [("kprobe", "f", None, 5)]),
        ([(F + 8, "k  f+0x8  ")], [row(target="alias", offset=8)], []),
        ([(F, "r  f+0x0  ")], [row(target="alias")], [("kretprobe", "f", None, 0)]),
        ([(F, "k  f+0x0  "), (F, "k  f+0x0  ")], [row(target="alias")], [("kprobe", "f", None, 0)]),
        ([(F, "k  f+0x0  "), (G, "k  h+0x0  m [DISABLED]")], [row(target="alias"), row(target="g")], []),
        ([(G, "k  f+0x0  "), (F, "k  h+0x0  ")], [row(target="g"), row(target="alias")], []),
    ],
)
def test_whose_a_kprobe_is(lines, rows, expected):
    made, k = added(kprobes(*lines), *rows)
    assert [one[:4] for one in brief(made.rows[len(rows) :])] == expected
    assert all(one.seen_by == ("kprobes",) and one.enabled for one in made.rows[len(rows) :])
    assert k.forgotten == 0


def test_a_kprobe_without_a_symbol_table():
    made, _ = added(kprobes((F, "k  f+0x0  m [GONE][DISABLED]")), row(target="alias"), symbols=None)
    assert (made.rows[1].module, made.rows[1].enabled) == ("m", False)


def site(name, users, direct="", calls="ops: x ->function_trace_call+0x0/0x10"):
    return f"{name} ({users}) R    {'D' if direct else ' '}   \t{calls}\n" + (
        f"\tdirect-->{direct}\n" if direct else ""
    )


P = (Place("f", None, 0, 0), Place("g", None, 0, 0), Place(None, None, None, 0))


@pytest.mark.parametrize(
    ("rows", "users"),
    [
        ([], 0),
        ([row("fentry"), row("fexit"), row("fsession"), row("fmod_ret"), row("lsm")], 1),
        ([row("fentry.multi", None, places=P), row("fsession.multi", None, places=P)], 1),
        ([row("fentry"), row("fexit.multi", None, places=P)], 2),
        ([row(), row("kretprobe"), row("kprobe_event"), row("kretprobe_event")], 1),
        ([row("kprobe.multi", None, places=P), row("kretprobe.multi", None, places=P)], 2),
        ([row("fprobe_event"), row("fexit_event"), row(), row("fentry")], 4),
        ([row("cgroup", "/", symbol="f"), row("fentry")], 1),
        ([row("cgroup", "f")], 0),
        ([row("uprobe"), row("fentry", "g"), row("fentry", None)], 0),
    ],
)
def test_how_many_users_of_a_function_rows_stand_for(rows, users):
    """One more is somebody else's."""
    for more in (0, 1):
        made, _ = added({ENABLED: site("f", users + more).encode()}, *rows)
        told = [one for one in made.rows[len(rows) :] if one.attach == "ftrace"]
        assert brief(told) == [("ftrace", "f", None, 0, "function_trace_call", None)] * more


@pytest.mark.parametrize(
    ("direct", "users", "patch", "expected"),
    [
        ("bpf_trampoline_1", 1, None, []),
        ("bpf_trampoline_1", 2, None, ["ftrace"]),
        ("hook+0x0/0x1", 1, None, ["ftrace.direct"]),
        ("hook+0x0/0x1", 2, None, ["ftrace.direct", "ftrace"]),
        ("", 1, "patch", ["livepatch"]),
        ("", 2, "patch", ["livepatch", "ftrace"]),
        ("hook+0x0/0x1", 2, "patch", ["livepatch", "ftrace.direct"]),
        ("bpf_trampoline_1", 3, "patch", ["livepatch", "ftrace"]),
    ],
)
def test_direct_calls_and_live_patches(direct, users, patch, expected):
    text = site("f", users, direct).encode()
    made, _ = added({ENABLED: text}, patches=[[None, "f", patch], ["m", "f", "other"]] if patch else [])
    assert [one.attach for one in made.rows] == expected
    assert all((one.target, one.offset) == ("f", 0) for one in made.rows)


@pytest.mark.parametrize(
    ("calls", "event"),
    [
        ("tramp: 0xff (0xee) ->mine+0x0/0x1", "mine"),
        ("tramp: 0xff (arch_ftrace_ops_list_func+0x0/0x1) ->arch_ftrace_ops_list_func+0x0/0x1 ->mine+0x0/0x1", "mine"),
        ("->ftrace_ops_list_func+0x0/0x1", None),
        ("ops: mine+0x0/0x1", None),
        ("", None),
    ],
)
def test_what_ftrace_calls(calls, event):
    made, _ = added({ENABLED: site("f", 1, calls=calls).encode()})
    assert [one.event for one in made.rows] == [event]


@pytest.mark.parametrize(("count", "rows"), [(others.MANY, others.MANY), (others.MANY + 1, 1)])
def test_so_many_functions_with_one_user_are_one_row(count, rows):
    made, _ = added({ENABLED: "".join(site(f"f{n}", 1) for n in range(count)).encode()})
    assert len(made.rows) == rows
    assert made.rows[0].target == ("f0" if rows > 1 else f"{count} functions")
    assert made.rows[0].seen_by == ("ftrace",)


B = "bpf_trampoline_1"
LSM = "bpf_lsm_file_open"


@pytest.mark.parametrize(
    ("rows", "sites", "targets", "silent"),
    [
        ([row("fentry", None)], ["f"], ["f"], 0),
        ([row("fentry", None)], ["f", "g"], [None], 1),
        ([row("fentry", None)], ["f", LSM], ["f"], 0),  # the other is an LSM program's
        ([row("fentry", None)], [LSM], [LSM], 0),
        ([row("lsm", None)], ["f", LSM], [LSM], 0),
        ([row("lsm", None)], ["f"], [None], 1),
        ([row("lsm", None), row("fexit", None)], ["f", LSM], [LSM, "f"], 0),
        ([row("fentry", None), row("fexit", None)], ["f"], ["f", "f"], 0),
        ([row("fentry", None), row("fexit", None)], ["f", LSM], [None, None], 2),
        ([row("fentry", None), row("fexit", "f")], ["f", "g"], ["g", "f"], 0),
        ([row("fentry", None), row("cgroup", "/", symbol="f")], ["f", "g"], ["g", "/"], 0),
        ([row("fentry", None), row("kprobe", "f")], ["f", "g"], [None, "f"], 1),
        ([row("kprobe", None), row("fexit", "f")], ["f", "g"], [None, "f"], 0),
    ],
)
def test_a_trampoline_whose_function_is_not_told(rows, sites, targets, silent):
    text = "".join(site(name, 1, B) for name in sites) + site("direct", 1, "hook") + site("plain", 1)
    made, _ = added({ENABLED: text.encode()}, *rows)
    assert [one.target for one in made.rows[: len(rows)]] == targets
    told = [one for one in made.unread if one.fact == "traced_functions"]
    assert len(told) == bool(silent)
    assert not silent or f"functions of {silent} tracing links; with a trampoline are: {sites[0]}" in told[0].why


MULTI = row("kprobe.multi", None, places=(Place("g", None, 0, 0), Place(None, None, None, 0)))
FPROBE = site("f", 1, calls="->fprobe_handler+0x0/0x1")


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize(
    ("rows", "files", "fact"),
    [
        ([row("perf probe", None)], kprobes((0, "k  f+0x0  ")), "probed_places"),
        ([row(target=None)], kprobes((0, "k  f+0x0  ")), "probed_places"),
        ([row(target="0xff")], kprobes((0, "k  f+0x0  ")), "probed_places"),
        ([row(target="g")], kprobes((0, "k  f+0x0  ")), None),
        ([row("uprobe", None)], kprobes((0, "k  f+0x0  ")), None),
        ([row(target=None)], {}, None),
        ([MULTI], {ENABLED: FPROBE.encode()}, "traced_functions"),
        ([MULTI._replace(places=())], {ENABLED: FPROBE.encode()}, "traced_functions"),
        ([MULTI._replace(places=MULTI.places[:1])], {ENABLED: FPROBE.encode()}, None),
        ([MULTI._replace(attach="uprobe.multi")], {ENABLED: FPROBE.encode()}, None),
        ([row("fprobe_event", "g")], {ENABLED: FPROBE.encode()}, None),
        ([MULTI], {ENABLED: site("f", 1).encode()}, None),  # ftrace's own tracer
        ([MULTI], {ENABLED: site("f", 1, "hook+0x0/0x1").encode()}, None),
    ],
)
def test_rows_that_do_not_tell_their_place_may_be_the_users_of_others(rows, files, fact, hidden):
    made, _ = added(files, *rows, hidden=hidden)
    kind = (
        ("denied", "addresses are hidden from this caller: ")
        if hidden
        else ("not_there", "this kernel does not tell: ")
    )
    told = [(one.fact, one.kind, one.why.startswith(kind[1]), bool(one.cure)) for one in made.unread]
    assert told == ([(fact, kind[0], True, hidden)] if fact else [])
    assert not fact or (made.unread[0].why.rpartition(": ")[2], " 1 " in made.unread[0].why) == ("f", True)
    # Kprobes stay, as one may be somebody else's; functions of kprobe.multi do not.
    assert len(made.rows) == 1 + (bool(files) and fact != "traced_functions")


@pytest.mark.parametrize(
    ("later", "stays"),
    [
        ({}, ["kprobe f", "kprobe g", "ftrace h"]),
        ({LIST: b""}, ["ftrace h"]),
        ({ENABLED: b""}, ["kprobe f", "kprobe g"]),
        (kprobes((0, "k  g+0x8  "), (0, "k  f+0x0  ")), ["kprobe f", "ftrace h"]),
        ({LIST: None}, ["kprobe f", "kprobe g", "ftrace h"]),
        ({ENABLED: None}, ["kprobe f", "kprobe g", "ftrace h"]),
    ],
)
def test_on_a_running_kernel_only_what_stays_is_told(later, stays, monkeypatch):
    """A list that cannot be read again tells nothing."""
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    files = {**kprobes((0, "k  f+0x0  "), (0, "k  g+0x0  ")), ENABLED: site("h", 1).encode()}
    made, k = added(files, kind="live", later=later)
    assert [f"{one.attach} {one.target}" for one in made.rows] == stays
    assert slept == [others.PAUSE_S] * (1 if None in later.values() else others.READ_AGAIN)
    assert k.forgotten == len(slept)


def test_groups_of_functions_stay_by_their_user(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    many, fewer = ("".join(site(f"f{n}", 1) for n in range(count)).encode() for count in (90, 80))
    made, _ = added({ENABLED: many}, kind="live", later={ENABLED: fewer})
    assert [one.target for one in made.rows] == ["90 functions"]


def test_live_patches_of_sysfs():
    folder = "sys/kernel/livepatch"
    folders = {
        folder: ("patch", "empty"),
        f"{folder}/patch": ("enabled", "vmlinux", "xfs"),
        f"{folder}/patch/vmlinux": ("f,1", "patched"),
        f"{folder}/patch/xfs": ("g,2",),
    }
    assert others.livepatches(K({}, folders=folders)) == [(None, "f", "patch"), ("xfs", "g", "patch")]
    assert others.livepatches(K({})) == []
