"""Calls of helpers and kfuncs by programs of a type, at a place, on images and without one.

The allow list of bpf_d_path, what sleeps and what is GPL-only are as kernel/trace/bpf_trace.c has them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import probe_scout
from probe_scout.errors import UsageError
from probe_scout.probes.call_verdicts import Question, column
from probe_scout.probes.calls import Calls
from tests.builders import lab_image
from tests.vm import cache as lab
from tests.vm import places

ROOT = Path(__file__).resolve().parents[2]
RECORDED = str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz")
PLACES = ROOT / "fixtures" / "calls" / "places.tsv.xz"


@pytest.fixture(scope="module")
def recorded():
    return probe_scout.open_kernel(RECORDED)


@pytest.fixture(scope="module")
def image():
    return lab_image.opened()


def told(kernel, name, type_):
    verdict = kernel.check([name], [type_]).targets[0].verdicts[0]
    rule = verdict.findings[0].rule if verdict.findings else ""
    return verdict.answer, verdict.errno, rule


@pytest.mark.image
@pytest.mark.parametrize(
    ("name", "type_", "answer"),
    [
        ("helper:bpf_d_path@filp_close", "fentry", ("yes", None, "")),
        ("helper:bpf_d_path@vfs_read", "fentry", ("no", "EINVAL", "helper_call.not_at_this_place")),
        ("helper:bpf_d_path@task", "iter", ("yes", None, "")),
        ("helper:bpf_d_path", "kprobe", ("no", "EINVAL", "helper_call.not_for_type")),
        ("helper:bpf_d_path", "fentry", ("unknown", None, "")),
        ("helper:bpf_copy_from_user", "fentry", ("no", "EINVAL", "helper_call.must_sleep")),
        ("helper:bpf_copy_from_user", "fentry.s", ("yes", None, "")),
        ("helper:bpf_sk_storage_get@vfs_read", "fentry", ("yes", None, "")),
        ("helper:bpf_sk_storage_get@bpf_sk_storage_free", "fentry", ("no", "EINVAL", "helper_call.not_at_this_place")),
        ("helper:bpf_get_stack@nosuch_function", "fentry", ("no", "ESRCH", "attach_target.not_in_btf")),
        ("helper:bpf_no_such", "kprobe", ("no", "EINVAL", "helper_call.unknown_helper")),
        ("call:bpf_task_acquire", "tracing", ("yes", None, "")),
        ("kfunc:bpf_task_acquire", "tracing", ("yes", None, "")),
        ("call:bpf_task_acquire", "kprobe", ("no", "EACCES", "kfunc_call.not_for_type")),
        ("call:bpf_arena_alloc_pages", "fentry", ("no", "EACCES", "kfunc_call.must_sleep")),
        ("call:vfs_read", "fentry", ("no", "EACCES", "kfunc_call.no_set")),
        ("call:no_such_function", "fentry", ("no", "EINVAL", "kfunc_call.unknown_kfunc")),
        ("call:bpf_task_acquire", "ext", ("unknown", None, "")),
        ("call:bpf_task_acquire", "lirc_mode2", ("no", "EINVAL", "kfunc_call.unknown_program")),
    ],
)
def test_an_image_tells(image, name, type_, answer):
    assert told(image, name, type_) == answer


@pytest.mark.image
@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12", "7.3"])
def test_every_helper_at_a_place_is_answered_as_by_the_verifier(kernel):
    """fixtures/calls/places.tsv.xz: which calls the booted kernel let through (python -m tests.vm places)."""
    path = lab.root() / "kernels" / kernel / "vmlinuz"
    if not path.exists():
        pytest.skip(f"{path} is not there: python -m tests.vm fetches it")
    answers = [line.partition("\t")[2] for line in places.kept(PLACES) if line.startswith(f"{kernel}\t")]
    told, wrong = places.compare(places.image_of(kernel), answers)
    assert wrong == []
    assert told > 3000


@pytest.mark.image
def test_what_would_be_accepted_has_a_yes_of_its_own(image):
    report = image.check(["helper:bpf_d_path@vfs_read"], ["fentry"]).targets[0]
    assert {one.target for one in report.alternatives} >= {"filp_close", "dentry_open"}
    for one in report.alternatives:
        assert told(image, f"helper:bpf_d_path@{one.target}", one.attach)[0] == "yes"
    report = image.check(["call:bpf_arena_alloc_pages"], ["fentry"]).targets[0]
    assert "fentry.s" in {one.attach for one in report.alternatives}


@pytest.mark.image
def test_a_helper_for_gpl_programs_alone_says_so(image):
    verdict = image.check(["helper:bpf_probe_read_kernel"], ["kprobe"]).targets[0].verdicts[0]
    assert [note.rule for note in verdict.notes] == ["call.gpl_only"]
    assert not image.check(["helper:bpf_map_lookup_elem"], ["kprobe"]).targets[0].verdicts[0].notes


@pytest.mark.image
def test_a_helper_of_lockdown(image):
    k = image._kernel
    question = Question(k, Calls(k), "bpf_probe_read_kernel", "", ())
    program = question._program(column("kprobe"))
    assert question._why(program._replace(lockdown="confidentiality")) == "lockdown"
    assert question.calls.from_image().proto(program._replace(lockdown="confidentiality"), question.number) == 0
    assert question.calls.from_image().proto(program._replace(lockdown="integrity"), question.number)
    assert question._why(program._replace(rights=frozenset())) == "rights"


@pytest.mark.parametrize(
    ("name", "type_", "answer"),
    [
        ("helper:bpf_d_path@filp_close", "fentry", ("yes", None, "")),
        ("helper:bpf_d_path@vfs_read", "fentry", ("no", "EINVAL", "helper_call.not_at_this_place")),
        ("helper:bpf_xdp_adjust_head", "kprobe", ("no", "EINVAL", "helper_call.not_for_type")),
        ("helper:bpf_map_lookup_elem", "kprobe", ("yes", None, "")),
        ("call:bpf_task_acquire", "fentry", ("yes", None, "")),
        ("call:bpf_task_acquire", "kprobe", ("no", "EACCES", "kfunc_call.not_for_type")),
        ("call:bpf_task_acquire", "sock_ops", ("unknown", None, "")),
        ("call:bpf_get_file_xattr", "lsm", ("no", "EACCES", "kfunc_call.must_sleep")),
        ("call:vfs_read", "fentry", ("no", "EACCES", "kfunc_call.no_set")),
        ("call:bpf_skb_ct_lookup", "xdp", ("unknown", None, "")),
        ("call:bpf_xdp_metadata_rx_hash", "sched_cls", ("no", "EINVAL", "kfunc_call.not_bound")),
        ("call:bpf_xdp_metadata_rx_hash", "xdp", ("yes", None, "")),
        # As Debian's 6.12 answered when it was booted, for arm64.
        ("call:bpf_iter_css_task_new", "kprobe", ("no", "EINVAL", "kfunc_call.css_task_iter")),
        ("call:bpf_iter_css_task_new", "fentry", ("no", "EINVAL", "kfunc_call.css_task_iter")),
        ("call:bpf_iter_css_task_new", "netfilter", ("no", "EINVAL", "kfunc_call.css_task_iter")),
        ("call:bpf_iter_css_task_new", "fentry.s", ("yes", None, "")),
        ("call:bpf_iter_css_task_new", "lsm", ("yes", None, "")),
        ("call:bpf_iter_css_task_new", "iter", ("yes", None, "")),
        ("call:bpf_iter_css_task_new", "syscall", ("yes", None, "")),
    ],
)
def test_without_an_image(recorded, name, type_, answer):
    assert told(recorded, name, type_) == answer


@pytest.mark.parametrize("type_", ["fentry", "kprobe"])
def test_an_answer_of_recorded_kernels_names_its_assumption(recorded, type_):
    verdict = recorded.check(["call:bpf_task_acquire"], [type_]).targets[0].verdicts[0]
    named = [one.says for one in verdict.notes if one.rule == "call.kfunc_recorded"]
    named += [one.evidence for one in verdict.findings]
    assert ["assumed that its sets are registered for the same program types" in one for one in named] == [True]


def test_kfunc_with_an_attach_type_is_a_probe_as_bpftrace_writes_it(recorded):
    report = recorded.check(["kfunc:vfs_read"]).targets[0]
    assert report.kind == "function"


def test_calls_and_places_are_asked_apart(recorded):
    with pytest.raises(UsageError):
        recorded.check(["helper:bpf_d_path", "vfs_read"], ["fentry"])
    with pytest.raises(UsageError):
        recorded.check(["vfs_read"], ["tracing"])
    with pytest.raises(UsageError):
        recorded.check(["helper:"], ["fentry"])


@pytest.mark.parametrize(
    ("name", "type_", "answer"),
    [
        ("helper:bpf_get_retval", "cgroup_device", "unknown"),  # bpftool asks with another attach type
        ("helper:bpf_bind", "cgroup_sock_addr", "unknown"),
        ("helper:bpf_sk_storage_get", "syscall", "unknown"),  # what `allowed` says is not among bpftool's words
        ("helper:bpf_map_lookup_elem", "cgroup_device", "yes"),
        ("kfunc:bpf_dynptr_clone", "lirc_mode2", "no"),  # not compiled in
        ("kfunc:bpf_dynptr_clone", "xdp", "yes"),
    ],
)
def test_without_an_image_only_what_is_the_same_for_all_programs_of_a_type(recorded, name, type_, answer):
    (verdict,) = recorded.check(name, types=[type_]).targets[0].verdicts
    assert verdict.answer == answer


def test_types_of_a_part_of_a_kernel_that_lack_the_enum_are_unknown():
    cut = probe_scout.open_kernel(RECORDED.replace("6.12.107", "6.1.176"))
    (verdict,) = cut.check("kfunc:bpf_task_acquire", types=["xdp"]).targets[0].verdicts
    assert verdict.answer == "unknown"
