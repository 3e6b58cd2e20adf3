"""`features` and `kfunc` on recorded kernels without an image, and on images; types against what bpftool could load."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

import probe_scout
from probe_scout.commands.kfunc import code_of
from probe_scout.errors import UsageError
from tests.builders import lab_image
from tests.vm import cache as lab

ROOT = Path(__file__).resolve().parents[2]
RECORDED = str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz")
OLD = str(ROOT / "fixtures" / "kernels" / "debian-5.10.223-amd64.tar.xz")


@pytest.fixture(scope="module")
def recorded():
    return probe_scout.open_kernel(RECORDED)


@pytest.fixture(scope="module")
def image():
    return lab_image.opened()


def told(report, kind):
    return {one.name: one.answer for one in report.features if one.kind == kind}


@pytest.mark.parametrize(("root", "kernel"), [(RECORDED, "6.12"), (OLD, "5.10")])
def test_program_and_map_types_are_those_that_bpftool_could_load(root, kernel):
    report = probe_scout.open_kernel(root).features()
    text = lzma.decompress((ROOT / "fixtures" / "calls" / "types.tsv.xz").read_bytes()).decode()
    seen = 0
    for line in text.splitlines():
        recorded_on, kind, name, answer = line.split("\t")
        # bpftool creates a struct_ops map without a struct, and reads the refusal as a missing type.
        if recorded_on != kernel or name == "struct_ops":
            continue
        assert told(report, kind).get(name, "no") == answer, (kind, name)
        seen += 1
    assert seen > 60


def test_without_an_image_helpers_are_told_where_recorded_kernels_agree(recorded):
    report = recorded.features()
    assert report.basis == "recorded"
    rows = {row.helper: row.answers for row in report.helpers}
    assert rows["bpf_map_lookup_elem"]["kprobe"] == "yes"
    assert rows["bpf_xdp_adjust_head"]["kprobe"] == "no"
    assert rows["bpf_map_lookup_elem"]["tracing"] == "unknown"


@pytest.mark.image
def test_an_image_tells_helpers_of_types_that_bpftool_cannot_ask(image):
    report = image.features()
    assert report.basis == "image"
    rows = {row.helper: row for row in report.helpers}
    assert rows["bpf_map_lookup_elem"].answers["tracing"] == "yes"
    assert rows["bpf_skb_store_bytes"].answers["tracing"] == "no"
    assert rows["bpf_seq_printf"].attach["tracing"] == ("trace_iter",)
    assert rows["bpf_map_lookup_elem"].answers["struct_ops"] == "unknown"


@pytest.mark.image
def test_a_kfunc_by_its_image(image):
    (row,) = image.kfunc("bpf_task_acquire").kfuncs
    assert row.flags == ("acquire", "ret_null", "rcu")
    assert row.prototype.startswith("struct task_struct *bpf_task_acquire(struct task_struct *p")
    assert row.answers["tracing"] == "yes"
    assert row.answers["kprobe"] == "no"
    assert row.errno == "EACCES"


@pytest.mark.image
def test_a_kfunc_for_attach_types(image):
    report = image.kfunc("bpf_task_acquire", ["fentry", "kprobe"])
    assert report.types == ("fentry", "kprobe")
    assert report.kfuncs[0].answers == {"fentry": "yes", "kprobe": "no"}


@pytest.mark.image
def test_a_kfunc_that_sleeps_is_for_programs_that_do(image):
    report = image.kfunc("bpf_arena_alloc_pages", ["fentry", "fentry.s"])
    assert report.kfuncs[0].answers == {"fentry": "no", "fentry.s": "yes"}
    assert report.kfuncs[0].errno == "EACCES"


@pytest.mark.image
def test_a_replacement_is_not_told(image):
    assert image.kfunc("bpf_task_acquire").kfuncs[0].answers["ext"] == "unknown"


def test_without_an_image_the_types_of_a_kfunc_are_those_of_recorded_kernels(recorded):
    (row,) = recorded.kfunc("bpf_task_acquire").kfuncs
    assert row.flags is None
    assert {row.answers[name] for name in ("sock_ops", "raw_tracepoint", "ext")} == {"unknown"}
    assert (row.answers["tracing"], row.answers["kprobe"]) == ("yes", "no")
    assert "assumed that its sets are registered" in row.says
    assert "proc/kallsyms" in row.evidence
    (row,) = recorded.kfunc("vfs_read").kfuncs
    assert set(row.answers.values()) == {"no"}
    assert recorded.kfunc("no_such_function").kfuncs == ()


def test_a_kfunc_of_a_module_is_not_told_without_its_file(recorded):
    (row,) = recorded.kfunc("bpf_skb_ct_lookup").kfuncs
    assert (row.module, row.flags, set(row.answers.values())) == ("nf_conntrack", None, {"unknown"})
    assert "the file of module nf_conntrack is not there: name all packages" in row.says


@pytest.mark.image
def test_a_kfunc_of_a_module_by_its_file_and_the_kernels_image():
    root = lab.root() / "kernels" / "6.12" / "tree"
    if not root.exists():
        pytest.skip(f"{root} is not there: python -m tests.vm fetches it")
    kernel = probe_scout.open_kernel(str(root), modules="nf_nat")
    (row,) = kernel.kfunc("bpf_ct_insert_entry").kfuncs
    assert (row.module, row.flags) == ("nf_conntrack", ("acquire", "release", "ret_null"))
    assert {name for name, answer in row.answers.items() if answer == "yes"} == {"sched_cls", "xdp"}
    assert {name for name, answer in row.answers.items() if answer == "unknown"} == {"ext"}
    verdicts = kernel.check("kfunc:bpf_ct_insert_entry", types=["xdp", "tracing"]).targets[0].verdicts
    assert [(one.answer, one.errno) for one in verdicts] == [("yes", None), ("no", "EACCES")]
    (row,) = kernel.kfunc("nf_ct_delete").kfuncs
    assert set(row.answers.values()) - {"unknown"} == {"no"}


def test_an_attach_type_without_programs_of_its_own_is_refused(recorded):
    with pytest.raises(UsageError):
        recorded.kfunc("bpf_task_acquire", ["no_such_type"])


@pytest.mark.parametrize(
    "line", [["kfunc", "bpf_task_acquire"], ["kfunc", "bpf_task_*"], ["features"], ["context", "fentry/vfs_read"]]
)
def test_what_is_unknown_for_want_of_an_image_says_what_would_tell_it(capsys, line):
    from probe_scout.frontends.cli.run import main

    main([*line, "--root", RECORDED])
    assert "to know  name the kernel's image, of the same build" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["check", "helper:bpf_map_lookup_elem", "--type", "xdp"], 0),
        (["check", "helper:bpf_xdp_adjust_head", "--type", "kprobe"], 1),
        (["check", "helper:bpf_map_lookup_elem", "--type", "xdp,fentry"], 3),
        (["check", "helper:bpf_map_lookup_elem", "--type", "xdp", "-v"], 0),
        (["check", "kfunc:bpf_task_acquire", "--type", "tracing,fentry,kprobe"], 1),
    ],
)
def test_a_call_by_program_types_is_shown(capsys, line, code):
    from probe_scout.frontends.cli.run import main

    assert main([*line, "--root", RECORDED]) == code
    shown = capsys.readouterr()
    assert shown.err == ""
    assert line[1] in shown.out


def test_a_partial_snapshot_does_not_say_that_a_kfunc_is_not_there():
    report = probe_scout.open_kernel(RECORDED.replace("6.12.107", "6.1.176")).kfunc("no_such_kfunc")
    assert (report.kfuncs, code_of(report, ())) == ((), 3)
    assert report.unread[0].why == "a partial snapshot does not have every function"
