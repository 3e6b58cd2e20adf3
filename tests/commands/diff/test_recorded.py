"""`diff` on recorded kernels: against itself, against truths looked up by hand, and against `scan` on both sides."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from probe_scout.frontends.session import open_kernel
from probe_scout.kernel.kernel import Kernel

SHARED = Path(__file__).resolve().parents[4] / "shared" / "kernels"
KERNELS = Path(__file__).resolve().parents[3] / "fixtures" / "kernels"


def test_a_kernel_does_not_differ_from_itself():
    kernels = [open_kernel(str(KERNELS / "debian-7.3.4-amd64.tar.xz")) for _ in range(2)]
    report = kernels[0].diff(kernels[1])
    assert not report.differs()
    assert [one for one in report.unread if "slice" not in one.unread.why] == []
    assert [(t.kind, t.in_a == t.in_b == t.same, t.untold) for t in report.totals] == [
        ("functions", True, 0),
        ("events", True, 0),
    ]


@pytest.fixture(scope="module")
def both():
    """6.12 and 7.3 as they lie beside the project."""
    paths = [SHARED / f"debian-{name}.tar.xz" for name in ("6.12", "7.3")]
    if not all(path.exists() for path in paths):
        pytest.skip("no recorded kernels of 6.12 and 7.3 beside the project")
    return [open_kernel(str(path)) for path in paths]


@pytest.fixture(scope="module")
def report(both):
    started = time.process_time()
    made = both[0].diff(both[1])
    assert time.process_time() - started < 12  # 2.4 s on an idle machine
    return made


@pytest.fixture(scope="module")
def functions(report):
    return {(f.module, f.target): f for f in report.functions}


@pytest.fixture(scope="module")
def events(report):
    return {e.target: e for e in report.events}


def test_truths_about_functions(functions):
    """Looked up in proc/kallsyms and in bpftool's dump of both kernels' BTF."""
    assert (None, "vfs_read") not in functions
    assert functions[None, "vfs_ioctl"].change == "gone"
    assert functions[None, "vfs_coredump"].change == "appeared"
    assert [(a.place, a.what) for a in functions[None, "vfs_mkdir"].arguments] == [(None, "type"), (4, "appeared")]
    assert functions[None, "vfs_mkdir"].prototype_a.startswith("int vfs_mkdir(struct mnt_idmap *idmap, struct inode")
    assert functions[None, "vfs_mkdir"].prototype_b.startswith("struct dentry *vfs_mkdir(struct mnt_idmap *idmap, ")


def test_truths_about_events(report, events):
    """Looked up in both kernels' format files."""
    assert "sched:sched_switch" not in events
    assert report.common == ()
    assert events["block:block_bio_bounce"].change == "gone"
    assert [(f.field, f.what) for f in events["block:block_bio_queue"].fields] == [
        ("rwbs", ("size", "type")),
        ("comm", ("moved",)),
    ]
    assert (events["block:block_bio_queue"].fields[1].a.offset, events["block:block_bio_queue"].fields[1].b.offset) == (
        36,
        38,
    )


def test_types_that_612_does_not_know(report):
    assert [t.attach for t in report.types] == ["fsession", "fentry.multi", "fexit.multi", "fsession.multi"]


@pytest.mark.skipif(os.environ.get("PROBE_SCOUT_DIFF") != "whole", reason="PROBE_SCOUT_DIFF is not `whole`")
def test_every_name_is_accounted_for_by_scan(both, report, functions):
    """Each side's scan, as text, holds the rows and nothing else: presence and answers of every function."""
    one, two = map(_rows, both)
    skipped = {t.attach for t in report.types} | {"lsm", "lsm.s", "iter", "iter.s"}
    alone = {m.module for m in report.modules}
    arrived = {(f.module, name) for f in functions.values() if f.change == "renamed" for name in f.others}
    for f in functions.values():
        arrived.update((None if o == "vmlinux" else o, f.target) for o in f.others if f.change == "moved")
    for key in one.keys() & two.keys():
        there = functions.get(key)
        said = {v.attach: (v.errno_a or v.answer_a, v.errno_b or v.answer_b) for v in there.verdicts} if there else {}
        assert {t: pair for t, pair in said.items() if t not in ("lsm", "lsm.s", "iter", "iter.s")} == {
            t: (answer, two[key][t])
            for t, answer in one[key].items()
            if t not in skipped and answer != two[key][t] and "unknown" not in (answer, two[key][t])
        }
        assert there is None or there.change == "changed"
    for key in one.keys() - two.keys():
        assert key[0] in alone or functions[key].change in ("gone", "renamed", "moved")
    for key in two.keys() - one.keys():
        assert key[0] in alone or key in arrived or functions[key].change == "appeared"
    assert sum(f.change == "changed" for f in functions.values()) > 1000


def _rows(kernel):
    """(module, name) to attach type to answer or errno, of the functions that have a symbol."""
    found = {}
    for line in kernel.scan_ndjson():
        row = json.loads(line)
        if row["errno"].get("kprobe") != "ENOENT":
            found[row["module"], row["target"]] = {t: row["errno"].get(t) or a for t, a in row["answers"].items()}
    return found


@pytest.mark.parametrize("slice_first", [False, True])
def test_what_a_slice_does_not_hold_is_not_gone(slice_first):
    whole, part = (open_kernel(str(KERNELS / f"debian-{name}-amd64.tar.xz")) for name in ("6.12.107", "7.3.4"))
    report = part.diff(whole) if slice_first else whole.diff(part)
    missing = "appeared" if slice_first else "gone"
    assert {one.change for one in (*report.functions, *report.events)} >= {"changed"}
    assert [one.target for one in (*report.functions, *report.events) if one.change == missing] == []
    (gap,) = [one for one in report.unread if "slice" in one.unread.why]
    assert gap.side == ("a" if slice_first else "b")
    assert "functions and" in gap.unread.why


def test_whole_kernels_are_no_slices():
    from probe_scout.sources import open_source

    cut = {path.name: bool(Kernel(open_source(str(path))).partial()) for path in KERNELS.glob("*.tar.xz")}
    whole = {name for name, is_cut in cut.items() if not is_cut}
    assert whole == {"debian-5.10.223-amd64.tar.xz", "debian-6.12.107-amd64.tar.xz"}
