"""Tests mirror the tree: kernel/patch_sites.py is tested by tests/kernel/test_patch_sites.py, or a test names it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tests.house.tree import PACKAGE, ROOT, modules

TESTS = ROOT / "tests"
_FEW_LINES = 12  # an __init__ that only says what its folder holds


# Folder to modules that no test names: they are tested through those that use them. It should get shorter.
THROUGH_OTHERS = {
    "arch": "x86_opcodes",
    "commands": "complete features limit_pages user_pages",
    "commands/diff": "__init__ judged",
    "commands/stub": "bpftrace c_struct core_relocatable go program python_ctypes rust user_libbpf",
    "formats/btf": "declaration plain records signature",
    "formats/dwarf": "lines list_entries ranges",
    "formats/hooks": "found",
    "formats/image": "loaded struct_ops",
    "frontends/cli": "audit calls diff fleet inlining lint many rules snapshot stub",
    "frontends/render": "calls context diff explain fleet lint matrix page_style survey user verify",
    "kernel": "code_store events identity lists modules types",
    "model": ("calls compiler_suffixes context fleet lint never_try page requires survey trial user_report version"),
    "probes": "contexts struct_ops",
    "probes/explain": "has_symbol kernel_config kernel_lookup no_symbol wrong_target_kind",
    "probes/inlining": "debug_facts names nearby sentences",
    "probes/objects": "advice files",
    "probes/user": "limits",
    "rules": "call caller iterator kprobe_register lsm_hook tracepoint",
    "sources/bpf": "syscalls",
    "sources": "module_files remote",
}


_FROM = re.compile(r"^ *from (probe_scout[\w.]*) import (\([^)]*\)|[^\n]*)", re.M)
_IMPORT = re.compile(r"^ *import (probe_scout[\w.]*)", re.M)


@cache
def named_by_tests() -> frozenset[str]:
    """Every module of ours that a test imports."""
    found: set[str] = set()
    for path in TESTS.rglob("*.py"):
        text = path.read_text()
        found.update(_IMPORT.findall(text))
        for module, names in _FROM.findall(text):
            found |= {module, *(f"{module}.{name}" for name in re.findall(r"\w+", names))}
    return frozenset(found)


def dotted(path: Path) -> str:
    """probe_scout/rules/gate.py: probe_scout.rules.gate."""
    return ".".join((PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def mirrored(path: Path) -> bool:
    relative = path.relative_to(PACKAGE)
    if path.name != "__init__.py":
        return (TESTS / relative.parent / f"test_{path.stem}.py").exists()
    parts = relative.parent
    return any((TESTS / one / f"test_{parts.name}.py").exists() for one in (parts, parts.parent))


def without_a_test() -> list[str]:
    return [
        str(path.relative_to(PACKAGE))
        for path in modules()
        if not mirrored(path)
        and dotted(path) not in named_by_tests()
        and not (path.name == "__init__.py" and len(path.read_text().splitlines()) <= _FEW_LINES)
    ]


def listed() -> set[str]:
    return {f"{folder}/{name}.py".lstrip("/") for folder, names in THROUGH_OTHERS.items() for name in names.split()}


def test_every_module_has_a_test_or_is_listed():
    found = [
        f"{name}: has no tests/{Path(name).parent}/test_{Path(name).stem}.py, and no test imports it"
        for name in without_a_test()
        if name not in listed()
    ]
    assert found == []


def test_what_is_listed_is_there():
    assert [name for name in sorted(listed()) if not (PACKAGE / name).is_file()] == []


def test_what_is_listed_has_no_test_of_its_own():
    assert sorted(listed() - set(without_a_test())) == []


def test_a_module_without_a_test_is_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "TESTS", tmp_path)
    monkeypatch.setitem(globals(), "named_by_tests", frozenset)
    assert "rules/gate.py" in without_a_test()
