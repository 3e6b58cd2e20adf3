"""Tables: our own, tabulate's, CSV; and the lists that use them."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from probe_scout.frontends.render import events, listing, table
from probe_scout.frontends.render.csv import csv_lines
from probe_scout.frontends.render.style import Style
from probe_scout.model.report import KernelInfo, ScanRow
from probe_scout.model.trace import EventField, EventRead, EventReport, RawArgument, TracepointReport
from probe_scout.model.verdict import Finding, Verdict

KERNEL = KernelInfo("6.12.107", "", "x86_64", "snapshot", "")


def test_plain_table_aligns_words_left_and_numbers_right():
    lines = list(table.plain(("name", "size", "says"), [("a", "4", "x"), ("long", "16", "")]))
    assert lines == ["name  size  says", "a        4  x", "long    16"]


def test_plain_table_wraps_its_last_column_under_itself():
    lines = list(table.plain(("n", ""), [("a", "one two three four five six")], Style(False, 24)))
    assert lines == ["n", "a  one two three four", "   five six"]


def test_a_wide_table_of_text_has_it_below_the_rest():
    rows = [("a" * 20, "read", "what the file is good for"), ("b", "denied", "")]
    assert list(table.plain(("path", "state", "says"), rows, Style(False, 40))) == [
        "path                  state",
        "    says",
        "aaaaaaaaaaaaaaaaaaaa  read",
        "    what the file is good for",
        "b                     denied",
    ]
    assert max(map(len, table.plain(("path", "state", "says"), rows, Style(False, 25)))) <= 26


def test_a_wide_table_of_short_cells_gives_a_long_first_one_a_line():
    rows = [("vfs_read", "yes", "1"), ("a_function_of_a_long_name", "no", "2")]
    assert list(table.plain(("function", "fentry", "n"), rows, Style(False, 19))) == [
        "function  fentry  n",
        "vfs_read  yes     1",
        "a_function_of_a_long_name",
        "          no      2",
    ]


def test_scan_columns_have_letters_where_lines_are_short():
    rows = [ScanRow("f", None, {"kprobe.multi": "yes", "fentry.multi": "no"}, {"fentry.multi": "EBUSY"})]
    assert list(listing.scan_lines(rows, Style(False, 30)))[-2:] == ["function  A    B", "f         yes  EBUSY"]
    assert list(listing.scan_lines(rows, Style(False, 30)))[:2] == ["A: kprobe.multi", "B: fentry.multi"]


def test_plain_table_without_rows_is_its_heads():
    assert list(table.plain(("a", "b"), [])) == ["a  b"]


def test_markdown_keeps_bars_inside_cells_and_numbers_as_written():
    assert table.formatted("md", ("a", "b"), [("x|y", "010")]).splitlines()[-1] == "| x\\|y | 010 |"


cells = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=8)


@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_csv_is_read_back_by_the_standard_library(rows):
    text = "\n".join(csv_lines(("a", "b"), rows)) + "\n"
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *map(list, rows)]


KEY = (
    "yes, or the errno of a no; ? unknown; - does not apply. "
    "In the order of the symbol table: the kernel by address, then each module."
)


def test_scan_columns_are_shared_only_when_every_row_agrees():
    rows = [
        ScanRow("f", None, {"kprobe": "yes", "kretprobe": "yes", "fentry": "no"}, {"fentry": "EBUSY"}),
        ScanRow("g", "xfs", {"kprobe": "yes", "kretprobe": "unknown", "fentry": "yes"}, {}),
        ScanRow("h", None, {"kprobe": "no"}, {}),
    ]
    assert list(listing.scan_lines(rows, Style())) == [
        KEY,
        "function  module  kprobe  kretprobe  fentry",
        "f                 yes     yes        EBUSY",
        "g         xfs     yes     ?          yes",
        "h                 no      -          -",
    ]
    assert list(listing.scan_lines(rows[:1], Style())) == [
        "kprobe +1: kprobe kretprobe",
        KEY,
        "function  kprobe +1  fentry",
        "f         yes        EBUSY",
    ]


def test_scan_rows_give_each_attach_type_a_cell():
    rows = [ScanRow("f", None, {"kprobe": "yes", "fentry": "no"}, {"fentry": "EBUSY"})]
    assert list(listing.scan_rows(rows, ("kprobe", "fentry", "tp"))) == [("f", "", "yes", "no EBUSY", "")]


def field(name, type_, offset, size, access="value", says="the value", rule=None, **more):
    return EventField(name, type_, offset, size, more.pop("signed", False), access, rule, says, **more)


def test_one_event_begins_with_the_answer():
    fields = (
        field("common_type", "unsigned short", 0, 2, "unreadable", "a pointer", "tracepoint_access.below"),
        field("pid", "pid_t", 24, 4, signed=True),
        field("name", "const char *", 32, 8, says="a pointer to user memory: HELPER", kind="pointer"),
    )
    refused = Verdict("tp_btf", "no", "EINVAL", True, (Finding("tracepoint.no_btf", "no typed arguments", ""),))
    read = EventRead(24, 4, "yes", None, None, None, "the whole field", "pid")
    event = EventReport(
        "sched:x",
        7,
        fields,
        (Verdict("tp", "yes"), refused),
        (
            RawArgument("p", "struct task_struct *", nullable="yes"),
            RawArgument("by", "struct pair", 1, 1, 16, "struct"),
        ),
        reads=(read,),
    )
    assert list(events.tracepoint_lines(TracepointReport(KERNEL, (event,)), Style()))[2:] == [
        "sched:x  id 7",
        "  yes      load 24:4 pid: the whole field",
        "  yes      tp",
        "  no       tp_btf   (EINVAL)   no typed arguments   tracepoint.no_btf",
        "",
        "  offset  size  access      kind      field                       how to get it",
        "       0     2  unreadable  unsigned  unsigned short common_type  a pointer   tracepoint_access.below",
        "      24     4  value       signed    pid_t pid",
        "      32     8  value       pointer   const char * name           a pointer to user memory: HELPER",
        "",
        "  raw arguments, ctx[n] of raw_tp and tp_btf",
        "    0  struct task_struct *p   may be NULL: tp_btf must check",
        "    1  struct pair by   not known whether it may be NULL: check it",
    ]


def test_what_holds_for_several_fields_is_said_once_below_the_table():
    said = ("unreadable", "a pointer of the kernel's own", "below")
    fields = (
        field("common_type", "unsigned short", 0, 2, *said, instead="a constant"),
        field("common_pid", "int", 4, 4, *said, instead="HELPER", signed=True),
        field("a", "int", 8, 8, says="a register"),
        field("b", "enum e", 16, 8, says="a register", kind="enum"),
        field("p", "void *", 24, 8, says="to memory: HELPER", kind="pointer", read_with="HELPER"),
        field("q", "void *", 32, 8, says="to memory: HELPER", kind="pointer", read_with="HELPER"),
        field("r", "__data_loc char[]", 40, 4, "indirect", "a word", "located", kind="data_loc", read_with="READ"),
        field("s", "__data_loc char[]", 44, 4, "indirect", "a word", "located", kind="data_loc", read_with="READ"),
    )
    lines = list(events.tracepoint_lines(TracepointReport(KERNEL, (EventReport("a:x", 1, fields),)), Style()))[5:]
    assert lines == [
        "       0     2  unreadable  unsigned  unsigned short common_type  a constant",
        "       4     4  unreadable  signed    int common_pid              HELPER",
        "       8     8  value       unsigned  int a",
        "      16     8  value       enum      enum e b",
        "      24     8  value       pointer   void * p                    to memory: HELPER",
        "      32     8  value       pointer   void * q                    to memory: HELPER",
        "      40     4  indirect    data_loc  __data_loc char[] r         READ",
        "      44     4  indirect    data_loc  __data_loc char[] s         READ",
        "  unreadable common_type common_pid: a pointer of the kernel's own   below",
        "  value a b: a register",
        "  indirect r s: a word   located",
    ]


def test_where_there_is_no_room_beside_a_field_how_to_get_it_stands_below():
    told = (field("name", "const char *", 32, 8, says="a pointer to user memory: HELPER", kind="pointer"),)
    report = TracepointReport(KERNEL, (EventReport("a:x", 1, (*told, field("pid", "pid_t", 40, 4))),))
    assert list(events.tracepoint_lines(report, Style(width=60)))[4:] == [
        "  offset  size  access  kind      field",
        "      32     8  value   pointer   const char * name",
        "         a pointer to user memory: HELPER",
        "      40     4  value   unsigned  pid_t pid",
    ]


def test_the_list_tells_what_the_kinds_of_its_events_mean():
    told = (
        EventReport("a:x", 1, ()),
        EventReport("p_tp", None, (), kind="bare"),
        EventReport("ftrace:f", 2, (), kind="ftrace"),
    )
    lines = list(events.tracepoint_lines(TracepointReport(KERNEL, told), Style()))[2:]
    assert lines[:4] == ["a:x", "p_tp       bare", "ftrace:f   ftrace", ""]
    assert [line.partition(":")[0] for line in lines[4:]] == ["  ftrace (1)", "  bare (1)"]


def test_several_events_are_a_list_of_names():
    report = TracepointReport(KERNEL, (EventReport("a:x", 1, ()), EventReport("a:y", None, ())))
    assert list(events.tracepoint_lines(report, Style()))[2:] == ["a:x", "a:y"]
