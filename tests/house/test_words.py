"""Identifiers are the field's words: those that each cost a reader a question do not come back."""

from __future__ import annotations

import ast
import re

import pytest

from .tree import PACKAGE, modules

# Word to what the field says.
INSTEAD = {
    "ladder": "known changes",
    "rung": "known change",
    "rungs": "known changes",
    "witnesses": "features",
    "spoil": "mark_malformed",
    "mute": "not reported, silent",
    "lend": "say what is handed over",
    "misaddressed": "wrong target kind",
    "doubt": "ambiguous, uncertain",
    "world": "context",
    "engine": "judge",
}
# A hooks file has ladders with rungs, and so have its reader and its reports.
OF_HOOKS_FILES = {"ladder", "rung", "rungs"}
WITHOUT_HOOKS = ("probes/", "kernel/", "rules/", "sources/", "arch/")


def identifiers(text: str) -> dict[str, int]:
    """Names that a file gives to something of its own, to their first line."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, node.lineno)
        elif isinstance(node, ast.arg):
            found.setdefault(node.arg, node.lineno)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.setdefault(node.name, node.lineno)
        elif isinstance(node, ast.alias) and node.asname:
            found.setdefault(node.asname, 0)
    return found


def words(name: str) -> list[str]:
    """_from_rung: from, rung; RungVerdict: rung, verdict."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().strip("_").split("_")


def wrong(text: str, path: str = "probes/x.py") -> list[tuple[str, str]]:
    banned = INSTEAD.keys() - (set() if path.startswith(WITHOUT_HOOKS) else OF_HOOKS_FILES)
    return [(name, word) for name in identifiers(text) for word in words(name) if word in banned]


def test_identifiers_are_the_fields_words():
    found = [
        f"{relative}: {name}: say {INSTEAD[word]}, not {word}"
        for path in modules()
        for relative in [str(path.relative_to(PACKAGE))]
        for name, word in wrong(path.read_text(), relative)
    ]
    assert found == []


def test_hooks_files_have_words_of_their_own():
    assert wrong("rung = 1", "model/hooks.py") == []


@pytest.mark.parametrize("text", ["rung = 1", "def f(world): pass", "import x as ladder", "class TheDoubt: pass"])
def test_a_planted_word_is_caught(text):
    assert len(wrong(text)) == 1


def test_a_word_inside_another_is_let_be():
    assert wrong("wrung = worldwide = 1") == []
