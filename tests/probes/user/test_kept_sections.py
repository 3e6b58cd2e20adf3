"""Unpacked debug sections are kept from the second question on, are believed only whole, and change no answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from probe_scout.formats.elf.image import ElfImage
from probe_scout.probes.user import debug_answer, files, symbols
from probe_scout.sources.user_files import FileState
from tests.builders import programs

NAMES = ("work", "outer", "third", "main")
SOURCE = """
static inline __attribute__((always_inline)) int inner(int a, double b) { return a * 3 + (int)b; }
__attribute__((noinline)) int work(int given, const char *name) { return given + (name != 0); }
__attribute__((noinline)) int outer(int a) { return inner(a, a) + work(a, 0); }
__attribute__((noinline)) long third(long a) { return inner(a, a) + outer(a); }
int main(int argc, char **argv) { return third(argc); }
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files.user_files, "state", lambda path: FileState(""))  # without mountinfo of this machine
    return programs.compiled(tmp_path, "prog", SOURCE, "-Wl,--build-id", "-rdynamic", "-gz=zlib")


@pytest.fixture
def unpacked(monkeypatch) -> list[str]:
    """The names of sections that were unpacked."""
    found: list[str] = []

    def of(self, section, real=ElfImage._unpacked):
        found.append(section.name)
        return real(self, section)

    monkeypatch.setattr(ElfImage, "_unpacked", of)
    return found


def asked(path: Path, name: str) -> debug_answer.Answer:
    file = files.UserFile(None, files.Place(str(path), str(path)), files.LIVE)  # type: ignore[arg-type]
    symbol = symbols.find(file, name).chosen
    assert symbol is not None
    return debug_answer.of(file, symbol)


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.unpacked"))


def test_the_third_function_of_a_file_unpacks_nothing(program, unpacked, tmp_path, monkeypatch):
    asked(program, "work")
    assert ".debug_info" in unpacked
    assert not kept(tmp_path), "one question alone keeps nothing of this size"
    asked(program, "outer")
    assert kept(tmp_path)
    unpacked.clear()
    third = asked(program, "third")
    assert not unpacked
    monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    assert asked(program, "third") == third
    assert ".debug_info" in unpacked


@pytest.mark.parametrize("damage", ["middle", "cut", "empty", "other"])
def test_a_damaged_copy_is_none(program, unpacked, tmp_path, damage):
    wanted = {name: asked(program, name) for name in NAMES}
    (path,) = kept(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(
        {"middle": raw[:200] + bytes(64) + raw[264:], "cut": raw[:-9], "empty": b"", "other": raw.replace(b".", b";")}[
            damage
        ]
    )
    for one in (tmp_path / "cache").rglob("*.json"):
        one.unlink()
    unpacked.clear()
    assert {name: asked(program, name) for name in NAMES} == wanted
    assert unpacked


def test_a_changed_file_has_sections_of_its_own(program, tmp_path, unpacked):
    for name in NAMES[:2]:
        asked(program, name)
    other = SOURCE.replace("long third(long a)", "short third(short given)").replace("(a, a) + outer(a)", "(given, 1)")
    assert other != SOURCE
    programs.compiled(tmp_path, "prog", other, "-Wl,--build-id", "-rdynamic", "-gz=zlib")
    answer = asked(program, "third")
    assert isinstance(answer.declared, debug_answer.Declared)
    assert [one.name for one in answer.declared.arguments] == ["given"]
