"""Judging for a caller who is supposed: capabilities, none, a token."""

from __future__ import annotations

from pathlib import Path

import pytest

import probe_scout
from probe_scout.errors import UsageError
from probe_scout.frontends.cli.request import build

KERNELS = Path(__file__).resolve().parents[3] / "fixtures" / "kernels"


def answers(caller, *types, name="vfs_read", kernel="6.12.107"):
    opened = probe_scout.open_kernel(str(KERNELS / f"debian-{kernel}-amd64.tar.xz"))
    opened.ask_as(caller)
    return [(v.answer, v.errno) for v in opened.check(name, types).targets[0].verdicts]


@pytest.mark.parametrize(
    ("caller", "told"),
    [
        ("", [("yes", None), ("yes", None), ("yes", None)]),
        ("none", [("no", "EPERM"), ("no", "EPERM"), ("no", "EPERM")]),
        ("CAP_BPF", [("no", "EPERM"), ("no", "EPERM"), ("no", "EPERM")]),
        # Debian's kernel.perf_event_paranoid is 3: whether CAP_PERFMON opens a perf event is not shown.
        ("bpf, perfmon", [("unknown", None), ("yes", None), ("yes", None)]),
        ("CAP_SYS_ADMIN", [("yes", None), ("yes", None), ("yes", None)]),
        ("token", [("no", "EACCES"), ("yes", None), ("yes", None)]),
    ],
)
def test_a_supposed_caller_on_a_snapshot(caller, told):
    assert answers(caller, "kprobe", "fentry", "kprobe.multi") == told


def test_a_kernel_without_tokens_gives_none_of_their_rights():
    assert answers("token", "fentry", kernel="5.10.223") == [("no", "EPERM")]


@pytest.mark.parametrize(
    ("caller", "type_", "told"),
    [
        ("CAP_BPF", "xdp", ("no", "EPERM")),
        ("CAP_BPF,CAP_NET_ADMIN", "xdp", ("yes", None)),
        ("CAP_BPF", "kprobe", ("no", "EPERM")),
        ("CAP_BPF,CAP_PERFMON", "kprobe", ("yes", None)),
    ],
)
def test_programs_that_call_are_loaded_by_the_caller(caller, type_, told):
    assert answers(caller, type_, name="helper:bpf_map_lookup_elem") == [told]


def test_a_scan_is_judged_for_the_caller():
    opened = probe_scout.open_kernel(str(KERNELS / "debian-6.12.107-amd64.tar.xz"))
    opened.ask_as("none")
    assert next(iter(opened.scan("vfs_read", ["fentry"]).rows)).errno == {"fentry": "EPERM"}
    opened.ask_as("")
    assert next(iter(opened.scan("vfs_read", ["fentry"]).rows)).answers == {"fentry": "yes"}


def test_what_is_no_capability_is_refused():
    with pytest.raises(UsageError):
        answers("CAP_NOTHING", "fentry")
    with pytest.raises(UsageError):
        build("check", names=["vfs_read"], caps="CAP_BPF", unprivileged=True)
    with pytest.raises(UsageError):
        build("check", names=["vfs_read"], caps="CAP_BPF", as_me=True)
