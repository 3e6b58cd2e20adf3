"""The flat forms of a check carry the limits of each attach type."""

from __future__ import annotations

import json as plain_json

from probe_scout.frontends.render import json, listing
from probe_scout.model.report import CheckReport, Coverage, KernelInfo, Limit, TargetReport
from probe_scout.model.verdict import Verdict

LIMITS = (
    Limit("limit.maxactive", "partial", "returns are lost", "none", ("kretprobe",)),
    Limit("limit.compat_entry", "partial", "32-bit calls", "kallsyms", ("kprobe", "kretprobe")),
)
TARGET = TargetReport(
    "f",
    "function",
    None,
    tuple(Verdict(one, "yes") for one in ("kprobe", "kretprobe", "tp")),
    Coverage(),
    limits=LIMITS,
)
REPORT = CheckReport(KernelInfo("6.12", "", "x86_64", "snapshot", ""), (TARGET,))


def test_a_table_has_the_ids_of_each_type():
    heads, rows = listing.check_rows(REPORT)
    assert heads[-1] == "limits"
    assert [row[-1] for row in rows] == ["limit.compat_entry", "limit.maxactive limit.compat_entry", ""]


def test_a_line_has_the_objects_of_its_type():
    lines = [plain_json.loads(line) for line in json.check_ndjson(REPORT)]
    assert [[limit["id"] for limit in line["limits"]] for line in lines] == [
        *(["limit.compat_entry"], ["limit.maxactive", "limit.compat_entry"], []),
    ]
    assert lines[0]["limits"][0]["evidence"] == "kallsyms"


def test_lines_are_those_of_each_verdict_alone():
    lines = [plain_json.loads(line) for line in json.check_ndjson(REPORT)]
    wanted = [
        {
            "target": target.target,
            "kind": target.kind,
            "module": target.module,
            **plain_json.loads(json.line(verdict)),
            "limits": [plain_json.loads(json.line(one)) for one in target.limits if verdict.attach in one.types],
        }
        for target in REPORT.targets
        for verdict in target.verdicts
    ]
    assert lines == wanted
    assert [list(one) for one in lines] == [list(one) for one in wanted]
