"""`verify` from names to report: verdicts of a small kernel, replies from a list instead of the running kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from probe_scout.commands import verify
from probe_scout.commands.verify.attempt import NOT_ASKED, Question, Reply
from probe_scout.errors import CannotAsk, Denied, UsageError
from probe_scout.frontends.cli import run
from probe_scout.frontends.session import OpenKernel
from probe_scout.kernel.kernel import Kernel
from probe_scout.probes.attach import privileges
from probe_scout.probes.explain import hazards
from probe_scout.sources.folder import FolderSource
from probe_scout.sources.source import Description
from tests.builders.tiny_kernel import Changed, tiny_files
from tests.builders.tree import write_tree

ROOT = Path(__file__).resolve().parents[3]
YES = Reply()
ROOTS = ("may_bpf", "may_perfmon", "may_perf", "may_admin")


class Live(Changed):
    """A snapshot folder that says it is the running kernel."""

    def describe(self):
        return Description("live", "/")


class Asked:
    """Takes the questions down and answers from a table of (target, attach type)."""

    def __init__(self, replies=None):
        self.replies, self.questions = replies or {}, []

    def __call__(self, questions):
        self.questions += questions
        return iter([self.replies.get((q.target, q.attach), YES) for q in questions])


def no_kcore(path, address, size_bytes):
    raise Denied(path, "not that of the machine that tests run on")


@pytest.fixture
def running(tmp_path, monkeypatch):
    """running(symbols, rights=…, files=…) is a Kernel that says it is live, asked by a caller with these rights."""

    def make(symbols=("vfs_read",), rights=ROOTS, denied=(), missing=(), **kwargs):
        files = {"proc/sys/kernel/ftrace_enabled": b"1\n", verify.PMU: b"8\n", **kwargs.pop("files", {})}
        folder = write_tree(tmp_path / "kernel", tiny_files(symbols, files=files, **kwargs))
        monkeypatch.setattr(privileges, "present", lambda k: rights.__contains__)
        monkeypatch.setattr("probe_scout.sources.kcore.read_text", no_kcore)
        return Kernel(Live(FolderSource(str(folder), "snapshot"), denied, missing))

    return make


def outcomes(report):
    return {(one.target, one.attach): one.outcome for one in report.trials}


def test_equal_answers_are_equal(running):
    report = verify.report(running(), ["vfs_read"], ["kprobe", "fentry"], ask=Asked())
    assert outcomes(report) == {("vfs_read", "kprobe"): "equal", ("vfs_read", "fentry"): "equal"}
    assert report.reports == ()


def test_a_difference_comes_with_a_bug_report(running):
    asked = Asked({("vfs_read", "fentry"): Reply("EBUSY", "attach", "words of the verifier")})
    report = verify.report(running(), ["vfs_read"], ["fentry"], ask=asked)
    assert outcomes(report) == {("vfs_read", "fentry"): "different"}
    (bug,) = report.reports
    assert bug.title == "vfs_read fentry: the verdict is yes, the kernel says no (EBUSY)"
    lines = bug.body.splitlines()
    assert "kernel: no (EBUSY) at attach: words of the verifier" in lines
    assert "ask again: probe-scout verify vfs_read --type fentry" in lines
    assert lines[-1] == "please attach: probe-scout snapshot -o probe-scout-000102030405.tar.xz --with-code"


def test_another_errno_is_told_apart(running):
    asked = Asked({("vfs_read", "fmod_ret"): Reply("EBUSY", "attach")})
    report = verify.report(running(), ["vfs_read"], ["fmod_ret"], ask=asked)
    assert outcomes(report) == {("vfs_read", "fmod_ret"): "other_errno"}
    assert len(report.reports) == 1


def test_the_same_errno_is_equal(running):
    asked = Asked({("vfs_read", "fmod_ret"): Reply("EINVAL", "load")})
    report = verify.report(running(), ["vfs_read"], ["fmod_ret"], ask=asked)
    assert outcomes(report) == {("vfs_read", "fmod_ret"): "equal"}


def test_an_unknown_verdict_is_settled(running):
    filters = [f"sys/kernel/tracing/available_filter_functions{tail}" for tail in ("", "_addrs")]
    report = verify.report(running(denied=filters), ["vfs_read"], ["fentry"], ask=Asked())
    assert [(one.verdict.answer, one.outcome, one.answer) for one in report.trials] == [("unknown", "settled", "yes")]
    assert report.reports == ()


def test_a_missing_right_is_no_answer(running):
    asked = Asked({("vfs_read", "fentry"): Reply("EPERM", "load")})
    (one,) = verify.report(running(), ["vfs_read"], ["fentry"], ask=asked).trials
    assert (one.outcome, one.answer) == ("unasked", "")
    assert one.says.startswith("EPERM at load: a filter of system calls")


def test_a_missing_right_is_the_answer_as_me(running):
    asked = Asked({("vfs_read", "fentry"): Reply("EPERM", "load")})
    kernel = running(rights=())
    (one,) = verify.report(kernel, ["vfs_read"], ["fentry"], ask=asked, as_me=True).trials
    assert (one.outcome, one.answer, one.verdict.errno) == ("equal", "no", "EPERM")


def test_a_predicted_eperm_is_an_answer(running):
    """Lockdown: kprobes are refused to root as well."""
    asked = Asked({("vfs_read", "kprobe"): Reply("EPERM", "open")})
    (one,) = verify.report(running(lockdown="confidentiality"), ["vfs_read"], ["kprobe"], ask=asked).trials
    assert (one.outcome, one.answer) == ("equal", "no")


@pytest.mark.parametrize(
    ("rights", "names", "types", "said"),
    [
        ((), ["vfs_read"], ["fentry"], "lacks CAP_BPF; CAP_PERFMON: run it as root"),
        (("may_bpf",), ["vfs_read"], ["kprobe"], "lacks CAP_PERFMON: run it as root"),
        (("may_bpf", "may_perfmon"), ["vfs_read"], ["kprobe"], "lacks CAP_SYS_ADMIN, which kernel.perf_event_paranoid"),
        (("may_bpf", "may_perfmon"), ["xfs:x_open"], ["fentry"], "lacks CAP_SYS_ADMIN, for the types of modules"),
    ],
)
def test_missing_rights_are_named(running, rights, names, types, said):
    asked = Asked()
    with pytest.raises(CannotAsk) as caught:
        verify.report(running(("vfs_read", "x_open [xfs]"), rights=rights), names, types, ask=asked)
    assert said in str(caught.value)
    assert caught.value.exit_code == 3
    assert asked.questions == []


def test_rights_that_are_not_needed_are_not_demanded(running):
    kernel = running(rights=("may_bpf", "may_perfmon"))
    assert outcomes(verify.report(kernel, ["vfs_read"], ["fentry"], ask=Asked())) == {("vfs_read", "fentry"): "equal"}


@pytest.mark.parametrize("name", hazards.NEVER_TRY)
def test_the_never_try_list_is_refused_by_every_type(running, name):
    asked = Asked()
    report = verify.report(running((name, "vfs_read")), [name], ask=asked)
    assert set(outcomes(report).values()) == {"refused"}
    assert asked.questions == []


@pytest.mark.parametrize(
    ("symbols", "name", "said"),
    [
        (("do_exit = other_name",), "other_name", "other_name is the same code as do_exit"),
        (("x_open.cold [xfs] nobtf",), "x_open.cold", "a kprobe on the last cold part"),
        (("x_open.cold [xfs] nobtf",), "xfs:x_open.cold", "a kprobe on the last cold part"),
        (("newly_denied",), "newly_denied", "newly_denied is in the kernel's own btf_id_deny"),
        (("__x64_sys_exit",), "syscall:exit", "__x64_sys_exit: it never returns"),
        (("do_exit",), "do_exit+0x10", "do_exit: it never returns"),
    ],
)
def test_other_ways_to_name_what_is_never_tried(running, symbols, name, said):
    asked = Asked()
    kernel = running((*symbols, "vfs_read"), ids={"btf_id_deny": ("newly_denied",)})
    report = verify.report(kernel, [name], ["kprobe"], ask=asked)
    assert [one.outcome for one in report.trials] == ["refused"]
    assert said in report.trials[0].says
    assert asked.questions == []


@pytest.mark.parametrize("options", [{"hidden": True}, {"denied": ("proc/kallsyms",)}])
def test_a_list_that_cannot_be_evaluated_refuses(running, options):
    asked = Asked()
    report = verify.report(running(**options), ["vfs_read"], ["kprobe"], ask=asked)
    assert "cannot be compared with vfs_read" in report.trials[0].says
    assert (report.trials[0].outcome, asked.questions) == ("refused", [])


def test_a_caller_who_can_load_nothing_needs_no_list(running):
    """Ordinary users see no addresses; the kernel refuses them at the load."""
    asked = Asked({("vfs_read", "kprobe"): Reply("EPERM", "load")})
    kernel = running(hidden=True, rights=())
    assert outcomes(verify.report(kernel, ["vfs_read"], ["kprobe"], as_me=True, ask=asked)) == {
        ("vfs_read", "kprobe"): "equal"
    }


@pytest.mark.parametrize(
    ("switch", "said"),
    [(b"0\n", "kernel.ftrace_enabled is 0"), (None, "ftrace_enabled cannot be read")],
)
def test_ftrace_that_is_off_refuses_functions_and_not_events(running, switch, said):
    here = {"denied": (verify.FTRACE_SWITCH,)} if switch is None else {"files": {verify.FTRACE_SWITCH: switch}}
    report = verify.report(running(**here), ["vfs_read", "tp:sched:sched_switch"], ask=Asked())
    refused = {one.target for one in report.trials if one.outcome == "refused"}
    assert refused == {"vfs_read"}
    assert said in next(one.says for one in report.trials if one.outcome == "refused")


def test_no_dynamic_ftrace_is_no_obstacle(running):
    kernel = running(missing=(verify.FTRACE_SWITCH,))
    assert outcomes(verify.report(kernel, ["vfs_read"], ["fentry"], ask=Asked())) == {("vfs_read", "fentry"): "equal"}


def test_a_snapshot_is_refused(tiny_kernel):
    with pytest.raises(UsageError, match="verify asks the running kernel; leave --root out"):
        tiny_kernel().verify(["vfs_read"])


def test_globs_are_bounded(running):
    names = [f"vfs_{number}" for number in range(80)]
    kernel = running(names)
    with pytest.raises(UsageError, match=r"vfs_\* names 80 targets and verify asks about 64 at most: .* --limit 80"):
        verify.report(kernel, ["vfs_*"], ["fentry"], ask=Asked())
    assert len(verify.report(kernel, ["vfs_*"], ["fentry"], limit=80, ask=Asked()).trials) == 80


@pytest.mark.parametrize(
    ("glob", "types", "targets"),
    [
        ("x_*", ["kprobe"], ["x_open"]),
        ("xfs:x_o*", ["kprobe"], ["xfs:x_open"]),
        ("tp:sched:*", ["tp"], ["tp:sched:sched_switch", "tp:sched:sched_wakeup"]),
        ("syscall:op*", ["ksyscall"], ["syscall:open", "syscall:openat"]),
        ("vfs_rea[d]", ["kprobe"], ["vfs_read"]),
    ],
)
def test_globs_name_functions_events_and_calls(running, glob, types, targets):
    symbols = ("vfs_read", "x_open [xfs]", "__x64_sys_open", "__x64_sys_openat", "__x64_sys_bpf")
    kernel = running(symbols, events=("sched:sched_switch", "sched:sched_wakeup", "irq:softirq_entry"))
    report = verify.report(kernel, [glob], types, ask=Asked())
    assert sorted({one.target for one in report.trials}) == targets


def test_a_glob_without_a_match_cannot_be_asked(running):
    with pytest.raises(CannotAsk, match=r"no function or event matches nothing_\*"):
        verify.report(running(), ["nothing_*"], ask=Asked())


def test_what_is_touched_is_told_before_it_is_asked(running):
    log = []

    def ask(questions):
        log.append("asked")
        return iter([YES] * len(questions))

    verify.report(running(), ["vfs_read"], ["kprobe", "fentry"], announce=log.append, ask=ask)
    head = "about to load, attach and detach a program that does nothing, 2 times, in the running kernel:"
    assert log == [head, "  vfs_read: kprobe fentry", "asked"]


def test_questions_carry_what_the_kernel_wants(running):
    asked = Asked()
    symbols = ("vfs_read", "x_open [xfs]", "__x64_sys_execve")
    names = ["vfs_read+0x10", "xfs:x_open", "syscall:execve", "tp:sched:sched_switch"]
    verify.report(running(symbols), names[:1], ["kprobe"], ask=asked)
    verify.report(running(symbols), names[1:2], ["kprobe", "kprobe.multi", "fentry"], ask=asked)
    verify.report(running(symbols), names[2:3], ["ksyscall"], ask=asked)
    verify.report(running(symbols), names[3:], ["tp", "raw_tp", "tp_btf"], ask=asked)
    by = {(q.target, q.attach): q for q in asked.questions}
    assert by["vfs_read+0x10", "kprobe"] == Question("vfs_read+0x10", "kprobe", "vfs_read", 16, pmu=8)
    assert by["xfs:x_open", "kprobe"].symbol == "xfs:x_open"
    assert by["xfs:x_open", "kprobe.multi"].symbol == "x_open"
    assert (by["xfs:x_open", "fentry"].module, by["xfs:x_open", "fentry"].btf_id > 0) == ("xfs", True)
    assert by["syscall:execve", "ksyscall"].symbol == "__x64_sys_execve"
    assert by["tp:sched:sched_switch", "tp"].event_id == 300
    assert by["tp:sched:sched_switch", "raw_tp"].symbol == "sched_switch"
    assert by["tp:sched:sched_switch", "tp_btf"].btf_id > 0


@pytest.mark.parametrize(
    ("name", "attach", "errno"),
    [("no_such", "fentry", "ESRCH"), ("tp:a:b", "tp", "ENOENT"), ("tp:a:b", "tp_btf", "ESRCH")],
)
def test_a_loader_that_finds_nothing_does_not_ask(running, name, attach, errno):
    asked = Asked()
    (one,) = verify.report(running(), [name], [attach], ask=asked).trials
    assert (one.outcome, one.errno, one.stage, asked.questions) == ("equal", errno, "lookup", [])


def test_an_attempt_that_did_not_come_back(running):
    asked = Asked({("vfs_read", "fentry"): Reply("", NOT_ASKED, "no reply within 30 seconds")})
    (one,) = verify.report(running(), ["vfs_read"], ["fentry"], ask=asked).trials
    assert (one.outcome, one.answer, one.says) == ("unasked", "", "no reply within 30 seconds")


def test_replies_are_closed_when_interrupted(running):
    """The child must be gone before anything else happens."""

    class Replies:
        closed = False

        def __iter__(self):
            return self

        def __next__(self):
            raise KeyboardInterrupt

        def close(self):
            self.closed = True

    replies = Replies()
    with pytest.raises(KeyboardInterrupt):
        verify.report(running(), ["vfs_read"], ["fentry"], ask=lambda questions: replies)
    assert replies.closed


def test_dry_needs_no_rights_and_says_what_only_root_can_know(running):
    kernel = running(rights=(), hidden=True)
    (one,) = verify.report(kernel, ["vfs_read"], ["kprobe"], dry=True, ask=Asked()).trials
    assert one.outcome == "planned"
    assert "cannot be compared with vfs_read: addresses are hidden" in one.says


def test_dry_asks_nothing(running):
    asked = Asked()
    report = verify.report(running(rights=()), ["vfs_read", "do_exit"], ["fentry"], dry=True, ask=asked)
    assert [one.outcome for one in report.trials] == ["planned", "refused"]
    assert asked.questions == []


DRY = """
import sys
from probe_scout.frontends.cli import run
forbidden = []
sys.addaudithook(lambda event, args: forbidden.append(event) if event.startswith(("ctypes.", "os.fork")) else None)
code = run.main(["verify", "no_such_function", "tp:sched:sched_switch", "--dry"])
print(code, "ctypes" in sys.modules, forbidden, file=sys.stderr)
"""


def test_dry_makes_no_call_of_its_own():
    """On this very machine: neither ctypes, the only way to bpf(2) here, nor a process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PROBE_SCOUT_CACHE": "off"}
    done = subprocess.run([sys.executable, "-c", DRY], capture_output=True, text=True, env=environment)
    assert done.stderr.splitlines()[-1].split(" ", 1)[1] == "False []", done.stderr
    assert "dry run: nothing was loaded or attached" in done.stdout


# ------------------------------------------------------------ the command

REPLIES = {
    ("vfs_read", "fentry"): Reply("EBUSY", "attach"),
    ("vfs_read", "fmod_ret"): Reply("EINVAL", "load", "vfs_read() is not modifiable"),
}
TEXT = """\
kernel 6.99.0-tiny x86_64 (live, build 000102030405)

vfs_read
  equal      kprobe   yes
  different  fentry   the verdict is yes, the kernel says no (EBUSY) at attach
  equal      fmod_ret   no (EINVAL) at load

do_exit
  refused    kprobe fentry fmod_ret   never tried: do_exit: it never returns, so the trampoline is never released; \
newer kernels refuse it

6 attach types on targets: 2 equal, 1 different, 3 refused

bug report: vfs_read fentry: the verdict is yes, the kernel says no (EBUSY)
  probe-scout VERSION, kernel 6.99.0-tiny x86_64, build 000102030405060708090a0b0c0d0e0f10111213
  target: vfs_read   attach type: fentry
  verdict: yes
  kernel: no (EBUSY) at attach
  lockdown: none
  ask again: probe-scout verify vfs_read --type fentry
  please attach: probe-scout snapshot -o probe-scout-000102030405.tar.xz --with-code
"""
LINE = ["verify", "vfs_read", "do_exit", "--type", "kprobe,fentry,fmod_ret"]


@pytest.fixture
def command(running, monkeypatch, capsys):
    """command(*words) is (exit code, standard output, standard error) of a command line on a small kernel."""
    from probe_scout.commands.verify import child

    opened = OpenKernel()
    opened._opened = running(("vfs_read", "do_exit"))
    monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None: opened)
    monkeypatch.setattr(child, "ask_all", Asked(REPLIES))
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)

    def ask(*words):
        code = run.main(words)
        return code, *capsys.readouterr()

    return ask


def test_the_text(command):
    from probe_scout import __version__

    code, out, err = command(*LINE)
    assert out == TEXT.replace("VERSION", __version__)
    assert err.splitlines() == [
        "probe-scout: about to load, attach and detach a program that does nothing, 3 times, in the running kernel:",
        "probe-scout:   vfs_read: kprobe fentry fmod_ret",
    ]
    assert code == 1


def test_the_json(command):
    code, out, _ = command(*LINE, "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["dry"], document["caller"]) == (1, "probe-scout/verify/1", False, "root")
    assert [one["outcome"] for one in document["trials"]] == ["equal", "different", "equal", *["refused"] * 3]
    assert document["trials"][1] == {
        "target": "vfs_read",
        "attach": "fentry",
        "verdict": {
            "attach": "fentry",
            "answer": "yes",
            "errno": None,
            "errno_certain": True,
            "findings": [],
            "unread": [],
            "notes": [],
        },
        "outcome": "different",
        "answer": "no",
        "errno": "EBUSY",
        "stage": "attach",
        "says": "",
    }
    assert [sorted(bug) for bug in document["reports"]] == [["body", "title"]]


@pytest.mark.parametrize("format", ["csv", "md", "grid", "ndjson"])
def test_other_forms_have_a_row_for_each_trial(command, format):
    code, out, _ = command(*LINE, "--format", format)
    rows = [line for line in out.splitlines() if "vfs_read" in line or "do_exit" in line]
    assert (code, len(rows), out.count("EBUSY")) == (1, 6, 1)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["verify", "vfs_read", "--type", "kprobe"], 0),
        (["verify", "vfs_read", "--type", "fentry"], 1),
        (["verify", "do_exit", "--type", "kprobe"], 3),
        (["verify", "do_exit", "vfs_read", "--type", "fentry"], 1),
        (["verify", "vfs_read", "--dry"], 0),
        (["verify", "do_exit", "--dry"], 3),
        (["verify", "nothing_*"], 3),
        (["verify", "vfs_read", "--limit", "0"], 2),
        (["verify", "vfs_read", "--limit", "x"], 2),
        (["verify", "vfs_read", "do_exit", "--limit", "1"], 2),
        (["verify", "vfs_read", "--type", "tp"], 2),
        (["verify"], 2),
    ],
)
def test_exit_codes(command, words, code):
    assert command(*words)[0] == code


def test_another_root_is_refused(tiny_folder, capsys):
    assert run.main(["verify", "vfs_read", "--root", str(tiny_folder())]) == 2
    assert capsys.readouterr().err == (
        "probe-scout: verify asks the running kernel; leave --root out, or use check for a snapshot\n"
    )
