"""Objects and skeletons as lists of hooks: what the sections say, and nothing that they do not say."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import UsageError
from probe_scout.formats.hooks.object_sections import is_one, read
from tests.builders.damage import EXAMPLES
from tests.conftest import ROOT

TARGETS = ROOT / "fixtures" / "objects" / "targets.bpf.o"


@pytest.fixture(scope="module")
def found():
    return read(TARGETS.read_bytes(), "targets.bpf.o")


def test_sections_are_hooks(found):
    ladders = {hook.name: hook.ladder for hook in found.hooks}
    assert ladders["fentry_ok"] == ("fentry/vfs_read",)
    assert ladders["tp_btf_arg_far"] == ("tp_btf/sched_switch",)
    assert ladders["ksyscall_ok"] == ("ksyscall/nanosleep",)
    assert all(hook.source == "targets.bpf.o" for hook in found.hooks)


def test_a_section_with_a_question_mark_may_attach(found):
    assert {hook.name: hook.need for hook in found.hooks if hook.need == "may"} == {"not_by_default": "may"}


def test_what_is_no_hook_is_named(found):
    skipped = {one.partition(":")[0]: one for one in found.skipped}
    assert "pattern" in skipped["multi_no_match"]
    assert "no target" in skipped["kprobe_no_target"]
    assert "no target" in skipped["section_unknown"]
    assert "CATEGORY" in skipped["tp_bad_name"]
    assert not {hook.name for hook in found.hooks} & skipped.keys()


def test_a_skeleton_holds_the_same(found):
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed")
    made = subprocess.run(["bpftool", "gen", "skeleton", str(TARGETS)], capture_output=True, check=True).stdout
    assert is_one(made)
    assert read(made, "targets.bpf.o") == found


def test_an_object_without_hooks_says_so():
    with pytest.raises(UsageError, match="no hook in it"):
        read((ROOT / "fixtures" / "objects" / "maps.bpf.o").read_bytes(), "maps.bpf.o")


@pytest.mark.property
@EXAMPLES
@given(st.integers(0, 5000), st.binary(max_size=40))
def test_damage_gives_one_sentence(at, junk):
    raw = TARGETS.read_bytes()
    try:
        read(raw[:at] + junk + raw[at + len(junk) :], "x.o")
        read(raw[:at], "x.o")
    except UsageError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
