"""A fleet in other engines: DuckDB and Polars on the Parquet file, Dask for the judging, object stores for snapshots.

The lane `engines` (`pytest -m engines`); the group `engines` of pyproject.toml installs what it needs, and what is not
installed is skipped by name: pyarrow, duckdb, polars, distributed, fsspec, s3fs, moto.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from probe_scout.commands import fleet
from probe_scout.errors import Broken, Denied, NotThere, UsageError
from probe_scout.frontends import parquet
from probe_scout.frontends.cli.matrix import roots_of
from probe_scout.frontends.fleet import add, judge
from probe_scout.frontends.session import open_kernel
from probe_scout.model.attach import for_kind
from probe_scout.model.hooks import HookSet
from probe_scout.model.target import FUNCTION
from probe_scout.sources import open_source
from probe_scout.sources.fleet_store import Store
from tests.conftest import ROOT

pytestmark = pytest.mark.engines

KERNELS = [str(ROOT / "fixtures" / "kernels" / f"debian-{one}-amd64.tar.xz") for one in ("6.1.176", "6.18.15", "7.3.4")]
TYPES = for_kind(FUNCTION)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(str(tmp_path_factory.mktemp("fleet") / "fleet.sqlite"), create=True)
    report = add(made, KERNELS, "1")
    assert [one.outcome for one in report.added] == ["added"] * 3
    for key in "ab":  # verdicts that have no room in a byte
        rows = [(f"many{n:03}", "", f'[{{"kprobe":"no"}},{{"kprobe":"E{n}"}}]') for n in range(300)]
        made.put(key, (f"9.{key}", key * 40, "x86_64", 300, 0, "1", ""), rows)
    yield made
    made.close()


@pytest.fixture(scope="module")
def file(store, tmp_path_factory):
    pytest.importorskip("pyarrow")
    path = str(tmp_path_factory.mktemp("parquet") / "fleet.parquet")
    rows = parquet.write(store, path, TYPES)
    assert rows == sum(build[4] for build in store.builds())
    return path


def cells(store):
    """Every row of the fleet, by the road of CSV: name, module, release, build-id, answers."""
    return list(fleet.exported(store, TYPES))


class Ours:
    """The ten questions by the store and plain Python."""

    def __init__(self, store):
        self.rows = cells(store)
        self.at = {name: number for number, name in enumerate(TYPES, 4)}

    def one_name(self):
        return sorted((r[2], r[self.at["kprobe"]]) for r in self.rows if r[0] == "vfs_read")

    def refused(self):
        said = self.at["kprobe"]
        return sorted({(r[0], r[2]) for r in self.rows if r[0].startswith("tcp_") and r[said].startswith("no")})

    def by_build(self):
        return sorted(Counter((r[2], r[self.at["fentry"]] or "-") for r in self.rows).items())

    def names(self):
        return len({r[0] for r in self.rows})

    def only_in(self):
        a, b = ({r[0] for r in self.rows if r[2].startswith(one)} for one in ("7.3", "6.1."))
        return sorted(a - b)

    def changed(self):
        said = self.at["fentry"]
        a, b = ({(r[0], r[1]): r[said] for r in self.rows if r[2].startswith(one)} for one in ("6.1.", "7.3"))
        return sorted((*key, a[key], b[key]) for key in a.keys() & b.keys() if a[key] != b[key])

    def everywhere(self):
        said = self.at["fentry"]
        return sorted(
            name
            for name, count in Counter(
                r[0] for r in self.rows if r[said] == "yes" and not r[1] and not r[2].startswith("9.")
            ).items()
            if count == 3
        )

    def errnos(self):
        return sorted(
            Counter(r[self.at["kprobe"]] for r in self.rows if r[self.at["kprobe"]].startswith("no:")).items()
        )

    def modules(self):
        return sorted(Counter(r[1] for r in self.rows if r[1]).items())

    def first_refused(self):
        said = self.at["fentry"]
        found = {}
        for r in self.rows:
            if r[said].startswith("no") and not r[1]:
                found[r[0]] = min(found.get(r[0], "~"), r[2])
        return sorted(found.items())


QUESTIONS = [name for name in vars(Ours) if not name.startswith("_")]
SQL = {
    "one_name": "SELECT release, kprobe FROM f WHERE name = 'vfs_read' ORDER BY ALL",
    "refused": "SELECT DISTINCT name, release FROM f WHERE name GLOB 'tcp_*' AND kprobe LIKE 'no%' ORDER BY ALL",
    "by_build": "SELECT release, coalesce(fentry, '-') a, count(*) FROM f GROUP BY ALL ORDER BY ALL",
    "names": "SELECT count(DISTINCT name) FROM f",
    "only_in": "SELECT DISTINCT name FROM f WHERE release LIKE '7.3%' AND name NOT IN"
    " (SELECT name FROM f WHERE release LIKE '6.1.%') ORDER BY ALL",
    "changed": "SELECT a.name, a.module, a.fentry, b.fentry FROM f a JOIN f b USING (name, module)"
    " WHERE a.release LIKE '6.1.%' AND b.release LIKE '7.3%' AND a.fentry <> b.fentry ORDER BY ALL",
    "everywhere": "SELECT name FROM f WHERE fentry = 'yes' AND module = '' AND release NOT LIKE '9.%'"
    " GROUP BY name HAVING count(*) = 3 ORDER BY ALL",
    "errnos": "SELECT kprobe, count(*) FROM f WHERE kprobe LIKE 'no:%' GROUP BY ALL ORDER BY ALL",
    "modules": "SELECT module, count(*) FROM f WHERE module <> '' GROUP BY ALL ORDER BY ALL",
    "first_refused": "SELECT name, min(release) FROM f WHERE fentry LIKE 'no%' AND module = ''"
    " GROUP BY name ORDER BY ALL",
}


def flat(rows):
    """Rows of an engine in the form of ours: nested counts apart, single columns bare."""
    found = []
    for row in rows:
        flatter = []
        for one in row if isinstance(row, tuple) else (row,):
            flatter += one if isinstance(one, tuple) else (one,)
        found.append(tuple(flatter))
    return found


@pytest.fixture(scope="module")
def ours(store):
    return Ours(store)


def test_there_are_ten_questions_and_each_has_an_answer(ours):
    assert set(QUESTIONS) == set(SQL)
    assert len(QUESTIONS) == 10
    assert all(getattr(ours, name)() for name in QUESTIONS)


@pytest.mark.parametrize("question", SQL)
def test_duckdb_answers_the_same(question, file, ours):
    duckdb = pytest.importorskip("duckdb")
    base = duckdb.connect()
    base.execute(f"CREATE VIEW f AS FROM '{file}'")
    wanted = getattr(ours, question)()
    assert base.execute(SQL[question]).fetchall() == flat(wanted if isinstance(wanted, list) else [wanted])


@pytest.mark.parametrize("question", SQL)
def test_polars_answers_the_same(question, file, ours):
    pl = pytest.importorskip("polars")
    f, c = pl.scan_parquet(file), pl.col
    old, new = c("release").str.starts_with("6.1."), c("release").str.starts_with("7.3")
    refused = c("fentry").str.starts_with("no")
    asked = {
        "one_name": lambda: f.filter(c("name") == "vfs_read").select("release", "kprobe"),
        "refused": lambda: (
            f.filter(c("name").str.starts_with("tcp_") & c("kprobe").str.starts_with("no"))
            .select("name", "release")
            .unique()
        ),
        "by_build": lambda: f.group_by("release", c("fentry").fill_null("-")).len(),
        "names": lambda: f.select(c("name").n_unique().cast(pl.Int64)),
        "only_in": lambda: f.filter(new).join(f.filter(old), on="name", how="anti").select("name").unique(),
        "changed": lambda: (
            f.filter(old)
            .join(f.filter(new), on=["name", "module"])
            .filter(c("fentry") != c("fentry_right"))
            .select("name", "module", "fentry", "fentry_right")
        ),
        "everywhere": lambda: (
            f.filter((c("fentry") == "yes") & (c("module") == "") & ~c("release").str.starts_with("9."))
            .group_by("name")
            .len()
            .filter(c("len") == 3)
            .select("name")
        ),
        "errnos": lambda: f.filter(c("kprobe").str.starts_with("no:")).group_by("kprobe").len(),
        "modules": lambda: f.filter(c("module") != "").group_by("module").len(),
        "first_refused": lambda: f.filter(refused & (c("module") == "")).group_by("name").agg(c("release").min()),
    }
    wanted = getattr(ours, question)()
    assert sorted(asked[question]().collect().rows()) == flat(wanted if isinstance(wanted, list) else [wanted])


def test_the_file_is_sorted_and_says_its_schema(file):
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(file)
    assert table.schema.metadata[b"schema"] == b"probe-scout/fleet-parquet/1"
    names = table.column("name").to_pylist()
    assert names == sorted(names)
    assert table.column_names[:5] == ["name", "module", "release", "build_id", "arch"]


def test_a_parquet_file_that_cannot_be_written(store, tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(Broken, match="cannot be written"):
        parquet.write(store, str(tmp_path / "none" / "f"), TYPES)


def test_without_the_package_one_sentence_says_what_to_install(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"probe-scout\[parquet\]"):
        parquet.write(store, "f", TYPES)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"probe-scout\[remote\]"):
        open_source("s3://bucket/key")


# Dask


def test_dask_keeps_what_a_loop_keeps_though_a_worker_dies(tmp_path, store):
    distributed = pytest.importorskip("distributed")
    broken = tmp_path / "broken.tar.xz"
    broken.write_bytes(Path(KERNELS[0]).read_bytes()[:9000])
    roots = [*KERNELS, str(broken)]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        begun = client.submit(os.getpid, pure=False)
        begun.result()

        def by_dask(wanted):
            waiting = {client.submit(judge, root, retries=2): root for root in wanted}
            time.sleep(1)
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
            for future in distributed.as_completed(waiting):
                try:  # a result whose worker dies before it is fetched is computed again: its status says nothing
                    found = future.result()
                except Exception as error:
                    found = str(error)
                yield waiting[future], found

        theirs = Store(str(tmp_path / "dask.sqlite"), create=True)
        report = add(theirs, roots, "1", pool=by_dask)
    assert [one.outcome for one in report.added] == ["added", "added", "added", "error"]
    assert sorted(cells(theirs)) == sorted(row for row in cells(store) if not row[0].startswith("many"))
    theirs.close()


# stores


def test_a_snapshot_in_memory(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://fleet/a.tar.xz", "wb") as handle:
        handle.write(Path(KERNELS[1]).read_bytes())
    with fsspec.open("memory://fleet/b.tar.xz", "wb") as handle:
        handle.write(b"not an archive")
    assert roots_of(["memory://fleet/*.tar.xz"], HookSet(())) == [
        "memory:///fleet/a.tar.xz",
        "memory:///fleet/b.tar.xz",
    ]
    there, here = open_kernel("memory://fleet/a.tar.xz"), open_kernel(KERNELS[1])
    assert there.check(["vfs_read"]).targets == here.check(["vfs_read"]).targets
    assert open_kernel(f"file://{KERNELS[1]}").info().build_id == here.info().build_id
    with pytest.raises(Broken):
        open_source("memory://fleet/b.tar.xz")
    with pytest.raises(NotThere):
        open_source("memory://fleet/none")
    with pytest.raises(UsageError):
        open_source("nostore://a/b")


@pytest.fixture
def s3(monkeypatch):
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    yield
    server.stop()


def test_a_bucket_of_snapshots(s3, tmp_path):
    s3fs = pytest.importorskip("s3fs")
    files = s3fs.S3FileSystem(skip_instance_cache=True)
    files.mkdir("fleet")
    for number, path in enumerate(KERNELS[:2]):
        files.put(path, f"fleet/{number}.tar.xz")
    roots = roots_of(["s3://fleet/*.tar.xz"], HookSet(()))
    assert roots == ["s3://fleet/0.tar.xz", "s3://fleet/1.tar.xz"]
    made = Store(str(tmp_path / "f.sqlite"), create=True)
    report = add(made, [*roots, "s3://fleet/none.tar.xz"], "1")
    assert [one.outcome for one in report.added] == ["added", "added", "error"]
    with pytest.raises((NotThere, Denied)):
        open_source("s3://nowhere/none")
    made.close()
