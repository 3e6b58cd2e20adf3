"""What older kernels do not tell of a link, and what is there for a moment only."""

from __future__ import annotations

import pytest

from probe_scout.commands.audit import others, record
from probe_scout.commands.audit.resolve import Resolver
from probe_scout.errors import NotThere
from probe_scout.formats.text import enabled_functions, kprobes_list
from probe_scout.model.audit import Attachment

from .conftest import inputs, link, program

DIRECT = (
    "{} (1) R I D\ttramp: ftrace_regs_caller+0x0/0x58 (call_direct_funcs+0x0/0x20)\n"
    "\tdirect-->bpf_trampoline_7_0+0x0/0x1000\n"
)
TRACED = {"attach_type": "trace_fentry", "target_obj_id": None, "target_btf_id": None}


def traced(audited, functions, *kinds):
    """The report where tracing links of these program types tell no function."""
    programs = [program(at, kind) for at, kind in enumerate(kinds, 1)]
    words = {"lsm": {**TRACED, "attach_type": "lsm_mac"}}
    links = [link(at, "tracing", at, **words.get(kind, TRACED)) for at, kind in enumerate(kinds, 1)]
    files = {enabled_functions.PATH: "".join(map(DIRECT.format, functions)).encode()}
    return audited(inputs(programs=programs, links=links), files=files)


def told(report):
    return [(one.attach, one.target) for one in report.attachments]


def facts(report):
    return [one.fact for one in report.unread if one.fact == "traced_functions"]


def test_the_only_function_with_a_trampoline_is_the_links(audited):
    report = traced(audited, ["vfs_read"], "tracing")
    assert told(report) == [("fentry", "vfs_read")]
    assert facts(report) == []


def test_an_lsm_program_is_on_a_bpf_lsm_function(audited):
    report = traced(audited, ["bpf_lsm_file_open", "vfs_read"], "lsm", "tracing")
    assert told(report) == [("lsm", "bpf_lsm_file_open"), ("fentry", "vfs_read")]


def test_where_two_fit_none_is_taken_and_none_is_a_user_of_its_own(audited):
    report = traced(audited, ["vfs_read", "vfs_write"], "tracing", "tracing")
    assert told(report) == [("fentry", None), ("fentry", None)]
    assert facts(report) == ["traced_functions"]


class Source:
    """The lists of the running kernel, one after the other."""

    def __init__(self, lists):
        self.lists = lists

    def describe(self):
        return type("Told", (), {"kind": "live"})


class Kernel:
    """As much of a kernel as the lists need."""

    def __init__(self, *lists):
        self.source, self.turn = Source(lists), 0

    def read(self, path):
        found = self.source.lists[min(self.turn, len(self.source.lists) - 1)].get(path)
        if found is None:
            raise NotThere(path, "no such file")
        return found

    def forget(self, paths):
        self.turn += kprobes_list.PATH in paths

    def kallsyms(self):
        return b""

    def config(self, name):
        return "n"


def seen(*lists):
    k = Kernel(*lists)
    found = others.add(k, [Attachment("kprobe", "vfs_write", offset=0)], Resolver(k, {}, {}), record.Inputs())
    return [(one.attach, one.target) for one in found.rows[1:]]


PROBE = {kprobes_list.PATH: b"ffffffff81000000  k  vfs_read+0x0    [FTRACE]\n"}
PATCHED = {
    enabled_functions.PATH: b"vfs_read (1) \ttramp: 0xffffffffc0179000 (function_trace_call+0x0/0x120) ->f+0x0/0x1\n"
}
NONE = {kprobes_list.PATH: b"", enabled_functions.PATH: b""}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(others, "PAUSE_S", 0.0)


def test_what_stays_is_a_row():
    assert seen({**NONE, **PROBE}) == [("kprobe", "vfs_read")]
    assert seen({**NONE, **PATCHED}) == [("ftrace", "vfs_read")]


def test_what_is_gone_when_the_lists_are_read_again_is_none():
    assert seen({**NONE, **PROBE}, NONE) == []
    assert seen({**NONE, **PATCHED}, {**NONE, **PATCHED}, NONE) == []


def test_a_kprobe_that_only_one_list_had_is_no_user_of_ftrace():
    assert seen({**NONE, **PATCHED}, {**PROBE, **PATCHED}) == []


def test_a_list_that_cannot_be_read_again_changes_nothing():
    assert seen({**NONE, **PROBE}, {kprobes_list.PATH: b"nonsense\n"}) == [("kprobe", "vfs_read")]


def listed(audited, links, perfs=(), probes=b"", functions=b"", **more):
    files = {kprobes_list.PATH: probes, enabled_functions.PATH: functions}
    given = inputs(programs=[program(1), program(2)], links=links, perf=list(perfs))
    report = audited(given, ("vfs_read", "vfs_write"), files=files, **more)
    return [(one.attach, one.target, one.seen_by) for one in report.attachments], report.unread


TRACER = (
    b"vfs_write (1)\ttramp: ftrace_trampoline+0x0/0x1 (function_trace_call+0x0/0x1) ->function_trace_call+0x0/0x1\n"
)
FPROBE = b"vfs_read (1)\ttramp: ftrace_trampoline+0x0/0x1 (fprobe_handler+0x0/0x1) ->fprobe_handler+0x0/0x1\n"


def test_functions_of_a_link_that_does_not_tell_them_are_no_users_of_their_own(audited):
    """kprobe.multi before 6.6, and where addresses are hidden: what ftrace has may be its."""
    mute = link(5, "kprobe_multi", 1, addresses=None, is_return=False, count=None, missed=None, cookies=None)
    found, unread = listed(audited, [mute], functions=FPROBE + TRACER)
    assert found == [("kprobe.multi", None, ("link",)), ("ftrace", "vfs_write", ("ftrace",))]
    (one,) = (gap for gap in unread if gap.fact == "traced_functions")
    assert "1 kprobe.multi links; with a user of ftrace are: vfs_read" in one.why
    found, unread = listed(audited, [], functions=FPROBE)
    assert found == [("ftrace", "vfs_read", ("ftrace",))]
    assert not [gap for gap in unread if gap.fact == "traced_functions"]


def test_a_kprobe_that_does_not_tell_its_place_may_be_the_second_one(audited):
    probes = b"0000000000000000  k  vfs_read+0x0    [FTRACE]\n"
    place = {"pid": 10, "fd": 3, "prog_id": 1, "type": "kprobe", "name": "", "offset": 0, "address": None, "file": 1}
    found, unread = listed(audited, [], [place], probes)
    assert found == [("kprobe", None, ("perf",)), ("kprobe", "vfs_read", ("kprobes",))]  # it may be another's
    (one,) = (gap for gap in unread if gap.fact == "probed_places")
    assert "1 kprobes; without an owner are kprobes on: vfs_read" in one.why
