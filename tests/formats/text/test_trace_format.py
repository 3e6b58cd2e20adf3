"""events/*/*/format: every shape the kernel prints, and what is not one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.text import trace_format
from tests.builders.damage import EXAMPLES, answer, damaged
from tests.builders.format_writer import COMMON, LAZY, Field, event_format

EXEC = event_format(
    "sched_process_exec",
    345,
    [
        Field("__data_loc char[]", "filename", 8, 4),
        Field("pid_t", "pid", 12, 4, 1),
        Field("pid_t", "old_pid", 16, 4, 1),
    ],
    '"filename=%s pid=%d old_pid=%d", __get_str(filename), REC->pid, REC->old_pid',
)


def one(field: Field, **how: bool):
    return trace_format.parse(event_format("e", 1, [field], **how)).fields[-1]


def test_an_event_with_its_fields():
    fmt = trace_format.parse(EXEC, category="sched")
    assert (fmt.name, fmt.id, fmt.category, fmt.notes) == ("sched_process_exec", 345, "sched", ())
    assert [f.name for f in fmt.fields if f.is_common] == [f.name for f in COMMON]
    assert [f[:5] for f in fmt.fields[4:]] == [
        ("filename", "__data_loc char[]", 8, 4, False),
        ("pid", "pid_t", 12, 4, True),
        ("old_pid", "pid_t", 16, 4, True),
    ]
    assert fmt.print_fmt.endswith("REC->old_pid")


@pytest.mark.parametrize(
    ("field", "type_text", "kind", "elements"),
    [
        (Field("int", "prio", 8, 4, 1), "int", "value", None),
        (Field("unsigned long long", "when", 8, 8), "unsigned long long", "value", None),
        (Field("bool", "on", 8, 1), "bool", "bool", None),
        (Field("enum zone_type", "zone", 8, 4), "enum zone_type", "enum", None),
        (Field("const char *", "name", 8, 8), "const char *", "pointer", None),
        (Field("const struct attr *const", "attr", 8, 8), "const struct attr *const", "pointer", None),
        (Field("void (*)(struct work *)", "function", 8, 8), "void (*)(struct work *)", "pointer", None),
        (Field("char[16]", "comm", 8, 16, 0, 16), "char[16]", "string", 16),
        (Field("__u8[sizeof(struct x)]", "addr", 8, 28, 0, 28), "__u8[28]", "array", 28),
        (Field("unsigned long[]", "args", 8, 0), "unsigned long[]", "array", None),
        (Field("uuid_t", "id", 8, 16), "uuid_t", "struct", None),
        (Field("cap_user_header_t", "header", 8, 8), "cap_user_header_t", "pointer", None),
        (Field("const cap_user_data_t", "data", 8, 8), "const cap_user_data_t", "pointer", None),
        (Field("struct error", "error", 8, 8), "struct error", "struct", None),
        (Field("__data_loc unsigned long[]", "cpus", 8, 4), "__data_loc unsigned long[]", "data_loc", None),
        # f_show moves the brackets of a relative location behind the name.
        (Field("__rel_loc char[]", "msg", 8, 4), "__rel_loc char[]", "rel_loc", None),
    ],
)
def test_a_field_of_each_kind(field, type_text, kind, elements):
    found = one(field)
    assert (found.name, found.type_text, found.kind, found.elements) == (field.name, type_text, kind, elements)
    assert (found.offset_bytes, found.size_bytes, found.signed) == (8, field.size, bool(field.signed))


@pytest.mark.parametrize(
    ("declaration", "size", "elements"),
    [
        ("__u8 saddr_v6[sizeof(struct sockaddr_in6)]", 28, 28),
        ("unsigned int fc[EXT4_FC_REASON_MAX]", 44, 11),
        ("u64 table[a[2]]", 16, 2),
        ("struct strange x[MAX]", 44, None),  # the size of one element is not in the file
    ],
)
def test_older_kernels_print_the_length_as_an_expression(declaration, size, elements):
    line = f"\tfield:{declaration};\toffset:8;\tsize:{size};\tsigned:0;"
    raw = f"name: e\nID: 1\nformat:\n\n{line}\n\nprint fmt: \n".encode()
    (field,) = trace_format.parse(raw).fields
    assert (field.kind, field.elements) == ("array", elements)
    assert f"{field.name}[" in declaration


def test_a_file_without_the_sign_says_so():
    assert one(Field("int", "x", 8, 4), with_signed=False).signed is None


def test_the_common_fields_are_those_before_the_empty_line():
    raw = event_format("e", 1, [Field("int", "common_sense", 12, 4)], common=(*COMMON, LAZY))
    fields = trace_format.parse(raw).fields
    assert [f.name for f in fields if not f.is_common] == ["common_sense"]
    assert (fields[4].name, fields[4].is_common) == ("common_preempt_lazy_count", True)


def test_an_event_without_fields_of_its_own():
    assert all(f.is_common for f in trace_format.parse(event_format("e", 1, [])).fields)


def test_a_print_fmt_of_several_lines_is_kept():
    assert trace_format.parse(event_format("e", 1, [], '"a\n\tb"\n')).print_fmt == '"a\n\tb"\n'


def test_repeated_and_overlapping_fields_are_kept_and_noted():
    fields = [Field("int", "type", 8, 4), Field("int", "type", 12, 4), Field("short", "low", 14, 2)]
    fmt = trace_format.parse(event_format("e", 1, fields))
    assert len(fmt.fields) == 7
    assert fmt.notes == (
        "the field type is declared more than once",
        "the field low at offset 14 overlaps type",
    )


@pytest.mark.parametrize(
    ("raw", "offset_bytes"),
    [
        (b"", 0),
        (b"name: \nID: 1\nformat:\n\n\nprint fmt: x\n", 0),
        (b"name: e\nID: one\nformat:\n\n\nprint fmt: x\n", 8),
        (b"name: e\nID: 1\nformat:\n\tfield:int a;\toffset:0;\tsize:4;\tsigned:0;\n", 64),
        (b"name: e\nID: 1\nformat:\n\tfield:int a;\toffset:x;\tsize:4;\tsigned:0;\n\n\nprint fmt: x\n", 22),
        (b"name: e\nID: 1\nformat:\n\tfield:int a;\toffset:0;\tsize:4;\tsigned:2;\n\n\nprint fmt: x\n", 22),
        (b"name: e\nID: 1\nformat:\n\tfield:int;\toffset:0;\tsize:4;\tsigned:0;\n\n\nprint fmt: x\n", 22),
        (b"name: e\nID: 1\nformat:\n\nsomething\n\nprint fmt: x\n", 23),
        (b"name: e\xff\nID: 1\nformat:\n\n\nprint fmt: x\n", 7),
    ],
)
def test_other_bytes_are_malformed_where_they_stop_fitting(raw, offset_bytes):
    with pytest.raises(Malformed) as caught:
        trace_format.parse(raw, "events/a/b/format")
    assert caught.value.path == "events/a/b/format"
    assert caught.value.offset_bytes == offset_bytes


@pytest.mark.parametrize(
    ("declaration", "size"),
    [
        ("char comm[16]", 17),  # the count and the size cannot both be right
        ("u32 words[3]", 16),
        ("struct strange x[3]", 16),
        ("__data_loc char[] name", 8),
        ("__rel_loc char name[]", 2),
        ("int 9lives", 4),
        ("int größe", 4),
        ("größe x", 4),
        ("int */ x", 4),
        ('int" x', 4),
        ("int $x", 4),
        ("struct { int a } x", 4),
    ],
)
def test_a_declaration_that_cannot_be_is_malformed(declaration, size):
    raw = f"name: e\nID: 1\nformat:\n\n\tfield:{declaration};\toffset:8;\tsize:{size};\tsigned:0;\n\nprint fmt: \n"
    with pytest.raises(Malformed) as caught:
        trace_format.parse(raw.encode())
    assert caught.value.offset_bytes == 23
    possible = raw.replace(f"{declaration};", "int x;").replace(f"size:{size};", "size:4;")
    assert trace_format.parse(possible.encode()).fields[0].name == "x"


@pytest.mark.parametrize(
    ("type_text", "element"),
    [
        ("char[16]", "char"),
        ("__data_loc unsigned long[]", "unsigned long"),
        ("__rel_loc char[]", "char"),
        ("const void *[4]", "const void *"),
        ("u64", "u64"),
    ],
)
def test_what_an_array_is_made_of(type_text, element):
    assert trace_format.element_type(type_text) == element


def test_lines_seen_before_give_the_same_fields():
    """The second reading takes no line apart, and an own field that reads like a common one stays an own field."""
    raw = event_format("e", 1, [COMMON[0]])
    first, second = trace_format.parse(raw), trace_format.parse(raw)
    assert first == second
    assert [f.is_common for f in second.fields] == [True] * 4 + [False]


def test_every_cut_of_the_file_is_malformed():
    for length in range(len(EXEC)):
        with pytest.raises(Malformed):
            trace_format.parse(EXEC[:length])


TYPES = st.sampled_from(
    (
        "int",
        "u8",
        "unsigned long",
        "char[7]",
        "__data_loc char[]",
        "__rel_loc u8[]",
        "const void *",
        "struct a *",
        "enum b",
    )
)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)


@pytest.mark.property
@EXAMPLES
@given(st.lists(st.tuples(TYPES, NAMES, st.integers(0, 4096), st.integers(0, 9000), st.integers(0, 1))))
def test_what_was_written_is_read(drawn):
    sizes = {"char[7]": 7, "__data_loc char[]": 4, "__rel_loc u8[]": 4}
    fields = [Field(t, n, o, sizes.get(t, s), signed, 7 if t == "char[7]" else 0) for t, n, o, s, signed in drawn]
    found = trace_format.parse(event_format("e", 1, fields)).fields[4:]
    assert [(f.type_text, f.name, f.offset_bytes, f.size_bytes, f.signed) for f in found] == [
        (f.type, f.name, f.offset, f.size, bool(f.signed)) for f in fields
    ]


@pytest.mark.property
@EXAMPLES
@given(damaged(EXEC))
def test_damaged_files_lose_no_field_line(raw):
    fmt = answer(trace_format.parse, raw)
    if fmt is not None:
        assert len(fmt.fields) == raw.partition(b"\n\nprint fmt: ")[0].count(b"\n\tfield:")
