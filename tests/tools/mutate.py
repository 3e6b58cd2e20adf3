"""A mutation tester: alters one place of the package at a time and looks whether the tests of that place notice.

python -m tests.tools.mutate [--sample N] [--seed S] [--limit SECONDS] [PATH …]

Our own, because mutmut and cosmic-ray start a fresh interpreter for each mutant and run all tests that they are told:
here each file has its own tests (TESTS), which are collected once and run once unchanged, noting which test calls which
function. A mutant inside a function then costs one fork, in which the function gets its altered code and only tests
that call it run, the quickest first. One outside of functions (a table, a default), or in one that no test calls, is
imported anew in a fork, and all tests of its file run. A mutant is killed when a test fails, or when it takes more
than TIME_S of CPU time. The tests must pass unchanged first. What survives is printed as FILE:LINE and the change.
EQUIVALENT names survivors that change nothing that can be seen, each with its reason; they are counted apart, and not
as killed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import gc
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "probe_scout"
REWRITE = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is loaded before the forks
TIME_S = 120
_EVERY_RULE, _BORDERS = "tests/rules/test_every_rule.py", "tests/rules/test_borders.py"
_BUILT = ("tests/rules/test_built_without.py", "tests/oracle/test_built.py")
_ASKED = ("tests/probes/attach/test_evidence.py", "tests/commands/test_check.py")
_BULK, _JUDGED = "tests/probes/attach/test_bulk.py", "tests/probes/attach/test_judged.py"
# A path's beginning, below the package, to the tests that answer for it.
TESTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("rules/kprobe_instruction_arm64.py", ("tests/rules/test_kprobe_instruction_arm64.py", _EVERY_RULE)),
    ("rules/kprobe_instruction.py", ("tests/rules/test_kprobe_instruction.py",)),
    ("rules/tracepoint_access.py", ("tests/rules/test_tracepoint_access.py", "tests/probes/tracepoints")),
    ("rules/map_helpers.py", ("tests/rules/test_map_helpers.py",)),
    ("rules/kfunc_sets.py", ("tests/rules/test_kfunc_sets.py",)),
    ("rules/raw_tp_null.py", ("tests/probes/tracepoints/test_raw_arguments.py",)),
    (
        "rules/uprobe.py",
        (
            "tests/rules/test_uprobe.py",
            _EVERY_RULE,
            _BORDERS,
            "tests/probes/user/test_rules.py",
            "tests/probes/user/test_check.py",
        ),
    ),
    (
        "rules/helper_sets.py",
        ("tests/commands/test_kfunc_and_features.py", "tests/probes/objects", "tests/commands/test_lint.py"),
    ),
    ("rules/object_", ("tests/rules/test_object_load.py", "tests/probes/objects", "tests/commands/test_lint.py")),
    (
        "rules/section_names.py",
        ("tests/rules/test_section_names.py", "tests/probes/objects", "tests/commands/test_lint.py"),
    ),
    (
        "rules/symbol_lookup.py",
        ("tests/rules/test_judge.py", _EVERY_RULE, _BORDERS, "tests/rules/test_symbol_lookup.py"),
    ),
    ("rules/", ("tests/rules/test_judge.py", "tests/rules/test_built_without.py", _EVERY_RULE, _BORDERS)),
    (
        "probes/attach/evidence.py",
        ("tests/probes/attach/test_evidence.py", _JUDGED, "tests/commands/test_check.py", _EVERY_RULE),
    ),
    ("probes/attach/needs.py", ("tests/probes/attach/test_needs.py", _JUDGED)),
    ("probes/attach/privileges.py", ("tests/probes/attach/test_privileges.py",)),
    ("probes/attach/closed_helpers.py", ("tests/probes/attach/test_closed_helpers.py",)),
    ("probes/attach/limits.py", ("tests/probes/attach/test_limits.py", "tests/commands/test_check.py")),
    (
        "probes/attach/instruction.py",
        ("tests/probes/attach/test_instruction.py", _JUDGED, "tests/rules/test_kprobe_instruction.py"),
    ),
    ("probes/attach/bulk.py", (_BULK, "tests/rules/test_symbol_lookup.py")),
    ("probes/attach/targets.py", ("tests/commands/test_check.py", "tests/probes/attach/test_targets.py")),
    ("probes/attach/", (*_BUILT, _EVERY_RULE, _BULK, _JUDGED, *_ASKED)),
    ("sources/cache.py", ("tests/sources/test_cache.py", "tests/frontends/test_kept_reports.py")),
    (
        "commands/audit/changes.py",
        tuple(f"tests/commands/audit/test_{name}.py" for name in ("changes", "command", "allow")),
    ),
    ("commands/audit/", ("tests/commands/audit",)),
)
# FILE, its line, the change -> why nothing can be seen of it.
_FASTER = "which of two ways is taken, that give the same: how many names make one pass the cheaper"
_CHECKS, _JOIN, _RESOLVE = "commands/audit/checks.py", "commands/audit/join.py", "commands/audit/resolve.py"
EQUIVALENT: dict[tuple[str, str, str], str] = {
    (_CHECKS, "self._is_prepared = False", "False -> True"): _FASTER,
    (_CHECKS, "self._is_prepared = True", "True -> False"): _FASTER,
    (_CHECKS, "if not self._is_prepared:", "not self._is_prepared -> self._is_prepared"): _FASTER,
    (_CHECKS, "if len(names) > _FEW:", "len(names) > _FEW -> len(names) >= _FEW"): _FASTER,
    (_CHECKS, "if len(self.by_function) > _FEW:", "len(self.by_function) > _FEW -> len(self.by_function) >= _FEW"): (
        _FASTER
    ),
    (
        _CHECKS,
        "view = of_many(self.k, unknown) if len(unknown) > _FEW else None",
        "len(unknown) > _FEW -> len(unknown) >= _FEW",
    ): _FASTER,
    (
        _CHECKS,
        "view = of_many(self.k, unknown) if len(unknown) > _FEW else None",
        (
            "of_many(self.k, unknown) if len(unknown) > _FEW else None -> "
            "None if len(unknown) > _FEW else of_many(self.k, unknown)"
        ),
    ): _FASTER,
    (_CHECKS, "found: int = counts.get(name, 0)", "0 -> 1"): "the functions of all rows were counted just before",
    (_CHECKS, "continue", "continue -> break"): "a row without places has one function (_refused_today)",
    (
        _JOIN,
        "if len(candidates) > 1 and len(self._plain_events) >= len(candidates):",
        "len(candidates) > 1 -> len(candidates) >= 1",
    ): "a single program is used by its own row already",
    (
        _RESOLVE,
        "MANY = 24  # names beyond which one pass for all of them is cheaper than a search for each",
        "24 -> 25",
    ): (_FASTER),
    (_RESOLVE, "MOST = 400  # and beyond which a table of all symbols is", "400 -> 401"): _FASTER,
    (
        "commands/audit/allow.py",
        "raw = handle.read(_BYTES_MAX + 1)",
        "1 -> 2",
    ): "a file that is larger by one byte is refused, however much more was read",
    (
        "commands/audit/changes.py",
        "change = GREW if other.count > one.count or missed else SHRANK",
        "other.count > one.count -> other.count >= one.count",
    ): "where the counts are equal more calls were missed, which is growth already",
    (
        "commands/audit/files.py",
        "_FUNCTION_BYTES_MAX = 1 << 16",
        "16 -> 17",
    ): "how much is decoded at most: a bound of time",
    (
        "commands/audit/files.py",
        "_FUNCTION_BYTES_MAX = 1 << 16",
        "1 -> 2",
    ): "how much is decoded at most: a bound of time",
    (
        "rules/section_names.py",
        "NEWEST = (1, 8)",
        "8 -> 9",
    ): "no name came after 1.8: each later release knows the same",
    (
        "rules/section_names.py",
        "NEWEST = (1, 8)",
        "1 -> 2",
    ): "no name came after 1.8: each later release knows the same",
}

_COMPARE = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change. `number` counts the places of its file; `says` shows the line before and after."""

    path: str
    number: int
    line: int
    says: str


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Each node that can be altered, with what takes its place; always in the same order."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
            other = copy.copy(node)
            other.ops = [_COMPARE[type(node.ops[0])]()]
            yield node, other
        elif isinstance(node, ast.BoolOp):
            yield node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, node.operand
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, ast.Constant(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int):
            yield node, ast.Constant(node.value + 1)
        elif isinstance(node, ast.Constant) and node.value is None:
            continue
        elif isinstance(node, ast.IfExp):
            yield node, ast.IfExp(node.test, node.orelse, node.body)
        elif isinstance(node, ast.Continue):
            yield node, ast.Break()
        elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
            yield node, ast.Return(ast.Constant(None))


class _Put(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.old:
            return ast.copy_location(self.new, node)
        return super().visit(node)  # type: ignore[no-any-return]


def _code_only(tree: ast.Module) -> ast.Module:
    """Without what only type checkers see: `TYPE_CHECKING = False`, `if TYPE_CHECKING` and annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node) == "TYPE_CHECKING = False":
            node.value = ast.Call(ast.Name("bool", ast.Load()), [], [])  # no place: its branch is empty
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return ast.fix_missing_locations(tree)


def mutants(path: Path) -> list[Mutant]:
    """All changes of one file."""
    text = path.read_text()
    found = []
    for number, (old, new) in enumerate(places(_code_only(ast.parse(text)))):
        line = getattr(old, "lineno", 0)
        ast.fix_missing_locations(ast.copy_location(new, old))
        found.append(Mutant(str(path.relative_to(PACKAGE)), number, line, f"{ast.unparse(old)} -> {ast.unparse(new)}"))
    return found


def altered(mutant: Mutant) -> ast.Module:
    """The file's tree with the change made."""
    tree = _code_only(ast.parse((PACKAGE / mutant.path).read_text()))
    old, new = list(places(tree))[mutant.number]
    made = _Put(old, new).visit(tree)
    assert isinstance(made, ast.Module)
    return ast.fix_missing_locations(made)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives the altered module instead of the file's."""

    def __init__(self, mutant: Mutant) -> None:
        self.file = PACKAGE / mutant.path
        self.name = "probe_scout." + mutant.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        tree = altered(mutant) if mutant.number >= 0 else _code_only(ast.parse(self.file.read_text()))
        self.code = compile(tree, str(self.file), "exec")

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        is_package = self.file.name == "__init__.py"
        spec = importlib.util.spec_from_loader(name, self, origin=str(self.file), is_package=is_package)
        if spec is not None and is_package:
            spec.submodule_search_locations = [str(self.file.parent)]
        return spec

    def exec_module(self, module: object) -> None:
        vars(module)["__file__"] = str(self.file)
        exec(self.code, vars(module))


def line_of(mutant: Mutant) -> str:
    """The source line of a change."""
    return (PACKAGE / mutant.path).read_text().splitlines()[mutant.line - 1].strip()


def tests_of(path: str) -> tuple[str, ...]:
    """The tests that answer for a file of the package; () for none."""
    return next((tests for head, tests in TESTS if path.startswith(head)), ())


def is_killed(mutant: Mutant) -> bool:
    """Whether the tests fail, or do not end in time, with this change."""
    finder = _Finder(mutant)  # here: a change that does not compile is a fault of this program, no killed mutant
    child = os.fork()
    if child == 0:
        code = 1
        try:
            import pytest

            _alone()
            sys.meta_path.insert(0, finder)
            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-W", REWRITE, *tests_of(mutant.path)]))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return status != 0


# ---------------------------------------------------------------- mutants inside functions

_Place = tuple[str, int, int]  # qualified name, first line, and which of several alike
_KILLED, _SURVIVED, _OUTSIDE = "killed", "survived", "outside"


def functions_of(code: CodeType) -> dict[_Place, CodeType]:
    """The code of every function, lambda and comprehension below a module's."""
    found: dict[_Place, CodeType] = {}

    def walk(above: CodeType) -> None:
        for one in above.co_consts:
            if isinstance(one, CodeType):
                alike = sum(1 for name, line, _ in found if (name, line) == (one.co_qualname, one.co_firstlineno))
                found[one.co_qualname, one.co_firstlineno, alike] = one
                walk(one)

    walk(code)
    return found


def _own(code: CodeType) -> CodeType:
    """Without the functions inside it."""
    return code.replace(co_consts=tuple(None if isinstance(one, CodeType) else one for one in code.co_consts))


def altered_functions(before: CodeType, after: CodeType) -> list[_Place]:
    """The functions whose own code a change altered; [] where it altered something else, or what they are made of."""
    old, new = functions_of(before), functions_of(after)
    if _own(before) != _own(after) or old.keys() != new.keys():
        return []
    places = [place for place in old if _own(old[place]) != _own(new[place])]
    is_one_each = all(old[place].co_freevars == new[place].co_freevars for place in places)
    return places if is_one_each and all("<lambda>" not in place[0].rpartition(".")[2] for place in places) else []


class _Loop:
    """A plugin of pytest: instead of running the tests it judges mutants. `told`: what came out, by mutant."""

    def __init__(self, asked_of: Sequence[Mutant], until: float) -> None:
        self.asked_of, self.until = asked_of, until
        self.told: dict[Mutant, str] = {}
        self.failed: list[str] = ["the tests were not collected"]

    def pytest_runtestloop(self, session: Any) -> bool:
        self.failed = [f"{session.testsfailed} modules of tests"] if session.testsfailed else []
        files = {str(PACKAGE / one.path): one.path for one in self.asked_of}
        for path in files.values():
            importlib.import_module(
                "probe_scout." + path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            )
        called, seconds = self._unchanged(session, set(files))
        if self.failed:
            return True
        functions = [one for one in gc.get_objects() if type(one) is FunctionType and one.__code__.co_filename in files]
        before = {file: compile(_code_only(ast.parse(Path(file).read_text())), file, "exec") for file in files}
        for mutant in self.asked_of:
            if time.monotonic() > self.until:
                break
            file = str(PACKAGE / mutant.path)
            after = compile(altered(mutant), file, "exec")
            places = altered_functions(before[file], after)
            tests = {at for name, line, _ in places for at in called.get((file, line), ())}
            if not tests:  # a table, or a function that is called when its module is imported
                self.told[mutant] = _OUTSIDE
                continue
            old, new = functions_of(before[file]), functions_of(after)
            changes = [(one, new[place]) for one in functions for place in old if _is_of(one, file, place, old[place])]
            order = sorted(tests, key=seconds.__getitem__)
            self.told[mutant] = _KILLED if self._is_killed(session, order, changes) else _SURVIVED
        return True

    def _unchanged(self, session: Any, files: set[str]) -> tuple[dict[tuple[str, int], set[int]], list[float]]:
        """Which tests call a function (by its file and first line), and how long each takes."""
        read, write = os.pipe()
        child = os.fork()
        if child:
            os.close(write)
            with os.fdopen(read, "rb") as pipe:
                called, seconds, self.failed = pickle.load(pipe)
            os.waitpid(child, 0)
            return called, seconds
        called, seconds, failed = {}, [], []
        for at, item in enumerate(session.items):
            before, began = session.testsfailed, time.monotonic()
            seen: set[tuple[str, int]] = set()

            def note(frame: Any, _event: str, _value: object, seen: set[tuple[str, int]] = seen) -> None:
                if frame.f_code.co_filename in files:
                    seen.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

            sys.settrace(note)
            self._run(session.items[at : at + 2])
            sys.settrace(None)
            seconds.append(time.monotonic() - began)
            if session.testsfailed != before:
                failed.append(item.nodeid)
            for place in seen:
                called.setdefault(place, set()).add(at)
        with os.fdopen(write, "wb") as pipe:
            pickle.dump((called, seconds, failed), pipe)
        os._exit(0)

    @staticmethod
    def _run(items: Sequence[Any]) -> None:
        """The first of them; the second is what comes after it."""
        items[0].config.hook.pytest_runtest_protocol(item=items[0], nextitem=items[1] if len(items) > 1 else None)

    def _is_killed(self, session: Any, order: list[int], changes: list[tuple[FunctionType, CodeType]]) -> bool:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _alone()
                for one, new in changes:
                    one.__code__ = new
                items = [session.items[at] for at in order]
                while items and not session.testsfailed:
                    self._run(items[:2])
                    del items[0]
                code = int(session.testsfailed > 0)
            finally:
                os._exit(code)
        return os.waitpid(child, 0)[1] != 0


def _is_of(function: FunctionType, file: str, place: _Place, old: CodeType) -> bool:
    code = function.__code__
    return (
        (code.co_filename, code.co_qualname, code.co_firstlineno) == (file, *place[:2])
        and code.co_code == old.co_code
        and code.co_freevars == old.co_freevars
    )


def _alone() -> None:
    """A child that no test of which may talk to this program's terminal, or run for ever."""
    os.setsid()
    signal.setitimer(signal.ITIMER_PROF, TIME_S)  # of CPU time: a busy machine kills no mutant
    signal.alarm(20 * TIME_S)  # for one that waits for ever
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)


def judged(tests: Sequence[str], asked_of: Sequence[Mutant], until: float) -> dict[Mutant, bool] | None:
    """Mutants with the same tests: whether they are killed. None, and a sentence, where the tests fail unchanged."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        loop = _Loop(asked_of, until)
        try:
            import pytest

            os.close(read)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            pytest.main(["-q", "-p", "no:cacheprovider", "-W", REWRITE, *tests], plugins=[loop])
            with os.fdopen(write, "wb") as pipe:
                pickle.dump((loop.told, loop.failed), pipe)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        raw = pipe.read()
    os.waitpid(child, 0)
    told, failed = pickle.loads(raw) if raw else ({}, ["the tests ended by themselves"])
    if failed:
        print(f"without any change fail: {' '.join(failed[:5])}", file=sys.stderr)
        return None
    outside = [one for one, how in told.items() if how == _OUTSIDE]
    found = {one: how == _KILLED for one, how in told.items() if how != _OUTSIDE}
    for one in outside:
        if time.monotonic() < until:
            found[one] = is_killed(one)
    return found


# ---------------------------------------------------------------- the lane


def chosen(paths: Sequence[str], sample: int, seed: int) -> list[Mutant]:
    """A seeded sample over all files named (files or folders below the package)."""
    files = [
        file
        for path in paths
        for file in ([PACKAGE / path] if path.endswith(".py") else sorted((PACKAGE / path).rglob("*.py")))
    ]
    every = [mutant for file in files if tests_of(str(file.relative_to(PACKAGE))) for mutant in mutants(file)]
    return every if not sample or sample >= len(every) else random.Random(seed).sample(every, sample)


def main(words: Sequence[str] | None = None) -> int:
    """Prints survivors and the share; 1 when a survivor is not known as equivalent."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", nargs="*", help="below probe_scout; none: all that have tests of their own")
    parser.add_argument("--sample", type=int, default=100, help="so many mutants (0: all)")
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--limit", type=float, default=3600.0, metavar="SECONDS")
    asked = parser.parse_args(words)
    paths = asked.path or ["rules/", "probes/attach/", "sources/cache.py", "commands/audit/"]
    import hypothesis  # noqa: F401 - loaded once, before the forks
    import pytest  # noqa: F401

    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    until = time.monotonic() + asked.limit
    killed = equivalent = 0
    survivors: list[Mutant] = []
    asked_of = chosen(paths, asked.sample, asked.seed)
    for tests in dict.fromkeys(tests_of(mutant.path) for mutant in asked_of):
        found = judged(tests, [mutant for mutant in asked_of if tests_of(mutant.path) == tests], until)
        if found is None:
            return 2
        for mutant, is_dead in found.items():
            if is_dead:
                killed += 1
            elif why := EQUIVALENT.get((mutant.path, line_of(mutant), mutant.says)):
                equivalent += 1
                print(f"equivalent  {mutant.path}:{mutant.line}  {mutant.says}: {why}", flush=True)
            else:
                survivors.append(mutant)
                print(f"survived  {mutant.path}:{mutant.line}  {mutant.says}", flush=True)
    count = killed + len(survivors)
    share = 100 * killed / count if count else 0.0
    print(f"{killed} of {count} killed ({share:.1f} %), {equivalent} equivalent, of {len(asked_of)} chosen")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
