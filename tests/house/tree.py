"""The package's imports, read with ast."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "probe_scout"


class Import(NamedTuple):
    """One import. `module` is absolute; `top` is false inside a function; `typing_only` under TYPE_CHECKING."""

    path: str
    line: int
    module: str
    top: bool
    typing_only: bool


def modules(package: Path = PACKAGE) -> list[Path]:
    return sorted(package.rglob("*.py"))


def imports(path: Path, package: Path = PACKAGE) -> list[Import]:
    """Every import of a file, in order."""
    relative = path.relative_to(package)
    here = [package.name, *relative.with_suffix("").parts[:-1]]
    found: list[Import] = []

    def visit(node: ast.AST, top: bool, typing_only: bool) -> None:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names = [stem] if node.module else [f"{stem}.{alias.name}" for alias in node.names]
        else:
            names = []
        found.extend(Import(str(relative), node.lineno, name, top, typing_only) for name in names)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                visit(child, top, True)
            for child in node.orelse:
                visit(child, top, typing_only)
            return
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, top and not inside, typing_only)

    visit(ast.parse(path.read_text()), True, False)
    return found
