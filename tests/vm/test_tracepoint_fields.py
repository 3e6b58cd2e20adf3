"""Every field of every event and every argument of every raw tracepoint, as the booted kernel answers.

The first tests need no QEMU: which loads are asked, and that a difference is found. The others run with
`pytest -m vm`; PROBE_SCOUT_FIELDS=20 asks about so many events only.
"""

from __future__ import annotations

import os

import pytest

from tests.oracle import loads
from tests.vm import asking, fields
from tests.vm.asking import Answer
from tests.vm.plan import Question

SNAPSHOT = "fixtures/kernels/debian-6.12.107-amd64.tar.xz"
KERNELS = ("5.10", "6.1", "6.12", "6.12-rt", "7.3", "7.3-arm64")


def test_which_loads_prove_a_record():
    """common_type, an int at 8, 16 characters at 12, 8 bytes at 28."""
    found = fields.every_load([(0, 2), (8, 4), (12, 16), (28, 8)])
    assert len(found) == len(set(found))
    assert {(0, 2), (8, 4), (28, 8), (28, 4)} <= set(found)  # whole, and the low half of 8 bytes
    assert {(12, 4), (27, 1)} <= set(found)  # a field that no load takes whole: its widest piece, its last byte
    assert {(1, 2), (9, 4), (13, 2), (29, 8)} <= set(found)  # one byte further
    assert {(35, 1), (36, 1), (36, 2), (36, 4), (32, 8), (40, 8), (32, 4)} <= set(found)  # around the end
    assert {(8184, 8), (8188, 4), (8191, 1), (8192, 1)} <= set(found)


def test_the_end_of_the_last_field_and_of_the_furthest_are_asked():
    found = set(fields.every_load([(8, 8), (24, 4), (16, 4)]))
    assert {(19, 1), (20, 1), (27, 1), (28, 1)} <= found


def test_an_event_without_fields_is_asked_around_the_first_8_bytes():
    assert {(7, 1), (8, 1), (0, 8)} <= set(fields.every_load([]))


def answers(**words):
    """Answers about sched_switch, by what was asked; names have _ for the colon of OFFSET:SIZE."""
    found = {}
    for more, (errno, stage) in words.items():
        question = Question(fields.FIELD, "sched:sched_switch", more.removeprefix("at").replace("_", ":"))
        found[question] = Answer(errno, stage, 1, "")
    return found


@pytest.fixture(scope="module")
def tool():
    return fields.Tool(SNAPSHOT)


def test_right_answers_are_no_differences():
    right = answers(at8_1=("0", "-"), at0_2=("EACCES", "load"), at9_4=("EACCES", "load"), at64_1=("EACCES", "attach"))
    right |= {Question(fields.TYPED, "sched_switch", more): Answer("0", "-", 1, "") for more in ("0&7", "1", "1+8")}
    right |= {Question(fields.TYPED, "sched_switch", more): Answer("EACCES", "load", 1, "") for more in ("1&7", "4")}
    right[Question(fields.TYPED, "sched_pi_setprio", "1+8")] = Answer("EACCES", "load", 1, "")
    right[Question(fields.RAW, "sched_switch", "3")] = Answer("0", "-", 1, "")
    right[Question(fields.RAW, "sched_switch", "4")] = Answer("EINVAL", "attach", 1, "")
    found = fields.compare(SNAPSHOT, right)
    assert (found.asked, found.differences) == (len(right), [])


@pytest.mark.parametrize(
    ("more", "errno", "stage"),
    [("at8_1", "EACCES", "load"), ("at0_2", "0", "-"), ("at64_1", "EACCES", "load"), ("at64_1", "EINVAL", "attach")],
)
def test_another_answer_errno_or_stage_is_a_difference(tool, more, errno, stage):
    (question,) = given = answers(**{more: (errno, stage)})
    offset, size = map(int, question.more.split(":"))
    ours = tool.say_loads(question.target, [(offset, size)])[offset, size]
    assert ours != loads.word(given[question].errno, stage)


def test_a_field_that_is_called_readable_and_is_not_is_told(tool):
    said = {(24, 4): "load:EACCES", (0, 2): loads.OK}
    assert [text.partition(":")[2] for text in tool.fields_that_differ("sched:sched_switch", said)] == [
        "sched_switch common_type: we unreadable, kernel accepts [(0, 2)]",
        "sched_switch prev_pid: we a load of 4 bytes, kernel load:EACCES",
    ]


@pytest.mark.parametrize(
    ("tracepoint", "more", "word"),
    [
        ("sched_switch", "0+8", "ok"),
        ("sched_switch", "1&7", "load:EACCES"),
        ("sched_pi_setprio", "1", "ok"),
        ("sched_pi_setprio", "1+8", "load:EACCES"),
        ("sched_switch", "4", "load:EACCES"),
        ("xen_cpu_write_gdt_entry", "2", "load:EACCES"),
        ("no_such_tracepoint", "0", "load:ESRCH"),
    ],
)
def test_what_the_tool_says_of_an_argument(tool, tracepoint, more, word):
    assert tool.say_typed(tracepoint, more) == word


def test_a_raw_program_may_load_every_argument_and_no_more(tool):
    assert [tool.say_raw("sched_switch", n) for n in ("0", "3", "4", "12")] == [
        *("ok", "ok", "attach:EINVAL", "load:EACCES"),
    ]


def test_packed_loads_come_back():
    text = "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;"
    events = [
        loads.Event("x:one", text, {(8, 4): "ok", (9, 4): "load:EACCES"}),
        loads.Event("x:two", text, {(8, 4): "ok", (9, 4): "load:EACCES"}),
        loads.Event("y:three", "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n\n\tfield:int b;", {(12, 4): "ok"}),
    ]
    assert list(loads.unpack(loads.pack(reversed(events)))) == events
    assert events[0].format().startswith(b"name: one\nID: 1\nformat:\n\tfield:int a;")


def test_a_packed_file_that_is_none_gets_a_sentence():
    import lzma

    for raw, said in (
        (b"other\n", "line 1"),
        (b"probe-scout loads 1\nok 8:4\n", "line 2 belongs to no event"),
        (b"probe-scout loads 1\nevent a:b\nok 8\n", "line 3 is no list of loads"),
        (b"probe-scout loads 1\nevent a:b", "line 1"),
    ):
        with pytest.raises(ValueError, match=said):
            list(loads.unpack(lzma.compress(raw)))


@pytest.mark.vm
@pytest.mark.parametrize("name", KERNELS)
def test_the_kernel_agrees_about_every_field_and_argument(fetched_kernel, name):
    try:
        snapshot, found = fields.ask(fetched_kernel(name), int(os.environ.get("PROBE_SCOUT_FIELDS", "0")))
    except asking.AskingFailed as error:
        pytest.fail(str(error))
    said = fields.compare(snapshot, found)
    assert said.differences[:20] == []
    assert said.asked == len(found) > 0
    asked, differing = fields.Tool(snapshot).records_that_differ()
    assert differing == []
    assert asked > 2500 or name != "7.3"  # the newest has btf_ids
