"""Which bytes of an event's record a `tp` program may load, and what it finds there."""

from __future__ import annotations

import pytest

from probe_scout.formats.text import trace_format
from probe_scout.rules import tracepoint_access as access
from tests.builders.format_writer import COMMON, LAZY, Field, event_format


def event(fields, category="sched", common=COMMON):
    return trace_format.parse(event_format("e", 1, fields, common=common), category=category)


SWITCH = event(
    [
        Field("char[16]", "prev_comm", 8, 16, 0, 16),
        Field("long", "prev_state", 24, 8, 1),
        Field("int", "next_prio", 32, 4, 1),
    ]
)
OPENAT = event(
    [
        Field("int", "__syscall_nr", 8, 4, 1),
        Field("int", "dfd", 16, 8),
        Field("const char *", "filename", 24, 8),
        Field("__data_loc char[]", "__filename_val", 32, 4),
    ],
    "syscalls",
)


@pytest.mark.parametrize(
    ("offset", "size", "answer"),
    [
        (-8, 8, (False, "load", "EACCES", access.BELOW_POINTER_SIZE)),
        (0, 8, (False, "load", "EACCES", access.BELOW_POINTER_SIZE)),
        (7, 1, (False, "load", "EACCES", access.BELOW_POINTER_SIZE)),
        (8, 1, (True, None, None, None)),
        (8, 8, (True, None, None, None)),
        (12, 8, (False, "load", "EACCES", access.UNALIGNED)),
        (33, 2, (False, "load", "EACCES", access.UNALIGNED)),
        (32, 4, (True, None, None, None)),
        (35, 1, (True, None, None, None)),
        (32, 8, (False, "attach", "EACCES", access.BEYOND_LAST_FIELD)),
        (36, 1, (False, "attach", "EACCES", access.BEYOND_LAST_FIELD)),
        (8191, 1, (False, "attach", "EACCES", access.BEYOND_LAST_FIELD)),
        (8192, 1, (False, "load", "EACCES", access.BEYOND_LIMIT)),
    ],
)
def test_one_load(offset, size, answer):
    assert access.reads(offset, size, SWITCH) == answer


def test_the_last_field_is_the_last_defined_not_the_furthest():
    fmt = event([Field("long", "far", 16, 8), Field("int", "near", 8, 4)])
    assert access.record_end_bytes(fmt) == 12
    assert access.reads(16, 8, fmt).rule == access.BEYOND_LAST_FIELD
    assert access.field_access(fmt.fields[4], fmt)[1:3] == ("unreadable", access.BEYOND_LAST_FIELD)


def test_an_event_without_fields_of_its_own_cannot_be_told():
    assert access.reads(8, 1, event([])) is None
    assert access.reads(0, 1, event([])).rule == access.BELOW_POINTER_SIZE


def by_name(fmt, name, **how):
    (field,) = [field for field in fmt.fields if field.name == name]
    return access.field_access(field, fmt, **how)


def test_the_common_fields_of_the_first_eight_bytes_are_unreadable():
    assert {by_name(SWITCH, field.name)[1:3] for field in COMMON} == {("unreadable", access.BELOW_POINTER_SIZE)}


def test_the_offset_decides_and_not_the_name():
    fmt = event([Field("int", "common_sense", 12, 4)], common=(*COMMON, LAZY))
    assert by_name(fmt, "common_preempt_lazy_count")[1:3] == ("value", access.COMMON_NOT_FILLED)
    assert by_name(fmt, "common_sense")[1:3] == ("value", None)
    assert by_name(SWITCH, "common_pid", pointer_bytes=4).access == "value"


def test_dynamic_arrays_are_indirect():
    fmt = event([Field("__data_loc char[]", "name", 8, 4), Field("__rel_loc char[]", "msg", 12, 4)])
    assert by_name(fmt, "name")[1:3] == ("indirect", access.LOCATED)
    assert by_name(fmt, "msg")[1:3] == ("indirect", access.LOCATED)
    assert "ctx + 16" in by_name(fmt, "msg").says


def test_strings_of_a_syscall_are_not_in_the_copy():
    assert by_name(OPENAT, "__filename_val")[1:3] == ("absent", access.NO_STRINGS)
    assert access.reads(32, 4, OPENAT).accepted  # the kernel takes the load all the same
    ordinary = event([Field("__data_loc char[]", "__filename_val", 32, 4)], "raw_syscalls")
    assert by_name(ordinary, "__filename_val").access == "indirect"


def test_without_a_category_a_syscall_is_known_by_its_number():
    assert access.is_syscall_copy(OPENAT._replace(category=""))
    assert not access.is_syscall_copy(OPENAT._replace(category="raw_syscalls"))
    assert not access.is_syscall_copy(SWITCH._replace(category=""))


def test_pointers_say_whose_memory_they_point_to():
    assert by_name(OPENAT, "filename").says == "a pointer to user memory: bpf_probe_read_user_str"
    kernel = by_name(event([Field("struct page *", "page", 8, 8)]), "page").says
    assert "likely kernel" in kernel
    assert "bpf_probe_read_kernel" in kernel


def test_a_type_that_is_a_pointer_and_does_not_look_so_is_one():
    capget = event([Field("cap_user_header_t", "header", 16, 8)], "syscalls")
    assert by_name(capget, "header").says == "a pointer to user memory: bpf_probe_read_user"
    owner = event([Field("fl_owner_t", "owner", 8, 8)])
    assert by_name(owner, "owner").says == "a pointer to likely kernel memory: bpf_probe_read_kernel"
    code = event([Field("xfs_failaddr_t", "where", 8, 8)])
    assert by_name(code, "where").says == "a pointer to code"


def test_the_syscall_number_has_four_bytes():
    assert "4 bytes" in by_name(OPENAT, "__syscall_nr").says


def test_what_a_call_returns_is_no_argument():
    leave = event([Field("int", "__syscall_nr", 8, 4, 1), Field("long", "ret", 16, 8, 1)], "syscalls")
    assert by_name(leave, "ret").says == "the value"
    assert "whole register" in by_name(event([Field("int", "dfd", 16, 8)], "syscalls"), "dfd").says


def test_a_field_that_is_not_aligned_takes_several_loads():
    found = by_name(event([Field("u64", "when", 12, 8)]), "when")
    assert found[1:3] == ("value", access.UNALIGNED)
    assert "2 loads of 4 bytes" in found.says
    assert access.load_size_bytes(13, 8) == 1
    assert access.load_size_bytes(16, 0) == 0
