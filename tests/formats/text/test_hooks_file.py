"""probe-scout.toml and plain lists: what they mean, and one sentence for each thing that is wrong."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import UsageError
from probe_scout.formats.text.hooks_file import BYTES_MAX, read_list, read_toml
from probe_scout.model.hooks import Hook

WHOLE = b"""
kernels = ["a.tar.xz", "live"]
[[hook]]
name = "exec"
source = "bpf/exec.bpf.c:12"
ladder = ["fentry/do_execve", "kprobe/bprm_execve"]
need = "may"
coverage = "complete"
[[hook]]
ladder = "tp:sched:sched_switch"
"""


def test_a_whole_file():
    found = read_toml(WHOLE, "f.toml")
    assert found.kernels == ("a.tar.xz", "live")
    assert found.path == "f.toml"
    assert found.hooks == (
        Hook("exec", ("fentry/do_execve", "kprobe/bprm_execve"), "bpf/exec.bpf.c:12", "may", "complete"),
        Hook("tp:sched:sched_switch", ("tp:sched:sched_switch",), "", "must", "any"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "f: it holds no hook"),
        ("[[hook", "f: not TOML:"),
        ("hook = 1", "hook is not a list of tables"),
        ("hook = [1]", "hook is not a list of tables"),
        ("kernels = 'a'", "f: kernels is not a list of paths"),
        ("hooks = []", "'hooks' is not a key here: did you mean hook"),
        ("[[hook]]\nname='a'", "f: hook 'a' has no ladder"),
        ("[[hook]]\nladder=[]", "f: hook 1: its ladder is empty"),
        ("[[hook]]\nladder=[1]", "ladder is not a list of attach points"),
        ("[[hook]]\nladder=['tcp_*']", "'tcp_*' is a pattern"),
        ("[[hook]]\nladder=['a b']", "'a b' is not a name"),
        ("[[hook]]\nladder=['uprobe//bin/x:y']", "f: hook 1: "),
        ("[[hook]]\nladder=['x']\ncoverge='complete'", "'coverge' is not a key here: did you mean coverage"),
        ("[[hook]]\nladder=['x']\ncoverage='all'", "coverage = 'all' is not any, partial, complete"),
        ("[[hook]]\nladder=['x']\nneed=1", "need = '1' is not must or may"),
        ("[[hook]]\nladder=['x']\nname=\"\\u0007\"", "name = "),
        ("[[hook]]\nladder=['x']\nname='" + "n" * 10_000 + "'", "is not 1 to 200 characters"),
        ("[[hook]]\nladder=['x']\n[[hook]]\nladder=['x']", "two hooks have the name 'x'"),
        ("[[hook]]\nladder=" + repr([f"f{n}" for n in range(65)]), "65 attach points, more than 64"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text, says):
    with pytest.raises(UsageError) as caught:
        read_toml(text.encode(), "f")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("read", [read_toml, read_list])
@pytest.mark.parametrize(
    ("raw", "says"),
    [(b"\xff\xfe", "f: not UTF-8 at byte 0"), (b"a\0", "NUL bytes"), (b"#" * (BYTES_MAX + 1), "larger")],
)
def test_what_is_no_text(read, raw, says):
    with pytest.raises(UsageError, match=says):
        read(raw, "f")


def test_toml_nested_without_end_is_refused():
    with pytest.raises(UsageError):
        read_toml(b"a = " + b"[" * 100_000, "f")


def test_a_plain_list():
    found = read_list(b"# head\nvfs_read\n\nfentry/a kprobe/a  # two\nvfs_read\r\ntp:sched:sched_switch\n", "-")
    assert [hook.ladder for hook in found.hooks] == [
        ("vfs_read",),
        ("fentry/a", "kprobe/a"),
        ("tp:sched:sched_switch",),
    ]


def test_ladders_of_one_beginning_have_names_of_their_own():
    names = [hook.name for hook in read_list(b"a\na b\n", "-").hooks]
    assert names == ["a", "a b"]


@pytest.mark.parametrize(
    ("raw", "says"), [(b"# nothing\n", "the list holds no hook"), (b"ok\ntcp_*\n", "f, line 2: 'tcp_.' is a pattern")]
)
def test_what_is_wrong_in_a_list(raw, says):
    with pytest.raises(UsageError, match=says):
        read_list(raw, "f")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    for read in (read_toml, read_list):
        with contextlib.suppress(UsageError):
            assert read(raw, "f").hooks
