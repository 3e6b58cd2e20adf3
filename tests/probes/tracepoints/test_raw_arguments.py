"""Raw arguments and record structs of a recorded kernel, and the verifier's table of NULL arguments."""

from __future__ import annotations

import pytest

from probe_scout.formats.text import trace_format
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.trace import BtfIds
from probe_scout.probes.tracepoints import listing as events
from probe_scout.probes.tracepoints.raw_arguments import TraceTypes
from probe_scout.rules.raw_tp_null import MAY_BE_ERROR, MAY_BE_NULL, bits, tables
from probe_scout.sources import open_source
from probe_scout.sources.folder import FolderSource
from tests.builders.btf_writer import BtfWriter
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree


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
        ("sched_pi_setprio", 1, 66 * 16, False, MAY_BE_NULL),
        ("sched_pi_setprio", 0, 66 * 16, False, 0),
        ("sched_pi_setprio", 1, None, False, MAY_BE_NULL),  # every known table has it
        ("cachefiles_lookup", 0, None, True, MAY_BE_NULL),
        ("cachefiles_lookup", 2, None, True, MAY_BE_ERROR),
        ("nfs4_inode_callback_event", 2, 133 * 16, False, MAY_BE_ERROR),
        ("nfs4_inode_callback_event", 2, 63 * 16, True, MAY_BE_NULL),  # not in that table, and of a module
        ("nfs4_inode_callback_event", 2, 60 * 16, True, None),  # none of the tables: it hangs on which entries
        ("tcp_sendmsg_locked", 2, 60 * 16, False, None),
        ("sched_process_wait", 0, 1024, False, 0),  # 6.12.107: 63 entries, and the next symbol is aligned
        ("sched_process_wait", 0, 66 * 16, False, MAY_BE_NULL),  # 6.12.117
        ("sched_process_wait", 0, 2208, False, 0),  # 6.18.15
        ("sched_process_wait", 0, 2240, False, MAY_BE_NULL),  # 7.2.12
        ("cachefiles_ondemand_open", 0, 2240, False, MAY_BE_NULL),
        ("cachefiles_ondemand_open", 0, 2144, False, 0),  # 7.3.4
        ("sched_switch", 1, 60 * 16, False, 0),
        ("sched_switch", 1, 400 * 16, False, None),  # a longer table may hold it
        ("sched_switch", 1, None, False, None),
        ("some_driver_event", 0, 400 * 16, True, MAY_BE_NULL),
        ("some_driver_event", 0, 140 * 16 + 32, True, MAY_BE_NULL),
    ],
)
def test_the_verifiers_table(tracepoint, argument, table_bytes, of_module, expected):
    assert bits(tracepoint, argument, table_bytes, of_module) == expected


NULL, ERROR = MAY_BE_NULL, MAY_BE_ERROR
SIZES = [16 * count for count in (63, 66, 137, 140, 133)]  # of the five known tables, the oldest first
ALL, LATER, ON_DEMAND, WAITING = SIZES, SIZES[2:], SIZES[:4], [SIZES[1], *SIZES[3:]]


@pytest.mark.parametrize(
    ("tracepoint", "marks", "sizes"),
    [
        ("bpf_testmod_test_read", {}, ALL),
        ("mm_page_alloc", {0: NULL}, ALL),
        ("locks_remove_posix", {1: NULL}, ALL),
        ("tcp_send_reset", {0: NULL, 1: NULL}, ALL),
        ("fib_table_lookup", {2: NULL}, ALL),
        ("cachefiles_lookup", {0: NULL, 2: ERROR}, ALL),
        ("qdisc_dequeue", {3: NULL}, ALL),
        ("mr_integ_alloc", {3: ERROR}, ALL),
        ("host1x_cdma_push_gather", {4: NULL}, ALL),
        ("cachefiles_ondemand_read", {0: NULL}, ON_DEMAND),
        ("sched_process_wait", {0: NULL}, WAITING),
        ("signal_deliver", {1: ERROR}, WAITING),
        ("nfsd_dirent", {0: NULL}, LATER),
        ("neigh_update", {1: NULL}, LATER),
        ("cfg80211_scan_done", {0: NULL, 1: NULL}, LATER),
        ("binder_transaction", {2: NULL}, LATER),
        ("nfs4_inode_callback_event", {2: ERROR}, LATER),
        ("xfs_iomap_alloc", {3: NULL}, LATER),
        ("nfsd_file_acquire", {0: NULL, 3: NULL}, LATER),
        ("pnfs_update_layout", {4: NULL}, LATER),
    ],
)
def test_every_mask_of_the_table(tracepoint, marks, sizes):
    """A nibble an argument, from the lowest (kernel/bpf/btf.c raw_tp_null_args). Elsewhere it is an unlisted one."""
    for size in SIZES:
        said = {at: bits(tracepoint, at, size, False) for at in range(6)}
        assert said == {at: marks.get(at, 0) if size in sizes else 0 for at in range(6)}
        if size not in sizes:
            assert bits(tracepoint, 0, size, True) == NULL


@pytest.mark.parametrize(
    ("table_bytes", "expected"),
    [
        (63 * 16, 0),
        (63 * 16 + 31, 0),  # the next symbol stands on the next boundary
        (63 * 16 + 48, NULL),  # 66 entries
        (63 * 16 - 1, None),  # none of the tables
        (66 * 16 + 32, None),
        (140 * 16 + 31, NULL),
    ],
)
def test_how_long_a_table_may_be(table_bytes, expected):
    assert bits("sched_process_wait", 0, table_bytes, False) == expected


@pytest.mark.parametrize(
    ("table_bytes", "expected"), [(None, None), (140 * 16 + 31, 0), (140 * 16 + 32, None), (140 * 16 + 33, None)]
)
def test_what_no_table_lists_may_stand_in_a_longer_one(table_bytes, expected):
    assert bits("sched_switch", 0, table_bytes, False) == expected


def test_the_known_tables_have_different_sizes():
    assert [len(table) for table in tables()] == [63, 66, 137, 140, 133]


def test_a_recorded_kernel_leaves_no_argument_unknown(k):
    whole = TraceTypes(k)
    whole.load_all()
    names = [name.removeprefix("btf_trace_") for name in k.btf().names_starting("btf_trace_")]
    found = [one for name in names for one in whole.arguments(name)]
    assert len(found) > 2000
    assert [one for one in found if "unknown" in (one.nullable, one.access)] == []


def test_a_pointer_to_const_void_is_no_pointer_to_void(types):
    """Verifiers before 6.16 compare the pointed type's id with 0, and const void has another (btf_ctx_access)."""
    desc = types.arguments("xen_cpu_write_gdt_entry")[2]
    assert (desc.type, desc.access) == ("const void *", "unreadable")
    assert "const void is another type than void" in desc.says
    assert types.arguments("writeback_pages_written")[0].access == "value"


# What a kernel's BTF shows, the oldest first: enumerators of bpf_attach_type, a function, struct members.
V5_10 = ()
V6_1 = ("BPF_TRACE_KPROBE_MULTI", "btf_func_model.arg_flags")
V6_18 = (*V6_1, "bpf_probe_read_user_dynptr", "bpf_prog_aux.kprobe_write_ctx")
V7_2 = (*V6_18, "BPF_TRACE_FSESSION", "BPF_TRACE_FENTRY_MULTI")


def verifier(tmp_path, shown):
    """A kernel that shows these names, with a tracepoint x that has an argument of every doubtful type."""
    w = BtfWriter()
    number, byte = w.int("int", 4, signed=True), w.int("unsigned char", 1)
    w.enum("bpf_attach_type", {name: n for n, name in enumerate(shown) if name.startswith("BPF_")})
    for name in shown:
        struct, _, member = name.partition(".")
        if member:
            w.struct(struct, 4, [(member, number, 0)])
        elif not name.startswith("BPF_"):
            w.function(name)
    pair = w.struct("pair", 8, [("a", number, 0)])
    types = [
        *(w.ptr(0), w.ptr(w.const(0)), w.ptr(byte), w.ptr(w.const(byte)), w.ptr(w.typedef("u8", byte))),
        *(w.ptr(number), w.ptr(w.ptr(pair)), w.ptr(w.func_proto(0)), pair, w.union("word", 8, [("a", number, 0)])),
    ]
    w.typedef("btf_trace_x", w.ptr(w.func_proto(0, [("__data", w.ptr(0)), *(("", one) for one in types)])))
    tree = tiny_files(files={"sys/kernel/btf/vmlinux": w.bytes()})
    return TraceTypes(Kernel(FolderSource(str(write_tree(tmp_path, tree)), "root")))


@pytest.mark.parametrize(
    ("shown", "taken"),
    [
        (V5_10, "void*, char*, const char*"),
        (V6_1, "void*, char*, const char*, u8*, int*, struct"),
        (V6_18, "void*, const void*, char*, const char*, u8*, int*, struct, union"),
        (V7_2, "void*, const void*, char*, const char*, u8*, int*, pointer*, function*, struct, union"),
    ],
    ids=["5.10", "6.1", "6.18", "7.2"],
)
def test_which_arguments_a_verifier_lets_programs_load(tmp_path, shown, taken):
    """As the kernels answered; kernel/bpf/btf.c btf_ctx_access."""
    arguments = verifier(tmp_path, shown).arguments("x")
    names = ["void*", "const void*", "char*", "const char*", "u8*", "int*", "pointer*", "function*", "struct", "union"]
    found = [name for name, one in zip(names, arguments, strict=True) if one.access == "value"]
    assert found == taken.split(", ")
    assert {one.access for one in arguments} <= {"value", "unreadable"}
    assert all("EACCES" in one.says for one in arguments if one.access == "unreadable")


def test_a_kernel_between_two_that_are_known_may_take_any_pointer(tmp_path):
    arguments = verifier(tmp_path, (*V6_18, "BPF_TRACE_FSESSION")).arguments("x")
    assert [one.access for one in arguments[6:8]] == ["unknown", "unknown"]
    assert all("nothing that was read" in one.says for one in arguments[6:8])
