"""Advice on a kernel that is locked down: nothing to call that the kernel does not give."""

from __future__ import annotations

from probe_scout.commands import doctor, stub
from tests.builders.format_writer import Field, event_format

EVENT = "sys/kernel/tracing/events/sched/sched_process_exec/format"
FIELDS = (
    Field("__data_loc char[]", "filename", 8, 4, 0),
    Field("char[16]", "comm", 12, 16, 0, 16),
    Field("const void *", "where", 32, 8, 0),
    Field("pid_t", "pid", 40, 4, 1),
)


def opened(tiny_kernel, lockdown):
    files = {EVENT: event_format("sched_process_exec", 300, list(FIELDS))}
    return tiny_kernel(["vfs_read"], events=("sched:sched_process_exec",), lockdown=lockdown, files=files)


def fields(kernel):
    from probe_scout.probes.tracepoints import listing as events

    (report,), _, _ = events.reports(kernel._kernel, "sched:sched_process_exec")
    return {field.name: field for field in report.fields}


def test_how_to_get_a_field_names_helpers_where_they_may_be_called(tiny_kernel):
    told = fields(opened(tiny_kernel, "integrity"))
    assert told["filename"].read_with == "bpf_probe_read_kernel_str"
    assert "bpf_probe_read_kernel" in told["filename"].says
    assert "bpf_probe_read_kernel" in told["comm"].says
    assert "bpf_probe_read_kernel" in told["where"].says


def test_how_to_get_a_field_names_no_helper_that_the_lockdown_closes(tiny_kernel):
    told = fields(opened(tiny_kernel, "confidentiality"))
    assert [name for name, field in told.items() if "probe_read_kernel" in f"{field.says}{field.read_with}"] == []
    assert told["filename"].says.startswith("a u32: low 16 bits")
    assert told["filename"].says.endswith("take the typed arguments of tp_btf")
    assert told["comm"].says.endswith("load its parts")
    assert told["pid"] == fields(opened(tiny_kernel, "none"))["pid"]


def test_a_stub_of_a_kernel_that_is_locked_down_says_what_does_not_load(tiny_kernel):
    locked = stub.report(
        opened(tiny_kernel, "confidentiality")._kernel, ["tp_btf:sched:sched_process_exec"], "c", "tp_btf"
    )
    assert any("locked down" in note for note in locked.notes)
    plain = stub.report(opened(tiny_kernel, "none")._kernel, ["tp_btf:sched:sched_process_exec"], "c", "tp_btf")
    assert plain.notes == ()


def test_doctor_has_a_finding_and_names_the_state(tiny_kernel):
    for state, word in (("confidentiality", "helpers read no kernel memory"), ("integrity", "bpf_probe_write_user")):
        report = doctor.report(opened(tiny_kernel, state)._kernel)
        (finding,) = [f for f in report.findings if f.rule == "doctor.lockdown"]
        assert word in finding.says
        assert next(s.says for s in report.sources if s.fact == "lockdown").startswith(f"lockdown: {state}")
    assert all(f.rule != "doctor.lockdown" for f in doctor.report(opened(tiny_kernel, "none")._kernel).findings)
