"""From which libbpf on a section name is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe_scout.rules import section_names


@pytest.mark.parametrize(
    ("section", "since"),
    [
        ("uprobe.multi/x", (1, 3)),
        ("uretprobe.multi/x", (1, 3)),
        ("kprobe.session/x", (1, 5)),
        ("uprobe.session/x", (1, 6)),
        ("tp.s/a/b", (1, 8)),
        ("cgroup/connect_unix", (1, 3)),
        ("usdt.s/x", (1, 3)),
        ("sk_skb/verdict", (1, 4)),
        ("struct_ops.s/x", (1, 2)),
    ],
)
def test_a_name_is_known_from_its_libbpf_on(section, since):
    major, minor = since
    assert section_names.of(section, since) is not None
    assert section_names.of(section, (major, minor - 1)) is None
    assert section_names.of(f"?{section}", since) is not None


RECORDED = Path(__file__).parent / "recorded" / "section_names.tsv"
# What libbpf's functions are called, to this program's words.
WAYS = {
    "kprobe_multi": "kprobe.multi",
    "kprobe_session": "kprobe.multi",
    "uprobe_multi": "uprobe.multi",
    "tracing_multi": "trace.multi",
    "lsm": "hook",
    "iter": "iterator",
}


def test_the_table_is_libbpfs():
    """Read out of libbpf's source by a program of its own; the order counts, as the first that fits is taken."""
    lines = [line.split("\t") for line in RECORDED.read_text().splitlines() if not line.startswith("#")]
    theirs = {name: (program, attach, set(filter(None, flags.split(","))), WAYS.get(how, how))
              for name, program, attach, flags, how in lines}  # fmt: skip
    ours = {
        row.name: (
            row.program,
            row.attach,
            {
                word
                for word, is_so in (("btf", row.by_btf), ("sleepable", row.sleepable), ("frags", row.frags))
                if is_so
            },
            row.how,
        )
        for row in section_names.TABLE
    }
    assert len(ours) == len(section_names.TABLE)
    assert ours == theirs


@pytest.mark.parametrize(
    ("since", "names"),
    [
        ((1, 2), ["struct_ops.s+", "netfilter"]),
        ((1, 3), [
            *("uprobe.multi+", "uprobe.multi.s+", "uretprobe.multi+", "uretprobe.multi.s+", "usdt.s+"),
            *("tc/ingress", "tc/egress"),
            *("tcx/ingress", "tcx/egress", "netkit/primary", "netkit/peer"),
            *(f"cgroup/{call}_unix" for call in ("connect", "sendmsg", "recvmsg", "getpeername", "getsockname")),
        ]),
        ((1, 4), ["sk_skb/verdict"]),
        ((1, 5), ["kprobe.session+"]),
        ((1, 6), ["uprobe.session+", "uprobe.session.s+"]),
        ((1, 7), ["fsession+", "fsession.s+"]),
        ((1, 8), [
            *("tracepoint.s+", "tp.s+", "raw_tracepoint.s+", "raw_tp.s+", "tp_btf.s+"),
            *(f"{name}.multi{end}" for name in ("fentry", "fexit", "fsession") for end in ("+", ".s+")),
        ]),
    ],
)  # fmt: skip
def test_what_each_libbpf_brought(since, names):
    """libbpf.map and the release notes of libbpf; 1.1 has all the others."""
    assert sorted(row.name for row in section_names.TABLE if row.since == since) == sorted(names)
    assert {row.since for row in section_names.TABLE} == {
        (1, 1),
        (1, 2),
        (1, 3),
        (1, 4),
        (1, 5),
        (1, 6),
        (1, 7),
        (1, 8),
    }


# Types whose load looks at expected_attach_type: kernel/bpf/syscall.c, bpf_prog_load_check_attach.
CHECKED = {
    "CGROUP_SOCK",
    "CGROUP_SOCK_ADDR",
    "CGROUP_SKB",
    "CGROUP_SOCKOPT",
    "SK_LOOKUP",
    "NETFILTER",
    "XDP",
    "SOCK_OPS",
}
CHECKED |= {"TRACING", "LSM", "EXT"}


def test_whose_attach_type_the_load_looks_at():
    for row in section_names.TABLE:
        if row.attach:
            assert row.checks_attach == (row.program in CHECKED), row.name
