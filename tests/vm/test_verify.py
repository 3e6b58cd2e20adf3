"""`verify` in guests: the kernel's answers equal the verdicts, and nothing stays attached however it ends.

Runs with `pytest -m vm`. PROBE_SCOUT_VM names the kernels (blank separated; those of KERNELS that are fetched
if it is not set).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.vm

GUEST = Path(__file__).resolve().parent / "guest" / "verify_all.py"
KERNELS = ("5.10", "6.1", "6.12", "7.3")
MODULES = ("crc32c_generic", "ext4", "xfs", "nf_conntrack")
TIME_LIMIT_S = 1500.0


def fetched():
    from tests.vm import cache
    from tests.vm.problems import LabError

    found = []
    for name in os.environ.get("PROBE_SCOUT_VM", "").split() or KERNELS:
        try:
            cache.get(name)
        except LabError:
            continue
        found.append(name)
    return found


@pytest.fixture(scope="module", params=KERNELS)
def said(request):
    """What the guest printed, by test: a list of objects."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    if request.param not in fetched():
        pytest.skip(f"kernel {request.param} is not fetched, or PROBE_SCOUT_VM does not name it")
    from tests.vm import boot, cache

    ended = boot.run(
        request.param,
        ["python3", "/host/verify_all.py"],
        share={"/host/verify_all.py": GUEST, "/host/vmlinuz": cache.get(request.param).vmlinuz},
        env=["PYTHONPATH=/usr/lib/probe-scout"],
        modules=MODULES,
        memory_mb=3072,
        timeout_s=TIME_LIMIT_S,
        tool=True,
    )
    assert ended.status == 0, ended.stderr[-2000:] + ended.console[-2000:]
    found = {}
    for line in ended.stdout.splitlines():
        one = json.loads(line)
        found.setdefault(one.pop("test"), []).append(one)
    return found


def test_the_kernel_agrees_with_every_verdict(said):
    """Unknown is allowed only for an offset behind the end of the function, which names no instruction of it."""
    (one,) = said["names"]
    odd = [row for row in one["odd"] if row[0] != "vfs_read+0x400000"]
    assert odd == []
    assert set(one["outcomes"]) <= {"equal", "settled"}
    assert one["outcomes"]["equal"] >= 500
    assert one["yes"] >= 100
    assert one["code"] == 0


@pytest.mark.parametrize("group", ["lsm", "iter", "events"])
def test_types_that_must_be_asked_for(said, group):
    (one,) = said[group]
    assert (one["odd"], list(one["outcomes"]), one["code"]) == ([], ["equal"], 0)


def test_it_says_first_what_it_touches(said):
    assert all(one["announced"] for one in said["names"])


def test_nothing_is_left_after_a_whole_run(said):
    assert [name for name in ("names", "lsm", "iter", "events") if said[name][0]["left"] is None] == []


def test_the_never_try_list(said):
    (one,) = said["never try"]
    assert one["code"] == 3
    assert "never tried: do_exit" in one["stdout"]
    assert "do_exit" not in one["stderr"]


ENDS = {
    "SIGKILL of the tool": -9,
    "SIGKILL of the child": 3,
    "SIGINT of the group": 130,
    "SIGINT of the tool": 130,
    "SIGTERM of the tool": -15,
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_however_it_ends(said, end):
    """Each time something was held: a program, and a patched function or a kprobe where its type attaches here."""
    for one in said[end]:
        assert one["held"]["programs"]
        assert one["held"]["functions"] or one["held"]["kprobes"] or one["attach"] == "kprobe.multi"
        assert (one["code"], one["alive"]) == (ENDS[end], [])
        assert one["left"] is not None


def test_nothing_is_left_after_kill_at_random(said):
    points = said["kill -9 at random"]
    assert [one for one in points if one["left"] is None] == []
    assert sum(one["running"] for one in points) >= 3


def test_an_ordinary_user(said):
    (plain,), (as_me,), (dry,) = said["user"], said["user --as-me"], said["user --dry"]
    assert plain["code"] == 3
    assert plain["stderr"] == (
        "probe-scout: verify asks the kernel for real, and this caller lacks CAP_BPF; CAP_PERFMON: run it as root, or "
        "say --as-me to take a refusal for the answer\n"
    )
    assert as_me["code"] == 0
    assert "no (EPERM) at load" in as_me["stdout"]
    assert dry["code"] == 0
    assert "dry run: nothing was loaded or attached" in dry["stdout"]


def test_ftrace_that_is_off(said):
    """7.3 does not let it be switched off (EOPNOTSUPP)."""
    (one,) = said["ftrace off"]
    if "errno" in one:
        assert one["errno"] == 95
        return
    assert one["code"] == 3
    assert "kernel.ftrace_enabled is 0" in one["stdout"]


def test_the_kernel_did_not_complain(said):
    assert said["end"][0]["log"] == []
