"""Identifiers are the field's words: those that each cost a reader a question do not come back."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator

import pytest

from .tree import PACKAGE, ROOT, modules

# Word to what the field says.
INSTEAD = {
    "ladder": "known changes",
    "rung": "known change",
    "rungs": "known changes",
    "witness": "feature, feature probe",
    "witnesses": "features",
    "spoil": "mark_malformed",
    "mute": "not reported, silent",
    "lend": "say what is handed over",
    "misaddressed": "wrong target kind",
    "doubt": "ambiguous, uncertain",
    "doubts": "ambiguous records",
    "doubtful": "ambiguous, varying",
    "unsure": "ambiguous, not known",
    "world": "context",
    "engine": "judge",
}
# A hooks file has ladders with rungs, and so have its reader and its reports.
OF_HOOKS_FILES = {"ladder", "rung", "rungs"}
# A key of `rules --json` is a promise.
PROMISED = {("model/page.py", "witness")}
WITHOUT_HOOKS = ("probes/", "kernel/", "rules/", "sources/", "arch/")


@functools.cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(text)))


def identifiers(text: str) -> dict[str, int]:
    """Names that a file gives to something of its own, to their first line."""
    found: dict[str, int] = {}
    for node in nodes(text):
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
    names = (name for name in identifiers(text) if (path, name) not in PROMISED)
    return [(name, word) for name in names for word in words(name) if word in banned]


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


def test_a_promised_key_keeps_its_name_where_it_is_promised():
    assert wrong("witness: str", "model/page.py") == []
    assert len(wrong("witness: str", "model/other.py")) == 1


@pytest.mark.parametrize("text", ["rung = 1", "def f(world): pass", "import x as ladder", "class TheDoubt: pass"])
def test_a_planted_word_is_caught(text):
    assert len(wrong(text)) == 1


def test_a_word_inside_another_is_let_be():
    assert wrong("wrung = worldwide = 1") == []


# Text that people read: messages, pages of rules and findings, help, documents. Pattern to what to write instead.
PLAIN = {
    r"(un)?told|foretold": "known, listed, printed, reported",
    r"hangs? on": "depends on",
    r"(held|holds?) against": "compared with",
    r"l(ies|ay|ie) on the way": "is reached",
    r"lend(s|ing)?|lent": "hand over",
    r"mute[ds]?": "not reported by the kernel",
    r"spoil(s|ed|t)?": "malformed",
    r"doubts?|doubtful": "unknown, ambiguous",
    r"rungs?": "attach point of the hook",
    r"worlds?|surroundings": "context",
    r"may or may not": "unknown whether",
    r"things?": "the name of what is meant",
    r"anew": "again",
    r"stands? against": "refuses",
    r"(this|another|other|which) ones?|(the|that) ones?(?=$|[.,;:)]| (in|before|behind|with|asked)\b)": "the noun",
    r"(in|from|at|to|for) (a|the|this|that|these|those|each|every|many|some|which) places?(?! (of|where|that)\b)": (
        "section, address, location, call site, attach point"
    ),
}
PLAIN_RE = re.compile(r"\b(?:" + "|".join(f"(?P<p{n}>{pattern})" for n, pattern in enumerate(PLAIN)) + r")\b", re.I)
# Text of programs in other languages.
NOT_TEXT = {"sources/fleet_store.py", "frontends/render/page_style.py"}


def said(text: str, with_docstrings: bool = False) -> Iterator[tuple[int, str]]:
    """Line and text of each string of several words; docstrings only where they are help."""
    if not PLAIN_RE.search(" ".join(text.split())):
        return  # most files: not parsed
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in nodes(text)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes(text):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and " " in node.value.strip()
            and (with_docstrings or id(node) not in docs)
        ):
            yield node.lineno, node.value


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Lines of a document without what is code."""
    is_code = False
    text = re.sub(r"(?<!`)`[^`]+`(?!`)", lambda code: "\n" * code[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith("    "):
            yield number, line


def unplain(lines: Iterable[tuple[int, str]]) -> list[tuple[int, str, str]]:
    return [
        (number, match[0], PLAIN[tuple(PLAIN)[int(str(match.lastgroup)[1:])]])
        for number, line in lines
        for match in PLAIN_RE.finditer(" ".join(line.split()))
    ]


def test_messages_and_help_are_plain():
    found = [
        f"{relative}:{number}: {word!r}: say {instead}"
        for path in modules()
        for relative in [str(path.relative_to(PACKAGE))]
        if relative not in NOT_TEXT
        for number, word, instead in unplain(said(path.read_text(), relative == "frontends/cli/app.py"))
    ]
    assert found == []


def test_documents_are_plain():
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [
        f"{path.name}:{number}: {word!r}: say {instead}"
        for path in documents
        for number, word, instead in unplain(prose(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    ["it cannot be told", "the answer hangs on a file", "no rung attaches", "another one is taken", "at the place"],
)
def test_a_planted_sentence_is_caught(text):
    assert len(unplain([(1, text)])) == 1
    assert len(unplain(said(f"x = f'{{1}} {text}'"))) == 1
    assert unplain(prose(f"`{text}`\n")) == []
