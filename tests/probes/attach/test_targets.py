"""What a name means on a kernel: a function, an event, a hook behind a short name; and what a pattern does."""

from __future__ import annotations

import pytest

from probe_scout.errors import UsageError
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import FUNCTION, SYSCALL, TRACEPOINT, Target
from probe_scout.probes.attach import targets
from probe_scout.sources import open_source
from tests.builders.tiny_kernel import TRACING, Changed, tiny_files
from tests.builders.tree import write_tree

SYMBOLS = [
    *("vfs_read", "vfs_readv", "vfs_write", "__pfx_vfs_read", "vfs_data data", "vfs_init init", "__x64_sys_read"),
    *("__x64_sys_readv", "bpf_lsm_file_open", "bpf_lsm_task_free", "file_open", "xfs_read [xfs]", "vfs_read [xfs]"),
    *("vfs_map [xfs] data", "xfs_file [xfs]", "a.b", "a+b"),
]
EVENTS = ("sched:sched_switch", "sched:sched_wakeup", "xfs:xfs_file", "xfs:xfs_read", "other:sched_switch")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return open_source(
        str(write_tree(tmp_path_factory.mktemp("k"), tiny_files(SYMBOLS, events=EVENTS, iterators=("task",))))
    )


@pytest.fixture(scope="module")
def kernel(source):
    return Kernel(source)


def names(found):
    return [(one.kind, one.module, one.name) for one in found]


F, T, S = FUNCTION, TRACEPOINT, SYSCALL


@pytest.mark.parametrize(
    ("text", "types", "expected"),
    [
        ("vfs_read", (), (F, None, "vfs_read")),
        ("sched:sched_switch", (), (T, "sched", "sched_switch")),
        ("nowhere:sched_switch", (), (F, "nowhere", "sched_switch")),
        ("xfs:xfs_read", (), (F, "xfs", "xfs_read")),  # a function of that module
        ("xfs:xfs_files", (), (F, "xfs", "xfs_files")),
        ("kprobe:sched:sched_switch", (), (F, "sched", "sched_switch")),
        ("rawtracepoint:vmlinux:sched_switch", (), (T, None, "sched_switch")),
        ("rawtracepoint:sched:sched_switch", (), (T, "sched", "sched_switch")),
        ("tp:sched:nothing", (), (T, "sched", "nothing")),
        ("sched:*", (), (T, "sched", "*")),
        ("sched:sched_w*", (), (T, "sched", "sched_w*")),
        ("s*:sched_w*", (), (F, "s*", "sched_w*")),
        ("xfs:*", (), (F, "xfs", "*")),  # a module's name
        ("nowhere:*", (), (F, "nowhere", "*")),
        ("kprobe:sched:*", (), (F, "sched", "*")),
        ("file_open", ("lsm",), (F, None, "bpf_lsm_file_open")),
        ("file_open", ("lsm", "lsm.s"), (F, None, "bpf_lsm_file_open")),
        ("file_open", ("lsm", "kprobe"), (F, None, "file_open")),
        ("file_open", (), (F, None, "file_open")),
        ("file_gone", ("lsm",), (F, None, "file_gone")),
        ("bpf_lsm_file_open", ("lsm",), (F, None, "bpf_lsm_file_open")),
        ("xfs:file_open", ("lsm",), (F, "xfs", "file_open")),
        ("task", ("iter",), (F, None, "bpf_iter_task")),
        ("task", ("iter", "iter.s"), (F, None, "bpf_iter_task")),
        ("task", ("lsm",), (F, None, "task")),
        ("syscall:read", (), (S, None, "read")),
    ],
)
def test_what_a_name_means(kernel, text, types, expected):
    found = targets.asked(kernel, text, types).target
    assert (found.kind, found.module, found.name) == expected


def test_an_event_that_a_module_has_a_function_of(kernel):
    assert targets.is_event(kernel, Target(FUNCTION, "sched_switch", "sched"))
    assert not targets.is_event(kernel, Target(FUNCTION, "sched_switch", "xfs"))
    assert not targets.is_event(kernel, Target(FUNCTION, "xfs_file", "xfs"))
    assert not targets.is_event(kernel, Target(FUNCTION, "vfs_read", "xfs"))


def test_without_symbols_events_are_still_told(source):
    blind = Kernel(Changed(source, ("proc/kallsyms",)))
    assert targets.asked(blind, "xfs:xfs_file").target.kind == TRACEPOINT
    assert targets.asked(blind, "sched:*").target.kind == TRACEPOINT
    assert targets.asked(blind, "xfs:*").target.kind == TRACEPOINT
    with pytest.raises(UsageError, match=r"proc/kallsyms cannot be read"):
        list(targets.matching(blind, Target(FUNCTION, "vfs_*")))
    silent = Kernel(Changed(source, (f"{TRACING}/available_events", f"{TRACING}/events")))
    with pytest.raises(UsageError, match="list of events cannot be read"):
        list(targets.matching(silent, Target(TRACEPOINT, "*", "sched")))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (Target(F, "vfs_*"), [(F, None, name) for name in ("vfs_read", "vfs_readv", "vfs_write", "vfs_init")]),
        (Target(F, "vfs_rea?"), [(F, None, "vfs_read")]),
        (Target(F, "[v]fs_readv"), [(F, None, "vfs_readv")]),
        (Target(F, "*vfs_read"), [(F, None, "vfs_read")]),
        (Target(F, "vfs_*", "xfs"), [(F, "xfs", "vfs_read")]),
        (
            Target(F, "vfs_read*", "*"),
            [(F, "vmlinux", "vfs_read"), (F, "vmlinux", "vfs_readv"), (F, "xfs", "vfs_read")],
        ),
        (Target(F, "vfs_read*", "vmlinux"), [(F, "vmlinux", "vfs_read"), (F, "vmlinux", "vfs_readv")]),
        (Target(F, "a.*"), [(F, None, "a.b")]),
        (Target(F, "a+*"), [(F, None, "a+b")]),
        (Target(F, "nothing*"), []),
        (Target(S, "rea*"), [(S, None, "read"), (S, None, "readv")]),
        (Target(T, "sched_*", "sched"), [(T, "sched", "sched_switch"), (T, "sched", "sched_wakeup")]),
        (Target(T, "sched_s*"), [(T, "other", "sched_switch"), (T, "sched", "sched_switch")]),
        (Target(T, "xfs_*", "x*"), [(T, "xfs", "xfs_file"), (T, "xfs", "xfs_read")]),
    ],
)
def test_what_a_pattern_matches(kernel, pattern, expected):
    assert sorted(names(targets.matching(kernel, pattern)), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vfs_*", ("vfs_*", "")),
        ("kprobe:vfs_*", ("vfs_*", "kprobe")),
        ("fentry/vfs_*", ("vfs_*", "fentry")),
        ("ksyscall/op*", ("__x64_sys_op*", "")),
        ("lsm/file_*", ("bpf_lsm_file_*", "lsm")),
        ("lsm/bpf_lsm_file_*", ("bpf_lsm_file_*", "lsm")),
        ("iter/task*", ("bpf_iter_task*", "iter")),
    ],
)
def test_a_pattern_of_functions(kernel, text, expected):
    assert targets.pattern(kernel, text) == expected


def test_a_pattern_of_events_is_none_of_functions(kernel):
    with pytest.raises(UsageError, match="names events"):
        targets.pattern(kernel, "tp/sched/*")


def test_the_function_behind_a_system_call(kernel):
    assert targets.as_function(kernel, Target(SYSCALL, "read")) == Target(FUNCTION, "__x64_sys_read")
    event = Target(TRACEPOINT, "sched_switch", "sched")
    assert targets.as_function(kernel, event) is event
