"""What debug information says of a function is kept between runs, and made anew when anything it hangs on changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe_scout.model.facts import Unread
from probe_scout.probes.user import arguments, debug_answer, debug_info, files, inlining, symbols
from probe_scout.sources.user_files import FileState
from tests.builders import programs

SOURCE = r"""
static inline __attribute__((always_inline)) int inner(int a, double b) { return a * 3 + (int)b; }
__attribute__((noinline)) int work(int given, const char *name) { return given + (name != 0); }
__attribute__((noinline)) int outer(int a) { return inner(a, a) + work(a, 0); }
int main(int argc, char **argv) { return outer(argc); }
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch) -> Path:
    """A stripped program with its debug file beside it, and a cache of its own."""
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files.user_files, "state", lambda path: FileState(""))  # without mountinfo of this machine
    path = programs.compiled(tmp_path, "prog", SOURCE, "-Wl,--build-id", "-rdynamic")
    debug = tmp_path / "prog.debug"
    programs.run(programs.tool("objcopy"), "--only-keep-debug", path, debug)
    programs.run(programs.tool("objcopy"), "--strip-all", f"--add-gnu-debuglink={debug}", path)
    return path


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of functions for which debug information was read."""
    found: list[str] = []

    def of(file, symbol, debug="", real=arguments.of):
        found.append(symbol.name)
        return real(file, symbol, debug)

    monkeypatch.setattr(arguments, "of", of)
    return found


def asked(path: Path, name: str = "work", debug: str = "") -> debug_answer.Answer:
    file = files.UserFile(None, files.Place(str(path), str(path)), files.LIVE)  # type: ignore[arg-type]
    symbol = symbols.find(file, name).chosen
    assert symbol is not None
    return debug_answer.of(file, symbol, debug)


def text(answer: debug_answer.Answer) -> str:
    assert isinstance(answer.declared, debug_answer.Declared)
    return answer.declared.text


def test_the_second_answer_is_equal_and_reads_no_debug_information(program, reads):
    for name in ("work", "outer", "main"):
        first, second = asked(program, name), asked(program, name)
        assert second == first
        assert first.declared.debug_file == str(program.parent / "prog.debug")
    assert text(first) == "int main(int argc, char **argv)"
    assert [one.name for one in second.declared.arguments] == ["argc", "argv"]
    assert reads == ["work", "outer", "main"]


def test_a_debug_file_that_goes_or_comes_changes_the_answer(program, reads):
    assert text(asked(program)) == "int work(int given, const char *name)"
    debug = program.parent / "prog.debug"
    away = debug.rename(program.parent / "elsewhere")
    gone = asked(program)
    assert isinstance(gone.declared, Unread)
    assert gone.declared.kind == "not_there"
    assert asked(program) == gone
    away.rename(debug)
    assert text(asked(program)) == "int work(int given, const char *name)"
    assert reads == ["work"] * 3


def test_another_file_of_the_same_path_is_another_question(program, reads):
    asked(program)
    programs.compiled(program.parent, "prog", SOURCE.replace("given", "taken"), "-Wl,--build-id", "-rdynamic")
    assert text(asked(program)) == "int work(int taken, const char *name)"
    assert reads == ["work", "work"]


def test_what_is_no_kept_answer_is_made_anew(program, monkeypatch):
    first = asked(program)
    for kept in (1, [], [{}, False, [1], []], [{"/": []}, False, [], []], [[], True, [], []], None):
        monkeypatch.setattr(debug_answer.cache, "kept", lambda question, kept=kept: kept)
        assert asked(program) == first


def test_a_named_debug_file_is_read_each_time(program, reads):
    for _ in range(2):
        assert text(asked(program, debug=str(program.parent / "prog.debug"))) == "int work(int given, const char *name)"
    assert reads == ["work", "work"]


def test_inlined_copies_are_kept_with_it(program, monkeypatch):
    first = asked(program, "outer")
    assert first.coverage.answer == "complete"
    monkeypatch.delattr(inlining, "coverage")
    assert asked(program, "outer") == first


def test_a_snapshot_has_not_recorded_what_a_machine_has_not(program, monkeypatch):
    monkeypatch.setattr(symbols, "debug_file", lambda file: None)
    file = files.UserFile(None, files.Place(str(program), str(program)), files.LIVE)  # type: ignore[arg-type]
    assert debug_info.SNAPSHOT == files.SNAPSHOT
    for kind, told in ((files.LIVE, "not_there"), (files.ROOT, "not_there"), (files.SNAPSHOT, "not_recorded")):
        file.kind, file.debug = kind, {}
        found = debug_info.of(file)
        assert isinstance(found, Unread)
        assert found.kind == told
