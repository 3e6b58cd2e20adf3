"""`inline` for people, as tables and as lines of JSON."""

from __future__ import annotations

import json

import pytest

from probe_scout.frontends.cli import output, run
from probe_scout.frontends.render.inline import inline_lines, inline_rows, table_lines
from probe_scout.frontends.render.json import document, inline_ndjson
from probe_scout.frontends.render.style import Style
from probe_scout.model.facts import Unread
from probe_scout.model.inline import (
    DebugSource,
    InlinedCopy,
    InlinedFunction,
    InlineReport,
    InlineRow,
    InlineTable,
    ParameterPlace,
)
from probe_scout.model.report import Alternative, Coverage, KernelInfo
from probe_scout.model.verdict import Finding, Verdict

KERNEL = KernelInfo("6.12.107", "", "x86_64", "live", "")
DEBUG = DebugSource("/usr/lib/debug/boot/vmlinux-6.12.107", "9c54", True, "release")
REFUSED = Verdict("kprobe", "no", "EILSEQ", True, (Finding("kprobe_instruction.boundary", "No instruction.", ""),))
PLACES = (ParameterPlace("f", "register", "di"), ParameterPlace("n", "entry", "si"), ParameterPlace("p", "lost", ""))


def copy(symbol: str, offset: int, verdict: Verdict | None = None, seen: bool = False) -> InlinedCopy:
    chain = ("middle", "outer", symbol)
    return InlinedCopy(f"{symbol}+{offset:#x}", symbol, offset, chain, "a.c", 30, seen, verdict, PLACES)


FUNCTION = InlinedFunction(
    *("f", "a.c", 7, "partial", "A probe on it misses 1 inlined copy in 1 function.", ("f",), ("g",)),
    *((copy("f", 8, seen=True), copy("g", 41, Verdict("kprobe", "yes")), copy("h", 3, REFUSED)), 2),
)
REPORT = InlineReport(
    *(KERNEL, "f", None, Coverage("partial", "dwarf", True), DEBUG, (FUNCTION,)),
    alternatives=(Alternative("fentry", "g", "yes", "Holds it."), Alternative("kprobe", "g", "yes", "Holds it.")),
    notes=("A note.",),
)
MISSING = InlineReport(
    *(KERNEL, "f", None, Coverage(), None, ()),
    unread=(Unread("debug", "not_there", "none was found", "install it"),),
)


def test_the_class_then_every_copy_with_its_answer():
    assert list(inline_lines(REPORT, Style()))[1:] == [
        "debug information /usr/lib/debug/boot/vmlinux-6.12.107 (of this build)",
        "",
        "f  a.c:7",
        "  inlined  partial: A probe on it misses 1 inlined copy in 1 function.",
        "  missed   by a probe on it, in g",
        "  gone     2 copies were optimised away",
        "  yes      kprobe g+0x29",
        "             through middle into outer, called at a.c:30",
        "             f di, n si at the symbol's entry only, p lost",
        "  no       kprobe h+0x3 (EILSEQ)",
        "             No instruction.   kprobe_instruction.boundary",
        "             through middle into outer, called at a.c:30",
        "             f di, n si at the symbol's entry only, p lost",
        "           kprobe f+0x8   seen by a probe on the function",
        "             through middle into outer, called at a.c:30",
        "             f di, n si at the symbol's entry only, p lost",
        "  note     A note.",
        "  instead  fentry kprobe g (yes): Holds it.",
    ]


def test_what_is_missing_comes_with_its_cure():
    lines = list(inline_lines(MISSING, Style()))
    assert "  unknown  could not read debug (not there): none was found" in lines
    assert lines[-1] == "  to know  install it"


def test_many_copies_are_cut_for_people_only():
    many = REPORT._replace(functions=(FUNCTION._replace(copies=(copy("g", 1),) * 50),))
    assert "           and 10 more copies; --format json or ndjson lists all" in list(inline_lines(many, Style()))
    assert len(list(inline_ndjson(many))) == 50


def test_rows_and_lines_of_json():
    heads, rows = inline_rows(REPORT)
    assert dict(zip(heads, rows[1], strict=True)) == {
        "name": "f",
        "kind": "partial",
        "place": "g+0x29",
        "kprobe": "yes",
        "errno": "",
        "seen": "no",
        "inlined into": "middle > outer > g",
        "call": "a.c:30",
        "parameters": "f di, n si at the symbol's entry only, p lost",
    }
    first = json.loads(next(inline_ndjson(REPORT)))
    assert (first["name"], first["kind"], first["copy"]["target"]) == ("f", "partial", "f+0x8")
    bare = REPORT._replace(functions=(FUNCTION._replace(copies=()),))
    assert json.loads(next(inline_ndjson(bare)))["copy"] is None
    assert json.loads(document("inline", REPORT))["schema"] == "probe-scout/inline/1"


def test_the_table_of_a_whole_file():
    rows = [
        InlineRow("f", None, "partial", 3, 2, ("f",), "a.c", 7),
        InlineRow("g", "xfs", "transformed", 0, 0, ("g.isra.0",), "", 0),
    ]
    assert list(table_lines(rows, Style())) == [
        "name  module  kind         copies  missed  symbols   source",
        "f             partial           3       2            a.c:7",
        "g     xfs     transformed       0       0  g.isra.0",
    ]


# the command


class StubKernel:
    """Answers with one report; `asked` keeps the arguments."""

    def __init__(self, report):
        self.report, self.asked = report, []

    def inline(self, name, debug="", announce=None, progress=None):
        self.asked.append((name, debug))
        return self.report

    def inline_all(self, glob, kinds, debug, announce, progress):
        self.asked.append((glob, kinds, debug, progress))
        return self.report


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (REPORT, 1),
        (REPORT._replace(coverage=Coverage("complete", "dwarf", True)), 0),
        (REPORT._replace(coverage=Coverage("unknown", "dwarf", True, clones=("f.isra.0",))), 1),
        (REPORT._replace(functions=(), coverage=Coverage()), 1),
        (REPORT._replace(debug=DEBUG._replace(matches=False)), 3),
        (MISSING, 3),
    ],
)
@pytest.mark.parametrize("form", ["table", "json", "ndjson", "csv", "md"])
def test_exit_codes(monkeypatch, capsys, report, code, form):
    kernel = StubKernel(report)
    monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None: kernel)
    assert run.main(["inline", "f", "--debug", "v", "--format", form]) == code
    assert kernel.asked == [("f", "v")]
    if report is MISSING and form == "csv":
        assert "none was found; install it" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["table", "json", "ndjson", "csv", "md", "grid"])
def test_all_functions_in_every_format(monkeypatch, capsys, form):
    row = InlineRow("f", None, "partial", 3, 2, ("f",), "a.c", 7)
    kernel = StubKernel(InlineTable(KERNEL, DEBUG, iter([row])))
    monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None: kernel)
    assert run.main(["inline", "--all", "f*", "--class", "partial,full", "--format", form]) == 0
    assert kernel.asked == [("f*", ("partial", "full"), "", None)]
    assert "partial" in capsys.readouterr().out


def test_all_functions_without_debug_information_and_without_a_match(monkeypatch, capsys):
    for report, code, said in [
        (InlineTable(KERNEL, None, (), MISSING.unread), 3, "none was found"),
        (InlineTable(KERNEL, DEBUG, ()), 1, "no function matches '*'"),
    ]:
        kernel = StubKernel(report)
        monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None, kernel=kernel: kernel)
        assert run.main(["inline", "--all"]) == code
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (["inline"], "takes the name of a function, or --all"),
        (["inline", "f", "--class", "full"], "--class goes with --all"),
        (["inline", "--all", "--class", "some"], "--class 'some' is not known"),
    ],
)
def test_lines_that_make_no_sense(capsys, line, sentence):
    assert run.main(line) == 2
    assert sentence in capsys.readouterr().err


def test_progress_is_drawn_on_a_terminal_only(monkeypatch, capsys):
    assert output.progress() is None
    times = iter([0.0, 0.2, 0.7, 0.75, 2.0])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    draw = output.progress()
    for done in (1, 50, 55, 100):
        draw(done, 100)
    assert capsys.readouterr().err == "\rreading debug information: 50 %\x1b[K\r\x1b[K"
