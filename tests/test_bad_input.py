"""Damaged kernel files through the whole command: one sentence and exit 4, or a sane answer; never a traceback."""

from __future__ import annotations

import lzma
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.frontends.cli import run
from tests.builders.damage import EXAMPLES, damaged
from tests.builders.tiny_kernel import BLACKLIST, BTF, FILTER, FILTER_ADDRS, INJECTION, LOCKDOWN, TRACING, tiny_files
from tests.builders.tree import tar_of, write_tree

SYMBOLS = ["vfs_read", "foo", "foo", "bar [xfs] injectable", "baz = qux notrace blacklisted", "foo.cold notrace"]
FORMAT = f"{TRACING}/events/sched/sched_switch/format"
EVENTS = f"{TRACING}/available_events"
GOOD = tiny_files(SYMBOLS, code={"foo.cold": ("55", ())}, iterators=("task",))
FILES = [
    *("proc/kallsyms", BTF, "sys/kernel/btf/xfs", FILTER_ADDRS, FILTER, BLACKLIST, INJECTION, "boot/config"),
    *(LOCKDOWN, EVENTS, FORMAT, "code/slices", "sys/kernel/notes", "proc/modules"),
]
COMMANDS = [
    ("check", "vfs_read", "foo", "foo.cold", "xfs:bar", "nowhere", "tp:sched:sched_switch", "bpf_iter_task"),
    ("check", "syscall:bpf", "vfs_read+0x8", "--json"),
    ("scan", "*", "--format", "ndjson"),
    ("scan", "*o*", "--format", "csv"),
    ("tracepoint", "sched:sched_switch"),
    ("tracepoint", "*", "--json"),
    ("doctor",),
]
SECONDS_MAX = 20


def asked(capsys, root, *words):
    """Exit code, output and error output; what every answer has in common is checked here."""
    began = time.monotonic()
    code = run.main([*words, "--root", str(root)])
    out, err = capsys.readouterr()
    assert time.monotonic() - began < SECONDS_MAX
    assert code in (0, 1, 3, 4), (code, err)
    assert "Traceback" not in err
    assert "defect" not in err, err
    if code == 4:
        lines = err.splitlines()
        assert lines, "exit 4 without a sentence"
        assert all(line.startswith("probe-scout: ") and len(line) < 500 for line in lines), err
    return code, out, err


def test_the_undamaged_kernel_is_answered(tmp_path, capsys):
    write_tree(tmp_path, GOOD)
    assert [asked(capsys, tmp_path, *words)[0] for words in COMMANDS] == [1, 1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("how", ["empty", "half", "one byte less", "garbage", "zeros", "huge line"])
def test_a_damaged_file(path, how, tmp_path, capsys):
    raw = GOOD[path]
    changed = {
        "empty": b"",
        "half": raw[: len(raw) // 2],
        "one byte less": raw[:-1],
        "garbage": bytes(range(256)) * 8,
        "zeros": bytes(4096),
        "huge line": b"f" * 2_000_000 + b"\n",
    }[how]
    write_tree(tmp_path, {**GOOD, path: changed})
    for words in COMMANDS:
        asked(capsys, tmp_path, *words)


@pytest.mark.parametrize("path", ["proc/kallsyms", BTF, FILTER_ADDRS, BLACKLIST])
def test_a_file_of_garbage_that_decides_ends_with_4(path, tmp_path, capsys):
    write_tree(tmp_path, {**GOOD, path: b"\x00\xff no kernel writes this\n" * 3})
    code, out, err = asked(capsys, tmp_path, "check", "vfs_read")
    assert (code, out) == (4, "")
    assert path.rpartition("/")[2] in err


@pytest.mark.parametrize("cut", [0, 1, 100, 511, 1200, -1, -700])
@pytest.mark.parametrize("packing", ["tar", "xz"])
def test_an_archive_that_is_cut_off(cut, packing, tmp_path, capsys):
    whole = tar_of(GOOD)
    raw = lzma.compress(whole) if packing == "xz" else whole
    path = tmp_path / ("kernel.tar.xz" if packing == "xz" else "kernel.tar")
    path.write_bytes(raw[:cut])
    for words in COMMANDS:
        asked(capsys, path, *words)
    if packing == "xz" or 0 <= cut <= 1200:
        assert asked(capsys, path, "check", "vfs_read")[0] == 4


@pytest.mark.parametrize("raw", [b"not an archive\n", b"\x1f\x8b", b"\xfd7zXZ\x00", b"PK\x03\x04", bytes(1024)])
def test_a_file_that_is_no_archive(raw, tmp_path, capsys):
    path = tmp_path / "kernel"
    path.write_bytes(raw)
    for words in COMMANDS:
        code, _, err = asked(capsys, path, *words)
        assert code == 4, (words, err)


def test_a_root_that_is_not_there(tmp_path, capsys):
    for words in COMMANDS:
        assert asked(capsys, tmp_path / "nowhere", *words)[0] in (3, 4)


def test_devices_and_pipes_in_place_of_files(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("probe_scout.frontends.cli.audit._OLD_BYTES_MAX", 1 << 20)
    monkeypatch.setattr("probe_scout.commands.audit.allow._BYTES_MAX", 1 << 20)
    write_tree(tmp_path / "kernel", GOOD)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # without a writer: a plain open waits
    for words, says in (
        (("check", "vfs_read", "--vmlinux", "/dev/zero"), "--vmlinux /dev/zero: not a regular file"),
        (("check", "vfs_read", "--debug", str(pipe)), f"{pipe}: not a regular file"),
        (("inline", "vfs_read", "--debug", "/dev/zero"), "/dev/zero: not a regular file"),
        (("audit", "--diff", "/dev/zero"), "--diff /dev/zero: larger than 1 MiB"),
        (("audit", "--allow", "/dev/zero"), "--allow /dev/zero: larger than 1 MiB"),
    ):
        code = run.main([*words, "--root", str(tmp_path / "kernel")])
        err = capsys.readouterr().err
        assert (code, says in err, "Traceback" in err) == (2, True, False), (words, err)
    os.mkfifo(tmp_path / "kernel" / "pipe")
    assert run.main(["check", "/pipe:main", "--type", "uprobe", "--root", str(tmp_path / "kernel")]) == 1
    assert "/pipe: not a regular file" in capsys.readouterr().out


@pytest.mark.property
@EXAMPLES
@given(st.data())
def test_any_damage_gives_a_sentence_or_an_answer(tmp_path_factory, data):
    path = data.draw(st.sampled_from(FILES))
    raw = data.draw(damaged(GOOD[path]))
    words = data.draw(st.sampled_from(COMMANDS))
    root = tmp_path_factory.getbasetemp() / "damaged"
    write_tree(root, {**GOOD, path: raw})
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run.main([*words, "--root", str(root)])
    assert code in (0, 1, 3, 4), err.getvalue()
    assert "defect" not in err.getvalue(), err.getvalue()
    assert "Traceback" not in err.getvalue()
    if code == 4:
        assert err.getvalue().startswith("probe-scout: ")


def test_a_kallsyms_that_was_cut_off_between_two_lines_is_no_source_of_a_no(tmp_path, capsys):
    whole = GOOD["proc/kallsyms"]
    for number, cut in enumerate((whole[: whole.index(b" _sinittext") - 18], whole.splitlines(True)[2])):
        assert cut.endswith(b"\n") or not number
        kept = cut[: cut.rindex(b"\n") + 1]
        write_tree(tmp_path / str(number), {**GOOD, "proc/kallsyms": kept})
        code, _, err = asked(capsys, tmp_path / str(number), "check", "nowhere")
        assert (code, "it has no _sinittext" in err) == (4, True)
