"""audited(inputs, symbols, …): the report of a small kernel whose snapshot holds these inputs."""

from __future__ import annotations

import json

import pytest

from probe_scout.frontends.cli import run
from probe_scout.frontends.session import open_kernel

PROGRAM = {
    "tag": "00112233445566ff",
    "loaded_ns": 50_000_000_000,
    "uid": 0,
    "maps": [],
    "btf_id": None,
    "run_count": 0,
    "run_time_ns": 0,
    "recursion_misses": 0,
    "attach_btf_obj_id": 0,
    "attach_btf_id": 0,
}
NOW = 1_700_000_000.0


def program(number, kind="kprobe", name="prog", **more):
    return {**PROGRAM, "id": number, "type": kind, "name": name, **more}


def link(number, kind, prog, **more):
    return {"id": number, "type": kind, "prog_id": prog, **more}


def perf(pid, fd, prog, kind, name, offset=0, file=None, address=None):
    found = {"pid": pid, "fd": fd, "prog_id": prog, "type": kind, "name": name, "offset": offset, "address": address}
    return {**found, "file": fd if file is None else file}


def process(pid, comm="agent", **more):
    found = {
        "pid": pid,
        "comm": comm,
        "exe": f"/usr/bin/{comm}",
        "exe_deleted": False,
        "cgroup": "/",
        "container": None,
    }
    return {**found, "container": None, "mnt": "mnt:[1]", "net": "net:[1]", "root": "/", **more}


def inputs(**more):
    """The inputs of an audit; `processes` as a list. Boot was 100 seconds ago."""
    found = {
        "schema": "probe-scout/audit-inputs/1",
        "gaps": [],
        "now_s": NOW,
        "boot_ns": 100_000_000_000,
        "links": [],
        "programs": [],
        "maps": [],
        "perf": [],
        "events": [],
        "btfs": {},
        "holders": [],
        "pins": [],
        "cgroups": [],
        "cgroup_paths": {},
        "sockmaps": [],
        "symbols": {},
        "files": {},
        **more,
    }
    found["processes"] = {str(one["pid"]): one for one in more.get("processes", [process(10), process(20, "other")])}
    return found


READ = "sys/kernel/tracing"
# What makes every list readable, so that nothing is unread.
QUIET = {f"{READ}/dynamic_events": b"", "sys/kernel/debug/kprobes/list": b"", f"{READ}/enabled_functions": b""}


@pytest.fixture
def asked(tiny_folder, capsys):
    """asked(inputs or None, *words, files=…) runs the command: the exit code, and what it printed."""

    def ask(inputs_given, *words, files=None, **kwargs):
        kept = {} if inputs_given is None else {"tool/audit.json": json.dumps(inputs_given).encode()}
        folder = tiny_folder(["vfs_read", "vfs_write"], files={**QUIET, **kept, **(files or {})}, **kwargs)
        code = run.main(["audit", "--root", str(folder), "--color", "never", *words])
        return code, capsys.readouterr()

    return ask


@pytest.fixture
def audited(tiny_folder):
    def make(given, symbols=("vfs_read", "vfs_write"), *, owner=0, target="", files=None, **kwargs):
        kept = {"tool/audit.json": json.dumps(given).encode(), **(files or {})}
        folder = tiny_folder(list(symbols), files=kept, **kwargs)
        make.folder = str(folder)
        return open_kernel(str(folder)).audit("auto", owner, target)

    return make
