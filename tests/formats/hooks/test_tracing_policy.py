"""Policies of Tetragon as lists of hooks."""

from __future__ import annotations

import sys

import pytest

from probe_scout.errors import UsageError
from probe_scout.formats.hooks.tracing_policy import read

POLICY = b"""
apiVersion: cilium.io/v1alpha1
kind: TracingPolicy
metadata: {name: x}
spec:
  lists: [{name: dups, type: syscalls, values: [sys_dup, sys_dup2]}, {name: gen, type: generated_syscalls}]
  kprobes:
  - {call: tcp_connect, syscall: false, return: true, args: [{index: 0, type: sock}]}
  - {call: sys_openat, syscall: true, return: true}
  - {call: __x64_sys_kill, syscall: true}
  - {call: "list:dups"}
  - {call: "list:gen"}
  tracepoints: [{subsystem: sched, event: sched_switch}, {subsystem: sched, event: sched_wakeup, raw: true}]
  lsmhooks: [{hook: file_open}]
  uprobes: [{path: /bin/bash}]
---
kind: ConfigMap
---
kind: TracingPolicyNamespaced
spec: {kprobes: [{call: fd_install}]}
"""


def test_every_kind_of_hook():
    pytest.importorskip("yaml")
    found = read(POLICY, "p.yaml")
    assert {hook.name: hook.ladder for hook in found.hooks} == {
        "tcp_connect": ("kprobe.multi/tcp_connect", "kprobe/tcp_connect"),
        "tcp_connect (return)": ("kretprobe.multi/tcp_connect", "kretprobe/tcp_connect"),
        "sys_openat": ("ksyscall/openat",),
        "__x64_sys_kill": ("ksyscall/kill",),
        "sys_dup": ("ksyscall/dup",),
        "sys_dup2": ("ksyscall/dup2",),
        "sched/sched_switch": ("tp/sched/sched_switch",),
        "sched/sched_wakeup": ("raw_tp/sched_wakeup",),
        "lsm file_open": ("lsm/file_open",),
        "fd_install": ("kprobe.multi/fd_install", "kprobe/fd_install"),
    }
    assert [one.partition(":")[0] for one in found.skipped] == ["list", "uprobe /bin/bash"]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"[", b"kind: Pod", b"\xff\xfe", b"kind: TracingPolicy", b"kind: TracingPolicy\nspec: 7"),
        *(b"kind: TracingPolicy\nspec: {kprobes: [1, {call: [2]}]}", b"a: &a [*a]", b"!!python/object:os.system x"),
        b"[" * 5000,
    ],
)
def test_what_is_no_policy_is_one_sentence(raw):
    pytest.importorskip("yaml")
    with pytest.raises(UsageError) as said:
        read(raw, "p.yaml")
    assert "\n" not in str(said.value)


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UsageError, match=r"probe-scout\[policy\]"):
        read(POLICY, "p.yaml")
