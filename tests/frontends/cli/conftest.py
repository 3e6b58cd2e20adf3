"""A kernel that answers from memory, put in the place of the real one."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from probe_scout.errors import Denied
from probe_scout.frontends.cli import run
from probe_scout.frontends.render import json
from probe_scout.model.facts import KALLSYMS, Unread
from probe_scout.model.report import (
    Alternative,
    CheckReport,
    Coverage,
    Diagnosis,
    DoctorReport,
    KernelInfo,
    ScanRow,
    SourceState,
    TargetReport,
)
from probe_scout.model.trace import EventField, EventReport, TracepointReport
from probe_scout.model.verdict import Finding, Verdict

KERNEL = KernelInfo("6.12.107+deb13-amd64", "8a6f", "x86_64", "snapshot", "2026-01-01")
NO_SYMBOL = Finding("symbol_lookup.no_symbol", "kallsyms has no symbol of exactly this name.", "proc/kallsyms: 0 lines")
DENIED = Unread("kprobe_blacklist", "denied", "Operation not permitted", "run as root")
FUNCTIONS = ("vfs_read", "vfs_readv", "vfs_write")


class ScanReport(NamedTuple):
    kernel: KernelInfo
    rows: object
    unread: tuple[Unread, ...]


class SnapshotResult(NamedTuple):
    path: str
    size_bytes: int
    missing: tuple[Unread, ...]


class StubKernel:
    """`answers`: attach type to answer, for every name. `calls` keeps what was asked."""

    def __init__(self, answers=None, unread=(), events=("sched:sched_switch",)):
        self.answers = answers or {"kprobe": "no", "fentry": "yes"}
        self.unread = tuple(unread)
        self.events = events
        self.calls = []

    def gaps(self):
        return self.unread

    def check(self, names, types=(), as_me=False):
        self.calls.append(("check", tuple(names), tuple(types), as_me))
        wanted = types or tuple(self.answers)
        targets = tuple(
            TargetReport(
                name,
                "function",
                None,
                tuple(self._verdict(t) for t in wanted),
                Coverage("none", "dwarf", True, (("__x64_sys_execve", 41),), ("__x64_sys_execve",)),
                (Diagnosis("inlined", f"{name} was inlined into __x64_sys_execve", "likely"),),
                (Alternative("tp", "sched:sched_process_exec", "yes", "after the new image is in place"),),
            )
            for name in names
        )
        return CheckReport(KERNEL, targets, "me" if as_me else "root")

    def _verdict(self, attach):
        answer = self.answers.get(attach, "yes")
        if answer == "no":
            return Verdict(attach, "no", "ENOENT", True, (NO_SYMBOL,))
        return Verdict(attach, answer, unread=(DENIED,) if answer == "unknown" else ())

    def _rows(self, glob, answer):
        import fnmatch

        for name in FUNCTIONS if not self.unread else ():
            row = ScanRow(name, None, {"kprobe": "yes", "kretprobe": "yes", "fentry": "no"}, {"fentry": "EBUSY"})
            if fnmatch.fnmatchcase(name, glob) and (answer is None or answer in row.answers.values()):
                yield row

    def scan(self, glob="*", types=(), answer=None, **more):
        (glob,) = (glob,) if isinstance(glob, str) else glob
        self.calls.append(("scan", glob, tuple(types), answer))
        return ScanReport(KERNEL, self._rows(glob, answer), self.unread)

    def scan_ndjson(self, glob="*", types=(), answer=None):
        return (line.encode() + b"\n" for line in json.scan_ndjson(self._rows(glob, answer)))

    def untyped(self):
        return 0

    def similar_events(self, name):
        return ()

    def tracepoint(self, glob="*", reads=(), names_only=False):
        if self.events is None:
            raise Denied("sys/kernel/tracing/events", "Permission denied", "run as root")
        import fnmatch

        fields = (
            EventField("common_type", "unsigned short", 0, 2, False, "unreadable", "tracepoint_access.x", "a pointer"),
            EventField("prev_pid", "pid_t", 24, 4, True, "value", None, "ctx + 24"),
        )
        found = tuple(EventReport(e, 314, fields) for e in self.events if fnmatch.fnmatchcase(e, glob))
        return TracepointReport(KERNEL, found)

    def doctor(self):
        state = SourceState("sys/kernel/debug/kprobes/blacklist", "kprobe_blacklist", "denied", "not permitted", "root")
        return DoctorReport(KERNEL, (state,), (), (DENIED,))

    def names(self, prefix, limit):
        self.calls.append(("names", prefix))
        every = (*FUNCTIONS, *(f"tp:{e}" for e in self.events or ()))
        return [name for name in every if name.startswith(prefix)][:limit]

    def snapshot(self, out, keep_addresses=False, with_code=False, **more):
        self.calls.append(("snapshot", out, keep_addresses, with_code))
        return SnapshotResult(out, 3_278_416, (DENIED,))


NO_LIST = Unread(KALLSYMS, "denied", "Permission denied", "run as root")


@pytest.fixture
def stub(monkeypatch):
    """stub(StubKernel(…)) puts a kernel in place and returns it; `opened` keeps what --root said."""
    opened = []

    def put(kernel):
        def open_kernel(root, vmlinux=None):
            opened.append((root, vmlinux))
            return kernel

        monkeypatch.setattr(run, "open_kernel", open_kernel)
        kernel.opened = opened
        return kernel

    return put
