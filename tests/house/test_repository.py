"""What is committed: no paths of one machine, no hosts of registries, nothing too large, every command described."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from probe_scout.frontends.cli.app import app

from .tree import ROOT

FILE_BYTES_MAX = 4 * 1024 * 1024 + 64 * 1024
CLONE_BYTES_MAX = 40 * 1000 * 1000
MACHINE_PATH = re.compile(r"(?<![\w./>$}\]])/(?:work|root|tmp|home)/[\w.]")
HOSTS = tuple(
    ".".join(parts)
    for parts in (("pypi", "org"), ("pythonhosted", "org"), ("deb", "debian", "org"), ("registry", "npmjs", "org"))
)


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone: there is no list of tracked files")
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def texts(names: list[str]) -> list[tuple[str, str]]:
    found = []
    for name in names:
        raw = (ROOT / name).read_bytes()
        if b"\0" not in raw[:4096]:
            found.append((name, raw.decode("utf-8", "replace")))
    return found


def places(pattern: re.Pattern[str], skip: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in texts([name for name in tracked() if not name.startswith(skip)])
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_text_names_a_path_of_one_machine():
    assert places(MACHINE_PATH, skip=("tests/", "fixtures/")) == []


def test_no_text_names_a_host_of_a_registry():
    assert places(re.compile("|".join(map(re.escape, HOSTS)))) == []


def test_files_and_clone_stay_small():
    sizes = {name: os.path.getsize(ROOT / name) for name in tracked()}
    assert [name for name, size in sizes.items() if size > FILE_BYTES_MAX] == []
    assert sum(sizes.values()) < CLONE_BYTES_MAX


def test_every_command_and_option_is_described():
    import typer

    page = (ROOT / "docs" / "commands.md").read_text()
    sections = {part.partition("\n")[0].strip("` "): part for part in re.split(r"^## ", page, flags=re.M)[1:]}
    common = sections["Options of every command"]
    for name, command in typer.main.get_command(app).commands.items():
        assert name in sections, f"docs/commands.md has no section {name}"
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--"):
                    assert f"`{option}" in sections[name] + common, (
                        f"docs/commands.md, {name}: {option} is not described"
                    )


def test_scripts_are_executable():
    assert [name for name in ("run", ".ci/run") if not os.access(ROOT / name, os.X_OK)] == []


@pytest.mark.parametrize("line", ["see /" + "work/main/x", "open('/" + "tmp/a')", '"/' + 'root/x"', "in /home/me"])
def test_a_planted_machine_path_is_caught(line):
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize(
    "line", ["proc/1/" + "root/etc", "$ROOT/tmp/x", "a mounted /root folder", "the network/" + "work/load"]
)
def test_other_slashes_are_left_alone(line):
    assert not MACHINE_PATH.search(line)
