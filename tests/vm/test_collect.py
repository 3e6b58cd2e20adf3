"""collect.sh in guests: as root and as a user it tells what `snapshot` tells of the same boot.

Runs with `pytest -m vm`. PROBE_SCOUT_VM names the kernels (blank separated; those of KERNELS that are fetched if it is
not set). The guest's shell is busybox's.
"""

from __future__ import annotations

import os
import shutil

import pytest

from probe_scout.commands.snapshot import PATHS, script
from probe_scout.errors import SourceError
from probe_scout.frontends.session import open_kernel
from probe_scout.sources import open_source

pytestmark = pytest.mark.vm

KERNELS = ("5.10", "6.1", "6.12", "7.3")
MODULES = ("crc32c_generic", "ext4", "xfs")
# What the audit and the decoder add, which a shell cannot ask; and what changes between two readings.
OURS_ALONE = ("tool/", "code/")
COUNTED = ("sys/kernel/tracing/kprobe_profile",)
COMMAND = (
    "probe-scout snapshot -o /out/ours.tar --keep-addresses && sh -s </host/collect.sh >/out/theirs.tar.gz && "
    "as_user sh /host/collect.sh >/out/user.tar.gz && "
    "as_user probe-scout snapshot -o /tmp/user.tar --keep-addresses && "
    "cp /tmp/user.tar /out/user-ours.tar && sh /host/collect.sh host >/out/host.tar.gz"
)


@pytest.fixture(scope="module", params=KERNELS)
def out(request, tmp_path_factory):
    """The folder with what the guest wrote."""
    from tests.vm import boot, cache
    from tests.vm.problems import LabError

    wanted = os.environ.get("PROBE_SCOUT_VM", "").split()
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    try:
        cache.get(request.param)
    except LabError:
        pytest.skip(f"kernel {request.param} is not fetched")
    if wanted and request.param not in wanted:
        pytest.skip(f"PROBE_SCOUT_VM does not name {request.param}")
    folder = tmp_path_factory.mktemp("out")
    (folder / "collect.sh").write_bytes(script())
    ended = boot.run(
        request.param,
        ["sh", "-c", COMMAND],
        share={"/host/collect.sh": folder / "collect.sh"},
        out=folder,
        env=["PYTHONPATH=/usr/lib/probe-scout"],
        modules=MODULES,
        timeout_s=900,
        tool=True,
    )
    assert ended.status == 0, ended.stderr[-2000:] + ended.console[-2000:]
    return folder


def told(path, folders):
    """Every file that a snapshot holds, and the kind of what it does not."""
    source = open_source(str(path))
    found = {}
    for name in {*PATHS, *folders, *_files(source, "")}:
        try:
            found[name] = source.read(name)
        except SourceError as error:
            found[name] = error.kind
    return {name: raw for name, raw in found.items() if not name.startswith((*OURS_ALONE, "manifest.json", *COUNTED))}


def _files(source, folder):
    for name in source.names(folder):
        path = f"{folder}/{name}" if folder else name
        try:
            source.names(path)
        except SourceError:
            yield path
        else:
            yield from _files(source, path)


def different(a, b):
    """The names of which two snapshots tell different things."""
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def test_root_is_told_alike(out):
    ours, theirs = told(out / "ours.tar", ()), told(out / "theirs.tar.gz", ())
    assert different(ours, theirs) == []
    assert len(ours) > 4000


def test_a_user_is_told_alike(out):
    ours, theirs = told(out / "user-ours.tar", ()), told(out / "user.tar.gz", ())
    assert different(ours, theirs) == []
    assert "denied" in ours.values()


def test_every_answer_is_the_same(out):
    ours, theirs = (open_kernel(str(out / name)).scan("*") for name in ("ours.tar", "theirs.tar.gz"))
    ours, theirs = list(ours.rows), list(theirs.rows)
    assert len(ours) > 50_000
    changed = [a.target for a, b in zip(ours, theirs, strict=True) if a != b]
    assert changed == []


def test_a_host_sends_little(out):
    assert (out / "host.tar.gz").stat().st_size < 8192
    assert open_kernel(str(out / "host.tar.gz")).info().build_id == open_kernel(str(out / "ours.tar")).info().build_id
