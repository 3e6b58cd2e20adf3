"""The table of kfuncs: against words of the verifier of booted kernels, and against the images it was made of."""

from __future__ import annotations

import lzma
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from probe_scout.kernel import from_image
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.verdict import NO, UNKNOWN, YES
from probe_scout.probes.calls import Calls, program_of
from probe_scout.rules import kfunc_sets
from probe_scout.sources import open_source
from tests.oracle import scoreboard
from tests.vm import cache

if TYPE_CHECKING:
    from probe_scout.sources.source import Source

RECORDED = Path(__file__).resolve().parents[2] / "fixtures" / "calls" / "kfuncs.tsv.xz"
HOOKS = frozenset(f"BTF_KFUNC_HOOK_{name}" for name in kfunc_sets._HOOKS)
XDP = frozenset(("bpf_kfunc_check_set_xdp",))


def test_a_kfunc_is_told_in_the_sets_that_recorded_kernels_have_it_in():
    assert kfunc_sets.recorded("bpf_dynptr_from_xdp", XDP, "XDP") == (True, False)
    assert kfunc_sets.recorded("bpf_dynptr_from_xdp", XDP, "KPROBE") == (False, False)
    assert kfunc_sets.recorded("bpf_dynptr_from_xdp", XDP | {"common_btf_ids"}, "XDP") is None
    assert kfunc_sets.recorded("bpf_no_such", XDP, "XDP") is None
    assert kfunc_sets.recorded("bpf_get_file_xattr", frozenset(("bpf_fs_kfunc_set_ids",)), "LSM") == (True, True)


@pytest.mark.parametrize("program", ["SOCK_OPS", "RAW_TRACEPOINT", "EXT", "NEW_TYPE"])
def test_of_types_that_moved_or_are_new_nothing_is_said(program):
    assert kfunc_sets.recorded("bpf_dynptr_from_xdp", XDP, program) is None


COMMON, GENERIC, REGION = "common_btf_ids", "generic_btf_ids", "io_uring_kfunc_set"


@pytest.mark.parametrize(
    ("kfunc", "sets", "program", "told"),
    [
        # Registered for all types: those whose hook moved may as well.
        ("bpf_rcu_read_lock", COMMON, "RAW_TRACEPOINT", (True, False)),
        ("bpf_rcu_read_lock", COMMON, "SOCK_OPS", (True, False)),
        ("bpf_copy_from_user_str", COMMON, "SOCK_OPS", (True, True)),
        ("bpf_copy_from_user_str", COMMON, "FLOW_DISSECTOR", (True, True)),
        ("bpf_rcu_read_lock", COMMON, "EXT", None),
        # For many, and not for all.
        ("bpf_task_acquire", GENERIC, "RAW_TRACEPOINT", None),
        ("bpf_task_acquire", GENERIC, "TRACING", (True, False)),
        ("bpf_task_acquire", GENERIC, "FLOW_DISSECTOR", (False, False)),
        ("bpf_io_uring_submit_sqes", REGION, "STRUCT_OPS", (True, True)),
        ("bpf_io_uring_submit_sqes", REGION, "XDP", (False, True)),
        # Recorded kernels do not agree.
        ("bpf_session_cookie", "kprobe_multi_kfunc_set_ids", "KPROBE", None),
        ("bpf_session_cookie", "kprobe_multi_kfunc_set_ids", "XDP", (False, False)),
    ],
)
def test_what_a_program_may_call_and_whether_it_may_sleep_in_it(monkeypatch, kfunc, sets, program, told):
    monkeypatch.setattr(kfunc_sets, "_kept", {})
    for _ in range(2):  # the table is made once
        assert kfunc_sets.recorded(kfunc, frozenset((sets,)), program) == told
    kfunc_sets._kept.clear()
    kfunc_sets._kept["own", frozenset()] = (frozenset(("XDP",)), frozenset(), False)
    assert kfunc_sets.recorded("own", frozenset(), "XDP") == (True, False)
    # The types without a hook may call what is registered for all, and nothing else.
    kfunc_sets._kept["own", frozenset()] = (kfunc_sets._WITHOUT_HOOK, frozenset(), True)
    assert kfunc_sets.recorded("own", frozenset(), "SOCK_OPS") == (True, True)


def test_kernels_with_other_hooks_are_not_spoken_of():
    assert kfunc_sets.fits(HOOKS)
    assert not kfunc_sets.fits(HOOKS - {"BTF_KFUNC_HOOK_CGROUP"})
    assert not kfunc_sets.fits(HOOKS | {"BTF_KFUNC_HOOK_NEW"})
    assert not kfunc_sets.fits(())


def check(source: Source, release: str, least: int) -> None:
    """Bare calls of every kfunc from programs of every type; refused is "calling kernel function is not allowed"."""
    kernel = Kernel(source)
    calls = Calls(kernel, search=False)
    told, wrong = 0, []
    for line in lzma.decompress(RECORDED.read_bytes()).decode().splitlines():
        where, kfunc, answer, programs = line.split("\t")
        if where != release or not kernel.ids().is_kfunc(kfunc):
            continue
        for program in programs.split():
            plain = program.partition("/")[0]
            type_, attach, _ = program_of(plain) or (plain.upper(), None, False)
            said = calls.kfunc(kfunc, type_, attach)
            told += said.answer != UNKNOWN
            if said.answer != UNKNOWN and said.answer != (YES if answer == "allowed" else NO):
                wrong.append((kfunc, program, said))
    assert wrong == []
    assert told > least


def test_without_an_image_no_answer_differs_from_the_verifiers():
    check(open_source(str(scoreboard.kernels()["debian-6.12.107-amd64"][0])), "6.12", 3000)


@pytest.mark.image
def test_nor_on_a_whole_kernel_whose_code_is_not_looked_at():
    opened = from_image.open_image(str(cache.root() / "kernels" / "7.3" / "vmlinuz"))
    assert opened is not None
    check(opened[0], "7.3", 6000)


@pytest.mark.image
def test_the_table_is_what_images_say():
    from tests.tools import kfunc_table

    found, moved = kfunc_table.agreed([kfunc_table.read(kernel) for kernel in kfunc_table.KERNELS])
    assert moved == {"SOCK_OPS", "RAW_TRACEPOINT"}
    assert [tuple(row) for row in kfunc_table.rows(found)] == list(kfunc_sets._TABLE)
