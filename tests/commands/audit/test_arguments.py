"""A program written for other arguments than the event passes: told, and what cannot be told is silent."""

from __future__ import annotations

import json

import pytest

from probe_scout.commands import audit
from probe_scout.commands.audit import arguments, record
from probe_scout.kernel.kernel import Kernel
from tests.builders.btf_writer import BtfWriter
from tests.builders.fake_bpf import FakeBpf

from .conftest import inputs, link, program

STRUCT, NARROW, OPEN = "struct_pointer", "narrow", "open"
TASK, EXEC = [STRUCT, "task_struct", "struct task_struct *p"], [STRUCT, "linux_binprm", "struct linux_binprm *bprm"]
OLD = [NARROW, None, "pid_t old"]


def of_exec(recorded, expected, kind="raw_tracepoint"):
    """Evidence of a program on sched_process_exec: (struct task_struct *, pid_t, struct linux_binprm *)."""
    one = link(5, "raw_tracepoint", 1, tp_name="sched_process_exec", cookie=None)
    given = inputs(programs=[program(1, kind)], links=[one], arguments={"1": expected} if expected else {})
    (row,) = audit.judged(Kernel(recorded), record.read(json.loads(json.dumps(given)))).attachments
    return [finding.evidence for finding in row.findings if finding.check == "audit.arguments_differ"]


@pytest.mark.parametrize(
    "expected",
    [
        [TASK, OLD, EXEC],
        [TASK],
        [[OPEN, None, "u64 p"], OLD, [OPEN, None, "void *bprm"]],
        [TASK, [OPEN, None, "x"]],
        None,
    ],
)
def test_what_goes_with_the_event(recorded, expected):
    assert of_exec(recorded, expected) == []


@pytest.mark.parametrize("kind", ["raw_tracepoint", "tracing"])
@pytest.mark.parametrize(
    ("expected", "evidence"),
    [
        (
            [[STRUCT, "file", "struct file *f"]],
            "argument 1: the program has `struct file *f`, the event passes `struct task_struct *p`",
        ),
        ([TASK, EXEC], "argument 2: the program has `struct linux_binprm *bprm`, the event passes `pid_t old_pid`"),
        (
            [TASK, OLD, [NARROW, None, "int what"]],
            "argument 3: the program has `int what`, the event passes `struct linux_binprm *bprm`",
        ),
        ([TASK, OLD, EXEC, TASK], "the program has argument 4 `struct task_struct *p`, the event passes 3"),
    ],
)
def test_what_does_not(recorded, expected, evidence, kind):
    assert of_exec(recorded, expected, kind) == [evidence]


@pytest.mark.parametrize(
    ("expected", "event", "is_told"),
    [
        ([[STRUCT, "a", "a"]], [["scalar", None, "n", 0, 8]], False),  # a long may be a pointer
        ([[STRUCT, "a", "a"]], [["scalar", None, "n", 0, 4]], True),
        ([[STRUCT, "a", "a"]], [["pointer", None, "void *n", 0, 8]], False),
        ([[STRUCT, "a", "a"]], [["struct_pointer", None, "?", 0, 8]], False),
        ([[OPEN, None, "x"], TASK], [["struct", "big", "s", 0, 16], ["scalar", None, "n", 2, 4]], False),
        ([[OPEN, None, "x"], TASK], [["scalar", None, "n", 0, 8], ["struct", "s", "s", 1, 4]], False),
    ],
)
def test_where_it_just_does_not_fire(expected, event, is_told):
    assert (arguments.difference(expected, event) is not None) is is_told


def test_an_event_without_types_says_nothing(recorded):
    one = link(5, "raw_tracepoint", 1, tp_name="no_such_event")
    given = inputs(programs=[program(1, "raw_tracepoint")], links=[one], arguments={"1": [TASK]})
    assert audit.judged(Kernel(recorded), record.read(given)).attachments[0].findings == ()


def test_what_a_program_expects_is_read_from_its_own_types():
    w = BtfWriter()
    w.int("int", 4, signed=True)
    line = w.string("int BPF_PROG(f, struct file *file)")
    func = w.func("f", w.func_proto(1, [("ctx", w.ptr(w.int("u64", 8)))]))
    told = {"type": "raw_tracepoint", "name": "x", "btf_id": 30}
    programs = [
        {**told, "id": 1, "func_id": func, "line": line},
        {**told, "id": 2, "func_id": func},
        {**told, "id": 3},
        {**told, "id": 4, "btf_id": 0},
        {**told, "id": 5, "func_id": func, "line": line},
        {**told, "id": 6, "btf_id": 31, "func_id": 1},
    ]
    btfs = [{"id": 30, "name": "", "raw": w.bytes()}, {"id": 31, "name": "", "raw": b"\x9f\xeb"}]
    calls = FakeBpf(programs=programs, btfs=btfs)
    links = [link(n, "raw_tracepoint", n, tp_name="sched_switch") for n in (1, 2, 3, 4, 6, 7)]
    given = {"links": links, "perf": [], "programs": [*programs, {"id": 7, "btf_id": 30}]}
    assert arguments.look(record.read(given), calls) == {"1": [[STRUCT, "file", "struct file *file"]]}
    assert calls.open_now() == []


def test_programs_that_are_on_no_raw_tracepoint_are_not_asked():
    given = {"links": [link(1, "perf_event", 1)], "perf": [], "programs": [program(1, btf_id=30)]}
    assert arguments.look(record.read(given), None) == {}
