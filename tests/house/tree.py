"""The package's imports, read with ast."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "probe_scout"


class Import(NamedTuple):
    """One import of `path` (below the package). `module` is absolute: a module of ours wherever the tree has it.

    `top` is false inside a function; `typing_only` under TYPE_CHECKING.
    """

    path: str
    line: int
    module: str
    top: bool
    typing_only: bool


def modules(package: Path = PACKAGE) -> list[Path]:
    return sorted(package.rglob("*.py"))


def file_of(module: str, package: Path = PACKAGE) -> str | None:
    """probe_scout.rules.gate: rules/gate.py; None where there is no such module."""
    parts = module.split(".")
    if parts[0] != package.name:
        return None
    for path in (Path(*parts[1:], "__init__.py"), Path(*parts[1:]).with_suffix(".py") if parts[1:] else Path()):
        if (package / path).is_file():
            return str(path)
    return None


def imports(path: Path, package: Path = PACKAGE) -> list[Import]:
    """Every import of a file, in order; an imported name that is a module counts as that module."""
    relative = path.relative_to(package)
    here = [package.name, *relative.with_suffix("").parts[:-1]]
    found: list[Import] = []

    def named(node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        base = here[: len(here) - node.level + 1] if node.level else []
        stem = ".".join([*base, *([node.module] if node.module else [])])
        below = [f"{stem}.{alias.name}" for alias in node.names]
        return list(dict.fromkeys(name if file_of(name, package) else stem for name in below))

    def visit(node: ast.AST, top: bool, typing_only: bool) -> None:
        found.extend(Import(str(relative), node.lineno, name, top, typing_only) for name in named(node))
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


def circles(arrows: set[tuple[str, str]]) -> list[list[str]]:
    """Files that import each other in a loop, each loop sorted (Tarjan's strongly connected components)."""
    to: dict[str, list[str]] = {}
    for a, b in sorted(arrows):
        to.setdefault(a, []).append(b)
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(one: str) -> None:
        order[one] = low[one] = len(order)
        stack.append(one)
        for other in to.get(one, ()):
            if other not in order:
                visit(other)
            if other in stack:
                low[one] = min(low[one], low[other])
        if low[one] == order[one]:
            loop = stack[stack.index(one) :]
            del stack[stack.index(one) :]
            if len(loop) > 1:
                found.append(sorted(loop))

    for one in to:
        if one not in order:
            visit(one)
    return sorted(found)
