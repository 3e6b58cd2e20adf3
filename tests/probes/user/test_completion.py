"""Completion of functions and USDT probes of programs and libraries, and the files that a shell completes itself."""

from __future__ import annotations

import shutil

import pytest

from probe_scout.frontends.cli import complete, run
from probe_scout.frontends.session import open_kernel
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    write_tree(folder, tiny_files(symbols=("foo", "ata_hook [libata]")))
    (folder / "usr/lib").mkdir(parents=True)
    built = tmp_path_factory.mktemp("built")
    shutil.copy(programs.library(built), folder / "usr/lib/libps.so.1")
    shutil.copy(programs.compiled(built, "traced", programs.USDT), folder / "traced")
    return folder


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("/traced:tra", ["/traced:traced"]),
        ("/usr/lib/libps.so.1:pi", ["/usr/lib/libps.so.1:picked"]),
        ("libps:wea", ["libps:weakly"]),
        ("libps.so.1:wea", ["libps.so.1:weakly"]),
        ("libata:", ["libata:ata_hook"]),
        ("usdt:/traced:", ["usdt:/traced:prov:guarded", "usdt:/traced:prov:plain"]),
        ("usdt:/traced:prov:p", ["usdt:/traced:prov:plain"]),
        ("/nothing:x", []),
        ("pid:4194305:ma", []),
        ("usdt:/trac", []),
    ],
)
def test_names_that_begin_so(root, prefix, found):
    assert open_kernel(str(root)).names(prefix) == found


def test_a_path_without_a_colon_is_left_to_the_shell(root, capsys):
    assert run.main(["__complete", "--", "check", "--root", str(root), "/tra"]) == 0
    assert capsys.readouterr().out.split() == [complete.FILES]
    assert run.main(["__complete", "--", "inline", "--root", str(root), "/traced:tr"]) == 0
    assert capsys.readouterr().out.split() == ["/traced:traced"]


def test_stubs_are_offered_the_same_names(root, capsys):
    assert run.main(["__complete", "--", "stub", "--root", str(root), "/traced:tr"]) == 0
    assert capsys.readouterr().out.split() == ["/traced:traced"]
