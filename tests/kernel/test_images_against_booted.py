"""The image lane: what is computed of the lab's kernel packages against captures of the same builds, booted.

`pytest -m image`. Needs the lab's kernels (`python -m tests.vm fetch`) and the captures, which lie beside the project
or in the folder that PROBE_SCOUT_CAPTURES names, one KERNEL.tar.xz or folder each, booted without KASLR. A kernel of
which either is missing fails: a lane that was asked for has to run.
"""

from __future__ import annotations

import collections
import functools
import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import probe_scout
from probe_scout.formats.elf.kernel_image import KernelImage
from probe_scout.formats.image import events as event_table
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.modules import Module
from tests.builders import package_writer
from tests.vm import cache

pytestmark = pytest.mark.image

CAPTURES = Path(os.environ.get("PROBE_SCOUT_CAPTURES") or Path(__file__).parents[3] / "shared" / "kernels")
KERNELS = ("5.10", "6.1", "6.12", "7.3")
TRACING = "sys/kernel/tracing"


class Both(NamedTuple):
    """A kernel from its package, and as it was booted: a folder."""

    package: probe_scout.OpenKernel
    booted: Path
    image: Path

    def computed(self, path: str) -> bytes:
        return self.package._kernel.source.read(path)

    def shown(self, path: str) -> bytes:
        return (self.booted / path).read_bytes()


@pytest.fixture(scope="module", params=KERNELS)
def both(request, tmp_path_factory) -> Both:
    folder = cache.root() / "kernels" / request.param
    tmp = tmp_path_factory.mktemp(request.param)
    files = {f"boot/vmlinuz-{request.param}": folder / "vmlinuz", f"boot/config-{request.param}": folder / "config"}
    package = tmp / "linux-image.deb"
    package.write_bytes(package_writer.deb({name: path.read_bytes() for name, path in files.items()}, ""))
    booted = CAPTURES / f"debian-{request.param}"
    if not booted.is_dir():
        booted = tmp / "booted"
        with tarfile.open(CAPTURES / f"debian-{request.param}.tar.xz") as archive:
            archive.extractall(booted, filter="data")
    return Both(probe_scout.open_kernel(str(package)), booted, folder / "vmlinuz")


def in_vmlinux(raw: bytes) -> list[bytes]:
    """Lines without a module's name behind them."""
    return [line for line in raw.splitlines() if not line.endswith(b"]")]


def test_symbols(both):
    assert both.computed("proc/kallsyms").splitlines() == in_vmlinux(both.shown("proc/kallsyms"))


def test_types(both):
    assert both.computed("sys/kernel/btf/vmlinux") == both.shown("sys/kernel/btf/vmlinux")


def test_sites_of_ftrace(both):
    path = f"{TRACING}/available_filter_functions"
    assert both.computed(path).splitlines() == in_vmlinux(both.shown(path))


def test_blacklist(both):
    path = "sys/kernel/debug/kprobes/blacklist"
    shown = [row for row in both.shown(path).splitlines() if not row.startswith(b"0xffffffffc")]  # not of modules
    assert both.computed(path).splitlines() == shown


def test_release(both):
    assert both.computed("proc/sys/kernel/osrelease") == both.shown("proc/sys/kernel/osrelease")
    version = both.shown("proc/sys/kernel/version").decode().strip()
    assert both.computed("proc/version").decode().strip().endswith(version)


@functools.cache
def events(booted: Path) -> set[str]:
    folder = booted / TRACING / "events"
    return {f"{path.parent.name}/{path.name}" for path in folder.glob("*/*") if path.is_dir()}


def test_events(both):
    """Every event of vmlinux, its id and its fields; others are of modules, whose events lie behind in the list."""
    names = both.package._kernel.source.names
    ours = {f"{s}/{e}" for s in names(f"{TRACING}/events") for e in names(f"{TRACING}/events/{s}")}
    assert ours <= events(both.booted)
    for name in sorted(ours):
        folder = f"{TRACING}/events/{name}"
        shown = both.shown(f"{folder}/format").decode("latin-1").partition("\nprint fmt")[0]
        # kernel/trace/trace_events.c, event_create_dir: only what perf can register has the file.
        assert "id" in names(folder) or name.startswith("ftrace/")
        if "id" in names(folder):
            assert both.computed(f"{folder}/id").decode().strip() == re.search(r"ID: (\d+)", shown)[1]
        assert both.computed(f"{folder}/format").decode("latin-1").partition("\nprint fmt")[0] == shown


def test_available_events(both):
    shown = both.shown(f"{TRACING}/available_events").splitlines()
    ours = both.computed(f"{TRACING}/available_events").splitlines()
    known = set(ours)
    assert ours == [row for row in shown if row in known]
    listed = {name.replace("/", ":", 1).encode() for name in events(both.booted)} & known
    assert listed == known


def test_loaded_modules(both):
    """Symbols, ftrace records and types of every loaded module, in the kernel's order, and the fields of its events."""
    facts = Facts(KernelImage(both.package._kernel.image))
    files = {
        path.name.partition(".")[0].replace("-", "_"): path for path in (both.image.parent / "tree").rglob("*.ko*")
    }
    symbols, sites = (
        by_module(both.shown("proc/kallsyms")),
        by_module(both.shown(f"{TRACING}/available_filter_functions")),
    )
    loaded = [line.split()[0].decode() for line in both.shown("proc/modules").splitlines()]
    assert loaded
    for name in loaded:
        module = Module(files[name].read_bytes(), str(files[name]))
        ours = [line.split()[1:3] for line in module.kallsyms().splitlines()]
        assert ours == [row[1:3] for row in symbols[name]], name
        ours = [line.split()[0] for line in module.filter_functions(facts.has_marker()).splitlines()]
        assert ours == [row[0] for row in sites[name]], name
        if (both.booted / "sys/kernel/btf" / name).exists():
            assert module.btf() == both.shown(f"sys/kernel/btf/{name}"), name
        for event in module.events(facts):
            shown = both.shown(f"{TRACING}/events/{event.system}/{event.name}/format").decode("latin-1")
            text = event_table.format_text(event, event_table.common_fields(facts) or ())
            assert fields(text) == fields(shown), event.name


def by_module(raw: bytes) -> dict[str, list[list[bytes]]]:
    found: dict[str, list[list[bytes]]] = collections.defaultdict(list)
    for line in raw.splitlines():
        if line.endswith(b"]"):
            words = line.split()
            found[words[-1][1:-1].decode()].append(words)
    return found


def fields(text: str) -> str:
    return re.sub(r"ID: \d+", "", text.partition("\nprint fmt")[0])


def test_every_verdict_of_scan(both):
    """Both with the image's code. Names that a loaded module has as well are the one difference there is."""
    package = _scanned(both.package)
    booted = _scanned(probe_scout.open_kernel(str(both.booted), vmlinux=str(both.image)))
    in_modules = {line.split()[2].decode() for line in both.shown("proc/kallsyms").splitlines() if line.endswith(b"]")}
    assert package.keys() == booted.keys()
    different = {name: (package[name], booted[name]) for name in package if package[name] != booted[name]}
    assert {name: rows for name, rows in different.items() if name not in in_modules} == {}


def _scanned(kernel) -> dict[str, tuple[object, object]]:
    rows = map(json.loads, kernel.scan_ndjson("*"))
    return {row["target"]: (row["answers"], row["errno"]) for row in rows if not row["module"]}


def test_with_the_modules_that_the_guest_had(both, request):
    """Whole files, and every verdict, with the list of modules that the booted kernel shows; only addresses differ."""
    loaded = f"@{both.booted / 'proc/modules'}"
    kernel = probe_scout.open_kernel(str(both.image), modules=loaded)
    read = kernel._kernel.source.read
    for path in (f"{TRACING}/available_filter_functions", f"{TRACING}/available_events"):
        assert read(path) == both.shown(path), path
    assert _without_addresses(read("proc/kallsyms")) == _without_addresses(both.shown("proc/kallsyms"))
    blacklist = "sys/kernel/debug/kprobes/blacklist"
    assert _sizes(read(blacklist)) == _sizes(both.shown(blacklist))
    assert _first_words(read("proc/modules")) == _first_words(both.shown("proc/modules"))
    assert set(kernel._kernel.source.names("sys/kernel/btf")) == {
        path.name for path in (both.booted / "sys/kernel/btf").iterdir()
    }
    booted = probe_scout.open_kernel(str(both.booted), vmlinux=str(both.image))
    ours, theirs = (list(map(json.loads, each.scan_ndjson("*"))) for each in (kernel, booted))
    assert any(row["module"] for row in theirs)
    assert [row["target"] for row in ours] == [row["target"] for row in theirs]
    different = [rows for rows in zip(ours, theirs, strict=True) if rows[0] != rows[1]]
    # Captures hold no code of modules; with the package their files are at hand (kernel/text.py, slice_of).
    assert {rows[0]["target"] for rows in different} <= {row["target"] for row in theirs if _waits_for_code(row)}
    assert not any(_waits_for_code(row) for row in ours)


def _waits_for_code(row: dict[str, Any]) -> bool:
    """A part of a module's function whose first instruction decides, and was not read."""
    return bool(row["module"]) and "." in row["target"] and row["answers"]["kprobe"] == "unknown"


def _without_addresses(raw: bytes) -> list[bytes]:
    made_here = (b"[bpf]", b"[__builtin__ftrace]", b"[__builtin__kprobes]")
    return [line[17:] for line in raw.splitlines() if not line.endswith(made_here)]


def _sizes(raw: bytes) -> list[tuple[int, str]]:
    rows = (line.split("\t") for line in raw.decode().splitlines())
    return [(int(place.split("-")[1], 16) - int(place.split("-")[0], 16), name) for place, name in rows]


def _first_words(raw: bytes) -> list[bytes]:
    return [line.split()[0] for line in raw.splitlines()]


BUILT = Path(__file__).parents[2] / "fixtures" / "built"
ENTRY_OF_RUNNING_CODE = {"fentry": "unknown", "fexit": "unknown"}  # a jump at the entry, which boot may make a no-op


@pytest.mark.parametrize("name", ["no-events", "no-function-tracer"])
def test_kernels_compiled_here(name):
    """With error injection and a configuration inside, without events or ftrace: every file, every verdict of scan."""
    image = cache.root() / "kernels" / f"built-{name}" / "vmlinuz"
    package = probe_scout.open_kernel(str(image))
    booted = probe_scout.open_kernel(str(BUILT / f"{name}.tar.xz"), vmlinux=str(image))
    assert package.info().build_id == booted.info().build_id
    ours, theirs = package._kernel.source, booted._kernel.source
    shown = [path for path in LISTS if has(theirs, path)]
    assert "sys/kernel/debug/error_injection/list" in shown
    assert [path for path in LISTS if has(ours, path)] == shown
    for path in shown:
        assert ours.read(path) == theirs.read(path), path
    assert package._kernel.config("CONFIG_KPROBES") == booted._kernel.config("CONFIG_KPROBES") == "y"
    mine, other = _scanned(package), _scanned(booted)
    assert mine.keys() == other.keys()
    different = {key: (mine[key][0], other[key][0]) for key in mine if mine[key] != other[key]}
    assert len(different) <= 21
    for said, truth in different.values():
        assert {name: word for name, word in said.items() if truth[name] != word} == ENTRY_OF_RUNNING_CODE


LISTS = (
    "proc/kallsyms",
    "proc/modules",
    f"{TRACING}/available_filter_functions",
    f"{TRACING}/available_events",
    f"{TRACING}/kprobe_events",
    "proc/sys/kernel/ftrace_enabled",
    "sys/kernel/btf/vmlinux",
    "sys/kernel/debug/error_injection/list",
    "sys/kernel/debug/kprobes/blacklist",
)


def has(source, path: str) -> bool:
    try:
        source.read(path)
    except probe_scout.ProbeScoutError:
        return False
    return True


ARM64 = os.environ.get("PROBE_SCOUT_ARM64_IMAGE", "")


@pytest.mark.skipif(not ARM64, reason="PROBE_SCOUT_ARM64_IMAGE names no vmlinuz of Debian's 6.12.107 for arm64")
def test_a_flat_image_of_arm64(tmp_path):
    booted = tmp_path / "booted"
    with tarfile.open(CAPTURES / "debian-6.12-arm64.tar.xz") as archive:
        archive.extractall(booted, filter="data")
    package, whole = probe_scout.open_kernel(ARM64), probe_scout.open_kernel(str(booted), vmlinux=ARM64)
    read = package._kernel.source.read
    for path in ("sys/kernel/btf/vmlinux", "sys/kernel/notes"):
        assert read(path) == (booted / path).read_bytes()
    for path in ("proc/kallsyms", f"{TRACING}/available_filter_functions", "sys/kernel/debug/kprobes/blacklist"):
        assert read(path).splitlines() == in_vmlinux((booted / path).read_bytes())
    shown = {str(path.relative_to(booted)): path for path in (booted / TRACING / "events").rglob("format")}
    ours = [path for path in package._kernel.source._files if path.endswith("/format")]
    assert len(ours) > 1300
    for path in ours:
        assert fields(read(path).decode("latin-1")) == fields(shown[path].read_bytes().decode("latin-1"))
    raw = (booted / "proc/kallsyms").read_bytes()
    in_modules = {line.split()[2].decode() for line in raw.splitlines() if line.endswith(b"]")}
    mine, theirs = _scanned(package), _scanned(whole)
    assert mine.keys() == theirs.keys()
    assert {name for name in mine if mine[name] != theirs[name]} <= in_modules


@pytest.mark.parametrize("kernel", ["6.1-arm64", "7.3-arm64"])
def test_loaded_modules_of_arm64(kernel, tmp_path):
    """Symbols, ftrace records and fields of events, as the lab's own recording of a booted guest has them."""
    booted = cache.root() / "recorded" / kernel / "files"
    if not booted.is_dir():
        pytest.skip(f"{booted} is not there: python -m tests.vm record -k {kernel.partition('-')[0]} --arch arm64")
    tree = cache.root() / "kernels" / kernel / "tree"
    package = probe_scout.open_kernel(str(tree), modules=f"@{booted / 'proc/modules'}")
    read = package._kernel.source.read
    for path, first in (("proc/kallsyms", 1), (f"{TRACING}/available_filter_functions", 0)):
        shown = (booted / path).read_bytes()
        if path == "proc/kallsyms" or has(package._kernel.source, path):
            ours, theirs = by_module(read(path)), by_module(shown)
            cut = [{name: [row[first:] for row in rows] for name, rows in each.items()} for each in (ours, theirs)]
            assert len(cut[1]) > 20
            assert cut[0] == cut[1]
    for path in (booted / TRACING / "events").rglob("format"):
        name = str(path.relative_to(booted))
        if has(package._kernel.source, name):
            assert fields(read(name).decode("latin-1")) == fields(path.read_bytes().decode("latin-1")), name
