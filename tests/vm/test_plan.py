"""The question list: all or a stated sample, the same every time, dangerous questions last."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe_scout.formats.btf import reader as tools_btf
from tests.builders.btf_writer import BtfWriter
from tests.vm import plan
from tests.vm.btf_names import Names
from tests.vm.plan import Question

SYMBOLS = (
    *("vfs_read", "vfs_write", "vfs_read.cold notrace", "helper.isra.0", "start_kernel init", "do_exit", "table data"),
    *("__pfx_vfs_read notrace", "__x64_sys_read", "security_file_open", "migrate_disable", "bpf_lsm_file_open"),
    *("bpf_iter_task", "same", "m_read [m]", "same [m]", "m_exit.cold [m] notrace"),
)


@pytest.fixture
def files(tiny_folder):
    return plan.Files(
        Path(tiny_folder(SYMBOLS, typed=("inlined_away",), events=("sched:sched_switch", "irq:irq_entry")))
    )


def of_type(parts, type_):
    return {q.target for part in parts for q in part.questions if q.type == type_}


def test_every_name_of_code_is_asked_in_a_full_plan(files):
    parts = plan.plan(files, full=True)
    assert {"vfs_read", "vfs_write", "helper.isra.0", "same", "m_read"} <= of_type(parts, "kprobe_event")
    assert {
        "vfs_read.cold",
        "helper.isra.0",
        "same",
        "m_exit.cold",
        "start_kernel",
        "inlined_away",
        "table",
    } <= of_type(parts, "kprobe")
    functions = {"vfs_read", "start_kernel", "inlined_away", "security_file_open", "m:m_read", "m:same", "same"}
    for type_ in ("fentry_load", "fentry", "fexit_load", "fmod_ret_load"):
        assert functions <= of_type(parts, type_)
    assert "table" not in of_type(parts, "kprobe_event")
    assert of_type(parts, "tp") == {"sched:sched_switch", "irq:irq_entry"}
    assert {"sched_switch", "irq_entry"} <= of_type(parts, "raw_tp") & of_type(parts, "tp_btf")
    assert of_type(parts, "ksyscall") == {"read", "bpf", "uretprobe"}
    assert of_type(parts, "lsm") == {"bpf_lsm_file_open", "bpf_lsm_verify_prog"}
    assert "bpf_iter_task" in of_type(parts, "iter")


def test_field_questions_are_offset_and_size_and_past_the_end(files):
    asked = {q.more for part in plan.plan(files, full=True) for q in part.questions if q.type == "tp_field"}
    assert {"8:4", "12:1", "20:1", "16:1"} <= asked


def test_no_question_is_asked_twice(files):
    questions = [q for part in plan.plan(files, full=True) for q in part.questions]
    assert len(questions) == len(set(questions))


def test_the_same_files_give_the_same_list_and_another_scale_another(files):
    one, two = (plan.plan(plan.Files(files.folder), full=False) for _ in range(2))
    assert one == two
    assert sum(len(p.questions) for p in plan.plan(files, full=False, scale=0.01)) < sum(len(p.questions) for p in one)


def test_every_part_tells_whether_it_is_all_or_a_sample(files):
    for part in plan.plan(files, full=False, scale=0.1):
        assert part.how.startswith(("all ", "every ", "the two ")) or " at random" in part.how, part


def test_dangerous_questions_come_last_and_only_the_armed_ones(files):
    parts = plan.plan(files, full=True)
    last = parts[-1]
    assert last.name == plan.LAST
    assert {
        Question("kprobe", "m_exit.cold"),
        Question("fentry", "migrate_disable"),
        Question("fexit", "do_exit"),
    } <= set(last.questions)
    before = {q for part in parts[:-1] for q in part.questions}
    assert {Question("fentry_load", "migrate_disable"), Question("fexit_load", "do_exit")} <= before
    assert Question("kprobe", "m_exit.cold") not in before
    assert Question("kprobe_event", "m_exit.cold") not in before
    assert Question("fentry", "migrate_disable") not in before


def test_only_accepted_loads_are_followed_by_an_attach():
    parts = plan.followers(
        [Question("fmod_ret_load", "security_a"), Question("tp", "a:b"), Question("fmod_ret_load", "do_exit")]
    )
    assert [q for part in parts for q in part.questions] == [Question("fmod_ret", "security_a")]


def test_the_plans_reader_of_btf_agrees_with_what_was_written():
    base = BtfWriter()
    number = base.int("int")
    void_pointer = base.ptr(0)
    base.typedef("btf_trace_x", base.ptr(base.func_proto(0, [("__data", void_pointer), ("a", number), ("b", number)])))
    base.decl_tag("bpf_kfunc", base.function("bpf_do", number))
    base.enum("bpf_attach_type", {"BPF_TRACE_FENTRY": 24, "BPF_LSM_MAC": 27})
    base.struct("s", 8, [("x", number, 0), ("y", number, 32)])
    base.function("vfs_read", number, [("a", number)])
    split = BtfWriter(base=base)
    split.function("vfs_read", number)
    split.function("m_read", void_pointer)
    names = Names(base.bytes())
    assert names.functions() == ["bpf_do", "vfs_read"]
    assert names.tracepoints() == {"x": 2}
    assert names.kfuncs() == ["bpf_do"]
    assert names.enumerators("bpf_attach_type") == ["BPF_TRACE_FENTRY", "BPF_LSM_MAC"]
    assert Names(split.bytes(), names).functions() == ["vfs_read", "m_read"]
    with pytest.raises(ValueError, match="not BTF: it starts with 6162"):
        Names(b"ab" + bytes(40))


@pytest.mark.oracle
def test_the_plans_reader_finds_the_functions_that_the_tools_reader_finds(recorded):
    raw = recorded.read("sys/kernel/btf/vmlinux")
    theirs = tools_btf.Btf(raw)
    ours = Names(raw)
    assert len(ours.functions()) > 50_000
    assert all(theirs.find_functions(name) for name in ours.functions()[::500])
    assert sorted(set(theirs.functions())) == sorted(ours.functions())
