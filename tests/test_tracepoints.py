"""The report of one event, from the bytes of its files."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed
from probe_scout.model.trace import BtfIds, RawArgument
from probe_scout.model.verdict import Verdict
from probe_scout.tracepoints import describe_event
from tests.builders.format_writer import Field, event_format

OPENAT = event_format(
    "sys_enter_openat",
    761,
    [
        Field("int", "__syscall_nr", 8, 4, 1),
        Field("const char *", "filename", 16, 8),
        Field("__data_loc char[]", "__filename_val", 24, 4),
    ],
)


def test_an_event_with_every_field_and_its_access():
    report = describe_event("syscalls", "sys_enter_openat", OPENAT, b"761\n")
    assert (report.event, report.id, report.notes) == ("syscalls:sys_enter_openat", 761, ())
    assert [(f.name, f.offset, f.size, f.signed, f.access) for f in report.fields[3:]] == [
        ("common_pid", 4, 4, True, "unreadable"),
        ("__syscall_nr", 8, 4, True, "value"),
        ("filename", 16, 8, False, "value"),
        ("__filename_val", 24, 4, False, "absent"),
    ]
    assert report.fields[6].rule == "tracepoint_access.syscall_copy_has_no_strings"
    assert report.fields[0]._fields[:8] == ("name", "type", "offset", "size", "signed", "access", "rule", "says")


def test_what_others_know_passes_through():
    verdicts, arguments = (Verdict("tp", "yes"),), (RawArgument("preempt", "bool"),)
    ids = b"btf_obj_id: 1\nraw_btf_id: 2\ntp_btf_id: 3\n"
    report = describe_event(
        "sched", "sched_switch", event_format("sched_switch", 5, []), None, ids, verdicts, arguments
    )
    assert (report.verdicts, report.raw_args, report.btf_ids) == (verdicts, arguments, BtfIds(1, 2, 3))
    assert report.id == 5


def test_files_that_do_not_belong_together_are_noted():
    report = describe_event("syscalls", "sys_enter_open", OPENAT, b"762\n")
    assert [note.rule for note in report.notes] == ["trace_format.ids_differ", "trace_format.names_differ"]
    assert report.id == 762


def test_a_file_that_cannot_be_read_is_named():
    with pytest.raises(Malformed, match="events/a/b/format"):
        describe_event("a", "b", b"")
    with pytest.raises(Malformed, match="events/a/b/id"):
        describe_event("a", "b", OPENAT, b"x")
    with pytest.raises(Malformed, match="events/a/b/btf_ids"):
        describe_event("a", "b", OPENAT, None, b"x")
