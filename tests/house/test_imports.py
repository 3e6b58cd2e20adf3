"""What may import what: the rooms' directions, and one home for each third-party package."""

from __future__ import annotations

import ast
import sys

import pytest

from .tree import PACKAGE, Import, imports, modules

# The top-level modules that answer one kind of question each; they may use one another and all rooms below.
QUESTIONS = (
    "arguments",
    "caller",
    "check",
    "closed_helpers",
    "doctor",
    "events",
    "limits",
    "many",
    "lookup",
    "names",
    "offsets",
    "scan",
    "slices",
    "targets",
    "words",
)
# Room to the rooms it may import at run time. A room may always import itself; nothing imports cli.
DOWN = {
    "model": "errors",
    "errors": "",
    "sources": "errors",
    "scanners": "model errors",
    "arch": "model",
    "formats": "scanners model errors",
    "rules": "arch model",
    "diagnosis": "model engine",
    "render": "model",
    "engine": "rules model",
    "code": "reserved slices sources scanners model errors",  # reserved, slices: inside the functions that need them
    "reserved": "slices scanners",
    "witnesses": "model",
    "kernel": "witnesses code sources scanners model errors",
    "questions": "kernel scanners model",
    "advice": "diagnosis model engine",
    "tracepoints": "rules scanners model",
    "cache": "model",
    "diff": "targets scan events questions engine kernel scanners model errors",
    "verify": "sources model errors",  # sources: the system calls
    "stubs": "model errors",
    "dwarf": "scanners model errors",
    "survey": "debugfiles dwarf cache scanners model errors",  # debugfiles, dwarf: to make one
    "debugfiles": "dwarf scanners cache model errors",
    "inline": "targets coverage debugfiles survey dwarf cache check lookup advice diagnosis questions kernel scanners "
    "model errors",
    "coverage": "inline lookup debugfiles survey scanners model errors",
    "stub": "targets stubs arguments closed_helpers limits lookup check events diagnosis kernel scanners model errors",
    "audit": "arguments cache coverage check scan events questions diagnosis engine kernel sources scanners model "
    "errors",
    "trial": "targets verify caller check events scan words questions diagnosis kernel scanners model errors",
    **dict.fromkeys(
        QUESTIONS,
        " ".join(QUESTIONS)
        + " advice coverage diagnosis engine questions tracepoints kernel code scanners rules model errors",
    ),
}
WHY = {
    "rules": "rules see only facts; add a fact instead",
    "scanners": "scanners turn bytes into facts and know no paths; hand the bytes in",
    "render": "renderers know report types; put what is shown into the report",
    "model": "the nouns import nothing of ours",
    "errors": "errors import nothing of ours",
}
HOMES = {
    "typer": "cli/app.py",
    "tabulate": "render/table.py",
    "elftools": "scanners/elf_image.py",
    "pyroute2": "sources/netlink.py",
    "capstone": "scanners/x86_code.py",
    "zstandard": "scanners/kernel_image.py",
}
NEWER_STDLIB = {"compression"}  # Python 3.14
# Costly to import (ecosystem: 8 to 70 ms each); on the road of `check` only inside functions that need them.
COSTLY = (
    "dataclasses",
    "enum",
    "pathlib",
    "json",
    "inspect",
    "importlib.metadata",
    "subprocess",
    "argparse",
    "asyncio",
)


def room(name: str) -> str:
    return name.split("/")[0].removesuffix(".py")


def wrong_direction(one: Import) -> str | None:
    """The sentence for an import that goes up the house; None for a lawful one."""
    parts = one.module.split(".")
    if parts[0] != "probe_scout" or len(parts) < 2:
        return None
    source, target = room(one.path), parts[1]
    if target == "cli" and source not in ("cli", "__main__"):
        return f"{one.path}:{one.line} imports cli: nothing imports the command line"
    if source == target or source not in DOWN or one.typing_only or target in DOWN[source].split():
        return None
    return f"{one.path}:{one.line} imports {target}: {WHY.get(source, f'{source} may import only {DOWN[source]}')}"


def wrong_home(one: Import) -> str | None:
    """The sentence for a third-party package outside its home or imported too early; None for a lawful import."""
    name = one.module.split(".")[0]
    if name == "probe_scout" or name in sys.stdlib_module_names | NEWER_STDLIB:
        return None
    if name not in HOMES:
        return f"{one.path}:{one.line} imports {name}: it is no dependency of this package"
    if one.path != HOMES[name]:
        return f"{one.path}:{one.line} imports {name}: its one home is {HOMES[name]}"
    if one.top and not one.typing_only and name != "typer":
        return f"{one.path}:{one.line} imports {name} at the top: import it in the function that uses it"
    return None


def every_import() -> list[Import]:
    return [one for path in modules() for one in imports(path)]


def test_imports_go_down_the_house():
    assert [said for one in every_import() if (said := wrong_direction(one))] == []


def test_third_party_packages_stay_in_their_homes():
    assert [said for one in every_import() if (said := wrong_home(one))] == []


def test_costly_modules_are_imported_late():
    early = [
        f"{one.path}:{one.line} imports {one.module} at the top"
        for one in every_import()
        if one.top and not one.typing_only and one.module in COSTLY
    ]
    assert early == []


def test_scanners_open_nothing():
    found = [
        f"{path.name}:{node.lineno} opens a file: scanners are handed bytes"
        for path in sorted((PACKAGE / "scanners").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "io.open", "os.open")
    ]
    assert found == []


def test_every_room_is_in_the_table():
    """A new room or top-level module gets a line in DOWN; the front door and the command line import all."""
    free = {"cli", "__init__", "__main__", "api"}
    rooms = {room(str(path.relative_to(PACKAGE))) for path in modules()}
    assert rooms - set(DOWN) - free == set()


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (Import("rules/x.py", 3, "probe_scout.scanners.btf", True, False), "rules/x.py:3 imports scanners: rules see"),
        (Import("kernel.py", 3, "probe_scout.cli.run", True, True), "kernel.py:3 imports cli: nothing imports"),
    ],
)
def test_a_planted_wrong_import_is_caught(one, said):
    assert (wrong_direction(one) or "").startswith(said)


def test_a_planted_stray_package_is_caught(tmp_path):
    room = tmp_path / "probe_scout" / "sources"
    room.mkdir(parents=True)
    (room / "x.py").write_text("def f():\n    import tabulate\nimport requests\n")
    said = [wrong_home(one) for one in imports(room / "x.py", tmp_path / "probe_scout")]
    assert said == [
        "sources/x.py:2 imports tabulate: its one home is render/table.py",
        "sources/x.py:3 imports requests: it is no dependency of this package",
    ]
