"""What hooks need, on recorded kernels of which the configuration is known."""

from __future__ import annotations

from pathlib import Path

import pytest

import probe_scout
from probe_scout.errors import UsageError

KERNELS = Path(__file__).resolve().parents[3] / "fixtures" / "kernels"


@pytest.fixture(scope="module")
def needs_of():
    opened = {}

    def of(kernel, hooks):
        if kernel not in opened:
            opened[kernel] = probe_scout.open_kernel(str(KERNELS / f"debian-{kernel}-amd64.tar.xz"))
        return {(one.kind, one.name): one for one in opened[kernel].doctor(hooks).needs}

    return of


def test_each_need_is_told_once_with_its_hooks(needs_of):
    found = needs_of("6.12.107", "fentry/vfs_read,tp:sched:sched_switch,lsm/file_open,kprobe:vfs_read")
    assert {name for kind, name in found if kind == "capability"} == {"CAP_BPF", "CAP_PERFMON"}
    assert len(found["capability", "CAP_BPF"].hooks) == 4
    assert found["config", "CONFIG_BPF_LSM"].has == "yes"
    assert found["boot", "lsm=…,bpf"].has == "yes"
    assert found["config", "CONFIG_EVENT_TRACING"].hooks == ("tp tp:sched:sched_switch",)
    assert found["sysctl", "kernel.perf_event_paranoid"].hooks == (
        "tp tp:sched:sched_switch",
        "kprobe kprobe:vfs_read",
    )


def test_what_a_kernel_lacks(needs_of):
    found = needs_of("5.10.223", "lsm/file_open,kprobe.multi/vfs_read")
    assert found["boot", "lsm=…,bpf"].has == "no"
    assert found["config", "CONFIG_FPROBE"].has == "no"


def test_hooks_that_cannot_be_asked_are_refused(needs_of):
    with pytest.raises(UsageError):
        needs_of("6.12.107", ",")
    with pytest.raises(UsageError):
        needs_of("6.12.107", "fentry/")
