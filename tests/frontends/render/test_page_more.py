"""The pages of audits and of differences: every name is text, every row is there, and the worst comes first."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from probe_scout.frontends.cli.run import main
from probe_scout.frontends.render.page_more import audit_html, diff_html, worst
from probe_scout.frontends.session import open_kernel
from probe_scout.model.audit import (
    BROKEN,
    NOTE,
    WARNING,
    Attachment,
    AuditFinding,
    AuditReport,
    Owner,
    Place,
    ProgramRef,
)
from probe_scout.model.report import KernelInfo
from tests.conftest import ROOT

KERNELS = [str(ROOT / "fixtures" / "kernels" / f"debian-{one}-amd64.tar.xz") for one in ("6.1.176", "7.3.4")]
HOSTILE = "<script>alert(1)</script>\"'&\x1b[1m\ud800"
PROGRAM = ProgramRef(7, "tracing", HOSTILE, "00")


class Reader(HTMLParser):
    """Tags that were opened, and the text of table cells."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.cells, self.is_in = [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.is_in = True
            self.cells.append("")

    def handle_endtag(self, tag):
        self.is_in = self.is_in and tag not in ("td", "th")

    def handle_data(self, data):
        if self.is_in:
            self.cells[-1] += data


def report(*rows):
    return AuditReport(KernelInfo("6.12", "ab" * 20, "x86_64", "snapshot", ""), rows, (), "scanned", ())


def finding(level):
    return AuditFinding(f"audit.{level}", level, HOSTILE, HOSTILE)


def test_names_are_text():
    page = audit_html(
        [
            (HOSTILE, report(Attachment(HOSTILE, HOSTILE, prog=PROGRAM, owners=(Owner(1, HOSTILE, 3),))), ""),
            ("b", None, HOSTILE),
        ],
        "probe-scout",
    )
    assert "script" not in Reader(page).tags
    page.encode()


def test_the_worst_comes_first():
    rows = [
        Attachment("kprobe", level or "sound", findings=(finding(level),) if level else ())
        for level in ("", NOTE, BROKEN, WARNING)
    ]
    cells = Reader(audit_html([("a", report(*rows), "")], "x")).cells
    assert [one for one in cells if one in (BROKEN, WARNING, NOTE, "sound")] == [BROKEN, WARNING, NOTE, "sound"]
    assert worst([finding(NOTE), finding(BROKEN)]) == BROKEN


def test_places_of_trampolines_are_counted_for_each_function():
    rows = (
        *(Attachment("fentry", "f", prog=PROGRAM), Attachment("fexit", "f", prog=PROGRAM)),
        *(Attachment("fsession", "f", prog=PROGRAM), Attachment("kprobe", "f", prog=PROGRAM)),
        Attachment("fentry.multi", None, prog=PROGRAM, places=(Place("f", None, 0, None), Place("g", "xfs", 0, None))),
    )
    cells = Reader(audit_html([("a", report(*rows), "")], "x")).cells
    assert "5 of 38" in cells
    assert cells[cells.index("5 of 38") - 1] == "f"
    assert cells[cells.index("1 of 38") - 1] == "xfs:g"


def test_every_difference_is_a_row():
    found = open_kernel(KERNELS[0]).diff(open_kernel(KERNELS[1]), "tcp_*")
    cells = Reader(diff_html(found, "x")).cells
    assert found.functions
    for one in (*found.functions, *found.events):
        assert any(one.target in cell for cell in cells)


def test_the_commands(tmp_path, capsys):
    out = tmp_path / "page.html"
    words = ["--root", KERNELS[0], "--root", KERNELS[1], "-o", str(out)]
    assert main(["report", "tcp_v6_*", "--page", "diff", *words]) in (0, 3)
    assert "tcp_v6_connect" in out.read_text()
    assert main(["report", "--page", "audit", *words]) == 0
    assert "could not be read" in out.read_text()
    for wrong in (["x", "--page", "audit", *words], ["--page", "diff", *words[2:]], ["--page", "other", *words]):
        assert main(["report", *wrong]) == 2
    capsys.readouterr()


def test_hooks_of_an_object_as_data_of_what_attaches(tmp_path, capsys):
    thing = str(ROOT / "fixtures" / "objects" / "targets.bpf.o")
    outputs = [word for form in ("c", "rust", "go") for word in ("--output", f"{form}={tmp_path / form}")]
    code = main(["matrix", thing, "--root", KERNELS[1], "--json", *outputs])
    done = capsys.readouterr()
    assert code == 1
    assert "left out: kprobe_no_target" in done.err
    assert "fentry_ok" in {hook["name"] for hook in json.loads(done.out)["hooks"]}
    for form in ("c", "rust", "go"):
        assert '"fentry", "vfs_read"' in (tmp_path / form).read_text()
