"""The code slices of four recorded Debian kernels against what those kernels answered."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from probe_scout.arch import x86_64
from probe_scout.formats import code_slices
from probe_scout.model import instruction as kinds
from probe_scout.sources import open_source

FIXTURES = Path(__file__).parents[2] / "fixtures"


@cache
def slices(release: str) -> bytes:
    """Those of the recorded snapshot; of 6.1 those made from the image alone, without the running kernel."""
    if release == "6.1.176":
        return (FIXTURES / "code" / "debian-6.1.176.slices").read_bytes()
    return open_source(str(FIXTURES / "kernels" / f"debian-{release}-amd64.tar.xz")).read("code/slices")


# Names that perf refused with EINVAL for no other reason, and two that it took.
@pytest.mark.parametrize(
    ("release", "module", "name", "site"),
    [
        ("6.12.107", None, "ftrace_init_array_ops.cold", "bug"),
        ("6.12.107", "btrfs", "unpin_extent_cache.cold", "bug"),
        ("6.12.107", None, "throttle_active_work.cold", ""),
        ("7.3.4", None, "__getblk_slow.cold", "bug"),  # refused for a return probe; the first instruction is a WARN
        ("7.3.4", None, "HUF_closeCStream.cold", ""),
    ],
)
def test_a_refused_cold_part_begins_with_a_bug_entry(release, module, name, site):
    (found,) = code_slices.find(slices(release), module, name)
    assert code_slices.reserved_site(found) == site
    assert (x86_64.entry_instruction(found.code).kind == kinds.UD) == (site == "bug")


# The processor's features decide which jump becomes a no-op, so the image alone cannot tell.
@pytest.mark.parametrize("name", ["pgd_none", "__rdgsbase_inactive"])
def test_an_entry_that_boot_patches_is_not_decided_by_the_image(name):
    copies = code_slices.find(slices("6.1.176"), None, name)
    assert copies
    for found in copies:
        kind = x86_64.entry_instruction(found.code).kind
        assert (kind, found.sites) == (kinds.JUMP, ("alternative",))
        assert x86_64.may_be_nop5(kind, found.sites, False) is None


# fentry attached to the first two without an ftrace record, and was refused (EBUSY) at the others.
@pytest.mark.parametrize(
    ("release", "name", "expected"),
    [
        ("7.3.4", "__pkru_allows_pkey", True),
        ("7.3.4", "random_get_entropy", True),
        ("7.3.4", "__rdgsbase_inactive", False),
        ("7.3.4", "fpu_idle_fpregs", False),
        ("6.12.107", "__rdgsbase_inactive", False),
        ("6.12.107", "pgd_none", False),
    ],
)
def test_running_code_decides_it(release, name, expected):
    copies = code_slices.find(slices(release), None, name)
    assert copies
    for found in copies:
        assert code_slices.is_running(found)
        assert x86_64.may_be_nop5(x86_64.entry_instruction(found.code).kind, found.sites, True) is expected


@pytest.mark.parametrize(
    ("release", "cold", "bug"),
    [("5.10.223", 3043, 18), ("6.1.176", 3536, 18), ("6.12.107", 4045, 3), ("7.3.4", 7984, 4)],
)
def test_every_trap_at_a_cold_entry_is_in_the_bug_table(release, cold, bug):
    found = [one for copies in code_slices.table(slices(release)).values() for one in copies if ".cold" in one.name]
    traps = [one for one in found if x86_64.entry_instruction(one.code).kind == kinds.UD]
    assert (len(found), len(traps)) == (cold, bug)
    assert {code_slices.reserved_site(one) for one in traps} == {"bug"}
