"""The debug lane: tests that read a whole vmlinux run only where they are asked for, `pytest -m debug`."""

from __future__ import annotations


def pytest_collection_modifyitems(config, items):
    if "debug" in config.getoption("-m"):
        return
    large = [item for item in items if item.get_closest_marker("debug")]
    if large:
        config.hook.pytest_deselected(items=large)
        items[:] = [item for item in items if item not in large]
