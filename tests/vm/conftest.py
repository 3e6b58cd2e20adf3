"""The vm lane: tests that boot a kernel run only where they are asked for, `pytest -m vm`."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config, items):
    if "vm" in config.getoption("-m"):
        return
    booting = [item for item in items if item.get_closest_marker("vm")]
    if booting:
        config.hook.pytest_deselected(items=booting)
        items[:] = [item for item in items if item not in booting]


@pytest.fixture(scope="session")
def fetched_kernel():
    """fetched_kernel(name) is the name, or skips the test with what is missing here."""
    from tests.vm import cache
    from tests.vm.problems import LabError, program

    def ask(name):
        try:
            program("qemu-system-x86_64")
            program("busybox")
            cache.get(name)
        except LabError as error:
            pytest.skip(str(error))
        return name

    return ask
