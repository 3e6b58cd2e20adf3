"""The fast road and typer read the same line alike."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_scout.errors import UsageError
from probe_scout.frontends.cli import app
from probe_scout.frontends.cli.request import COLORS, FORMATS, read_fast
from probe_scout.model.attach import NAMES

EXAMPLES = int(os.environ.get("PROBE_SCOUT_EXAMPLES", "50"))

names = st.sampled_from(
    ["vfs_read", "xfs:xfs_file_open", "vfs_read+0x10", "tp:sched:sched_switch", "-", "", "=", "a b"]
)
values = st.one_of(
    names, st.sampled_from([*FORMATS, *COLORS, *NAMES[:6], "kprobe,fentry", ",", "x.tar.xz"]), st.text(max_size=5)
)
options = st.sampled_from(
    [
        "--root",
        "--type",
        "--format",
        "--color",
        "--vmlinux",
        "--debug",
        "--json",
        "--as-me",
        "--",
        "-h",
        "--help",
        "--jso",
        "-o",
        "--answer",
    ]
)
joined = st.builds(lambda option, value: f"{option}={value}", options, values)
good = st.one_of(
    st.tuples(st.sampled_from(["--root", "--vmlinux", "--debug"]), st.sampled_from(["x.tar.xz", "folder"])),
    st.tuples(st.just("--type"), st.sampled_from(["kprobe", "fentry,fexit", "tp_btf"])),
    st.tuples(st.just("--color"), st.sampled_from(COLORS)),
    st.sampled_from([("--json",), ("--as-me",), ("--format=csv",), ("--format", "md"), ("f",), ("g+4",)]),
)
free = st.lists(st.one_of(names, values, options, joined), max_size=7)
usual = st.lists(good, max_size=5).map(lambda parts: [word for part in parts for word in part])
lines = st.one_of(free, usual).map(lambda words: ["check", *words])
inline_options = st.sampled_from(["--root", "--debug", "--format", "--json", "--all", "--class", "--as-me", "--", "-h"])
inline_good = st.sampled_from(
    [("--json",), ("--debug", "v"), ("--format=csv",), ("f",), ("--root=x",), ("--all",), ("--class", "full,no")]
)
inline_lines = st.one_of(
    st.lists(st.one_of(names, values, inline_options), max_size=6),
    st.lists(inline_good, max_size=5).map(lambda parts: [word for part in parts for word in part]),
).map(lambda words: ["inline", *words])


tracepoint_options = st.sampled_from(
    ["--root", "--format", "--color", "--reads", "--json", "--fields", "--", "-h", "--read", "--type", "-o"]
)
loads = st.sampled_from(["8:4", "0x10:8", "8", "8:3", "a:4", "0x:1", "8:", ":8", "4294967296:1", "\u0663:4"])
tracepoint_good = st.one_of(
    st.tuples(st.just("--root"), st.sampled_from(["x.tar.xz", "folder"])),
    st.tuples(st.just("--reads"), loads),
    loads.map(lambda load: (f"--reads={load}",)),
    st.sampled_from([("--json",), ("--fields",), ("--format=csv",), ("sched:*",)]),
)
tracepoint_lines = st.one_of(
    st.lists(st.one_of(names, values, loads, tracepoint_options), max_size=6),
    st.lists(tracepoint_good, max_size=5).map(lambda parts: [word for part in parts for word in part]),
).map(lambda words: ["tracepoint", *words])


scan_good = st.one_of(
    st.tuples(st.just("--answer"), st.sampled_from(["yes", "no", "unknown", "maybe"])),
    st.tuples(st.just("--type"), st.sampled_from(["kprobe", "fentry,fexit", "tp_bft"])),
    st.sampled_from([("--json",), ("--format=csv",), ("tcp_*",), ("--root=x",), ("--color", "never")]),
)
scan_lines = st.one_of(
    st.lists(st.one_of(names, values, options), max_size=6),
    st.lists(scan_good, max_size=5).map(lambda parts: [word for part in parts for word in part]),
).map(lambda words: ["scan", *words])
stub_good = st.one_of(
    st.tuples(st.just("--lang"), st.sampled_from(["c", "rust", "perl"])),
    st.tuples(st.just("--attach"), st.sampled_from(["tp", "fexit", "lsm"])),
    st.tuples(st.sampled_from(["--out", "-o"]), st.sampled_from(["a.h", "-"])),
    st.sampled_from([("--json",), ("--core",), ("--program",), ("sched:*",), ("vfs_read",), ("--root=x",)]),
)
stub_lines = st.one_of(
    st.lists(st.one_of(names, values, options), max_size=6),
    st.lists(stub_good, max_size=5).map(lambda parts: [word for part in parts for word in part]),
).map(lambda words: ["stub", *words])
audit_options = st.sampled_from(
    [
        "--root",
        "--format",
        "--owner",
        "--target",
        "--net",
        "--no-net",
        "--diff",
        "--fail-on",
        "--watch",
        "--allow",
        "--accept-unread",
        "--quiet",
        "--",
        "-h",
        "--own",
    ]
)
audit_good = st.one_of(
    st.tuples(st.just("--owner"), st.sampled_from(["1", "0", "x", "4194304", "4194305", "\u0663"])),
    st.tuples(st.just("--fail-on"), st.sampled_from(["note", "warning", "broken", "bad"])),
    st.sampled_from([("--json",), ("--net",), ("--no-net",), ("--format=csv",), ("--watch", "5"), ("--target=*",)]),
    st.sampled_from([("--quiet",), ("--allow", "a"), ("--accept-unread=pins,maps",), ("--accept-unread", "pins")]),
)
audit_lines = st.one_of(
    st.lists(st.one_of(names, values, audit_options), max_size=6),
    st.lists(audit_good, max_size=5).map(lambda parts: [word for part in parts for word in part]),
).map(lambda words: ["audit", *words])


def read_both(line):
    """What both roads make of a line: a Request, or the sentence of the usage error."""
    results = []
    for read in (read_fast, app.read):
        try:
            results.append(read(line))
        except UsageError as error:
            results.append(str(error))
    return results


fleet_good = st.one_of(
    st.tuples(st.just("--jobs"), st.sampled_from(["1", "0", "257", "x"])),
    st.tuples(st.just("--type"), st.sampled_from(["kprobe", "fentry,fexit", "tp_bft"])),
    st.sampled_from([("--json",), ("--store=f",), ("ask",), ("a",), ("--answer", "no"), ("--format=csv",)]),
)
fleet_lines = st.one_of(
    st.lists(st.one_of(names, values, options), max_size=6),
    st.lists(fleet_good, max_size=5).map(lambda parts: [word for part in parts for word in part]),
).map(lambda words: ["fleet", *words])


calls_good = st.one_of(
    st.tuples(st.just("--caps"), st.sampled_from(["CAP_BPF", "CAP_BPF,CAP_PERFMON", "none", "x"])),
    st.tuples(st.just("--type"), st.sampled_from(["xdp", "fentry,fexit", "tp_bft"])),
    st.sampled_from(
        [("--json",), ("--unprivileged",), ("--vmlinux=v",), ("vfs_read",), ("--for", "a,b"), ("--root=x",)]
    ),
)
calls_lines = st.builds(
    lambda command, words: [command, *words],
    st.sampled_from(["features", "kfunc", "context", "doctor"]),
    st.one_of(
        st.lists(st.one_of(names, values, options), max_size=6),
        st.lists(calls_good, max_size=5).map(lambda parts: [word for part in parts for word in part]),
    ),
)


leading = st.sampled_from(
    [("--root", "x"), ("--root=y",), ("--json",), ("--format", "csv"), ("--color",), ("--as-me",)]
)


def in_front(line):
    """The line, or the line with options before the command."""
    before = st.lists(leading, max_size=3).map(lambda parts: [word for part in parts for word in part])
    return st.one_of(st.just(line), before.map(lambda words: [*words, *line]))


@pytest.mark.property
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.one_of(
        *(lines, tracepoint_lines, inline_lines, audit_lines, scan_lines, stub_lines, fleet_lines, calls_lines)
    ).flatmap(in_front)
)
def test_a_line_that_the_fast_road_accepts_is_the_same_request_for_typer(line):
    try:
        if read_fast(line) is None:
            return
    except UsageError:
        pass
    fast, typers = read_both(line)
    assert fast == typers


@pytest.mark.parametrize(
    "line",
    [
        ["check", "vfs_read"],
        ["check", "--type", "fentry,fexit", "--type=kprobe", "a", "b", "--json"],
        ["check", "--root", "x.tar.xz", "--as-me", "a", "--vmlinux=v", "--color", "never", "--format=csv"],
        ["check", "a", "--root", "x", "--root", "y"],
        ["check", "a", "--debug", "vmlinux"],
        ["inline", "do_execve"],
        ["--root", "x", "check", "a"],
        ["--root=x", "--json", "--color", "never", "scan", "tcp_*", "--type", "kprobe"],
        ["inline", "xfs:f", "--debug=v", "--root", "x", "--json", "--color", "never"],
        ["audit"],
        ["audit", "--json", "--no-net", "--owner=5", "--target", "vfs_*", "--root", "x", "--fail-on", "broken"],
        ["audit", "--diff", "old.json", "--format=ndjson", "--net", "--color", "never"],
        ["scan"],
        ["scan", "tcp_*", "--type", "kprobe", "--type=fentry,fexit", "--answer=no", "--format", "ndjson", "--root=x"],
        ["stub", "sched:*", "vfs_read", "--lang=rust", "--attach", "tp", "--out", "a.h"],
        ["stub", "a:b", "--core", "--program", "--json", "--root", "x"],
        ["tracepoint"],
        ["tracepoint", "sched:*", "--fields", "--root=x", "--format", "ndjson"],
        ["tracepoint", "a:b", "--reads", "8:4", "--reads=0x10:8", "--json", "--color", "never"],
        ["features", "--root=x", "--vmlinux", "v", "--json", "--unprivileged"],
        ["kfunc"],
        ["kfunc", "bpf_*", "--type", "fentry,xdp", "--type=kprobe", "--caps", "CAP_BPF", "--modules=all"],
        ["context", "vfs_read", "--type", "fentry", "--root=x", "--format", "ndjson"],
        ["doctor", "--for", "tcp_connect,fentry/vfs_read", "--root", "x", "--modules=all", "--json"],
        ["fleet", "list"],
        ["fleet", "ask", "tcp_*", "--type", "fentry,kprobe", "--answer=no", "--store", "f", "--json"],
        ["fleet", "add", "a", "b", "--jobs=2", "--format", "csv", "--color", "never"],
    ],
)
def test_everyday_lines_take_the_fast_road(line):
    fast, typers = read_both(line)
    assert fast is not None
    assert fast == typers


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["check"],
        ["check", "--help"],
        ["check", "a", "-h"],
        ["check", "a", "--"],
        ["check", "a", "--root"],
        ["check", "a", "--root", "--json"],
        ["check", "a", "--root="],
        ["check", "a", "--json=1"],
        ["check", "a", "--jso"],
        ["check", ""],
        ["inline"],
        ["inline", "a", "b"],
        ["inline", "--all"],
        ["inline", "a", "--vmlinux", "v"],
        ["inline", "a", "--as-me"],
        ["scan", "a", "--answer"],
        ["scan", "a", "--as-me"],
        ["stub"],
        ["stub", "a:b", "-o", "a.h"],
        ["features", "a"],
        ["kfunc", "a", "b"],
        ["context"],
        ["context", "a", "b"],
        ["doctor", "a"],
        ["doctor", "--for"],
        ["audit", "a"],
        ["survey"],
        ["tracepoint", "a", "b"],
        ["tracepoint", "a", "--reads"],
        ["tracepoint", "a", "--help"],
        ["tracepoint", "a", "--type", "tp"],
        ["--version"],
        ["--root"],
        ["--root", "x"],
        ["--as-me", "check", "a"],
    ],
)
def test_the_fast_road_declines_what_it_does_not_wholly_understand(line):
    assert read_fast(line) is None


@pytest.mark.parametrize("before", [["--root", "x"], ["--root=x"], ["--json", "--root", "x"]])
@pytest.mark.parametrize("line", [["check", "a"], ["doctor"], ["snapshot", "-o", "f"]])
def test_options_before_the_command_mean_what_they_mean_behind_it(before, line):
    assert app.read([*before, *line]) == app.read([*line, *before])
