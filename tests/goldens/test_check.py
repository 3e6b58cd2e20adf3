"""What `check` prints for names that people ask for, on the bundled kernel: text and JSON, word for word.

`pytest tests/goldens --rewrite-goldens` writes fixtures/goldens anew. Read the difference before keeping it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from probe_scout.frontends.cli import run
from probe_scout.frontends.session import OpenKernel
from probe_scout.kernel.kernel import Kernel

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "goldens"
TARGETS = {
    "do_execve": "inlined everywhere",
    "do_trap": "in the kprobe blacklist, traced all the same",
    "s_next": "four copies, the first is traced",
    "t_next": "six copies, the first is not traced",
    "blk_account_io_start": "there, without an ftrace record",
    "finish_task_switch": "renamed to .isra.0, in BTF under its old name",
    "do_execveat_common": "renamed to .isra.0, not in BTF",
    "do_execveat_common.isra.0": "the new name",
    "__pfx_vfs_read": "padding",
    "start_kernel": "init code",
    "do_exit": "never returns",
    "migrate_disable": "in btf_id_deny",
    "__rcu_read_lock": "in btf_id_deny",
    "security_file_open": "its return value may be replaced",
    "bpf_lsm_file_open": "a security hook",
    "vfs_read": "ordinary",
    "printk": "a macro since 5.15",
    "__x64_sys_getpid": "an alias, a system call",
    "vfs_raed": "a typing mistake",
    "xfs:xfs_file_open": "a module's",
    "syscall:execve": "a system call by its name",
    "tp:sched:sched_switch": "a tracepoint",
    "vfs_read+0x10": "inside a function",
}


@pytest.fixture(scope="module")
def kernel(recorded):
    opened = OpenKernel()
    opened._opened = Kernel(recorded)
    return opened


def printed(kernel, capsys, monkeypatch, *args):
    """Standard output of one command line; nothing may go to standard error."""
    monkeypatch.setattr(run, "open_kernel", lambda root, vmlinux=None: kernel)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    code = run.main(args)
    out, err = capsys.readouterr()
    assert err == ""
    assert code in (0, 1, 3)
    return out


@pytest.mark.parametrize("target", TARGETS)
def test_text(target, kernel, capsys, monkeypatch, request):
    line = ("check", target, "--all-types", "--color", "never")
    compare(request, f"{file_name(target)}.txt", printed(kernel, capsys, monkeypatch, *line))


@pytest.mark.parametrize("target", TARGETS)
def test_json(target, kernel, capsys, monkeypatch, request):
    out = printed(kernel, capsys, monkeypatch, "check", target, "--json")
    document = json.loads(out)
    assert document["schema"] == "probe-scout/check/1"
    compare(request, f"{file_name(target)}.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def test_no_golden_is_left_over():
    expected = {f"{file_name(target)}.{kind}" for target in TARGETS for kind in ("txt", "json")}
    assert {path.name for path in FOLDER.iterdir()} == expected


def file_name(target):
    return target.replace(":", "_").replace("+", "_plus_")


def compare(request, name, text):
    path = FOLDER / name
    if request.config.getoption("--rewrite-goldens"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{name} differs: look at it, then --rewrite-goldens"
