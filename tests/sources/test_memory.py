"""A source of computed files."""

from __future__ import annotations

import pytest

from probe_scout.errors import NotThere, SourceError
from probe_scout.sources.memory import MemorySource
from probe_scout.sources.source import Description


@pytest.fixture
def made():
    return []


@pytest.fixture
def source(made):
    def make(name):
        return lambda: made.append(name) or name.encode()

    files = {"proc/kallsyms": make("kallsyms"), "proc/sys/kernel/x": make("x")}
    return MemorySource(files, Description(*("w",) * len(Description._fields)), lambda path: NotThere(path, "not made"))


def test_a_file_is_computed_when_it_is_first_read_and_once(source, made):
    assert made == []
    assert source.read("proc/kallsyms") == source.read("proc/kallsyms") == b"kallsyms"
    assert made == ["kallsyms"]


def test_folders_are_those_of_the_paths(source):
    assert source.names("") == ("proc",)
    assert source.names("proc") == ("kallsyms", "sys")
    assert source.names("proc/sys/kernel") == ("x",)


@pytest.mark.parametrize("ask", [lambda s: s.read("proc/other"), lambda s: s.names("etc"), lambda s: s.read("proc")])
def test_what_is_not_there_says_so(source, ask):
    with pytest.raises(NotThere, match="not made"):
        ask(source)


def test_a_file_has_no_entries(source):
    with pytest.raises(NotThere, match="a file, not a folder"):
        source.names("proc/kallsyms")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "proc/../x"])
def test_a_path_that_leaves_the_tree_is_refused(source, path):
    with pytest.raises(SourceError):
        source.read(path)
