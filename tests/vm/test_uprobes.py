"""Uprobes in guests and on this machine: errno and what fires, of one function for each situation, beside `check`.

The guests run with `pytest -m vm` (PROBE_SCOUT_VM names the kernels), this machine with `pytest -m machine`, as root.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.builders import programs
from tests.builders.situations import SOURCE
from tests.probes.user.test_fires import CALLS, PLACES, Row, seen, told
from tests.probes.user.test_rules import ERRNO

from .guest.uprobes_all import TYPES, attached
from .test_verify import KERNELS, fetched

GUEST = Path(__file__).resolve().parent / "guest" / "uprobes_all.py"
UNIT = Path("/sys/bus/event_source/devices/uprobe")
TIME_LIMIT_S = 1500.0
ILLEGAL = signal.SIGILL


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("uprobes")
    return programs.compiled(folder, "sit", SOURCE, "-O1", "-fcf-protection=none", "-static-libgcc", "-lpthread")


def unwinder() -> Path:
    """libgcc_s.so.1, which pthread_exit and backtrace of glibc load when they are called."""
    return Path(programs.run(programs.tool("gcc"), "-print-file-name=libgcc_s.so.1").strip())


def differences(lines: list[str]) -> list[str]:
    """The rows in which the kernel did otherwise than the tool said."""
    wrong = []
    rows = [json.loads(line) for line in lines]
    without = {row["type"] for row in rows if row["place"] == "plain" and row["errno_mapped"]}  # kernels of before
    for row in rows:
        verdict = SimpleNamespace(attach=row["type"], answer="yes", errno=None)
        limits = [SimpleNamespace(id=i, effect=effect, types=types) for i, effect, types in row["limits"]]
        hazards = [SimpleNamespace(id=i) for i in row["hazards"]]
        where = f"{row['place']} {row['type']}"
        if row["base"][1] not in (-1, 0, ILLEGAL):
            wrong.append(f"{where}: dies of signal {row['base'][1]} without a probe too: nothing was measured")
            continue
        if (row["answer"], ERRNO[row["told_errno"]]) != ("no" if row["errno_mapped"] else "yes", row["errno_mapped"]):
            wrong.append(f"{where}: mapped {row['errno_mapped']}, here {row['answer']} {row['told_errno']}")
            continue
        if row["type"] in without:
            wrong += [f"{where}: errno {row['errno']} on a kernel without it"] if row["errno"] != 22 else []
            continue
        if row["errno"]:
            wrong.append(f"{where}: errno {row['errno']} though nobody maps it")
        if row["answer"] == "no":  # attached while nobody maps it, and mute
            wrong += [f"{where}: {row['hits']} hits of a refused instruction"] if row["hits"] else []
            continue
        if row["base"][1] == ILLEGAL:  # no AVX-512 by TCG: that it attaches is all that can be measured
            wrong += [] if row["place"] == "a_evex" else [f"{where}: dies of SIGILL without a probe too"]
            continue
        report = SimpleNamespace(verdicts=[verdict], limits=limits, hazards=hazards)
        is_same = row["run"] == row["base"]
        calls = CALLS.get(row["place"], 10)
        what = seen(Row("", row["place"], row["type"], 0, calls, row["hits"], is_same, int(not is_same)))
        if what not in told(report, row["type"]):
            wrong.append(
                f"{where}: {what} ({row['hits']} hits, {row['run']}), told {sorted(told(report, row['type']))}"
            )
    return wrong


def test_a_difference_would_be_seen():
    row: dict[str, Any] = {"place": "plain", "type": "uprobe", "errno_mapped": 0, "errno": 0, "hits": 10}
    row |= {"base": [0, 0], "run": [0, 0]}
    row |= {"answer": "yes", "told_errno": None, "limits": [], "hazards": []}
    assert differences([json.dumps(row)]) == []
    for change in (
        {"hits": 9},
        {"errno_mapped": 524},
        {"run": [-1, 11]},
        {"errno": 22},
        {"answer": "unknown"},
        {"base": [-1, 6]},
        {"base": [-1, 4]},
    ):
        assert len(differences([json.dumps({**row, **change})])) == 1, change


@pytest.mark.machine
def test_on_this_machine(program):
    if os.geteuid() or not UNIT.is_dir() or platform.machine() != "x86_64":
        pytest.skip("needs root, x86-64 and a kernel with uprobes")
    root = Path(__file__).resolve().parents[2]
    line = [sys.executable, str(GUEST), str(program), *PLACES]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(root)})
    lines = done.stdout.splitlines()
    assert len(lines) == len(TYPES) * len(PLACES)
    found = differences(lines)
    assert not found, "\n".join(found)


@pytest.mark.machine
def test_for_one_process_on_this_machine(program):
    """errno and limits of probes for a process that maps the program, one that does not, one that is gone."""
    if os.geteuid() or not UNIT.is_dir() or platform.machine() != "x86_64":
        pytest.skip("needs root, x86-64 and a kernel with uprobes")
    from probe_scout.frontends.session import open_kernel

    kernel = open_kernel("")
    with (
        subprocess.Popen([program, "wait"], stdout=subprocess.PIPE) as waiting,
        subprocess.Popen(["sleep", "60"]) as other,
    ):
        try:
            assert waiting.stdout is not None
            waiting.stdout.readline()
            gone = subprocess.Popen(["true"])
            gone.wait()
            errnos = {}
            for pid, limit in ((waiting.pid, ""), (other.pid, "limit.uprobe_process_unmapped"), (gone.pid, "")):
                for place in ("plain", "a_lock"):
                    (report,) = kernel.check([f"{program}:{place}"], list(TYPES), pid=pid).targets
                    offset = next(site.offset for site in report.place.sites if site.chosen)
                    for verdict in report.verdicts:
                        probe = attached(str(program), offset, verdict.attach, pid)
                        probe.close()
                        assert ERRNO[verdict.errno] == probe.error, (pid, place, verdict.attach)
                        errnos[pid, place] = probe.error
                    if pid != gone.pid:
                        told = {one.id for one in report.limits if one.id.startswith("limit.uprobe_process")}
                        assert told == ({limit} if limit else set())
        finally:
            waiting.kill()
            other.kill()
    assert list(errnos.values()) == [0, 524, 0, 0, 3, 3]


@pytest.mark.vm
@pytest.mark.parametrize("kernel", KERNELS)
def test_in_a_guest(kernel: str, program):
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    if kernel not in fetched():
        pytest.skip(f"kernel {kernel} is not fetched, or PROBE_SCOUT_VM does not name it")
    from tests.vm import boot

    ended = boot.run(
        kernel,
        ["python3", "/host/uprobes_all.py", "/host/sit", *PLACES],
        share={"/host/uprobes_all.py": GUEST, "/host/sit": program, "/host/libgcc_s.so.1": unwinder()},
        env=["PYTHONPATH=/usr/lib/probe-scout", "LD_LIBRARY_PATH=/host"],
        memory_mb=2048,
        timeout_s=TIME_LIMIT_S,
        tool=True,
    )
    assert ended.status == 0, ended.stderr[-2000:] + ended.console[-2000:]
    lines = ended.stdout.splitlines()
    assert len(lines) == len(TYPES) * len(PLACES)
    found = differences(lines)
    assert not found, "\n".join(found)
