"""JSON: keys are the report types' fields, and those are promises."""

from __future__ import annotations

import json as standard

import pytest

from probe_scout.frontends.render import json
from probe_scout.model import report, trace
from probe_scout.model.facts import Unread
from probe_scout.model.verdict import Finding, Verdict

PROMISED = {
    report.KernelInfo: "release build_id arch source taken",
    report.CheckReport: "kernel targets",
    report.TargetReport: "target kind module verdicts coverage diagnosis alternatives",
    Verdict: "attach answer errno errno_certain findings unread",
    Finding: "rule says evidence",
    Unread: "fact kind why cure",
    report.Coverage: "answer basis build_id_match inlined_into missed_callers",
    report.Diagnosis: "kind says certainty",
    report.Alternative: "attach target answer says",
    report.ScanRow: "target module answers errno",
    report.DoctorReport: "kernel sources findings unread",
    report.SourceState: "path fact state says cure",
    trace.EventReport: "event id fields verdicts raw_args",
    trace.EventField: "name type offset size signed access rule says",
    trace.RawArgument: "name type",
}


@pytest.mark.parametrize("noun", PROMISED, ids=lambda noun: noun.__name__)
def test_promised_keys_are_still_there(noun):
    assert set(PROMISED[noun].split()) <= set(noun._fields)


def test_a_document_begins_with_its_schema():
    kernel = report.KernelInfo("6.12", "ab", "x86_64", "live", "")
    text = json.document("check", report.CheckReport(kernel, ()))
    assert next(iter(standard.loads(text).items())) == ("schema", "probe-scout/check/1")


def test_scan_line_is_compact_and_in_order():
    row = report.ScanRow("f", None, {"kprobe": "yes", "fentry": "no"}, {"fentry": "EBUSY"})
    assert list(json.scan_ndjson([row])) == [
        '{"target":"f","module":null,"answers":{"kprobe":"yes","fentry":"no"},"errno":{"fentry":"EBUSY"}}'
    ]


@pytest.mark.parametrize("value", [1.5, b"x", object()])
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(TypeError):
        json.plain({"a": [value]})
