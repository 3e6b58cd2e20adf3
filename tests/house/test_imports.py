"""What may import what: packages, their files, circles, and one home for each third-party package.

Imports inside functions and under TYPE_CHECKING count: what may not be imported may not be named either.
"""

from __future__ import annotations

import ast
import sys
from functools import cache

from .tree import PACKAGE, Import, circles, file_of, imports, modules

# Package to the packages it may import besides itself.
DOWN = {
    "named_tuple": "",
    "errors": "",
    "model": "errors",
    "sources": "errors",
    "arch": "model errors",
    "formats": "arch model errors",
    "rules": "arch model",
    "kernel": "formats sources arch model errors",
    "probes": "rules kernel formats sources arch model errors",
    "commands": "probes rules kernel formats sources arch model errors",
    "frontends": "commands probes rules kernel formats sources arch model errors",
    "__init__": "frontends model errors",
    "__main__": "frontends",
}
# Parts of a package to the parts of the same package that they may import; parts that are not named here are free.
PARTS = {
    "frontends": {"render": ""},
    "probes": {"attach": "", "tracepoints": "attach", "explain": "attach", "inlining": "attach tracepoints explain"},
}
# Parts with fewer rights than their package.
NARROW = {"frontends/render": "model"}
WHY = {
    "rules": "rules see only facts; add a fact instead",
    "formats": "formats turn bytes into facts and know no paths; hand the bytes in",
    "frontends/render": "renderers know report types; put what is shown into the report",
    "model": "the nouns import no package but errors",
    "errors": "errors import nothing of ours",
    "commands": "no command imports another; what two of them need belongs into probes",
}
HOMES = {
    "typer": "frontends/cli/app.py",
    "tabulate": "frontends/render/table.py",
    "elftools": "formats/elf/image.py",
    "pyroute2": "sources/bpf/netlink.py",
    "capstone": "arch/x86_64.py",
    "fsspec": "sources/remote.py",
    "pyarrow": "frontends/parquet.py",
    "yaml": "formats/hooks/tracing_policy.py",
    # Two: images (formats) and archives (sources) may not import each other.
    "zstandard": "formats/elf/kernel_image.py sources/zstd.py",
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
    "typing",  # NamedTuple is named_tuple.py's; the rest is for type checkers (TYPE_CHECKING = False)
)
NOT_FAST = {"frontends/cli/app.py"}  # typer reads its annotations


def package(path: str) -> str:
    """rules/gate.py: rules; errors.py: errors."""
    return path.split("/")[0].removesuffix(".py")


def part(path: str) -> str:
    """commands/audit/join.py: audit; commands/check.py: check."""
    parts = path.split("/")
    return parts[1].removesuffix(".py") if len(parts) > 1 else ""


def wrong_direction(one: Import) -> str | None:
    """The sentence for an import that goes up; None for a lawful one."""
    goal = file_of(one.module)
    if goal is None or goal == "__init__.py":
        return None
    source, target = package(one.path), package(goal)
    inside, there = part(one.path), part(goal)
    narrow = f"{source}/{inside}"
    said = f"{one.path}:{one.line} imports {goal}: "
    if source not in DOWN or target not in DOWN or target == "named_tuple":  # as typing's: anyone's
        return None
    if source != target:
        allowed = NARROW.get(narrow, DOWN[source])
        if target in allowed.split():
            return None
        return said + WHY.get(narrow, WHY.get(source, f"{source} may import only {allowed}"))
    if inside == there or there == "__init__":
        return None
    if source == "commands":
        return said + WHY["commands"]
    parts = PARTS.get(source, {})
    if inside in parts and there not in parts[inside].split():
        return said + WHY.get(narrow, f"{narrow} may import of {source} only {parts[inside] or 'itself'}")
    return None


def arrows() -> set[tuple[str, str]]:
    """File to imported file, for every import."""
    found = {(one.path, goal) for one in every_import() if (goal := file_of(one.module))}
    return {(a, b) for a, b in found if a != b}


def wrong_home(one: Import) -> str | None:
    """The sentence for a third-party package outside its home or imported too early; None for a lawful import."""
    name = one.module.split(".")[0]
    if name == "probe_scout" or name in sys.stdlib_module_names | NEWER_STDLIB:
        return None
    if name not in HOMES:
        return f"{one.path}:{one.line} imports {name}: it is no dependency of this package"
    if one.path not in HOMES[name].split():
        return f"{one.path}:{one.line} imports {name}: its one home is {HOMES[name]}"
    if one.top and not one.typing_only and name != "typer":
        return f"{one.path}:{one.line} imports {name} at the top: import it in the function that uses it"
    return None


@cache
def every_import() -> list[Import]:
    return [one for path in modules() for one in imports(path)]


def test_imports_go_down():
    assert [said for one in every_import() if (said := wrong_direction(one))] == []


def test_no_circle():
    assert [f"{' '.join(one)} import each other: put what both need below them" for one in circles(arrows())] == []


def test_the_top_level_is_the_packages():
    """A new file at the top has no home: it belongs into one of the packages (docs/architecture.md)."""
    assert {path.name for path in PACKAGE.glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "errors.py",
        "named_tuple.py",
    }
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} <= set(DOWN)


def test_third_party_packages_stay_in_their_homes():
    assert [said for one in every_import() if (said := wrong_home(one))] == []


def test_costly_modules_are_imported_late():
    early = [
        f"{one.path}:{one.line} imports {one.module} at the top"
        for one in every_import()
        if one.top and not one.typing_only and one.module in COSTLY and one.path not in NOT_FAST
    ]
    assert early == []


def test_formats_open_nothing():
    found = [
        f"{path.name}:{node.lineno} opens a file: formats are handed bytes"
        for path in sorted((PACKAGE / "formats").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "io.open", "os.open")
    ]
    assert found == []


def test_a_planted_wrong_import_is_caught():
    up = Import("rules/x.py", 3, "probe_scout.errors", True, True)
    assert (wrong_direction(up) or "").startswith("rules/x.py:3 imports errors.py: rules see")


def test_a_planted_circle_is_caught():
    planted = {("a.py", "b.py"), ("b.py", "c.py"), ("c.py", "a.py"), ("c.py", "d.py")}
    assert circles(planted) == [["a.py", "b.py", "c.py"]]


def test_a_planted_stray_package_is_caught(tmp_path):
    room = tmp_path / "probe_scout" / "sources"
    room.mkdir(parents=True)
    (room / "x.py").write_text("def f():\n    import tabulate\nimport requests\n")
    said = [wrong_home(one) for one in imports(room / "x.py", tmp_path / "probe_scout")]
    assert said == [
        "sources/x.py:2 imports tabulate: its one home is frontends/render/table.py",
        "sources/x.py:3 imports requests: it is no dependency of this package",
    ]
