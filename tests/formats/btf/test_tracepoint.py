"""Tracepoints in BTF: arguments, their shapes, and the structs of records."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.btf import tracepoint as btf_trace
from probe_scout.formats.btf.reader import Btf
from probe_scout.formats.btf.tracepoint import Members
from tests.builders.btf_writer import BtfWriter

ENT = ("ent", 1, 0)


def writer():
    """A blob with `int` as type 1."""
    w = BtfWriter()
    w.int("int", 4, signed=True)
    return w


def tracepoint(w, name, *types):
    """A typedef btf_trace_<name> whose arguments, behind `void *__data`, have these types; the prototype's id."""
    proto = w.func_proto(0, [("__data", w.ptr(0)), *(("", one) for one in types)])
    w.typedef(f"btf_trace_{name}", w.ptr(proto))
    return proto


def shapes(make):
    """(shape, struct, target, size) of the one argument whose type `make` adds."""
    w = writer()
    tracepoint(w, "x", make(w))
    btf = Btf(w.bytes())
    (one,) = btf_trace.parameters(btf, btf_trace.prototype_id(btf, "x"))
    return one.shape, one.struct, one.target, one.size


def test_the_arguments_stand_behind_the_data_pointer():
    w = writer()
    task = w.ptr(w.struct("task_struct", 8, [("pid", 1, 0)]))
    proto = tracepoint(w, "sched_switch", w.int("bool", 1), task)
    w.func("__traceiter_sched_switch", w.func_proto(1, [("__data", w.ptr(0)), ("preempt", 1), ("prev", task)]))
    btf = Btf(w.bytes())
    assert btf_trace.prototype_id(btf, "sched_switch") == proto
    assert [(p.type, p.shape) for p in btf_trace.parameters(btf, proto)] == [
        ("bool", "scalar"),
        ("struct task_struct *", "struct_pointer"),
    ]
    assert btf_trace.names_of(btf, "__traceiter_sched_switch") == ("preempt", "prev")
    assert btf_trace.names_of(btf, "__traceiter_sched_waking") == ()
    assert btf_trace.prototype_id(btf, "sched") is None


def test_a_tracepoint_without_arguments():
    w = writer()
    proto = tracepoint(w, "none")
    assert btf_trace.parameters(Btf(w.bytes()), proto) == ()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda w: 1, ("scalar", None, None, 4)),
        (lambda w: w.enum("e", {"A": 0}), ("scalar", None, None, 4)),
        (lambda w: w.typedef("u", w.const(1)), ("scalar", None, None, 4)),
        (lambda w: w.struct("pair", 16, [("a", 1, 0)]), ("struct", "pair", None, 16)),
        (lambda w: w.ptr(w.const(w.struct("file", 8, [("f", 1, 0)]))), ("struct_pointer", "file", None, 8)),
        (lambda w: w.ptr(w.union("u", 8, [("f", 1, 0)])), ("struct_pointer", "u", None, 8)),
        (lambda w: w.ptr(0), ("pointer", None, "void", 8)),
        (lambda w: w.ptr(w.const(0)), ("pointer", None, "qualified void", 8)),
        (lambda w: w.ptr(w.const(1)), ("pointer", None, "int", 8)),
        (lambda w: w.ptr(w.int("char", 1)), ("pointer", None, "byte", 8)),
        (lambda w: w.ptr(w.const(w.int("unsigned char", 1))), ("pointer", None, "byte", 8)),
        (lambda w: w.ptr(w.typedef("u8", w.int("unsigned char", 1))), ("pointer", None, "int", 8)),
        (lambda w: w.ptr(w.const(w.volatile(w.int("char", 1)))), ("pointer", None, "int", 8)),
        (lambda w: w.union("word", 8, [("a", 1, 0)]), ("struct", "word", "union", 8)),
        (lambda w: w.ptr(w.ptr(w.struct("file", 8, [("f", 1, 0)]))), ("pointer", None, "other", 8)),
        (lambda w: w.ptr(w.func_proto(0)), ("pointer", None, "other", 8)),
        (lambda w: w.ptr(w.enum("e", {"A": 0})), ("pointer", None, "other", 8)),
        (lambda w: w.ptr(w.fwd("hidden")), ("pointer", None, "other", 8)),
        (lambda w: w.float("double", 8), ("other", None, None, 0)),
    ],
)
def test_the_shape_of_an_argument(make, expected):
    assert shapes(make) == expected


def test_a_typedef_that_is_no_function_pointer_is_malformed():
    w = writer()
    w.typedef("btf_trace_x", w.ptr(1))
    with pytest.raises(Malformed, match="a pointer to a function"):
        btf_trace.prototype_id(Btf(w.bytes()), "x")


def test_a_prototype_that_is_none_is_malformed():
    with pytest.raises(Malformed, match="type 1 to be a FUNC_PROTO"):
        btf_trace.parameters(Btf(writer().bytes()), 1)


def records():
    w = writer()
    array = w.array(1, 0)
    one = [ENT, ("pid", 1, 64), ("__data_loc_comm", 1, 96), ("__data", array, 128)]
    ids = {
        "one": w.struct("trace_event_raw_one", 16, one),
        "empty": w.struct("trace_event_raw_empty", 8, [ENT]),
        "whole": w.struct("trace_event_raw_whole", 16, [ENT, ("flag", 1, 64 | 0 << 24)], bitfields=True),
    }
    w.struct("trace_event_raw_bits", 16, [ENT, ("flag", 1, 64 | 3 << 24)], bitfields=True)
    w.struct("trace_event_raw_odd", 16, [ENT, ("flag", 1, 65)])
    w.union("trace_event_raw_union", 16, [("a", 1, 0)])
    w.struct("trace_event_data_offsets_one", 4, [("comm", 1, 0)])
    return Btf(w.bytes()), ids


def test_the_structs_of_records_without_ent_and_data():
    btf, ids = records()
    assert btf_trace.record_structs(btf) == {
        "one": Members(ids["one"], (("pid", 8), ("__data_loc_comm", 12))),
        "empty": Members(ids["empty"], ()),
        "whole": Members(ids["whole"], (("flag", 8),)),
    }


def test_one_struct_by_name_is_the_tables():
    btf, _ = records()
    for title, members in btf_trace.record_structs(btf).items():
        assert btf_trace.record_struct(btf, f"trace_event_raw_{title}") == members
    for title in ("bits", "odd", "union", "none", "on"):
        assert btf_trace.record_struct(btf, f"trace_event_raw_{title}") is None


def test_names_of_a_real_kernel_by_search_and_by_table(recorded):
    btf = Btf(recorded.read("sys/kernel/btf/vmlinux"))
    table = btf_trace.record_structs(btf)
    assert len(table) > 400
    for title in sorted(table)[::60]:
        assert btf_trace.record_struct(btf, f"trace_event_raw_{title}") == table[title]
    assert table["sched_switch"].fields[:2] == (("prev_comm", 8), ("prev_pid", 24))
