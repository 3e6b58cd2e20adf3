"""What `check` adds to answers: notes beside a yes, evidence that speaks of this very name."""

from __future__ import annotations

from tests.builders.tiny_kernel import BLACKLIST, FILTER_ADDRS

MIGRATE = "migrate_disable"

CODE = {"bar": ("55", ())}  # slices hold each entry that may be a five-byte no-op: foo's is none


def verdicts(kernel, name, *types):
    return {v.attach: v for v in kernel.check([name], types).targets[0].verdicts}


def test_a_return_probe_on_a_function_that_never_returns_is_accepted_and_never_fires(tiny_kernel):
    found = verdicts(tiny_kernel(["do_exit", "vfs_read"]), "do_exit", "kretprobe", "kretprobe.multi", "kprobe", "fexit")
    assert {attach: [note.rule for note in v.notes] for attach, v in found.items() if v.answer == "yes"} == {
        "kretprobe": ["silent.never_returns"],
        "kretprobe.multi": ["silent.never_returns"],
        "kprobe": [],
    }
    assert found["fexit"].findings[0].rule == "attach_target.noreturn"


def test_evidence_of_ftrace_names_the_copies_it_speaks_of(tiny_kernel):
    several = verdicts(tiny_kernel(["foo notrace", "foo", "bar"], code=CODE), "foo", "fentry")["fentry"]
    assert (
        several.findings[0].evidence == f"{FILTER_ADDRS}: a site in 1 of the 2 symbols named foo, but not in the first"
    )
    alone = verdicts(tiny_kernel(["foo notrace", "bar"], code=CODE), "foo", "fentry")["fentry"]
    assert alone.findings[0].evidence == f"{FILTER_ADDRS}: no site in foo"
    none = verdicts(tiny_kernel(["foo notrace", "foo notrace"]), "foo", "kprobe.multi")["kprobe.multi"]
    assert none.findings[0].evidence == f"{FILTER_ADDRS}: no site in any of the 2 symbols named foo"


def test_evidence_of_the_blacklist_names_the_function_that_is_in_it(tiny_kernel):
    kernel = tiny_kernel(["foo blacklisted", "foo.cold notrace"], code={"foo.cold": ("55", ())})
    (own,) = verdicts(kernel, "foo", "kprobe")["kprobe"].findings
    (base,) = verdicts(kernel, "foo.cold", "kprobe")["kprobe"].findings
    assert own.evidence.endswith(": a range of it covers foo")
    assert base.evidence.endswith(": a range of it covers foo, to which foo.cold belongs")


def test_evidence_of_id_sets_names_those_that_decide(tiny_kernel):
    sets = {"btf_id_deny": (MIGRATE,), "btf_allowlist_d_path": (MIGRATE,)}
    (found,) = verdicts(tiny_kernel([MIGRATE], ids=sets), MIGRATE, "fentry")["fentry"].findings
    assert found.evidence == f"proc/kallsyms: __BTF_ID__ symbols put {MIGRATE} in btf_id_deny"


def test_the_report_tells_a_reason_once(tiny_kernel):
    from probe_scout.frontends.render.plain import check_lines
    from probe_scout.frontends.render.style import Style

    report = tiny_kernel(["foo notrace", "bar"], code=CODE).check(["foo"])
    text = "\n".join(check_lines(report, Style(False)))
    assert text.count("trampoline.not_traced") == 1
    assert sum(f.rule == "trampoline.not_traced" for v in report.targets[0].verdicts for f in v.findings) > 3


def test_an_unread_blacklist_leaves_a_part_of_a_function_unknown(tiny_kernel):
    kernel = tiny_kernel(["foo", "foo.cold notrace"], code={"foo.cold": ("55", ())}, denied=(BLACKLIST,))
    found = verdicts(kernel, "foo.cold", "kprobe")["kprobe"]
    assert (found.answer, [unread.fact for unread in found.unread]) == ("unknown", ["kprobe_blacklist"])


def test_a_module_whose_btf_is_unread_leaves_fentry_unknown(tiny_kernel):
    kernel = tiny_kernel(["foo [xfs]"], denied=("sys/kernel/btf/xfs",))
    assert verdicts(kernel, "foo", "fentry")["fentry"].answer == "unknown"


def test_a_helper_of_programs_is_told_by_its_enumerator(tiny_kernel):
    from tests.builders import tiny_kernel as builder

    helpers = {"BPF_FUNC_map_lookup_elem": 1}
    names = ["bpf_map_lookup_elem", "bpf_map_new_fd"]
    builder.ENUMERATORS.update(helpers)
    try:
        report = tiny_kernel(names).check(names, ["kprobe"])
    finally:
        del builder.ENUMERATORS["BPF_FUNC_map_lookup_elem"]
    assert [[hazard.id for hazard in target.hazards] for target in report.targets] == [["hazard.recursion"], []]


def test_without_any_btf_nothing_is_said_of_pahole(tiny_kernel):
    kernel = tiny_kernel(
        ["vfs_read"], absent=("sys/kernel/btf/vmlinux",), config={"CONFIG_DEBUG_INFO_BTF": None}, hide_ids=True
    )
    target = kernel.check(["vfs_read"], ["kprobe", "fentry"]).targets[0]
    assert [v.answer for v in target.verdicts] == ["yes", "no"]
    assert target.diagnosis[0].kind == "no_btf"
    assert not any("pahole" in d.says for d in target.diagnosis)


def test_symbols_that_were_not_read_are_not_said_to_be_absent(tmp_path):
    from probe_scout.frontends.session import open_kernel

    for name in ("vfs_read", "syscall:openat", "vfs_read+4"):
        (report,) = open_kernel(str(tmp_path)).check([name]).targets
        assert {verdict.answer for verdict in report.verdicts} <= {"unknown", "no"}
        assert [one.kind for one in report.diagnosis] == ["symbols_unread"]
        assert report.coverage.answer == "unknown"


def test_where_no_type_takes_a_function_other_points_are_told(tiny_kernel):
    kernel = tiny_kernel(
        ["vfs_read notrace blacklisted"],
        code={"vfs_read": ("55", ())},
        events=["syscalls:sys_enter_read", "raw_syscalls:sys_enter", "vfs:vfs_open"],
    )
    (report,) = kernel.check(["vfs_read"]).targets
    assert {verdict.answer for verdict in report.verdicts} == {"no"}
    assert [one.target for one in report.alternatives] == [
        "tp:syscalls:sys_enter_read",
        "tp:vfs:vfs_open",
        "tp:raw_syscalls:sys_enter",
    ]


def test_a_cgroup_hook_without_a_return_value_says_what_its_program_returns():
    from probe_scout.frontends.session import open_kernel
    from tests.conftest import RECORDED

    kernel = open_kernel(str(RECORDED))  # booted 6.12 takes 0 on file_open, and only 1 on task_free
    (void,) = kernel.check(["lsm_cgroup/task_free"]).targets[0].verdicts
    (plain,) = kernel.check(["lsm_cgroup/file_open"]).targets[0].verdicts
    assert (void.attach, void.answer, plain.answer) == ("lsm_cgroup", "yes", "yes")
    rules = [[note.rule for note in verdict.notes if note.rule.startswith("lsm_cgroup")] for verdict in (void, plain)]
    assert rules == [["lsm_cgroup.return_one"], []]
    assert "lsm_cgroup" in {v.attach for v in kernel.check(["bpf_lsm_file_open"]).targets[0].verdicts}
    assert "lsm_cgroup" not in {v.attach for v in kernel.check(["vfs_read"]).targets[0].verdicts}


def test_writable_raw_tracepoints_are_those_that_are_there(tiny_kernel):
    kernel = tiny_kernel(["f"])
    assert verdicts(kernel, "tp:sched_switch", "raw_tp.w")["raw_tp.w"].answer == "yes"
    missing = verdicts(kernel, "raw_tp.w/no_such", "raw_tp.w")["raw_tp.w"]
    assert (missing.answer, missing.errno) == ("no", "ENOENT")
