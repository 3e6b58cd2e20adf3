"""The vm lane for environments: locked, restricted and disarmed kernels, asked by users with and without rights.

In each environment the tool and the prober answer the same questions in the same boot. No answer may be wrong; an
unknown one names its cause, and what would open the file. `pytest -m vm tests/vm/test_environment.py`
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.vm import boot, cache, environment, record
from tests.vm.guest.environments import ENVIRONMENTS

GUEST = Path(boot.__file__).parent / "guest"
TIMEOUT_S = 1500
MEMORY_MB = 1536
MODULES = ("xfs",)
LOCKED = ("root", "bpf and perfmon")
# What names alone, without addresses, leave open: code, and which copy is meant.
HIDDEN = {"addresses", "code", "entry_code"}
FILES_OF_ROOT = {"filter_functions", "kprobe_blacklist", "events", "code", "addresses", "entry_code"}
# Environment to the facts that may be missing there; nothing may be missing in the others.
MISSING = {
    "kptr_restrict=2": HIDDEN,
    "user, for root": FILES_OF_ROOT,
    "bpf and perfmon": FILES_OF_ROOT,
    "sys_admin only": FILES_OF_ROOT,
    "neither tracefs nor debugfs": {"filter_functions", "kprobe_blacklist", "events"},
    **{
        f"bpf and perfmon, tracefs open, paranoid={value}": {"kprobe_blacklist", *HIDDEN, "sysctl"}
        for value in (-1, 0, 1, 2, 3)
    },
    "ftrace_enabled 0, then 1": {"filter_functions"},  # where writing 1 behind attachments shut ftrace down
    "bpf, perfmon, syslog, tracefs and debugfs open": {"kprobe_blacklist", *HIDDEN},
}


# Test to what it boots: environments, and words for the kernel's command line.
BOOTS = {
    "test_rights_and_switches": (tuple(ENVIRONMENTS), ()),
    "test_confidentiality_leaves_no_trace_events": (LOCKED, ("lockdown=confidentiality",)),
    "test_integrity_changes_nothing_and_lsm_without_bpf_is_silent": (
        ("root",),
        ("lockdown=integrity", "lsm=lockdown,capability,yama"),
    ),
    "test_old_kernels": (("root", "user", "bpf and perfmon, tracefs open, paranoid=2"), ()),
}


@pytest.fixture(scope="module")
def boots(request, tmp_path_factory):
    """Every boot of the chosen tests, started at once, as many at a time as there are processors."""
    prober = record.build_prober(tmp_path_factory.mktemp("prober"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = {}
        for item in request.session.items:
            if item.path == request.path and item.originalname in BOOTS:
                key = item.originalname, item.callspec.params["kernel"]
                if key not in started and cache.find(key[1]) is not None:
                    work = tmp_path_factory.mktemp("environment")
                    started[key] = pool.submit(run, key[1], *BOOTS[key[0]], work, prober)
        yield started
        pool.shutdown(cancel_futures=True)


def run(kernel, names, append, work, prober):
    """One boot; its lines."""
    share = work / "share"
    share.mkdir()
    for name in ("environments.py", "as_user.py"):
        shutil.copy2(GUEST / name, share / name)
    shutil.copy2(prober, share / record.PROBER)
    quoted = " ".join(f"'{name}'" for name in names)
    ended = boot.run(
        kernel,
        ["sh", "-c", f"chmod -R a+rX /host; chmod 1777 /tmp; exec python3 /host/environments.py {quoted}"],
        share={"/host": share, **record.files_of(kernel)},
        live=work / "lines",
        modules=MODULES,
        append=append,
        tool=True,
        timeout_s=TIMEOUT_S,
        memory_mb=MEMORY_MB,
    )
    assert ended.status == 0, ended.stderr[-2000:] or ended.console[-2000:]
    return environment.read((work / "lines").read_text())


@pytest.fixture
def booted(request, boots, kernel, fetched_kernel):
    """What `environment.read` makes of this test's boot."""
    return boots[request.node.originalname, fetched_kernel(kernel)].result()


def agreed(found):
    """No wrong answer, no wrong errno, no unknown one without cause and cure, none for an unexpected reason."""
    for one in found.values():
        assert (one.wrong, one.errno_wrong, one.bare) == ((), (), ()), one.name
        facts = {cause.partition(" ")[0] for cause in one.causes}
        assert facts <= MISSING.get(one.name, set()), f"{one.name}: {one.causes}"
        assert one.unknown == 0 or facts


def told(found, capsys, kernel):
    with capsys.disabled():
        print(f"\n{kernel}\n" + "\n".join(one.row() for one in found.values()))


@pytest.mark.vm
@pytest.mark.parametrize("kernel", ["6.12", "7.3"])
def test_rights_and_switches(kernel, booted, capsys):
    found, refused = booted
    told(found, capsys, kernel)
    agreed(found)
    assert found["kptr_restrict=2"].unknown < 0.15 * found["kptr_restrict=2"].asked
    assert found["root"].fires > 0
    cold = found["root, every cold part"].cold
    assert len(cold) > 1000
    assert "unknown" not in cold
    assert found["kprobes/enabled=0"].fires == 0
    assert "silent.kprobes_off" in found["kprobes/enabled=0"].notes
    if refused:  # since 7.x the kernel takes no 0 there
        assert refused.keys() == {"ftrace_enabled=0"}
    else:
        off = found["ftrace_enabled=0"]
        assert (off.fires, off.hazards) == (0, ("hazard.ftrace_off",))
        assert "silent.ftrace_off" in off.notes
        again = found["ftrace_enabled 0, then 1"]
        assert all("ftrace has shut itself down" in cause for cause in again.causes)
    assert not found["root"].hazards
    closed = found["bpf and perfmon, tracefs open, paranoid=3"].causes
    assert any(
        "perf_event_paranoid is 3" in cause and "sysctl kernel.perf_event_paranoid=2" in cause for cause in closed
    )


@pytest.mark.vm
@pytest.mark.parametrize("kernel", ["6.12", "7.3"])
def test_confidentiality_leaves_no_trace_events(kernel, booted, capsys):
    found, _ = booted
    told(found, capsys, f"{kernel} lockdown=confidentiality")
    for one in found.values():
        assert (one.wrong, one.bare) == ((), ()), one.name
        assert {cause.partition(" ")[0] for cause in one.causes} <= FILES_OF_ROOT | {"lockdown", "error_injection"}
    root = found["root"]
    assert all(said.startswith("tp:") for said in root.errno_wrong)
    assert all("tracefs is mounted but empty" in cause or cause.startswith("code") for cause in root.causes)


@pytest.mark.vm
@pytest.mark.parametrize("kernel", ["6.12", "7.3"])
def test_integrity_changes_nothing_and_lsm_without_bpf_is_silent(kernel, booted, capsys):
    found, _ = booted
    told(found, capsys, f"{kernel} lockdown=integrity lsm=lockdown,capability,yama")
    agreed(found)
    assert found["root"].unknown == 0
    assert "silent.bpf_not_in_lsm" in found["root"].notes
    assert found["root"].fires == 0  # bpf_lsm_file_open is never called


@pytest.mark.vm
@pytest.mark.parametrize("kernel", ["5.10", "6.1"])
def test_old_kernels(kernel, booted, capsys):
    found, _ = booted
    told(found, capsys, kernel)
    agreed(found)


def test_the_prober_is_asked_in_its_own_words():
    from tests.vm.guest.environments import prober_line

    assert prober_line("xfs:xfs_file_open", "fentry") == "fentry\txfs:xfs_file_open"
    assert prober_line("tp:sched:sched_switch", "tp") == "tp\tsched:sched_switch"
    assert prober_line("tp:sched:sched_switch", "tp_btf") == "tp_btf\tsched_switch"
    assert prober_line("syscall:execve", "ksyscall") == "ksyscall\texecve"
    assert prober_line("syscall:execve", "tp") == "tp\tsyscalls:sys_enter_execve"


def line(answers, verdicts, **more):
    from tests.vm.guest.environments import questions

    asked = questions(ENVIRONMENTS["user"].targets)
    ours = {f"{t} {a}": verdicts(t, a) for t, a in asked}
    prober = "".join(f"{i}\t{answers(t, a)}\t5\t\n" for i, (t, a) in enumerate(asked)) + f"END {len(asked)}\n"
    tool = {"verdicts": ours, "doctor": [], "hazards": []}
    return {"environment": "user", "failed": [], "tool_status": 0, "prober": prober, "fires": 0, "tool": tool, **more}


def said(answer, errno=None, unread=()):
    return {"answer": answer, "errno": errno, "certain": True, "rules": [], "unread": unread, "notes": []}


def test_comparing_tells_right_wrong_and_unknown():
    one = environment.compare(line(lambda t, a: "EPERM\tload", lambda t, a: said("no", "EPERM"), seconds=[]))
    assert (one.right, one.wrong, one.errno_wrong, one.unknown) == (one.asked, (), (), 0)
    one = environment.compare(line(lambda t, a: "0\t-", lambda t, a: said("no", "EPERM"), seconds=[]))
    assert (one.right, len(one.wrong)) == (0, one.asked)
    one = environment.compare(line(lambda t, a: "EINVAL\tload", lambda t, a: said("no", "EPERM"), seconds=[]))
    assert (one.right, len(one.errno_wrong)) == (one.asked, one.asked)
    told_why = [["events", "denied", "closed", "run as root"]]
    one = environment.compare(line(lambda t, a: "0\t-", lambda t, a: said("unknown", unread=told_why), seconds=[]))
    assert (one.unknown, one.bare, one.causes) == (one.asked, (), {"events denied: closed; run as root": one.asked})
    one = environment.compare(line(lambda t, a: "0\t-", lambda t, a: said("unknown"), seconds=[]))
    assert len(one.bare) == one.asked
