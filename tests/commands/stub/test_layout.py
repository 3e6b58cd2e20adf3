"""The members of a record: every byte named, nothing offered that a program cannot have."""

from __future__ import annotations

import pytest

from probe_scout.errors import NoStub
from tests.builders.format_writer import COMMON, LAZY, Field

from .conftest import made


def shown(stub):
    return [(member.name, member.kind, member.offset, member.size) for member in stub.members]


def test_a_hole_is_padding_with_a_name():
    stub = made((Field("u8", "a", 8, 1), Field("u64", "b", 16, 8)))
    assert shown(stub) == [
        ("reserved", "reserved", 0, 8),
        ("a", "integer", 8, 1),
        ("pad_9", "padding", 9, 7),
        ("b", "integer", 16, 8),
    ]


def test_bytes_behind_the_last_field_are_padding_beyond_the_end():
    stub = made((Field("u64", "a", 8, 8), Field("u32", "b", 16, 4)))
    assert shown(stub)[-1] == ("pad_20", "padding", 20, 4)
    assert (stub.size, stub.end) == (24, 20)


def test_common_fields_behind_byte_8_are_reserved_too():
    stub = made((Field("int", "a", 12, 4, 1),), common=(*COMMON, LAZY))
    assert shown(stub)[:3] == [
        ("reserved", "reserved", 0, 9),
        ("pad_9", "padding", 9, 3),
        ("a", "integer", 12, 4),
    ]
    assert "take 9 bytes" in stub.notes[0]


def test_a_field_that_is_not_aligned_is_bytes():
    stub = made((Field("u32", "a", 8, 4), Field("u64", "b", 12, 8)))
    assert shown(stub)[2] == ("b", "bytes", 12, 8)


def test_a_repeated_name_is_told_and_kept_twice():
    stub = made((Field("u32", "a", 8, 4), Field("u32", "a", 12, 4)))
    assert [member.name for member in stub.members] == ["reserved", "a", "a_2"]
    assert "two fields a" in stub.notes[0]


def test_fields_that_overlap_make_no_stub():
    with pytest.raises(NoStub, match="the field b at offset 10 overlaps") as caught:
        made((Field("u32", "a", 8, 4), Field("u32", "b", 10, 4)))
    assert caught.value.exit_code == 1


def test_strings_of_syscall_events_are_padding_with_the_reason():
    fields = (
        Field("int", "__syscall_nr", 8, 4, 1),
        Field("const char *", "filename", 16, 8),
        Field("__data_loc char[]", "__filename_val", 24, 4),
    )
    stub = made(fields, category="syscalls", name="sys_enter_open", kind="syscall")
    last = [member for member in stub.members if "__filename_val" in member.says]
    assert [(member.kind, member.offset) for member in last] == [("padding", 24)]
    pointer = next(member for member in stub.members if member.name == "filename")
    assert (pointer.kind, pointer.helper) == ("pointer", "bpf_probe_read_user_str")


def test_a_relative_location_counts_from_behind_its_word():
    stub = made((Field("__rel_loc char[]", "name", 8, 4),))
    assert (stub.members[1].name, stub.members[1].base) == ("name_loc", 12)


def test_an_event_without_fields_of_its_own_is_its_reserved_bytes():
    assert shown(made(())) == [("reserved", "reserved", 0, 8)]
