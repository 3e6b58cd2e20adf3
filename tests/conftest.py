"""Fixtures for every room: small kernels written by tests/builders/tiny_kernel.py, and the bundled recorded one."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from probe_scout.frontends.session import OpenKernel
from probe_scout.kernel.kernel import Kernel
from probe_scout.sources import archive, open_source
from tests.builders import machine
from tests.builders.tiny_kernel import Changed, tiny_files
from tests.builders.tree import write_tree

ROOT = Path(__file__).resolve().parents[1]
UNPACKED_MAX = 6  # recorded kernels: 5 to 70 MB each
RECORDED = ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"


FIXTURES = str(ROOT / "fixtures") + os.sep
_unpack = archive.ArchiveSource.__init__
_unpacked: dict[tuple[object, ...], archive.ArchiveSource] = {}


def _share_unpacked(self: archive.ArchiveSource, file: str, keep: bool = False) -> None:
    """A recorded kernel is unpacked once for many tests, and not for each that opens it: nothing writes to it."""
    if keep or not file.startswith(FIXTURES):
        return _unpack(self, file, keep)
    state = os.stat(file)
    key = file, state.st_ino, state.st_mtime_ns, state.st_size
    if key not in _unpacked:
        _unpack(self, file)
        if len(_unpacked) == UNPACKED_MAX:
            del _unpacked[next(iter(_unpacked))]
        _unpacked[key] = self
    kept = _unpacked[key] = _unpacked.pop(key)  # the last one used is the last one given up
    for name in archive.ArchiveSource.__slots__:
        setattr(self, name, getattr(kept, name))


archive.ArchiveSource.__init__ = _share_unpacked  # type: ignore[method-assign]

if not os.access(ROOT, os.W_OK):  # failing examples are kept in the tree; where that may not be done, nowhere
    settings.register_profile("read_only", database=None)
    settings.load_profile("read_only")


gc.set_threshold(100_000, 20, 100)  # Kernels are millions of objects that stay: looking through them costs a fifth
# An open kernel is a circle of objects, up to 300 MB, which nothing but a full collection gives back.
COLLECT_AFTER = 400 << 20
_resident = 0


@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish():
    """Collect when the process has grown by so many bytes since the last time, and not after so many objects."""
    global _resident
    if resident() > _resident + COLLECT_AFTER:
        gc.collect()
        _resident = resident()


def resident() -> int:
    """Bytes of this process in memory; 0 where the kernel does not say so."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


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


def pytest_collection_modifyitems(config, items):
    """Lanes that run only where they are asked for, by `pytest -m LANE`: they ask the machine, or need files beside."""
    left = [lane for lane in ("machine", "image", "corpus", "engines", "browser") if lane not in config.getoption("-m")]
    asking = [item for item in items if any(item.get_closest_marker(lane) for lane in left)]
    if asking:
        config.hook.pytest_deselected(items=asking)
        items[:] = [item for item in items if item not in asking]


@pytest.fixture(autouse=True)
def off_the_machine(request, monkeypatch):
    """No test but those of the lanes reads the machine it runs on, whose state is not the test's."""
    if any(request.node.get_closest_marker(lane) for lane in ("machine", "vm", "debug", "speed", "engines", "browser")):
        yield
        return
    read: list[str] = []

    def refuse(self):
        read.append("bpf(2)")
        raise AssertionError("a test asks the machine's own bpf(2): mark it `machine`")

    monkeypatch.setattr("probe_scout.sources.bpf.syscalls.Machine.__init__", refuse)
    machine.note(read, request.node.get_closest_marker("image") is None)
    yield
    machine.note(None)
    assert not read, f"the test reads the machine it runs on (mark it `machine`, or give it files): {read[:5]}"


@pytest.fixture(autouse=True)
def no_kept_answers(monkeypatch):
    """Answers are worked out, not taken from the user's cache or debug packages; tests of those turn them on."""
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", "off")


@pytest.fixture
def kept_at_once(no_kept_answers, tmp_path, monkeypatch):
    """The cache is on, in a folder of its own, and files count as settled as soon as they are written."""
    from probe_scout.sources import mapped

    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mapped, "SETTLED_NS", 0)
    return tmp_path / "cache" / "probe-scout"


@pytest.fixture(autouse=True)
def no_surveys(monkeypatch):
    """No survey is asked, so that no answer depends on the shipped figures; tests/probes/inlining/survey/ asks them."""
    monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", tuple)


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
