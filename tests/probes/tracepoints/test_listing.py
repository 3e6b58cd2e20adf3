"""Lists of events, bare tracepoints, names that may be meant, and which files one event reads."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed, NoStub
from probe_scout.frontends.session import open_kernel
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.attach import BY_EVENT
from probe_scout.probes.attach import verdicts
from probe_scout.probes.tracepoints import listing as events
from probe_scout.sources import open_source
from probe_scout.sources.folder import FolderSource
from tests.builders.format_writer import COMMON, LAZY, Field, event_format
from tests.builders.tiny_kernel import TRACING, Changed, tiny_files
from tests.builders.tree import write_tree

RECORDED = "fixtures/kernels/debian-6.12.107-amd64.tar.xz"
FOLDER = f"{TRACING}/events"


def kernel(tmp_path, files=None, **how):
    made = {**tiny_files(**how), **(files or {})}
    return Kernel(Changed(FolderSource(str(write_tree(tmp_path, made)), "root")))


def rules(notes):
    return [(note.rule, note.says.partition(" ")[0]) for note in notes]


def test_a_folder_that_no_line_names_and_a_line_that_has_no_folder(tmp_path):
    k = kernel(tmp_path, events=("sched:sched_switch", "sched:sched_waking"))
    k.source.replaced[f"{TRACING}/available_events"] = b"sched:sched_switch\nsched:gone\n"
    names = events.Listing(k)
    assert rules(names.notes) == [
        ("events.not_listed", "sched:sched_waking"),
        ("events.no_folder", "sched:gone"),
    ]
    assert set(names.events) >= {("sched", "sched_switch"), ("sched", "sched_waking"), ("sched", "gone")}


def test_two_lists_that_agree_have_no_notes(tmp_path):
    k = kernel(tmp_path)
    assert events.Listing(k).notes == ()
    assert events.reports(k, "*")[2] == ()


def test_an_event_whose_format_is_missing_keeps_the_list_and_is_told(tmp_path):
    k = kernel(tmp_path, events=("sched:sched_switch", "sched:sched_waking"))
    k.source.missing = (f"{FOLDER}/sched/sched_waking/format",)
    told, unread, _ = events.reports(k, "sched:*")
    by_name = {one.event: one for one in told}
    assert by_name["sched:sched_switch"].fields
    assert by_name["sched:sched_waking"].fields == ()
    assert [note.rule for note in by_name["sched:sched_waking"].notes] == ["events.format_unread"]
    assert [one.why.partition(":")[0] for one in unread] == [f"{FOLDER}/sched/sched_waking/format"]


def test_an_event_whose_format_is_cut_off_keeps_the_list_and_is_told(tmp_path):
    k = kernel(tmp_path, events=("sched:sched_switch", "sched:sched_waking"))
    path = f"{FOLDER}/sched/sched_waking/format"
    k.source.replaced[path] = k.source.read(path)[:60]
    told, unread, _ = events.reports(k, "sched:*", ((8, 4),))
    by_name = {one.event: one for one in told}
    assert by_name["sched:sched_switch"].fields
    assert by_name["sched:sched_waking"].fields == ()
    assert [read.answer for read in by_name["sched:sched_waking"].reads] == ["unknown"]
    assert [(one.kind, one.why.partition(":")[0]) for one in unread] == [("malformed", path)]
    with pytest.raises(Malformed):  # of the one event that was asked there is nothing else to tell
        events.reports(k, "sched:sched_waking")


def test_one_event_reads_no_other_events_files(tmp_path):
    k = kernel(tmp_path, events=("sched:sched_switch", "sched:sched_waking", "net:netif_rx"))
    (one,), _, _ = events.reports(k, "sched:sched_switch")
    assert one.fields
    below = {path for path in k.source.asked if path.startswith(FOLDER + "/")}
    assert below == {f"{FOLDER}/sched/sched_switch/{name}" for name in ("format", "id", "btf_ids")}


@pytest.mark.parametrize("glob", ["pelt_cfs_tp", "pelt_*"])
def test_a_bare_tracepoint_has_arguments_and_no_fields(tmp_path, glob):
    k = kernel(tmp_path, bare=("pelt_cfs_tp",))
    (one,), _, _ = events.reports(k, glob)
    assert (one.event, one.kind, one.id, one.fields) == ("pelt_cfs_tp", "bare", None, ())
    assert {v.attach: v.answer for v in one.verdicts} == {"tp": "no", "raw_tp": "yes", "tp_btf": "yes"}


def test_a_larger_common_area_moves_everything_and_is_told(tmp_path):
    raw = event_format("sched_switch", 7, [Field("int", "prio", 12, 4, 1)], common=(*COMMON, LAZY))
    k = kernel(tmp_path, {f"{FOLDER}/sched/sched_switch/format": raw})
    (one,), _, _ = events.reports(k, "sched:sched_switch")
    lazy, prio = one.fields[4:]
    assert (lazy.access, lazy.rule) == ("value", "tracepoint_access.common_not_filled")
    assert (prio.access, prio.offset, one.common_bytes, one.end_bytes) == ("value", 12, 9, 16)
    assert "trace_format.common_area" in [note.rule for note in one.notes]
    assert [tuple(gap) for gap in one.gaps] == [(9, 3, "prio")]


@pytest.mark.parametrize(
    ("asked", "there", "meant"),
    [
        ("io_uring:io_uring_submit_sqe", "io_uring:io_uring_submit_req", "io_uring:io_uring_submit_req"),
        ("io_uring:io_uring_submit_req", "io_uring:io_uring_submit_sqe", "io_uring:io_uring_submit_sqe"),
        ("task:sched_switch", "sched:sched_switch", "sched:sched_switch"),
        ("sched:sched_swich", "sched:sched_switch", "sched:sched_switch"),
        ("tracepoint:sched:sched_swich", "sched:sched_switch", "sched:sched_switch"),
        ("sched", "sched:sched_switch", "sched:*"),
        ("schd:*", "sched:sched_switch", "sched:*"),
        ("schd:*_switch", "sched:sched_switch", "sched:*_switch"),
        ("schd:*_wakeup", "sched:sched_switch", "sched:*"),
        ("other:sched_s*", "sched:sched_switch", "sched:sched_switch"),
        ("sched:*_wakeup", "sched:sched_switch", "sched:*"),
    ],
)
def test_what_may_be_meant_by_a_name_that_is_not_there(tmp_path, asked, there, meant):
    k = kernel(tmp_path, events=(there,))
    assert events.suggestions(k, asked)[0] == meant
    assert meant not in events.suggestions(k, "tp:a:entirely_other")


@pytest.mark.parametrize(
    "name", ["tp:sched:sched_switch", "tp/sched/sched_switch", "raw_tp:sched_switch", "tp_btf/sched_switch"]
)
def test_a_name_may_be_written_as_tracers_write_it(tmp_path, name):
    k = kernel(tmp_path, events=("sched:sched_switch",))
    assert events.matching(k, name) == (("sched", "sched_switch"),)


def test_of_a_slice_nothing_is_called_bare_or_absent(tmp_path):
    files = tiny_files(events=("syscalls:sys_enter_read", "sched:sched_switch"), bare=("pelt_cfs_tp",))
    k = Kernel(FolderSource(str(write_tree(tmp_path, files)), "snapshot"))
    assert k.partial() == "syscalls:sys_enter_read has no twin"
    assert [one.event for one in events.reports(k, "*")[0] if one.kind == "bare"] == []
    told, unread, _ = events.reports(k, "sched:sched_waking")
    assert (told, [gap.kind for gap in unread]) == ((), ["not_recorded"])
    assert events.reports(k, "sched:sched_switch")[1] == ()


def test_calls_with_both_events_are_no_slice(tmp_path):
    names = ("syscalls:sys_enter_read", "syscalls:sys_exit_read")
    k = Kernel(FolderSource(str(write_tree(tmp_path, tiny_files(events=names))), "snapshot"))
    assert k.partial() == ""


def test_a_bare_tracepoint_is_meant_with_and_without_its_ending(tmp_path):
    k = kernel(tmp_path, bare=("pelt_cfs_tp", "old_one"))
    assert events.suggestions(k, "pelt_cfs") == ("pelt_cfs_tp",)
    assert events.suggestions(k, "old_one_tp") == ("old_one",)
    assert events.suggestions(k, "pelt*") == ()


def test_a_record_of_the_ring_buffer_with_an_id_is_perfs(tmp_path):
    """Debian 5.10 and 7.3: perf_event_open takes ftrace:function and ftrace:print, the two with an id."""
    files = {f"{FOLDER}/ftrace/{name}/format": event_format(name, 5, ()) for name in ("print", "wakeup")}
    k = kernel(tmp_path, {**files, f"{FOLDER}/ftrace/print/id": b"5\n"})
    kinds = {one.event: one.kind for one in events.reports(k, "ftrace:*", names_only=True)[0]}
    assert kinds == {"ftrace:print": "perf", "ftrace:wakeup": "ftrace"}


@pytest.fixture(scope="module")
def recorded():
    return Kernel(open_source(RECORDED))


def test_a_list_says_of_each_event_what_the_event_alone_says(recorded):
    answers = events.Answers(recorded)
    found = events.listed(recorded)
    assert len(found) > 2400
    for category, name in found[::9]:
        assert answers.verdicts(category, name) == verdicts.event_verdicts(recorded, category, name, BY_EVENT)


def test_the_kinds_of_a_real_kernels_events(recorded):
    told, unread, notes = events.reports(recorded, "*")
    kinds = [one.kind for one in told]
    assert (unread, notes) == ((), ())
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "event": 1763,
        "syscall": 716,
        "ftrace": 16,
        "perf": 2,
        "bare": 12,
    }
    assert all(one.fields for one in told if one.kind != "bare")


def test_the_lists_order_and_the_single_report_agree(recorded):
    listed = {one.event: one for one in events.reports(recorded, "sched:*")[0]}
    alone = events.report(recorded, "sched", "sched_switch")
    assert listed["sched:sched_switch"].fields == alone.fields
    assert alone.record.name == "trace_event_raw_sched_switch"
    assert [a.name for a in alone.raw_args] == ["preempt", "prev", "next", "prev_state"]


def test_a_list_of_names_reads_no_format_file(tmp_path):
    k = kernel(tmp_path, events=("sched:sched_switch", "sched:sched_waking", "net:netif_rx"), bare=("pelt_cfs_tp",))
    told, unread, notes = events.reports(k, "*", names_only=True)
    assert not [path for path in k.source.asked if path.endswith(("/format", "/id", "/btf_ids"))]
    whole = {(one.event, one.kind) for one in events.reports(k, "*")[0]}
    assert ({(one.event, one.kind) for one in told}, unread, notes) == (whole, (), ())
    (one,) = events.reports(k, "sched:sched_switch", names_only=True)[0]
    assert one.fields
    judged = events.reports(k, "sched:*", [(8, 4)], names_only=True)[0]
    assert all(one.reads for one in judged)


def test_the_events_of_a_system_call_are_suggested_for_its_name():
    kernel = open_kernel(RECORDED)
    assert kernel.similar_events("openat")[:2] == ("syscalls:sys_enter_openat", "syscalls:sys_exit_openat")
    with pytest.raises(NoStub, match="did you mean syscalls:sys_enter_openat"):
        kernel.stub(["openat"], attach="tp")
    assert kernel.similar_events("Sched_Switch")[0] == "sched:sched_switch"


def test_closed_tracefs_makes_no_tracepoint_bare(tiny_kernel):
    closed = (f"{TRACING}/available_events", f"{TRACING}/events")
    kernel = tiny_kernel(["f", "__traceiter_sched_switch"], events=(), denied=closed)
    report = kernel.tracepoint("sched_switch")
    assert report.events == ()
    assert [gap.fact for gap in report.unread] == ["events"]
