"""Tables: our own, tabulate's, CSV; and the lists that use them."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from probe_scout.model.report import KernelInfo, ScanRow
from probe_scout.model.trace import EventField, EventReport, RawArgument, TracepointReport
from probe_scout.model.verdict import Finding, Verdict
from probe_scout.render import events, listing, table
from probe_scout.render.csv import csv_lines
from probe_scout.render.style import Style

KERNEL = KernelInfo("6.12.107", "", "x86_64", "snapshot", "")


def test_plain_table_aligns_words_left_and_numbers_right():
    lines = list(table.plain(("name", "size", "says"), [("a", "4", "x"), ("long", "16", "")]))
    assert lines == ["name  size  says", "a        4  x", "long    16"]


def test_plain_table_wraps_its_last_column_under_itself():
    lines = list(table.plain(("n", ""), [("a", "one two three four five six")], Style(False, 24)))
    assert lines == ["n", "a  one two three four", "   five six"]


def test_plain_table_without_rows_is_its_heads():
    assert list(table.plain(("a", "b"), [])) == ["a  b"]


def test_markdown_keeps_bars_inside_cells_and_numbers_as_written():
    assert table.formatted("md", ("a", "b"), [("x|y", "010")]).splitlines()[-1] == "| x\\|y | 010 |"


cells = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)


@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_csv_is_read_back_by_the_standard_library(rows):
    text = "\n".join(csv_lines(("a", "b"), rows)) + "\n"
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *map(list, rows)]


def test_scan_columns_are_shared_only_when_every_row_agrees():
    rows = [
        ScanRow("f", None, {"kprobe": "yes", "kretprobe": "yes", "fentry": "no"}, {"fentry": "EBUSY"}),
        ScanRow("g", "xfs", {"kprobe": "yes", "kretprobe": "unknown", "fentry": "yes"}, {}),
        ScanRow("h", None, {"kprobe": "no"}, {}),
    ]
    assert list(listing.scan_lines(rows, Style())) == [
        "function  module  kprobe  kretprobe  fentry",
        "f                 yes     yes        EBUSY",
        "g         xfs     yes     ?          yes",
        "h                 no      -          -",
    ]
    assert list(listing.scan_lines(rows[:1], Style())) == [
        "kprobe +1: kprobe kretprobe",
        "function  kprobe +1  fentry",
        "f         yes        EBUSY",
    ]


def test_scan_rows_give_each_attach_type_a_cell():
    rows = [ScanRow("f", None, {"kprobe": "yes", "fentry": "no"}, {"fentry": "EBUSY"})]
    assert list(listing.scan_rows(rows, ("kprobe", "fentry", "tp"))) == [("f", "", "yes", "no EBUSY", "")]


def test_one_event_shows_fields_arguments_and_verdicts():
    fields = (
        EventField("common_type", "unsigned short", 0, 2, False, "unreadable", "tracepoint_access.below", "a pointer"),
        EventField("pid", "pid_t", 24, 4, True, "value", None, ""),
    )
    refused = Verdict("tp_btf", "no", "EINVAL", True, (Finding("tracepoint.no_btf", "no typed arguments", ""),))
    event = EventReport(
        "sched:x",
        7,
        fields,
        (Verdict("tp", "yes"), refused),
        (RawArgument("p", "struct task_struct *", nullable="yes"),),
    )
    assert list(events.tracepoint_lines(TracepointReport(KERNEL, (event,)), Style()))[2:] == [
        "sched:x  id 7",
        "  offset  size  access      field",
        "       0     2  unreadable  unsigned short common_type  a pointer   tracepoint_access.below",
        "      24     4  value       pid_t pid",
        "  raw arguments, ctx[n]",
        "    0  struct task_struct *p   may be NULL: tp_btf must check",
        "  yes      tp",
        "  no       tp_btf   (EINVAL)   no typed arguments   tracepoint.no_btf",
    ]


def test_several_events_are_a_list_of_names():
    report = TracepointReport(KERNEL, (EventReport("a:x", 1, ()), EventReport("a:y", None, ())))
    assert list(events.tracepoint_lines(report, Style()))[2:] == ["a:x", "a:y"]
