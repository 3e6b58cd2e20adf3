"""The report of one event, from the bytes of its files."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed
from probe_scout.model.trace import BtfIds, Gap, RawArgument, RecordType
from probe_scout.model.verdict import Finding, Verdict
from probe_scout.probes.tracepoints.record import describe_event
from tests.builders.format_writer import Field, event_format

OPENAT = event_format(
    "sys_enter_openat",
    761,
    [
        Field("int", "__syscall_nr", 8, 4, 1),
        Field("const char *", "filename", 16, 8),
        Field("__data_loc char[]", "__filename_val", 24, 4),
    ],
)


def test_an_event_with_every_field_and_its_access():
    report = describe_event("syscalls", "sys_enter_openat", OPENAT, b"761\n")
    assert (report.event, report.id, report.notes) == ("syscalls:sys_enter_openat", 761, ())
    assert [(f.name, f.offset, f.size, f.signed, f.access) for f in report.fields[3:]] == [
        ("common_pid", 4, 4, True, "unreadable"),
        ("__syscall_nr", 8, 4, True, "value"),
        ("filename", 16, 8, False, "value"),
        ("__filename_val", 24, 4, False, "absent"),
    ]
    assert report.fields[6].rule == "tracepoint_access.syscall_copy_has_no_strings"
    assert report.fields[0]._fields[:8] == ("name", "type", "offset", "size", "signed", "access", "rule", "says")


def test_what_others_know_passes_through():
    verdicts, arguments = (Verdict("tp", "yes"),), (RawArgument("preempt", "bool"),)
    ids = b"btf_obj_id: 1\nraw_btf_id: 2\ntp_btf_id: 3\n"
    report = describe_event(
        "sched", "sched_switch", event_format("sched_switch", 5, []), None, ids, verdicts, arguments
    )
    assert (report.verdicts, report.raw_args, report.btf_ids) == (verdicts, arguments, BtfIds(1, 2, 3))
    assert report.id == 5


def test_files_that_do_not_belong_together_are_noted():
    report = describe_event("syscalls", "sys_enter_open", OPENAT, b"762\n")
    assert [note.rule for note in report.notes] == ["trace_format.ids_differ", "trace_format.names_differ"]
    assert report.id == 762


def loads(*pairs, raw=OPENAT, category="syscalls", name="sys_enter_openat", verdicts=()):
    return describe_event(category, name, raw, verdicts=verdicts, loads=pairs).reads


@pytest.mark.parametrize(
    ("offset", "size", "answer", "stage", "errno", "words"),
    [
        (4, 4, "no", "load", "EACCES", "pt_regs"),
        (9, 2, "no", "load", "EACCES", "multiple"),
        (28, 4, "no", "attach", "EACCES", "ends at byte 32 and the last defined field at 28"),
        (8, 4, "yes", None, None, "the whole field"),
        (8, 2, "yes", None, None, "a part of the field (4 bytes)"),
        (12, 4, "yes", None, None, "padding"),
        (8, 8, "yes", None, None, "fill only the first 4 bytes"),
        (24, 4, "yes", None, None, "private record without this data"),
    ],
)
def test_one_load_of_a_program(offset, size, answer, stage, errno, words):
    fields = [Field("int", "__syscall_nr", 8, 8, 1), *[Field("const char *", "filename", 16, 8)]]
    fields.append(Field("__data_loc char[]", "__filename_val", 24, 4))
    raw = OPENAT if (offset, size) != (8, 8) else event_format("sys_enter_openat", 761, fields)
    (read,) = loads((offset, size), raw=raw)
    assert (read.offset, read.size, read.answer, read.stage, read.errno) == (offset, size, answer, stage, errno)
    assert words in read.says


@pytest.mark.parametrize(
    ("rule", "errno", "name", "stage"),
    [
        ("trace_event.ring_buffer_format", "EINVAL", "bprint", "open"),
        ("trace_event.ring_buffer_format", "EINVAL", "function", "open"),
        ("trace_event.ring_buffer_format", "EINVAL", "print", "attach"),
        ("trace_event.perf_perm", "EPERM", "irq_work_exit", "open"),
        ("trace_event.wrong_program", "EINVAL", "my_probe", "attach"),
    ],
)
def test_a_load_of_an_event_that_takes_no_program(rule, errno, name, stage):
    refused = Verdict("tp", "no", errno, True, (Finding(rule, "says", ""),))
    raw = event_format(name, 7, [Field("int", "a", 8, 4, 1)])
    first, second = loads((8, 4), (0, 4), raw=raw, name=name, verdicts=(refused,))
    assert (first.answer, first.stage, first.errno, first.rule) == ("no", stage, errno, rule)
    assert (second.stage, second.errno) == ("load", "EACCES")  # the verifier comes first


def test_a_load_of_an_event_that_is_not_judged():
    (unsure,) = loads((8, 4), verdicts=(Verdict("tp", "unknown"),))
    assert unsure.answer == "unknown"


def test_padding_is_named_by_what_follows_it():
    report = describe_event("syscalls", "sys_enter_openat", OPENAT)
    assert report.gaps == (Gap(12, 4, "filename"),)
    assert (report.common_bytes, report.end_bytes) == (8, 28)


@pytest.mark.parametrize(
    ("category", "field", "memory", "certainty", "helper"),
    [
        ("syscalls", Field("const char *", "filename", 16, 8), "user", "is", "bpf_probe_read_user_str"),
        ("syscalls", Field("const char *", "buf", 16, 8), "user", "is", "bpf_probe_read_user"),
        ("syscalls", Field("struct stat *", "statbuf", 16, 8), "user", "is", "bpf_probe_read_user"),
        ("skb", Field("void *", "skbaddr", 8, 8), "kernel", "likely", "bpf_probe_read_kernel"),
        ("irq", Field("const char *", "name", 8, 8), "kernel", "likely", "bpf_probe_read_kernel_str"),
        ("a", Field("const void __user *", "p", 8, 8), "user", "is", "bpf_probe_read_user"),
        ("wq", Field("void (*)(struct work *)", "function", 8, 8), "kernel", "is", None),
        ("a", Field("__data_loc char[]", "name", 8, 4), "record", "is", "bpf_probe_read_kernel_str"),
        ("a", Field("__data_loc u64[]", "values", 8, 4), "record", "is", "bpf_probe_read_kernel"),
        ("a", Field("int", "n", 8, 4), None, None, None),
    ],
)
def test_where_a_field_leads_and_what_reads_it(category, field, memory, certainty, helper):
    found = describe_event(category, "e", event_format("e", 1, [field])).fields[-1]
    assert (found.memory, found.memory_certainty, found.read_with) == (memory, certainty, helper)


@pytest.mark.parametrize(
    ("field", "kind", "element", "elements", "element_size", "load"),
    [
        (Field("char[16]", "comm", 8, 16, 0, 16), "string", "char", 16, 1, 8),
        (Field("__u8[6]", "mac", 10, 6, 0, 6), "array", "__u8", 6, 1, 2),
        (Field("unsigned long[6]", "args", 16, 48, 0, 6), "array", "unsigned long", 6, 8, 8),
        (Field("__data_loc u32[]", "v", 8, 4), "data_loc", "u32", None, 4, 4),
        (Field("u64", "when", 12, 8), "value", None, None, None, 4),
    ],
)
def test_what_arrays_are_made_of_and_how_wide_a_load_may_be(field, kind, element, elements, element_size, load):
    found = describe_event("a", "e", event_format("e", 1, [field])).fields[-1]
    assert (found.kind, found.element_type, found.elements, found.element_size, found.load) == (
        kind,
        element,
        elements,
        element_size,
        load,
    )


def test_what_common_and_absent_fields_are_named_for_is_had_otherwise():
    report = describe_event("syscalls", "sys_enter_openat", OPENAT)
    ways = {field.name: field.instead for field in report.fields if field.instead}
    assert "bpf_get_current_pid_tgid" in ways["common_pid"]
    assert "the pointer in filename" in ways["__filename_val"]
    assert set(ways) == {"common_type", "common_flags", "common_preempt_count", "common_pid", "__filename_val"}


def test_a_program_that_takes_the_record_for_its_arguments_is_warned():
    record = RecordType("trace_event_raw_e", "name", "vmlinux", 5)
    raw = event_format("e", 1, [])
    warned = describe_event("a", "e", raw, raw_args=(RawArgument("a", "int"),), record=record)
    assert [note.rule for note in warned.notes] == ["tp_btf.ctx_is_arguments"]
    assert describe_event("a", "e", raw, record=record).notes == ()


def test_a_file_that_cannot_be_read_is_named():
    with pytest.raises(Malformed, match="events/a/b/format"):
        describe_event("a", "b", b"")
    with pytest.raises(Malformed, match="events/a/b/id"):
        describe_event("a", "b", OPENAT, b"x")
    with pytest.raises(Malformed, match="events/a/b/btf_ids"):
        describe_event("a", "b", OPENAT, None, b"x")


@pytest.mark.parametrize(
    ("declared", "name", "helper"),
    [
        ("const char *", "filename", "bpf_probe_read_user_str"),
        ("const char *", "buf", "bpf_probe_read_user"),  # of write: bytes, and no end among them
        ("char *", "list", "bpf_probe_read_user"),
        ("char *", "dev_name", "bpf_probe_read_user_str"),  # of mount, which has no const
        ("const char *", "_type", "bpf_probe_read_user_str"),
    ],
)
def test_copied_data_is_read_from_its_argument_with_the_arguments_helper(declared, name, helper):
    fields = (Field(declared, name, 16, 8), Field("__data_loc char[]", f"__{name}_val", 24, 4))
    raw = event_format("sys_enter_x", 7, fields)
    pointer, value = describe_event("syscalls", "sys_enter_x", raw).fields[-2:]
    assert pointer.read_with == helper
    assert (value.access, value.instead) == ("absent", f"{helper} from the pointer in {name}")
