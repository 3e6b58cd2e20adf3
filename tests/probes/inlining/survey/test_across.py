"""Predictions across architectures: only where their share was measured, with names of the kernel that is asked."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.probes.inlining import survey
from probe_scout.probes.inlining.survey import across, own
from probe_scout.probes.inlining.survey.build import Collected, Read
from probe_scout.probes.inlining.survey.format import Share, Table, encode, machine_of
from tests.oracle import scoreboard

from .conftest import cell, table

FIXTURES = Path(__file__).resolve().parents[4] / "fixtures"
ARM64 = FIXTURES / "surveys" / "debian-arm64.survey"
NO, PARTIAL = {"vmlinux": {"f": "no"}}, {"vmlinux": {"f": "partial"}}


def ask(machine, name="f", has_symbol=True):
    return survey.lookup("other", name, None, has_symbol, "6.1.0-1-mine", machine)


def test_builds_of_another_architecture_are_asked_where_that_was_measured(surveys):
    surveys({"6.1-amd64": NO, "6.12-amd64": NO})
    entry = ask("aarch64")
    asked, right, exact = across.SHARES["x86_64", "aarch64"]["yes", "no", "all"]
    assert (entry.basis, entry.kind) == ("survey-across", "no")
    assert (entry.asked, entry.right, entry.exact) == (asked, right, exact)
    assert entry.kernels == ("6.1-amd64", "6.12-amd64")
    assert [ask(machine) for machine in ("riscv64", "s390x", "armv7l")] == [None, None, None]
    assert ask("x86_64").basis == "survey-other"


def test_a_build_of_the_same_architecture_is_asked_alone(surveys):
    surveys({"6.1-amd64": NO, "6.12-amd64": NO, "6.1-arm64": PARTIAL}, {("yes", "no", "all"): Share(100, 99, 99)})
    assert (ask("aarch64").basis, ask("aarch64").kind) == ("survey-other", "partial")
    assert ask("aarch64").confidence is None  # the shares of a survey are of its first kernel's architecture
    assert (ask("x86_64").kind, ask("x86_64").confidence) == ("no", 0.99)


def test_what_came_true_seldom_is_not_foretold(surveys):
    surveys({"6.1-amd64": {"vmlinux": {"f": "full"}}, "6.12-amd64": {"vmlinux": {}}, "7.3-amd64": {"vmlinux": {}}})
    assert ("no", "full", "few") not in across.SHARES["x86_64", "aarch64"]
    assert ask("aarch64", has_symbol=False) is None
    assert ask("x86_64", has_symbol=False).basis == "survey-other"


def test_every_share_is_one():
    rows = [row for shares in across.SHARES.values() for row in shares.items()]
    assert len(rows) >= 20
    for (symbol, label, agreement), (asked, right, exact) in rows:
        assert symbol in ("yes", "no", "unknown")
        assert cell(label.removesuffix(" + clone")).kind
        assert agreement in ("all", "most", "few", "divided")
        assert asked >= right >= exact
        assert asked >= survey.ASKED_MIN
        assert 2 * right >= asked


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("vfs_read", "vfs_read"),
        ("__x64_sys_execve", "__arm64_sys_execve"),
        ("__ia32_sys_execve", ""),
        ("__ia32_compat_sys_execve", ""),
        ("__x64_compat_sys_execve", ""),
    ],
)
def test_names_of_system_calls(name, there):
    assert across.name_there(name, "x86_64", "aarch64") == there


@pytest.mark.parametrize(
    ("release", "machine"),
    [
        ("6.12.107+deb13-amd64", "x86_64"),
        ("6.1.0-50-arm64", "aarch64"),
        ("6.12.107+deb13-cloud-arm64", "aarch64"),
        ("6.12.5-200.fc41.x86_64", "x86_64"),
        ("6.12.5-200.fc41.aarch64", "aarch64"),
        ("6.12.107+deb13-riscv64", "riscv64"),
        ("6.17.1-mine", ""),
        ("", ""),
    ],
)
def test_the_machine_that_a_release_tells(release, machine):
    assert machine_of(release) == machine


def test_the_machine_of_a_debug_file_is_kept_where_the_release_does_not_tell_it():
    collected = Collected()
    collected.add(Read("6.1-mine", "vmlinux", "aa", {"f": cell("no")}, "aarch64"))
    collected.add(Read("6.1-amd64", "vmlinux", "bb", {"f": cell("no")}, "x86_64"))
    raw = collected.encoded()
    assert dict(zip(table(raw).kernels, table(raw).machines, strict=True)) == {
        "6.1-amd64": "x86_64",
        "6.1-mine": "aarch64",
    }
    again = Collected()
    again.take(table(raw))
    assert again.encoded() == raw


def test_a_survey_made_elsewhere_keeps_its_shares_and_machines(monkeypatch, tmp_path):
    monkeypatch.setattr(
        "probe_scout.probes.inlining.survey.own.own_folder", lambda: str(tmp_path / "cache" / "surveys")
    )
    given, shares = tmp_path / "given.survey", {("yes", "no", "all"): Share(100, 99, 98)}
    names = {"f": {"vmlinux": [cell("no"), cell("partial", 3)]}}
    given.write_bytes(
        encode(["6.1-arm64", "6.2-mine"], [(0, "vmlinux", "aa"), (1, "vmlinux", "bb")], names, shares, ["aarch64"] * 2)
    )
    made = {one.release: Table(survey.reader(one.path), one.path) for one in own.add([str(given)]).kernels}
    assert {release: (one.machines, one.shares) for release, one in made.items()} == {
        "6.1-arm64": (["aarch64"], shares),
        "6.2-mine": (["aarch64"], shares),
    }


def test_the_survey_of_arm64_knows_the_recorded_builds():
    """Made by tests/tools/make_survey.py from Debian's -dbg packages; vmlinux alone."""
    made = Table(survey.reader(str(ARM64)), str(ARM64))
    ids = {one.build_id for one in made.files}
    assert set(made.machines) == {"aarch64"}
    for path in sorted((FIXTURES / "arm64" / "kernels").glob("*.tar.xz")):
        told = tomllib.loads(path.with_name(path.name.replace(".tar.xz", ".kernel.toml")).read_text())
        if told["release"] in made.kernels:
            assert Kernel(scoreboard.open_recorded(path)).build_id() in ids
    assert {one.cells[0].kind for one in made.find("vfs_read")} == {"no"}
    assert made.find("do_execve")[0].cells[1].places == (("__arm64_sys_execve", 40),)
