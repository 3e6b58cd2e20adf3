"""`lint` in the formats of continuous integration, read back by other readers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from probe_scout.frontends.cli import run

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "pyproject.toml").exists())
OBJECT = ROOT / "fixtures" / "objects" / "relocations.bpf.o"
SNAPSHOT = ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lint")
    words = [f"--output={form}={folder / form}" for form in ("sarif", "junit", "github", "json", "table", "md")]
    assert run.main(["lint", str(OBJECT), "--root", str(SNAPSHOT), "--format", "csv", *words]) == 1
    return folder


@pytest.fixture(scope="module")
def refused(written) -> dict[str, dict]:
    (one,) = json.loads((written / "json").read_text())["objects"]
    return {program["name"]: program for program in one["kernels"][0]["programs"] if program["answer"] == "no"}


def test_sarif_has_a_result_for_each_program_that_is_refused(written, refused):
    (found,) = json.loads((written / "sarif").read_text())["runs"]
    results = found["results"]
    assert len(results) == len(refused) > 5
    assert {result["level"] for result in results} == {"error"}
    for result in results:
        assert found["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_junit_counts_them(written, refused):
    suites = ElementTree.fromstring((written / "junit").read_text())
    assert int(suites.attrib["failures"]) == len(refused)
    failed = {case.attrib["name"] for case in suites.iter("testcase") if case.find("failure") is not None}
    assert failed == set(refused)


def test_annotations_are_one_line_each(written, refused):
    lines = (written / "github").read_text().splitlines()
    assert len(lines) == len(refused)
    assert all(line.startswith("::error file=") for line in lines)


def test_what_to_change_is_told(written, refused):
    told = [f["says"] for f in refused["task_state_old_only"]["findings"] if f["rule"].startswith("object_advice.")]
    assert told[0].startswith("guard it: if (bpf_core_field_exists(((struct task_struct___old *)0)->state))")
    assert "task_struct has __state:" in told[1]
    assert "try: guard it" in (written / "table").read_text()
