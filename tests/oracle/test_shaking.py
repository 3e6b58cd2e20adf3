"""Each recorded kernel with one source less: answers become unknown, never their opposite.

By default one slice with a small sample. PROBE_SCOUT_SHAKE=1 shakes every recorded kernel, every file and every option,
with PROBE_SCOUT_SHAKE_NAMES functions (400): some minutes.
"""

from __future__ import annotations

import os

import pytest

from tests.oracle import scoreboard
from tests.oracle.shaking import Change, Shaken

WHOLE = os.environ.get("PROBE_SCOUT_SHAKE") == "1"
NAMES = int(os.environ.get("PROBE_SCOUT_SHAKE_NAMES", "400" if WHOLE else "60"))
KERNELS = list(scoreboard.kernels()) if WHOLE else ["debian-6.18.15-amd64"]
WHOLE_SYMBOLS = {"debian-6.12.107-amd64"}  # its functions tell how it was built: no rule asks for an option
LARGE = ("sys/kernel/btf/",)  # many alike: of these a few in the default run
FEW = ("sys/kernel/btf/vmlinux", "sys/kernel/btf/xfs", "sys/kernel/btf/btrfs")


@pytest.fixture(scope="module", params=KERNELS)
def shaken(request):
    snapshot, _ = scoreboard.kernels()[request.param]
    return Shaken(scoreboard.open_recorded(snapshot), NAMES, NAMES // 3, request.param)


def test_no_answer_turns_into_its_opposite(shaken):
    changes = shaken.changes()
    if not WHOLE:
        changes = [c for c in changes if not c.what.startswith(LARGE) or c.what in FEW]
    faults = [fault for change in changes for fault in shaken.faults(change)]
    assert faults == [], f"{len(faults)} answers turned, of them: {faults[:5]}"


def test_the_shaking_reaches_what_answers_hang_on(shaken):
    """Files and options that decide are in the list, and taking them away shows in the answers."""
    changes = shaken.changes()
    for path in ("proc/kallsyms", "sys/kernel/btf/vmlinux", *(["boot/config"] if shaken.options else [])):
        assert {Change("denied", path), Change("missing", path)} <= set(changes)
    assert shaken.options or shaken.name in WHOLE_SYMBOLS
    assert {c.what for c in changes if c.kind == "option"} == set(shaken.options)
    answers = {outcome.answer for outcome in shaken.full.values()}
    assert {"yes", "no"} <= answers


def test_a_fault_is_seen(shaken, monkeypatch):
    """A rule that takes an unread list for an empty one is caught."""
    from probe_scout.rules import REGISTRY

    rule = REGISTRY["kprobe_register.notrace"]
    monkeypatch.setattr(rule, "needs", ())
    monkeypatch.setattr("probe_scout.kernel.kernel.Kernel._sites", _empty_where_unread)
    paths = ("sys/kernel/tracing/available_filter_functions", "sys/kernel/tracing/available_filter_functions_addrs")
    found = [fault for path in paths if path in shaken.read for fault in shaken.faults(Change("missing", path))]
    assert any(fault.attach == "kprobe" and fault.after == "no" for fault in found)


def _empty_where_unread(self, symbols, names):
    from probe_scout.formats.text import filter_functions

    return filter_functions.nothing()
