"""SARIF, JUnit and workflow commands: read back, with names that would break each of them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from probe_scout.frontends.render import ci
from probe_scout.model.hooks import Hook
from probe_scout.model.matrix import Cell, Column, MatrixReport
from probe_scout.model.report import KernelInfo

HOSTILE = "<script>alert('x')</script> & \"q\" ]]> %0A ::error::,\u0085"


def kernel(release):
    return Column(f"{release}.tar.xz", KernelInfo(release, release[:4], "x86_64", "snapshot", ""))


def report():
    hooks = (
        Hook("fine", ("fentry/a",)),
        Hook(HOSTILE, ("fentry/b", "kprobe/b"), "src/a b:c,d.c:12"),
        Hook("may", ("fentry/c",), "x.c", "may"),
        Hook("open", ("fentry/d",)),
        Hook("half", ("fentry/e",), coverage="complete"),
    )
    cells = (
        *(Cell(0, k, "attaches", "yes", "fentry", "a", 0) for k in (0, 1)),
        Cell(1, 0, "attaches", "yes", "fentry", "b", 0),
        Cell(1, 1, "refused", "no", errno="EINVAL", says=HOSTILE),
        *(Cell(2, k, "refused", "no", errno="ENOENT", says="gone") for k in (0, 1)),
        *(Cell(3, k, "unknown", "unknown", says="btf: denied") for k in (0, 1)),
        *(Cell(4, k, "misses", "no", "fentry", "e", 0, "partial", says="sees some calls") for k in (0, 1)),
    )
    return MatrixReport((kernel("6.1"), kernel("7.3")), hooks, cells)


def test_sarif_has_one_result_for_each_hook_that_is_not_everywhere_yes():
    document = json.loads(ci.sarif(report(), "1"))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    results = run["results"]
    assert [(one["ruleId"], one["level"]) for one in results] == [
        ("hook-refused", "error"),
        ("hook-refused", "note"),
        ("hook-cannot-be-told", "warning"),
        ("hook-misses-calls", "error"),
    ]
    assert all(rules[one["ruleIndex"]] == one["ruleId"] for one in results)
    place = results[0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "src/a%20b%3Ac%2Cd.c"}, "region": {"startLine": 12}}
    assert "locations" not in results[2]
    assert "7.3: no, EINVAL" in results[0]["message"]["text"]
    assert "6.1" not in results[0]["message"]["text"]


def test_junit_counts_what_it_holds():
    top = ElementTree.fromstring(ci.junit(report()))
    assert {word: top.get(word) for word in ("tests", "failures", "errors", "skipped")} == {
        "tests": "10",
        "failures": "3",
        "errors": "2",
        "skipped": "2",
    }
    for suite in top:
        found = [child.tag for case in suite for child in case]
        assert [found.count(tag) for tag in ("failure", "error", "skipped")] == [
            int(suite.get(word)) for word in ("failures", "errors", "skipped")
        ]
    case = top[1][1]
    assert (case.get("classname"), case.get("line")) == ("7.3", "12")
    assert "<script>" in case[0].get("message")


def test_workflow_commands_keep_to_their_lines():
    lines = list(ci.github(report()))
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::notice", "::warning", "::error"]
    properties, _, message = lines[0][2:].partition("::")
    assert properties.startswith("error file=src/a b%3Ac%2Cd.c,line=12,title=probe-scout%3A <script>")
    assert properties.count(",") == 2
    assert "%250A" in message
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("source", "place"),
    [("a.c:7", ("a.c", 7)), ("a.c", ("a.c", 1)), ("a:b", ("a:b", 1)), ("a:0", ("a:0", 1)), (":3", ("", 3))],
)
def test_place_of_a_source(source, place):
    assert ci.place(source) == place
