"""Format files that are cut off or describe no struct: one sentence and an exit code, never a stub that is wrong."""

from __future__ import annotations

import re

import pytest

from probe_scout.commands import stub
from probe_scout.commands.stub import layout
from probe_scout.errors import NoStub
from probe_scout.frontends.cli import run
from probe_scout.probes.tracepoints.record import describe_event
from tests.builders.format_writer import COMMON, LAZY, Field, event_format
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

from .conftest import made, text

FOLDER = "sys/kernel/tracing/events/sched"
EVENTS = ("sched_wakeup", "sched_waking", "sched_switch")
FIELDS = (
    Field("char[16]", "comm", 8, 16, 1, 16),
    Field("pid_t", "pid", 24, 4, 1),
    Field("int", "prio", 28, 4, 1),
    Field("int", "target_cpu", 32, 4, 1),
)
LANGUAGES = ("c", "rust", "go", "python", "bpftrace")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    files = tiny_files(events=tuple(f"sched:{name}" for name in EVENTS))
    files |= {f"{FOLDER}/{name}/format": event_format(name, 310 + at, FIELDS) for at, name in enumerate(EVENTS)}
    files |= {f"{FOLDER}/{name}/id": b"%d\n" % (310 + at) for at, name in enumerate(EVENTS)}
    return write_tree(tmp_path_factory.mktemp("odd"), files)


@pytest.fixture
def asked(tree, tmp_path, capsys):
    """asked(raw, name, *options): exit code, the text and what stderr said, with `raw` as sched_wakeup's format."""

    def ask(raw, name="sched:sched_wakeup", *options):
        (tree / FOLDER / "sched_wakeup" / "format").write_bytes(raw)
        out = tmp_path / "out"
        code = run.main(["stub", name, "--attach", "tp", "--root", str(tree), "-o", str(out), *options])
        return code, out.read_text() if out.exists() else None, capsys.readouterr().err

    return ask


def one_sentence(said):
    return said.startswith("probe-scout: ") and said.endswith("\n") and said.count("\n") == 1


def whole(fields=FIELDS):
    return event_format("sched_wakeup", 310, fields)


def test_the_whole_file_makes_a_stub(asked):
    code, made_text, _ = asked(whole())
    assert code == 0
    assert "PROBE_SCOUT_FIELD(tp_sched_sched_wakeup, target_cpu, 32, 4);" in made_text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kept", [0, 1, 20, 150, 400, -8, -1])
def test_a_file_that_is_cut_off(asked, lang, kept):
    code, made_text, said = asked(whole()[:kept], "sched:sched_wakeup", "--lang", lang)
    assert (code, made_text) == (4, None)
    assert one_sentence(said)
    assert f"{FOLDER}/sched_wakeup/format: not readable at byte" in said


def test_a_file_that_is_cut_off_anywhere(asked):
    """Every byte: tests/formats/text/test_trace_format.py."""
    raw = whole()
    told = [asked(raw[:kept]) for kept in (*range(0, len(raw), 11), *range(len(raw) - 20, len(raw)))]
    assert {(code, made_text) for code, made_text, _ in told} == {(4, None)}
    assert [said for _, _, said in told if not one_sentence(said)] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"\tfield:pid_t pid;\toffset:zwei;\tsize:4;\tsigned:1;\n", "a field with offset and size"),
        (b"\tFeld:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;\n", "a field with offset and size"),
        (b'\tfield:pid_t*/#include "x" pid;\toffset:24;\tsize:4;\tsigned:1;\n', "a field with offset and size"),
        ("\tfield:größe pid;\toffset:24;\tsize:4;\tsigned:1;\n".encode(), "a field with offset and size"),
        (b"\tfield:__u32 \xff;\toffset:24;\tsize:4;\tsigned:1;\n", "UTF-8"),
        (b"\tfield:u32 pid;\toffset:24;\tsize:4;\tsigned:7;\n", "a field with offset and size"),
        (b"\tfield:u16[3] pid;\toffset:24;\tsize:4;\tsigned:0;\n", "a field with offset and size"),
        (b"\tfield:__data_loc char[] pid;\toffset:24;\tsize:8;\tsigned:0;\n", "a field with offset and size"),
    ],
)
def test_a_line_in_a_language_of_its_own(asked, line, found):
    raw = re.sub(rb"\tfield:pid_t pid;.*\n", lambda _: line, whole())
    assert raw != whole()
    code, made_text, said = asked(raw)
    assert (code, made_text) == (4, None)
    assert one_sentence(said)
    assert found in said


@pytest.mark.parametrize("lang", LANGUAGES)
def test_fields_that_overlap(asked, lang):
    fields = (*FIELDS[:1], FIELDS[1]._replace(offset=22), *FIELDS[2:])
    code, made_text, said = asked(whole(fields), "sched:sched_wakeup", "--lang", lang)
    assert (code, made_text) == (1, None)
    assert one_sentence(said)
    assert "the field pid at offset 22 overlaps" in said


def test_a_field_within_the_common_ones():
    with pytest.raises(NoStub, match="the field a at offset 8 overlaps what lies before 9"):
        made((Field("u32", "a", 8, 4),), common=(*COMMON, LAZY))


@pytest.mark.parametrize("lang", LANGUAGES[:-1])
def test_a_name_that_is_there_twice_is_two_names_in_the_text(compilers, lang):
    source = text((Field("u32", "a", 8, 4), Field("__data_loc char[]", "a", 12, 4), Field("u8", "a_2", 16, 1)), lang)
    assert compilers.said(lang, source) == ""
    assert "The format names two fields a" in source


@pytest.mark.parametrize(
    ("declared", "size", "member"),
    [
        ("u8 addr[sizeof(struct sockaddr_in6)]", 28, ("bytes", 28, 1)),
        ("u32 words[4 * (1 + 2)]", 48, ("array", 48, 4)),
        ("char name[IFNAMSIZ]", 16, ("bytes", 16, 1)),
        ("unsigned long list[N_LISTS]", 24, ("bytes", 24, 1)),
        ("struct guid where", 16, ("bytes", 16, 1)),
        ("cpumask_t mask", 12, ("bytes", 12, 1)),
        ("something_t value", 8, ("integer", 8, 8)),
        ("enum no_such_enum value", 4, ("integer", 4, 4)),
        ("u32 none[0]", 0, None),
    ],
)
def test_sizes_come_from_the_file_and_not_from_the_type(compilers, declared, size, member):
    line = f"\tfield:{declared};\toffset:8;\tsize:{size};\tsigned:0;\n"
    raw = event_format("e", 7, ()).replace(b"\n\nprint fmt", b"\n" + line.encode() + b"\nprint fmt")
    made_of = layout.record(describe_event("c", "e", raw))
    own = [(one.kind, one.size, one.element_size) for one in made_of.members[1:] if one.kind != "padding"]
    assert own == ([] if member is None else [member])
    assert compilers.said("c", stub.text([made_of], "c", ("Made in a test.",))) == ""


def test_a_glob_goes_on_behind_a_file_that_cannot_be_read(asked):
    code, made_text, said = asked(whole()[:100], "sched:*")
    assert code == 3
    assert [name for name in EVENTS if f"struct tp_sched_{name} {{" in made_text] == ["sched_waking", "sched_switch"]
    assert "sched:sched_wakeup: " in said
    assert "not readable at byte" in said
