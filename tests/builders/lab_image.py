"""The image of a kernel that the lab has fetched, for tests of the image lane."""

from __future__ import annotations

import pytest

import probe_scout
from tests.vm import cache as lab


def opened(kernel: str = "6.12") -> probe_scout.OpenKernel:
    """An open kernel out of the lab's vmlinuz; the test is skipped where capstone or the file is not there."""
    pytest.importorskip("capstone")
    path = lab.root() / "kernels" / kernel / "vmlinuz"
    if not path.exists():
        pytest.skip(f"{path} is not there: python -m tests.vm fetches it")
    return probe_scout.open_kernel(str(path))
