"""Every id of a rule or finding that the code can print has a page in `rules ID`."""

from __future__ import annotations

import ast
import re

from probe_scout.frontends.cli.pages import finding_pages, rule_pages
from probe_scout.model.attach import ATTACH_TYPES
from probe_scout.rules import PATHS
from tests.house.tree import modules

ID = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_0-9]*\Z")
# Calls whose argument is an id, whatever group it is of: by the name of the class or function.
SHOWS = {"Finding": 0, "Hazard": 0, "AuditFinding": 0, "Judgement": 2, "Limit": 0, "_unknown": 0}
PAGES = {page.id for page in (*rule_pages(), *finding_pages())}


def ids_in(tree: ast.AST, groups: set[str]) -> dict[str, int]:
    """Id to line: texts of a known group, and what is handed to a call that shows ids."""
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ID.match(node.value):
            if node.value.partition(".")[0] in groups:
                found.setdefault(node.value, node.lineno)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            at = SHOWS.get(name)
            if at is not None and len(node.args) > at:
                shown = node.args[at]
                if isinstance(shown, ast.Constant) and isinstance(shown.value, str) and ID.match(shown.value):
                    found.setdefault(shown.value, node.lineno)
    return found


def test_every_id_in_the_code_has_a_page():
    groups = {page.partition(".")[0] for page in PAGES} | {gate.name for path in PATHS.values() for gate in path}
    lacking = [
        f"{path.name}:{line}: {name}"
        for path in modules()
        for name, line in ids_in(ast.parse(path.read_text()), groups).items()
        if name not in PAGES and name not in ATTACH_TYPES and not name.endswith((".s", ".w"))  # loaders' words, too
    ]
    assert lacking == []


def test_ids_of_calls_are_seen_whatever_their_group():
    tree = ast.parse('Finding("nowhere.seen", "", "")\nrules.Judgement(1, None, "other.seen", "")\nx = "third.unseen"')
    assert set(ids_in(tree, set())) == {"nowhere.seen", "other.seen"}
    assert set(ids_in(tree, {"third"})) == {"nowhere.seen", "other.seen", "third.unseen"}


def test_no_id_has_two_pages():
    listed = [page.id for page in (*rule_pages(), *finding_pages())]
    assert len(listed) == len(set(listed))
