"""The mutation tester: its map of tests holds, and it tells a killed mutant from a living one."""

from __future__ import annotations

import pytest

from tests.tools import mutate

GROUPS = ("rules", "probes/attach", "commands/audit")


@pytest.mark.parametrize("tests", {tests for _, tests in mutate.TESTS}, ids=" ".join)
def test_the_tests_of_a_file_are_there(tests):
    assert [path for path in tests if not (mutate.ROOT / path).exists()] == []


def test_every_file_that_is_asked_about_has_tests():
    files = [mutate.PACKAGE / "sources/cache.py"]
    files += [file for group in GROUPS for file in (mutate.PACKAGE / group).rglob("*.py")]
    assert [file.name for file in files if not mutate.tests_of(str(file.relative_to(mutate.PACKAGE)))] == []


def test_a_mutant_is_the_file_with_one_change():
    path = mutate.PACKAGE / "rules/judge.py"
    every = mutate.mutants(path)
    assert len({mutant.number for mutant in every}) == len(every) > 20
    whole = mutate.altered(mutate.Mutant("rules/judge.py", every[0].number, 0, ""))
    other = mutate.altered(mutate.Mutant("rules/judge.py", every[1].number, 0, ""))
    assert mutate.ast.dump(whole) != mutate.ast.dump(other)
