"""Every id that a report can show has a page in `rules ID`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import probe_scout
from probe_scout.commands.audit.checks import CHECKS
from probe_scout.frontends.cli import run
from probe_scout.frontends.cli.pages import finding_pages, rule_pages
from probe_scout.rules.object_findings import TABLE as OBJECTS

PACKAGE = Path(probe_scout.__file__).parent
WRITTEN = re.compile(r'(?:Finding|Hazard)\(\s*"([a-z_]+\.[a-z_0-9]+)"')


def test_every_finding_in_the_code_has_a_page():
    shown = {name for path in PACKAGE.rglob("*.py") for name in WRITTEN.findall(path.read_text())}
    shown |= set(re.findall(r'"(limit\.[a-z_0-9]+)"', (PACKAGE / "probes/attach/limits.py").read_text()))
    shown |= {
        name
        for path in (PACKAGE / "probes/user").glob("*.py")
        for name in re.findall(r'"(limit\.[a-z_0-9]+)"', path.read_text())
    }
    assert {"silent.ftrace_off", "doctor.container", "hazard.lock"} <= shown
    assert shown - {page.id for page in (*finding_pages(), *rule_pages())} == set()
    for path, pattern in (
        ("rules/tracepoint_access.py", "tracepoint_access"),
        ("probes/attach/instruction.py", "kprobe_instruction"),
    ):
        shown |= set(re.findall(rf'"({pattern}\.[a-z_]+)"', (PACKAGE / path).read_text()))
    shown |= {"kprobe_instruction.not_read", "kprobe_register.preamble"}  # ids of before, which lead to those of today
    objects = {row[0] for row in OBJECTS}  # tests/commands/test_lint.py
    assert {page.id for page in finding_pages()} <= shown | {check.id for check in CHECKS} | objects


@pytest.mark.parametrize("page", finding_pages(), ids=lambda page: page.id)
def test_a_page_is_shown(page, capsys):
    assert run.main(["rules", page.id, "--color", "never"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{page.id}\n\n")
    assert page.says in " ".join(out.split())


def test_the_list_holds_rules_only(capsys):
    assert run.main(["rules", "--format", "csv"]) == 0
    assert "silent." not in capsys.readouterr().out


def test_the_table_says_how_findings_are_listed(capsys):
    assert run.main(["rules", "--color", "never"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "probe-scout rules GROUP" in last
    for group in {page.id.partition(".")[0] for page in finding_pages()}:
        assert group in last


@pytest.mark.parametrize("word", ["audit", "audit.", "audit.*"])
def test_a_group_is_listed(word, capsys):
    assert run.main(["rules", word, "--format", "csv"]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.partition(",")[0] for row in rows] == [check.id for check in CHECKS]


def test_a_group_of_rules_is_listed(capsys):
    assert run.main(["rules", "symbol_lookup"]) == 0
    ids = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert ids == [page.id for page in rule_pages() if page.id.startswith("symbol_lookup.")]
    assert len(ids) > 1


@pytest.mark.parametrize("word", [".", "*", ".*", "aud"])
def test_what_is_no_group_is_none(word, capsys):
    assert run.main(["rules", word]) == 2
    assert "Traceback" not in capsys.readouterr().err
