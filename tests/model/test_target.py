"""What a user names on the command line."""

from __future__ import annotations

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.session import open_kernel
from probe_scout.model.asked import attach_types
from probe_scout.model.target import FUNCTION, OFFSET, SYSCALL, TRACEPOINT, Target, parse, read
from tests.conftest import RECORDED


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("vfs_read", Target(FUNCTION, "vfs_read")),
        ("xfs:xfs_file_open", Target(FUNCTION, "xfs_file_open", "xfs")),
        ("vfs_read+0x10", Target(OFFSET, "vfs_read", None, 16)),
        ("xfs:xfs_file_open+16", Target(OFFSET, "xfs_file_open", "xfs", 16)),
        ("tp:sched:sched_switch", Target(TRACEPOINT, "sched_switch", "sched")),
        ("tp:sched/sched_switch", Target(TRACEPOINT, "sched_switch", "sched")),
        ("raw_tp:sched_switch", Target(TRACEPOINT, "sched_switch")),
        ("syscall:execve", Target(SYSCALL, "execve")),
        ("u", Target(FUNCTION, "u")),
        ("usdt", Target(FUNCTION, "usdt")),
    ],
)
def test_the_written_forms(text, target):
    assert parse(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "/bin/bash:readline",
        "./a.out:main",
        "../lib.so:f+0x4",
        "uprobe:/bin/bash:readline",
        "uretprobe:./a.out:main",
        "uprobe//bin/bash:readline",
        "usdt:/bin/bash:probe",
        "u:a.out:main",
    ],
)
def test_a_place_in_a_program_is_not_taken_for_a_function_of_a_module(text):
    with pytest.raises(UsageError, match="is in a program or library"):
        parse(text)


@pytest.mark.parametrize("text", ["", "a b", " a", "a\x1b", "a" * 5000, "a+0xzz", "a+", ":f", "a" * 512])
def test_what_is_no_name(text):
    with pytest.raises(UsageError):
        parse(text)


@pytest.mark.parametrize(
    "text", ["vfs_read:", "xfs::", "kprobe:vfs_read:", "fentry/vfs_read:", "kprobe.multi/a:", "p:a:"]
)
def test_a_module_without_a_function_is_no_function(text):
    """perf's kprobe_func "vfs_read:" is ENOENT on every kernel, "" is no function of any module."""
    with pytest.raises(UsageError, match="names a module without a function: perf gives ENOENT"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "target", "attach"),
    [
        ("kretprobe/vfs_read:", Target(FUNCTION, "vfs_read"), "kretprobe"),  # libbpf reads as far as a name goes
        ("kprobe:vfs_read", Target(FUNCTION, "vfs_read"), "kprobe"),
        ("kprobe/vfs_read+0x10", Target(OFFSET, "vfs_read", None, 16), "kprobe"),
        ("kprobe:xfs:xfs_file_open", Target(FUNCTION, "xfs_file_open", "xfs"), "kprobe"),
        ("p:vfs_read", Target(FUNCTION, "vfs_read"), "kprobe"),
        ("kretprobe.multi/tcp_*", Target(FUNCTION, "tcp_*"), "kretprobe.multi"),
        ("fentry:vmlinux:vfs_read", Target(FUNCTION, "vfs_read", "vmlinux"), "fentry"),
        ("fexit.s/vfs_read", Target(FUNCTION, "vfs_read"), "fexit.s"),
        ("kfunc:vfs_read", Target(FUNCTION, "vfs_read"), "fentry"),
        ('SEC("fentry/vfs_read")', Target(FUNCTION, "vfs_read"), "fentry"),
        ("lsm/file_open", Target(FUNCTION, "bpf_lsm_file_open"), "lsm"),
        ("lsm.s/bpf_lsm_file_open", Target(FUNCTION, "bpf_lsm_file_open"), "lsm.s"),
        ("iter:task", Target(FUNCTION, "bpf_iter_task"), "iter"),
        ("iter.s/task_vma", Target(FUNCTION, "bpf_iter_task_vma"), "iter.s"),
        ("tp/sched/sched_switch", Target(TRACEPOINT, "sched_switch", "sched"), ""),
        ("tracepoint:sched:sched_switch", Target(TRACEPOINT, "sched_switch", "sched"), ""),
        ("t:sched:sched_switch", Target(TRACEPOINT, "sched_switch", "sched"), ""),
        ("raw_tp/sched_switch", Target(TRACEPOINT, "sched_switch"), "raw_tp"),
        ("rawtracepoint:sched_switch", Target(TRACEPOINT, "sched_switch"), "raw_tp"),
        ("tp_btf/sched_switch", Target(TRACEPOINT, "sched_switch"), "tp_btf"),
        ("ksyscall/openat", Target(SYSCALL, "openat"), "ksyscall"),
        ("syscall:openat", Target(SYSCALL, "openat"), ""),
        ("xfs:xfs_file_open", Target(FUNCTION, "xfs_file_open", "xfs"), ""),
    ],
)
def test_the_spelling_of_loaders_and_tracers_says_the_attach_type(text, target, attach):
    assert read(text)[:2] == (target, attach)


@pytest.mark.parametrize("text", ["cgroup/connect4", "xdp/x", "profile:hz:99", "struct_ops/tcp"])
def test_programs_that_attach_elsewhere_are_not_taken_for_functions(text):
    with pytest.raises(UsageError, match="is not judged"):
        parse(text)


@pytest.mark.parametrize("text", ["kprobe/", "tp/", "iter/", "lsm/", "tracepoint:sched:"])
def test_a_word_without_a_name(text):
    with pytest.raises(UsageError, match="the name is empty"):
        parse(text)


@pytest.mark.parametrize(
    ("word", "meant"), [("tracepoint", "tp"), ("rawtracepoint", "raw_tp"), ("kfunc", "fentry"), ("kretfunc", "fexit")]
)
def test_the_words_of_other_tools_for_attach_types(word, meant):
    with pytest.raises(UsageError, match=f"did you mean {meant}$"):
        attach_types([word])


@pytest.fixture(scope="module")
def kernel():
    return open_kernel(str(RECORDED))


@pytest.mark.parametrize(
    ("text", "types", "same", "as_types"),
    [
        ("iter:task", (), "bpf_iter_task", ("iter",)),
        ("task", ("iter",), "bpf_iter_task", ("iter",)),
        ("lsm/file_open", (), "bpf_lsm_file_open", ("lsm",)),
        ("inode_permission", ("lsm",), "bpf_lsm_inode_permission", ("lsm",)),
        ("sched:sched_switch", (), "tp:sched:sched_switch", ()),
        ("tracepoint/sched/sched_switch", (), "tp:sched:sched_switch", ()),
        ("rawtracepoint:vmlinux:sched_switch", (), "tp:sched_switch", ("raw_tp",)),
        ("kprobe:vfs_read", (), "vfs_read", ("kprobe",)),
        ("kprobe:vfs_read", ("fexit",), "vfs_read", ("fexit",)),
    ],
)
def test_every_form_is_judged_as_what_it_means(kernel, text, types, same, as_types):
    asked, meant = kernel.check([text], types), kernel.check([same], as_types)
    assert asked.targets == meant.targets


def test_an_iterator_is_no_probe(kernel):
    (report,) = kernel.check(["iter:task"]).targets
    assert [v.answer for v in report.verdicts] == ["yes"]
    assert (report.hazards, report.diagnosis, report.coverage.basis) == ((), (), "none")


def test_every_command_takes_every_form(kernel):
    assert {row.target for row in kernel.scan("kprobe.multi/vfs_read*").rows} >= {"vfs_read", "vfs_readv"}
    assert [next(iter(kernel.scan("lsm/file_open").rows)).answers] == [{"lsm": "yes"}]
    assert [e.event for e in kernel.tracepoint("t:sched:sched_switch").events] == ["sched:sched_switch"]
    assert len(kernel.tracepoint("syscall:openat").events) == 2
    assert kernel.stub(["kprobe:vfs_read"]).stubs[0].attach == "kprobe"
    assert kernel.stub(["raw_tp/sched_switch"]).stubs[0].attach == "raw_tp"
    assert kernel.stub(["syscall:openat"]).stubs[0].attach == "ksyscall"
    assert kernel.inline("fentry:vfs_read") == kernel.inline("vfs_read")
    totals = {t.kind: t.in_a for t in kernel.diff(kernel, "rawtracepoint:sched_switch").totals}
    assert totals == {"events": 1}
    totals = {t.kind: t.in_a for t in kernel.diff(kernel, "fentry/vfs_read").totals}
    assert totals == {"functions": 1}


def test_a_form_of_the_other_kind_is_said_to_be_so(kernel):
    with pytest.raises(UsageError, match="names a function"):
        kernel.tracepoint("kprobe:vfs_read")
    with pytest.raises(UsageError, match="names events"):
        kernel.scan("tp:sched:*")
    with pytest.raises(UsageError, match="does not apply to tp:sched:sched_switch"):
        kernel.check(["tracepoint/sched/sched_switch"], ["fentry"])
