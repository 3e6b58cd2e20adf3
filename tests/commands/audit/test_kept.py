"""What an audit keeps between runs."""

from __future__ import annotations

import pytest

from probe_scout.commands.audit.kept import Kept
from probe_scout.frontends import session
from probe_scout.sources import cache

from .conftest import inputs, perf, program


def test_a_value_is_found_once():
    kept, asked = Kept(), []
    for _ in range(2):
        assert kept.ask("types", "1", lambda: asked.append(1) or "name") == "name"
    assert asked == [1]
    assert kept.section("types") == {"1": "name"}
    assert kept.section("other") == {}


@pytest.fixture
def turned_on(monkeypatch, tmp_path):
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_values_are_there_in_the_next_run_of_the_same_question_only(turned_on):
    kept = Kept("one question")
    kept.ask("types", "1", lambda: None)
    kept.save()
    assert Kept("one question").section("types") == {"1": None}
    assert Kept("another").section("types") == {}


@pytest.mark.parametrize("value", [[], {"types": 3}, "text"])
def test_what_is_no_answer_of_ours_is_none(turned_on, value):
    cache.keep("question", value)
    assert Kept("question").section("types") == {}


def test_the_second_audit_reads_no_symbols(turned_on, audited):
    audited(inputs(programs=[program(1)], perf=[perf(10, 3, 1, "kprobe", "vfs_read")]))
    first, second = (session.open_kernel(audited.folder, cache=True) for _ in range(2))
    one, two = first.audit(), second.audit()
    assert one == two
    assert "proc/kallsyms" in first._kernel._raw
    assert not {"proc/kallsyms", "sys/kernel/btf/vmlinux"} & second._kernel._raw.keys()
