"""Each check by rows alone: the nearest that fires with its evidence, and the nearest that does not."""

from __future__ import annotations

import pytest

from probe_scout.commands.audit import checks, record
from probe_scout.commands.audit.checks import LINKS_MAX, AuditContext
from probe_scout.commands.audit.resolve import MANY
from probe_scout.errors import Malformed, NotThere, Unread
from probe_scout.model.audit import Attachment, LinkRef, Owner, Place, ProgramRef
from probe_scout.model.report import Coverage
from probe_scout.model.verdict import NO, UNKNOWN, YES

from .conftest import NOW, inputs, link, process, program

CHECKS = {one.id.removeprefix("audit."): one.find for one in checks.CHECKS}
PROG, LINK = ProgramRef(1, "kprobe", "prog", "t"), LinkRef(5, "xdp")
FTRACE, KPROBES, LSM = (
    "proc/sys/kernel/ftrace_enabled",
    "sys/kernel/debug/kprobes/enabled",
    "sys/kernel/security/lsm",
)
SYMBOLS = b"".join(b"ffffffff8100%04x t %s\n" % (n * 16, name) for n, name in enumerate((b"f", b"g", b"two", b"two")))


class Ids:
    visible = True

    def __init__(self, *names):
        self.names = names

    def holds(self, title, name):
        return title == "noreturn_deny" and name in self.names


class K:
    """As much of a kernel as checks read."""

    def __init__(self, files=None, symbols=SYMBOLS, ids=None, btf=None):
        self.files, self.symbols, self._ids, self._btf = files or {}, symbols, ids or Ids("stops"), btf
        self.viewed = []

    def read(self, path):
        if path not in self.files:
            raise NotThere(path, "No such file")
        return self.files[path]

    def kallsyms(self):
        return self.symbols

    def ids(self):
        return self._ids

    def btf(self):
        return self._btf

    def view(self, names):
        self.viewed.append(names)

    gather = view


def row(attach="kprobe", target="f", module=None, offset=0, **more):
    return Attachment(attach, target, module, offset, **{"prog": PROG, **more})


def owner(pid, comm="agent", **more):
    return Owner(pid, comm, 3, **more)


def found(name, one, *others, k=None, **given):
    context = AuditContext(k or K(), [one, *others], record.read(inputs(**given)))
    return CHECKS[name](context, one)


@pytest.mark.parametrize("name", CHECKS)
def test_a_program_on_something_else_has_nothing(name):
    """All that could make any of them fire, on what is none of their types, and on a row that tells nothing."""
    quiet = K(files={FTRACE: b"0\n", KPROBES: b"0\n", LSM: b"yama"})
    assert found(name, row("netfilter", "ipv4:input", None, None), k=quiet) is None
    assert found(name, Attachment("perf_event", None), k=quiet) is None


SYMBOL_CASES = [
    ("symbol_gone", row(target="gone"), "proc/kallsyms: no gone"),
    ("symbol_gone", row(), None),
    ("symbol_gone", row(target="0xffffffff81000000"), None),
    ("symbol_gone", row(places=tuple(Place(name, None, 0, 0) for name in ("a", "f", None, "b", "c", "d"))),
     "proc/kallsyms: no a, b, c"),
    ("symbol_gone", row("uprobe", "/bin/gone"), None),
    ("symbol_gone", row("ftrace", "gone"), "proc/kallsyms: no gone"),
    ("symbol_gone", row("livepatch", "gone"), "proc/kallsyms: no gone"),
    ("symbol_gone", row("ftrace.direct", "gone"), "proc/kallsyms: no gone"),
    ("symbol_ambiguous", row(target="two"), "proc/kallsyms: 2 symbols two"),
    ("symbol_ambiguous", row(), None),
    ("symbol_ambiguous", row(places=tuple(Place(name, None, 0, 0) for name in ("f", "two"))),
     "proc/kallsyms: 2 symbols two"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "one", "evidence"), SYMBOL_CASES)
def test_symbols(name, one, evidence):
    assert found(name, one) == evidence
    assert found(name, one, k=K(symbols=None)) is None


def test_many_functions_are_counted_as_few_are(monkeypatch):
    """Beyond some dozens one table serves; where it cannot be had, a search for each does."""
    rows = [row(target=name) for name in ("two", "f", *(f"gone{n}" for n in range(MANY)))]
    context = AuditContext(K(), rows, record.read(inputs()))
    assert [context.copies(one.target) for one in rows] == [2, 1, *[0] * MANY]


FOUND = Coverage("partial", "dwarf", True, (("a", 4),), tuple("abcdefg"))


@pytest.mark.parametrize(
    ("coverage_of", "evidence"),
    [
        (FOUND, "dwarf: a, b, c, d, e"),
        (FOUND._replace(basis="survey"), "survey: a, b, c, d, e"),
        (FOUND._replace(answer="none"), "dwarf: a, b, c, d, e"),
        (FOUND._replace(missed_callers=()), "dwarf: there are inlined copies; debug information of this build would"),
        (FOUND._replace(answer="complete"), None),
        (FOUND._replace(basis="call-graph"), None),
        (FOUND._replace(answer="unknown", basis="call-graph"), None),
        (Malformed("x", 0, "y"), None),
    ],
)
def test_missed_callers(monkeypatch, coverage_of, evidence):
    from probe_scout.probes.inlining import coverage

    asked = []

    def of(k, target, symbol):
        asked.append((target.name, target.module, symbol))
        if isinstance(coverage_of, Exception):
            raise coverage_of
        return coverage_of, ()

    monkeypatch.setattr(coverage, "of", of)
    says = found("callers_missed", row(module="m"))
    assert (says or "").startswith(evidence or "")
    assert (says is None) == (evidence is None)
    assert says is None or says == evidence or evidence.endswith("would")
    assert asked == [("f", "m", "f")]
    for one in (row("uprobe"), row(places=(Place("f", None, 0, 0),)), row(target=None), row(target="0xff")):
        assert found("callers_missed", one) is None
    assert len(asked) == 1


class Verdict:
    def __init__(self, answer, *rules):
        self.answer, self.errno = answer, "EINVAL"
        self.findings = [type("Finding", (), {"rule": rule, "says": f"No to {rule}."}) for rule in rules]


REFUSED = "EINVAL: a.rule: No to a.rule."


@pytest.mark.parametrize(
    ("verdict", "evidence"),
    [
        (Verdict(NO, "a.rule", "b.rule"), REFUSED),
        (Verdict(NO), None),
        (Verdict(YES, "a.rule"), None),
        (Verdict(UNKNOWN, "a.rule"), None),
        (Malformed("x", 0, "y"), None),
    ],
)
def test_refused_today(monkeypatch, verdict, evidence):
    from probe_scout.probes.attach import verdicts

    def told(k, target, types):
        if isinstance(verdict, Exception):
            raise verdict
        return (verdict,) if (target.name, types) == ("f", ("kprobe",)) else (Verdict(YES),)

    monkeypatch.setattr(verdicts, "verdicts", told)
    assert found("refused_today", row()) == evidence
    several = (Place("gone", None, 0, 0), Place("g", None, 0, 0), Place("f", None, 0, 0))
    for one in (row(offset=4), row(prog=None), row("lsm"), row(target="gone"), row(target="g"), row(places=several)):
        assert found("refused_today", one) is None


@pytest.mark.parametrize(
    ("attach", "name", "fires"),
    [
        *((kind, "stops", True) for kind in ("kretprobe", "kretprobe.multi", "kretprobe_event", "fexit", "fsession")),
        *(("fexit_event", "stops", True), ("kretprobe", "do_exit", True), ("kretprobe", "f", False)),
        *(("kprobe", "stops", False), ("fentry", "stops", False)),
    ],
)
def test_never_returns(attach, name, fires):
    assert found("never_returns", row(attach, name)) == (name if fires else None)
    hidden = Ids("stops")
    hidden.visible = False
    assert found("never_returns", row(attach, name), k=K(ids=hidden)) == (name if fires and name != "stops" else None)
    several = (Place("f", None, 0, 0), Place(name, None, 0, 0))
    assert found("never_returns", row(attach, places=several)) == (name if fires else None)


TWO = "f: also fentry by other 20"
ONE = row(owners=(owner(10),))


@pytest.mark.parametrize(
    ("one", "other", "evidence"),
    [
        (ONE, row("fentry", owners=(owner(30), owner(20, "other"))), TWO),
        (ONE, row("fentry", owners=(owner(20, None),)), "f: also fentry by ? 20"),
        (ONE, row("fentry", owners=(owner(20, "other"), owner(10))), None),
        (ONE, row("fentry"), None),
        (row(), row("fentry", owners=(owner(20),)), None),
        (ONE, row("fentry", "g", owners=(owner(20),)), None),
        (ONE, row("fentry", module="m", owners=(owner(20),)), None),
    ],
)
def test_two_owners(one, other, evidence):
    assert found("two_owners", one, other) == evidence


@pytest.mark.parametrize("name", ["livepatched", "direct_call"])
def test_another_user_of_the_function(name):
    attach = {"livepatched": "livepatch", "direct_call": "ftrace.direct"}[name]
    other = row(attach, event="mine", prog=None)
    assert found(name, row(), other) == "f: mine"
    assert found(name, row(places=(Place("g", None, 0, 0), Place("f", None, 0, 0))), other) == "f: mine"
    assert found(name, row(), other._replace(event=None)) == f"f: {attach}"
    assert found(name, row(target="g"), other) is None
    assert found(name, row(module="m"), other) is None
    assert found(name, other, other) is None
    assert found(name, row(), row("ftrace", event="mine")) is None


class Btf:
    def __init__(self, limit=None, members=()):
        self.limit, self.members = limit, members

    def find_enumerators(self, name):
        return [type("Enumerator", (), {"value": self.limit})] if self.limit and name == "BPF_MAX_TRAMP_LINKS" else []

    def has_member(self, *names):
        return names in self.members


@pytest.mark.parametrize(
    ("btf", "limit", "words"),
    [
        (None, 38, " on most kernels"),
        (Btf(30), 30, ""),
        (Btf(), 40, ""),
        (Btf(members=(("bpf_prog_info", "recursion_misses"),)), 38, ""),
    ],
)
def test_a_full_trampoline(btf, limit, words):
    """fsession takes two places. Three places left, or fewer, is nearly full."""
    k = K(btf=btf)

    def full(count, *more, one=None):
        return found("trampoline_full", one or row("fentry"), *[row("fexit")] * (count - 1), *more, k=k)

    assert full(limit - 4) is None
    assert full(limit - 3) == f"f: {limit - 3} of {limit}{words}"
    assert full(limit - 5, row("fsession")) == f"f: {limit - 3} of {limit}{words}"
    assert full(limit - 4, row("kprobe"), row("fexit", "g"), row("fexit", module="m")) is None
    assert full(limit, one=row("kprobe")) is None
    assert full(limit - 3, one=row("fentry", None)) is None


def test_a_trampoline_is_full_where_the_limit_is_small():
    """What BTF tells is asked for from half of the usual limit on."""
    count = LINKS_MAX // 2
    k = K(btf=Btf(count + 2))
    assert found("trampoline_full", *[row("lsm")] * count, k=k) is None
    assert found("trampoline_full", *[row("lsm")] * (count + 1), k=k) == f"f: {count + 1} of {count + 2}"


OFF = {FTRACE: b"0\n", KPROBES: b"0\n"}


class Site(K):
    """ftrace can patch f of vmlinux and g of a module."""

    def view(self, names):
        rows = {b"f": (0, 1), b"g": (2,)}
        modules = [None, b"m", b"m"]
        symbols = type("Symbols", (), {"rows": lambda self, name: rows.get(name, ()), "modules": modules})()
        sites = type("Sites", (), {"known": lambda self, symbols, row: row in (0, 2)})()
        return type("View", (), {"symbols": symbols, "sites": sites})


class Unlisted(Site):
    def view(self, names):
        found = super().view(names)
        found.sites = None
        return found


class Unreadable(K):
    def view(self, names):
        raise Malformed("x", 0, "y")


@pytest.mark.parametrize(
    ("k", "one", "fires"),
    [
        (Site(OFF), row(), True),
        (Site(OFF), row("kretprobe_event"), True),
        (Site(OFF), row(module="m"), False),
        (Site(OFF), row(target="g", module="m"), True),
        (Site(OFF), row(target="g"), False),
        (Site(OFF), row(offset=4), False),
        (Site(OFF), row(target=None), False),
        (Site(OFF), row(target="other"), False),
        (Unlisted(OFF), row(), False),
        (Unreadable(OFF), row(), False),
        (K(OFF), row(), False),
        (K(OFF), row("fentry", offset=4), True),
        (K(OFF), row("kprobe.multi", None), True),
        (K(OFF), row("uprobe", "/bin/x"), False),
        (Site({FTRACE: b"1\n"}), row(), False),
        (Site(), row(), False),
    ],
)
def test_ftrace_off(k, one, fires):
    assert found("ftrace_off", one, k=k) == (f"{FTRACE}: 0" if fires else None)


@pytest.mark.parametrize("attach", ["kprobe", "kretprobe", "kprobe_event", "kretprobe_event", "kprobe.multi", "fentry"])
@pytest.mark.parametrize(("text", "is_off"), [(b"0\n", True), (b"1\n", False), (None, False)])
def test_kprobes_off(attach, text, is_off):
    k = K({KPROBES: text} if text else {})
    fires = is_off and attach not in ("kprobe.multi", "fentry")
    assert found("kprobes_off", row(attach, offset=9), k=k) == (f"{KPROBES}: 0" if fires else None)


@pytest.mark.parametrize(
    ("active", "fires"), [(b"yama,bpfx\n", True), (b"yama,bpf\n", False), (b"\n", False), (None, False)]
)
def test_bpf_is_no_active_security_module(active, fires):
    k = K({LSM: active} if active else {})
    assert found("bpf_not_in_lsm", row("lsm"), k=k) == (f"{LSM}: yama,bpfx" if fires else None)
    assert found("bpf_not_in_lsm", row("fentry"), k=k) is None


@pytest.mark.parametrize(
    ("name", "one", "evidence"),
    [
        ("missed", row(missed=1), "1 missed"),
        ("missed", row(missed=0), None),
        ("recursion", row(prog=PROG._replace(recursion_misses=1)), "1 times"),
        ("recursion", row(prog=PROG._replace(recursion_misses=0)), None),
        ("recursion", row(prog=None), None),
        ("deleted_executable", row(owners=(owner(1), owner(2, exe="/x", exe_deleted=True))), "agent 2: /x"),
        ("deleted_executable", row(owners=(owner(2, None, exe="/x", exe_deleted=True),)), "? 2: /x"),
        ("deleted_executable", row(owners=(owner(2, exe_deleted=False), owner(3))), None),
        ("orphaned", row(link=LINK, pins=("/a", "/b")), "/a"),
        ("orphaned", row(link=LINK), None),
        ("orphaned", row(pins=("/a",)), None),
        ("orphaned", row(link=LINK, pins=("/a",), owners=(owner(1),)), None),
    ],
)
def test_counts_and_owners(name, one, evidence):
    assert found(name, one) == evidence


@pytest.mark.parametrize(("fact", "evidence"), [("descriptors", None), ("pins", "/a")])
def test_an_owner_may_be_unseen(fact, evidence):
    gaps = [Unread("x", "denied", "", "")._asdict(), Unread(fact, "denied", "", "")._asdict()]
    assert found("orphaned", row(link=LINK, pins=("/a",)), gaps=gaps) == evidence


@pytest.mark.parametrize(
    ("kind", "given", "evidence"),
    [
        ("xdp", {"ifindex": 0}, "ifindex 0"),
        ("tcx", {"ifindex": 0}, "ifindex 0"),
        ("netkit", {"ifindex": 0}, "ifindex 0"),
        ("cgroup", {"cgroup_id": 0}, "cgroup_id 0"),
        ("netns", {"netns_ino": 0}, "netns_ino 0"),
        ("netns", {"netns_ino": 1}, None),
        ("cgroup", {}, None),
        ("netfilter", {"ifindex": 0}, None),
    ],
)
def test_what_a_link_was_on_is_gone(kind, given, evidence):
    links = [link(4, kind, 1, ifindex=0), link(5, kind, 1, **given)]
    assert found("target_gone", row(kind, link=LinkRef(5, kind)), links=links) == evidence
    assert found("target_gone", row(kind), links=links) is None
    assert found("target_gone", row(kind, link=LinkRef(6, kind)), links=links) is None


PLACE = {"is_code": True, "is_start": True, "symbol": "f", "offset": 0}
UPROBES = ("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe_event", "uretprobe_event")
FILE_CASES = [
    ("file_deleted", {"state": "gone"}, {}, "/x"),
    ("no_function", {"state": "no_elf"}, {}, "/x: no ELF file"),
    ("no_function", {}, {"is_code": False}, "/x: no code at 0x40"),
    ("no_function", {}, {"is_outside": True}, "/x: 0x40 is behind the end of a function, and in no other"),
    ("inside_instruction", {}, {"is_start": False}, "/x: 0x40"),
    ("instruction_refused", {}, {"refused": "prefix"}, "/x: 0x40 (prefix)"),
    ("instruction_misread", {}, {"misread": "jump"}, "/x: 0x40 (jump)"),
    ("file_replaced", {"changed_s": NOW - 40}, {}, "/x: changed 10 s after the program was loaded"),
]


@pytest.mark.parametrize(("name", "about", "place", "evidence"), FILE_CASES)
def test_files(name, about, place, evidence):
    def files(**more):
        return {"10:/x": {"state": "there", "places": {"64": {**PLACE, **place}, "65": PLACE}, **about, **more}}

    given = {"programs": [program(1)], "files": files()}
    own = (owner(10),)
    for attach in UPROBES:
        assert found(name, row(attach, "/x", None, 64, owners=own), **given) == evidence
    of_file = name in ("file_deleted", "file_replaced") or "state" in about
    several = (Place(None, None, None, 0), Place(None, None, 65, 0), Place(None, None, 64, 0))
    assert found(name, row("uprobe.multi", "/x", None, 65, owners=own, places=several), **given) == evidence
    assert found(name, row("uprobe", "/x", None, 65, owners=own), **given) == (evidence if of_file else None)
    assert found(name, row("uprobe", "/x", None, None, owners=own), **given) == (evidence if of_file else None)
    assert found(name, row("kprobe", "/x", None, 64, owners=own), **given) is None
    assert found(name, row("uprobe", "/x", None, 64), **given) is None
    assert found(name, row("uprobe", "/y", None, 64, owners=own), **given) is None
    for words in ("there", "gone", "denied", "no_elf") if "state" in about else ():
        assert (found(name, row("uprobe", "/x", owners=own), files=files(state=words)) is None) == (
            words != about["state"]
        )


@pytest.mark.parametrize(("changed", "evidence"), [(-50, None), (-49.98, "/x: changed 0 s after"), (-49.995, None)])
def test_a_file_that_changed_while_the_program_was_loaded(changed, evidence):
    """Loaded 50 seconds ago; file systems take the time of the last tick."""
    given = {"programs": [program(1)], "files": {"0:/x": {"state": "there", "changed_s": NOW + changed}}}
    says = found("file_replaced", row("uprobe", "/x"), **given)
    assert (says or "").startswith(evidence or "")
    assert (says is None) == (evidence is None)
    assert found("file_replaced", row("uprobe", "/x", prog=None), **given) is None
    assert found("file_replaced", row("uprobe", "/x"), files=given["files"]) is None


def test_a_file_that_changed_just_as_long_ago_as_clocks_may_differ():
    loaded = NOW - 50
    for changed, fires in ((loaded + checks._TOLERANCE_S, False), (loaded + 2 * checks._TOLERANCE_S, True)):
        given = {"programs": [program(1)], "files": {"0:/x": {"state": "there", "changed_s": changed}}}
        assert (found("file_replaced", row("uprobe", "/x"), **given) is not None) == fires


@pytest.mark.parametrize(
    ("attach", "is_go", "fires"),
    [("uretprobe", True, True), ("uretprobe.multi", True, True), ("uretprobe", None, False), ("uprobe", True, False)],
)
def test_return_probes_of_go(attach, is_go, fires):
    files = {"10:/x": {"state": "there", "is_go": is_go}}
    assert found("go_return", row(attach, "/x", owners=(owner(10),)), files=files) == ("/x" if fires else None)
    assert found("go_return", row(attach, "/y", owners=(owner(10),)), files=files) is None


def test_the_holder_that_sees_the_file_tells_of_it():
    states = {"10:/x": "denied", "20:/x": "there", "30:/x": "gone"}
    files = {name: {"state": state} for name, state in states.items()}
    given = record.read(inputs(files=files, processes=[process(10)]))

    def state(*pids):
        about = checks.file_of(given, row("uprobe", "/x", owners=tuple(map(owner, pids))))
        return about and about.state

    assert [state(10, 20), state(10, 30), state(30, 10), state(40, 20), state(40), state()] == [
        *("there", "denied", "gone", "there", None, None)
    ]


@pytest.mark.parametrize("name", ["tools_disagree", "not_allowed"])
def test_checks_of_the_whole_are_on_no_row(name):
    assert found(name, row(owners=(owner(10),))) is None


@pytest.mark.parametrize(
    ("one", "expected", "asked"),
    [
        (row("tp_btf", "event"), True, True),
        (row("raw_tp", "event"), True, True),
        (row("tp", "event"), True, False),
        (row("raw_tp", "event", prog=None), True, False),
        (row("raw_tp", None), True, False),
        (row("raw_tp", "event"), False, False),
    ],
)
def test_arguments(monkeypatch, one, expected, asked):
    from probe_scout.commands.audit import arguments

    monkeypatch.setattr(arguments, "passed", lambda k, event: [[event]])
    monkeypatch.setattr(arguments, "difference", lambda expected, passed: f"{expected} {passed}")
    given = {"arguments": {"1": [["int", None, "int a"]]}} if expected else {}
    assert (found("arguments_differ", one, **given) is not None) == asked
    monkeypatch.setattr(arguments, "passed", lambda k, event: None)
    assert found("arguments_differ", one, **given) is None
