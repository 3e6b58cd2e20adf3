"""Stable kernels between two releases: 7.1 got parts of what 7.2 has, some builds with and some without.

Answers are those of booted Debian kernels 7.1.3, 7.1.7, 7.1.8 and 7.1.13 (docs/testing.md).
"""

from __future__ import annotations

import pytest

SYMBOLS = ("__x64_sys_close", "vfs_read", "bpf_lsm_hook_returns_errno")
EVENTS = ("sched:sched_switch", "raw_syscalls:sys_enter", "syscalls:sys_enter_close")
NEWER = ("trace_call_bpf_faultable", "BPF_TRACE_FENTRY_MULTI", "bpf_trampoline_multi_attach")
NO_INJECTION = ("within_error_injection_list", "btf_non_sleepable_error_inject")
KERNELS = {
    "7.0": {"symbols": SYMBOLS[:2], "without": (*NEWER, NO_INJECTION[0], "btf_layout")},
    "7.1.3": {"symbols": SYMBOLS[:2], "without": (*NEWER, *NO_INJECTION)},
    "7.1.7": {"symbols": SYMBOLS, "without": (*NEWER, *NO_INJECTION)},
    "7.2": {"symbols": SYMBOLS, "without": NO_INJECTION},
}
CONFIG = {"CONFIG_FUNCTION_ERROR_INJECTION": None}


def verdict_of(kernel, target, attach):
    return kernel.check([target], [attach]).targets[0].verdicts[0]


ASKED = {
    ("tp:sched:sched_switch", "tp.s"): "no no yes no",
    ("tp:syscalls:sys_enter_close", "tp.s"): "no no yes yes",
    ("tp:sched:sched_switch", "raw_tp.s"): "no no no no",
    ("tp:raw_syscalls:sys_enter", "raw_tp.s"): "no no yes yes",
    ("tp:raw_syscalls:sys_enter", "tp_btf.s"): "no no yes yes",
    ("__x64_sys_close", "fentry.s"): "no yes yes yes",
    ("__x64_sys_close", "fmod_ret"): "no yes yes yes",
    ("vfs_read", "fentry.s"): "no no no no",
    ("vfs_read", "fmod_ret"): "no no no no",
}


@pytest.mark.parametrize(("target", "attach"), ASKED)
@pytest.mark.parametrize("release", KERNELS)
def test_each_build_answers_for_itself(tiny_kernel, release, target, attach):
    kernel = tiny_kernel(events=EVENTS, config=CONFIG, **KERNELS[release])
    verdict = verdict_of(kernel, target, attach)
    assert verdict.answer == ASKED[target, attach].split()[list(KERNELS).index(release)]


@pytest.mark.parametrize(
    ("release", "target", "is_warned"),
    [
        ("7.1.7", "tp:sched:sched_switch", True),
        ("7.1.7", "tp:syscalls:sys_enter_close", False),
        ("7.2", "tp:syscalls:sys_enter_close", False),
    ],
)
def test_an_event_that_must_not_sleep_is_warned_of(tiny_kernel, release, target, is_warned):
    kernel = tiny_kernel(events=EVENTS, config=CONFIG, **KERNELS[release])
    verdict = verdict_of(kernel, target, "tp.s")
    assert verdict.answer == "yes"
    assert ["hazard.cannot_sleep" in {note.rule for note in verdict.notes}] == [is_warned]


@pytest.mark.parametrize(
    ("release", "answer"), [("7.0", "no"), ("7.1.3", "unknown"), ("7.1.7", "unknown"), ("7.2", "yes")]
)
def test_a_name_of_vmlinux_and_of_a_module(tiny_kernel, release, answer):
    """Seen to be refused on 6.12.117, 6.16, 6.17 and 6.18 and accepted on 7.2; the source of 7.1.13 accepts it."""
    told = {**KERNELS[release], "symbols": (*KERNELS[release]["symbols"], "group_show", "group_show [btrfs]")}
    assert verdict_of(tiny_kernel(**told), "group_show", "kprobe").answer == answer


def test_without_id_sets_the_list_that_is_gone_cannot_be_missed(tiny_kernel):
    kernel = tiny_kernel(hide_ids=True, config=CONFIG, **KERNELS["7.1.3"])
    verdict = verdict_of(kernel, "__x64_sys_close", "fentry.s")
    assert verdict.answer == "unknown"
    assert "btf_ids" in {unread.fact for unread in verdict.unread}
