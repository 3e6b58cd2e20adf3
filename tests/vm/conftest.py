"""The vm lane: tests that boot a kernel run only where they are asked for, `pytest -m vm`."""

from __future__ import annotations


def pytest_collection_modifyitems(config, items):
    if "vm" in config.getoption("-m"):
        return
    booting = [item for item in items if item.get_closest_marker("vm")]
    if booting:
        config.hook.pytest_deselected(items=booting)
        items[:] = [item for item in items if item not in booting]
