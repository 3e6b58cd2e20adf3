"""The collector for hosts without Python: what it takes gives the same answers as the snapshot of the same files."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
from fnmatch import fnmatch

import pytest

from probe_scout.commands import snapshot
from probe_scout.commands.snapshot import BUILD, HOST, PATHS, PATTERNS, script, write_snapshot
from probe_scout.errors import SourceError
from probe_scout.frontends.cli.run import main
from probe_scout.frontends.session import open_kernel
from probe_scout.sources import open_source
from probe_scout.sources.live import LiveSource
from tests.builders.small_files import note
from tests.builders.tree import write_tree

EVENTS = "sys/kernel/tracing/events"
FILES = {
    "proc/config.gz": gzip.compress(b"CONFIG_X86_64=y\nCONFIG_KPROBES=y\n", mtime=0),
    "proc/cpuinfo": b"processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: EPYC\nserial\t: 1\n"
    b"flags\t\t: fpu cx8\n\nprocessor\t: 1\nvendor_id\t: other\n",
    "proc/kallsyms": b"ffffffff92000000 T _stext\nffffffff92000010 T __x64_sys_bpf\nffffffff92000100 T vfs_read\n",
    "proc/modules": b"xfs 4096 0 - Live 0xffffffffc1201000\n",
    "proc/cmdline": b"secret\n",
    "proc/sys/kernel/hostname": b"secret\n",
    "proc/sys/kernel/osrelease": b"6.12.0-test\n",
    "proc/version": b"Linux version 6.12.0-test (builder@example)\n",
    "sys/kernel/btf/vmlinux": bytes(range(256)) * 40,
    "sys/kernel/btf/xfs": b"\x9f\xeb",
    "sys/kernel/notes": note(b"GNU", 3, bytes(range(20))),
    "sys/kernel/tracing/README": b"tracing mini-HOWTO:\n",
    "sys/kernel/tracing/available_events": b"sched:sched_switch\n",
    f"{EVENTS}/enable": b"0\n",
    f"{EVENTS}/sched/sched_switch/format": b"name: sched_switch\nformat:\n",
    f"{EVENTS}/sched/sched_switch/id": b"316\n",
    f"{EVENTS}/sched/sched_switch/filter": b"none\n",
    "sys/kernel/debug/kprobes/list": b"",
    "sys/kernel/security/lsm": b"capability,bpf",
    "sys/module/xfs/notes/.note.gnu.build-id": note(b"GNU", 3, b"\1" * 20),
    "usr/lib/modules/6.12.0-test/modules.dep": b"kernel/fs/xfs/xfs.ko:\n",
    "lib/modules/6.12.0-test/modules.builtin": b"kernel/a.ko\n",
}
SHELLS = {"sh": ["sh"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
NOBODY = 65534


@pytest.fixture
def shell(request):
    """The machine's sh; with `every_shell` each of SHELLS."""
    words = SHELLS[getattr(request, "param", "sh")]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return words


every_shell = pytest.mark.parametrize("shell", SHELLS, indirect=True)


def collect(shell, root, out, *words, env=(), user=None):
    """Runs the script as ssh does, by standard input."""
    more = {**os.environ, "COLLECT_ROOT": str(root), **dict(env)}
    with open(out, "wb") as handle:
        done = subprocess.run(
            [*shell, "-s", *words],
            input=script(),
            stdout=handle,
            stderr=subprocess.PIPE,
            env=more,
            user=user,
            timeout=60,
            check=False,
        )
    return done.returncode, done.stderr.decode()


def asked():
    """Every path that a source may be asked for; of a pattern those of FILES and some that are nowhere."""
    yield from PATHS
    for pattern in PATTERNS:
        yield from (path for path in FILES if fnmatch(path, pattern))
        yield pattern.replace("*", "nowhere")
    yield from ("boot/config", "lib/modules/6.12.0-test/modules.dep", "lib/modules/6.12.0-test/modules.builtin")


def told(root):
    source = open_source(str(root))
    found = {}
    for path in asked():
        try:
            found[path] = source.read(path)
        except SourceError as error:
            found[path] = error.kind
    return found


def names_of(out):
    """Every member of an archive."""
    with tarfile.open(out) as archive:
        return {name.removeprefix("./") for name in archive.getnames()}


def both(shell, root, tmp_path, user=None):
    """What the tool's snapshot says and what the collected one says."""
    ours = tmp_path / "ours.tar"
    write_snapshot(LiveSource(str(root)), str(ours), keep_addresses=True, tool_version="1", now=1)
    theirs = tmp_path / "theirs.tar.xz"
    assert collect(shell, root, theirs, user=user) == (0, "")
    return told(ours), told(theirs)


def test_it_is_small_enough_to_read():
    assert len(script()) <= 4096


@every_shell
def test_every_path_is_told_alike(shell, tmp_path):
    ours, theirs = both(shell, write_tree(tmp_path / "root", FILES), tmp_path)
    assert theirs == ours
    assert ours["boot/config"] == b"CONFIG_X86_64=y\nCONFIG_KPROBES=y\n"
    assert ours["sys/kernel/debug/kprobes/blacklist"] == "not_there"


def test_nothing_else_is_taken(shell, tmp_path):
    out = tmp_path / "c.tar.xz"
    root = write_tree(tmp_path / "root", FILES)
    collect(shell, root, out)
    raw = b"".join(value for value in told(out).values() if isinstance(value, bytes))
    assert b"secret" not in raw
    assert b"serial" not in raw
    assert not [path for path in ("proc/cmdline", "proc/sys/kernel/hostname") if path in names_of(out)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@every_shell
def test_denied_is_told_from_missing(shell, tmp_path):
    root = write_tree(tmp_path / "root", FILES)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != folder.parent and not folder.stat().st_mode & 1:
            folder.chmod(0o711)
    (root / "proc/kallsyms").chmod(0)
    (root / "sys/kernel/debug").chmod(0o700)
    (root / EVENTS).chmod(0o700)
    (root / "sys/kernel/btf/xfs").chmod(0)
    theirs_at = tmp_path / "theirs.tar.xz"
    assert collect(shell, root, theirs_at, user=NOBODY) == (0, "")
    theirs = told(theirs_at)
    for path in ("proc/kallsyms", "sys/kernel/debug/kprobes/list", "sys/kernel/debug/kprobes/blacklist"):
        assert theirs[path] == "denied", path
    assert theirs[f"{EVENTS}/sched/sched_switch/format"] == "denied"
    assert theirs["sys/kernel/btf/xfs"] == "denied"
    assert theirs["sys/kernel/tracing/kprobe_events"] == "not_there"
    assert theirs["sys/kernel/btf/vmlinux"] == FILES["sys/kernel/btf/vmlinux"]


def test_what_is_not_mounted_is_not_said_to_be_missing(shell, tmp_path):
    files = {
        path: raw for path, raw in FILES.items() if not path.startswith(("sys/kernel/tracing", "sys/kernel/debug"))
    }
    root = write_tree(tmp_path / "root", files)
    (root / "sys/kernel/tracing").mkdir()
    (root / "sys/kernel/debug").mkdir()
    ours, theirs = both(shell, root, tmp_path)
    assert theirs == ours
    assert theirs["sys/kernel/tracing/README"] == "not_recorded"


def test_tracefs_below_debugfs_is_found(shell, tmp_path):
    files = {path.replace("sys/kernel/tracing", "sys/kernel/debug/tracing"): raw for path, raw in FILES.items()}
    ours, theirs = both(shell, write_tree(tmp_path / "root", files), tmp_path)
    assert theirs == ours
    assert theirs[f"{EVENTS}/sched/sched_switch/id"] == b"316\n"


def test_a_folder_with_blanks_and_quotes_in_its_name(shell, tmp_path):
    root = write_tree(tmp_path / "a \"b' $(c)", FILES)
    assert collect(shell, root, tmp_path / "c.tar.xz", env={"TMPDIR": str(root)}.items()) == (0, "")
    assert told(tmp_path / "c.tar.xz")["proc/modules"] == FILES["proc/modules"]
    assert sorted(os.listdir(root)) == ["lib", "proc", "sys", "usr"]  # nothing is left behind


@every_shell
def test_parts_are_those_of_the_tool(shell, tmp_path):
    root = write_tree(tmp_path / "root", FILES)
    collect(shell, root, tmp_path / "whole.tar.xz")
    whole = told(tmp_path / "whole.tar.xz")
    for part in (HOST, BUILD):
        ours, theirs = tmp_path / f"{part}.tar", tmp_path / f"{part}.tar.xz"
        write_snapshot(LiveSource(str(root)), str(ours), keep_addresses=True, tool_version="1", now=1, part=part)
        assert collect(shell, root, theirs, part) == (0, "")
        found = told(theirs)
        assert found == told(ours), part
        assert {path: raw for path, raw in found.items() if raw != "not_recorded"}.items() <= whole.items()
        assert (found == whole) == (part == BUILD)
        assert (found["proc/kallsyms"] == "not_recorded") == (part == HOST)


def test_a_kernel_is_judged_alike(shell, tmp_path, tiny_folder):
    symbols = ["vfs_read", "do_exit notrace", "gone blacklisted", "xfs_read [xfs]"]
    root = tiny_folder(symbols)
    (root / "manifest.json").unlink(missing_ok=True)
    assert collect(shell, root, tmp_path / "c.tar.xz") == (0, "")
    write_snapshot(LiveSource(str(root)), str(tmp_path / "ours.tar"), tool_version="1", now=1)
    ours, theirs = (open_kernel(str(tmp_path / name)).scan("*") for name in ("ours.tar", "c.tar.xz"))
    found = list(ours.rows)
    assert list(theirs.rows) == found
    assert len(found) > 4


def test_it_refuses_what_it_does_not_know(shell, tmp_path):
    code, says = collect(shell, tmp_path, tmp_path / "c", "hots")
    assert (code, says) == (1, "collect.sh: host, build or nothing\n")


def test_the_script_is_written(tmp_path, capsys):
    assert main(["snapshot", "--script", "-o", "-"]) == 0
    assert capsys.readouterr().out.encode() == script()
    out = tmp_path / "collect.sh"
    assert main(["snapshot", "--script", "-o", str(out)]) == 0
    assert out.read_bytes() == script()
    assert main(["snapshot", "--script", "-o", str(out)]) == 2


def test_the_lists_of_paths_are_whole():
    assert len(set(PATHS)) == len(PATHS) == 30
    assert set(snapshot._PATHS_OF[HOST]) | set(snapshot._PATHS_OF[BUILD]) == set(PATHS)
