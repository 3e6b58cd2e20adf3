"""Arguments of iterators out of an image, against the kernel's source (ctx_arg_info of each struct bpf_iter_reg)."""

from __future__ import annotations

import pytest

from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.iterators import Argument, arguments
from tests.vm import cache as lab

pytestmark = pytest.mark.image
# kernel/bpf/{task,map,prog,link,cgroup}_iter.c, net/core/sock_map.c of 7.3; 5.10 knows no trusted pointers.
ROWS = {
    "7.3": {
        "task": ((8, True, True),),
        "task_file": ((8, True, False), (24, True, False)),
        "task_vma": ((8, True, False), (16, True, False)),
        "bpf_map": ((8, True, True),),
        "bpf_prog": ((8, True, False),),
        "bpf_link": ((8, True, False),),
        "cgroup": ((8, True, True),),
        "no_such": None,
    },
    "5.10": {"task": ((8, True, False),), "task_file": ((8, True, False), (24, True, False)), "cgroup": None},
}


@pytest.mark.parametrize("kernel", list(ROWS))
def test_registered_arguments(kernel):
    path = lab.root() / "kernels" / kernel / "vmlinuz"
    if not path.exists():
        pytest.skip(f"{path} is not there: python -m tests.vm fetches it")
    facts = Facts(KernelImage(vmlinux_of(path.read_bytes())))
    for target, rows in ROWS[kernel].items():
        expected = None if rows is None else tuple(Argument(*row) for row in rows)
        assert arguments(facts, target) == expected, target
