"""Trace events of two kernels: records, arguments, verdicts, and who defines them."""

from __future__ import annotations

import pytest

from probe_scout.model.diff import FieldChange, FieldPlace, VerdictChange
from tests.builders.format_writer import COMMON, LAZY, Field, event_format
from tests.builders.tiny_kernel import TRACING

EVENT = "sched:sched_switch"
FORMAT = f"{TRACING}/events/sched/sched_switch/format"


def record(*fields, common=COMMON):
    return {FORMAT: event_format("sched_switch", 300, fields, common=common)}


def fields(differ, before, after, **common):
    report = differ({"files": record(*before)}, {"files": record(*after, **common)}, kinds=("events",), types=("tp",))
    assert all(e.target == EVENT and e.change == "changed" for e in report.events)
    return {f.field: f.what for e in report.events for f in e.fields}, report


def text(declared, sign):
    length = 16 if "char[16]" in declared else 0
    return Field(declared, "name", 16, length or 4, sign, length)


PID, PRIO = Field("pid_t", "pid", 8, 4, 1), Field("int", "prio", 12, 4, 1)


def test_equal_records(differ):
    found, report = fields(differ, (PID, PRIO), (PID, PRIO))
    assert found == {}
    assert not report.differs()


def test_a_field_that_moved(differ):
    found, report = fields(differ, (PID, PRIO), (PID, PRIO._replace(offset=16)))
    assert found == {"prio": ("moved",)}
    assert report.events[0].fields == (
        FieldChange("prio", ("moved",), FieldPlace("int", 12, 4, True), FieldPlace("int", 16, 4, True)),
    )


def test_a_field_that_changed_its_type_size_and_sign(differ):
    found, _ = fields(differ, (PID, PRIO), (PID, Field("u8", "prio", 12, 1, 0)))
    assert found == {"prio": ("size", "type", "sign")}


@pytest.mark.parametrize("declared", ["char[16]", "const char[16]", "__data_loc char[]"])
def test_the_sign_of_text_is_no_difference(differ, declared):
    """All chars became unsigned in 6.2 (Makefile, -funsigned-char)."""
    found, report = fields(differ, (PID, text(declared, 1)), (PID, text(declared, 0)))
    assert found == {}
    assert not report.differs()


@pytest.mark.parametrize("declared", ["char", "s8[16]", "__data_loc s8[]"])
def test_the_sign_of_a_number_is_a_difference(differ, declared):
    before, after = (text(declared, sign)._replace(size=1 if declared == "char" else 4) for sign in (1, 0))
    if declared == "s8[16]":
        before, after = (one._replace(size=16, length=16) for one in (before, after))
    found, _ = fields(differ, (PID, before), (PID, after))
    assert found == {"name": ("sign",)}


def test_fields_that_came_and_went(differ):
    found, _ = fields(differ, (PID, PRIO), (PID, Field("int", "cpu", 12, 4, 1)))
    assert found == {"prio": ("gone",), "cpu": ("appeared",)}


def test_a_field_that_programs_never_receive_is_marked(differ):
    """Events of one system call: 7.x declares copied strings, and programs get a copy without them."""
    path = f"{TRACING}/events/syscalls/sys_enter_openat/format"
    before, name = (Field("int", "__syscall_nr", 8, 4, 1), Field("const char *", "filename", 16, 8))
    value = Field("__data_loc char[]", "__filename_val", 24, 4)
    asked = "syscalls:sys_enter_openat"
    sides = [
        {"events": (asked,), "files": {path: event_format("sys_enter_openat", 700, one)}}
        for one in ((before, name), (before, name, value))
    ]
    (change,) = differ(*sides, kinds=("events",), types=("tp",)).events
    assert [(f.field, f.what, f.absent) for f in change.fields] == [("__filename_val", ("appeared",), True)]
    there = [
        {**side, "files": {path: event_format("sys_enter_openat", 700, fields)}}
        for side, fields in zip(sides, ((before,), (before, name)), strict=True)
    ]
    (change,) = differ(*there, kinds=("events",), types=("tp",)).events
    assert [(f.field, f.absent) for f in change.fields] == [("filename", False)]


def test_common_fields_are_told_once(differ):
    found, report = fields(differ, (PID,), (PID._replace(offset=12),), common=(*COMMON, LAZY))
    assert found == {"pid": ("moved",)}
    assert [(f.field, f.what) for f in report.common] == [("common_preempt_lazy_count", ("appeared",))]


def test_gone_appeared_moved(differ):
    report = differ({"events": (EVENT, "x:one", "x:old")}, {"events": (EVENT, "y:one", "x:new")}, kinds=("events",))
    assert [(e.target, e.change, e.others) for e in report.events] == [
        ("x:new", "appeared", ()),
        ("x:old", "gone", ()),
        ("x:one", "moved", ("y",)),
    ]


def test_an_event_that_became_a_bare_tracepoint(differ):
    report = differ({"events": (EVENT, "x:one")}, {"bare": ("one",)}, kinds=("events",))
    assert [(e.target, e.change) for e in report.events] == [("raw_tp:one", "appeared"), ("x:one", "gone")]


def test_events_of_a_module_that_is_not_loaded_are_not_gone(differ):
    report = differ(
        {"events": (EVENT, "xfs:xfs_read"), "symbols": ("__traceiter_xfs_read [xfs]", "f [xfs]")},
        {"symbols": ("f",)},
        kinds=("events",),
    )
    assert report.events == ()
    assert [(m.module, m.loaded_in, m.events) for m in report.modules] == [("xfs", "a", 1)]


def test_arguments_of_the_raw_tracepoint(differ):
    def kernel(*arguments):
        title = "__traceiter_sched_switch"
        return {"symbols": (title,), "prototypes": {title: ("int", ["ptr", *arguments])}}

    assert not differ(kernel("int", "ptr"), kernel("int", "ptr"), kinds=("events",)).differs()
    (event,) = differ(kernel("int", "ptr"), kernel("u64"), kinds=("events",)).events
    assert [(a.place, a.what, a.a, a.b) for a in event.arguments] == [
        (0, "type", "int a1", "u64 a1"),
        (1, "gone", "void *a2", None),
    ]


def test_a_verdict_that_changed(differ):
    before, after = (EVENT, "x:one"), (f"{EVENT} noraw notyped", "x:one")
    (event,) = differ({"events": before}, {"events": after}, kinds=("events",)).events
    assert event.verdicts == (
        VerdictChange("raw_tp", "yes", None, "no", "ENOENT"),
        VerdictChange("tp_btf", "yes", None, "no", "ESRCH"),
    )


def test_a_format_that_cannot_be_read_is_named(differ):
    report = differ({}, {"denied": (FORMAT,)}, kinds=("events",), types=("tp",))
    assert report.events == ()
    assert [(gap.side, gap.unread.fact, gap.unread.why.split(":")[0]) for gap in report.unread] == [
        ("b", "events", FORMAT)
    ]


def test_the_prefix_means_events_only(differ):
    report = differ({"events": (EVENT, "x:one")}, {"symbols": ("other",)}, glob="tp:x:*")
    assert [t.kind for t in report.totals] == ["events"]
    assert [e.target for e in report.events] == ["x:one"]
