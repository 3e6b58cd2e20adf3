"""One name's answer: a fact for a surveyed build, a prediction for any other, or nothing."""

from __future__ import annotations

import os

import pytest

from probe_scout.errors import Malformed
from probe_scout.frontends.session import open_kernel
from probe_scout.probes.inlining import survey
from probe_scout.probes.inlining.survey.format import Share
from probe_scout.probes.inlining.survey.predict import is_near
from tests.conftest import RECORDED

WANTED = (
    "ext4",
    "xfs",
    "btrfs",
    "nf_conntrack",
    "kvm",
    "kvm_intel",
    "kvm_amd",
    "overlay",
    "nvme",
    "nvme_core",
    "virtio_net",
)
SHARES = {("yes", "no", "all"): Share(200, 199, 198), ("yes", "partial", "divided"): Share(40, 20, 20)}


def test_a_surveyed_build_is_a_fact(surveys):
    surveys({"6.1-x": {"vmlinux": {"f": "partial|part"}}, "6.12-x": {"vmlinux": {"f": "no"}}})
    assert survey.lookup("6.1-x/vmlinux", "f") == survey.Entry(
        "partial", "survey", None, ("6.1-x",), 3, ("part",), known=1, surveyed=1
    )
    assert survey.lookup("6.12-x/vmlinux", "f").kind == "no"


def test_a_name_that_the_surveyed_build_lacks_is_not_predicted_from_others(surveys):
    surveys({"6.1-x": {"vmlinux": {"f": "full", "g": "no"}}, "6.12-x": {"vmlinux": {"g": "no"}}})
    assert survey.lookup("6.12-x/vmlinux", "f") is None
    assert survey.lookup("other", "f").basis == "survey-other"


def test_a_name_that_was_never_seen(surveys):
    surveys({"6.1-x": {"vmlinux": {"f": "no"}, "xfs": {"g": "no"}}})
    assert survey.lookup("other", "h") is None
    assert survey.lookup("other", "g") is None  # a module's function is not vmlinux's
    assert survey.lookup("other", "f", "xfs") is None


def test_a_module_is_told_by_its_own_build_or_by_its_kernel(surveys):
    surveys({"6.1-x": {"vmlinux": {"f": "no"}, "nvme_core": {"g": "partial"}}, "6.2-x": {"nvme_core": {"g": "no"}}})
    assert survey.lookup("6.1-x/nvme_core", "g", "nvme-core").basis == "survey"
    assert survey.lookup("6.1-x/vmlinux", "g", "nvme_core").kind == "partial"
    assert survey.lookup("6.1-x/nvme_core", "f").basis == "survey-other"  # a module's build-id is not the kernel's


@pytest.mark.parametrize("build_id", ["", "ffff", "6.1-x", "vmlinux"])
@pytest.mark.parametrize("release", ["", "6.1-x", "6.1.5-x"])
def test_an_unknown_build_is_never_a_fact(surveys, build_id, release):
    surveys({"6.1-x": {"vmlinux": {"f": "no"}}})
    entry = survey.lookup(build_id, "f", None, True, release)
    assert (entry.basis, entry.kind, entry.confidence) == ("survey-other", "no", None)


def test_the_share_of_right_predictions_is_told(surveys):
    surveys({"6.1-x": {"vmlinux": {"f": "no"}}, "6.12-x": {"vmlinux": {"f": "no"}}}, SHARES)
    entry = survey.lookup("other", "f", None, True)
    assert (entry.confidence, entry.asked, entry.right, entry.exact) == (0.995, 200, 199, 198)
    assert (entry.kernels, entry.known, entry.surveyed) == (("6.1-x", "6.12-x"), 2, 2)
    assert survey.lookup("other", "f").confidence is None  # nothing was measured for an unknown symbol


def test_too_few_predictions_say_nothing(surveys):
    surveys({"6.1-x": {"vmlinux": {"f": "no"}}}, {("yes", "no", "all"): Share(19, 19, 19)})
    entry = survey.lookup("other", "f", None, True)
    assert (entry.confidence, entry.asked) == (None, 19)


def test_of_equally_many_votes_the_one_to_warn_of_wins(surveys):
    kernels = {f"{n}.1-x": {"vmlinux": {"f": kind}} for n, kind in enumerate(("no", "partial", "partial", "no"))}
    surveys(kernels, SHARES)
    entry = survey.lookup("other", "f", None, True)
    assert (entry.kind, entry.missed, entry.confidence, entry.kernels) == ("partial", 3, 0.5, ("1.1-x", "2.1-x"))


def test_a_vote_that_the_symbol_refutes_does_not_count(surveys):
    surveys(
        {"1.1-x": {"vmlinux": {"f": "full"}}, "2.1-x": {"vmlinux": {"f": "full"}}, "3.1-x": {"vmlinux": {"f": "no"}}}
    )
    assert survey.lookup("other", "f", None, True).kind == "no"
    assert survey.lookup("other", "f", None, False).kind == "full"
    assert survey.lookup("other", "f").kind == "full"
    surveys({"1.1-x": {"vmlinux": {"f": "full"}}})
    assert survey.lookup("other", "f", None, True) is None


def test_a_near_kernel_is_asked_alone(surveys):
    near = {("yes", "partial", "near"): Share(100, 99, 99)}
    surveys(
        {
            "6.1-x": {"vmlinux": {"f": "no"}},
            "6.11-x": {"vmlinux": {"f": "no"}},
            "6.12.1-x": {"vmlinux": {"f": "partial"}},
        },
        near,
    )
    entry = survey.lookup("other", "f", None, True, "6.12.9-x")
    assert (entry.kind, entry.basis, entry.confidence, entry.kernels) == (
        "partial",
        "survey-other",
        0.99,
        ("6.12.1-x",),
    )
    assert survey.lookup("other", "f", None, True, "6.12.9-y").kind == "no"  # of another kind


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("6.12.107+deb13-amd64", "6.12.117+deb13-amd64", True),
        ("6.1.0-50-amd64", "6.1.0-47-amd64", True),
        ("6.12.107+deb13-amd64", "6.12.107+deb13-rt-amd64", True),
        ("6.12.107+deb13-amd64", "6.1.0-50-amd64", False),
        ("6.12.107+deb13-amd64", "6.12.5-200.fc41.x86_64", False),
        ("", "", False),
    ],
)
def test_which_kernels_are_near(one, other, near):
    assert is_near(one, other) is near


@pytest.mark.parametrize(
    ("text", "sees"),
    [
        ("no", "complete"),
        ("no||full", "complete"),
        ("self only", "complete"),
        ("self only, recursive", "partial"),
        ("no|part", "partial"),
        ("partial", "partial"),
        ("full", "none"),
        ("transformed|isra", "unknown"),
        ("gone", "unknown"),
    ],
)
def test_what_a_probe_sees(surveys, text, sees):
    surveys({"6.1-x": {"vmlinux": {"f": text}}})
    assert survey.lookup("6.1-x/vmlinux", "f").sees == sees


def test_a_damaged_survey_is_one_sentence(surveys):
    path = surveys({"6.1-x": {"vmlinux": {"f": "no"}}})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Malformed, match=r"one\.survey: not readable at byte \d+: expected .* cut off"):
        survey.lookup("6.1-x/vmlinux", "f")


def test_a_survey_that_changed_is_read_anew(surveys):
    surveys({"6.1-x": {"vmlinux": {"f": "no"}}})
    before = survey.state()
    assert survey.lookup("6.1-x/vmlinux", "f").kind == "no"
    surveys({"6.1-x": {"vmlinux": {"f": "full", "more": "no"}}})
    assert survey.lookup("6.1-x/vmlinux", "f").kind == "full"
    assert survey.state() != before


# the shipped survey


def test_the_shipped_survey_is_small_and_has_what_people_trace(shipped):
    assert sum(os.path.getsize(path) for path in survey.paths()) <= 1_000_000
    found = {one.release: one.files for one in survey.surveyed()}
    assert {release.split(".")[0] + "." + release.split(".")[1] for release in found} >= {"5.10", "6.1", "6.12", "7.3"}
    for release, files in found.items():
        assert {"vmlinux", *WANTED} <= files.keys(), release
        assert all(len(build_id) == 40 for build_id in files.values())


@pytest.mark.parametrize(
    ("release", "name", "kind", "missed"),
    [
        ("6.1.0-50-amd64", "vfs_open", "partial", 2),
        ("6.12.107+deb13-amd64", "vfs_open", "no", 0),
        ("6.12.107+deb13-amd64", "do_execve", "full", 0),
        ("6.12.107+deb13-amd64", "cap_capable", "partial", 4),
        ("6.12.107+deb13-amd64", "blk_account_io_start", "self only", 0),
        ("6.12.107+deb13-amd64", "finish_task_switch", "transformed", 0),
        ("7.3.4+deb13-amd64", "cap_capable", "no", 0),
        ("7.3.4+deb13-amd64", "vfs_fsync_range", "partial", 2),
    ],
)
def test_functions_that_were_looked_at_by_other_means(shipped, release, name, kind, missed):
    """Counted in debug information by other programs: a scanner in C, and perf probe for cap_capable.

    perf lists 8 places of cap_capable outside itself; half are rests that gcc split off, passed by the same calls: a
    guest counts as many at cap_vm_enough_memory+0x7c as at +0x18.
    """
    (files,) = [one.files for one in survey.surveyed() if one.release == release]
    entry = survey.lookup(files["vmlinux"], name)
    assert (entry.kind, entry.missed, entry.basis) == (kind, missed, "survey")


@pytest.mark.parametrize(
    ("name", "place"),
    [("vfs_fsync", ("do_fsync", 0x31)), ("do_sys_open", ("__x64_sys_open", 0x23)), ("cap_capable", ("cap_capset", 9))],
)
def test_places_where_a_guest_saw_the_calls(shipped, name, place):
    """tests/vm/test_inline.py counted there what fsync, open and capset do, and nothing at the symbol."""
    (files,) = [one.files for one in survey.surveyed() if one.release == "6.12.107+deb13-amd64"]
    assert place in survey.lookup(files["vmlinux"], name).places


def test_the_shipped_survey_is_small(shipped):
    (path,) = survey.paths()
    assert os.path.getsize(path) <= 1_000_000


def test_one_name_reads_one_block(shipped):
    (path,) = survey.paths()
    read = []
    source = survey.reader(path)

    def counted(offset, size):
        read.append(size)
        return source(offset, size)

    table = survey.Table(counted, path)
    head = sum(read)
    assert table.find("vfs_read")
    assert (table.blocks_read, len(read)) == (1, 3)
    assert head < 20_000
    assert sum(read) < 80_000


def test_check_tells_what_a_survey_says(shipped):
    """On the recorded kernel, whose build is surveyed."""
    full, partial, complete = open_kernel(str(RECORDED)).check(["do_execve", "cap_capable", "vfs_read"]).targets
    assert [one.coverage.answer for one in (full, partial, complete)] == ["none", "partial", "complete"]
    assert {one.coverage.basis for one in (full, partial, complete)} <= {"survey", "survey-other"}
