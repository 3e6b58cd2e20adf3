"""Per-CPU values above 32 KiB; the answers are those of booted kernels (5.10: ENOMEM, 6.1 and later: E2BIG)."""

from __future__ import annotations

import pytest

from probe_scout.model.bpf_map import MapDefinition
from probe_scout.probes.objects import map_limits
from probe_scout.rules import object_load


class Kernel:
    """Code of map_alloc_check as an image shows it."""

    def __init__(self, checks: bool | None, arch: str = "x86_64", config: str | None = None) -> None:
        self.checks, self.machine, self.option, self.asked = checks, arch, config, []

    def compares_with(self, name: str, numbers: tuple[int, ...]) -> bool | None:
        self.asked.append((name, numbers))
        return self.checks

    def arch(self) -> str:
        return self.machine

    def config(self, _option: str) -> str | None:
        return self.option


class Types:
    def __init__(self, kernel: Kernel, sessions: bool = False) -> None:
        self.kernel, self.sessions, self.vmlinux = kernel, sessions, self

    def enum(self, _name: str) -> dict[str, int]:
        return {"BPF_FUNC_unspec": 0}

    def knows(self, _enum: str, _enumerator: str) -> bool:
        return self.sessions

    def has_name(self, _name: str) -> bool:
        return False


def definition(kind: int, value: int, flags: int = 0) -> MapDefinition:
    return MapDefinition("m", kind, 4, value, 2, flags, "maps", 1)


@pytest.mark.parametrize(
    ("kind", "checks", "name", "errno"),
    [
        (object_load.PERCPU_ARRAY, True, "array_map_alloc_check", "E2BIG"),
        (object_load.PERCPU_ARRAY, False, "array_map_alloc_check", "ENOMEM"),
        (object_load.PERCPU_ARRAY, None, "array_map_alloc_check", ""),
        (object_load.LRU_PERCPU_HASH, False, "htab_map_alloc_check", "ENOMEM"),
    ],
)
def test_code_tells_which_error_it_is(kind, checks, name, errno):
    kernel = Kernel(checks)
    assert map_limits.too_large(Types(kernel), definition(kind, 32768))[0] is None
    assert not kernel.asked
    refused, evidence = map_limits.too_large(Types(kernel), definition(kind, 32769))
    assert refused is not None
    assert refused.errno == errno
    assert evidence != map_limits.UNSEEN
    assert kernel.asked == [(name, (32768, 32769))]


def test_a_later_kernel_needs_no_code():
    kernel = Kernel(None)
    refused, _ = map_limits.too_large(Types(kernel, sessions=True), definition(object_load.PERCPU_ARRAY, 32769))
    assert refused is not None
    assert refused.errno == "E2BIG"
    assert not kernel.asked


def test_without_preallocation_code_decides():
    one = definition(object_load.PERCPU_HASH, 32769, flags=1)
    assert map_limits.too_large(Types(Kernel(None)), one)[1] == map_limits.UNSEEN
    assert map_limits.too_large(Types(Kernel(False)), one)[0] is None


def test_larger_pages_have_another_limit():
    one = definition(object_load.PERCPU_ARRAY, 32769)
    assert map_limits.too_large(Types(Kernel(False, "aarch64")), one)[0] is None
    assert map_limits.too_large(Types(Kernel(False, "aarch64", "y")), one)[0] is not None
