"""Pages of help: whole sentences, exit codes, attach types, and examples that the command line takes."""

from __future__ import annotations

import re
import shlex

import pytest

from probe_scout.frontends.cli import app, run
from probe_scout.frontends.cli.request import Request
from probe_scout.model.attach import ATTACH_TYPES

NAMES = [command.callback.__name__ for command in app.app.registered_commands]


def page(capsys, monkeypatch, *line):
    monkeypatch.setenv("COLUMNS", "80")
    assert run.main([*line, "--help"]) == 0
    return capsys.readouterr().out


def test_no_sentence_of_the_list_is_cut(capsys, monkeypatch):
    text = page(capsys, monkeypatch)
    assert "..." not in text.replace("[ARGS]...", "")
    assert "…" not in text
    assert "Exit code" in text
    for command in app.app.registered_commands:
        assert command.callback.__doc__.partition("\n")[0] in " ".join(text.split())


@pytest.mark.parametrize("name", NAMES)
def test_every_page_has_exit_codes_and_examples_that_can_be_typed(capsys, monkeypatch, name):
    text = page(capsys, monkeypatch, name)
    assert re.search(r"^  Exit code: 0", text, re.M)
    examples = re.findall(rf"^    probe-scout ({name}\b.*)$", text.partition("Examples:")[2], re.M)
    assert len(examples) >= (1 if name == "mcp" else 2)  # mcp takes neither names nor options
    for line in examples:
        assert isinstance(app.read(shlex.split(line.partition(" <")[0])), Request)
    if "--type" in text:
        words = set(re.findall(r"[\w.]+\w", text))
        assert set(ATTACH_TYPES) <= words
