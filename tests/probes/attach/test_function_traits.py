"""One name asked the narrow way, all names asked at once, and every form of ftrace's list: equal traits and verdicts.

The narrow way looks at the lines that decide about one name; the full way at tables of everything.
"""

from __future__ import annotations

import os
import random

import pytest

from probe_scout.frontends.session import OpenKernel
from probe_scout.kernel.kernel import Kernel
from probe_scout.probes.attach import bulk, function_traits
from probe_scout.rules import judge
from tests.builders.tiny_kernel import FILTER_ADDRS, Changed

SAMPLE = 500
ALL_NAMES = bool(os.environ.get("PROBE_SCOUT_ALL_NAMES"))
KINDS = 7


@pytest.fixture(scope="module")
def full(recorded):
    """The recorded kernel with its whole tables."""
    kernel = Kernel(recorded)
    kernel.full()
    return kernel


def kinds(kernel):
    """Text names of vmlinux and modules by what is odd about them."""
    symbols = kernel.full().symbols
    found = {kind: [] for kind in ("several", "alias", "suffix", "padding", "module", "init", "plain")}
    shared = {a for a, b in zip(symbols.addresses, symbols.addresses[1:], strict=False) if a == b}
    for name, rows in symbols.where.items():
        row = symbols.rows(name)[0]
        if symbols.letter(row) not in "tTwW":
            continue
        if isinstance(rows, list) or len(symbols.rows(name)) > 1:
            kind = "several"
        elif name.startswith(b"__pfx_"):
            kind = "padding"
        elif symbols.addresses[row] in shared:
            kind = "alias"
        elif b"." in name:
            kind = "suffix"
        elif symbols.modules[row] is not None:
            kind = "module"
        else:
            kind = "init" if symbols.is_init_text(symbols.addresses[row]) else "plain"
        found[kind].append(name.decode())
    return found


def sampled(kernel):
    """Names to ask: a seeded sample of each kind, and names that are nowhere."""
    pick = random.Random(612)
    chosen = ["", "no_such_function", "vfs_rea", "vfs_read.", ".cold", "_stext", "_etext", "_sinittext", "_einittext"]
    for names in kinds(kernel).values():
        chosen += names if ALL_NAMES else pick.sample(names, min(len(names), SAMPLE // KINDS))
    return chosen


class Shared(Changed):
    """Files once read are kept, so that many kernels over one source cost little."""

    kept: dict[str, bytes]

    def read(self, path):
        if path not in self.replaced:
            self.replaced[path] = super().read(path)
        return self.replaced[path]


def test_every_kind_of_name_is_in_the_sample(full):
    assert {kind: len(names) > 50 for kind, names in kinds(full).items()} == dict.fromkeys(kinds(full), True)


def test_the_narrow_way_gives_the_traits_of_the_full_way(recorded, full):
    source = Shared(recorded)
    names = sampled(full)
    batches = [names[i : i + 25] for i in range(0, len(names), 25)]
    different = []
    for batch in batches:
        kernel = Kernel(source)  # a fresh one for each batch, so that no name has only warm tables before it
        for name in batch:
            narrow, wide = function_traits.function_traits(kernel, name), function_traits.function_traits(full, name)
            if narrow != wide:
                different.append((name, narrow, wide))
        assert kernel._full is None, "the narrow way built the whole table"
    assert not different


def test_many_names_at_once_have_the_traits_of_the_full_way(recorded, full):
    """One pass for all of them; two kernels, the lists of ftrace's sites with addresses and without."""
    names = sampled(full)
    for missing in ((), (FILTER_ADDRS,)):
        source = Shared(recorded, missing=missing)
        wide, kernel = Kernel(source), Kernel(source)
        wide.full()
        kernel.gather([name.encode() for name in names])
        different = [
            name
            for name in names
            if function_traits.function_traits(kernel, name) != function_traits.function_traits(wide, name)
        ]
        assert not different, missing
        if not missing:
            assert kernel._full is None, "the whole table was built"


def test_an_audit_reads_the_symbols_of_its_functions_once(recorded, full, monkeypatch):
    """Owners, copies, refusals and callers of many functions are told from one view, as the whole table tells them."""
    from probe_scout.commands.audit.resolve import Resolver, of_many

    names = sampled(full)[:80]
    kernel, passes = Kernel(Shared(recorded)), []
    view_of = Kernel._view_of
    monkeypatch.setattr(Kernel, "_view_of", lambda k, wanted: passes.append(wanted) or view_of(k, wanted))
    resolver = Resolver(kernel, {}, {})
    resolver.learn_owners(names[:40], names[40:])
    for some in (names, names[20:60]):
        view = of_many(kernel, some)
        for name in some:
            assert len(view.symbols.rows(name.encode())) == len(full.full().symbols.rows(name.encode())), name
    for name in names[:40]:
        symbols = full.full().symbols
        rows = symbols.rows(name.encode())
        module = symbols.modules[rows[0]] if rows else None
        assert resolver.module_of(name) == (module.decode() if module else None), name
    assert len(passes) == 1
    of_many(kernel, [*names, "vfs_read", "vfs_write"])
    assert len(passes) == 2


def test_a_name_qualified_by_its_module_is_the_same_both_ways(recorded, full):
    symbols = full.full().symbols
    pick = random.Random(612)
    rows = pick.sample(range(symbols.vmlinux_count, len(symbols.names)), 60)
    kernel = Kernel(Shared(recorded))
    for row in rows:
        name, module = symbols.names[row].decode(), symbols.modules[row].decode()
        for owner in (module, "vmlinux", "no_such_module"):
            narrow, wide = (function_traits.function_traits(k, name, owner) for k in (kernel, full))
            assert narrow == wide, (name, owner)


def test_the_list_without_addresses_gives_the_same_verdicts(recorded, full):
    """available_filter_functions_addrs came with 6.5; older kernels have names in order only."""
    bare = Kernel(Shared(recorded, missing=(FILTER_ADDRS,)))
    bare.full()
    narrow = Kernel(Shared(recorded, missing=(FILTER_ADDRS,)))
    types, different, asked = ("kprobe", "kprobe.multi", "fentry", "fexit"), [], 0
    for name in sampled(full):
        exact = function_traits.function_traits(full, name)
        for kernel in (bare, narrow):
            traits = function_traits.function_traits(kernel, name)
            for attach in types:
                told, right = judge.judge(kernel, attach, traits), judge.judge(full, attach, exact)
                asked += 1
                if told.answer != "unknown" and (told.answer, told.errno) != (right.answer, right.errno):
                    different.append((name, attach, told.answer, right.answer))
    assert not different
    unknown = [
        name
        for name in sampled(full)
        if judge.judge(bare, "fentry", function_traits.function_traits(bare, name)).answer == "unknown"
    ]
    assert len(unknown) <= 3, unknown  # copies that no order tells apart


def as_scan_names_it(kernel, traits, name):
    """A module's function is asked for by its bare name where no other symbol has it."""
    alone = traits.modules == 1 and len(kernel.full().symbols.rows(name.encode())) == 1
    return traits._replace(qualified=traits.qualified and not alone)


def test_scan_asks_the_same_as_check_for_every_function(full):
    different, count = [], 0
    for name, module, traits in bulk.lines(full):
        count += 1
        asked = ALL_NAMES or count % 4 == 0 or "." in name
        if asked and traits != as_scan_names_it(full, function_traits.function_traits(full, name, module), name):
            different.append((name, module))
    assert not different
    assert count > 70_000


def test_scan_names_every_function_once(full):
    lines = [(name, module) for name, module, _ in bulk.lines(full)]
    assert len(set(lines)) == len(lines)
    vmlinux = {name for name, module in lines if module is None}
    symbols = full.full().symbols
    text = {
        symbols.names[row].decode()
        for row in range(symbols.vmlinux_count)
        if symbols.is_core_text(symbols.addresses[row]) or symbols.is_init_text(symbols.addresses[row])
    }
    assert {name for name in text if not name.startswith(("__pfx_", "__cfi_"))} <= vmlinux


NONSENSE = {
    "proc/sys/kernel/osrelease": b"2.4.0-nonsense\n",
    "proc/version": b"Linux version 99.99.99-nonsense (nobody@nowhere) #1 SMP\n",
    "uname": b"0.0.0-nonsense\n",
}


def test_the_release_string_decides_nothing(recorded):
    """Backports make release numbers wrong; no answer may hang on one."""

    def rows(replaced):
        kernel = OpenKernel()
        kernel._opened = Kernel(Changed(recorded, replaced=replaced))
        if replaced:
            assert "nonsense" in kernel._kernel.release()
        return b"".join(
            kernel.scan_ndjson("*", ["kprobe", "kretprobe", "kprobe.session", "fentry.s", "fexit", "fmod_ret"])
        )

    assert rows({}) == rows(NONSENSE)
