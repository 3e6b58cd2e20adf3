"""lsm_cgroup against what booted kernels said to the load of a program on each hook (fixtures/lsm_cgroup).

Another prober asked, of the same builds. Hooks without a return value are left out: its program returned 0, which the
kernel refuses there whatever the hook.
"""

from __future__ import annotations

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.sources import open_source

from . import recorded, scoreboard

FOLDER = scoreboard.ROOT / "fixtures" / "lsm_cgroup"
ASKED = {"debian-6.12.107-amd64": (220, 19), "debian-7.3.4-amd64": (94, 22)}


@pytest.mark.oracle
@pytest.mark.parametrize("name", ASKED)
def test_every_hook_is_answered_as_the_kernel_did(name):
    judge = scoreboard.Judge(open_source(str(scoreboard.KERNELS / f"{name}.tar.xz")))
    row = scoreboard.score(judge, recorded.read(FOLDER / f"{name}.tsv.xz"))["lsm_cgroup_load"]
    assert (row.wrong, row.errno_wrong, row.unknown) == ([], [], 0)
    assert (row.right, row.refused) == ASKED[name]


@pytest.mark.parametrize("name", sorted(scoreboard.kernels()))
def test_a_slice_that_was_cut_without_the_probed_function_goes_by_the_configuration(name):
    """Slices of fixtures/kernels lack __cgroup_bpf_run_filter_skb: that is no word about CONFIG_CGROUP_BPF."""
    kernel = Kernel(open_source(str(scoreboard.KERNELS / f"{name}.tar.xz")))
    assert kernel.feature("cgroup_bpf") is True
    if kernel.partial():  # and so are the feature probes of uprobes, which no configuration settles
        assert kernel.feature("uprobe_nops") in (None, True)
        assert kernel.feature("decoder_xop") in (None, True)
