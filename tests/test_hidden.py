"""kernel.kptr_restrict=2: names alone settle what they can, and never settle it wrongly."""

from __future__ import annotations

import re

import pytest

from probe_scout.commands import scan
from probe_scout.formats.text.filter_functions import PATH_ADDRS
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach import verdicts
from tests.builders.tiny_kernel import BLACKLIST, FILTER, FILTER_ADDRS, Changed, tiny_files

SYMBOLS = (
    "__pfx_plain notrace",
    "plain",
    "__pfx_bare notrace",
    "bare notrace",
    "real",
    "real_alias notrace",
    "__pfx_early init",
    "early init",
)


@pytest.fixture
def hidden(tiny_kernel):
    """hidden(symbols, …): zeros in kallsyms and the blacklist; the _addrs list shows its addresses all the same."""

    def make(symbols=SYMBOLS, **more):
        shown = tiny_files(symbols, **more)
        return tiny_kernel(symbols, hidden=True, files={FILTER_ADDRS: shown[FILTER_ADDRS]}, **more)._kernel

    return make


def answer(kernel, name, attach):
    verdict = verdicts.verdicts(kernel, parse(name), (attach,))[0]
    return (verdict.answer, verdict.errno)


@pytest.mark.parametrize("missing", [(), (FILTER_ADDRS,)])
@pytest.mark.parametrize(
    ("name", "attach", "expected"),
    [
        ("plain", "kprobe", ("yes", None)),
        ("plain", "fentry", ("yes", None)),
        ("plain", "kprobe.multi", ("yes", None)),
        ("bare", "kprobe", ("no", "EINVAL")),  # its padding symbol tells that no listed name is its alias
        ("bare", "kprobe.multi", ("no", "ESRCH")),
        ("real", "fentry", ("yes", None)),
        ("real_alias", "kprobe", ("unknown", None)),  # could be a second name of `real`
        ("early", "kprobe", ("no", "EINVAL")),
        ("no_such", "kprobe", ("no", "ENOENT")),
    ],
)
def test_names_settle_what_they_can(hidden, name, attach, expected, missing):
    kernel = hidden()
    if missing:
        kernel = Kernel(Changed(kernel.source, missing=missing))
    assert answer(kernel, name, attach) == expected


def test_the_cure_is_a_setting(hidden):
    kernel = hidden()
    for name, attach in (("real_alias", "kprobe"), ("bare", "fentry")):
        (unread,) = verdicts.verdicts(kernel, parse(name), (attach,))[0].unread
        assert (unread.fact, unread.kind, unread.cure) == (
            "addresses",
            "hidden",
            "sysctl kernel.kptr_restrict=1, and read it as root",
        )


def test_a_site_without_a_name_keeps_the_symbols_around_it_open(hidden):
    files = tiny_files(SYMBOLS)
    lines = files[FILTER].decode().splitlines()
    lines.insert(lines.index("plain") + 1, "__ftrace_invalid_address___16")
    kernel = Kernel(
        Changed(hidden().source, missing=(FILTER_ADDRS,), replaced={FILTER: "\n".join([*lines, ""]).encode()})
    )
    assert answer(kernel, "bare", "kprobe") == ("unknown", None)
    assert answer(kernel, "early", "kprobe") == ("no", "EINVAL")


def test_a_module_does_not_inherit_the_kernels_blacklist(hidden):
    kernel = hidden(("twin blacklisted", "twin [kvm]", "other [kvm] blacklisted"))
    assert kernel.blacklist().hidden
    assert answer(kernel, "kvm:twin", "kprobe") == ("yes", None)
    assert answer(kernel, "kvm:other", "kprobe") == ("no", "EINVAL")


def test_hidden_addresses_change_no_settled_answer(recorded):
    """Every function of the recorded kernel: what names settle is what addresses settle, and most is settled."""
    replaced = {
        "proc/kallsyms": re.sub(rb"(?m)^[0-9a-f]{16} ", b"0" * 16 + b" ", recorded.read("proc/kallsyms")),
        BLACKLIST: re.sub(rb"0x[0-9a-f]{16}", b"0x" + b"0" * 16, recorded.read(BLACKLIST)),
    }
    assert recorded.read(PATH_ADDRS)[:16].strip(b"0")
    types = ("kprobe", "kprobe.multi", "fentry")
    open_, shut = (
        {(r.module, r.target): r for r in scan.rows(scan.Judged(Kernel(source), types), scan.Wanted(), None)}
        for source in (recorded, Changed(recorded, replaced=replaced))
    )
    assert open_.keys() == shut.keys()
    unknown = 0
    for key, row in shut.items():
        for attach in types:
            if row.answers[attach] == "unknown":
                unknown += 1
            else:
                assert (row.answers[attach], row.errno.get(attach)) == (
                    open_[key].answers[attach],
                    open_[key].errno.get(attach),
                ), f"{key} {attach}"
    assert unknown < 0.15 * len(types) * len(shut)
