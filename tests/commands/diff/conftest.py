"""Two tiny kernels side by side."""

from __future__ import annotations

import pytest


@pytest.fixture
def differ(tiny_kernel):
    """differ(a, b, glob="", …) with the keywords of tiny_kernel for each; the report with all rows."""

    def make(a, b, glob="", *, kinds=(), types=(), whole=True):
        return tiny_kernel(**a).diff(tiny_kernel(**b), glob, kinds, types, whole)

    return make
