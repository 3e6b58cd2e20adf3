"""The figures of the page: counted by hand on small kernels, and equal to what the shipped survey gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from probe_scout.probes.inlining.survey import accuracy, build
from probe_scout.probes.inlining.survey.format import Share

from .conftest import cell

ROOT = Path(__file__).resolve().parents[4]


def collected(kernels):
    made = build.Collected()
    for release, scopes in kernels.items():
        for scope, names in scopes.items():
            made.add(build.Read(release, scope, f"{release}/{scope}", {n: cell(t) for n, t in names.items()}))
    return made


KERNELS = {
    "1.1-x": {"vmlinux": {"same": "no", "moved": "partial", "left": "full", "split": "self only"}, "xfs": {"m": "no"}},
    "2.1-x": {"vmlinux": {"same": "no", "moved": "partial", "left": "full", "split": "self only"}},
    "3.1-x": {"vmlinux": {"same": "no", "moved": "no", "new": "partial", "split": "no"}, "xfs": {"m": "partial"}},
}


def test_a_kernel_predicted_from_two_others():
    one = accuracy.measure(collected(KERNELS), "3.1-x", ["1.1-x", "2.1-x"])
    assert {key: tuple(share) for key, share in one.shares.items() if key[0] != "unknown"} == {
        ("yes", "no", "all"): (2, 1, 1),  # same, and m, which is partial now
        ("yes", "partial", "all"): (1, 0, 0),  # moved
        ("yes", "self only", "all"): (1, 1, 0),  # split: another class, and a probe sees the same
        ("no", "full", "all"): (1, 0, 0),  # left: there is no such function
    }
    assert one.shares["unknown", "full", "all"] == Share(1, 0, 0)
    assert one.new == accuracy.Warned(1, 0, 1)
    assert {name: tuple(rule) for name, rule in one.rules.items()} == {
        "most say partial (this survey)": (1, 0, 2),
        "any says partial": (1, 0, 2),
        "any has an inlined copy": (2, 0, 2),
    }


def test_shares_of_all_kernels_are_summed():
    many = accuracy.leave_one_out(collected(KERNELS))
    assert [one.release for one in many] == list(KERNELS)
    summed = accuracy.summed(many)
    assert summed["yes", "partial", "divided"] == Share(2, 2, 2)  # moved, of 1.1-x and of 2.1-x
    assert sum(share.asked for share in summed.values()) == sum(s.asked for one in many for s in one.shares.values())


def test_a_near_kernel_is_measured_alone():
    kernels = {**KERNELS, "3.1.9-x": {"vmlinux": {"moved": "no"}}}
    one = accuracy.measure(collected(kernels), "3.1.9-x", list(KERNELS))
    assert one.shares["yes", "no", "near"] == Share(1, 1, 1)
    assert {key[2] for key in one.shares} == {"near"}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_survey", ROOT / "tests" / "tools" / "make_survey.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_shipped_survey_gives(tool, shipped):
    text = (ROOT / "docs" / "inlining.md").read_text()
    measured = accuracy.leave_one_out(tool.shipped())
    told = tool.told()
    assert tool.replaced(text, "accuracy", tool.section(measured, told)) == text
    assert {key: share for key, share in told.items() if key[2] != "near"} == accuracy.summed(measured)


def test_a_page_without_the_section_is_told(tool):
    with pytest.raises(ValueError, match="no section accuracy"):
        tool.replaced("# Page\n", "accuracy", "")


def test_a_share_is_never_rounded_up_to_all(tool):
    assert [tool.percent(*pair) for pair in ((1999, 2000), (2000, 2000), (0, 0))] == ["99.9 %", "100.0 %", "-"]
