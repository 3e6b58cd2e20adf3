"""A name is found once: traits, evidence, explanations and hazards of one `check` look nothing up again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from probe_scout import open_kernel
from probe_scout.formats.btf.reader import Btf
from probe_scout.formats.text.filter_functions import Sites
from probe_scout.kernel import located
from probe_scout.kernel.symbols import Symbols

SNAPSHOT = Path(__file__).resolve().parents[2] / "fixtures/kernels/debian-6.12.107-amd64.tar.xz"


@pytest.fixture(scope="module")
def kernel():
    return open_kernel(str(SNAPSHOT))


@pytest.fixture
def counted(monkeypatch):
    """How often each was asked, by what it was asked for."""
    found: Counter[tuple[str, str]] = Counter()

    def count(owner, name, of):
        real = getattr(owner, name)

        def asked(self, *args, **more):
            found[name, of(self, *args)] += 1
            return real(self, *args, **more)

        monkeypatch.setattr(owner, name, asked)

    count(located.Located, "__init__", lambda self, k, view, name: name)
    count(Symbols, "_view_of", lambda self, names: " ".join(sorted(name.decode() for name in names)))
    count(Sites, "known", lambda self, symbols, row: f"{symbols.names[row].decode()} {row}")
    count(Btf, "find_functions", lambda self, name: f"{self.path} {name}")
    count(Btf, "prototype", lambda self, func: func.name)
    return found


@pytest.mark.parametrize("name", ["vfs_read", "s_next", "no_such_function", "do_syscall_64"])
def test_one_check_finds_a_name_once(kernel, counted, name):
    kernel.check([name])
    assert counted["__init__", name] == 1
    assert {what: times for what, times in counted.items() if times > 1} == {}


def test_the_lists_are_parallel(kernel):
    found = located.locate(kernel._kernel, "s_next")
    assert len(found.rows) == len(found.places) == len(found.sites) == len(found.covered) > 1
    assert found.of(None) == tuple(range(len(found.rows)))
    assert found.of("no_such_module") == ()


def test_a_name_is_found_anew_when_all_symbols_are_read():
    k = open_kernel(str(SNAPSHOT))._kernel
    before = located.locate(k, "vfs_write")
    assert located.locate(k, "vfs_write") is before
    k.full()
    after = located.locate(k, "vfs_write")
    assert after is not before
    assert after.symbols.names[after.rows[0]] == b"vfs_write"
