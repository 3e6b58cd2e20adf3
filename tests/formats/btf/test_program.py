"""What a program's own BTF says about its arguments: lines of source and structs as clang 14 writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Malformed
from probe_scout.formats.btf import program as program_btf
from probe_scout.formats.btf.program import NARROW, OPEN, POINTER, Expected
from tests.builders.btf_writer import BtfWriter
from tests.builders.damage import EXAMPLES, damaged


def short(found):
    return [one.struct or one.shape for one in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "int BPF_PROG(on_exec, struct task_struct *p, pid_t old, struct linux_binprm *bprm)",
            ["task_struct", NARROW, "linux_binprm"],
        ),
        ("int BPF_PROG(handle, bool preempt, struct task_struct *prev,", [NARROW, "task_struct"]),
        ("int BPF_PROG(handle, const struct task_struct___old * p) {", ["task_struct"]),
        ("static int BPF_PROG2(x,union u *a,struct s **b,void *c,u64 d)", ["u", OPEN, OPEN, OPEN]),
        ("int BPF_PROG(f, int (*call)(int a, int b), unsigned int n, enum kind k)", [OPEN, NARROW, OPEN]),
        ("int BPF_PROG(f, long id, const char *name, struct list_head head)", [OPEN, OPEN, OPEN]),
        ("int BPF_PROG(f)", []),
        ("int BPF_PROG(", []),
        ("int handle(struct bpf_raw_tracepoint_args *ctx)", []),
        ("\treturn 0;", []),
    ],
)
def test_lines(line, expected):
    assert short(program_btf.of_line(line)) == expected


def test_the_text_is_the_writers():
    (one,) = program_btf.of_line("int BPF_PROG(f,  const struct  task_struct___x *p)")
    assert one == Expected(POINTER, "task_struct", "const struct task_struct___x *p")


def blob(members, name="ctx", line=""):
    """(bytes, FUNC's id, offset of the line) of a program whose context points to this struct."""
    w = BtfWriter()
    w.int("int", 4, signed=True)
    made = w.struct(name, 8 * len(members), [(field, kind(w), 64 * at) for at, (field, kind) in enumerate(members)])
    func = w.func("handle", w.func_proto(1, [("ctx", w.ptr(made))]))
    return w.bytes(), func, w.string(line) if line else None


def pointer_to(name):
    return lambda w: w.ptr(w.fwd(name))


def number(w):
    return w.int("u64", 8)


def test_the_struct_behind_the_context():
    raw, func, line = blob([("q", pointer_to("queue")), ("n", number), ("rq", pointer_to("request")), ("z", number)])
    found = program_btf.arguments(raw, func, line)
    assert short(found) == ["queue", OPEN, "request"]
    assert found[2].text == "struct request *rq"


@pytest.mark.parametrize("name", ["bpf_raw_tracepoint_args", "pt_regs", "bpf_raw_tracepoint_args___x"])
def test_structs_of_the_kernel_say_nothing(name):
    assert program_btf.arguments(*blob([("q", pointer_to("queue"))], name)) == ()


def test_a_struct_without_slots_says_nothing():
    w = BtfWriter()
    w.int("int", 4, signed=True)
    made = w.struct("ctx", 16, [("a", 1, 0), ("b", w.ptr(w.fwd("task_struct")), 32)])
    func = w.func("handle", w.func_proto(1, [("ctx", w.ptr(made))]))
    assert program_btf.arguments(w.bytes(), func, None) == ()


def test_the_line_goes_before_the_struct():
    w = BtfWriter()
    w.int("int", 4, signed=True)
    line = w.string("int BPF_PROG(f, struct file *file)")
    func = w.func("f", w.func_proto(1, [("ctx", w.ptr(w.int("u64", 8)))]))
    assert short(program_btf.arguments(w.bytes(), func, line)) == ["file"]
    assert program_btf.arguments(w.bytes(), func, None) == ()


WHOLE, FUNC, _ = blob([("q", pointer_to("queue")), ("n", number)])


@EXAMPLES
@given(damaged(WHOLE), st.integers(0, 20), st.integers(0, 200))
def test_damaged_bytes(raw, func, line):
    try:
        found = program_btf.arguments(raw, func, line)
    except Malformed:
        return
    assert all(isinstance(one, Expected) for one in found)


@EXAMPLES
@given(st.text(max_size=200))
def test_any_line(text):
    assert all(one.shape in (POINTER, NARROW, OPEN) for one in program_btf.of_line(f"BPF_PROG(f, {text}"))
