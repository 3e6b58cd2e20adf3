"""Fixtures for every room: small kernels written by tests/builders/tiny_kernel.py, and the bundled recorded one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probe_scout.api import OpenKernel
from probe_scout.kernel import Kernel
from probe_scout.sources import open_source
from tests.builders.tiny_kernel import Changed, tiny_files
from tests.builders.tree import write_tree

ROOT = Path(__file__).resolve().parents[1]
RECORDED = ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"


def pytest_addoption(parser):
    parser.addoption("--rewrite-goldens", action="store_true", help="write fixtures/goldens anew; review the diff")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With PROBE_SCOUT_NO_SKIP set, a skip is a failure that tells its reason."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("PROBE_SCOUT_NO_SKIP"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome, report.longrepr = "failed", f"skipped where no skip is allowed: {reason}"
    return report


@pytest.fixture(autouse=True)
def no_kept_answers(monkeypatch):
    """Answers are worked out, not taken from the user's cache or debug packages; tests of those turn them on."""
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", "off")


@pytest.fixture(autouse=True)
def no_surveys(monkeypatch):
    """No survey is asked, so that no answer hangs on the figures of the shipped one; tests/survey/ asks them."""
    monkeypatch.setattr("probe_scout.survey.paths", tuple)


@pytest.fixture
def tiny_folder(tmp_path):
    """tiny_folder(symbols, …) writes a snapshot folder and returns its path; a new folder for each call."""
    made = []

    def make(*args, **kwargs):
        made.append(write_tree(tmp_path / f"kernel{len(made)}", tiny_files(*args, **kwargs)))
        return made[-1]

    return make


@pytest.fixture
def tiny_kernel(tiny_folder):
    """tiny_kernel(symbols, …, denied=paths) is an open kernel as probe_scout.open_kernel gives it."""

    def make(*args, denied=(), **kwargs):
        folder = str(tiny_folder(*args, **kwargs))
        kernel = OpenKernel(folder)
        kernel._opened = Kernel(Changed(open_source(folder), denied))
        return kernel

    return make


@pytest.fixture(scope="session")
def recorded():
    """The bundled kernel's source; read once for the whole run."""
    return open_source(str(RECORDED))
