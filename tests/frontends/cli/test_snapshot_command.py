"""`snapshot` as a command: where it writes, what it refuses, and that each packing answers the same."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

import probe_scout
from probe_scout.frontends.cli import run
from probe_scout.sources import pack

from . import matrix


def answers(root):
    (target,) = probe_scout.open_kernel(str(root)).check(["vfs_read"], ["kprobe", "fentry"]).targets
    return [(v.attach, v.answer) for v in target.verdicts]


@pytest.mark.parametrize("ending", [".tar.xz", ".txz", ".tar.gz", ".tgz", ".tar"])
def test_the_ending_is_the_format(tiny_folder, tmp_path, capsys, ending):
    root = tiny_folder(("vfs_read",))
    out = tmp_path / f"host{ending}"
    assert run.main(["snapshot", "-o", str(out), f"--root={root}"]) == 0
    assert out.read_bytes()[:2] == {"xz": b"\xfd7", "gz": b"\x1f\x8b", "ar": b"ma"}[ending[-2:]]
    assert answers(out) == answers(root)


@pytest.mark.parametrize("name", ["host", "host.zip", "host.xz", "host.tar.bz2", "-x"])
def test_another_ending_is_a_usage_error_and_writes_nothing(tiny_folder, tmp_path, capsys, name):
    assert run.main(["snapshot", f"--out={tmp_path / name}", f"--root={tiny_folder(('vfs_read',))}"]) == 2
    assert ".tar.xz" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


def test_a_file_that_is_there_is_kept_without_force(tiny_folder, tmp_path, capsys):
    root = tiny_folder(("vfs_read",))
    out = tmp_path / "host.tar.gz"
    out.write_bytes(b"mine")
    assert run.main(["snapshot", "-o", str(out), f"--root={root}"]) == 2
    assert out.read_bytes() == b"mine"
    assert "--force" in capsys.readouterr().err
    assert run.main(["snapshot", "-o", str(out), f"--root={root}", "--force"]) == 0
    assert answers(out) == answers(root)


def test_a_dash_is_standard_output_and_nothing_else_is_there(tiny_folder, tmp_path):
    done = matrix.run(["snapshot", "-o", "-", f"--root={tiny_folder(('vfs_read',))}"])
    assert done.code == 0
    with tarfile.open(fileobj=io.BytesIO(done.out)) as archive:
        assert "proc/kallsyms" in archive.getnames()
    assert not os.path.exists("-")


def test_a_dash_with_a_format_is_a_usage_error(tiny_folder, capsys):
    assert run.main(["snapshot", "-o", "-", "--json", f"--root={tiny_folder(('vfs_read',))}"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("redirect", "code"), [(">&-", 4), (">/dev/full", 4)])
def test_a_dash_that_cannot_be_written_is_a_sentence(tiny_folder, redirect, code):
    done = matrix.run(["snapshot", "-o", "-", f"--root={tiny_folder(('vfs_read',))}"], redirect)
    assert (done.code, done.err.count(b"\n")) == (code, 1)


def test_a_stub_to_a_dash_is_standard_output(tiny_folder, capsys):
    line = ["stub", "sched:sched_switch", f"--root={matrix.RECORDED}"]
    assert run.main(line) == 0
    usual = capsys.readouterr().out
    assert run.main([*line, "-o", "-"]) == 0
    assert capsys.readouterr().out == usual
    assert not os.path.exists("-")


def test_progress_goes_from_nothing_to_all():
    told = []
    members = [("a", bytes(3 << 20)), ("b", b"x")]
    size = pack.to_stream(io.BytesIO(), "x.tar", members, lambda done, total: told.append((done, total)))
    assert size % 512 == 0
    assert told == sorted(told)
    assert told[-1] == ((3 << 20) + 1, (3 << 20) + 1)
    assert all(done < total for done, total in told[:-1])
