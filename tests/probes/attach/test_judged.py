"""What a verdict is put together from, by stubs: needs of hooks, types of a target, notes, gaps, offsets."""

from __future__ import annotations

import pytest

from probe_scout.errors import Denied, NotThere, Unread, UsageError
from probe_scout.model import facts
from probe_scout.model.target import FUNCTION, OFFSET, SYSCALL, TRACEPOINT, Target
from probe_scout.model.traits import EventTraits, Traits
from probe_scout.model.verdict import NO, UNKNOWN, YES, Verdict
from probe_scout.probes.attach import evidence, function_traits, instruction, needs, verdicts
from probe_scout.rules.kprobe_instruction import Judgement

PARANOID, LSM, EVENTS = (
    "proc/sys/kernel/perf_event_paranoid",
    "sys/kernel/security/lsm",
    "sys/kernel/tracing/available_events",
)


class K:
    """As much of a kernel as these ask: options, files, features."""

    def __init__(self, options=None, files=None, features=None, enumerators=None, **more):
        self.options, self.files, self.features, self.enumerators = (
            options,
            files or {},
            features or {},
            enumerators or {},
        )
        self.more = more

    def config(self, option):
        return None if self.options is None else self.options.get(option, "")

    def read(self, path):
        found = self.files.get(path, NotThere(path, "No such file"))
        if isinstance(found, Exception):
            raise found
        return found

    def feature(self, name):
        return self.features.get(name)

    def enumerator(self, name):
        return self.enumerators.get(name)

    def __getattr__(self, name):
        found = self.more[name]
        return lambda *_: found


def need(attach, k, name, text="x"):
    (found,) = [one for one in needs.of(k, [needs.Hook(text, attach)]) if one.name == name]
    return found.has, found.says


@pytest.mark.parametrize(
    ("value", "has", "words"), [("y", YES, "is y"), ("m", YES, "is m"), ("n", NO, "is n"), ("", NO, "is not set")]
)
def test_an_option(value, has, words):
    assert need("fentry", K({"CONFIG_BPF_JIT": value}), "CONFIG_BPF_JIT") == (has, words)
    assert need("fentry", K(), "CONFIG_BPF_JIT") == (UNKNOWN, "the configuration cannot be read")


@pytest.mark.parametrize(
    ("raw", "has", "words"),
    [
        (b"-1\n", YES, "is -1: CAP_PERFMON is enough"),
        (b"2\n", YES, "is 2: CAP_PERFMON is enough"),
        (b"3\n", UNKNOWN, "is 3: Debian and Ubuntu want CAP_SYS_ADMIN above 2"),
        (b"what\n", UNKNOWN, "above 2 Debian and Ubuntu want CAP_SYS_ADMIN"),
        (Denied(PARANOID, "no", ""), UNKNOWN, "above 2 Debian and Ubuntu want CAP_SYS_ADMIN"),
    ],
)
def test_perf_event_paranoid(raw, has, words):
    for attach in ("kprobe", "tp", "uprobe"):
        assert need(attach, K({}, {PARANOID: raw}), "kernel.perf_event_paranoid") == (has, words)
    for attach in ("fentry", "raw_tp", "kprobe.multi"):
        assert "kernel.perf_event_paranoid" not in {one.name for one in needs.of(K({}), [needs.Hook("x", attach)])}


@pytest.mark.parametrize(
    ("attach", "has_multi", "is_asked"),
    [("uprobe", False, True), ("uprobe", True, False), ("uprobe", None, False), ("kprobe", False, False)],
)
def test_a_uprobe_of_perf_wants_an_administrator_on_older_kernels(attach, has_multi, is_asked):
    k = K({}, {PARANOID: b"2"}, enumerators={"BPF_TRACE_UPROBE_MULTI": has_multi})
    assert ("CAP_SYS_ADMIN" in {one.name for one in needs.of(k, [needs.Hook("x", attach)])}) == is_asked


@pytest.mark.parametrize(("raw", "has"), [(b"yama,bpf\n", YES), (b"bpf\n", YES), (b"yama,bpfx\n", NO), (None, UNKNOWN)])
def test_an_lsm_hook(raw, has):
    k = K({"CONFIG_BPF_LSM": "y"}, {LSM: raw} if raw else {})
    assert need("lsm", k, "lsm=…,bpf")[0] == has
    assert need("lsm", k, "CONFIG_BPF_LSM")[0] == YES
    others = {one.name for one in needs.of(k, [needs.Hook("x", "fentry")])}
    assert not {"lsm=…,bpf", "CONFIG_BPF_LSM"} & others


@pytest.mark.parametrize(
    ("raw", "has"), [(b"", YES), (NotThere(EVENTS, "no"), NO), (Denied(EVENTS, "no", ""), UNKNOWN)]
)
def test_an_event_is_read_in_tracefs(raw, has):
    found = [one.has for one in needs.of(K({}, {EVENTS: raw}), [needs.Hook("x", "tp")]) if one.kind == "mount"]
    assert found == [has]
    assert [one for one in needs.of(K({}, {EVENTS: raw}), [needs.Hook("x", "kprobe")]) if one.kind == "mount"] == []


def test_each_need_names_all_its_hooks():
    found = {one.name: one.hooks for one in needs.of(K({}), [needs.Hook("a", "fentry"), needs.Hook("b", "fexit")])}
    assert found["CONFIG_BPF_JIT"] == ("fentry a", "fexit b")


# ---------------------------------------------------------------- types and notes


@pytest.mark.parametrize(
    ("target", "inside", "outside"),
    [
        (Target(FUNCTION, "vfs_read"), {"kprobe", "fentry", "fentry.s"}, {"lsm", "lsm_cgroup", "iter", "tp"}),
        (Target(FUNCTION, "bpf_lsm_file_open"), {"lsm", "lsm.s", "lsm_cgroup", "fentry"}, {"iter"}),
        (Target(FUNCTION, "bpf_iter_task"), {"iter", "kprobe"}, {"lsm", "lsm_cgroup"}),
        (
            Target(TRACEPOINT, "sched_switch", "sched"),
            {"tp", "raw_tp", "tp_btf"},
            {"tp.s", "raw_tp.s", "tp_btf.s", "kprobe"},
        ),
        (Target(SYSCALL, "read"), {"ksyscall", "kprobe", "fentry", "tp"}, {"fentry.s", "tp.s", "raw_tp"}),
        (Target(OFFSET, "vfs_read", None, 4), {"kprobe", "kretprobe"}, {"fentry"}),
    ],
)
def test_the_types_of_a_target(target, inside, outside):
    found = set(verdicts.types_for(target, ()))
    assert found >= inside
    assert not found & outside


def test_types_that_do_not_apply():
    assert verdicts.types_for(Target(TRACEPOINT, "a", "b"), ["tp.s"]) == ("tp.s",)
    with pytest.raises(UsageError, match=r"fentry does not apply to .*: a tracepoint takes tp"):
        verdicts.types_for(Target(TRACEPOINT, "a", "b"), ["tp", "fentry"])
    assert verdicts.answer(K(), "tp:sched:sched_switch", "fentry") == UNKNOWN
    assert verdicts.answer(K(), "vfs_read", "tp") == UNKNOWN


@pytest.mark.parametrize(
    ("attach", "vmlinux", "modules", "words"),
    [
        ("fentry", 1, 0, None),
        ("fentry", 1, 1, "the symbol with the lowest address"),
        ("fentry", 0, 2, "the symbol with the lowest address"),
        ("kprobe.multi", 2, 0, "the first that ftrace can patch"),
        ("fentry.multi", 2, 0, "the first that ftrace can patch"),
        ("kprobe", 2, 0, None),
        ("kretprobe", 2, 0, None),
    ],
)
def test_one_of_several(attach, vmlinux, modules, words):
    found = verdicts._copy_note(attach, Traits(vmlinux=vmlinux, modules=modules))
    assert [one.says for one in found] == (
        [f"Several symbols carry this name; the kernel takes {words}."] if words else []
    )


@pytest.mark.parametrize(
    ("attach", "faultable_events", "typed", "traits", "warns"),
    [
        ("tp.s", False, None, {}, True),
        ("tp.s", True, None, {}, False),
        ("tp.s", None, None, {}, False),
        ("tp.s", False, None, {"syscall": True}, False),
        ("tp_btf.s", False, False, {}, True),
        ("tp_btf.s", True, False, {}, True),
        ("tp_btf.s", False, None, {}, False),
        ("tp_btf.s", False, True, {}, False),
        ("tp_btf.s", False, False, {"faultable": True}, False),
        ("tp", False, False, {}, False),
        ("raw_tp.s", False, False, {}, False),
    ],
)
def test_an_event_that_may_not_sleep(attach, faultable_events, typed, traits, warns):
    k = K(features={"faultable_events": faultable_events, "sleepable_types_listed": typed})
    assert bool(verdicts._sleep_note(k, attach, EventTraits(**traits))) == warns


# ---------------------------------------------------------------- offsets


YES_OF_SYMBOL = Verdict("kprobe", YES, None, True, (), (), ("note",))
NO_OF_SYMBOL = Verdict("kprobe", NO, "EINVAL", True, ("finding",), ())
OPEN = Verdict("kprobe", UNKNOWN, None, False, (), (Unread("x", "denied", "", ""),))
GAP = Unread(facts.CODE, "not_recorded", "why", "cure")


@pytest.mark.parametrize(
    ("verdict", "judged", "held", "expected"),
    [
        (YES_OF_SYMBOL, Judgement(YES, None, "", ""), None, (YES, None, True, [])),
        (NO_OF_SYMBOL, Judgement(YES, None, "", ""), None, (NO, "EINVAL", True, [])),
        (YES_OF_SYMBOL, Judgement(NO, "EILSEQ", "a.boundary", "No."), None, (NO, "EILSEQ", True, [])),
        (YES_OF_SYMBOL, Judgement(NO, None, "a.boundary", "No."), None, (NO, None, False, [])),
        (OPEN, Judgement(NO, "EILSEQ", "a.boundary", "No."), None, (NO, "EILSEQ", False, ["x"])),
        (YES_OF_SYMBOL, Judgement(UNKNOWN, None, "a.unread", "Not read"), None, (UNKNOWN, None, True, [facts.CODE])),
        (OPEN, Judgement(UNKNOWN, None, "a.unread", "Not read"), None, (UNKNOWN, None, False, ["x", facts.CODE])),
    ],
)
def test_the_symbols_verdict_and_the_instructions(monkeypatch, verdict, judged, held, expected):
    monkeypatch.setattr(evidence, "explain_gap", lambda k, fact, feature: GAP)
    k = K(evidence="the code", code_why="")
    found = instruction.merged(k, "kprobe", verdict, judged, held)
    assert (found.answer, found.errno, found.errno_certain, [one.fact for one in found.unread]) == expected
    if judged.answer == UNKNOWN:
        assert found.notes == ()
        assert found.unread[-1].why == "Not read; no code of this kernel was read"
        told = instruction.merged(K(code_why="hidden"), "kprobe", verdict, judged, held)
        assert told.unread[-1].why == "Not read; hidden"
        monkeypatch.setattr(evidence, "explain_gap", lambda k, fact, feature: GAP._replace(fact=facts.ADDRESSES))
        assert instruction.merged(k, "kprobe", verdict, judged, held).unread[-1].why == "why"


@pytest.mark.parametrize(
    ("rule", "held", "words"),
    [
        ("kprobe_instruction.offset_range", None, "the offset asked for, and the function's ftrace site"),
        ("kprobe_instruction.reserved", "jump_label", "the code: a jump label"),
        ("kprobe_instruction.reserved", "bug", "the code: a BUG or WARN"),
        ("kprobe_instruction.reserved", None, "the code"),
        ("kprobe_instruction.boundary", "bug", "the code"),
    ],
)
def test_what_an_instructions_refusal_was_read_from(rule, held, words):
    found = instruction._said(K(evidence="the code"), "kprobe", Judgement(NO, "EINVAL", rule, "No."), held)
    assert (found.findings[0].evidence, found.errno_certain) == (words, True)


@pytest.mark.parametrize(
    ("clang", "plain", "cfi"), [("y", "", True), ("", "y", True), ("", "", False), (None, None, None)]
)
def test_whether_calls_are_checked(clang, plain, cfi):
    options = None if clang is None else {"CONFIG_CFI_CLANG": clang, "CONFIG_CFI": plain}
    found = instruction._features(K(options, features={"padding_check": True, "refuses_traps": False}, has_symbol=True))
    assert (found.adjusts_address, found.refuses_traps, found.emulates, found.cfi) == (True, False, True, cfi)


class Symbols:
    hidden = False
    modules = (None, "m", None)
    addresses = (0x1000, 0x2000, 0x3000)

    def rows(self, name):
        return {b"f": (0,), b"m": (1,), b"two": (0, 2)}.get(name, ())


class Sites:
    def __init__(self, addresses=None, site=None, known=None):
        self.addresses, self._site, self._known = addresses, site, known

    def site(self, symbols, row):
        return self._site

    def known(self, symbols, row):
        return self._known


def view(sites, hidden=False):
    symbols = Symbols()
    symbols.hidden = hidden
    return type("View", (), {"symbols": symbols, "sites": sites})


@pytest.mark.parametrize(
    ("sites", "hidden", "bti", "expected"),
    [
        (None, False, True, ()),
        (Sites({}, 8), False, True, (8,)),
        (Sites({}, None, True), False, True, ()),
        (Sites({}, None, True), True, True, (8,)),
        (Sites(None, None, True), False, True, (8,)),
        (Sites(None, None, True), False, False, (4,)),
        (Sites(None, None, True), False, None, (4, 8)),
        (Sites(None, None, False), False, True, ()),
        (Sites(None, None, None), False, None, ()),
    ],
)
def test_where_ftraces_record_lies_on_arm64(sites, hidden, bti, expected):
    assert instruction._arm64_sites(K(option=bti), view(sites, hidden), 0) == expected


@pytest.mark.parametrize(
    ("name", "offset", "inside"),
    [
        # The site of `f` is at 0x1004: two words of padding lie at 0xff0 to 0xfff.
        ("f", -1, True),
        ("f", -8, True),
        ("f", -9, False),
        ("f", 0, False),
        ("m", -1, False),
        ("two", -1, False),
        ("gone", -1, False),
    ],
)
def test_the_pointer_before_a_function_of_arm64(name, offset, inside):
    found = view(Sites({None: [0x1000 + 4]}))
    target = Target(OFFSET, name, None, offset)

    def told(target=target, arch="aarch64", option=True, found=found):
        return instruction.in_ops_pointer(K(arch=arch, option=option, full=found), target)

    from probe_scout.arch import aarch64

    assert (aarch64.SITE_OFFSET, aarch64.OPS_BYTES) == (4, 8)
    assert told() == inside
    assert not told(arch="x86_64")
    assert not told(option=False)
    assert not told(target=Target(FUNCTION, name))
    assert not told(found=None)
    assert not told(found=view(None))
    assert not told(found=view(Sites(None)))
    assert not told(found=view(Sites({None: [0x1004]}), hidden=True))


# ---------------------------------------------------------------- gaps and what was read


CUT = Unread(facts.KALLSYMS, "not_recorded", "a slice", "")
HIDDEN = "kernel.kptr_restrict hides the addresses"


def gap_of(fact, feature="", **more):
    told = {
        "unread": None,
        "partial_gap": None,
        "unproved": None,
        "addresses_hidden": False,
        "code_why": "",
        "arch": "x86_64",
    }
    told |= {
        "code_cure": "a cure",
        "feature_evidence": "what shows it",
        "module_gaps": {},
        "evidence": "the file",
        **more,
    }
    k = K({}, **told)
    k.module_gaps = told["module_gaps"]
    return evidence.explain_gap(k, fact, feature)


@pytest.mark.parametrize(
    ("fact", "feature", "more", "kind", "words"),
    [
        (facts.BTF, "", {"unread": Unread(facts.BTF, "denied", "no rights", "")}, "denied", "no rights"),
        (facts.BTF, "feature", {"unread": Unread(facts.BTF, "denied", "no rights", "")}, "denied", "no rights"),
        (facts.KALLSYMS, "", {"partial_gap": CUT}, "not_recorded", "a slice"),
        (facts.KALLSYMS, "feature", {"partial_gap": CUT}, "not_there", "nothing that was read shows"),
        (facts.CONFIG, "", {"partial_gap": CUT}, "not_there", "the file does not tell"),
        (facts.KALLSYMS, "", {"unproved": CUT}, "not_recorded", "a slice"),
        (facts.KALLSYMS, "feature", {"unproved": CUT}, "not_there", "nothing that was read shows"),
        (facts.CODE, "prefix_understood", {}, "not_recorded", "MODULE:FUNCTION"),
        (
            facts.BTF,
            "feature",
            {},
            "not_there",
            "whether this kernel has it (what shows it)",
        ),
        (facts.FILTER_FUNCTIONS, "", {}, "hidden", "several functions share the name"),
        (facts.FILTER_FUNCTIONS, "", {"addresses_hidden": True}, "hidden", HIDDEN),
        (facts.CODE, "", {"addresses_hidden": True}, "hidden", HIDDEN),
        (facts.ENTRY_CODE, "", {"addresses_hidden": True}, "hidden", HIDDEN),
        (facts.BTF_IDS, "", {"addresses_hidden": True}, "hidden", "kallsyms shows no __BTF_ID__ symbols"),
        (facts.CODE, "", {}, "not_recorded", "first instruction, and no code of this kernel was read"),
        (facts.CODE, "", {"code_why": "it is far"}, "not_recorded", "first instruction, and it is far"),
        (facts.BTF_IDS, "", {}, "hidden", "kallsyms shows no __BTF_ID__ symbols"),
        (facts.MODULE_BTF, "", {"module_gaps": {"m": CUT}}, "not_recorded", "a slice"),
        (facts.MODULE_BTF, "", {}, "not_there", "the file does not tell"),
        (facts.BTF, "", {"module_gaps": {"m": CUT}}, "not_there", "the file does not tell"),
        (facts.ARCHITECTURE, "", {}, "not_there", "the rules of x86_64 are not known here"),
        (
            facts.ARCHITECTURE,
            "",
            {"arch": "unknown"},
            "not_recorded",
            "nothing that was read tells",
        ),
    ],
)
def test_why_a_fact_could_not_be_had(fact, feature, more, kind, words):
    found = gap_of(fact, feature, **more)
    assert (found.kind, words in found.why) == (kind, True), found
    entry = gap_of(facts.ENTRY_CODE)
    assert (entry.fact, entry.kind) == (facts.ENTRY_CODE, "not_recorded")


@pytest.mark.parametrize("value", [b"4\n", None])
def test_why_nobody_knows_what_perf_event_paranoid_means(value):
    found = evidence.explain_gap(K({}, {PARANOID: value} if value else {}), facts.SYSCTL, "may_perf")
    assert (found.fact, found.kind) == (facts.SYSCTL, "not_there")
    assert ("kernel.perf_event_paranoid is 4:" in found.why) == bool(value)


class Rule:
    def __init__(self, name, needs=(), feature="", unless=""):
        self.id, self.needs, self.feature, self.unless = name, needs, feature, unless
        self.source, self.decides = "the source", "the function"


OF = {facts.BTF: "own btf", facts.KALLSYMS: "own symbols", "prototype": "int f(void)"}


@pytest.mark.parametrize(
    ("rule", "of", "words"),
    [
        (Rule("prototype.variadic", (facts.BTF,)), OF, "the file: int f(void)"),
        (Rule("trampoline.argument_slots", (facts.BTF,)), OF, "the file: int f(void)"),
        (Rule("prototype.variadic", (facts.BTF,)), {facts.BTF: "own btf"}, "own btf"),
        (Rule("a.b", (facts.BTF, facts.KALLSYMS)), OF, "own symbols"),
        (Rule("a.b", (facts.KALLSYMS, facts.CODE)), OF, "own symbols"),
        (Rule("a.b", (facts.KALLSYMS,), unless="feature"), OF, "looked for and not found: what shows it"),
        (Rule("a.b", (facts.CODE,), feature="feature"), OF, "what shows it"),
        (Rule("a.b", (facts.CODE, facts.CONFIG)), OF, "the file; the file"),
        (Rule("a.b"), OF, "the source: the function"),
    ],
)
def test_what_a_refusal_was_read_from(rule, of, words):
    k = K({}, feature_fact=facts.BTF, feature_evidence="what shows it", evidence="the file")
    assert evidence._evidence(k, rule, of) == words
    of_machine = K({}, feature_fact=facts.ARCHITECTURE, feature_evidence="what shows it", evidence="the file")
    if rule.unless:
        assert evidence._evidence(of_machine, rule, of) == "own symbols"


@pytest.mark.parametrize(
    ("attach", "name", "files", "rules"),
    [
        ("kprobe", "f", {"sys/kernel/debug/kprobes/enabled": b"0\n"}, ["silent.kprobes_off"]),
        ("kretprobe", "f", {"sys/kernel/debug/kprobes/enabled": b"0\n"}, ["silent.kprobes_off"]),
        ("kprobe", "f", {"sys/kernel/debug/kprobes/enabled": b"1\n"}, []),
        ("kprobe.multi", "f", {"sys/kernel/debug/kprobes/enabled": b"0\n"}, []),
        ("fentry", "f", {"proc/sys/kernel/ftrace_enabled": b"0\n"}, ["silent.ftrace_off"]),
        ("fentry", "f", {"proc/sys/kernel/ftrace_enabled": b"1\n"}, []),
        ("tp", "f", {"proc/sys/kernel/ftrace_enabled": b"0\n"}, []),
        ("lsm", "f", {LSM: b"yama\n"}, ["silent.bpf_not_in_lsm"]),
        ("fentry", "bpf_lsm_f", {LSM: b"yama\n"}, ["silent.bpf_not_in_lsm"]),
        ("fentry", "f", {LSM: b"yama\n"}, []),
        ("lsm", "f", {LSM: b"yama,bpf\n"}, []),
        ("lsm", "f", {LSM: b"\n"}, []),
    ],
)
def test_switches_that_keep_a_probe_from_firing(attach, name, files, rules):
    assert [one.rule for one in evidence.notes(K({}, files), attach, name)] == rules


# ---------------------------------------------------------------- traits of prototypes and events


@pytest.mark.parametrize(("count", "args"), [(0, 0), (11, 0), (12, 12), (13, 13)])
def test_arguments_are_counted_as_far_as_a_rule_compares_them(count, args):
    assert function_traits.proto_of_shape(shape(nargs=count)).args == args


@pytest.mark.parametrize(("slots", "floor"), [(0, 0), (6, 0), (7, 7), (8, 7), (9, 9), (12, 9), (13, 13), (99, 13)])
def test_slots_are_counted_as_far_as_a_rule_compares_them(slots, floor):
    assert function_traits.proto_of_shape(shape(slots=slots)).slots == floor


@pytest.mark.parametrize(("size", "is_wide"), [(0, False), (8, False), (9, True), (16, True)])
def test_a_wide_result(size, is_wide):
    assert function_traits.proto_of_shape(shape(ret_bytes=size)).wide_return == is_wide


def shape(**more):
    from probe_scout.model.prototype import Shape

    return Shape(**{**dict.fromkeys(Shape._fields, 0), **more})


class Events(K):
    """What is told of one event; `gaps`: types of modules that could not be read."""

    def __init__(self, events=("sched",), raw=True, typed=True, partial="", gaps=()):
        super().__init__(events_named=events, raw_tracepoint=raw, typed_tracepoint=typed, partial=partial)
        self.more |= {"names_with": frozenset((b"guarded",)), "is_dynamic_event": False, "typed_in_module": False}
        self.module_gaps = gaps


@pytest.mark.parametrize(
    ("category", "events", "is_there"),
    [
        ("sched", ("sched",), True),
        ("sched", ("other", "sched"), True),
        ("sched", ("other",), False),
        ("sched", (), False),
        ("sched", None, False),
        (None, ("other",), True),
        (None, (), False),
        (None, None, False),
    ],
)
def test_whether_an_event_is_there(category, events, is_there):
    found = function_traits.event_traits(Events(events), category, "name")
    assert (found.event, found.raw, found.typed, found.unread) == (is_there, True, True, frozenset())


@pytest.mark.parametrize(
    ("more", "unread"),
    [
        ({"raw": None}, {facts.KALLSYMS}),
        ({"raw": False}, set()),
        ({"typed": False, "gaps": ("m",)}, {facts.MODULE_BTF}),
        ({"typed": False, "raw": None, "gaps": ("m",)}, {facts.KALLSYMS, facts.MODULE_BTF}),
        ({"typed": False, "raw": False, "gaps": ("m",)}, set()),
        ({"typed": True, "gaps": ("m",)}, set()),
        ({"typed": None, "gaps": ("m",)}, set()),
        ({"typed": False}, set()),
        ({"partial": "a slice"}, set()),
        ({"partial": "a slice", "events": ()}, {facts.EVENTS}),
        ({"partial": "a slice", "events": (), "typed": False}, {facts.EVENTS}),
        ({"partial": "a slice", "events": (), "raw": False}, {facts.EVENTS}),
        ({"partial": "a slice", "events": (), "raw": False, "typed": False}, {facts.EVENTS, facts.KALLSYMS, facts.BTF}),
    ],
)
def test_what_of_an_event_is_not_known(more, unread):
    assert function_traits.event_traits(Events(**more), "sched", "name").unread == unread


@pytest.mark.parametrize(
    ("category", "name", "events", "told"),
    [
        ("ftrace", "function", ("ftrace",), "ftrace_only"),
        (None, "function", ("ftrace",), "ftrace_only"),
        ("syscalls", "sys_enter_read", ("syscalls",), "syscall"),
        ("raw_syscalls", "sys_enter", ("raw_syscalls",), "faultable"),
        ("sched", "guarded", ("sched",), "perf_perm"),
        ("sched", "sched_switch", ("sched",), ""),
    ],
)
def test_what_an_event_is(category, name, events, told):
    found = function_traits.event_traits(Events(events), category, name)
    kinds = ("ftrace_only", "syscall", "faultable", "perf_perm", "dynamic", "typed_in_module")
    assert {kind for kind in kinds if getattr(found, kind)} == ({told} if told else set())


# ---------------------------------------------------------------- which symbol an offset lies in


OPEN_END = 1 << 64


class Table:
    """Symbols by (name, module, address), in the order of addresses."""

    def __init__(self, rows, hidden=False, ends=None):
        self.names = [name for name, _, _ in rows]
        self.modules = [module for _, module, _ in rows]
        self.addresses = [address for _, _, address in rows]
        self.hidden, self.ends = hidden, ends or {}

    def rows(self, name):
        return [row for row, one in enumerate(self.names) if one == name]

    def rows_at(self, address):
        return [row for row, (one, module) in enumerate(zip(self.addresses, self.modules, strict=True))
                if one == address and module is None]  # fmt: skip

    def starts(self, module):
        return sorted({a for a, m in zip(self.addresses, self.modules, strict=True) if m == module})

    def extent(self, row):
        starts = self.starts(self.modules[row])
        at = starts.index(self.addresses[row]) + 1
        return self.addresses[row], starts[at] if at < len(starts) else OPEN_END


SYMBOLS = [
    *(
        (b"f", None, 0x1000),
        (b"g", None, 0x1100),
        (b"two", None, 0x1200),
        (b"two", None, 0x1300),
        (b"alias", None, 0x1400),
    ),
    *(
        (b"same", None, 0x1400),
        (b"two", b"m", 0x1400),
        (b"mf", b"m", 0x1500),
        (b"mg", b"m", 0x1600),
        (b"f", b"n", 0x1700),
    ),
]


def at(name, offset, module=None):
    return Target(OFFSET, name, module, offset)


def shown(table):
    return type("View", (), {"symbols": table, "sites": None})


@pytest.mark.parametrize(
    ("target", "is_inside", "behind"),
    [
        (at("f", 0), True, None),
        (at("f", 0xFF), True, None),
        (at("f", 0x100), False, ("g", None, 0)),
        (at("f", 0x123), False, ("g", None, 0x23)),
        (at("f", 0x200), False, None),  # in `two`, which is there several times
        (at("f", 0x400), False, ("alias", None, 0)),
        (at("f", 0x9999), False, ("alias", None, 0x9599)),  # the last symbol has no end
        (at("alias", 0x9999), True, None),
        (at("mf", 0x100, "m"), False, ("mg", "m", 0)),
        (at("mf", 0x110), False, ("mg", "m", 0x10)),
        (at("mg", 0x9999), True, None),
        (at("f", 0, "n"), True, None),
    ],
)
def test_which_symbol_an_offset_lies_in(target, is_inside, behind):
    table = Table(SYMBOLS)
    k = K(full=shown(table))
    assert instruction._is_inside(target, shown(table)) == is_inside
    found = instruction._behind(k, target, shown(table))
    assert (found and (found.name, found.module, found.offset_bytes)) == behind
    assert instruction._behind(K(full=None), target, shown(table)) is None
    hidden = Table(SYMBOLS, hidden=True)
    assert instruction._is_inside(target, shown(hidden))


def test_the_lines_that_may_be_meant():
    table = Table(SYMBOLS)
    assert list(instruction._rows(at("f", 0), table)) == [0, 9]
    assert list(instruction._rows(at("f", 0, "n"), table)) == [9]
    assert list(instruction._rows(at("f", 0, "vmlinux"), table)) == [0, 9]
    assert list(instruction._rows(at("f", 0, "m"), table)) == []


@pytest.mark.parametrize(
    ("target", "arch", "rule"),
    [
        (at("f", 0x100), "x86_64", "kprobe_instruction.other_symbol"),
        (at("f", 0xFF), "riscv64", "kprobe_instruction.not_decoded"),
        (at("alias", 0x99999), "riscv64", "kprobe_instruction.not_decoded"),
        (at("f", 0xFF), "unknown", "kprobe_instruction.not_decoded"),
    ],
)
def test_instructions_that_are_not_looked_at(target, arch, rule):
    judged, held = instruction._instruction(K({}, arch=arch), target, shown(Table(SYMBOLS)), False)
    assert (judged.answer, judged.errno, judged.rule, held) == (UNKNOWN, None, rule, None)
    assert judged.says


@pytest.mark.parametrize(("name", "expected"), [("f", 0x100), ("mg", 64 << 10), ("alias", 64 << 10)])
def test_how_much_code_is_read(monkeypatch, name, expected):
    """To the end of the symbol; of the last one no more than 64 KiB."""
    asked = []
    monkeypatch.setattr(instruction.code, "text", lambda k, symbols, row, size: asked.append(size))
    table = Table(SYMBOLS)
    found = instruction._x86_facts(K(), shown(table), table.rows(name.encode())[0], 4, True)
    assert asked == [expected]
    assert found[:2] == (4, True)
