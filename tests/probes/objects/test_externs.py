"""What libbpf answers itself: whether system calls have wrappers."""

from __future__ import annotations

import pytest

from probe_scout.probes.objects.externs import Unresolved, _has_syscall_wrapper

NO_KPROBES = {"without": ("perf_kprobe_init",), "config": {"CONFIG_KPROBES": None, "CONFIG_KPROBE_EVENTS": None}}


def wrapped(tiny_kernel, *symbols, **more):
    return _has_syscall_wrapper(tiny_kernel(symbols, **more)._kernel)


def test_a_wrapper_is_there_where_a_kprobe_on_it_opens(tiny_kernel):
    assert wrapped(tiny_kernel, "foo")
    assert not wrapped(tiny_kernel, "foo", without=("__x64_sys_bpf",), config={"CONFIG_X86_64": "y"})
    assert not wrapped(tiny_kernel, "foo", **NO_KPROBES)


def test_each_architecture_has_its_own(tiny_kernel):
    assert wrapped(tiny_kernel, "__arm64_sys_bpf", without=("__x64_sys_bpf",))


def test_without_kallsyms_nothing_tells(tiny_kernel):
    with pytest.raises(Unresolved, match="kallsyms cannot be read"):
        wrapped(tiny_kernel, "foo", absent=("proc/kallsyms",))
