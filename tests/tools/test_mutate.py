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


def test_each_equivalent_mutant_is_one():
    """A line that was written anew may be equivalent no more."""
    files = {path for path, _, _ in mutate.EQUIVALENT}
    every = {
        (one.path, mutate.line_of(one), one.says) for path in files for one in mutate.mutants(mutate.PACKAGE / path)
    }
    assert [key for key in mutate.EQUIVALENT if key not in every] == []


def test_a_change_inside_a_function_is_told_from_one_outside():
    def altered(old, new):
        return mutate.altered_functions(compile(old, "x", "exec"), compile(new, "x", "exec"))

    function = "def f(a):\n    return [b for b in a if b > 1]\n"
    assert [place[0] for place in altered(function, function.replace("1", "2"))] == ["f.<locals>.<listcomp>"]
    assert altered(f"A = 1\n{function}", f"A = 2\n{function}") == []
    assert altered("def f(a=1): pass\n", "def f(a=2): pass\n") == []
    assert altered("f = lambda a: 1\n", "f = lambda a: 2\n") == []
    assert altered(function, function) == []
