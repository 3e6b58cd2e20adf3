"""Users without BPF: what the rows of programs explain is no row of its own."""

from __future__ import annotations

import json

import pytest

from probe_scout.sources.source import Description

from .conftest import inputs, link, perf, program

TRACING = "sys/kernel/tracing"
LIST = "sys/kernel/debug/kprobes/list"
EVERY = ("dynamic_events", "enabled_functions", "kprobes_list")
ENABLED = f"{TRACING}/enabled_functions"


def rows(report):
    return [(one.attach, one.target, one.event, one.prog and one.prog.id) for one in report.attachments]


def kprobes(*lines):
    return "".join(f"ffffffff8100{place:04x}  {line}\n" for place, line in enumerate(lines)).encode()


def test_dynamic_events_are_rows(audited):
    events = b"p:mine/read vfs_read\nr8:mine/write vfs_write+0\nf:mine/f vfs_read%return\np:mine/u /bin/x:0x10 a=%ax\n"
    given = inputs(enabled_events={"mine/read": True, "mine/write": False})
    report = audited(given, files={f"{TRACING}/dynamic_events": events})
    assert [(*row[:3], one.offset, one.enabled) for row, one in zip(rows(report), report.attachments, strict=True)] == [
        ("kretprobe_event", "vfs_write", "mine:write", 0, False),
        ("kprobe_event", "vfs_read", "mine:read", 0, True),
        ("fexit_event", "vfs_read", "mine:f", 0, None),
        ("uprobe_event", "/bin/x", "mine:u", 16, None),
    ]


def test_an_event_that_carries_a_program_is_one_row(audited):
    """One line in kprobes/list for both; two lines are two users."""
    given = inputs(programs=[program(1)], perf=[perf(10, 3, 1, "kprobe", "vfs_read")], enabled_events={"m/e": False})
    events = {f"{TRACING}/dynamic_events": b"p:m/e vfs_read\n"}
    one_line = audited(given, files={**events, LIST: kprobes("k  vfs_read+0x0    [FTRACE]")})
    assert rows(one_line) == [("kprobe", "vfs_read", "m:e", 1)]
    assert one_line.attachments[0].seen_by == ("perf", "tracefs")
    two = audited(given, files={**events, LIST: kprobes("k  vfs_read+0x0  ", "k  vfs_read+0x0  [DISABLED]")})
    assert rows(two) == [("kprobe", "vfs_read", None, 1), ("kprobe_event", "vfs_read", "m:e", None)]
    assert rows(audited(given, files=events)) == [("kprobe", "vfs_read", "m:e", 1)]
    given["enabled_events"] = {"m/e": True}
    assert len(rows(audited(given, files=events))) == 2


def test_other_kprobes_are_rows_and_explained_ones_are_not(audited):
    given = inputs(
        programs=[program(1)], perf=[perf(10, 3, 1, "kprobe", "vfs_read"), perf(10, 4, 1, "kretprobe", "vfs_read")]
    )
    listed = kprobes(
        "k  vfs_read+0x0  [FTRACE]", "r  vfs_read+0x0  ", "k  vfs_write+0x10  ", "k  xfs_x+0x0  xfs [DISABLED]"
    )
    report = audited(given, files={LIST: listed})
    assert [(one.attach, one.target, one.offset, one.module, one.enabled) for one in report.attachments[2:]] == [
        ("kprobe", "vfs_write", 0x10, None, True),
        ("kprobe", "xfs_x", 0, "xfs", False),
    ]
    assert report.attachments[2].seen_by == ("kprobes",)


def test_a_row_explains_one_kprobe_and_no_more(audited):
    """Two links on one function are two kprobes; a third is somebody else's."""
    given = inputs(programs=[program(1)], perf=[perf(10, fd, 1, "kprobe", "vfs_read") for fd in (3, 4)])
    line = "k  vfs_read+0x0  [FTRACE]"
    two, three = (audited(given, files={LIST: kprobes(*[line] * count)}) for count in (2, 3))
    assert [one.prog is None for one in two.attachments] == [False, False]
    assert [one.prog is None for one in three.attachments] == [False, False, True]


def test_an_entry_behind_endbr_is_the_entry(audited):
    given = inputs(programs=[program(1)], perf=[perf(10, 3, 1, "kprobe", "vfs_read")])
    files = {LIST: kprobes("k  vfs_read+0x4  [FTRACE]")}
    assert len(audited(given, files=files, config={"CONFIG_X86_KERNEL_IBT": "y"}).attachments) == 1
    assert len(audited(given, files=files).attachments) == 2


def test_a_kprobe_by_an_alias_is_explained_by_its_address(audited):
    """kprobes/list names an address by the first of its symbols."""
    from probe_scout.frontends.session import open_kernel

    given = inputs(programs=[program(1)], perf=[perf(10, 3, 1, "kprobe", "ksys_read")])
    audited(given, ("vfs_read = ksys_read",))
    symbols = open_kernel(audited.folder)._kernel.full().symbols
    address = symbols.addresses[symbols.lookup(b"vfs_read")]
    report = audited(given, ("vfs_read = ksys_read",), files={LIST: f"{address:016x}  k  vfs_read+0x0    \n".encode()})
    assert rows(report) == [("kprobe", "ksys_read", None, 1)]


def test_ftrace_users_beyond_those_that_rows_explain(audited):
    given = inputs(
        programs=[program(1)],
        links=[link(5, "kprobe_multi", 1, addresses=[1], cookies=[0], missed=0, is_return=False)],
        symbols={"1": ["vfs_read", None, 0]},
        livepatches=[[None, "vfs_open", "my_patch"]],
    )
    text = (
        b"vfs_read (1)             \ttramp: 0xffffffffc0 (0x0) ->fprobe_handler+0x0/0x10\n"
        b"vfs_write (2) R    D   \tops: x ->function_trace_call+0x0/0x10\n\tdirect-->bpf_trampoline_123+0x0/0x20\n"
        b"vfs_open (1) R I     \tops: y\n"
        b"vfs_stat (1)       D   \n\tdirect-->my_module_hook+0x0/0x20\n"
    )
    symbols = ("vfs_read", "vfs_write", "vfs_open", "vfs_stat")
    report = audited(given, symbols, files={ENABLED: text})
    others = [(one.attach, one.target, one.event) for one in report.attachments[1:]]
    assert sorted(others) == [
        ("ftrace", "vfs_write", "function_trace_call"),
        ("ftrace.direct", "vfs_stat", "my_module_hook+0x0/0x20"),
        ("livepatch", "vfs_open", "my_patch"),
    ]
    alone = text.replace(b"vfs_write (2)", b"vfs_write (1)")
    assert "vfs_write" not in {one.target for one in audited(given, symbols, files={ENABLED: alone}).attachments}


def test_thousands_of_functions_with_one_user_are_one_row(audited):
    text = "".join(f"f{n} (1)    \ttramp: 0xff (f) ->function_trace_call+0x0/0x10\n" for n in range(500)).encode()
    (one,) = audited(inputs(), files={ENABLED: text}).attachments
    assert (one.attach, one.target, one.event) == ("ftrace", "500 functions", "function_trace_call")


def test_files_that_make_no_sense_are_told(audited):
    report = audited(inputs(), files={LIST: b"what is this\n", ENABLED: b"half a line"})
    assert {one.fact: one.kind for one in report.unread} == {
        "kprobes_list": "malformed",
        "enabled_functions": "malformed",
        **{one.fact: one.kind for one in report.unread if one.fact == "dynamic_events"},
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, {*EVERY}),  # nothing tells
        ("CONFIG_KPROBES=y\nCONFIG_DYNAMIC_FTRACE=y\nCONFIG_UPROBE_EVENTS=y\n", {*EVERY}),
        ("# CONFIG_KPROBES is not set\nCONFIG_DYNAMIC_FTRACE=y\nCONFIG_UPROBE_EVENTS=y\n", {*EVERY} - {"kprobes_list"}),
        ("CONFIG_KPROBES=y\nCONFIG_KPROBE_EVENTS=y\n", {*EVERY} - {"enabled_functions"}),
        ("CONFIG_KPROBES=y\nCONFIG_DYNAMIC_FTRACE=y\n", {*EVERY} - {"dynamic_events"}),
        ("CONFIG_FTRACE=n\n", set()),
    ],
)
def test_a_file_that_the_kernel_was_built_without_is_not_unread(tiny_kernel, config, expected):
    """Files that may not be read, as on a machine where tracefs and debugfs are not mounted."""
    files = {"tool/audit.json": json.dumps(inputs()).encode(), **({"boot/config": config.encode()} if config else {})}
    paths = (LIST, ENABLED, *(f"{TRACING}/{name}" for name in ("dynamic_events", "kprobe_events", "uprobe_events")))
    denied = paths if config else (*paths, "boot/config")
    report = tiny_kernel(["vfs_read"], files=files, denied=denied).audit()
    assert {one.fact for one in report.unread} == expected


@pytest.mark.parametrize(("symbols", "expected"), [((), []), (("register_kprobe",), ["kprobes_list"])])
def test_without_a_configuration_the_running_kernels_functions_tell(tiny_kernel, monkeypatch, symbols, expected):
    from probe_scout.commands.audit import others

    k = tiny_kernel(["vfs_read", *symbols], denied=(LIST, "boot/config"))._kernel
    told = []
    others._read(k, LIST, "kprobes_list", told)
    assert [one.fact for one in told] == ["kprobes_list"]  # a snapshot may hold a part of the symbols
    monkeypatch.setattr(type(k.source), "describe", lambda self: Description("live", "/"), raising=False)
    told = []
    others._read(k, LIST, "kprobes_list", told)
    assert [one.fact for one in told] == expected


def test_missed_calls_of_an_event_by_its_profile(audited):
    files = {
        f"{TRACING}/dynamic_events": b"p:a/one vfs_read\np:a/two vfs_write\np:b/two vfs_write\n",
        f"{TRACING}/kprobe_profile": b"  one     100     7\n  two   5   1\n  two  6  2\n",
    }
    report = audited(inputs(), files=files)
    assert {one.event: one.missed for one in report.attachments} == {"a:one": 7, "a:two": None, "b:two": None}
