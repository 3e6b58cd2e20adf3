"""Slices of kernels: a name that is not in one may be on the kernel, so no command says no for it."""

from __future__ import annotations

import json

import pytest

from probe_scout.commands import check, scan
from probe_scout.errors import Broken
from probe_scout.frontends.cli import run
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach import verdicts
from probe_scout.sources import open_source
from probe_scout.sources.manifest import Manifest
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import manifest, write_tree
from tests.conftest import ROOT

KERNELS = ROOT / "fixtures" / "kernels"
WHOLE = ("debian-5.10.223-amd64", "debian-6.12.107-amd64")
SLICES = sorted(path.name.removesuffix(".tar.xz") for path in KERNELS.glob("*.tar.xz") if path.name[:-7] not in WHOLE)
ABSENT = ("no_such_function", "no_such_module:f", "no_such_function+0x10", "syscall:no_such_call", "tp:no:such")


def opened(name):
    return Kernel(open_source(str(KERNELS / f"{name}.tar.xz")))


def answers(kernel, text):
    target = parse(text)
    return {verdict.attach: verdict for verdict in verdicts.verdicts(kernel, target, verdicts.types_for(target, ()))}


def test_there_are_slices_and_whole_recordings():
    assert len(SLICES) == 6


@pytest.mark.parametrize("name", SLICES)
def test_an_older_slice_is_known_by_what_it_lacks(name):
    assert "has no twin" in opened(name).partial()


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_recording_is_no_slice_and_says_no(name):
    kernel = opened(name)
    assert kernel.partial() == ""
    assert answers(kernel, "no_such_function")["kprobe"].answer == "no"


def test_a_name_that_was_left_out_is_unknown_for_every_type_the_kernel_has():
    kernel = opened("debian-7.3.4-amd64")  # it has every attach type
    for text in (*ABSENT, "tcp_v4_connect"):
        for attach, verdict in answers(kernel, text).items():
            assert verdict.answer == "unknown", (text, attach)
            assert verdict.unread[0].kind == "not_recorded", (text, attach)
            assert "a part of its kernel" in verdict.unread[0].why, (text, attach)


def test_a_type_that_the_kernel_lacks_is_no_all_the_same():
    found = answers(opened("debian-6.18.15-amd64"), "no_such_function")
    assert (found["fsession"].answer, found["kprobe"].answer) == ("no", "unknown")
    assert answers(opened("debian-6.1.176-amd64"), "no_such_function")["kprobe.multi"].errno == "EOPNOTSUPP"


def test_a_name_that_was_kept_is_answered():
    assert answers(opened("debian-6.18.15-amd64"), "vfs_read")["kprobe"].answer == "yes"


def test_nobody_is_told_why_a_name_is_gone():
    report = check.target_report(opened("debian-6.18.15-amd64"), "tcp_v4_connect", ())
    assert report.diagnosis == ()
    assert report.suggestions


def test_a_list_says_that_it_is_not_whole():
    kernel = opened("debian-6.18.15-amd64")
    assert [gap.kind for gap in scan.unread(kernel)] == ["not_recorded"]
    assert scan.unread(opened("debian-6.12.107-amd64")) == ()


@pytest.mark.parametrize("said", ["what some targets need", True])
def test_the_word_in_the_manifest_is_enough(tmp_path, said):
    files = tiny_files(("foo",))
    plain = Kernel(open_source(str(write_tree(tmp_path / "whole", files))))
    assert answers(plain, "no_such_function")["kprobe"].answer == "no"
    files["manifest.json"] = manifest(files, partial=said)
    kernel = Kernel(open_source(str(write_tree(tmp_path / "part", files))))
    assert answers(kernel, "no_such_function")["kprobe"].answer == "unknown"
    assert answers(kernel, "foo")["kprobe"].answer == "yes"


def test_a_word_of_another_type_is_refused():
    with pytest.raises(Broken, match="partial must be text"):
        Manifest(manifest({}, partial=[1]), "here")


COMMANDS = [
    ["check", "no_such_function"],
    ["tracepoint", "no:such"],
    ["stub", "tp:no:such"],
    ["stub", "no_such_function", "--attach", "fentry"],
    ["stub", "no_such_call", "--attach", "ksyscall"],
    ["inline", "no_such_function"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_leaves_it_open(command, capsys):
    slice_ = str(KERNELS / "debian-7.3.4-amd64.tar.xz")
    assert run.main([*command, "--root", slice_]) == 3
    told = capsys.readouterr()
    assert "gone" not in told.out + told.err


def test_two_kernels_are_not_called_different_for_what_a_slice_left_out(capsys):
    run.main(["diff", str(KERNELS / "debian-6.12.107-amd64.tar.xz"), str(KERNELS / "debian-6.12.107-rt-amd64.tar.xz"),
            "tcp_v4_*", "--json"])  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert not [change for change in told.get("functions", ()) if change["change"] in ("gone", "new")]
