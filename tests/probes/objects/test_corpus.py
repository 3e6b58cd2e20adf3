"""The corpus lane: objects of distributions' packages against what libbpf and booted kernels said of each.

`pytest -m corpus`. PROBE_SCOUT_OBJECTS names a folder of compiled objects, PROBE_SCOUT_TRUTH the folder of recorded
answers and PROBE_SCOUT_CAPTURES that of the kernels' files (else beside the project). What is missing fails: a lane
that was asked for has to run.
"""

from __future__ import annotations

import collections
import csv
import errno
import gzip
import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from probe_scout.formats.btf import relocation
from probe_scout.formats.elf import bpf_object
from probe_scout.frontends.session import OpenKernel, open_kernel
from probe_scout.probes.objects.kernel_types import KernelTypes

FOLDER = os.environ.get("PROBE_SCOUT_OBJECTS", "")
SHARED = Path(__file__).parents[4] / "shared"
TRUTH = Path(os.environ.get("PROBE_SCOUT_TRUTH") or SHARED / "truth" / "objects")
CAPTURES = Path(os.environ.get("PROBE_SCOUT_CAPTURES") or SHARED / "kernels")
KERNELS = ("5.10", "6.1", "6.12", "7.3")
LIBBPF_ERRNO = {4001: "FORMAT", 4005: "RELOC", 524: "ENOTSUPP", 95: "EOPNOTSUPP"}
# What only the verifier, a device or a file of the machine decides; a program refused for it may be a yes of ours.
LEFT = ("verifier", "attach.qdisc", "attach.other.xdp", "attach.uprobe")

pytestmark = pytest.mark.corpus


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request, tmp_path_factory) -> tuple[str, OpenKernel]:
    folder = CAPTURES / f"debian-{request.param}"
    if not folder.is_dir():
        folder = tmp_path_factory.mktemp(request.param)
        with tarfile.open(CAPTURES / f"debian-{request.param}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    return request.param, open_kernel(str(folder))


@pytest.fixture(scope="module")
def objects() -> dict[str, Path]:
    assert FOLDER, "PROBE_SCOUT_OBJECTS names no folder of compiled objects"
    found = {hashlib.sha256(path.read_bytes()).hexdigest()[:16]: path for path in Path(FOLDER).glob("*.o")}
    assert found, f"{FOLDER} holds no objects"
    return found


def _errno(row) -> str | None:
    number = row.get("errno")
    return LIBBPF_ERRNO.get(number) or errno.errorcode.get(number) if number else None


def test_no_answer_is_wrong(kernel, objects):
    name, opened = kernel
    rows = collections.defaultdict(list)
    with gzip.open(TRUTH / f"{name}.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            if row["kind"] in ("alone", "whole") and row["object"] in objects:
                rows[row["object"]].append(row)
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    wrong = []
    for digest in sorted(rows):
        (linted,) = opened.lint([str(objects[digest])]).objects
        programs = {program.name: program for program in linted.kernels[0].programs}
        for row in rows[digest]:
            ours = linted.kernels[0].object if row["kind"] == "whole" else programs[row["prog"]]
            passed = row["stage"] in ("ok", "loaded", "attached")
            if ours.answer == "unknown":
                counts[row["kind"], "unknown"] += 1
                continue
            if ours.answer == "yes":
                left = LEFT if row["kind"] == "alone" else "verifier"
                right = passed or (row["class"] or "").startswith(left)
            else:
                right = not passed and ours.stage == row["stage"] and ours.errno == _errno(row)
            counts[row["kind"], "right" if right else "wrong"] += 1
            if not right:
                wrong.append((digest, row.get("prog"), row["stage"], _errno(row), ours.answer, ours.stage, ours.errno))
    print(name, dict(counts))
    assert wrong == []
    assert counts["alone", "right"] > 10 * counts["alone", "unknown"]


def test_every_relocation_is_libbpf_s(kernel, objects):
    name, opened = kernel
    core = KernelTypes(opened._kernel).core()
    expected = collections.defaultdict(dict)
    with gzip.open(TRUTH / f"core-{name}.tsv.gz", "rt") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["object"] in objects:
                expected[row["object"]][row["section"], int(row["record"])] = row["candidates"], row["result"]
    assert expected
    for digest, rows in sorted(expected.items()):
        found = bpf_object.read(objects[digest].read_bytes(), digest)
        assert found.records is not None
        resolver = relocation.Relocator(found.records, core)
        ours = {}
        for section, records in found.core.items():
            for number, record in enumerate(records):
                if (section, number) in rows:
                    ours[section, number] = _written(resolver.resolve(record))
        assert ours == rows


def _written(found: relocation.Resolved) -> tuple[str, str]:
    """As the comparison program around libbpf's own resolver printed it."""
    sizes = f"sz {found.old_bytes}->{found.new_bytes}" + (" badsz" if found.bad_size else "")
    return f"cands={found.candidates}", "poison" if found.poison else f"{found.old}->{found.new} {sizes}"
