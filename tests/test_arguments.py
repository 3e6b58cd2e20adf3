"""Raw arguments and record structs of a recorded kernel, and the verifier's table of NULL arguments."""

from __future__ import annotations

import pytest

from probe_scout import events
from probe_scout.arguments import TraceTypes
from probe_scout.kernel import Kernel
from probe_scout.model.trace import BtfIds
from probe_scout.rules.raw_tp_null import MAY_BE_ERROR, MAY_BE_NULL, bits
from probe_scout.scanners import trace_format
from probe_scout.sources import open_source


@pytest.fixture(scope="module")
def k():
    return Kernel(open_source("fixtures/kernels/debian-6.12.107-amd64.tar.xz"))


@pytest.fixture(scope="module")
def types(k):
    return TraceTypes(k)


def test_the_arguments_of_one_tracepoint(types):
    preempt, prev, following, state = types.arguments("sched_switch")
    assert (preempt.name, preempt.type, preempt.shape, preempt.size) == ("preempt", "bool", "scalar", 1)
    assert (prev.place, prev.slot, prev.shape, prev.struct, prev.btf) == (
        1,
        1,
        "struct_pointer",
        "task_struct",
        "vmlinux",
    )
    assert (prev.nullable, preempt.nullable, following.access, state.slot) == ("no", "no", "value", 3)


def test_which_arguments_may_be_null(types):
    assert [a.nullable for a in types.arguments("sched_pi_setprio")] == ["no", "yes"]
    assert types.arguments("kfree_skb")[2].nullable == "no"


def test_a_tracepoint_that_btf_has_not(types):
    assert types.arguments("sys_enter_openat") == ()
    assert types.record("none", "nothing", None) is None


def test_tables_and_searches_agree(k, types):
    whole = TraceTypes(k)
    whole.load_all()
    for name in ("sched_switch", "kmem_cache_alloc", "ext4_da_write_begin", "xfs_buf_init", "nothing"):
        assert whole.arguments(name) == types.arguments(name)


@pytest.mark.parametrize(
    ("category", "event", "struct", "basis"),
    [
        ("sched", "sched_switch", "sched_switch", "name"),
        ("sched", "sched_waking", "sched_wakeup_template", "layout"),
        ("syscalls", "sys_enter_openat", "sys_enter", "syscall"),
        ("syscalls", "sys_exit_openat", "sys_exit", "syscall"),
    ],
)
def test_the_struct_of_a_record(k, category, event, struct, basis):
    record = events.report(k, category, event).record
    assert (record.name, record.basis, record.btf) == (f"trace_event_raw_{struct}", basis, "vmlinux")


def test_what_btf_ids_says_is_taken_and_compared(k, types):
    alone = types.record("sched", "sched_switch", None)
    fmt = events.report(k, "sched", "sched_waking")
    raw = k.read("sys/kernel/tracing/events/sched/sched_waking/format")
    told = types.record("sched", "sched_waking", trace_format.parse(raw), BtfIds(1, 2, alone.type_id))
    assert (told.name, told.basis) == ("trace_event_raw_sched_switch", "btf_ids")
    assert "comm: not in the struct" in told.differs
    right = types.record("sched", "sched_waking", trace_format.parse(raw), BtfIds(1, 2, fmt.record.type_id))
    assert (right.name, right.differs) == (fmt.record.name, ())


@pytest.mark.parametrize(
    ("tracepoint", "argument", "table_bytes", "of_module", "expected"),
    [
        ("sched_pi_setprio", 1, 65 * 16, False, MAY_BE_NULL),
        ("sched_pi_setprio", 0, 65 * 16, False, 0),
        ("sched_pi_setprio", 1, None, False, MAY_BE_NULL),  # both known tables have it
        ("nfs4_inode_callback_event", 2, 132 * 16, False, MAY_BE_ERROR),
        ("nfs4_inode_callback_event", 2, 65 * 16, True, MAY_BE_NULL),  # not in that table, and of a module
        ("nfs4_inode_callback_event", 2, 62 * 16, True, None),  # neither table: it hangs on which entries
        ("tcp_sendmsg_locked", 2, 62 * 16, False, None),
        ("sched_switch", 1, 62 * 16, False, 0),
        ("sched_switch", 1, 400 * 16, False, None),  # a longer table may hold it
        ("sched_switch", 1, None, False, None),
        ("some_driver_event", 0, 400 * 16, True, MAY_BE_NULL),
        ("some_driver_event", 0, 132 * 16 + 32, True, MAY_BE_NULL),
    ],
)
def test_the_verifiers_table(tracepoint, argument, table_bytes, of_module, expected):
    assert bits(tracepoint, argument, table_bytes, of_module) == expected
